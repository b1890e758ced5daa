"""Ask a language model until there is a usable answer."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from optuna.logging import get_logger

from llm_prior_bo.elicitation.answer.parsing import follows_schema
from llm_prior_bo.elicitation.answer.repair import validate_answer
from llm_prior_bo.elicitation.answer.schema import PriorAnswer, portable_schema
from llm_prior_bo.elicitation.elicitor import name_of
from llm_prior_bo.elicitation.llm.client import MAX_TEXT_CHARACTERS, Completion, LenientClient, LLMClient
from llm_prior_bo.elicitation.llm.litellm_client import GRACE_SECONDS, LiteLLMClient
from llm_prior_bo.elicitation.llm.messages import Messages
from llm_prior_bo.elicitation.llm.retry import MAX_WAIT, BackOff, RateLimit
from llm_prior_bo.elicitation.llm.secrets import cut_off, encodable, printable, redact
from llm_prior_bo.elicitation.llm.spending import SpendingError, SpendingLimit, Usage
from llm_prior_bo.elicitation.masking import Mask, masked_messages, masked_record, names_in
from llm_prior_bo.elicitation.prompt.context import DEFAULT_MAX_PROMPT_TOKENS, StudyContext
from llm_prior_bo.elicitation.prompt.render import ask_again, render_prompt
from llm_prior_bo.elicitation.record import Elicitation, provenance
from llm_prior_bo.elicitation.settings import ElicitationSettings, OnFailure, check_count, check_number
from llm_prior_bo.errors import AnswerError, ConfigurationError, ElicitationError

MAX_COMPLAINT_CHARACTERS = 2_000
"""What is wrong with an answer, sent back to the model and shown to the user, is cut here."""

MAX_MODEL_CHARACTERS = 200
"""A longer name of a model is cut."""

_MAX_REASON_CHARACTERS = 300
_NOTHING = Usage()
_log = get_logger(f"optuna.{__name__}")  # below Optuna's own, whose level and handlers the user knows


class UnansweredError(ElicitationError):
    """No attempt brought a usable answer.

    Args:
        message: What happened and what to do.
        retryable: Whether a later attempt may succeed.
        n_attempts: Number of requests that were made.
        usage: What they have used up nevertheless.
    """

    def __init__(self, message: str, *, retryable: bool, n_attempts: int, usage: Usage) -> None:
        super().__init__(message, retryable=retryable)
        self.n_attempts = n_attempts
        self.usage = usage


class LLMElicitor:
    """Asks a language model.

    An answer that cannot be used is sent back with what is wrong with it. If it does not follow the schema at all, the
    server seems to ignore it: then the shape is asked for in the prompt instead. A request that fails for a reason that
    may pass (time-out, rate limit, fault of the server) is repeated after a pause. Other failures end it at once.

    Args:
        model: LiteLLM's name of the model. Either this or `client`.
        client: Any other way to a model, e.g. `FunctionClient`.
        temperature: Sampling temperature of `model`, `None` for its default.
        timeout: Seconds for one request to `model`. Half a minute: hosted models take a few seconds.
        max_retries: How many requests may follow the first, for whatever reason. Three pass over a short fault.
        retry_wait: Seconds before the first repeated request; doubled each time, at most a minute, and shortened at
            random by up to half. A server's Retry-After takes precedence; one of more than a minute ends it.
        limit: Hard limits of what a study may spend, kept before every request.
        budget_usd: The same in short: `SpendingLimit(budget_usd, budget_tokens)`.
        budget_tokens: The same in tokens, sent and received.
        requests_per_minute: Most requests of this process in a minute, spread evenly; `None` for no limit.
        n_answers: See `ElicitationSettings`, as the next four.
        max_context_trials: How many of the study's trials a question may show.
        max_prompt_tokens: Size that a question is shortened to if it is longer.
        interval_coverage: Probability with which a stated 80 % interval holds the optimum's value.
        on_failure: "raise": a first question without an answer ends the study; "warn": it goes on without a prior.
        sleep: Called with the seconds to wait.
        clock: Seconds that pass, for `requests_per_minute`.
        rng: Randomness of the pauses; an own one if left out.
        **options: Passed to LiteLLM: `api_base`, `api_key`, `max_tokens` and so on.

    Raises:
        ConfigurationError: If the arguments contradict each other or are out of range.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        client: LLMClient | None = None,
        temperature: float | None = 0.3,
        timeout: float = 30.0,
        max_retries: int = 3,
        retry_wait: float = 1.0,
        limit: SpendingLimit | None = None,
        budget_usd: float | None = None,
        budget_tokens: int | None = None,
        requests_per_minute: float | None = None,
        n_answers: int = 1,
        max_context_trials: int = 10,
        max_prompt_tokens: int = DEFAULT_MAX_PROMPT_TOKENS,
        interval_coverage: float = 0.5,
        on_failure: OnFailure = "warn",
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        **options: Any,
    ) -> None:
        if (model is None) == (client is None):
            raise ConfigurationError(f"Expected either model or client, got model={model!r} and client={client!r}.")
        if client is not None and options:
            raise ConfigurationError(f"Expected options only together with model, got {sorted(options)} with a client.")
        if "blinded" in options:
            raise ConfigurationError(
                "Expected no blinded=, got it; wrap the elicitor: BlindedElicitor(LLMElicitor(...))."
            )
        check_count("max_retries", max_retries)
        if temperature is not None:
            check_number("temperature", temperature)
        if client is None:
            assert model is not None
            client = LiteLLMClient(model, temperature=temperature, timeout=timeout, **options)
        self.settings = ElicitationSettings(
            n_answers, max_context_trials, max_prompt_tokens, interval_coverage, on_failure
        )
        self.limit = _limit(limit, budget_usd, budget_tokens)
        self._client = client
        self._timeout = timeout
        self._max_retries = max_retries
        self._back_off = BackOff(retry_wait, rng or random.Random())
        self._rate_limit = RateLimit(requests_per_minute, sleep=sleep, clock=clock)
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._client!r})"

    @property
    def name(self) -> str:
        """The model that is asked, else the class of the client."""
        return str(getattr(self._client, "model", type(self._client).__name__))

    def problems(self) -> tuple[str, ...]:
        """What would keep the model from answering, as far as it can be told without asking; empty if nothing."""
        problems = getattr(self._client, "problems", None)
        return tuple(problems()) if callable(problems) else ()

    def estimated_cost(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """About what a request costs in USD; `None` if the client knows no price."""
        estimate = getattr(self._client, "estimated_cost", None)
        return estimate(prompt_tokens, completion_tokens) if callable(estimate) else None

    @property
    def longest_seconds(self) -> float:
        """How long one answer may take at most, with every retry and pause, if the client keeps its time-out."""
        n_requests = self._max_retries + 1
        return n_requests * (self._timeout + GRACE_SECONDS + self._rate_limit.interval) + self._max_retries * MAX_WAIT

    def elicit(self, context: StudyContext, *, spent: Usage = _NOTHING) -> Elicitation:
        """Ask until there is a usable answer.

        Args:
            context: What to ask about.
            spent: What this study's questions have used up so far.

        Raises:
            UnansweredError: If none came.
            SpendingError: If a limit was reached before.
        """
        self._prepare_client()
        question = render_prompt(context)
        mask = self._mask_for(context)
        conversation = _Conversation(masked_messages(question, mask), mask, started=time.perf_counter())
        for _ in range(self._max_retries + 1):
            self._check_limit(spent, conversation)
            completion = self._next_completion(conversation)
            if completion is None:
                continue
            try:
                answer, repairs = _read(completion, context)
            except AnswerError as error:
                self._ask_again_or_give_up(conversation, completion, error)
                continue
            elicitation = _elicitation(answer, repairs, completion, conversation.bill())
            return masked_record(replace(elicitation, **provenance(context, question)), mask)
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

    def _prepare_client(self) -> None:
        """Let the client import what it needs: that is no part of a request's time."""
        prepare = getattr(self._client, "prepare", None)
        if prepare is not None:
            with contextlib.suppress(Exception):  # the request will fail in the same way, and be explained
                prepare()

    def _mask_for(self, context: StudyContext) -> Mask:
        """Masks secrets, but no name of the space: those are what is asked about."""
        secrets = tuple(getattr(self._client, "secrets", ()))
        return partial(redact, secrets=secrets, keep=names_in(context.distributions))

    def _check_limit(self, spent: Usage, conversation: _Conversation) -> None:
        """Keep the limits before a request.

        Raises:
            SpendingError: With what this very question has used up, and why it was to be asked again.
        """
        if self.limit is None:
            return
        try:
            self.limit.check(spent + conversation.usage, last=conversation.last)
        except SpendingError as error:
            before = f" The answer so far could not be used: {conversation.problem}" if conversation.problem else ""
            raise SpendingError(f"{error}{before}", usage=conversation.bill()) from None

    def _next_completion(self, conversation: _Conversation) -> Completion | None:
        """The next completion, `None` if the request failed and may be repeated: the pause is over then.

        Raises:
            UnansweredError: If it may not.
        """
        self._rate_limit.wait()
        conversation.n_requests += 1
        completion, error = self._complete(conversation)
        if completion is not None:
            conversation.last = Usage.of_request(conversation.messages, completion)
            conversation.usage = conversation.usage + conversation.last
            return completion
        assert error is not None
        self._wait_or_give_up(conversation, error)
        if getattr(error, "failed_generation", False):  # the server's own check of the format may be what fails
            conversation.n_steps_down += 1
        return None

    def _complete(self, conversation: _Conversation) -> tuple[Completion | None, ElicitationError | None]:
        """One completion of bounded size; or what failed."""
        try:
            return _bounded(self._request(conversation)), None
        except ElicitationError as error:
            return None, error
        except Exception as error:  # any client, any library: no failure of the model's side may stop a study
            text = cut_off(conversation.mask(f"{type(error).__name__}: {error}"), MAX_COMPLAINT_CHARACTERS)
            retryable = isinstance(error, TimeoutError | ConnectionError)
        # Not within the `except`: the new error must not lead to the old one, whose text may hold a key.
        return None, ElicitationError(f"The client failed with {text}.", retryable=retryable)

    def _request(self, conversation: _Conversation) -> Completion:
        messages, n_steps = conversation.messages, conversation.n_steps_down
        if n_steps and isinstance(self._client, LenientClient):
            return self._client.complete_leniently(messages, portable_schema(), n_steps=n_steps)
        return self._client.complete(messages, portable_schema())

    def _wait_or_give_up(self, conversation: _Conversation, error: ElicitationError) -> None:
        attempt = conversation.n_requests
        wait = self._back_off.seconds(attempt, getattr(error, "retry_after", None))
        if wait is None or not error.retryable or attempt > self._max_retries:
            why = "" if attempt == 1 else f" (attempt {attempt})"
            raise UnansweredError(
                f"No answer: {error}{why}",
                retryable=error.retryable,
                n_attempts=attempt,
                usage=conversation.bill(),
            )
        self._tell_of_retry(attempt, f"in {wait:.1f} s", conversation.mask(str(error)))
        self._sleep(wait)

    def _tell_of_retry(self, attempt: int, when: str, why: str) -> None:
        reason = printable(cut_off(" ".join(why.split()), _MAX_REASON_CHARACTERS))
        _log.info(f"{name_of(self)} is asked again {when} (attempt {attempt + 1} of {self._max_retries + 1}): {reason}")

    def _ask_again_or_give_up(self, conversation: _Conversation, completion: Completion, error: AnswerError) -> None:
        attempt = conversation.n_requests
        problem = cut_off(conversation.mask(str(error)), MAX_COMPLAINT_CHARACTERS)
        if attempt > self._max_retries:
            raise UnansweredError(
                f"No usable answer in {attempt} attempt{'s' if attempt > 1 else ''}; the last time: {problem}",
                retryable=True,
                n_attempts=attempt,
                usage=conversation.bill(),
            ) from None
        conversation.messages = ask_again(conversation.messages, conversation.mask(completion.text), problem)
        conversation.problem = problem
        self._tell_of_retry(attempt, "at once", problem)
        if _ignores_schema(completion):
            conversation.n_steps_down += 1


def _limit(limit: SpendingLimit | None, budget_usd: float | None, budget_tokens: int | None) -> SpendingLimit | None:
    if budget_usd is None and budget_tokens is None:
        return limit
    if limit is not None:
        raise ConfigurationError("Expected either limit= or budget_usd= and budget_tokens=, got both.")
    return SpendingLimit(budget_usd, budget_tokens)


@dataclass
class _Conversation:
    """One question on its way to an answer: what is sent next, and what was used up."""

    messages: Messages
    mask: Mask
    started: float
    usage: Usage = _NOTHING
    last: Usage | None = None
    n_requests: int = 0
    n_steps_down: int = 0
    problem: str = ""

    def bill(self) -> Usage:
        """What was used up so far, failed requests and waiting included."""
        return replace(self.usage, n_calls=self.n_requests, latency_s=time.perf_counter() - self.started)


def _ignores_schema(completion: Completion) -> bool:
    """Whether a server that was to enforce the schema did not; a refusal or a broken-off text is no sign of that."""
    if completion.finish_reason in ("length", "content_filter") or (completion.refusal and not completion.text.strip()):
        return False
    return not follows_schema(completion.text)


def _bounded(completion: Completion) -> Completion:
    """A completion of bounded size that can be encoded: half a character would fail where it is stored or sent."""
    model, reason = completion.model, completion.finish_reason
    return replace(
        completion,
        text=encodable(str(completion.text or "")[:MAX_TEXT_CHARACTERS]),
        model=None if model is None else encodable(str(model)[:MAX_MODEL_CHARACTERS]),
        refusal=encodable(str(completion.refusal or "")[:MAX_COMPLAINT_CHARACTERS]) or None,
        finish_reason=None if reason is None else str(reason)[:MAX_MODEL_CHARACTERS],
    )


def _elicitation(answer: PriorAnswer, repairs: tuple[str, ...], completion: Completion, usage: Usage) -> Elicitation:
    figures = asdict(usage)
    return Elicitation(
        answer=answer,
        repairs=repairs,
        raw_text=completion.text,
        model=completion.model,
        n_attempts=figures.pop("n_calls"),
        **figures,
    )


def _read(completion: Completion, context: StudyContext) -> tuple[PriorAnswer, tuple[str, ...]]:
    """The answer in a completion.

    Raises:
        AnswerError: Also for a refusal and for a text that was broken off.
    """
    if completion.finish_reason == "content_filter" and not completion.text.strip():
        raise AnswerError("Expected an answer, got none: the provider's content filter withheld it.")
    if completion.refusal and not completion.text.strip():
        raise AnswerError(f"Expected a belief about an optimisation problem, got a refusal: {completion.refusal[:300]}")
    try:
        return validate_answer(completion.text, context.space)
    except AnswerError as error:
        if completion.finish_reason == "length":
            raise AnswerError(
                f"{error} The answer was broken off because it was too long: give fewer regions and shorter notes."
            ) from None
        raise
