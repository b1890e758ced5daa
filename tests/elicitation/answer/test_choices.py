from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_prior_bo.elicitation import choice_texts, match_choice

CHOICES = ("adam", "SGD", None, True, 32, 0.5)


def test_texts_are_plain_where_they_can_be() -> None:
    assert choice_texts(CHOICES) == ("adam", "SGD", "None", "True", "32", "0.5")


def test_texts_differ_where_choices_differ() -> None:
    assert choice_texts([1, "1", "None", None]) == ("1", "'1'", "'None'", "None")


def test_texts_differ_even_for_twins() -> None:
    class Twin:
        def __repr__(self) -> str:
            return "twin"

    assert len(set(choice_texts([Twin(), Twin()]))) == 2


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("adam", 0),
        (" Adam ", 0),
        ("'adam'", 0),
        ("sgd", 1),
        ("null", 2),
        ("none", 2),
        ("true", 3),
        ("32.0", 4),
        ("3.2e1", 4),
        (".5", 5),
        ("rmsprop", None),
        ("", None),
        ("1", None),
    ],
)
def test_match(text: str, index: int | None) -> None:
    assert match_choice(text, CHOICES) == index


def test_an_ambiguous_spelling_matches_nothing() -> None:
    assert match_choice("RELU", ("ReLU", "relu")) is None
    assert match_choice("relu", ("ReLU", "relu")) == 1


@given(
    st.lists(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
        min_size=1,
        unique_by=lambda choice: (type(choice), choice),
    )
)
def test_every_choice_is_found_by_its_text(choices: list[Any]) -> None:
    texts = choice_texts(choices)
    assert len(set(texts)) == len(choices)
    assert [match_choice(text, choices) for text in texts] == list(range(len(choices)))
