from __future__ import annotations

from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from benchmarks.harness.hpo_tasks import distributions, load_task, run_trials


def test_distributions(data: Path) -> None:
    assert distributions(load_task(data, "small")) == {
        "rate": FloatDistribution(1e-4, 1.0, log=True),
        "depth": IntDistribution(1, 8),
        "booster": CategoricalDistribution(["tree", "linear"]),
        "share": FloatDistribution(0.0, 1.0),  # no logarithm of zero
    }


def test_tasks_that_the_collection_does_not_list(data: Path) -> None:
    task = load_task(data, "xgb_1494")  # called by the name of the answer about it
    assert (task.name, task.instance) == ("rbv2_xgboost_1494", ("rbv2_xgboost", "1494"))
    assert load_task(data, "svm_3").instance == ("svm_3",)


def test_trials(data: Path) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    result = run_trials(study, load_task(data, "small"), n_trials=6)
    assert result["values"] == [trial.value for trial in study.trials]
    assert len(result["values"]) == 6
    assert {len(trial.params) for trial in study.trials} == {3, 4}
    assert result["seconds"] > 0.0
