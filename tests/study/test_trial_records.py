"""What the sampler leaves in a trial, and what it makes of what others left there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from llm_prior_bo.study.trial_records import (
    STARTED_KEY,
    SUGGESTION_KEY,
    Suggestion,
    abandon,
    is_own,
    mark_started,
    publish_suggestion,
    read_suggestion,
)

SUGGESTION = Suggestion(
    params={"lr": 1e-3, "layers": 2, "act": "relu", "decay": None, "bias": True},
    phase="model",
    n=7,
    exponent=0.5,
    log_acquisition=-3.25,
    log_prior=1.5,
    loss_bound=4.25,
    details={"trust": 0.75, "region_weights": [0.5, 0.25], "bayes_factors": [1.5, 1e-6]},
)


def start(study: optuna.Study) -> FrozenTrial:
    return study._storage.get_trial(study._storage.create_new_trial(study._study_id))


def again(study: optuna.Study, trial: FrozenTrial) -> FrozenTrial:
    return study._storage.get_trial(trial._trial_id)


def with_record(record: Any) -> FrozenTrial:
    return create_trial(value=0.0, system_attrs={SUGGESTION_KEY: record})


@pytest.fixture(params=["memory", "sqlite", "journal"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> BaseStorage:
    if request.param == "memory":
        return InMemoryStorage()
    if request.param == "sqlite":
        return RDBStorage(f"sqlite:///{tmp_path}/study.db")
    return JournalStorage(JournalFileBackend(str(tmp_path / "study.log")))


def test_round_trip(storage: BaseStorage) -> None:
    study = optuna.create_study(storage=storage)
    trial = start(study)
    assert read_suggestion(trial) is None
    publish_suggestion(study, trial, SUGGESTION)
    assert read_suggestion(again(study, trial)) == SUGGESTION
    assert not is_own(again(study, trial))
    mark_started(study, trial)
    assert is_own(again(study, trial))
    if isinstance(storage, RDBStorage):
        storage.engine.dispose()


def test_infinite_numbers_survive() -> None:
    study = optuna.create_study()
    trial = start(study)
    infinity = float("inf")
    suggestion = Suggestion(params={"x": 1.0}, phase="model", n=1, log_acquisition=-infinity, loss_bound=infinity)
    publish_suggestion(study, trial, suggestion)
    assert read_suggestion(again(study, trial)) == suggestion


def test_choices_that_json_does_not_hold_are_published_as_text() -> None:
    study = optuna.create_study()
    trial = start(study)
    publish_suggestion(study, trial, Suggestion(params={"shape": (3, 4), "kind": int}, phase="startup", n=0, slot=0))
    record = read_suggestion(again(study, trial))
    assert record is not None
    assert record.params == {"shape": [3, 4], "kind": "<class 'int'>"}


def test_a_trial_added_from_elsewhere_is_not_own() -> None:
    assert not is_own(create_trial(value=1.0))
    assert is_own(create_trial(value=1.0, system_attrs={STARTED_KEY: True}))


@pytest.mark.parametrize(
    "record",
    [
        None,
        1,
        [],
        "",
        "null",
        "[]",
        "{",
        "{}",
        '{"params": 1, "phase": "model", "n": 0}',
        '{"params": {"x": 1}}',
        "[" * 100_000,
    ],
)
def test_an_unreadable_record_is_no_record(record: object) -> None:
    assert read_suggestion(with_record(record)) is None


def test_a_record_of_before_there_were_gates() -> None:
    record = read_suggestion(with_record('{"params": {"x": 1}, "phase": "model", "n": 3, "exponent": 0.5}'))
    assert record is not None
    assert record.exponent == 0.5
    assert record.loss_bound is None
    assert record.details == {}


def test_fields_of_a_later_version_are_ignored() -> None:
    suggestion = read_suggestion(with_record('{"params": {"x": 1}, "phase": "model", "n": 0, "mood": "good"}'))
    assert suggestion == Suggestion(params={"x": 1}, phase="model", n=0)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["params", "phase", "n", "slot", "x"]), inner, max_size=4)
        ),
    )
)
def test_no_record_raises(record: Any) -> None:
    read_suggestion(with_record(record))
    read_suggestion(with_record(json.dumps(record)))


def test_an_abandoned_trial_has_failed() -> None:
    study = optuna.create_study()
    trial = start(study)
    abandon(study, trial)
    assert study.trials[0].state == TrialState.FAIL
    abandon(study, trial)  # finished already: no error
