"""The prior of a parameter that is sampled on its own, given the trial's other parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from llm_prior_bo.errors import SearchSpaceError
from llm_prior_bo.optimization.elicited_priors import pooled_shares
from llm_prior_bo.optimization.prior_source import PriorSource
from llm_prior_bo.priors import MixturePrior, OptimumPrior
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.trial_records import Suggestion, read_suggestion

if TYPE_CHECKING:
    from optuna import Study


def conditional_prior(
    source: PriorSource,
    study: Study,
    trial: FrozenTrial,
    space: SearchSpace,
    *,
    relative: Callable[[], Mapping[str, BaseDistribution]],
) -> OptimumPrior:
    """The prior of one parameter, its regions weighted by how well they explain the trial's other parameters.

    Args:
        source: Where the prior of the study comes from.
        study: The study.
        trial: The trial, with what was suggested for it.
        space: The parameter.
        relative: Reads which parameters are suggested together; not called where they make no difference.
    """
    prior = source.current(study, space)
    if not isinstance(prior, MixturePrior):
        return prior
    suggestion = read_suggestion(trial)
    if suggestion is None:
        return prior
    distributions = relative()
    if not distributions.keys() <= suggestion.params.keys():
        return prior
    known = SearchSpace(distributions)
    joint = source.current(study, known)
    if not isinstance(joint, MixturePrior) or len(joint.weights) != len(prior.weights):
        return prior
    weights, uniform_weight = _weights_left(suggestion)
    if len(weights) == len(joint.weights):  # what the evidence has left of the regions
        joint = joint.with_weights(weights, uniform_weight=uniform_weight)
    try:
        # Some of the suggested values may not be those that the trial was given: they may be enqueued.
        point = known.encode([{**suggestion.params, **trial.params}])
        shares = joint.responsibilities(torch.from_numpy(point))[0]
    except SearchSpaceError:  # published by a worker with other ranges, or choices that JSON does not hold
        return prior
    return prior.with_weights(shares[:-1].tolist(), uniform_weight=float(shares[-1]))


def _weights_left(suggestion: Suggestion) -> tuple[list[float], float]:
    """Weights of the regions of all answers given the evidence, as they are pooled, and of the uniform component."""
    shares = pooled_shares(max(len(suggestion.answers), 1))
    weights = [
        share * weight
        for share, part in zip(shares, suggestion.answers, strict=False)
        for weight in part.region_weights
    ]
    return weights, max(1.0 - sum(weights), 0.0)
