"""Records of made-up studies, whose tables can be computed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

N_TRIALS = 30
N_SEEDS = 6


def record(task: str, method: str, belief: str, seed: int, values: Sequence[float], **others: Any) -> dict[str, Any]:
    """A record as `benchmarks.proof` writes it."""
    key = {"problem": task, "prior": belief, "method": method, "seed": seed, "n_trials": len(values), "error": None}
    defaults: dict[str, Any] = {"values": list(values), "test_values": None, "best_known": None, "trace": {}}
    return {**key, **defaults, **others}


def falling(start: float, steps: dict[int, float], n_trials: int = N_TRIALS) -> list[float]:
    """A value at every trial: `start`, and from each trial in `steps`, counted from 1, another one."""
    values, value = [], start
    for n in range(1, n_trials + 1):
        value = steps.get(n, value)
        values.append(value)
    return values


CURVES: dict[tuple[str, str], list[float]] = {
    ("GPSampler", "none"): falling(4.0, {20: 1.0}),  # after ten random trials 4 are left: the unit
    ("no-llm", "none"): falling(3.0, {10: 1.0}),
    ("TPESampler", "none"): falling(4.0, {}),
    ("RandomSampler", "none"): falling(4.0, {}),
    ("control-1", "own"): falling(2.0, {10: 1.0}),
    ("default", "own"): falling(2.0, {2: 1.0, 10: 0.0}),
    ("default", "mirrored"): falling(4.0, {10: 1.0}),
}
"""Method and belief -> values of every study; the least is 0."""


def studies(*tasks: str, scale: float = 1.0) -> list[dict[str, Any]]:
    """Six seeds of everything in `CURVES` on the tasks, values times a scale."""
    return [
        record(task, method, belief, seed, [scale * value for value in values])
        for task in tasks
        for (method, belief), values in CURVES.items()
        for seed in range(N_SEEDS)
    ]
