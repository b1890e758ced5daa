from __future__ import annotations

from llm_prior_bo.elicitation import (
    Elicitor,
    FixedElicitor,
    LLMElicitor,
    PriorAnswer,
)


def test_all_are_elicitors() -> None:
    assert isinstance(LLMElicitor("gpt-4o"), Elicitor)
    assert isinstance(FixedElicitor(PriorAnswer.by_hand()), Elicitor)
