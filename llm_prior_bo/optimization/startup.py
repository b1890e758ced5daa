"""The start-up phase: the prior's mode, a stratified design drawn from it, and a few uniform points to compare with."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from optuna.trial import FrozenTrial
from torch import Tensor

from llm_prior_bo.models.feasibility import (
    FeasibilityModel,
    resample_by_success_probability,
    success_probability,
)
from llm_prior_bo.priors import OptimumPrior, UniformPrior
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.storage import all_trials
from llm_prior_bo.study.trial_records import Suggestion, read_suggestion, started_here

if TYPE_CHECKING:
    from optuna import Study


N_STARTUP_WITH_PRIOR = 5
"""Start-up trials where a prior says where to look: few, since after some good points the surrogate knows as much."""

N_STARTUP_WITHOUT_PRIOR = 10
"""Start-up trials without a prior, as Optuna's samplers have."""


@dataclass(frozen=True, slots=True)
class StartupDesign:
    """The trials before the surrogate takes over.

    Args:
        n_trials: How many; `None`: `N_STARTUP_WITH_PRIOR` or `N_STARTUP_WITHOUT_PRIOR`.
        uniform_fraction: Share of them that is spent on uniform points, in [0, 1].
        seed: Seed of the design, the same for all its positions.
    """

    n_trials: int | None
    uniform_fraction: float
    seed: int

    def size(self, prior: OptimumPrior) -> int:
        """Number of trials."""
        if self.n_trials is not None:
            return self.n_trials
        return N_STARTUP_WITHOUT_PRIOR if prior.is_uniform else N_STARTUP_WITH_PRIOR

    def suggest(
        self,
        study: Study,
        trial: FrozenTrial,
        space: SearchSpace,
        prior: OptimumPrior,
        feasibility: FeasibilityModel | None,
        *,
        n: int,
        seed: int,
    ) -> Suggestion:
        """The point of the first free position, moved where it would probably fail.

        Args:
            study: The study.
            trial: The trial that a suggestion is wanted for.
            space: The parameters.
            prior: Where to draw from.
            feasibility: How probable it is that a trial finishes; `None` where nothing has failed.
            n: Finished trials of the study, for the record.
            seed: Seed of what takes the place of a point that would probably fail.
        """
        slot = startup_slot(study, trial)
        size = self.size(prior)
        n_uniform = 0 if prior.is_uniform else round(self.uniform_fraction * size)
        x = startup_point(prior, slot, n_startup_trials=size, n_uniform=n_uniform, seed=self.seed, space=space)
        if feasibility is not None:
            x = resample_by_success_probability(x, prior, feasibility, seed=seed)
        return Suggestion(
            params=space.decode(x),
            phase="startup",
            n=n,
            slot=slot,
            log_prior=float(prior.log_prob(x)),
            success_probability=success_probability(feasibility, x),
        )


def startup_slot(study: Study, trial: FrozenTrial) -> int:
    """The position of a trial in the start-up design: the first free one.

    Workers choose one after the other (`suggestion_lock`), so those that start at the same time take different
    positions. A position whose trial failed is not tried again, and none is lost to a trial whose parameters came from
    elsewhere.
    """
    # Of all of a pruner's brackets, or each of them would begin with the same points.
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
