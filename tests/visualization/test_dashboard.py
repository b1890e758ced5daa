from __future__ import annotations

import json
import re
import sys

import optuna
import optuna_dashboard
import pytest

from llm_prior_bo.study.diagnostics import study_statistics
from llm_prior_bo.visualization import publish_to_dashboard
from llm_prior_bo.visualization.dashboard import TITLE, note_of
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
