"""Talking to a language model: one method, and a plain function that can stand in for a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from llm_prior_bo.elicitation.llm.messages import Messages
from llm_prior_bo.errors import ElicitationError

MAX_TEXT_CHARACTERS = 1_000_000
"""A longer text of a model is cut before anything reads it: no answer is as long as that."""


@dataclass(frozen=True)
class Completion:
    """What came back for one request.

    Attributes:
        text: The model's text as it came, "" if there was none; not in the `repr`, for it may hold anything.
        model: The model that answered, as the provider names it.
        prompt_tokens: `None` where unknown, as the next two.
        completion_tokens: Tokens of the answer.
        cost_usd: Price of the request.
        finish_reason: "stop", "length" (broken off), "content_filter" and the like.
        refusal: The model's words if it declined to answer.
    """

    text: str = field(repr=False)
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    finish_reason: str | None = None
    refusal: str | None = None


class CompletionError(ElicitationError):
    """A request that brought no completion.

    Args:
        message: What happened and what to do.
        retryable: Whether the same request may succeed later.
        retry_after: Seconds that the server asked to wait, `None` if it did not say.
        failed_generation: Whether the server reports that the model did not finish: a less strict format may help.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        failed_generation: bool = False,
    ) -> None:
        super().__init__(message, retryable=retryable)
        self.retry_after = retry_after
        self.failed_generation = failed_generation


@runtime_checkable
class LLMClient(Protocol):
    """Anything that completes a chat."""

    def complete(self, messages: Messages, schema: Mapping[str, Any]) -> Completion:
        """Send a chat, get the model's text.

        Args:
            messages: The chat; must not be changed.
            schema: JSON Schema that the text should follow. A client that cannot enforce it leaves it out.

        Raises:
            ElicitationError: If no completion came; `retryable` says whether to try again.
        """
        ...


@runtime_checkable
class LenientClient(LLMClient, Protocol):
    """A client that can also ask less strictly, for servers that take a schema and ignore it."""

    def complete_leniently(self, messages: Messages, schema: Mapping[str, Any], *, n_steps: int) -> Completion:
        """The same as `complete`, that many steps down in `FORMATS` from what is in use.

        Raises:
            ElicitationError: As `complete`.
        """
        ...


class FunctionClient:
    """A plain function as the model: for tests, for providers with a library of their own, for a person at a terminal.

    Args:
        function: Takes the messages, returns the text of the answer or a whole `Completion`.
        model: Name that is recorded.
    """

    def __init__(self, function: Callable[[Messages], str | Completion], *, model: str = "function") -> None:
        self._function = function
        self._model = model

    def complete(self, messages: Messages, schema: Mapping[str, Any]) -> Completion:  # noqa: ARG002
        """Call the function."""
        result = self._function(messages)
        return result if isinstance(result, Completion) else Completion(text=result, model=self._model)
