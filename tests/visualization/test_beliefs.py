from __future__ import annotations

from llm_prior_bo.study.diagnostics import study_statistics
from llm_prior_bo.visualization.beliefs import beliefs_in_words, latest_scored
from tests.visualization.studies import ANSWER, PLANTED, told_study


def test_a_belief_in_words() -> None:
    (small, sentences), (large, others) = beliefs_in_words(ANSWER)
    assert (small, large) == (f"small {PLANTED} (75%)", "large (25%)")
    assert sentences[0] == "rate: about 0.001, with 80 % between 0.0003 and 0.004"
    assert sentences[2:] == ["optimizer: adam 70%", "rate and dropout go together with correlation +0.6"]
    assert others == ["layers: about 1, with 80 % between 1 and 2"]


def test_the_certificate_is_that_of_the_latest_suggestion() -> None:
    suggestion = latest_scored(study_statistics(told_study(n_answers=2)))
    assert suggestion is not None
    assert (suggestion.n, suggestion.loss_bound) == (5, 2.25)
    assert latest_scored(study_statistics(told_study(n_trials=2))) is None
