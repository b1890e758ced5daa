"""Uniform draws of their own for every trial and parameter."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, create_trial
from scipy import stats

from llm_prior_bo import FixedElicitor, LLMPriorSampler, PriorAnswer
from llm_prior_bo.study.uniform_sampler import PerTrialRandomSampler
from tests.conftest import Open

STUDY = optuna.create_study()
X = FloatDistribution(0, 1)


def trial(number: int) -> FrozenTrial:
    frozen = create_trial(value=0.0)
    frozen.number = number
    return frozen


def drawn(sampler: PerTrialRandomSampler, distribution: BaseDistribution = X, n: int = 400) -> list[Any]:
    return [sampler.sample_independent(STUDY, trial(number), "p", distribution) for number in range(n)]


def test_the_same_seed_draws_the_same_whatever_was_drawn_before() -> None:
    first, second = PerTrialRandomSampler(7), PerTrialRandomSampler(7)
    values = drawn(first)
    assert drawn(second, n=10) == drawn(pickle.loads(pickle.dumps(first)), n=10) == values[:10]
    assert drawn(copy.deepcopy(second))[300:] == values[300:]


def test_trials_parameters_and_seeds_differ() -> None:
    sampler = PerTrialRandomSampler(7)
    values = [*drawn(sampler), *drawn(PerTrialRandomSampler(8)), *drawn(PerTrialRandomSampler(None))]
    values.append(sampler.sample_independent(STUDY, trial(0), "q", X))
    assert len(set(values)) == len(values)


def test_a_new_seed_draws_anew() -> None:
    sampler = PerTrialRandomSampler(7)
    before = drawn(sampler, n=5)
    sampler.reseed_rng()
    assert not set(before) & set(drawn(sampler, n=5))


@pytest.mark.parametrize(
    ("distribution", "to_unit"),
    [
        (X, lambda v: v),
        (FloatDistribution(1e-4, 1, log=True), lambda v: np.log10(v) / 4 + 1),
        (IntDistribution(0, 99_999), lambda v: v / 100_000),
        (IntDistribution(1, 10**12, log=True), lambda v: np.log10(v) / 12),
    ],
    ids=["linear", "log", "integer", "log integer"],
)
def test_draws_are_uniform_on_the_scale_of_the_parameter(distribution: BaseDistribution, to_unit: Any) -> None:
    values = drawn(PerTrialRandomSampler(0), distribution)
    assert stats.kstest(to_unit(np.array(values, dtype=float)), "uniform").pvalue > 1e-3


def test_choices_are_equally_frequent() -> None:
    values = drawn(PerTrialRandomSampler(0), CategoricalDistribution(["a", "b", None, True]))
    assert stats.chisquare([values.count(choice) for choice in ("a", "b", None, True)]).pvalue > 1e-3


def test_workers_that_share_a_seed_begin_at_different_points(open_storage: Open) -> None:
    """No space is stated, so the first trials of all begin before anything is known."""

    def sampler() -> LLMPriorSampler:
        return LLMPriorSampler(elicitor=FixedElicitor(PriorAnswer.by_hand(numeric={"lr": (1e-2, 1e-3, 0.1)})), seed=0)

    optuna.create_study(storage=open_storage(), study_name="s")
    one = sampler()
    samplers = [one, sampler(), sampler(), pickle.loads(pickle.dumps(one)), copy.deepcopy(one)]
    studies = [optuna.load_study(storage=open_storage(), study_name="s", sampler=own) for own in samplers]
    trials = [study.ask() for study in studies]
    points = {(t.suggest_float("lr", 1e-5, 1, log=True), t.suggest_int("k", 0, 10**6)) for t in trials}
    assert len(points) == len(trials)
    assert len({lr for lr, _ in points}) == len({k for _, k in points}) == len(trials)
