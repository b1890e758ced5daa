"""What finished trials encode to is remembered, and stays right."""

from __future__ import annotations

import gc
import math
from collections.abc import Sequence
from typing import Any
from unittest import mock

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study import encoding_cache as module
from llm_prior_bo.study.encoding_cache import encode_trial, encode_trials

DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "x": FloatDistribution(1e-3, 1.0, log=True),
    "s": FloatDistribution(0.0, 1.0, step=0.25),
    "k": IntDistribution(1, 8),
    "c": CategoricalDistribution(["a", "b", None, 1, True]),
}
SPACE = SearchSpace(DISTRIBUTIONS)


def trial_of(params: dict[str, Any], **arguments: Any) -> FrozenTrial:
    arguments = {"value": 1.0, **arguments}
    return create_trial(params=params, distributions={name: DISTRIBUTIONS[name] for name in params}, **arguments)


def some(n: int = 12) -> list[FrozenTrial]:
    rng = np.random.default_rng(0)
    choices = DISTRIBUTIONS["c"].choices  # type: ignore[attr-defined]
    return [
        trial_of(
            {
                "x": float(10 ** rng.uniform(-3, 0)),
                "s": float(rng.integers(5)) / 4,
                "k": int(rng.integers(1, 9)),
                "c": choices[int(rng.integers(5))],
            }
        )
        for _ in range(n)
    ]


def study_of(trials: Sequence[FrozenTrial]) -> optuna.Study:
    study = optuna.create_study()
    study.add_trials(trials)
    return study


def encoded(study: optuna.Study, space: SearchSpace = SPACE) -> list[list[float] | None]:
    points = encode_trials(study, space, study.get_trials(deepcopy=False))
    return [None if point is None else point.tolist() for point in points]


def counted(study: optuna.Study, space: SearchSpace = SPACE) -> int:
    """How many trials are encoded in one call."""
    with mock.patch.object(module, "_encode_all", wraps=module._encode_all) as encode:
        encoded(study, space)
    return sum(len(call.args[0]) for call in encode.call_args_list)


def test_together_as_one_by_one() -> None:
    trials = some()
    expected = SPACE.encode([trial.params for trial in trials])
    assert encoded(study_of(trials)) == expected.tolist()
    for trial, point in zip(trials, expected, strict=True):
        one = encode_trial(trial, SPACE)
        assert one is not None
        assert one.tolist() == point.tolist()


def test_only_new_trials_are_encoded() -> None:
    study = study_of(some())
    assert counted(study) == 12
    assert counted(study) == 0
    study.add_trial(trial_of({"k": 3}))
    assert counted(study) == 1
    assert len(encoded(study)) == 13


def test_a_running_trial_is_encoded_as_it_is_now() -> None:
    study = study_of(some(2))
    trial = study.ask()
    assert encoded(study)[2] is None
    trial.suggest_int("k", 1, 8)
    before = encoded(study)[2]
    assert before is not None
    trial.suggest_float("s", 0.0, 1.0, step=0.25)
    study.tell(trial, 1.0)
    after = encoded(study)[2]
    assert after == point_of(study.trials[2])
    assert counted(study) == 0


def point_of(trial: FrozenTrial) -> list[float] | None:
    point = encode_trial(trial, SPACE)
    return None if point is None else point.tolist()


def test_spaces_and_studies_are_kept_apart() -> None:
    narrow = SearchSpace({"k": IntDistribution(1, 16)})
    storage = optuna.storages.InMemoryStorage()
    first, second = (optuna.create_study(storage=storage) for _ in range(2))
    first.add_trial(trial_of({"k": 2}))
    second.add_trial(trial_of({"k": 7}))
    for _ in range(2):
        assert encoded(first)[0] != encoded(second)[0]
        assert encoded(first, narrow) == [[1.5 / 16]]


def test_another_study_with_the_same_id_is_another_study() -> None:
    storage = optuna.storages.RDBStorage("sqlite:///:memory:")
    for k in (2, 7):
        study = optuna.create_study(storage=storage, study_name=f"study {k}")
        study.add_trial(trial_of({"k": k}))
        assert encoded(study)[0] == point_of(study.trials[0])
        optuna.delete_study(storage=storage, study_name=f"study {k}")


def test_memory_is_bounded_and_goes_with_the_storage() -> None:
    study = study_of(some(3))
    for high in range(10, 20):
        encoded(study, SearchSpace({"k": IntDistribution(1, high)}))
    assert len(module._memory(study)) == module.MAX_REMEMBERED
    before = len(module._memory._values)
    del study
    gc.collect()
    assert len(module._memory._values) < before


@pytest.mark.parametrize(
    "params",
    [
        {"k": 99},
        {"k": 10**400},
        {"k": [1]},
        {"k": "2"},
        {"k": math.nan},
        {"x": 2.0},
        {"x": math.nan},
        {"c": {}},
        {"s": 1.3},
        {"s": -0.1},
        {"s": "0.3"},
    ],
)
def test_what_is_not_legal_is_none(params: dict[str, Any]) -> None:
    with mock.patch.object(module, "_known_params", return_value=params):
        assert encode_trial(trial_of({}), SPACE) is None


def test_a_value_between_those_of_a_grid_has_a_place_of_its_own() -> None:
    """The grid that it was suggested on may have been another one."""
    with mock.patch.object(module, "_known_params", return_value={"s": 0.3, "k": 2.5}):
        point = encode_trial(trial_of({}), SPACE)
    assert point is not None
    assert point[SPACE.index("s")] == pytest.approx((0.3 + 0.125) / 1.25)
    assert point[SPACE.index("k")] == pytest.approx((2.5 - 0.5) / 8)


def test_types_of_choices_and_of_numbers_are_told_apart() -> None:
    study = study_of([trial_of({"c": value}) for value in (1, True, None)])
    assert [point and point[3] for point in encoded(study)] == [3.0, 4.0, 2.0]
    with mock.patch.object(module, "_known_params", side_effect=[{"k": 1}, {"k": True}]):
        points = module._encode_all(some(2), SPACE)
    assert points[0] is not None
    assert points[1] is None


def test_a_trial_without_any_of_the_parameters_is_none() -> None:
    other = create_trial(params={"y": 0.5}, distributions={"y": FloatDistribution(0, 1)}, value=0.0)
    assert encoded(study_of([other, trial_of({}, state=TrialState.FAIL, value=None)])) == [None, None]
