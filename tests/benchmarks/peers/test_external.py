from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from benchmarks.peers import external
from benchmarks.peers.external import ExternalSampler, Reduced, reduced
from llm_prior_bo import PriorAnswer, SearchSpace, UniformPrior, build_prior
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.priors import CategoricalMarginal, MixturePrior, RegionPrior, SplitNormalMarginal

SPACE = SearchSpace(
    {
        "rate": FloatDistribution(1e-4, 1.0, log=True),
        "depth": IntDistribution(1, 10),
        "booster": CategoricalDistribution(["tree", "linear"]),
    }
)


def prior() -> MixturePrior:
    rate, _, booster = SPACE.columns
    light = RegionPrior(SPACE, {"rate": SplitNormalMarginal(rate, 0.9, 0.1, 0.1)})
    heavy = RegionPrior(
        SPACE,
        {"rate": SplitNormalMarginal(rate, 0.5, 0.1, 0.3), "booster": CategoricalMarginal(booster, (0.25, 0.75))},
    )
    return MixturePrior(SPACE, [light, heavy], [0.3, 0.6], 0.1)


def objective(trial: optuna.Trial) -> float:
    trial.suggest_categorical("booster", ["tree", "linear"])
    return trial.suggest_float("rate", 1e-4, 1.0, log=True) + trial.suggest_int("depth", 1, 10)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExternalSampler]:
    monkeypatch.setitem(external.WORKERS, "SMAC3", "tests.benchmarks.peers.fake_worker")
    sampler = ExternalSampler("SMAC3", Path(sys.executable), SPACE, prior(), seed=0, n_trials=3)
    yield sampler
    sampler.close()


def test_what_is_left_of_a_mixture() -> None:
    assert reduced(prior(), SPACE) == [
        Reduced(None, mode=0.5, scale=0.2),
        Reduced(None),
        Reduced(2, mode=1.0, weights=(0.25, 0.75)),
    ]
    assert reduced(UniformPrior(SPACE), SPACE) == [Reduced(None), Reduced(None), Reduced(2)]
    assert reduced(build_prior(PriorAnswer.by_hand(), SPACE), SPACE)[2] == Reduced(2)


def test_points_and_values_go_to_and_fro(fake: ExternalSampler) -> None:
    study = optuna.create_study(sampler=fake)
    study.optimize(objective, n_trials=3)
    assert study.trials[0].params == {"rate": pytest.approx(0.01), "depth": 1, "booster": "linear"}
    assert study.trials[2].params["rate"] == pytest.approx(10 ** (-4 * 0.3))
    with pytest.raises(ConfigurationError, match="its process has ended"):
        study.optimize(objective, n_trials=1)


def test_failed_trials_are_told_without_a_value(fake: ExternalSampler) -> None:
    study = optuna.create_study(sampler=fake)
    for _ in range(2):
        trial = study.ask()
        objective(trial)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    assert study.trials[0].params == study.trials[1].params  # the fake moves on with values only


def test_an_interpreter_that_is_not_there() -> None:
    with pytest.raises(ConfigurationError, match="cannot start"):
        ExternalSampler("NePS", Path("nowhere/python"), SPACE, prior(), seed=0, n_trials=3)


@pytest.mark.parametrize(("name", "package"), [("SMAC3", "smac"), ("NePS", "neps")])
def test_the_optimisers_begin_with_the_mode(name: str, package: str) -> None:
    pytest.importorskip(package)
    sampler = ExternalSampler(name, Path(sys.executable), SPACE, prior(), seed=0, n_trials=8)
    study = optuna.create_study(sampler=sampler)
    try:
        study.optimize(objective, n_trials=8)
    finally:
        sampler.close()
    assert study.trials[0].params["rate"] == pytest.approx(0.01)
    assert study.trials[0].params["booster"] == "linear"
    assert len({trial.params["rate"] for trial in study.trials}) > 4
