"""NePS behind the protocol of `external.py`; needs neural-pipeline-search.

NePS' piBO with its prior's centre first. Its priors have three widths: standard deviations of a quarter, a half and
three quarters of the range; the nearest is taken. For a choice they say how probable the most plausible one is, in the
same three steps.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.peers.worker_protocol import protocol_streams, serve

SCALES = {"high": 0.25, "medium": 0.5, "low": 0.75}
"""Confidence -> standard deviation of a numeric parameter, as a fraction of the range."""


class Neps:
    """The optimiser.

    Args:
        first: The protocol's first message.
    """

    def __init__(self, first: dict[str, Any]) -> None:
        import neps
        import numpy as np
        import torch

        random.seed(first["seed"])  # NePS has no seed of its own: this process is for one study
        np.random.seed(first["seed"])  # noqa: NPY002
        torch.manual_seed(first["seed"])
        torch.set_num_threads(1)
        self._names = [f"x{index:03d}" for index in range(len(first["parameters"]))]
        pairs = zip(self._names, first["parameters"], strict=True)
        space = neps.SearchSpace({name: self._parameter(parameter) for name, parameter in pairs})
        has_prior = any(parameter["mode"] is not None for parameter in first["parameters"])
        self._neps = neps.AskAndTell(
            neps.algorithms.pibo(space, initial_design_size=first["n_startup"], sample_prior_first=has_prior)
        )
        self._ids: dict[int, Any] = {}

    def _parameter(self, parameter: dict[str, Any]) -> Any:
        import neps

        mode, n_choices = parameter["mode"], parameter["n_choices"]
        if n_choices is not None:
            weights = parameter["weights"]
            if weights is None:
                return neps.HPOCategorical(list(range(n_choices)))
            share = max(weights)
            return neps.HPOCategorical(
                list(range(n_choices)), prior=weights.index(share), prior_confidence=_nearest(1.0 - share)
            )
        if mode is None:
            return neps.HPOFloat(0.0, 1.0)
        return neps.HPOFloat(0.0, 1.0, prior=mode, prior_confidence=_nearest(parameter["scale"]))

    def ask(self, number: int) -> list[float]:
        """The next point."""
        trial = self._neps.ask()
        self._ids[number] = trial.metadata.id
        return [float(trial.config[name]) for name in self._names]

    def tell(self, number: int, value: float | None) -> None:
        """The value of a point; a failed trial has none."""
        result: Any = ValueError("the trial failed") if value is None else value
        self._neps.tell(self._ids.pop(number), result)


def _nearest(scale: float) -> Any:
    return min(SCALES, key=lambda confidence: abs(SCALES[confidence] - scale))


if __name__ == "__main__":
    serve(Neps, *protocol_streams())
