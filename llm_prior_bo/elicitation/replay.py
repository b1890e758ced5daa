"""Ask once, repeat for ever: exchanges with a model recorded in a file and replayed offline.

A recording is a JSON file with one exchange, or a list of them. An exchange holds the prompt, its hash, and the texts
that came back, as they came: a later version of this package reads them with its own repairs.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from llm_prior_bo.elicitation.answer.names import check_fit
from llm_prior_bo.elicitation.answer.parsing import parse_answer
from llm_prior_bo.elicitation.answer.repair import validate_answer
from llm_prior_bo.elicitation.answer.schema import describe_validation_error
from llm_prior_bo.elicitation.elicitor import Elicitor, elicit_within
from llm_prior_bo.elicitation.files import read_text_file
from llm_prior_bo.elicitation.llm.messages import Message
from llm_prior_bo.elicitation.llm.spending import Usage
from llm_prior_bo.elicitation.prompt.context import DEFAULT_MAX_PROMPT_TOKENS, StudyContext
from llm_prior_bo.elicitation.prompt.render import PROMPT_VERSION, prompt_hash, render_prompt, shown_context
from llm_prior_bo.elicitation.record import MAX_RAW_CHARACTERS, Elicitation
from llm_prior_bo.elicitation.settings import ElicitationSettings, OnFailure
from llm_prior_bo.elicitation.wrapper import ElicitorWrapper
from llm_prior_bo.errors import AnswerError, ConfigurationError, ElicitationError, ElicitationWarning
from llm_prior_bo.space import SearchSpace

FORMAT_VERSION = 1
"""Version of the recording's format."""

_DESCRIPTION = "answer of a large language model to the prompt in this file, recorded once"


@dataclass(frozen=True)
class Exchange:
    """One prompt and the texts that came back.

    Attributes:
        messages: The prompt.
        completions: One text for each independent answer to these very words, unedited.
        prompt_hash: Hash of the prompt, by which it is found again.
        prompt_version: Version of the prompt's wording.
        space_fingerprint: Fingerprint of the search space that was asked about; "" if unknown.
        trial_number: Number of the trial for which was asked.
        model: Who answered.
        recorded_at: ISO 8601 time, UTC.
        description: What this file is, for whoever opens it.
        format_version: Version of this format.
    """

    messages: tuple[Message, ...]
    completions: tuple[str, ...]
    prompt_hash: str
    prompt_version: str = PROMPT_VERSION
    space_fingerprint: str = ""
    trial_number: int = 0
    model: str | None = None
    recorded_at: str | None = None
    description: str = _DESCRIPTION
    format_version: int = FORMAT_VERSION

    def to_dict(self) -> dict[str, Any]:
        """The exchange as it is written to a file, what it is first."""
        return {
            "description": self.description,
            "format_version": self.format_version,
            "model": self.model,
            "recorded_at": self.recorded_at,
            "prompt_version": self.prompt_version,
            "prompt_hash": self.prompt_hash,
            "space_fingerprint": self.space_fingerprint,
            "trial_number": self.trial_number,
            "messages": list(self.messages),
            "completions": list(self.completions),
        }


_EXCHANGES: TypeAdapter[list[Exchange]] = TypeAdapter(list[Exchange])


