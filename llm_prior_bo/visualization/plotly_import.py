"""Plotly, imported when the first figure is drawn, and what all figures share."""

from __future__ import annotations

import html
import importlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from llm_prior_bo.elicitation.llm.secrets import printable
from llm_prior_bo.space import Column

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from llm_prior_bo.study.trial_records import AnswerPart

COLOURS = ("#3b7dd8", "#e07b39", "#2a9d6f", "#b5539c", "#c9a227", "#5fb3ce", "#d1495b", "#7a6ff0")
"""Of regions and curves, in order; told apart on white and on black, and by most colour-blind people."""

UNIFORM_COLOUR = "#9aa0a6"
TRIAL_COLOUR = "#7f8790"
INCUMBENT_COLOUR = "#d62839"
MAX_LABEL_CHARACTERS = 60
MAX_TICK_CHARACTERS = 16
MAX_DECADE_TICKS = 4


def import_optional(name: str, *, extra: str = "visualization") -> Any:
    """A module of an extra.

    Raises:
        ImportError: If it is not installed, with what to do.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.split(".")[0].replace("_", "-")
        raise ImportError(
            f"Expected the package {package} to be installed, got none; run "
            f"`pip install 'llm-prior-bo[{extra}]'`. ({error})"
        ) from error


def graph_objects() -> Any:
    """`plotly.graph_objects`.

    Raises:
        ImportError: If plotly is not installed, with what to do.
    """
    return import_optional("plotly.graph_objects")


def subplots(n_rows: int, n_columns: int = 1, **options: Any) -> go.Figure:
    """An empty figure of several plots."""
    figure: go.Figure = import_optional("plotly.subplots").make_subplots(rows=n_rows, cols=n_columns, **options)
    return figure


def shortened(value: object, *, limit: int = MAX_LABEL_CHARACTERS) -> str:
    """A text of a user or a model, or a choice of any type, control characters as escapes, cut where it is longer."""
    text = printable(str(value))
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def as_text(value: object, *, limit: int = MAX_LABEL_CHARACTERS) -> str:
    """The same escaped for plotly, which takes tags and links for its own."""
    return html.escape(shortened(value, limit=limit))


def axis_of(column: Column) -> dict[str, Any]:
    """Settings of the axis of a parameter: on its own scale, choices by their texts at their indices."""
    axis: dict[str, Any] = {"title": {"text": as_text(column.name)}}
    if column.kind == "categorical":
        texts = [as_text(column.value(k), limit=MAX_TICK_CHARACTERS) for k in range(column.n_values or 1)]
        return {**axis, "tickmode": "array", "tickvals": list(range(len(texts))), "ticktext": texts}
    if not column.log:
        return axis
    low, high = np.log10(column.from_unit([0.0, 1.0]))
    decades = float(high - low)
    if decades == 0.0:
        return axis
    steps = {"dtick": math.ceil(decades / MAX_DECADE_TICKS)} if decades >= 2 else {}
    margin = 0.03 * decades
    return {**axis, "type": "log", "exponentformat": "power", "range": [low - margin, high + margin], **steps}


def position(column: Column, value: Any) -> Any:
    """Where a natural value is on the axis of its parameter."""
    return column.encode(value) if column.kind == "categorical" else value


def answer_name(part: AnswerPart) -> str:
    """What an answer is called in legends: by the trial for which it was asked."""
    return part.name if part.asked_at < 0 else f"trial {part.asked_at}"


def colour(i: int) -> str:
    """The colour of the region or curve with an index."""
    return COLOURS[i % len(COLOURS)]
