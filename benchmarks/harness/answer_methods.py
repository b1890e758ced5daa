"""The samplers that are compared where an answer, or another density, says where the optimum may be."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.samplers import BaseSampler

from benchmarks.harness.hpo_tasks import Distributions
from llm_prior_bo import (
    FixedElicitor,
    LLMPriorSampler,
    OptimumPrior,
    PowerDecay,
    PriorAnswer,
    SearchSpace,
    UniformPrior,
)

N_STARTUP = 5
"""Trials of the start-up with a belief."""

Belief = PriorAnswer | OptimumPrior
"""What is believed about a task."""

MakeSampler = Callable[[Belief, Distributions, int], BaseSampler]
"""From a belief, the parameters and a seed to a sampler."""


def _with_answer(belief: Belief, space: Distributions, seed: int, **options: Any) -> BaseSampler:
    if isinstance(belief, PriorAnswer):
        return LLMPriorSampler(elicitor=FixedElicitor(belief), search_space=space, seed=seed, **options)
    return LLMPriorSampler(prior=belief, seed=seed, **options)


def _without_answer(belief: Belief, space: Distributions, seed: int) -> BaseSampler:  # noqa: ARG001
    return LLMPriorSampler(prior=UniformPrior(SearchSpace(space)), seed=seed)


METHODS: Mapping[str, MakeSampler] = {
    "default": _with_answer,
    "control-1": functools.partial(_with_answer, decay=None, trust=None),
    "control-2": lambda _, __, seed: optuna.samplers.GPSampler(seed=seed, n_startup_trials=N_STARTUP),
    "pibo-10": functools.partial(_with_answer, trust=None, decay=PowerDecay(10.0)),
    "no-llm": _without_answer,
    "GPSampler": lambda _, __, seed: optuna.samplers.GPSampler(seed=seed),
    "TPESampler": lambda _, __, seed: optuna.samplers.TPESampler(seed=seed),
}
"""Name -> how to make the sampler: the package's defaults, its controls, and what there is without a belief."""

without_trust: MakeSampler = functools.partial(_with_answer, trust=None)
"""The package's defaults, but whatever the data say the density counts as its decay has it."""

prior_alone: MakeSampler = functools.partial(_with_answer, n_startup_trials=256, uniform_startup_fraction=0.0)
"""Every trial is a draw from the density, the first its mode; for studies of up to 256 trials."""


def trace_of(study: optuna.Study) -> dict[int, list[float | None]]:
    """What the package's sampler told of every suggestion: prior score, exponent and trust; nothing of others."""
    if not isinstance(study.sampler, LLMPriorSampler):
        return {}
    told = study.sampler.get_statistics(study).suggestions
    return {number: [s.prior_score, s.exponent, s.trust] for number, s in told.items()}