class ReplayElicitor:
    """Replays recorded exchanges: no key, no network, no cost, the same answer every time.

    The exchange with the very same prompt is taken. If there is none (another trial history after a refresh, a later
    wording of the prompt), the latest one about the same search space that was not asked after the current trial is
    taken, and a warning says so once.

    Args:
        path: The recording.
        strict: Refuse every exchange whose prompt is not the same.
        n_answers: See `ElicitationSettings`, as the next four: as they were when the answers were recorded.
        max_context_trials: How many of the study's trials a question may show.
        max_prompt_tokens: Size that a question is shortened to if it is longer.
        interval_coverage: Probability with which a stated 80 % interval holds the optimum's value.
        on_failure: Whether a first question without an answer ends the study.

    Raises:
        ConfigurationError: If the file cannot be read or is not a recording, or a setting is out of range.
    """

    longest_seconds = 0.0
    """Nobody is asked, so there is nothing to wait for."""

    def __init__(
        self,
        path: str | Path,
        *,
        strict: bool = False,
        n_answers: int = 1,
        max_context_trials: int = 10,
        max_prompt_tokens: int = DEFAULT_MAX_PROMPT_TOKENS,
        interval_coverage: float = 0.5,
        on_failure: OnFailure = "warn",
    ) -> None:
        self.settings = ElicitationSettings(
            n_answers, max_context_trials, max_prompt_tokens, interval_coverage, on_failure
        )
        self.path = Path(path)
        self._exchanges = read_exchanges(self.path)
        self._strict = strict
        self._warned = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @property
    def answers_again(self) -> bool:
        """Whether later questions were recorded too."""
        return len({exchange.trial_number for exchange in self._exchanges}) > 1

    def elicit(self, context: StudyContext) -> Elicitation:
        """The recorded answer, read and repaired anew.

        Raises:
            ElicitationError: If no recorded exchange matches.
            AnswerError: If the recorded answer cannot be used, or is about other parameters altogether.
        """
        wanted = prompt_hash(render_prompt(context))
        exchange, text = self._find(context, wanted)
        try:
            answer, repairs = validate_answer(text, context.space)
        except AnswerError as error:
            raise AnswerError(f"Cannot use the recorded answer in {str(self.path)!r}. {error}") from None
        return Elicitation(
            answer=answer,
            repairs=repairs,
            raw_text=text[:MAX_RAW_CHARACTERS],
            model=exchange.model,
            prompt_version=exchange.prompt_version,
            prompt_hash=exchange.prompt_hash,
            prompt_tokens=0,
            completion_tokens=0,
            cost_usd=0.0,
            n_attempts=0,
            trial_number=context.trial_number,
            # The time of the recording, so that two replays are equal records.
            created_at=exchange.recorded_at or "",
            messages=exchange.messages,
            # Recorded with another prompt, the model saw none of this study's trials.
            trials_shown=shown_context(context).trial_numbers if exchange.prompt_hash == wanted else (),
            answer_index=context.answer_index,
        )

    def _find(self, context: StudyContext, wanted: str) -> tuple[Exchange, str]:
        """The exchange to replay, and which of its completions."""
        same_prompt = [exchange for exchange in self._exchanges if exchange.prompt_hash == wanted]
        if same_prompt:
            return same_prompt[-1], same_prompt[-1].completions[0]
        fingerprint = context.space.fingerprint
        same_space = [exchange for exchange in self._exchanges if exchange.space_fingerprint == fingerprint]
        if not same_space:
            self._require_a_common_parameter(context.space)
        recorded = ", ".join(exchange.prompt_hash for exchange in self._exchanges)
        if self._strict:
            raise ElicitationError(
                f"Expected a recording of the prompt {wanted} in {str(self.path)!r}, got {recorded}; record it again "
                "with RecordingElicitor, or pass strict=False."
            )
        if not same_space:
            raise ElicitationError(
                f"Expected a recording about the search space {fingerprint} ({', '.join(context.space.names)}) in "
                f"{str(self.path)!r}, got {', '.join(e.space_fingerprint or 'none' for e in self._exchanges)}; the "
                "parameters or their ranges have changed: record it again, or pass the answer to FixedElicitor."
            )
        question = _nearest_before(same_space, context.trial_number)
        turn, which = divmod(context.answer_index, len(question))
        chosen = question[which]
        self._warn_once(wanted, chosen)
        return chosen, chosen.completions[turn % len(chosen.completions)]

    def _require_a_common_parameter(self, space: SearchSpace) -> None:
        """Tell the wrong file, which a person has to mend, from a space that has changed."""
        mismatch = None
        for text in (text for exchange in self._exchanges for text in exchange.completions):
            try:
                check_fit(parse_answer(text), space)
            except AnswerError as error:
                mismatch = error
            else:
                return
        raise AnswerError(f"Cannot use the recorded answer in {str(self.path)!r}. {mismatch}") from None

    def _warn_once(self, wanted: str, chosen: Exchange) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"The recording {str(self.path)!r} has no answer to this very prompt ({wanted}); the answer to "
                f"{chosen.prompt_hash}, asked for trial {chosen.trial_number}, about the same search space is used. "
                "Pass strict=True to have none rather than another question's.",
                ElicitationWarning,
                stacklevel=4,
            )


