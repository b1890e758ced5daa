"""Any model that LiteLLM can reach."""

from __future__ import annotations

import json
import os
import re
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from llm_prior_bo.elicitation.llm.client import Completion, CompletionError
from llm_prior_bo.elicitation.llm.deadline import DeadlineError, run_within
from llm_prior_bo.elicitation.llm.failures import (
    MAX_READ_CHARACTERS,
    RULES,
    complains_of_format,
    complains_of_system_role,
    complains_of_unknown_field,
    refused_field,
    retry_after,
    status_of,
    text_of,
    words_of,
)
from llm_prior_bo.elicitation.llm.guarded_http import Guard, guarded_client
from llm_prior_bo.elicitation.llm.import_litellm import import_litellm, new_handler
from llm_prior_bo.elicitation.llm.log_filter import mask_in_logs
from llm_prior_bo.elicitation.llm.messages import Messages
from llm_prior_bo.elicitation.llm.secrets import cut_off, redact, secrets_in
from llm_prior_bo.errors import ConfigurationError, ElicitationWarning

FORMATS = ("json_schema", "json_object", "text")
"""How an answer's shape is asked for, strictest first: by an enforced schema, by JSON mode, by words alone."""

GRACE_SECONDS = 2.0
"""How much longer than its time-out a whole request may take: a time-out is for one piece of the answer only."""

_SCHEMA_NAME = "prior_answer"
_MAX_DETAIL_CHARACTERS = 500


