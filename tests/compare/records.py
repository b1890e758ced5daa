"""Records made by hand, whose metrics can be computed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def record(
    name: str, seed: int, values: Sequence[float | None], *, task: str = "task", **fields: Any
) -> dict[str, Any]:
    """A record with the fields that are always there; others are added or replaced."""
    return {
        "problem": task,
        "prior": "",
        "method": name,
        "seed": seed,
        "n_trials": len(values),
        "error": None,
        "direction": "minimize",
        "sampler": f"{name}Sampler",
        "values": list(values),
        **fields,
    }
