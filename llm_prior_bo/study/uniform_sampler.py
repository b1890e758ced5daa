"""Uniform draws that depend on the seed, the trial and the parameter, and on nothing that was drawn before."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial

from llm_prior_bo.space import Column

if TYPE_CHECKING:
    from optuna import Study


class PerTrialRandomSampler(RandomSampler):
    """Optuna's random sampler, but workers that share a seed do not make the same suggestions.

    A stream of random numbers begins anew in every process and in every pickled copy; a trial's number is unique in its
    study, whatever the process.

    Args:
        seed: Seed of all draws; `None`: one from the operating system.
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(seed=seed)
        self._entropy = entropy_of(seed)

    def reseed_rng(self) -> None:
        """Draw a new seed."""
        super().reseed_rng()
        self._entropy = entropy_of(None)

    def sample_independent(
        self,
        study: Study,  # noqa: ARG002 - Optuna's signature
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A value that is uniform on the parameter's own scale."""
        column = Column(param_name, param_distribution)
        rng = np.random.default_rng([self._entropy, trial.number, zlib.crc32(param_name.encode())])
        if column.kind == "categorical":
            return column.decode(float(rng.integers(column.n_values or 1)))
        return column.decode(rng.random())


def entropy_of(seed: int | None) -> int:
    """A number that a seed stands for, below 2^32; a random one for `None`."""
    return int(np.random.SeedSequence(seed).generate_state(1)[0])
