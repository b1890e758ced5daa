"""The start-up phase: the prior's mode first, then a stratified design drawn from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from optuna.trial import FrozenTrial, TrialState
from torch import Tensor

from llm_prior_bo.priors import OptimumPrior
from llm_prior_bo.trial_records import is_own, read_suggestion

if TYPE_CHECKING:
    from optuna import Study


def startup_slot(study: Study, trial: FrozenTrial) -> int:
    """The position of a trial in the start-up design.

    Counts the earlier trials that hold a position or, still running, are about to take one; so workers that start at
    the same time take different positions, and a position whose trial failed is not tried again.
    """
    earlier = (other for other in study.get_trials(deepcopy=False) if other.number < trial.number)
    return sum(_takes_slot(other) for other in earlier)


def startup_point(prior: OptimumPrior, slot: int, *, n_startup_trials: int, seed: int) -> Tensor:
    """One point of the start-up design.

    Args:
        prior: Where to draw from.
        slot: Position in the design; 0 is the prior's mode. Positions beyond the design are further draws.
        n_startup_trials: Size of the design.
        seed: Seed of the design, the same for all its positions.

    Returns:
        A legal encoded point, `d`.
    """
    if slot == 0:
        return prior.mode()
    if slot < n_startup_trials:
        return prior.stratified_sample(n_startup_trials - 1, generator=_generator(seed))[slot - 1]
    return prior.sample(1, generator=_generator(seed + slot))[0]


def _takes_slot(trial: FrozenTrial) -> bool:
    suggestion = read_suggestion(trial)
    if suggestion is not None:
        return suggestion.slot is not None
    return trial.state == TrialState.RUNNING and is_own(trial) and not trial.params


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
