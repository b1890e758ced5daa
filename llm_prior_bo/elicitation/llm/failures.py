"""What a provider's error means: whether to ask again, whether to ask more plainly, and what to tell the user.

A status says little: 400 stands for a wrong key, a field that the server does not know, a text that a model did not
finish and a content filter alike. So the words come first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from llm_prior_bo.elicitation.llm.deadline import DeadlineError

MAX_READ_CHARACTERS = 20_000
"""More of an error's text is not looked at."""


@dataclass(frozen=True)
class Rule:
    """How one kind of failure is recognised and what to say about it.

    Attributes:
        advice: What to tell the user, with the fields `model`, `timeout` and `missing`.
        retryable: Whether the same request may succeed later.
        names: Classes of exceptions.
        statuses: HTTP statuses.
        words: Parts of the text, in lower case.
        failed_generation: Whether the model is to blame, not the request: a less strict format may help as well.
    """

    advice: str
    retryable: bool
    names: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()
    words: tuple[str, ...] = ()
    failed_generation: bool = False

    def matches(self, error: Exception, text: str) -> bool:
        """Whether a failure is of this kind, by its words, its class or its status."""
        by_words = any(word in text for word in self.words)
        return by_words or type(error).__name__ in self.names or status_of(error) in self.statuses


_TOO_LONG = "cannot take a prompt of this length; lower max_context_trials or shorten the study's user attributes"

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
        words=("insufficient_quota", "exceeded your current quota", "credit balance", "insufficient balance"),
    ),
    Rule(
        "sent a response that cannot be read: a field is of another type than OpenAI's",
        retryable=True,
        words=("invalid response object", "serializer warnings"),
    ),
    Rule(
        "did not finish its answer: the server reports a failed generation",
        retryable=True,
        words=(
            "json_validate_failed",
            "failed_generation",
            "failed generation",
            "generation failed",
            "tool_use_failed",
            "output_parse_failed",
            "did not produce valid json",
            "failed to generate json",
            "failed to generate valid json",
            "generated invalid json",
            "generated json",
            "not generate valid json",
            "model output is not valid json",
            "failed to validate json",
            "failed to parse model output",
            "could not parse model output",
            "could not parse the model",
            "failed to parse the model",
            "invalid json output",
            "output is not valid json",
        ),
        failed_generation=True,
    ),
    Rule(
        "does not answer because of the provider's content filter; word the study's descriptions differently, or ask "
        "with blinded=True",
        retryable=False,
        names=("ContentPolicyViolationError",),
        words=(
            "content_filter",
            "content filter",
            "content_policy",
            "content policy",
            "content management policy",
            "responsibleaipolicy",
            "responsible ai",
            "prohibited_content",
            "prohibited content",
            "usage policy",
            "usage policies",
            "blocked by safety",
            "safety filter",
            "safety system",
            "safety checker",
            "content filtering",
            "flagged as unsafe",
            "flagged as potentially violating",
            "data_inspection_failed",
            "inappropriate content",
            "guardrail",
            "moderation",
        ),
    ),
    Rule(
        "is not known under this name; use LiteLLM's form 'provider/model', e.g. 'anthropic/claude-sonnet-4-5' or "
        "'ollama_chat/llama3.1', and check the spelling",
        retryable=False,
        names=("NotFoundError",),
        statuses=(404,),
        words=("llm provider not provided", "model_not_found", "model not found"),
    ),
    Rule(
        "was asked with a key that the provider refuses; check the value of the key and what it may use",
        retryable=False,
        names=("AuthenticationError", "PermissionDeniedError"),
        statuses=(401, 403),
        words=("invalid api key", "incorrect api key", "api key not valid", "api_key_invalid", "invalid_api_key"),
    ),
    Rule(
        _TOO_LONG,
        retryable=False,
        names=("ContextWindowExceededError",),
        words=(
            "context length",
            "context window",
            "context_length",
            "prompt is too long",
            "input is too long",
            "too many tokens",
            "maximum number of tokens",
            "maximum allowed length",
            "payload too large",
            "request entity too large",
            "request too large",
        ),
    ),
    Rule(_TOO_LONG, retryable=False, statuses=(413,)),
    Rule(
        "was redirected to another address, which is not followed; give the final address as api_base",
        retryable=False,
        statuses=(300, 301, 302, 303, 305, 307, 308),
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
        words=("tokens per minute", "requests per minute", "rate limit"),
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
        words=("please try again", "temporarily unavailable", "overloaded", "model is loading"),
    ),
    Rule("refused the request as malformed", retryable=False, names=("BadRequestError",), statuses=(400, 422)),
)

