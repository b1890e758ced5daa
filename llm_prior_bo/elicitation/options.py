"""The options of a sampler that asks a language model: their names, their types, and the elicitor that they make."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypedDict

from llm_prior_bo.elicitation.blinding import BlindedElicitor
from llm_prior_bo.elicitation.elicitor import Elicitor
from llm_prior_bo.elicitation.llm_elicitor import LLMElicitor
from llm_prior_bo.elicitation.settings import OnFailure
from llm_prior_bo.errors import ConfigurationError


class LLMOptions(TypedDict, total=False):
    """What `LLMPriorSampler(model, ...)` takes beside its own arguments, all of it passed on to `LLMElicitor`.

    Whatever else LiteLLM knows goes to an elicitor: `LLMPriorSampler(elicitor=LLMElicitor(model, ...))`.

    Attributes:
        n_answers: Answers to one question, pooled; 1 (`ElicitationSettings`, as the next three).
        max_context_trials: How many of the study's trials a question may show; 10.
        max_prompt_tokens: Size that a question is shortened to if it is longer; 8000.
        interval_coverage: Probability with which a stated 80 % interval holds the optimum's value; 0.5.
        on_failure: "raise": a first question without an answer ends the study with an `ElicitationError`; "warn".
        blinded: Ask with neutral names and without descriptions (`BlindedElicitor`), to see how much of an answer is
            memory; `False`.
        temperature: Sampling temperature, `None` for the model's default; 0.3.
        timeout: Seconds for one request; 30.
        max_retries: How often one answer is asked for again (bad answer, rate limit, time-out); 3.
        retry_wait: Seconds before the first repeated request; 1.
        requests_per_minute: Most requests of this process in a minute; `None`, no limit.
        budget_usd: Hard limit of what a study's questions may cost (`SpendingLimit`); `None`, no limit.
        budget_tokens: The same in tokens, sent and received; `None`, no limit.
        api_base: Address of the server, e.g. "http://localhost:8000/v1".
        api_key: Key for the server; its environment variable is read if it is left out.
        api_version: Version of the server's interface (Azure).
        organization: The organisation that is billed (OpenAI).
        custom_llm_provider: LiteLLM's name of the provider, where the model's name does not say it.
        extra_headers: HTTP headers to add to every request.
        extra_body: Fields to add to the body of every request.
        max_tokens: Most tokens of an answer.
        max_completion_tokens: The same under the name that reasoning models take.
        reasoning_effort: How long a reasoning model thinks, e.g. "low".
        top_p: Share of the probability that tokens are sampled from.
    """

    n_answers: int
    max_context_trials: int
    max_prompt_tokens: int
    interval_coverage: float
    on_failure: OnFailure
    blinded: bool
    temperature: float | None
    timeout: float
    max_retries: int
    retry_wait: float
    requests_per_minute: float | None
    budget_usd: float | None
    budget_tokens: int | None
    api_base: str
    api_key: str
    api_version: str
    organization: str
    custom_llm_provider: str
    extra_headers: Mapping[str, str]
    extra_body: Mapping[str, Any]
    max_tokens: int
    max_completion_tokens: int
    reasoning_effort: str
    top_p: float


def elicitor_for(model: str, options: Mapping[str, Any]) -> Elicitor:
    """The elicitor that asks a model with these options, blinded if they say so.

    Args:
        model: LiteLLM's name of the model.
        options: As `LLMOptions`.

    Raises:
        ConfigurationError: If an option is unknown or out of range.
    """
    check_known(options)
    rest = dict(options)
    blinded = rest.pop("blinded", False)
    if not isinstance(blinded, bool):
        raise ConfigurationError(f"Expected blinded to be True or False, got {blinded!r}.")
    elicitor = LLMElicitor(model, **rest)
    return BlindedElicitor(elicitor) if blinded else elicitor


def check_known(options: Mapping[str, object], *, others: tuple[str, ...] = ()) -> None:
    """Refuse options that no one would read.

    Args:
        options: What was given.
        others: Further names that could have been meant.

    Raises:
        ConfigurationError: With the names that are nearest to the unknown one.
    """
    known = LLMOptions.__annotations__
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, [*known, *others], n=3)
            meant = f" Did you mean {' or '.join(f'{n}=' for n in near)}?" if near else ""
            raise ConfigurationError(
                f"Expected an argument of LLMPriorSampler or an option of LLMOptions, got {name}=.{meant} Any other "
                f"option of LiteLLM's goes to an elicitor: LLMPriorSampler(elicitor=LLMElicitor(model, {name}=...))."
            )