class RecordingElicitor(ElicitorWrapper):
    """Writes down what another elicitor is asked and answers, for `ReplayElicitor`.

    The file is complete after every answer, and is added to: a prompt that is in it already gets the new answer, other
    exchanges stay. An answer that cannot be written down is not lost: a warning says so, and the study uses it.

    Args:
        elicitor: The one who answers, e.g. `LLMElicitor("gpt-4o")`.
        path: The recording.

    Raises:
        ConfigurationError: If the file exists and is not a recording.
    """

    def __init__(self, elicitor: Elicitor, path: str | Path) -> None:
        self.path = Path(path)
        super().__init__(elicitor)
        if self.path.exists():
            read_exchanges(self.path)  # better now than after the first paid answer

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._elicitor!r}, {str(self.path)!r})"

    def elicit(self, context: StudyContext, *, spent: Usage | None = None) -> Elicitation:
        """Pass the question on and record the answer."""
        elicitation = elicit_within(self._elicitor, context, spent)
        try:
            self._record(_exchange(context, elicitation))
        except (OSError, ConfigurationError) as error:
            warnings.warn(
                f"The answer could not be recorded in {str(self.path)!r} ({error}); the study uses it all the same.",
                ElicitationWarning,
                stacklevel=3,
            )
        return elicitation

    def _record(self, exchange: Exchange) -> None:
        with _writing:  # read and written as a whole: two threads would lose an answer
            recorded = list(read_exchanges(self.path)) if self.path.exists() else []
            write_exchanges(self.path, _with_exchange(recorded, exchange))


_writing = threading.Lock()


def read_exchanges(path: str | Path) -> tuple[Exchange, ...]:
    """Read a recording.

    Raises:
        ConfigurationError: If it cannot be read or is not a recording.
    """
    text = read_text_file(path, what="recorded exchanges")
    try:
        data = json.loads(text)
        exchanges = tuple(_EXCHANGES.validate_python(data if isinstance(data, list) else [data]))
    except ValidationError as error:
        raise _not_a_recording(path, describe_validation_error(error), text) from None
    except (ValueError, RecursionError) as error:
        raise _not_a_recording(path, f"it is not JSON: {error}", text) from None
    for exchange in exchanges:
        if exchange.format_version != FORMAT_VERSION:
            raise _not_a_recording(path, f"format_version {exchange.format_version} is not {FORMAT_VERSION}", text)
        if not exchange.completions:
            raise _not_a_recording(path, "an exchange has no completions", text)
    if not exchanges:
        raise _not_a_recording(path, "the list is empty", text)
    return exchanges


def write_exchanges(path: str | Path, exchanges: Sequence[Exchange]) -> None:
    """Write a recording, whole or not at all."""
    path = Path(path)
    data = [exchange.to_dict() for exchange in exchanges]
    text = json.dumps(data[0] if len(data) == 1 else data, indent=1, ensure_ascii=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder: a rename is atomic within one file system only.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def _nearest_before(exchanges: Sequence[Exchange], trial_number: int) -> list[Exchange]:
    """The exchanges of the latest question that was not asked after the given trial, else of the earliest of all."""
    numbers = sorted({exchange.trial_number for exchange in exchanges})
    before = [number for number in numbers if number <= trial_number]
    chosen = before[-1] if before else numbers[0]
    return [exchange for exchange in exchanges if exchange.trial_number == chosen]


def _exchange(context: StudyContext, elicitation: Elicitation) -> Exchange:
    messages = elicitation.messages or render_prompt(context)
    return Exchange(
        messages=messages,
        completions=(_replayable(elicitation),),
        # Not of the messages as they are recorded: secrets are masked in those.
        prompt_hash=elicitation.prompt_hash or prompt_hash(messages),
        space_fingerprint=context.space.fingerprint,
        trial_number=context.trial_number,
        model=elicitation.model,
        recorded_at=elicitation.created_at,
    )


def _replayable(elicitation: Elicitation) -> str:
    """The text as it came; where it was cut in the record, the answer that was read from it."""
    is_whole = len(elicitation.raw_text) < MAX_RAW_CHARACTERS
    return elicitation.raw_text if is_whole else elicitation.answer.model_dump_json()


def _with_exchange(recorded: list[Exchange], new: Exchange) -> list[Exchange]:
    """The recording with a new answer, which replaces what the same prompt had."""
    return [*(exchange for exchange in recorded if exchange.prompt_hash != new.prompt_hash), new]


def _not_a_recording(path: str | Path, reason: str, text: str) -> ConfigurationError:
    hint = "; it looks like an answer: use FixedElicitor" if '"regions"' in text and '"completions"' not in text else ""
    return ConfigurationError(f"Expected a recording of exchanges in {str(path)!r}, got another file ({reason}){hint}.")