_FORMAT = re.compile(
    r"response[_ ]?(?:format|mime)|response[_ ]?(?:json[_ ]?)?schema|json[\-_ ]?(?:schema|object|mode)|structured"
    r"|constrained decoding"
    r"|output_(?:format|config)|grammar|too many states|guided|additionalproperties|\bstrict\b"
)
_SYSTEM = re.compile(
    r"\bsystem[_ ]?(?:role|message|prompt|instruction)|\brole\b.{0,60}\bsystem\b|\bsystem\b.{0,40}\brole\b"
    r"|\brole\b.{0,60}\buser\b.{0,12}\bassistant\b|first message must be|developer instruction"
    r"|only user and assistant|roles? must alternate|should alternate|must be (?:a )?user"
)
_REFUSED = re.compile(
    r"not (?:support|enabled|allow|permit|recogni|accept|available|valid|one of|known)|n't (?:support|allow|accept)"
    r"|un(?:support|known|recogni|expected)|invalid|extra|must alternate|should alternate|only (?:user|support)"
    r"|must be|input should be|forbid|no longer|deprecat|incompatible|cannot (?:be used|specify)|not a valid"
)
_UNKNOWN_FIELD = re.compile(
    r"(?:unknown|unrecogni[sz]ed|unsupported|unexpected|extra|additional|invalid)[a-z_ ]{0,20}"
    r"(?:field|param|argument|input|propert|key|name)|extra_forbidden"
)


def complains_of_format(text: str) -> bool:
    """Whether an error's text, in lower case, is about the format that was asked for."""
    return bool(_FORMAT.search(text))


def complains_of_system_role(text: str) -> bool:
    """Whether an error's text, in lower case, says that there may be no system message."""
    return bool(_SYSTEM.search(text) and _REFUSED.search(text))


def complains_of_unknown_field(text: str) -> bool:
    """Whether an error's text, in lower case, says that some field of the request is not known."""
    return bool(_UNKNOWN_FIELD.search(text))


def refused_field(text: str, names: Iterable[str]) -> str | None:
    """Which of the fields of a request an error's text, in lower case, refuses; `None` if none.

    The longest name first: `max_tokens` is also a part of others.
    """
    if not _REFUSED.search(text):
        return None
    for name in sorted(names, key=len, reverse=True):
        if re.search(rf"(?<![a-z0-9_]){re.escape(name.lower())}(?![a-z0-9_])", text):
            return name
    return None


def words_of(error: Exception) -> str:
    """The beginning of an error's own text, with the response's body where openai 3 leaves it out of that."""
    # "Raw keys" are what LiteLLM lists where an answer is missing: fields of openai's class, `moderation` among them.
    # Of a response that it cannot read it gives the whole traceback.
    text = _NOT_ITS_OWN.split(str(error)[:MAX_READ_CHARACTERS])[0]
    body = _body_of(error)
    return f"{text} - {body}"[:MAX_READ_CHARACTERS] if body and _ONLY_STATUS.search(text) else text


_NOT_ITS_OWN = re.compile(r"Raw keys:|Traceback \(most recent call last\)")
_ONLY_STATUS = re.compile(r"Error code: \d+\s*$")


def _body_of(error: BaseException | None) -> object:
    """What the server sent, parsed if it is JSON: of the client's error, for LiteLLM does not always pass it on."""
    while error is not None:
        body: object = getattr(error, "body", None)
        if body is not None:
            return body
        error = error.__context__
    return None


def text_of(error: Exception) -> str:
    """The beginning of an error's text, its code, the field that it names and its other keys: lower case, one line."""
    body = _body_of(error)
    keys = list(body)[:20] if isinstance(body, Mapping) else []
    parts = (words_of(error), getattr(error, "code", None) or "", getattr(error, "param", None) or "", *keys)
    return " ".join(" ".join(str(part)[:MAX_READ_CHARACTERS] for part in parts).lower().split())


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
