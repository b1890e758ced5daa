"""Talking to a language model: one method, one real client, one stand-in.

This module has the only import of LiteLLM in the package, inside a function: it takes four seconds and 170 MB, which
only the worker that asks should pay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from llm_prior_bo.elicitation.prompt import Messages
from llm_prior_bo.elicitation.redact import redact
from llm_prior_bo.errors import ConfigurationError, ElicitationError

_SCHEMA_NAME = "prior_answer"
_MAX_DETAIL_CHARACTERS = 500


@dataclass(frozen=True)
class Completion:
    """What came back for one request.

    Attributes:
        text: The model's text, "" if there was none.
        model: The model that answered, as the provider names it.
        prompt_tokens: `None` where unknown, as the next two.
        completion_tokens: Tokens of the answer.
        cost_usd: Price of the request.
        finish_reason: "stop", "length" (broken off), "content_filter" and the like.
        refusal: The model's words if it declined to answer.
    """

    text: str
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
    """

    def __init__(self, message: str, *, retryable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message, retryable=retryable)
        self.retry_after = retry_after


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


class LiteLLMClient:
    """Any model that LiteLLM can reach, hosted or local.

    The answer's JSON Schema is sent along. Where a server refuses it, plain JSON mode is tried, then none at all;
    where it refuses the temperature, its default is used. What worked is remembered for the next request.

    Args:
        model: LiteLLM's name of the model: "gpt-4o", "anthropic/claude-sonnet-4-5", "ollama_chat/llama3.1".
        temperature: Sampling temperature, `None` for the model's default.
        timeout: Seconds for one request.
        **options: Passed to `litellm.completion`: `api_base`, `api_key`, `max_tokens`, `extra_headers` and so on.
    """

    def __init__(self, model: str, *, temperature: float | None = 0.3, timeout: float = 30.0, **options: Any) -> None:
        if not model.strip():
            raise ConfigurationError(f"Expected the name of a model such as 'gpt-4o', got {model!r}.")
        if not timeout > 0:
            raise ConfigurationError(f"Expected timeout > 0 seconds, got {timeout!r}.")
        self.model = model
        self.timeout = timeout
        self._temperature = temperature
        self._options = options
        self._formats: tuple[str, ...] = ("json_schema", "json_object", "text")  # the first one is in use

    def __repr__(self) -> str:  # never the options: they may hold a key
        return f"{type(self).__name__}({self.model!r})"

    def complete(self, messages: Messages, schema: Mapping[str, Any]) -> Completion:
        """Send the chat, without retries of LiteLLM's own.

        Raises:
            CompletionError: With a message that says what to do.
        """
        litellm = _import_litellm()
        # Each pass drops one thing that the server has refused: twice the format, once the temperature.
        for _ in range(4):
            try:
                response = litellm.completion(**self._request(messages, schema))
                break
            except Exception as error:
                if not self._adapt(error):
                    # `from None`: the original's traceback would print the text that was redacted.
                    raise self._explain(error) from None
        else:  # pragma: no cover - there are only three things to drop
            raise CompletionError(f"The server of {self.model} refuses every form of the request.")
        try:
            return _completion(response)
        except (LookupError, AttributeError, TypeError):
            raise self._error("sent a response without an answer in it", retryable=True) from None

    def _request(self, messages: Messages, schema: Mapping[str, Any]) -> dict[str, Any]:
        request: dict[str, Any] = {
            **self._options,
            "model": self.model,
            "messages": [dict(message) for message in messages],  # LiteLLM may rewrite what it is given
            "timeout": self.timeout,
            # LiteLLM's `num_retries` hides errors if tenacity is missing; retries are the elicitor's job.
            "max_retries": 0,
        }
        if self._temperature is not None:
            request["temperature"] = self._temperature
        response_format = _response_format(self._formats[0], schema)
        if response_format is not None:
            request["response_format"] = response_format
        return request

    def _adapt(self, error: Exception) -> bool:
        """Drop what a server complained about; whether there was something to drop."""
        if _status(error) not in (400, 422) and "UnsupportedParams" not in type(error).__name__:
            return False
        detail = str(error).lower()
        if "temperature" in detail and self._temperature is not None:
            self._temperature = None
            return True
        if _FORMAT_COMPLAINT.search(detail) and len(self._formats) > 1:
            self._formats = self._formats[1:]
            return True
        return False

    def _explain(self, error: Exception) -> CompletionError:
        detail = self._detail(error)
        for rule in _RULES:
            if rule.matches(error, str(error).lower()):
                advice = rule.advice.format(model=self.model, timeout=self.timeout, missing=_missing_keys(self.model))
                return self._error(advice, detail, retryable=rule.retryable, retry_after=_retry_after(error))
        return self._error(f"failed with {type(error).__name__}", detail)

    def _error(
        self, what: str, detail: str = "", *, retryable: bool = False, retry_after: float | None = None
    ) -> CompletionError:
        text = f"{self.model} {what}." + (f" ({detail})" if detail else "")
        return CompletionError(text, retryable=retryable, retry_after=retry_after)

    def _detail(self, error: Exception) -> str:
        """The exception's own words, on one line, without keys, tracebacks and LiteLLM's repetitions."""
        secrets = [v for k, v in self._options.items() if "key" in k.lower() and isinstance(v, str) and len(v) >= 6]
        text = redact(str(error).split("Traceback (most recent call last)")[0], secrets=secrets)
        text = re.sub(r"litellm\.(\w+): (?:\1: )?", "", " ".join(text.split()))
        return text if len(text) <= _MAX_DETAIL_CHARACTERS else text[:_MAX_DETAIL_CHARACTERS] + "..."


