"""Who asks, and how long the others wait for it."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from llm_prior_bo import FixedElicitor, LLMPriorSampler, PriorAnswer
from llm_prior_bo.study import election
from llm_prior_bo.study.election import Election
from llm_prior_bo.study.process import this_process
from llm_prior_bo.study.storage import set_trial_attribute
from llm_prior_bo.study.trial_records import ARRIVED_KEY, ASKING_KEY, mark_arrived, mark_asking, mark_started
from tests.trials import start

LONG = 3600.0
"""Seconds of patience that no test can wait for."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(election, "POLL_SECONDS", 0.005)
    monkeypatch.setattr(election, "ARRIVAL_SECONDS", 0.2)


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study()


def arrived(study: optuna.Study, **changes: Any) -> FrozenTrial:
    """A trial that was begun by this process, or by another one if something is changed in its mark."""
    trial = start(study)
    set_trial_attribute(study, trial, ARRIVED_KEY, replace(this_process(), **changes).to_json())
    return trial


def began(study: optuna.Study, trial: FrozenTrial, moment: datetime | None) -> None:
    assert isinstance(study._storage, InMemoryStorage)
    study._storage._get_trial(trial._trial_id).datetime_start = moment


def ended_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def waited(study: optuna.Study, trial: FrozenTrial, patience: float = LONG) -> tuple[str, float]:
    """What came of waiting, and after how many seconds."""
    since = time.monotonic()
    outcome = Election(patience).wait(study, trial, lambda: False)
    return outcome, time.monotonic() - since


def test_the_lowest_of_those_that_have_arrived(study: optuna.Study) -> None:
    first, second = arrived(study), arrived(study)
    assert Election(LONG).is_elected(study, first)
    assert not Election(LONG).is_elected(study, second)
    mark_started(study, first)
    assert Election(LONG).is_elected(study, second)


def test_a_trial_that_has_just_begun_may_still_arrive(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(election, "ARRIVAL_SECONDS", LONG)
    other, trial = start(study), arrived(study)
    assert not Election(LONG).is_elected(study, trial)
    mark_arrived(study, other)
    assert not Election(LONG).is_elected(study, trial)


def test_a_running_trial_of_another_sampler_is_not_waited_for(study: optuna.Study) -> None:
    start(study)
    outcome, seconds = waited(study, arrived(study))
    assert outcome == "elected"
    assert 0.2 <= seconds < LONG / 2


@pytest.mark.parametrize(
    "moment",
    [
        datetime.now() - timedelta(days=3),
        datetime.now(UTC) - timedelta(days=3),
        datetime.now() + timedelta(hours=9),
        datetime(1, 1, 1),
        datetime(9999, 12, 31, tzinfo=UTC),
        None,
    ],
    ids=["days ago", "days ago, aware", "hours ahead", "the first day", "the last day", "never"],
)
def test_a_trial_left_running_costs_nothing(study: optuna.Study, moment: datetime | None) -> None:
    began(study, start(study), moment)
    assert Election(LONG).is_elected(study, arrived(study))


@pytest.mark.parametrize("host", [{}, {"host": "elsewhere"}], ids=["here", "elsewhere"])
@pytest.mark.parametrize("zone", [None, UTC], ids=["naive", "aware"])
def test_an_asker_that_was_left_running_days_ago_costs_nothing(
    study: optuna.Study, host: dict[str, str], zone: Any
) -> None:
    old = arrived(study, time=time.time() - 3 * 86400, **host)
    began(study, old, datetime.now(zone) - timedelta(days=3))
    assert Election(LONG).is_elected(study, arrived(study))
    late = start(study)
    set_trial_attribute(study, late, ARRIVED_KEY, replace(this_process(), time=time.time() - 3 * 86400).to_json())
    assert Election(LONG).is_elected(study, late) is False  # the two that came before it are as old, one is alive


def test_a_dead_asker_on_the_same_host_is_recognised_at_once(study: optuna.Study) -> None:
    dead = start(study)
    # Its start time is unknown, as on a system without /proc: the number decides.
    set_trial_attribute(study, dead, ARRIVED_KEY, replace(this_process(), pid=ended_process(), started=None).to_json())
    assert Election(LONG).is_elected(study, arrived(study))


def test_a_dead_asker_on_another_host_is_waited_for_as_long_as_the_patience(study: optuna.Study) -> None:
    arrived(study, host="elsewhere")
    outcome, seconds = waited(study, arrived(study), patience=0.3)
    assert outcome == "elected"
    assert 0.3 <= seconds < LONG / 2


def test_the_longest_wait_is_what_is_said(study: optuna.Study, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(4):
        arrived(study, host="elsewhere", time=time.time() + 60)
    trial = arrived(study, time=time.time() + 60)
    with caplog.at_level(logging.INFO, "optuna"):
        outcome, seconds = waited(study, trial, patience=0.3)
    assert outcome == "timed out"
    assert seconds >= 0.6
    assert seconds <= Election(0.3).longest_wait + 300  # of a machine that is busy
    said = [record.message for record in caplog.records if "waits for" in record.message]
    assert said == ["Trial 4 waits for the worker of trial 0, which asks for a prior, 0.8 s at most."]


def test_who_asks_again_is_seen_and_forgotten_with_its_process(study: optuna.Study) -> None:
    first, second = start(study), start(study)
    assert not Election(LONG).is_somebody_asking(study, first)
    mark_asking(study, second)
    assert Election(LONG).is_somebody_asking(study, first)
    gone = replace(this_process(), pid=ended_process(), started=None)
    set_trial_attribute(study, second, ASKING_KEY, gone.to_json())
    assert not Election(LONG).is_somebody_asking(study, first)


@pytest.mark.parametrize("value", [True, 5, "x", [], {}, {"host": 1}, None, {"host": [], "pid": {}, "time": "now"}])
@pytest.mark.parametrize("key", [ARRIVED_KEY, ASKING_KEY])
def test_odd_marks_are_those_of_trials_that_have_said_nothing(study: optuna.Study, key: str, value: Any) -> None:
    other = start(study)
    set_trial_attribute(study, other, key, value)
    trial = arrived(study)
    Election(LONG).is_somebody_asking(study, trial)
    outcome, seconds = waited(study, trial)
    assert outcome == "elected"
    assert seconds < LONG / 2


def test_running_trials_of_other_samplers_cost_a_sampler_next_to_nothing() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler())
    others = [study.ask() for _ in range(5)]
    study.sampler = LLMPriorSampler(
        elicitor=FixedElicitor(PriorAnswer.by_hand(numeric={"x": (0.5, 0.2, 0.8)})),
        search_space={"x": optuna.distributions.FloatDistribution(0, 1)},
    )
    since = time.monotonic()
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    assert time.monotonic() - since < 60
    assert len(study.sampler.get_statistics(study).elicitations) == 1
    assert all(study.trials[other.number].state == TrialState.RUNNING for other in others)
