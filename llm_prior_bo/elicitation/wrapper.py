"""What an elicitor that only stands before another one passes on: everything but the question itself."""

from __future__ import annotations

from llm_prior_bo.elicitation.elicitor import (
    Elicitor,
    answers_again,
    estimated_cost_of,
    limit_of,
    longest_seconds_of,
    name_of,
    problems_of,
)
from llm_prior_bo.elicitation.llm.spending import SpendingLimit
from llm_prior_bo.elicitation.settings import ElicitationSettings, settings_of


class ElicitorWrapper:
    """Answers as the elicitor inside does to every question about itself; subclasses define `elicit`.

    Args:
        elicitor: The one inside, e.g. `LLMElicitor("gpt-4o")`.
    """

    def __init__(self, elicitor: Elicitor) -> None:
        self._elicitor = elicitor

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._elicitor!r})"

    @property
    def limit(self) -> SpendingLimit | None:
        """The hard limits of the elicitor inside, `None` if there are none."""
        return limit_of(self._elicitor)

    @property
    def settings(self) -> ElicitationSettings:
        """Settings of the elicitor inside."""
        return settings_of(self._elicitor)

    @property
    def longest_seconds(self) -> float:
        """How long one answer of the elicitor inside may take at most, in seconds."""
        return longest_seconds_of(self._elicitor)

    @property
    def answers_again(self) -> bool:
        """Whether the elicitor inside may answer a later question otherwise than the first."""
        return answers_again(self._elicitor)

    @property
    def name(self) -> str:
        """Name of the elicitor inside."""
        return name_of(self._elicitor)

    def problems(self) -> tuple[str, ...]:
        """What would keep the elicitor inside from answering."""
        return problems_of(self._elicitor)

    def estimated_cost(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """About what one answer of the elicitor inside costs in USD, `None` if that is unknown."""
        return estimated_cost_of(self._elicitor, prompt_tokens, completion_tokens)
