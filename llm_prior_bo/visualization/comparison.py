"""Best value so far of several samplers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
from optuna import Study
from optuna.trial import TrialState

from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.space import FloatArray
from llm_prior_bo.study.storage import trial_constraints
from llm_prior_bo.visualization.plotly_import import as_text, colour, graph_objects

if TYPE_CHECKING:
    import plotly.graph_objects as go

Run: TypeAlias = Study | Sequence[float]
"""A study, or its best value so far after each trial."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Best values so far of several runs.

    Args:
        name: What was run.
        n_runs: How many runs there are.
        median: After each trial, `n`; NaN where a run has no value yet, as the quartiles.
        lower: First quartile, `n`.
        upper: Third quartile, `n`.
    """

    name: str
    n_runs: int
    median: FloatArray
    lower: FloatArray
    upper: FloatArray


def trial_values(study: Study) -> FloatArray:
    """Value of each trial that has ended, `n`; NaN for those that failed, were pruned or are infeasible.

    Raises:
        ConfigurationError: If the study has several objectives.
    """
    if len(study.directions) > 1:
        raise ConfigurationError(
            f"Expected a study with one objective, got {len(study.directions)}; give best values of your own, such as "
            "the hypervolume."
        )
    ended = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    trials = study.get_trials(deepcopy=False, states=ended)
    values = [
        trial.values[0]
        if trial.state == TrialState.COMPLETE
        and trial.values is not None
        and all(constraint <= 0.0 for constraint in trial_constraints(trial).values())
        else np.nan
        for trial in trials
    ]
    return np.array(values, dtype=np.float64)


def best_so_far(values: npt.ArrayLike, *, direction: str) -> FloatArray:
    """Best value after each trial, `n`; NaN before the first value.

    Args:
        values: Value of each trial, `n`; NaN where there is none.
        direction: "minimize" or "maximize".
    """
    best = np.fmax if direction == "maximize" else np.fmin
    result: FloatArray = best.accumulate(np.asarray(values, dtype=np.float64))
    return result


def best_values(study: Study) -> FloatArray:
    """Best value so far after each trial that has ended, infeasible ones left aside, `n`; NaN before the first value.

    Raises:
        ConfigurationError: If the study has several objectives.
    """
    return best_so_far(trial_values(study), direction=study.direction.name.lower())


def curve(name: str, runs: Study | Sequence[Run]) -> Curve:
    """Median and quartiles of runs, as far as the shortest of them.

    Raises:
        ConfigurationError: If there is no run.
    """
    listed = [runs] if isinstance(runs, Study) else list(runs)
    if not listed:
        raise ConfigurationError(f"Expected at least one run of {name!r}, got none.")
    rows = [best_values(run) if isinstance(run, Study) else np.asarray(run, dtype=np.float64) for run in listed]
    if any(row.ndim != 1 for row in rows):
        raise ConfigurationError(
            f"Expected runs of {name!r}, each a study or a sequence of numbers, got other shapes; put a single run "
            "in a list."
        )
    table = np.stack([row[: min(map(len, rows))] for row in rows])  # n_runs x n
    # A quantile of rows with NaN is NaN: a curve begins where all of its runs have a value.
    lower, median, upper = np.quantile(table, [0.25, 0.5, 0.75], axis=0)
    return Curve(name, len(rows), median, lower, upper)


def plot_comparison(curves: Study | Mapping[str, Study | Sequence[Run]]) -> go.Figure:
    """Plot the best value so far of several samplers: the median of their runs, with the quartiles as a band.

    Args:
        curves: Name -> runs: a study, or a sequence of studies or of sequences with the best value so far after each
            trial. A study alone is drawn alone.

    Returns:
        A figure.

    Raises:
        ConfigurationError: If a study has several objectives, or a name no runs.
        ImportError: If plotly is not installed.
    """
    named = {curves.study_name: curves} if isinstance(curves, Study) else curves
    figure = graph_objects().Figure()
    for j, (name, runs) in enumerate(named.items()):
        _add_curve(figure, curve(name, runs), colour(j))
    figure.update_layout(
        title="Best value so far",
        xaxis={"title": {"text": "trials"}},
        yaxis={"title": {"text": "best value"}},
        height=420,
        legend={"orientation": "h", "y": -0.2, "yanchor": "top"},
    )
    return figure


def _add_curve(figure: go.Figure, one: Curve, tint: str) -> None:
    x = np.arange(1, len(one.median) + 1)
    name = f"{as_text(one.name)} ({one.n_runs} runs)" if one.n_runs > 1 else as_text(one.name)
    if one.n_runs > 1:
        edge = {
            "mode": "lines",
            "line": {"width": 0, "shape": "hv"},
            "legendgroup": name,
            "showlegend": False,
            "hoverinfo": "skip",
        }
        figure.add_scatter(x=x, y=one.upper, **edge)
        figure.add_scatter(x=x, y=one.lower, fill="tonexty", fillcolor=_translucent(tint), **edge)
    figure.add_scatter(
        x=x,
        y=one.median,
        mode="lines",
        line={"color": tint, "width": 2, "shape": "hv"},
        name=name,
        legendgroup=name,
        hovertemplate="after %{x} trials: %{y:.5g}<extra>" + name + "</extra>",
    )


def _translucent(tint: str) -> str:
    red, green, blue = (int(tint[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.2)"
