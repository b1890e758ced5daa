from __future__ import annotations

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo import PriorAnswer, SearchSpace
from llm_prior_bo.elicitation.answer.remarks import MAX_NOTES_CHARACTERS, guesses_at_bounds, remarks

SPACE = SearchSpace(
    {
        "lr": FloatDistribution(1e-4, 1e-1, log=True),
        "layers": IntDistribution(1, 5),
        "fixed": FloatDistribution(1.0, 1.0),
        "kind": CategoricalDistribution([1, 2, 3]),
    }
)


@pytest.mark.parametrize(
    ("parameter", "best", "expected"),
    [
        ("lr", 1e-1, ("lr at its upper bound 0.1",)),
        ("lr", 0.095, ("lr at its upper bound 0.1",)),
        ("lr", 1.05e-4, ("lr at its lower bound 0.0001",)),
        ("lr", 0.0, ("lr at its lower bound 0.0001",)),
        ("lr", 0.05, ()),
        ("layers", 5, ("layers at its upper bound 5",)),
        ("layers", 4, ()),
        ("fixed", 1.0, ()),
        ("kind", 3, ()),
        ("unknown", 3, ()),
    ],
)
def test_guesses_at_bounds(parameter: str, best: float, expected: tuple[str, ...]) -> None:
    assert guesses_at_bounds(PriorAnswer.by_hand(numeric={parameter: (best, best, best)}), SPACE) == expected


def test_one_remark_for_several_regions() -> None:
    answer = PriorAnswer.by_hand(numeric={"layers": (5, 4, 5)})
    twice = answer.model_copy(update={"numeric": answer.numeric * 2})
    assert guesses_at_bounds(twice, SPACE) == ("layers at its upper bound 5",)


def test_notes_do_nothing_where_they_are_shown() -> None:
    answer = PriorAnswer.by_hand(numeric={"layers": (5, 4, 5)})
    hostile = answer.model_copy(update={"notes": "first\nsecond \x1b[31mred\u202e" + "x" * 1000})
    text = remarks(hostile)
    assert text.startswith("first second \\u001b[31mred\\u202ex")
    assert len(text) <= MAX_NOTES_CHARACTERS + 4
