"""A study as it was when a trial started."""

from __future__ import annotations

from datetime import datetime

import optuna
from optuna.trial import TrialState

from llm_prior_bo.study.snapshot import study_before


def test_what_ended_later_runs_and_what_started_later_waits() -> None:
    study = optuna.create_study(direction="maximize")
    study.enqueue_trial({"x": 0.5})
    waiting = study.trials[0]
    first = study.ask()  # takes the queued one
    first.suggest_float("x", 0, 1)
    study.tell(first, 1.0)
    second, third = study.ask(), study.ask()
    study.tell(second, 2.0)
    study.tell(third, 3.0)

    before = study_before(study, study.trials[2])
    assert [trial.state for trial in before.trials] == [TrialState.COMPLETE, TrialState.RUNNING, TrialState.RUNNING]
    assert before.trials[0].params == waiting.system_attrs["fixed_params"]
    assert before.trials[0].value == 1.0
    assert before.directions == study.directions
    assert before.study_name == study.study_name
    assert len(study_before(study, study.trials[0]).trials) == 1
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3  # untouched


def test_a_queued_trial_that_started_later_waits() -> None:
    study = optuna.create_study()
    late, early = optuna.trial.create_trial(value=1.0), optuna.trial.create_trial(value=2.0)
    late.datetime_start = late.datetime_complete = datetime(2026, 1, 2)
    early.datetime_start = early.datetime_complete = datetime(2026, 1, 1)
    study.add_trials([late, early])
    before = study_before(study, study.trials[1])
    assert [trial.state for trial in before.trials] == [TrialState.WAITING, TrialState.RUNNING]
    assert [trial.value for trial in before.trials] == [None, None]


def test_how_much_is_logged_stays() -> None:
    verbosity = optuna.logging.get_verbosity()
    study = optuna.create_study()
    study.ask()
    study_before(study, study.trials[0])
    assert optuna.logging.get_verbosity() == verbosity
