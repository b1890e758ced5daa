"""The start-up phase: the prior's mode, a stratified design drawn from it, and a few uniform points to compare with."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from optuna.trial import FrozenTrial
from torch import Tensor

from llm_prior_bo.priors import OptimumPrior, UniformPrior
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.storage import all_trials
from llm_prior_bo.study.trial_records import read_suggestion, started_here

if TYPE_CHECKING:
    from optuna import Study


def startup_slot(study: Study, trial: FrozenTrial) -> int:
    """The position of a trial in the start-up design: the first free one.

    Workers choose one after the other (`turns`), so those that start at the same time take different positions. A
    position whose trial failed is not tried again, and none is lost to a trial whose parameters came from elsewhere.
    """
    # Of all of a pruner's brackets, lest each of them begins with the same points.
    trials = all_trials(study)
    others = [other for other in trials if other.number != trial.number]
    own = [other for other in others if started_here(study, other)]
    taken = {suggestion.slot for other in own if (suggestion := read_suggestion(other)) is not None}
    return next(slot for slot in itertools.count() if slot not in taken)


def startup_point(
    prior: OptimumPrior, slot: int, *, n_startup_trials: int, n_uniform: int = 0, seed: int, space: SearchSpace
) -> Tensor:
    """One point of the start-up design: the prior's mode, draws from the prior, then uniform ones.

    The uniform points are what the others are compared with. Without them a surrogate sees one region only, knows
    nothing of what is usual elsewhere, and takes every place that it has not seen for as good.

    Args:
        prior: Where to draw from.
        slot: Position in the design; 0 is the prior's mode. Positions beyond the design are further draws.
        n_startup_trials: Size of the design.
        n_uniform: How many of its last positions are uniform; the mode stays whatever the number.
        seed: Seed of the design, the same for all its positions.
        space: The space of the uniform points.

    Returns:
        A legal encoded point, `d`.
    """
    n_inside = max(n_startup_trials - n_uniform, 1)
    if slot == 0:
        return prior.mode()
    if slot < n_inside:
        return prior.stratified_sample(n_inside - 1, generator=_generator(seed))[slot - 1]
    if slot < n_startup_trials:
        n_uniform = n_startup_trials - n_inside
        outside = _generator(seed + n_inside)  # another seed: of the same one, the draws inside share their coordinates
        return UniformPrior(space).stratified_sample(n_uniform, generator=outside)[slot - n_inside]
    return prior.sample(1, generator=_generator(seed + slot))[0]


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
