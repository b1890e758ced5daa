from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_prior_bo.elicitation import parse_answer
from llm_prior_bo.errors import AnswerError

OBJECT: dict[str, Any] = {
    "notes": "a {brace} and a ``` fence",
    "regions": [{"region": 1, "label": "", "weight": 1.0}],
    "numeric": [],
    "confidence": 0.5,
}
TEXT = json.dumps(OBJECT)
PLAIN: dict[str, Any] = {**OBJECT, "notes": ""}


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"\ufeff {TEXT}\n",
        f"Here is my belief:\n{TEXT}\nI hope that it helps {{sincerely}}.",
        f'<think>{{"regions": []}} no, rather</think>{TEXT}',
        f"[{TEXT}]",
        json.dumps({"answer": OBJECT}),
        json.dumps(TEXT),
    ],
)
def test_finds_the_object(text: str) -> None:
    assert parse_answer(text) == OBJECT


@pytest.mark.parametrize("fence", ["```json\n{}\n```", "```\n{}\n```", "Sure!\n```JSON\n{}```\nDone.", "``` {} ```"])
def test_finds_the_object_in_a_fence(fence: str) -> None:
    assert parse_answer(fence.replace("{}", json.dumps(PLAIN))) == PLAIN


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("I would rather not.", "text without one"),
        ("[]", "JSON list"),
        ("42", "JSON int"),
        ('{"learning_rate": 0.1, "dropout": 0.2}', "got one with the fields dropout, learning_rate"),
        ("{}", "fields none"),
        (json.dumps({"a": {"b": {"c": OBJECT}}}), "one with the fields a"),
        ('```json\n{"a": 1, "b": 2}\n```', "got one with the fields a, b"),
        (TEXT[:-5], "breaks off or has an error"),
        (TEXT[:100], "breaks off"),
        (TEXT.replace("[]", "[,]"), "breaks off or has an error"),
        ("[" * 100_000, "text without one"),
        ('{"regions": ' + "[" * 100_000, "breaks off"),
        ("x" * 600_000, "600,000 characters"),
    ],
)
def test_says_what_is_wrong(text: str, match: str) -> None:
    with pytest.raises(AnswerError, match=match):
        parse_answer(text)


@pytest.mark.parametrize("length", range(2, len(TEXT) - 1, 7))
def test_a_truncated_answer_is_never_taken_for_a_whole_one(length: int) -> None:
    with pytest.raises(AnswerError):
        parse_answer(TEXT[:length])


@given(st.text() | st.text(alphabet='{}[]",:0123456789 regions`'))
def test_any_text_is_an_answer_or_an_answer_error(text: str) -> None:
    try:
        parsed = parse_answer(text)
    except AnswerError:
        return
    assert isinstance(parsed, dict)
