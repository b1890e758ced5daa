from __future__ import annotations

import optuna

from llm_prior_bo.study.diagnostics import study_statistics
from llm_prior_bo.visualization import plot_trust
from llm_prior_bo.visualization.trust import answer_traces, loss_bounds
from tests.visualization.studies import PLANTED, told_study


def test_every_answer_has_its_trace() -> None:
    first, second = answer_traces(study_statistics(told_study(n_answers=2)))
    assert (first.asked_at, second.asked_at) == (0, 3)
    assert first.trials == (2, 3, 4, 5)
    assert first.exponents == (0.5,) * 4
    assert first.trusts == (0.9,) * 4
    assert first.region_weights == ((0.6, 0.3),) * 4
    assert [first.label(k) for k in range(3)] == [f"small {PLANTED}", "large", "region 3"]


def test_the_loss_bound_of_all_answers() -> None:
    assert loss_bounds(study_statistics(told_study(n_answers=2))) == dict.fromkeys((2, 3, 4, 5), 2.25)


def test_the_figure_marks_questions_and_escapes_labels() -> None:
    figure = plot_trust(told_study(n_answers=2))
    assert [trace.name.split(",")[0] for trace in figure.data[4:]] == ["exponent", "exponent", "loss bound"]
    assert all("<" not in trace.name for trace in figure.data)
    marked = {(shape.x0, shape.line.dash) for shape in figure.layout.shapes}
    assert marked == {(0, "solid"), (3, "solid"), (4, "dot")}


def test_a_study_without_suggestions_is_drawn_empty() -> None:
    figure = plot_trust(optuna.create_study())
    assert [len(trace.x) for trace in figure.data] == [0]
