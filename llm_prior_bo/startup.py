"""The start-up phase: the prior's mode first, then a stratified design drawn from it."""

from __future__ import annotations

import itertools
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

    The first free one, leaving as many to earlier trials as there are running ones that are about to take one. So
    workers that start at the same time take different positions, a position whose trial failed is not tried again, and
    none is lost to a trial whose parameters came from elsewhere.
    """
    others = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
    taken = {suggestion.slot for other in others if (suggestion := read_suggestion(other)) is not None}
    n_before = sum(_is_about_to_take_a_slot(other) for other in others if other.number < trial.number)
    free = (slot for slot in itertools.count() if slot not in taken)
    return next(itertools.islice(free, n_before, None))


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


def _is_about_to_take_a_slot(trial: FrozenTrial) -> bool:
    started = trial.state == TrialState.RUNNING and is_own(trial)
    return started and not trial.params and read_suggestion(trial) is None


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