class LiteLLMClient:
    """Any model that LiteLLM can reach, hosted or local.

    The answer's JSON Schema is sent along. Where a server refuses it, plain JSON mode is tried, then none at all, the
    schema being part of the prompt; where it refuses the temperature or another option, it is asked without; where it
    knows no system messages, their text goes before the user's. What worked is remembered for the next request.

    No redirect to another host is followed, and a response of more than `MAX_RESPONSE_BYTES` is given up on (except
    with Azure, Bedrock and SageMaker, whose requests are signed for one address, with a `client=` of your own, and with
    a few providers for which LiteLLM takes no client, Cohere and Cloudflare among them).

    Args:
        model: LiteLLM's name of the model: "gpt-4o", "anthropic/claude-sonnet-4-5", "ollama_chat/llama3.1".
        temperature: Sampling temperature, `None` for the model's default.
        timeout: Seconds for one request. A server that sends its answer bit by bit is given up on
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
        self._merges_system_text = False
        self._formats: tuple[str, ...] = FORMATS  # the first one is in use

    def __repr__(self) -> str:  # never the options: they may hold a key
        return f"{type(self).__name__}({self.model!r})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown of the options: keys, headers, and what an address carries."""
        return secrets_in(self._options)

    def prepare(self) -> None:
        """Import LiteLLM, which takes seconds: before the clock of a request starts.

        Raises:
            CompletionError: If it is not installed.
        """
        import_litellm()

    def problems(self) -> tuple[str, ...]:
        """What would keep the model from answering: an unknown provider, a missing key. Nothing is sent."""
        litellm = import_litellm()
        options = {name: self._options.get(name) for name in ("custom_llm_provider", "api_base", "api_key")}
        try:
            litellm.get_llm_provider(self.model, **options)
        except Exception:  # LiteLLM has no class of its own for it
            return (
                f"{self.model!r} names no provider that LiteLLM knows; use its form 'provider/model', e.g. "
                "'anthropic/claude-sonnet-4-5' or 'ollama_chat/llama3.1'.",
            )
        names = " and ".join(name for name in _missing_variables(self.model) if not self._is_given(name))
        if not names:
            return ()
        advice = "pass api_key=... and the like (any text as the key of a local server)"
        return (f"{self.model!r} lacks {names}; set it in the environment, or {advice}.",)

    def _is_given(self, variable: str) -> bool:
        """Whether what an environment variable would hold is passed as an option, or has a default."""
        if variable == "OLLAMA_API_BASE":
            return True  # LiteLLM's default is Ollama's own port on this machine
        endings = {"KEY": ("api_key", "extra_headers"), "BASE": ("api_base",), "VERSION": ("api_version",)}
        options = endings.get(variable.rsplit("_", 1)[-1], ())
        return any(self._options.get(name) for name in options)

    def estimated_cost(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """About what a request costs in USD by LiteLLM's table of prices; `None` if the model is not in it."""
        try:
            prices = import_litellm().get_model_info(self.model)
            return float(
                prompt_tokens * prices["input_cost_per_token"] + completion_tokens * prices["output_cost_per_token"]
            )
        except Exception:  # LiteLLM raises a bare one for a model that it does not know
            return None

    def complete(self, messages: Messages, schema: Mapping[str, Any]) -> Completion:
        """Send the chat, without retries of LiteLLM's own.

        Raises:
            CompletionError: With a message that says what to do.
        """
        return self.complete_leniently(messages, schema, n_steps=0)

    def complete_leniently(self, messages: Messages, schema: Mapping[str, Any], *, n_steps: int) -> Completion:
        """The same, that many steps down from the strictest format that the server takes.

        What a server refuses is dropped, and the request put again, all within one time-out.

        Raises:
            CompletionError: With a message that says what to do.
        """
        litellm = import_litellm()
        ends_at = time.monotonic() + self.timeout + GRACE_SECONDS
        while True:  # each pass has one thing less to drop
            form = self._formats[min(n_steps, len(self._formats) - 1)]
            guard = Guard(ends_at)
            response, error = self._send(litellm, self._request(messages, schema, form), guard)
            if guard.is_late:  # whoever notices first, the guard or the deadline: it is the same to the user
                error = DeadlineError(guard.problem)
            elif guard.problem:
                raise self._error(guard.problem, retryable=guard.retryable)
            if response is None and error is None and not self._merges_system_text:
                self._merges_system_text = True  # LiteLLM's own answer to "roles must alternate" did not help
                continue
            if error is None:
                return self._completion(response)
            if not self._adapt(error, form):
                # Not within an `except`: whoever walks the chain of exceptions would find the text with the key in it.
                raise self._explain(error)

    def _send(self, litellm: Any, request: dict[str, Any], guard: Guard) -> tuple[Any, Exception | None]:
        """The response, or what went wrong."""
        mask_in_logs(self.secrets)

        def send() -> Any:
            client = self._client(litellm, guard)
            try:
                return litellm.completion(**request, **({} if client is None else {"client": client}))
            finally:
                if client is not None:
                    client.close()

        try:
            return run_within(max(guard.ends_at - time.monotonic(), 0.0), send), None
        except Exception as error:
            return None, error

    def _client(self, litellm: Any, guard: Guard) -> Any:
        """A client for one request; `None` where the user has given one, or the provider takes another kind."""
        options = self._options
        if "client" in options:
            return None
        try:
            _, provider, key, address = litellm.get_llm_provider(
                model=self.model,
                custom_llm_provider=options.get("custom_llm_provider"),
                api_base=options.get("api_base") or options.get("base_url"),
                api_key=options.get("api_key"),
            )
        except Exception:  # an unknown name: `litellm.completion` will say so
            return None
        if provider in _OTHER_CLIENTS:
            return None
        handler = new_handler(timeout=self.timeout, ssl_verify=options.get("ssl_verify"))
        openai_options = {
            "api_key": key or options.get("api_key") or litellm.api_key or litellm.openai_key,
            "base_url": address or litellm.api_base or os.environ.get("OPENAI_API_BASE"),
            "organization": options.get("organization") or litellm.organization,
            "timeout": self.timeout,
            "max_retries": 0,
        }
        return guarded_client(handler, guard, openai_options)

    def _completion(self, response: Any) -> Completion:
        """The completion; the text as it came, for a mask within a name would make another answer of it."""
        try:
            completion = _completion(response)
        except (LookupError, AttributeError, TypeError):
            completion = None
        if completion is None:
            raise self._error("sent a response without an answer in it", retryable=True)
        return replace(completion, model=self._masked(completion.model), refusal=self._masked(completion.refusal))

    def _masked(self, text: object) -> str | None:
        return redact(text[:MAX_READ_CHARACTERS], secrets=self.secrets) if isinstance(text, str) else None

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
        wire = [dict(message) for message in messages]
        if form != "json_schema":
            wire[-1]["content"] += f"{_SCHEMA_INTRODUCTION}{json.dumps(schema, separators=(',', ':'))}"
        return _without_system_role(wire) if self._merges_system_text else wire

    def _adapt(self, error: Exception, form: str) -> bool:
        """Drop what a server complained about; whether there was something to drop."""
        status, text = status_of(error), text_of(error)
        if status not in (400, 422, 500, 501) and "UnsupportedParams" not in type(error).__name__:
            return False
        if any(rule.matches(error, text) for rule in RULES if rule.words and not rule.statuses):
            return False  # something else, in so many words
        if not self._merges_system_text and complains_of_system_role(text):
            self._merges_system_text = True
            return True
        if status in (500, 501):  # a fault, unless it names what no server would name by chance
            return False
        return self._drop_temperature(text, form) or self._drop_option(text) or self._drop_format(text, form)

    def _drop_temperature(self, text: str, form: str) -> bool:
        """Ask at the model's own temperature; also where a server refuses a field, but none that it names is left."""
        unnamed = form == FORMATS[-1] and complains_of_unknown_field(text)
        if self._temperature is None or not ("temperature" in text or unnamed):
            return False
        self._temperature = None
        return True

    def _drop_option(self, text: str) -> bool:
        """Drop an option of the user's that the server does not know."""
        body = dict(self._options.get("extra_body") or {})
        refused = refused_field(text, (self._options.keys() - _NEEDED_OPTIONS) | body.keys())
        if refused is None:
            return False
        if refused in body:
            value = body.pop(refused)
            self._options["extra_body"] = body
        else:
            value = self._options.pop(refused)
        if refused == "max_tokens" and "max_completion_tokens" in text:
            self._options["max_completion_tokens"] = value  # another name for the same limit
        else:
            warnings.warn(
                f"{self.model} does not take the option {refused}=; it is asked without it.",
                ElicitationWarning,
                stacklevel=2,
            )
        return True

    def _drop_format(self, text: str, form: str) -> bool:
        """Ask for the answer's shape less strictly."""
        if form == FORMATS[-1] or not (complains_of_format(text) or complains_of_unknown_field(text)):
            return False
        # By the format that was refused: another thread may have dropped it meanwhile.
        refused = {*FORMATS[: FORMATS.index(form) + 1]}
        self._formats = tuple(f for f in self._formats if f not in refused)
        return True

    def _explain(self, error: Exception) -> CompletionError:
        detail, text = self._detail(error), text_of(error)
        for rule in RULES:
            if rule.matches(error, text):
                missing = " and ".join(_missing_variables(self.model)) or _SOME_KEY
                advice = rule.advice.format(model=self.model, timeout=self.timeout, missing=missing)
                return self._error(
                    advice,
                    detail,
                    retryable=rule.retryable,
                    retry_after=retry_after(error),
                    failed_generation=rule.failed_generation,
                )
        return self._error(f"failed with {type(error).__name__}", detail)

    def _error(self, what: str, detail: str = "", *, retryable: bool = False, **details: Any) -> CompletionError:
        text = f"{self.model} {what}." + (f" ({detail})" if detail else "")
        return CompletionError(text, retryable=retryable, **details)

    def _detail(self, error: Exception) -> str:
        """The exception's own words, on one line, without keys, tracebacks and LiteLLM's repetitions."""
        text = words_of(error).split("Traceback (most recent call last)")[0]
        text = redact(text, secrets=self.secrets)
        text = re.sub(r"litellm\.(\w+): (?:\1: )?", "", " ".join(text.split()))
        return cut_off(text, _MAX_DETAIL_CHARACTERS)


_SCHEMA_INTRODUCTION = "\n\nThe answer has to be one JSON object of this JSON Schema, and nothing else:\n"

_OTHER_CLIENTS = ("azure", "azure_text", "bedrock", "sagemaker", "sagemaker_chat")
"""Providers whose clients sign their requests themselves, for the address that they go to."""

_NEEDED_OPTIONS = frozenset(
    ("api_base", "base_url", "api_key", "api_version", "custom_llm_provider", "extra_headers", "client", "ssl_verify")
)
"""Options without which the server would not be reached; all others may be dropped."""


def _without_system_role(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """The same chat with the system's text at the beginning of the user's."""
    system = "\n\n".join(message["content"] for message in messages if message["role"] == "system")
    others = [message for message in messages if message["role"] != "system"]
    if not system or not others:
        return messages
    first = {**others[0], "content": f"{system}\n\n{others[0]['content']}"}
    return [first, *others[1:]]


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


_SOME_KEY = "the provider's key variable (e.g. OPENAI_API_KEY)"


def _missing_variables(model: str) -> Sequence[str]:
    """Environment variables that the model's provider wants and that are not set; none where LiteLLM cannot say."""
    try:
        missing: Sequence[str] = import_litellm().validate_environment(model)["missing_keys"]
    except Exception:  # a table look-up; nothing may depend on it
        return ()
    return missing
