"""From a question to a usable answer: ask, read, repair, and ask again where that fails."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pydantic import TypeAdapter, ValidationError

from llm_prior_bo.elicitation.client import Completion, LiteLLMClient, LLMClient
from llm_prior_bo.elicitation.context import StudyContext
from llm_prior_bo.elicitation.parsing import parse_answer
from llm_prior_bo.elicitation.prompt import PROMPT_VERSION, Messages, ask_again, prompt_hash, render_prompt
from llm_prior_bo.elicitation.redact import redact
from llm_prior_bo.elicitation.repair import check_fit, validate_answer
from llm_prior_bo.elicitation.schema import PriorAnswer, describe_validation_error, portable_schema
from llm_prior_bo.errors import AnswerError, ConfigurationError, ElicitationError, PersistenceError

_MAX_WAIT = 60.0  # seconds between two attempts; a server that wants more is as good as down
_MAX_RAW_CHARACTERS = 40_000


@dataclass(frozen=True)
class Usage:
    """What asking has used up so far; `None` where nobody said.

    Attributes:
        prompt_tokens: Tokens sent.
        completion_tokens: Tokens received.
        cost_usd: Price.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None

    def plus(self, completion: Completion) -> Usage:
        """Usage with one more request."""
        return Usage(
            prompt_tokens=_sum(self.prompt_tokens, completion.prompt_tokens),
            completion_tokens=_sum(self.completion_tokens, completion.completion_tokens),
            cost_usd=_sum(self.cost_usd, completion.cost_usd),
        )


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
        prompt_tokens: Summed over all attempts; `None` where unknown, as the next two.
        completion_tokens: Summed over all attempts.
        cost_usd: Summed over all attempts.
        latency_s: Seconds from the question to the usable answer, waiting included.
        trial_number: Number of the trial for which the answer was asked.
        created_at: ISO 8601 time, UTC.
        n_attempts: Number of requests.
        messages: The prompt; empty if nobody was asked.
        trials_shown: Numbers of the trials that the prompt showed: they are no evidence for or against this answer.
        answer_index: 0 for the first answer to the question, 1 for a second, independent one, and so on.
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


class LLMElicitor:
    """Asks a language model.

    An answer that cannot be used is sent back with what is wrong with it; a request that fails for a reason that may
    pass (time-out, rate limit, fault of the server) is repeated after a pause. Other failures end it at once.

    Args:
        model: LiteLLM's name of the model. Either this or `client`.
        client: Any other way to a model, e.g. `FunctionClient`.
        temperature: Sampling temperature of `model`, `None` for its default.
        timeout: Seconds for one request to `model`.
        max_retries: How many requests may follow the first, for whatever reason.
        retry_wait: Seconds before the first repeated request; doubled each time, at most a minute. A server's
            Retry-After goes before; one of more than a minute ends it.
        sleep: Called with the seconds to wait.
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
        sleep: Callable[[float], None] = time.sleep,
        **options: Any,
    ) -> None:
        if (model is None) == (client is None):
            raise ConfigurationError(f"Expected either model or client, got model={model!r} and client={client!r}.")
        if client is not None and options:
            raise ConfigurationError(f"Expected options only together with model, got {sorted(options)} with a client.")
        if max_retries < 0 or not retry_wait >= 0:
            raise ConfigurationError(
                f"Expected max_retries >= 0 and retry_wait >= 0, got {max_retries!r} and {retry_wait!r}."
            )
        if client is None:
            assert model is not None
            client = LiteLLMClient(model, temperature=temperature, timeout=timeout, **options)
        self._client = client
        self._max_retries = max_retries
        self._retry_wait = retry_wait
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._client!r})"

    def elicit(self, context: StudyContext) -> Elicitation:
        """Ask until there is a usable answer.

        Raises:
            UnansweredError: If none came.
        """
        question = render_prompt(context)
        messages, usage, started = question, Usage(), time.perf_counter()
        for attempt in range(1, self._max_retries + 2):
            try:
                completion = self._complete(messages)
            except ElicitationError as error:
                self._wait_or_give_up(error, attempt, usage)
                continue
            usage = usage.plus(completion)
            try:
                answer, repairs = _read(completion, context)
            except AnswerError as error:
                self._give_up_if_last(error, attempt, usage)
                messages = ask_again(messages, completion.text, str(error))
                continue
            return Elicitation(
                answer=answer,
                repairs=repairs,
                raw_text=completion.text[:_MAX_RAW_CHARACTERS],
                model=completion.model,
                latency_s=time.perf_counter() - started,
                n_attempts=attempt,
                **asdict(usage),
                **_provenance(context, question),
            )
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

    def _complete(self, messages: Messages) -> Completion:
        """One completion, cleared of secrets before anything is read from it, sent back or stored."""
        try:
            completion = self._client.complete(messages, portable_schema())
            return replace(completion, text=redact(completion.text), refusal=redact(completion.refusal or "") or None)
        except ElicitationError:
            raise
        except Exception as error:  # any client, any library: no failure of the model's side may stop a study
            text = redact(f"{type(error).__name__}: {error}")
            retryable = isinstance(error, TimeoutError | ConnectionError)
            raise ElicitationError(f"The client failed with {text}.", retryable=retryable) from None

    def _wait_or_give_up(self, error: ElicitationError, attempt: int, usage: Usage) -> None:
        asked: float | None = getattr(error, "retry_after", None)
        wait = min(self._retry_wait * 2.0 ** (attempt - 1), _MAX_WAIT) if asked is None else asked
        if not error.retryable or attempt > self._max_retries or wait > _MAX_WAIT:
            why = "" if attempt == 1 else f" (attempt {attempt})"
            raise UnansweredError(
                f"No answer: {error}{why}", retryable=error.retryable, n_attempts=attempt, usage=usage
            ) from None
        self._sleep(wait)

    def _give_up_if_last(self, error: AnswerError, attempt: int, usage: Usage) -> None:
        if attempt > self._max_retries:
            raise UnansweredError(
                f"No usable answer in {attempt} attempt{'s' if attempt > 1 else ''}; the last time: {error}",
                retryable=True,
                n_attempts=attempt,
                usage=usage,
            ) from None


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
            raw_text=json.dumps(_plain(self._answer), default=str)[:_MAX_RAW_CHARACTERS],
            model="fixed",
            prompt_tokens=0,
            completion_tokens=0,
            cost_usd=0.0,
            **_provenance(context, None),
        )


def _provenance(context: StudyContext, question: Messages | None) -> dict[str, Any]:
    """What every elicitation records about its question."""
    return {
        "prompt_version": None if question is None else PROMPT_VERSION,
        "prompt_hash": None if question is None else prompt_hash(question),
        "messages": question or (),
        "trials_shown": () if question is None else context.trial_numbers,
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


def _sum(total: Any, more: Any) -> Any:
    """A sum in which `None` is unknown: it stays `None` until something is known."""
    if more is None:
        return total
    return more if total is None else total + more
