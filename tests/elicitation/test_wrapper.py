from __future__ import annotations

from llm_prior_bo.elicitation import (
    Elicitation,
    ElicitationSettings,
    Elicitor,
    FunctionClient,
    LLMElicitor,
    SpendingLimit,
    StudyContext,
    settings_of,
)
from llm_prior_bo.elicitation.elicitor import (
    UNKNOWN_LONGEST_SECONDS,
    elicit_within,
    estimated_cost_of,
    limit_of,
    longest_seconds_of,
    name_of,
    problems_of,
)
from llm_prior_bo.elicitation.llm.spending import Usage
from llm_prior_bo.elicitation.wrapper import ElicitorWrapper


class PassedOn(ElicitorWrapper):
    def elicit(self, context: StudyContext, *, spent: Usage | None = None) -> Elicitation:
        return elicit_within(self._elicitor, context, spent)


class Bare:
    """A user's elicitor, which knows nothing of the optional parts."""

    def elicit(self, context: StudyContext) -> Elicitation:
        raise NotImplementedError


class Priced(Bare):
    name = "a local model"
    limit = SpendingLimit(1.0)
    settings = ElicitationSettings(n_answers=3)
    longest_seconds = 7.0

    def problems(self) -> tuple[str, ...]:
        return ("no key",)

    def estimated_cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        return 0.001 * prompt_tokens + 0.002 * completion_tokens


def test_all_optional_parts_are_those_of_the_elicitor_inside() -> None:
    for wrapped in (PassedOn(Priced()), PassedOn(PassedOn(Priced()))):
        assert isinstance(wrapped, Elicitor)
        assert name_of(wrapped) == "a local model"
        assert settings_of(wrapped) == ElicitationSettings(n_answers=3)
        assert longest_seconds_of(wrapped) == 7.0
        assert problems_of(wrapped) == ("no key",)
        assert estimated_cost_of(wrapped, 1000, 500) == 2.0


def test_limits_are_seen_if_the_elicitor_inside_keeps_them() -> None:
    assert limit_of(PassedOn(LLMElicitor("gpt-4o", budget_usd=2.0))) == SpendingLimit(2.0)


def test_an_elicitor_without_them_has_the_defaults_wrapped_or_not() -> None:
    wrapped = PassedOn(Bare())
    assert name_of(wrapped) == "Bare"
    assert settings_of(wrapped) == ElicitationSettings()
    assert longest_seconds_of(wrapped) == UNKNOWN_LONGEST_SECONDS
    assert (limit_of(wrapped), problems_of(wrapped), estimated_cost_of(wrapped, 1, 1)) == (None, (), None)


def test_its_text_names_both() -> None:
    inside = LLMElicitor(client=FunctionClient(lambda _: "{}"))
    assert repr(PassedOn(inside)) == f"PassedOn({inside!r})"
