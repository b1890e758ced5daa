"""The start-up phase: the best points of the prior's regions, draws from it, and uniform points to compare with."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from optuna.trial import FrozenTrial
from torch import Tensor

from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.feasibility import (
    FeasibilityModel,
    resample_by_success_probability,
    success_probability,
)
from llm_prior_bo.optimization.regions import region_label
from llm_prior_bo.priors import MixturePrior, OptimumPrior, UniformPrior
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.storage import all_trials
from llm_prior_bo.study.trial_records import Source, Suggestion, failed_by_itself, read_suggestion, started_here

if TYPE_CHECKING:
    from optuna import Study


N_STARTUP_WITH_PRIOR = 5
"""Start-up trials where a prior says where to look: few, since after some good points the surrogate knows as much."""

N_STARTUP_WITHOUT_PRIOR = 10
"""Start-up trials without a prior, as Optuna's samplers have."""

FIRST_UNIFORM = 2
"""Position of the first uniform point: after two from the prior."""

MIN_COMPARED = 2
"""Points from the prior that have to be worse than a uniform one before no more are drawn from it."""

MIN_REGION_WEIGHT = 0.1
"""A region that is less probable is left to the draws: with five trials there is no room for it."""

_AFTER_REFUSAL = 1_000_000
"""Added to the seed of the points that take the place of those from a refuted prior."""


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
        data: TrainingData,
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
            data: The trials so far.
            feasibility: How probable it is that a trial finishes; `None` where nothing has failed.
            n: Finished trials of the study, for the record.
            seed: Seed of what takes the place of a point that would probably fail.
        """
        slot, sources = startup_slot(study, trial)
        size = self.size(prior)
        n_uniform = 0 if prior.is_uniform else round(self.uniform_fraction * size)
        failed = [other.number for other in all_trials(study) if failed_by_itself(other)]
        uniform = UniformPrior(space)
        x: Tensor
        source: Source
        if n_uniform and speaks_against_prior(data, sources, failed=failed):
            x, source = _draw(uniform, self.seed + _AFTER_REFUSAL + slot), "uniform"
        else:
            x, source = startup_point(
                prior, slot, n_startup_trials=size, n_uniform=n_uniform, seed=self.seed, space=space
            )
        if feasibility is not None:
            drawn_from = uniform if source == "uniform" else prior
            x = resample_by_success_probability(x, drawn_from, feasibility, seed=seed)
        return Suggestion(
            params=space.decode(x),
            phase="startup",
            n=n,
            slot=slot,
            source=source,
            region=region_label(prior, x),
            log_prior=float(prior.log_prob(x)),
            success_probability=success_probability(feasibility, x),
        )


def speaks_against_prior(
    data: TrainingData, sources: Mapping[int, Source | None], *, failed: Collection[int] = ()
) -> bool:
    """Whether a uniform point has come out better than all points from the prior, of which there are two at least.

    A wrong prior would cost the rest of the start-up as well. Of a right one two points are hardly ever worse than a
    single uniform one. A trial that failed is worse than one that finished.

    Args:
        data: The finished trials so far.
        sources: Where the point of each trial came from.
        failed: Numbers of the trials that failed because of their configuration.
    """
    feasible = (data.constraints <= 0.0).all(dim=-1)
    rows = [(sources.get(number), i) for i, number in enumerate(data.numbers)]
    uniform = [i for source, i in rows if source == "uniform" and bool(feasible[i])]
    from_prior = [i for source, i in rows if source not in ("uniform", None)]
    n_failed = sum(sources.get(number) not in ("uniform", None) for number in failed)
    if len(from_prior) + n_failed < MIN_COMPARED:
        return False
    worse = ~feasible[from_prior]
    return any(bool(((data.Y[from_prior] < data.Y[i]).all(dim=-1) | worse).all()) for i in uniform)


def startup_slot(study: Study, trial: FrozenTrial) -> tuple[int, dict[int, Source | None]]:
    """The position of a trial in the start-up design, the first free one, and where earlier points came from, by trial.

    Workers choose one after the other (`suggestion_lock`), so those that start at the same time take different
    positions. A position whose trial failed is not tried again, and none is lost to a trial whose parameters came from
    elsewhere.
    """
    # Of all of a pruner's brackets, or each of them would begin with the same points.
    trials = all_trials(study)
    others = [other for other in trials if other.number != trial.number]
    own = [other for other in others if started_here(study, other)]
    told = {other.number: suggestion for other in own if (suggestion := read_suggestion(other)) is not None}
    taken = {suggestion.slot for suggestion in told.values()}
    slot = next(slot for slot in itertools.count() if slot not in taken)
    return slot, {other.number: told[other.number].source for other in own if _was_used(told.get(other.number), other)}


def _was_used(suggestion: Suggestion | None, trial: FrozenTrial) -> bool:
    """Whether a trial was given what was suggested for it: it may have been enqueued."""
    return suggestion is not None and all(
        value == suggestion.params[name] for name, value in trial.params.items() if name in suggestion.params
    )


def startup_point(
    prior: OptimumPrior, slot: int, *, n_startup_trials: int, n_uniform: int = 0, seed: int, space: SearchSpace
) -> tuple[Tensor, Source]:
    """One point of the start-up design.

    First comes the prior's mode, then the best points of its other regions by weight, then draws from the prior. The
    first uniform point comes third, as soon as there are two from the prior to compare with it, the others last.
    Without any a surrogate sees one region only, knows nothing of what is usual elsewhere, and takes every place that
    it has not seen for as good.

    Args:
        prior: Where to draw from.
        slot: Position in the design; 0 is the prior's mode. Positions beyond the design are further draws.
        n_startup_trials: Size of the design.
        n_uniform: How many of its positions are uniform; the mode stays whatever the number.
        seed: Seed of the design, the same for all its positions.
        space: The space of the uniform points.

    Returns:
        A legal encoded point, `d`, and where it came from.
    """
    n_inside = max(n_startup_trials - n_uniform, 1)
    n_uniform = max(n_startup_trials - n_inside, 0)
    if slot >= max(n_startup_trials, 1):
        return _draw(prior, seed + slot), "draw"
    order = [*range(n_inside)]
    order[FIRST_UNIFORM:FIRST_UNIFORM] = range(n_inside, n_inside + n_uniform)[:1]
    order += range(n_inside, n_inside + n_uniform)[1:]
    position = order[slot]
    if position >= n_inside:
        outside = _generator(seed + n_inside)  # another seed: of the same one, the draws inside share their coordinates
        return UniformPrior(space).stratified_sample(n_uniform, generator=outside)[position - n_inside], "uniform"
    best = best_points(prior)
    if position < len(best):
        return best[position], "mode" if position == 0 else "region"
    n_draws = n_inside - len(best)
    return prior.stratified_sample(n_draws, generator=_generator(seed))[position - len(best)], "draw"


def best_points(prior: OptimumPrior) -> list[Tensor]:
    """The prior's mode, then the best points of its other regions by weight, each `d`."""
    points = [prior.mode()]
    if isinstance(prior, MixturePrior):
        weights = prior.weights
        anchors = prior.anchors()
        for k in weights.argsort(descending=True, stable=True).tolist():
            if weights[k] >= MIN_REGION_WEIGHT and not any(torch.equal(anchors[k], point) for point in points):
                points.append(anchors[k])
    return points


def _draw(prior: OptimumPrior, seed: int) -> Tensor:
    return prior.sample(1, generator=_generator(seed))[0]


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
