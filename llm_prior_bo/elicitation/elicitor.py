"""From a question to a usable answer: ask, read, repair, and ask again where that fails."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pydantic import TypeAdapter, ValidationError

from llm_prior_bo.elicitation.answer.parsing import follows_schema, parse_answer
from llm_prior_bo.elicitation.answer.repair import check_fit, validate_answer
from llm_prior_bo.elicitation.answer.schema import PriorAnswer, describe_validation_error, portable_schema
from llm_prior_bo.elicitation.llm.client import (
    GRACE_SECONDS,
    MAX_TEXT_CHARACTERS,
    Completion,
    LenientClient,
    LiteLLMClient,
    LLMClient,
)
from llm_prior_bo.elicitation.llm.messages import Messages
from llm_prior_bo.elicitation.llm.retry import MAX_WAIT, BackOff, RateLimit
from llm_prior_bo.elicitation.llm.secrets import redact
from llm_prior_bo.elicitation.llm.spending import SpendingError, SpendingLimit
from llm_prior_bo.elicitation.llm.spending import Usage as Usage
from llm_prior_bo.elicitation.prompt.context import StudyContext
from llm_prior_bo.elicitation.prompt.render import (
    PROMPT_VERSION,
    ask_again,
    prompt_hash,
    render_prompt,
    shown_context,
)
from llm_prior_bo.errors import AnswerError, ConfigurationError, ElicitationError, PersistenceError

MAX_RAW_CHARACTERS = 40_000
"""A longer text of a model is cut in the record."""


_NOTHING = Usage()


class UnansweredError(ElicitationError):
    """All attempts were in vain.

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


