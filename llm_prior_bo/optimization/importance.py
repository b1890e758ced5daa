"""What a surrogate has learned of a study, in numbers that can be told: importance, optimum, how regions fared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from optuna.distributions import CategoricalDistribution
from torch import Tensor

from llm_prior_bo.acquisition.optimize import NEAR_SCALES, perturbed
from llm_prior_bo.elicitation.answer.choices import choice_texts
from llm_prior_bo.elicitation.prompt.insights import NumericQuantiles, RefreshReason, RegionReport, StudyInsights
from llm_prior_bo.elicitation.record import Elicitation
from llm_prior_bo.models.optimum_posterior import optimum_posterior
from llm_prior_bo.models.surrogate import Surrogate, fit_surrogate
from llm_prior_bo.optimization.elicited_priors import ElicitedPrior, weigh_elicited_priors
from llm_prior_bo.optimization.trust import Evidence, TrustGate
from llm_prior_bo.priors import UniformPrior
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.training_data import PrunedTrials, training_data_of

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

N_UNIFORM = 512
N_NEAR = 64
N_DRAWS = 512
_LEVELS = (0.1, 0.5, 0.9)


def insights_of(
    study: Study,
    space: SearchSpace,
    elicited: Sequence[ElicitedPrior],
    answers: Sequence[Sequence[Elicitation]],
    *,
    trial: FrozenTrial,
    use_pruned: PrunedTrials,
    gate: TrustGate | None,
    reason: RefreshReason,
    seed: int,
) -> StudyInsights | None:
    """What a later question tells of a study so far; `None` while there is nothing to fit.

    Args:
        study: The study.
        space: All parameters that are known.
        elicited: The densities so far, oldest first.
        answers: The answers behind each.
        trial: The trial for which is asked.
        use_pruned: What pruned trials are to the surrogate.
        gate: Who weighs the densities by the evidence.
        reason: Why it is asked again.
        seed: Seed of all draws.
    """
    data = training_data_of(study, space, trial=trial, use_pruned=use_pruned)
    if data.n < 2:
        return None
    surrogate = fit_surrogate(data, space)
    evidence = weigh_elicited_priors(elicited, surrogate, data.numbers, gate=gate, seed=seed)
    return study_insights(surrogate, evidence, answers, trials=data.numbers, reason=reason, seed=seed)


def study_insights(
    surrogate: Surrogate,
    evidence: Sequence[Evidence],
    answers: Sequence[Sequence[Elicitation]],
    *,
    trials: Sequence[int],
    reason: RefreshReason,
    seed: int = 0,
) -> StudyInsights:
    """What to tell a language model that is asked again.

    Args:
        surrogate: Fitted to the finished trials, without a prior in its mean; its space must be known.
        evidence: What the trials have left of the earlier answers, by question.
        answers: The earlier answers by question.
        trials: Numbers of the finished trials.
        reason: Why it is asked again.
        seed: Seed of the draws.
    """
    assert surrogate.space is not None
    return StudyInsights(
        n_trials=len(surrogate.X),
        importance=parameter_importance(surrogate, seed=seed),
        optimum=_optimum(surrogate, surrogate.space, seed),
        regions=tuple(
            report
            for one, question in zip(evidence, answers, strict=False)
            for report in _region_reports(one, question)
        ),
        reason=reason,
        trials=tuple(trials),
    )


def parameter_importance(surrogate: Surrogate, *, seed: int = 0, n: int = 256) -> dict[str, float]:
    """Share of every parameter in how much the surrogate's objectives vary over the space.

    The mean square of what changes in the posterior mean when the parameter alone is drawn anew: the total Sobol index
    of the mean (Jansen, Computer Physics Communications 117, 1999), normalised to sum to one. Unlike length scales it
    can be compared between numeric and categorical parameters.

    Args:
        surrogate: With a known space.
        seed: Seed of the points.
        n: Number of base points.
    """
    assert surrogate.space is not None
    space = surrogate.space
    generator = torch.Generator().manual_seed(seed)
    # The second set in random order: rows of two Sobol designs lie in the same cells more often than not.
    A, B = (UniformPrior(space).stratified_sample(n, generator=generator) for _ in range(2))
    B = B[torch.randperm(n, generator=generator)]
    blocks = [A]
    for j in range(len(space)):
        moved = A.clone()
        moved[:, j] = B[:, j]
        blocks.append(moved)
    with torch.no_grad():
        posterior: Any = surrogate.model.posterior(torch.cat(blocks))  # a Gaussian one: it has a mean
    mean = posterior.mean[:, : surrogate.n_objectives].reshape(len(blocks), n, -1)
    effects = (mean[1:] - mean[:1]).square().mean(dim=1)  # d x m
    shares = (effects / effects.sum(dim=0).clamp_min(1e-12)).mean(dim=-1)
    total = float(shares.sum())
    return {name: float(share) / total if total > 0.0 else 0.0 for name, share in zip(space.names, shares, strict=True)}


def _optimum(surrogate: Surrogate, space: SearchSpace, seed: int) -> dict[str, NumericQuantiles | dict[str, float]]:
    """Where functions drawn from the surrogate have their optimum, parameter by parameter."""
    generator = torch.Generator().manual_seed(seed)
    X = torch.cat(
        [UniformPrior(space).stratified_sample(N_UNIFORM, generator=generator), _near(surrogate, space, seed)]
    )
    posterior = optimum_posterior(
        surrogate.model,
        X,
        n_draws=N_DRAWS,
        generator=generator,
        n_constraints=surrogate.constraints.shape[-1],
    )
    return {name: _marginal(space, j, X[:, j], posterior.probabilities) for j, name in enumerate(space.names)}


def _near(surrogate: Surrogate, space: SearchSpace, seed: int) -> Tensor:
    best, rng = surrogate.incumbents(5), np.random.default_rng(seed)
    n_each = N_NEAR // len(best)
    return torch.cat([best, *(perturbed(best, space, n_each=n_each, scale=scale, rng=rng) for scale in NEAR_SCALES)])


def _marginal(space: SearchSpace, j: int, u: Tensor, probabilities: Tensor) -> NumericQuantiles | dict[str, float]:
    column = space.columns[j]
    if column.kind == "categorical":
        assert isinstance(column.distribution, CategoricalDistribution)
        shares = torch.bincount(u.long(), weights=probabilities, minlength=column.n_values or 1).tolist()
        return dict(zip(choice_texts(column.distribution.choices), shares, strict=True))
    order = u.argsort()
    cumulative = probabilities[order].cumsum(dim=0)
    at = torch.searchsorted(cumulative, torch.tensor(_LEVELS, dtype=cumulative.dtype)).clamp_max(len(u) - 1)
    low, median, high = (float(column.decode(float(u[order[i]]))) for i in at.tolist())
    return NumericQuantiles(low=low, median=median, high=high)


def _region_reports(evidence: Evidence, question: Sequence[Elicitation]) -> list[RegionReport]:
    """One report for each region of the answers to a question; nothing where a gate has weighed other regions."""
    stated = [(elicitation, region) for elicitation in question for region in elicitation.answer.regions]
    if len(stated) != len(evidence.region_weights):
        return []
    found = zip(stated, evidence.region_weights, evidence.bayes_factors, strict=True)
    return [
        RegionReport.from_answer(
            elicitation.answer,
            region.region,
            asked_at_trial=elicitation.trial_number,
            present_weight=min(weight * len(question), 1.0),  # as if there were no other answers
            bayes_factor=factor,
        )
        for (elicitation, region), weight, factor in found
    ]
