"""The search space of a study without its sampler."""

from __future__ import annotations

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo import Elicitation, PriorAnswer, SearchSpace
from llm_prior_bo.errors import SearchSpaceError
from llm_prior_bo.study.stored_space import distributions_text, read_distributions, space_of_study

SPACE = SearchSpace(
    {
        "x": FloatDistribution(1e-5, 1.0, log=True),
        "n": IntDistribution(1, 9, step=2),
        "kind": CategoricalDistribution(["a", None, 3]),
    }
)
ANSWER = PriorAnswer.by_hand(numeric={"x": (0.1, 0.01, 1.0)})


def asked(space: SearchSpace, *, complete: bool = False) -> Elicitation:
    return Elicitation(ANSWER, distributions=distributions_text(space), space_is_complete=complete)


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study()


def test_distributions_come_back_in_order() -> None:
    read = read_distributions(distributions_text(SPACE))
    assert list(read.items()) == list(SPACE.distributions.items())


@pytest.mark.parametrize("text", ["", "[]", "3", '{"x": 1}', '{"x": "{}"}', "{", "[" * 100_000])
def test_other_texts_are_no_distributions(text: str) -> None:
    assert read_distributions(text) == {}


def test_choices_that_would_not_come_back_are_not_kept() -> None:
    with pytest.warns(UserWarning, match="of type tuple"):
        distribution = CategoricalDistribution([("a", 1), ("b", 2)])  # type: ignore[list-item]
    assert distributions_text(SearchSpace({"x": distribution})) == ""


def test_an_answer_says_what_the_parameters_are(study: optuna.Study) -> None:
    assert space_of_study(study, [asked(SPACE)]) == SPACE


def test_what_trials_ask_for_now_counts_unless_the_user_gave_the_space(study: optuna.Study) -> None:
    study.optimize(lambda trial: trial.suggest_float("x", 0.1, 1.0, log=True) + trial.suggest_float("y", 0, 1), 1)
    found = space_of_study(study, [asked(SPACE)])
    assert found.names == ("x", "n", "kind", "y")
    assert found.distributions["x"] == FloatDistribution(0.1, 1.0, log=True)
    assert space_of_study(study, [asked(SPACE, complete=True)]) == SPACE


def test_a_study_that_says_nothing(study: optuna.Study) -> None:
    with pytest.raises(SearchSpaceError, match="neither; run a trial first"):
        space_of_study(study, [])