@dataclass(frozen=True)
class Elicitation:
    """One answer and how it came about.

    Attributes:
        answer: The answer, repaired, fitting the search space it was asked for.
        repairs: One sentence for each repair.
        raw_text: The text as the model gave it, but for secrets.
        model: Who answered: the provider's name of the model, "fixed" for a person or a file.
        prompt_version: Version of the prompt's wording, `None` if nobody was asked.
        prompt_hash: Hash of the prompt, `None` if nobody was asked.
        prompt_tokens: Summed over all attempts; `None` where unknown, as the next two; 0 if nobody was asked.
        completion_tokens: Summed over all attempts.
        cost_usd: Summed over all attempts.
        latency_s: Seconds from the question to the usable answer, waiting included.
        trial_number: Number of the trial for which the answer was asked.
        created_at: ISO 8601 time, UTC.
        n_attempts: Number of requests; 0 if nobody was asked.
        messages: The prompt; empty if nobody was asked.
        trials_shown: Numbers of the trials that the prompt showed: they are no evidence for or against this answer.
        answer_index: 0 for the first answer to the question, 1 for a second, independent one, and so on.
        reason: Why it was asked again, a `RefreshReason`; "" for the first question of a study.
        n_finished: Trials with a value when it was asked.
        space_fingerprint: Fingerprint of the search space that was asked about; "" if unknown.
        unpriced_tokens: Tokens of requests without a known price, see `Usage`.
        uncounted_tokens: Tokens that nobody counted, estimated, see `Usage`.
    """

    answer: PriorAnswer
    repairs: tuple[str, ...] = ()
    raw_text: str = ""
    model: str | None = None
    prompt_version: str | None = None
    prompt_hash: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    latency_s: float = 0.0
    trial_number: int = 0
    created_at: str = ""
    n_attempts: int = 1
    messages: Messages = ()
    trials_shown: tuple[int, ...] = ()
    answer_index: int = 0
    reason: str = ""
    n_finished: int = 0
    space_fingerprint: str = ""
    unpriced_tokens: int = 0
    uncounted_tokens: int = 0

    @property
    def usage(self) -> Usage:
        """What the answer has used up."""
        unpriced = self.unpriced_tokens
        if not unpriced and self.cost_usd is None:  # a record of an earlier version does not say
            unpriced = (self.prompt_tokens or 0) + (self.completion_tokens or 0)
        return Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cost_usd=self.cost_usd,
            n_calls=self.n_attempts,
            latency_s=self.latency_s,
            unpriced_tokens=unpriced,
            uncounted_tokens=self.uncounted_tokens,
        )

    def to_json(self) -> str:
        """The record as JSON text, ASCII only, the same for equal records."""
        record = asdict(replace(self, answer=None))  # type: ignore[arg-type]  # pydantic dumps the answer itself
        return json.dumps({**record, "answer": self.answer.model_dump()}, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Elicitation:
        """The record from `to_json`; fields that a later version added are ignored.

        Raises:
            PersistenceError: If the text is not such a record.
        """
        try:
            record = _RECORD.validate_json(text)
        except ValidationError as error:
            raise PersistenceError(
                f"Expected the JSON text of an elicitation, got one with faults: {describe_validation_error(error)}."
            ) from None
        numbers = (record.latency_s, record.cost_usd or 0.0)
        if not all(math.isfinite(number) for number in numbers):
            raise PersistenceError(f"Expected finite numbers in an elicitation, got {numbers}.")
        return record


_RECORD: TypeAdapter[Elicitation] = TypeAdapter(Elicitation)


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


class LLMElicitor:
    """Asks a language model.

    An answer that cannot be used is sent back with what is wrong with it. If it does not follow the schema at all, the
    server seems to ignore it: then the shape is asked for in the prompt instead. A request that fails for a reason that
    may pass (time-out, rate limit, fault of the server) is repeated after a pause. Other failures end it at once.

    Args:
        model: LiteLLM's name of the model. Either this or `client`.
        client: Any other way to a model, e.g. `FunctionClient`.
        temperature: Sampling temperature of `model`, `None` for its default.
        timeout: Seconds for one request to `model`.
        max_retries: How many requests may follow the first, for whatever reason.
        retry_wait: Seconds before the first repeated request; doubled each time, at most a minute, and shortened at
            random by up to half. A server's Retry-After goes before; one of more than a minute ends it.
        limit: Hard limits of what a study may spend, kept before every request.
        requests_per_minute: Most requests of this process in a minute, spread evenly; `None` for no limit.
        sleep: Called with the seconds to wait.
        clock: Seconds that pass, for `requests_per_minute`.
        rng: Randomness of the pauses; an own one if left out.
        **options: Passed to LiteLLM: `api_base`, `api_key`, `max_tokens` and so on.

    Raises:
        ConfigurationError: If the arguments contradict each other.
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
        requests_per_minute: float | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        **options: Any,
    ) -> None:
        if (model is None) == (client is None):
            raise ConfigurationError(f"Expected either model or client, got model={model!r} and client={client!r}.")
        if client is not None and options:
            raise ConfigurationError(f"Expected options only together with model, got {sorted(options)} with a client.")
        if max_retries < 0:
            raise ConfigurationError(f"Expected max_retries >= 0, got {max_retries!r}.")
        if client is None:
            assert model is not None
            client = LiteLLMClient(model, temperature=temperature, timeout=timeout, **options)
        self.limit = limit
        self._client = client
        self._timeout = timeout
        self._max_retries = max_retries
        self._back_off = BackOff(retry_wait, rng or random.Random())
        self._rate_limit = RateLimit(requests_per_minute, sleep=sleep, clock=clock)
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._client!r})"

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
        question = render_prompt(context)
        conversation = _Conversation(question, started=time.perf_counter())
        for attempt in range(1, self._max_retries + 2):
            self._check_limit(spent, conversation)
            completion = self._next_completion(conversation, attempt)
            if completion is None:
                continue
            try:
                answer, repairs = _read(completion, context)
            except AnswerError as error:
                self._ask_again_or_give_up(conversation, completion, error, attempt)
                continue
            return _elicitation(answer, repairs, completion, conversation.bill(attempt), _provenance(context, question))
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

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
            n_requests = conversation.n_requests
            raise SpendingError(f"{error}{before}", usage=conversation.bill(n_requests)) from None

    def _next_completion(self, conversation: _Conversation, attempt: int) -> Completion | None:
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
        self._wait_or_give_up(error, attempt, conversation.bill(attempt))
        return None

    def _complete(self, conversation: _Conversation) -> tuple[Completion | None, ElicitationError | None]:
        """One completion, cleared of secrets before anything is read from it, sent back or stored; or what failed."""
        try:
            completion = self._request(conversation)
            return _redacted(completion), None
        except ElicitationError as error:
            return None, error
        except Exception as error:  # any client, any library: no failure of the model's side may stop a study
            text = redact(f"{type(error).__name__}: {error}")
            retryable = isinstance(error, TimeoutError | ConnectionError)
        # Not within the `except`: the new error must not lead to the old one, whose text may hold a key.
        return None, ElicitationError(f"The client failed with {text}.", retryable=retryable)

    def _request(self, conversation: _Conversation) -> Completion:
        messages, n_steps = conversation.messages, conversation.n_steps_down
        if n_steps and isinstance(self._client, LenientClient):
            return self._client.complete_leniently(messages, portable_schema(), n_steps=n_steps)
        return self._client.complete(messages, portable_schema())

    def _wait_or_give_up(self, error: ElicitationError, attempt: int, usage: Usage) -> None:
        wait = self._back_off.seconds(attempt, getattr(error, "retry_after", None))
        if wait is None or not error.retryable or attempt > self._max_retries:
            why = "" if attempt == 1 else f" (attempt {attempt})"
            raise UnansweredError(
                f"No answer: {error}{why}", retryable=error.retryable, n_attempts=attempt, usage=usage
            )
        self._sleep(wait)

    def _ask_again_or_give_up(
        self, conversation: _Conversation, completion: Completion, error: AnswerError, attempt: int
    ) -> None:
        if attempt > self._max_retries:
            raise UnansweredError(
                f"No usable answer in {attempt} attempt{'s' if attempt > 1 else ''}; the last time: {error}",
                retryable=True,
                n_attempts=attempt,
                usage=conversation.bill(attempt),
            ) from None
        conversation.messages = ask_again(conversation.messages, completion.text, str(error))
        conversation.problem = str(error)
        if _ignores_schema(completion):
            conversation.n_steps_down += 1


@dataclass
class _Conversation:
    """One question on its way to an answer: what is sent next, and what was used up."""

    messages: Messages
    started: float
    usage: Usage = _NOTHING
    last: Usage | None = None
    n_requests: int = 0
    n_steps_down: int = 0
    problem: str = ""

    def bill(self, n_calls: int) -> Usage:
        """What was used up so far, failed requests and waiting included."""
        return replace(self.usage, n_calls=n_calls, latency_s=time.perf_counter() - self.started)


def _ignores_schema(completion: Completion) -> bool:
    """Whether a server that was to enforce the schema did not; a refusal or a broken-off text is no sign of that."""
    if completion.finish_reason in ("length", "content_filter") or (completion.refusal and not completion.text.strip()):
        return False
    return not follows_schema(completion.text)


def _redacted(completion: Completion) -> Completion:
    model = None if completion.model is None else _clean(str(completion.model))
    return replace(
        completion, text=_clean(completion.text), model=model, refusal=_clean(completion.refusal or "") or None
    )


def _clean(text: str) -> str:
    """Text without secrets that can be encoded: half a character would fail where it is stored, or sent back."""
    return redact(text[:MAX_TEXT_CHARACTERS].encode("utf-8", "replace").decode("utf-8"))


def _elicitation(
    answer: PriorAnswer, repairs: tuple[str, ...], completion: Completion, usage: Usage, provenance: Mapping[str, Any]
) -> Elicitation:
    figures = asdict(usage)
    return Elicitation(
        answer=answer,
        repairs=repairs,
        raw_text=completion.text[:MAX_RAW_CHARACTERS],
        model=completion.model,
        n_attempts=figures.pop("n_calls"),
        **figures,
        **provenance,
    )


class FixedElicitor:
    """An answer that is known already: written by a person, taken from a file. Nobody is asked.

    Args:
        answer: A `PriorAnswer`, the same as a dict or JSON text, or the path of a JSON file.

    Raises:
        ConfigurationError: If there is no such file.
        AnswerError: If it holds no answer.
    """

    def __init__(self, answer: PriorAnswer | Mapping[str, Any] | str | Path) -> None:
        self._answer = _supplied_answer(answer)

    def elicit(self, context: StudyContext) -> Elicitation:
        """The answer, repaired where necessary.

        Raises:
            AnswerError: If the answer does not fit the search space.
        """
        check_fit(self._answer, context.space)
        answer, repairs = validate_answer(self._answer, context.space)
        return Elicitation(
            answer=answer,
            repairs=repairs,
            raw_text=json.dumps(_plain(self._answer), default=str)[:MAX_RAW_CHARACTERS],
            model="fixed",
            prompt_tokens=0,
            completion_tokens=0,
            cost_usd=0.0,
            n_attempts=0,
            **_provenance(context, None),
        )


def _provenance(context: StudyContext, question: Messages | None) -> dict[str, Any]:
    """What every elicitation records about its question."""
    return {
        "prompt_version": None if question is None else PROMPT_VERSION,
        "prompt_hash": None if question is None else prompt_hash(question),
        "messages": question or (),
        "trials_shown": () if question is None else shown_context(context).trial_numbers,
        "trial_number": context.trial_number,
        "answer_index": context.answer_index,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _read(completion: Completion, context: StudyContext) -> tuple[PriorAnswer, tuple[str, ...]]:
    """The answer in a completion.

    Raises:
        AnswerError: Also for a refusal and for a text that was broken off.
    """
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


def _supplied_answer(answer: PriorAnswer | Mapping[str, Any] | str | Path) -> PriorAnswer | Mapping[str, Any]:
    if isinstance(answer, PriorAnswer | Mapping):
        return answer
    if isinstance(answer, str) and answer.lstrip().startswith("{"):
        return parse_answer(answer)
    text = read_text_file(answer, what="an answer")
    try:
        return parse_answer(text)
    except AnswerError as error:
        hint = " It looks like a recording: use ReplayElicitor." if '"completions"' in text else ""
        raise AnswerError(f"Cannot use the file {str(answer)!r}. {error}{hint}") from None


def read_text_file(path: str | Path, *, what: str) -> str:
    """Text of a file that the user named.

    Raises:
        ConfigurationError: If it cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigurationError(
            f"Expected the path of a JSON file with {what}, got {str(path)!r}, which cannot be read ({reason})."
        ) from None


def _plain(answer: PriorAnswer | Mapping[str, Any]) -> dict[str, Any]:
    return answer.model_dump() if isinstance(answer, PriorAnswer) else dict(answer)
