from __future__ import annotations

import json
from typing import Any

import pytest

from llm_prior_bo.elicitation import (
    Completion,
    Elicitation,
    FunctionClient,
    LLMElicitor,
    PriorAnswer,
    StudyContext,
)
from llm_prior_bo.errors import PersistenceError

Answer = dict[str, Any]


class TestElicitation:
    def test_round_trip(self, context: StudyContext, answer: Answer) -> None:
        answer["notes"] = "Grüße 🦙 \x00"
        elicitation = LLMElicitor(
            client=FunctionClient(lambda _: Completion(json.dumps(answer), "m", 1, 2, None))
        ).elicit(context)
        text = elicitation.to_json()
        assert text.isascii()
        assert Elicitation.from_json(text) == elicitation
        assert Elicitation.from_json(text).to_json() == text

    def test_fields_of_a_later_version_are_ignored(self) -> None:
        record = json.loads(Elicitation(PriorAnswer.by_hand()).to_json())
        assert Elicitation.from_json(json.dumps({**record, "mood": "good"})) == Elicitation(PriorAnswer.by_hand())

    @pytest.mark.parametrize(
        "change",
        [
            {"answer": None},
            {"latency_s": float("nan")},
            {"cost_usd": float("inf")},
            {"trial_number": "x"},
            {"repairs": 1},
        ],
    )
    def test_a_record_with_faults(self, change: dict[str, Any]) -> None:
        record = json.loads(Elicitation(PriorAnswer.by_hand()).to_json())
        with pytest.raises(PersistenceError, match="Expected"):
            Elicitation.from_json(json.dumps({**record, **change}))

    @pytest.mark.parametrize("text", ["", "null", "[]", "{", "\ud800"])
    def test_not_a_record(self, text: str) -> None:
        with pytest.raises(PersistenceError, match="Expected"):
            Elicitation.from_json(text)