_FORMAT_COMPLAINT = re.compile(
    r"response[_ ]?format|response[_ ]?(?:json[_ ]?)?schema|json[_ ]?(?:schema|object|mode)|structured"
    r"|output_(?:format|config)|grammar|too many states"
)


@dataclass(frozen=True)
class _Rule:
    """How one kind of failure is recognised and what to say about it."""

    advice: str
    retryable: bool
    names: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()
    words: tuple[str, ...] = ()

    def matches(self, error: Exception, text: str) -> bool:
        by_words = any(word in text for word in self.words)
        return by_words or type(error).__name__ in self.names or _status(error) in self.statuses


# The first that matches is taken. Words come before classes: LiteLLM reports a missing key and a refused connection as
# an internal server error with status 500.
_RULES = (
    _Rule(
        "has no API key; set {missing} in the environment, or pass api_key=... (any text for a local server)",
        retryable=False,
        words=("missing credentials", "api_key client option must be set", "missing gemini api key", "no key is set"),
    ),
    _Rule(
        "has no credit left or its quota is used up; check the provider's billing page",
        retryable=False,
        statuses=(402,),
        words=("insufficient_quota", "exceeded your current quota", "credit balance"),
    ),
    _Rule(
        "is not known under this name; use LiteLLM's form 'provider/model', e.g. 'anthropic/claude-sonnet-4-5' or "
        "'ollama_chat/llama3.1', and check the spelling",
        retryable=False,
        names=("NotFoundError",),
        statuses=(404,),
        words=("llm provider not provided",),
    ),
    _Rule(
        "was asked with a key that the provider refuses; check the value of the key and what it may use",
        retryable=False,
        names=("AuthenticationError", "PermissionDeniedError"),
        statuses=(401, 403),
    ),
    _Rule(
        "cannot take a prompt of this length; lower max_context_trials or shorten the study's user attributes",
        retryable=False,
        names=("ContextWindowExceededError",),
        words=("context length", "context window"),
    ),
    _Rule(
        "did not answer within {timeout:g} s; raise timeout=... if it is merely slow",
        retryable=True,
        names=("Timeout", "APITimeoutError", "TimeoutError"),
        statuses=(408, 504),
    ),
    _Rule(
        "refuses for the moment because of too many requests (429)",
        retryable=True,
        names=("RateLimitError",),
        statuses=(429,),
    ),
    _Rule(
        "cannot be reached; check the network, or that the local server is running and api_base is right",
        retryable=True,
        words=("connection refused", "connection error", "cannot connect", "name or service not known"),
    ),
    _Rule(
        "had a fault on the server's side",
        retryable=True,
        names=("InternalServerError", "ServiceUnavailableError", "APIConnectionError"),
        statuses=(500, 502, 503, 529),
    ),
    _Rule("refused the request as malformed", retryable=False, names=("BadRequestError",), statuses=(400, 422)),
)


def _import_litellm() -> Any:
    import os

    # Must be set before the import, which otherwise downloads a price table.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        import litellm
    except ImportError as error:
        raise CompletionError(
            "Expected the package litellm to be installed; run `pip install 'litellm>=1.84'`, or pass client=... to "
            f"LLMElicitor. ({error})"
        ) from None
    litellm.suppress_debug_info = True  # else it prints banners to standard output on every error
    return litellm


def _response_format(name: str, schema: Mapping[str, Any]) -> dict[str, Any] | None:
    if name == "json_schema":
        return {"type": name, "json_schema": {"name": _SCHEMA_NAME, "strict": True, "schema": dict(schema)}}
    return {"type": name} if name == "json_object" else None


def _completion(response: Any) -> Completion:
    choice = response.choices[0]
    message = choice.message
    usage = getattr(response, "usage", None)
    fields = getattr(message, "provider_specific_fields", None) or {}
    cost: float | None = (getattr(response, "_hidden_params", None) or {}).get("response_cost")
    return Completion(
        text=message.content or "",
        model=response.model,
        prompt_tokens=getattr(usage, "prompt_tokens", None),
        completion_tokens=getattr(usage, "completion_tokens", None),
        cost_usd=cost,
        finish_reason=choice.finish_reason,
        # LiteLLM has had it in either place, depending on the version.
        refusal=getattr(message, "refusal", None) or fields.get("refusal"),
    )


def _status(error: Exception) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def _retry_after(error: Exception) -> float | None:
    """Seconds from the Retry-After header; a date there is not understood and counts as not given."""
    headers: Any = getattr(error, "litellm_response_headers", None)
    try:
        seconds = float(headers["retry-after"])
    except (LookupError, TypeError, ValueError):
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _missing_keys(model: str) -> str:
    """Names of the environment variables that the model's provider wants."""
    try:
        missing: Sequence[str] = _import_litellm().validate_environment(model)["missing_keys"]
    except Exception:  # a table look-up for the sake of a better message; nothing may depend on it
        missing = ()
    return " and ".join(missing) or "the provider's key variable (e.g. OPENAI_API_KEY)"
