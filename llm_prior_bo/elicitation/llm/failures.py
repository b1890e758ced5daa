"""What a provider's error means: whether to ask again, and what to tell the user."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from llm_prior_bo.elicitation.llm.deadline import DeadlineError


@dataclass(frozen=True)
class Rule:
    """How one kind of failure is recognised and what to say about it.

    Attributes:
        advice: What to tell the user, with the fields `model`, `timeout` and `missing`.
        retryable: Whether the same request may succeed later.
        names: Classes of exceptions.
        statuses: HTTP statuses.
        words: Parts of the text, in lower case.
    """

    advice: str
    retryable: bool
    names: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()
    words: tuple[str, ...] = ()

    def matches(self, error: Exception, text: str) -> bool:
        """Whether a failure is of this kind, by its words, its class or its status."""
        by_words = any(word in text for word in self.words)
        return by_words or type(error).__name__ in self.names or status_of(error) in self.statuses


# The first that matches is taken. Words come before classes: LiteLLM reports a missing key and a refused connection as
# an internal server error with status 500.
RULES = (
    Rule(
        "has no API key; set {missing} in the environment, or pass api_key=... (any text for a local server)",
        retryable=False,
        words=("missing credentials", "api_key client option must be set", "missing gemini api key", "no key is set"),
    ),
    Rule(
        "has no credit left or its quota is used up; check the provider's billing page",
        retryable=False,
        statuses=(402,),
        words=("insufficient_quota", "exceeded your current quota", "credit balance"),
    ),
    Rule(
        "is not known under this name; use LiteLLM's form 'provider/model', e.g. 'anthropic/claude-sonnet-4-5' or "
        "'ollama_chat/llama3.1', and check the spelling",
        retryable=False,
        names=("NotFoundError",),
        statuses=(404,),
        words=("llm provider not provided",),
    ),
    Rule(
        "was asked with a key that the provider refuses; check the value of the key and what it may use",
        retryable=False,
        names=("AuthenticationError", "PermissionDeniedError"),
        statuses=(401, 403),
    ),
    Rule(
        "cannot take a prompt of this length; lower max_context_trials or shorten the study's user attributes",
        retryable=False,
        names=("ContextWindowExceededError",),
        words=("context length", "context window"),
    ),
    Rule(
        "did not answer within {timeout:g} s; raise timeout=... if it is merely slow",
        retryable=True,
        names=("Timeout", "APITimeoutError", "TimeoutError", DeadlineError.__name__),
        statuses=(408, 504),
    ),
    Rule(
        "refuses for the moment because of too many requests (429)",
        retryable=True,
        names=("RateLimitError",),
        statuses=(429,),
    ),
    Rule(
        "cannot be reached; check the network, or that the local server is running and api_base is right",
        retryable=True,
        words=("connection refused", "connection error", "cannot connect", "name or service not known"),
    ),
    Rule(
        "had a fault on the server's side",
        retryable=True,
        names=("InternalServerError", "ServiceUnavailableError", "APIConnectionError"),
        statuses=(500, 502, 503, 529),
    ),
    Rule("refused the request as malformed", retryable=False, names=("BadRequestError",), statuses=(400, 422)),
)


def status_of(error: Exception) -> int | None:
    """The HTTP status of a failure, `None` if it has none."""
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def retry_after(error: Exception) -> float | None:
    """Seconds from the Retry-After header, which holds a number or a date; `None` if there is none."""
    headers: Any = getattr(error, "litellm_response_headers", None)
    try:
        value = str(headers["retry-after"])
    except (LookupError, TypeError):
        return None
    try:
        seconds = float(value)
    except ValueError:
        moment, now = _moment(value), _moment(headers.get("date")) or datetime.now(UTC)  # the server's clock, if told
        return None if moment is None else max((moment - now).total_seconds(), 0.0)
    return seconds if 0 <= seconds < float("inf") else None


def _moment(text: object) -> datetime | None:
    """A date of HTTP's."""
    try:
        moment = parsedate_to_datetime(str(text))
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
