from __future__ import annotations

import math

import numpy as np
import optuna
import pytest
import torch

from benchmarks.harness.hpo_tasks import distributions
from benchmarks.harness.live_tasks import DATA, LIVE_TASKS, WORST, LiveTask, active, split_of
from benchmarks.harness.recordings import context_of

OPTIONAL = {"lightgbm_diabetes": "lightgbm", "xgboost_breast_cancer": "xgboost"}


@pytest.fixture(params=LIVE_TASKS.values(), ids=list(LIVE_TASKS))
def task(request: pytest.FixtureRequest) -> LiveTask:
    found: LiveTask = request.param
    pytest.importorskip("sklearn")
    if found.name in OPTIONAL:
        pytest.importorskip(OPTIONAL[found.name])
    return found


def test_scores_depend_on_configuration_and_seed_alone(task: LiveTask) -> None:
    state = torch.random.get_rng_state()
    first = task.evaluate(task.default, 3)
    np.random.default_rng().random()
    assert task.evaluate(task.default, 3) == first
    assert task.evaluate(task.default, 4) != first
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(score is not None and 0.0 <= score < WORST for score in first)


def test_the_default_is_legal(task: LiveTask) -> None:
    space = distributions(task)
    assert task.default.keys() <= space.keys()
    for name, value in task.default.items():
        assert space[name]._contains(space[name].to_internal_repr(value)), name


def test_every_configuration_that_is_suggested_can_be_evaluated(task: LiveTask) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(3):
        trial = study.ask()
        config = task.suggest(trial)
        assert config == active(config, task.rows)
        assert math.isfinite(task.evaluate(config, 0).validation)


def test_the_question_tells_what_is_tuned_on_what(task: LiveTask) -> None:
    context = context_of(None, task.name)
    assert dict(context.distributions) == distributions(task)
    assert DATA[task.data].description in (context.problem_description or "")


@pytest.mark.parametrize("data", DATA)
def test_rows_are_split(data: str) -> None:
    pytest.importorskip("sklearn")
    split = split_of(data, 0)
    sizes = [len(split.y_train), len(split.y_validation), len(split.y_test)]
    assert sizes[:2] == [DATA[data].n_train, DATA[data].n_validation]
    assert sizes[2] >= 100
    assert [len(X) for X in (split.X_train, split.X_validation, split.X_test)] == sizes
    assert f"{sizes[0]} rows to train on, {sizes[1]} to validate" in DATA[data].description
    assert not np.array_equal(split.X_train, split_of(data, 1).X_train)


def test_weights_that_diverge_count_as_the_worst_score() -> None:
    task = LIVE_TASKS["torch_digits"]
    pytest.importorskip("sklearn")
    bad = {**task.default, "optimizer": "sgd", "learning_rate": 1e30}
    assert task.evaluate(bad, 0) == (WORST, WORST)
