"""Whoever can say where the optimum of a study is likely to be."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from llm_prior_bo.elicitation.llm.secrets import cut_off, printable, redact
from llm_prior_bo.elicitation.llm.spending import SpendingLimit, Usage
from llm_prior_bo.elicitation.prompt.context import StudyContext
from llm_prior_bo.elicitation.record import Elicitation

UNKNOWN_LONGEST_SECONDS = 120.0
"""How long an elicitor may take that does not say so itself: four requests of half a minute."""


@runtime_checkable
class Elicitor(Protocol):
    """Whatever can say where the optimum of a study is likely to be."""

    def elicit(self, context: StudyContext) -> Elicitation:
        """Answer for one study.

        Raises:
            ElicitationError: If no usable answer came; the study goes on without.
            AnswerError: If an answer that the user supplied does not fit the search space.
        """
        ...


@runtime_checkable
class BudgetedElicitor(Elicitor, Protocol):
    """An elicitor that keeps hard limits, for which it has to know what the study has used up before."""

    @property
    def limit(self) -> SpendingLimit | None:
        """The limits, `None` if there are none."""
        ...

    def elicit(self, context: StudyContext, *, spent: Usage = ...) -> Elicitation:
        """The same, with what the study's questions have used up so far: answered or not, in every session.

        Raises:
            SpendingError: If the limits allow no further request.
            ElicitationError: As `Elicitor`.
            AnswerError: As `Elicitor`.
        """
        ...


def limit_of(elicitor: Elicitor) -> SpendingLimit | None:
    """The hard limits that an elicitor keeps itself, `None` if it has none."""
    return elicitor.limit if isinstance(elicitor, BudgetedElicitor) else None


def elicit_within(elicitor: Elicitor, context: StudyContext, spent: Usage | None) -> Elicitation:
    """Ask, and tell an elicitor that keeps limits what the study has used up so far; `None` if nobody knows."""
    if spent is not None and isinstance(elicitor, BudgetedElicitor):
        return elicitor.elicit(context, spent=spent)
    return elicitor.elicit(context)


def longest_seconds_of(elicitor: Elicitor) -> float:
    """How long one answer of an elicitor may take at most: its `longest_seconds` if it has them."""
    seconds = getattr(elicitor, "longest_seconds", None)
    return float(seconds) if isinstance(seconds, int | float) else UNKNOWN_LONGEST_SECONDS


def answers_again(elicitor: object) -> bool:
    """Whether a later question may get another answer than the first: its `answers_again`, else yes."""
    return bool(getattr(elicitor, "answers_again", True))


def name_of(elicitor: object) -> str:
    """Whom an elicitor asks, in the user's log: its `name` if it has one, e.g. that of a model, else its class."""
    name = getattr(elicitor, "name", None)
    text = name if isinstance(name, str) and name else type(elicitor).__name__
    return printable(redact(cut_off(text, _MAX_NAME_CHARACTERS)))


def problems_of(elicitor: object) -> tuple[str, ...]:
    """What an elicitor's own method `problems` says would keep it from answering; nothing if it has none."""
    problems = getattr(elicitor, "problems", None)
    return tuple(printable(redact(str(problem))) for problem in problems()) if callable(problems) else ()


def estimated_cost_of(elicitor: object, prompt_tokens: int, completion_tokens: int) -> float | None:
    """About what one answer of an elicitor costs in USD, by its own `estimated_cost`; `None` if it has none."""
    estimate = getattr(elicitor, "estimated_cost", None)
    cost = estimate(prompt_tokens, completion_tokens) if callable(estimate) else None
    return float(cost) if isinstance(cost, int | float) else None


_MAX_NAME_CHARACTERS = 200
