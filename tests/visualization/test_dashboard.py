from __future__ import annotations

import json
import math
import pickle
import re
import sys
from typing import Any

import optuna
import optuna_dashboard
import pytest

from llm_prior_bo.errors import ConfigurationError, LLMPriorWarning
from llm_prior_bo.study.diagnostics import study_statistics
from llm_prior_bo.visualization import DashboardCallback, publish_to_dashboard
from llm_prior_bo.visualization.dashboard import PUBLISHED_KEY, TITLE, note_of
from tests.visualization.studies import told_study


def published(study: optuna.Study) -> dict[str, str]:
    from optuna_dashboard._custom_plot_data import get_plotly_graph_objects

    texts: dict[str, str] = get_plotly_graph_objects(study._storage.get_study_system_attrs(study._study_id))
    return texts


def test_figures_and_note_are_kept_in_the_study() -> None:
    study = told_study(n_answers=2)
    names = publish_to_dashboard(study)
    assert names == ("llm_prior_bo:prior", "llm_prior_bo:trust", "llm_prior_bo:attribution")
    assert {name: json.loads(text)["layout"]["title"]["text"] for name, text in published(study).items()} == {
        "llm_prior_bo:prior": "Prior over the optimum",
        "llm_prior_bo:trust": "Trust in the answers",
        "llm_prior_bo:attribution": "What each suggestion's score came from",
    }
    assert "at most **2.25 times**" in optuna_dashboard.get_note(study)


def test_publishing_again_replaces() -> None:
    study = told_study()
    assert publish_to_dashboard(study) == publish_to_dashboard(study)
    assert len(published(study)) == 3
    assert optuna_dashboard.get_note(study).count(TITLE) == 1


def test_a_note_of_the_user_stays() -> None:
    study = told_study()
    optuna_dashboard.save_note(study, "Mine.")
    publish_to_dashboard(study)
    assert optuna_dashboard.get_note(study) == "Mine."


def test_nothing_of_a_model_is_markup() -> None:
    note = note_of(study_statistics(told_study(n_answers=2)))
    assert not re.search(r"(?<!\\)[<>\[\]`$_]", note)
    assert r"Small rates do well\. \<script\>window\.planted" in note
    assert r"- rate\: about 0\.001\, with 80 \% between 0\.0003 and 0\.004" in note


def test_a_study_in_which_nothing_has_happened() -> None:
    study = optuna.create_study()
    assert publish_to_dashboard(study) == ()
    assert optuna_dashboard.get_note(study) == f"{TITLE}\n"


def test_what_to_do_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    with pytest.raises(ImportError, match=r"optuna-dashboard.*pip install 'llm-prior-bo\[dashboard\]'"):
        publish_to_dashboard(optuna.create_study())


class TestCallback:
    @pytest.fixture(autouse=True)
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """The time, which stands still."""
        now = [1000.0]
        monkeypatch.setattr("llm_prior_bo.visualization.dashboard.time.time", lambda: now[0])
        return now

    def test_it_publishes_as_trials_finish_and_then_waits(
        self, clock: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        when: list[float] = []
        monkeypatch.setattr(
            "llm_prior_bo.visualization.dashboard.publish_to_dashboard", lambda _: when.append(clock[0] - 1000.0)
        )
        study = told_study()
        first, second = DashboardCallback(min_seconds=60), DashboardCallback(min_seconds=60)  # two workers
        for moment, callback in [(0, first), (59, first), (59, second), (61, second), (100, first), (122, first)]:
            clock[0] = 1000.0 + moment
            callback(study, study.trials[-1])
        assert when == [0, 61, 122]

    @pytest.mark.parametrize("other", ["yesterday", None, 5000.0])
    def test_a_time_that_cannot_be_is_none(self, other: Any) -> None:
        study = told_study()
        study._storage.set_study_system_attr(study._study_id, PUBLISHED_KEY, other)
        DashboardCallback()(study, study.trials[-1])
        assert len(published(study)) == 3

    def test_in_a_study(self) -> None:
        study = optuna.create_study()
        study.optimize(lambda _: 1.0, n_trials=2, callbacks=[pickle.loads(pickle.dumps(DashboardCallback()))])
        assert optuna_dashboard.get_note(study) == f"{TITLE}\n"

    def test_a_figure_that_fails_stops_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(study: optuna.Study) -> None:
            raise RuntimeError(f"no figure of {len(study.trials)} trials")

        monkeypatch.setattr("llm_prior_bo.visualization.dashboard.publish_to_dashboard", fail)
        study = optuna.create_study()
        with pytest.warns(LLMPriorWarning, match="got RuntimeError: no figure of 1 trials; the study goes on") as said:
            study.optimize(lambda _: 1.0, n_trials=3, callbacks=[DashboardCallback(min_seconds=0)])
        assert (len(study.trials), len(said)) == (3, 1)

    @pytest.mark.parametrize("seconds", [-1, math.inf, math.nan])
    def test_a_pace_that_is_none(self, seconds: float) -> None:
        with pytest.raises(ConfigurationError, match="Expected min_seconds"):
            DashboardCallback(min_seconds=seconds)

    def test_what_is_missing_is_said_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
        with pytest.raises(ImportError, match=r"pip install 'llm-prior-bo\[dashboard\]'"):
            DashboardCallback()
