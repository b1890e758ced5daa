"""The prior of a study from its records alone."""

from __future__ import annotations

import optuna
import pytest
import torch
from optuna.distributions import FloatDistribution
from torch import Tensor

from llm_prior_bo import (
    FixedElicitor,
    LLMPriorSampler,
    MixturePrior,
    PriorAnswer,
    SearchSpace,
    UniformPrior,
    build_prior,
    prior_of,
)
from llm_prior_bo.errors import ConfigurationError, SearchSpaceError
from llm_prior_bo.priors.base import Points

SPACE = SearchSpace({"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)})
ANSWER = PriorAnswer.by_hand(numeric={"x": (0.9, 0.85, 0.95), "y": (0.9, 0.85, 0.95)})


def objective(trial: optuna.Trial) -> float:
    return (trial.suggest_float("x", 0, 1) - 0.1) ** 2 + (trial.suggest_float("y", 0, 1) - 0.1) ** 2


def run(n_trials: int, *, coverage: float = 0.5, given: bool = True) -> optuna.Study:
    elicitor = FixedElicitor(ANSWER, interval_coverage=coverage)
    sampler = LLMPriorSampler(elicitor=elicitor, search_space=SPACE if given else None, seed=0)
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials)
    return study


def test_before_any_evidence_it_is_what_was_stated_with_the_coverage_of_the_question() -> None:
    study = run(1, coverage=0.3)
    study.sampler = optuna.samplers.RandomSampler()
    prior = prior_of(study)
    stated = build_prior(ANSWER, SPACE, interval_coverage=0.3)
    X = torch.rand(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(prior.log_prob(X), stated.log_prob(X))


def test_evidence_against_an_answer_lowers_it_unless_nobody_weighs() -> None:
    study = run(12)
    stated, left = prior_of(study, trust=None), prior_of(study)
    assert isinstance(stated, MixturePrior)
    assert isinstance(left, MixturePrior)
    assert float(left.weights.sum()) < 0.5 * float(stated.weights.sum())


def test_the_space_is_found_from_the_trials_where_nobody_gave_it() -> None:
    prior = prior_of(run(3, given=False))
    assert isinstance(prior, MixturePrior)
    assert set(prior.space.names) == {"x", "y"}


def test_without_answers_it_is_uniform() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, 3)
    assert isinstance(prior_of(study), UniformPrior)


def test_a_study_without_a_space() -> None:
    with pytest.raises(SearchSpaceError, match="run a trial first"):
        prior_of(optuna.create_study())


class Narrow(UniformPrior):
    """A density of the user's own, which nobody can store."""

    @property
    def is_uniform(self) -> bool:
        return False

    @property
    def log_range(self) -> float:
        return 8.0

    def log_prob(self, X: Points) -> Tensor:
        return -4.0 * torch.as_tensor(X, dtype=torch.float64).sum(dim=-1)


def test_a_given_density_is_stored() -> None:
    given = build_prior(ANSWER, SPACE)
    study = optuna.create_study(sampler=LLMPriorSampler(prior=given, seed=0, n_startup_trials=1))
    study.optimize(objective, 12)
    study.sampler = optuna.samplers.RandomSampler()
    stated, left = prior_of(study, trust=None), prior_of(study)
    X = torch.rand(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(stated.log_prob(X), given.log_prob(X))
    assert isinstance(left, MixturePrior)
    assert float(left.weights.sum()) < 0.5 * float(given.weights.sum())


def test_a_given_density_that_cannot_be_stored() -> None:
    sampler = LLMPriorSampler(prior=Narrow(SPACE), seed=0, n_startup_trials=1)
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, 3)
    with pytest.raises(ConfigurationError, match="given to the sampler as prior="):
        prior_of(study)
