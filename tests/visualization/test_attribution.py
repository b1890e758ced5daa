from __future__ import annotations

from dataclasses import replace

import optuna

from llm_prior_bo.study.diagnostics import study_statistics
from llm_prior_bo.study.trial_records import publish_suggestion
from llm_prior_bo.visualization import plot_attribution
from llm_prior_bo.visualization.attribution import ScoreParts, score_parts
from tests.visualization.studies import DISTRIBUTIONS, suggestion, told_study


def test_terms_of_the_scores_after_the_start_up() -> None:
    parts = score_parts(study_statistics(told_study(n_answers=2)))
    assert [part.trial for part in parts] == [2, 3, 4, 5]
    assert parts[0] == ScoreParts(trial=2, data=-2.0, answers={0: 0.25, 3: 1.25}, feasibility=None)


def test_the_figure_has_bars_for_each_answer() -> None:
    figure = plot_attribution(told_study(n_answers=2))
    assert [trace.name for trace in figure.data] == ["data", "answer, trial 0", "answer, trial 3"]
    assert list(figure.data[2].y) == [1.25] * 4


def test_feasibility_has_bars_where_trials_have_failed() -> None:
    study = told_study()
    trial = study.ask(dict(DISTRIBUTIONS))
    publish_suggestion(study, study.trials[-1], replace(suggestion(trial.params, 6, 1), feasibility_score=-0.5))
    figure = plot_attribution(study)
    assert figure.data[-1].name == "feasibility"
    assert list(figure.data[-1].y) == [None, None, None, None, -0.5]


def test_a_study_without_suggestions_is_drawn_empty() -> None:
    assert [len(trace.x) for trace in plot_attribution(optuna.create_study()).data] == [0]
