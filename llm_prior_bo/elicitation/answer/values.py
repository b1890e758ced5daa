"""Loosely written values: what number or text is meant."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

from llm_prior_bo.elicitation.llm.secrets import encodable


def total_of(weights: Iterable[float]) -> float:
    """A sum to be compared with one; very large weights must not overflow it."""
    return math.fsum(min(weight, 1e300) for weight in weights)


def normalised(weights: list[float]) -> list[float] | None:
    """Weights over their sum, `None` if all are zero; safe for weights whose sum would overflow."""
    largest = max(weights)
    if largest <= 0:
        return None
    scaled = [weight / largest for weight in weights]
    total = math.fsum(scaled)
    return [weight / total for weight in scaled]


def as_float(value: object) -> float | None:
    """A finite number from a number or a numeric text ("1e-3", "85 %"), else `None`."""
    percent = False
    if isinstance(value, str):
        text = value.strip()
        percent = text.endswith("%")
        value = text.rstrip("%").strip()
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return (number / 100.0 if percent else number) if math.isfinite(number) else None


def as_integer(value: object) -> int | None:
    """A whole number from a number or a numeric text, else `None`."""
    number = as_float(value)
    return int(number) if number is not None and number == int(number) else None


def clean(value: object) -> str:
    """Any value as text that can be encoded, stored and printed."""
    return encodable(value if isinstance(value, str) else str(value))


def shown(value: object) -> str:
    """Any value as a short text for a sentence."""
    text = repr(clean(value)) if isinstance(value, str) else clean(json_text(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def json_text(value: object) -> str:
    """Any value as JSON text, the name of its type where that fails."""
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):
        return f"<{type(value).__name__}>"
