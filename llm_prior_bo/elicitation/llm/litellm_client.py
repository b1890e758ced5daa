"""Any model that LiteLLM can reach.

This module has the only import of LiteLLM in the package, inside a function: it takes four seconds and 170 MB, which
only the worker that asks should pay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from llm_prior_bo.elicitation.llm.client import MAX_TEXT_CHARACTERS, Completion, CompletionError
from llm_prior_bo.elicitation.llm.deadline import run_within
from llm_prior_bo.elicitation.llm.failures import RULES, retry_after, status_of
from llm_prior_bo.elicitation.llm.log_filter import mask_in_logs
from llm_prior_bo.elicitation.llm.messages import Messages
from llm_prior_bo.elicitation.llm.secrets import redact, secrets_in
from llm_prior_bo.errors import ConfigurationError

FORMATS = ("json_schema", "json_object", "text")
"""How an answer's shape is asked for, strictest first: by an enforced schema, by JSON mode, by words alone."""

GRACE_SECONDS = 2.0
"""How much longer than its time-out a whole request may take: a time-out is for one piece of the answer only."""

_SCHEMA_NAME = "prior_answer"
_MAX_DETAIL_CHARACTERS = 500


class LiteLLMClient:
    """Any model that LiteLLM can reach, hosted or local.

    The answer's JSON Schema is sent along. Where a server refuses it, plain JSON mode is tried, then none at all, the
    schema being part of the prompt; where it refuses the temperature, its default is used. What worked is remembered
    for the next request.

    Args:
        model: LiteLLM's name of the model: "gpt-4o", "anthropic/claude-sonnet-4-5", "ollama_chat/llama3.1".
        temperature: Sampling temperature, `None` for the model's default.
        timeout: Seconds for one request. A server that sends its answer in driblets is given up on
            `GRACE_SECONDS` later.
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
        self._secrets = secrets_in(options)
        self._formats: tuple[str, ...] = FORMATS  # the first one is in use

    def __repr__(self) -> str:  # never the options: they may hold a key
        return f"{type(self).__name__}({self.model!r})"

    def complete(self, messages: Messages, schema: Mapping[str, Any]) -> Completion:
        """Send the chat, without retries of LiteLLM's own.

        Raises:
            CompletionError: With a message that says what to do.
        """
        return self.complete_leniently(messages, schema, n_steps=0)

    def complete_leniently(self, messages: Messages, schema: Mapping[str, Any], *, n_steps: int) -> Completion:
        """The same, that many steps down from the strictest format that the server takes.

        Raises:
            CompletionError: With a message that says what to do.
        """
        litellm = _import_litellm()
        # Each pass drops one thing that the server has refused: twice the format, once the temperature.
        for _ in range(4):
            form = self._formats[min(n_steps, len(self._formats) - 1)]
            response, error = self._send(litellm, self._request(messages, schema, form))
            if error is None:
                return self._completion(response)
            if not self._adapt(error, form):
                # Not within an `except`: whoever walks the chain of exceptions would find the text with the key in it.
                raise self._explain(error)
        raise CompletionError(f"The server of {self.model} refuses every form of the request.")  # pragma: no cover

    def _send(self, litellm: Any, request: dict[str, Any]) -> tuple[Any, Exception | None]:
        """The response, or what went wrong."""
        mask_in_logs(self._secrets)
        try:
            return run_within(self.timeout + GRACE_SECONDS, lambda: litellm.completion(**request)), None
        except Exception as error:
            return None, error

    def _completion(self, response: Any) -> Completion:
        """The completion without secrets: a server may echo what it was sent."""
        try:
            completion = _completion(response)
        except (LookupError, AttributeError, TypeError):
            completion = None
        if completion is None:
            raise self._error("sent a response without an answer in it", retryable=True)
        return replace(
            completion,
            text=self._masked(completion.text) or "",
            model=self._masked(completion.model),
            refusal=self._masked(completion.refusal),
        )

    def _masked(self, text: object) -> str | None:
        return redact(text[:MAX_TEXT_CHARACTERS], secrets=self._secrets) if isinstance(text, str) else None

    def _request(self, messages: Messages, schema: Mapping[str, Any], form: str) -> dict[str, Any]:
        request: dict[str, Any] = {
            **self._options,
            "model": self.model,
            "messages": self._wire_messages(messages, schema, form),
            "timeout": self.timeout,
            # LiteLLM's `num_retries` hides errors if tenacity is missing; retries are the elicitor's job.
            "max_retries": 0,
        }
        if self._temperature is not None:
            request["temperature"] = self._temperature
        response_format = _response_format(form, schema)
        if response_format is not None:
            request["response_format"] = response_format
        return request

    def _wire_messages(self, messages: Messages, schema: Mapping[str, Any], form: str) -> list[dict[str, str]]:
        """New messages, for LiteLLM may rewrite them; with the schema in words where no server enforces it."""
        wire = [{**message, "content": redact(message["content"], secrets=self._secrets)} for message in messages]
        if form != "json_schema":
            wire[-1]["content"] += f"{_SCHEMA_INTRODUCTION}{json.dumps(schema, separators=(',', ':'))}"
        return wire

    def _adapt(self, error: Exception, form: str) -> bool:
        """Drop what a server complained about; whether there was something to drop."""
        if status_of(error) not in (400, 422) and "UnsupportedParams" not in type(error).__name__:
            return False
        detail = str(error).lower()
        if "temperature" in detail and self._temperature is not None:
            self._temperature = None
            return True
        if _FORMAT_COMPLAINT.search(detail) and form != FORMATS[-1]:
            # By the format that was refused: another thread may have dropped it meanwhile.
            refused = {*FORMATS[: FORMATS.index(form) + 1]}
            self._formats = tuple(f for f in self._formats if f not in refused)
            return True
        return False

    def _explain(self, error: Exception) -> CompletionError:
        detail = self._detail(error)
        for rule in RULES:
            if rule.matches(error, str(error).lower()):
                advice = rule.advice.format(model=self.model, timeout=self.timeout, missing=_missing_keys(self.model))
                return self._error(advice, detail, retryable=rule.retryable, retry_after=retry_after(error))
        return self._error(f"failed with {type(error).__name__}", detail)

    def _error(
        self, what: str, detail: str = "", *, retryable: bool = False, retry_after: float | None = None
    ) -> CompletionError:
        text = f"{self.model} {what}." + (f" ({detail})" if detail else "")
        return CompletionError(text, retryable=retryable, retry_after=retry_after)

    def _detail(self, error: Exception) -> str:
        """The exception's own words, on one line, without keys, tracebacks and LiteLLM's repetitions."""
        text = str(error)[:MAX_TEXT_CHARACTERS].split("Traceback (most recent call last)")[0]
        text = redact(text, secrets=self._secrets)
        text = re.sub(r"litellm\.(\w+): (?:\1: )?", "", " ".join(text.split()))
        return text if len(text) <= _MAX_DETAIL_CHARACTERS else text[:_MAX_DETAIL_CHARACTERS] + "..."


_SCHEMA_INTRODUCTION = "\n\nThe answer has to be one JSON object of this JSON Schema, and nothing else:\n"

_FORMAT_COMPLAINT = re.compile(
    r"response[_ ]?format|response[_ ]?(?:json[_ ]?)?schema|json[_ ]?(?:schema|object|mode)|structured"
    r"|output_(?:format|config)|grammar|too many states"
)


def _import_litellm() -> Any:
    import os

    # Must be set before the import, which otherwise downloads a price table, and later on a list of headers.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS", "True")
    try:
        import litellm
    except ImportError as error:
        raise CompletionError(
            "Expected the package litellm to be installed; run `pip install 'litellm>=1.100'`, or pass client=... to "
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


def _missing_keys(model: str) -> str:
    """Names of the environment variables that the model's provider wants."""
    try:
        missing: Sequence[str] = _import_litellm().validate_environment(model)["missing_keys"]
    except Exception:  # a table look-up for the sake of a better message; nothing may depend on it
        missing = ()
    return " and ".join(missing) or "the provider's key variable (e.g. OPENAI_API_KEY)"
