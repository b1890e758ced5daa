"""The samplers that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler

from benchmarks.harness.dynabo import AcceptanceTest, DecayFromArrival
from llm_prior_bo.decay import PowerDecay
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.optimization.startup import N_STARTUP_WITHOUT_PRIOR
from llm_prior_bo.priors import OptimumPrior, UniformPrior
from llm_prior_bo.sampler import LLMPriorSampler
from llm_prior_bo.space import SearchSpace

Distributions = Mapping[str, BaseDistribution]


class Method(Protocol):
    """Makes the sampler of one study."""

    def __call__(self, prior: OptimumPrior, distributions: Distributions, seed: int, n_trials: int) -> BaseSampler:
        """Make a sampler.

        Args:
            prior: The density over the optimum, for those that use one.
            distributions: Distribution of every parameter.
            seed: Seed of the sampler's randomness.
            n_trials: Length of the study.
        """
        ...


def get_method(name: str) -> Method:
    """The method of a name.

    Raises:
        ConfigurationError: If there is none of that name.
    """
    if name not in METHODS:
        raise ConfigurationError(f"Expected one of the methods {list(METHODS)}, got {name!r}.")
    return METHODS[name]


def _random(prior: OptimumPrior, distributions: Distributions, seed: int, n_trials: int) -> BaseSampler:  # noqa: ARG001
    return RandomSampler(seed=seed)


def _no_prior(prior: OptimumPrior, distributions: Distributions, seed: int, n_trials: int) -> BaseSampler:  # noqa: ARG001
    uniform = UniformPrior(SearchSpace(distributions))
    return LLMPriorSampler(prior=uniform, search_space=distributions, seed=seed)


def _pibo_10(prior: OptimumPrior, distributions: Distributions, seed: int, n_trials: int) -> BaseSampler:  # noqa: ARG001
    return _pibo(prior, distributions, seed, beta=10.0)


def _pibo_tenth(prior: OptimumPrior, distributions: Distributions, seed: int, n_trials: int) -> BaseSampler:
    return _pibo(prior, distributions, seed, beta=n_trials / 10)


def _pibo(prior: OptimumPrior, distributions: Distributions, seed: int, *, beta: float) -> BaseSampler:
    """πBO as published: nothing but the multiplication."""
    return LLMPriorSampler(
        prior=prior,
        search_space=distributions,
        seed=seed,
        decay=PowerDecay(beta),
        trust=None,
        uniform_startup_fraction=0.0,
    )


def _evidence(prior: OptimumPrior, distributions: Distributions, seed: int, n_trials: int) -> BaseSampler:  # noqa: ARG001
    return LLMPriorSampler(prior=prior, search_space=distributions, seed=seed, decay=PowerDecay(10.0))


def _default(prior: OptimumPrior, distributions: Distributions, seed: int, n_trials: int) -> BaseSampler:  # noqa: ARG001
    return LLMPriorSampler(prior=prior, search_space=distributions, seed=seed)


def _dynabo(prior: OptimumPrior, distributions: Distributions, seed: int, n_trials: int) -> BaseSampler:  # noqa: ARG001
    # The sampler knows of no prior, so it starts as without one; the gate injects it when the start-up is over.
    return LLMPriorSampler(
        prior=UniformPrior(SearchSpace(distributions)),
        search_space=distributions,
        seed=seed,
        decay=DecayFromArrival(N_STARTUP_WITHOUT_PRIOR),
        trust=AcceptanceTest(prior, seed),
    )


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "no-prior": _no_prior,  # the same engine without an opinion
        "pibo-10": _pibo_10,  # πBO with the weight of its ablation, whatever the budget
        "pibo-N/10": _pibo_tenth,  # πBO as published: a tenth of the trials
        "evidence": _evidence,  # πBO, β = 10, with the evidence's weights and some of the start-up outside the prior
        "default": _default,  # this package's defaults: multiplied, weighed by the evidence, with a bounded loss
        "dynabo": _dynabo,  # starts without the prior, tests it once, then decay of power 2
        "random": _random,
    }
)
"""Name -> how to make the sampler."""

PRIOR_FREE = frozenset({"no-prior", "random"})
"""Methods that never look at the prior: one study a seed does for all kinds of prior."""
