"""Records made by hand, whose summaries can be computed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def record(
    method: str,
    seed: int,
    regret: Sequence[float],
    *,
    problem: str = "branin",
    prior: str = "weak",
    details: Mapping[int, Mapping[str, Any]] | None = None,
    error: str | None = None,
) -> dict[str, Any]:
    """A record; `details` by trial, counted from 1."""
    told = [{"phase": "model", "details": dict((details or {}).get(t, {}))} for t in range(1, len(regret) + 1)]
    return {
        "problem": problem,
        "prior": prior,
        "method": method,
        "seed": seed,
        "n_trials": len(regret),
        "error": error,
        "regret": list(regret),
        "trials": told,
    }
