"""One worker chooses at a time; dead ones keep nobody; the lock can be turned off. More in `tests/workers`."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial

from llm_prior_bo.study import suggestion_lock as module
from llm_prior_bo.study.process import this_process
from llm_prior_bo.study.storage import reload_trial, set_trial_attribute
from llm_prior_bo.study.suggestion_lock import suggestion_lock
from llm_prior_bo.study.trial_records import CHOOSING_KEY
from tests.study.test_election import ended_process
from tests.trials import start


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study()


def choosing(study: optuna.Study, **changes: Any) -> FrozenTrial:
    """A trial whose worker has raised its flag: this process, or another one if something is changed."""
    trial = start(study)
    set_trial_attribute(study, trial, CHOOSING_KEY, replace(this_process(), **changes).to_json())
    return trial


def seconds_to_take_it(study: optuna.Study) -> float:
    since = time.monotonic()
    with suggestion_lock(study, start(study)):
        return time.monotonic() - since


def test_a_dead_worker_on_the_same_host_is_not_waited_for(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SECONDS", 3600.0)
    choosing(study, pid=ended_process(), started=None)
    assert seconds_to_take_it(study) < 1800


def test_nor_one_that_raised_its_flag_days_ago(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SECONDS", 3600.0)
    choosing(study, host="elsewhere", time=time.time() - 3 * 86400)
    assert seconds_to_take_it(study) < 1800


@pytest.mark.parametrize("value", [5, "x", [], {}, [1], {"host": 1}, None, False])
def test_nor_one_with_an_odd_flag(study: optuna.Study, monkeypatch: pytest.MonkeyPatch, value: Any) -> None:
    monkeypatch.setattr(module, "MAX_SECONDS", 3600.0)
    set_trial_attribute(study, start(study), CHOOSING_KEY, value)
    assert seconds_to_take_it(study) < 1800


def test_the_longest_wait_is_what_is_said(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MAX_SECONDS", 0.4)
    monkeypatch.setattr(module, "SAY_AFTER_SECONDS", 0.0)
    choosing(study, host="elsewhere")
    set_trial_attribute(study, start(study), CHOOSING_KEY, True)  # as an older version writes it
    with caplog.at_level(logging.INFO, "optuna"):
        seconds = seconds_to_take_it(study)
    assert 0.8 <= seconds < 1800
    said = [record.message for record in caplog.records if "Waiting" in record.message]
    assert said == [
        "Waiting for the worker of trial 0, which is choosing its parameters, 0.8 s at most for it and others."
    ]
    assert module._dead(study) == {0, 1}  # each is waited for once


def test_short_waits_are_not_worth_a_line(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MAX_SECONDS", 0.1)
    monkeypatch.setattr(module, "SAY_AFTER_SECONDS", 3600.0)
    choosing(study, host="elsewhere")
    with caplog.at_level(logging.INFO, "optuna"):
        seconds_to_take_it(study)
    assert not any("Waiting" in record.message for record in caplog.records)


class TestSwitch:
    def test_off_nobody_waits_and_nothing_is_written(
        self, study: optuna.Study, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MAX_SECONDS", 3600.0)
        monkeypatch.setenv("LLM_PRIOR_BO_SUGGESTION_LOCK", "0")
        choosing(study)
        trial = start(study)
        with suggestion_lock(study, trial):
            assert CHOOSING_KEY not in reload_trial(study, trial).system_attrs

    @pytest.mark.parametrize("value", ["1", "", "yes"])
    def test_any_other_value_leaves_it_on(
        self, study: optuna.Study, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        monkeypatch.setenv("LLM_PRIOR_BO_SUGGESTION_LOCK", value)
        trial = start(study)
        with suggestion_lock(study, trial):
            assert CHOOSING_KEY in reload_trial(study, trial).system_attrs

    def test_it_is_read_at_each_call(self, study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
        trials = [start(study), start(study)]
        monkeypatch.setenv("LLM_PRIOR_BO_SUGGESTION_LOCK", "0")
        with suggestion_lock(study, trials[0]):
            pass
        monkeypatch.delenv("LLM_PRIOR_BO_SUGGESTION_LOCK")
        with suggestion_lock(study, trials[1]):
            pass
        assert [CHOOSING_KEY in reload_trial(study, trial).system_attrs for trial in trials] == [False, True]

    def test_an_error_inside_is_the_users(self, study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LLM_PRIOR_BO_SUGGESTION_LOCK", "0")
        with pytest.raises(RuntimeError, match="inside"), suggestion_lock(study, start(study)):
            raise RuntimeError("inside")
