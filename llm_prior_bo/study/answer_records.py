"""Answers kept in the study, so that a resumed study and other workers need not ask again.

Records are system attributes of the study, written through its storage: under a pruner with brackets the `study` that a
sampler is given has no attributes of its own, and Optuna 5 has no other way to write them.

No storage compares and sets, so two writers must never write one key: the key of a record holds the hash of its text.
Equal records fall together, different ones lie side by side, and a record that is damaged or only half written is told
by its hash. Nothing here raises because of the storage: a study must not end because a note could not be kept.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import optuna
from pydantic import TypeAdapter, ValidationError

from llm_prior_bo.elicitation.answer.repair import validate_answer
from llm_prior_bo.elicitation.llm.secrets import printable, redact
from llm_prior_bo.elicitation.llm.spending import Usage
from llm_prior_bo.elicitation.record import Elicitation
from llm_prior_bo.errors import AnswerError, ElicitationWarning, PersistenceError
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.storage import PerStudy, set_study_attribute, study_attributes

FORMAT_VERSION = 1
"""Version of the records. A reader ignores records of versions that it does not know, with a warning."""

# MySQL's TEXT holds 65,535 bytes, and the storage escapes each quote of the text: at most twice as long. Below this
# length a record is one value, hence written at once or not at all.
MAX_VALUE_CHARACTERS = 25_000

_PREFIX = "llm_prior_bo"
_MAX_REASON_CHARACTERS = 2_000


@dataclass(frozen=True)
class FailureRecord:
    """A question that nobody answered.

    Attributes:
        trial_number: Number of the trial for which was asked.
        reason: What happened, without secrets.
        created_at: ISO 8601 time, UTC.
        usage: What the unanswered question has used up.
        n_finished: Trials with a value when it was asked.
    """

    trial_number: int
    reason: str
    created_at: str = ""
    usage: Usage = field(default_factory=Usage)
    n_finished: int = 0


_FAILURE: TypeAdapter[FailureRecord] = TypeAdapter(FailureRecord)


def save_elicitation(study: optuna.Study, elicitation: Elicitation) -> bool:
    """Keep an elicitation in the study.

    Returns:
        Whether it was written; if not, a warning has said why.
    """
    return write_record(study, "elicitation", elicitation.trial_number, elicitation.to_json())


@dataclass(frozen=True)
class Records:
    """What is kept in a study about its questions.

    Attributes:
        elicitations: Answers, see `load_elicitations`.
        failures: Questions that nobody answered, see `load_failures`.
    """

    elicitations: tuple[Elicitation, ...]
    failures: tuple[FailureRecord, ...]

    @property
    def usage(self) -> Usage:
        """What all questions have used up."""
        return Usage.total([*(e.usage for e in self.elicitations), *(f.usage for f in self.failures)])


def load_records(study: optuna.Study) -> Records:
    """All that is kept in the study, as of one moment: the storage is read once."""
    attributes = _attributes(study)
    return Records(_elicitations(study, attributes, None), _failures(study, attributes))


def load_elicitations(study: optuna.Study, *, space: SearchSpace | None = None) -> tuple[Elicitation, ...]:
    """All elicitations kept in the study that can be used.

    The order is the same for every reader: by trial number, answer index, time and text. Of several answers to one
    question (same trial number, same answer index) the first in that order is returned alone. So whoever needs the one
    answer that all workers agree on takes the first.

    Args:
        study: The study.
        space: If given, answers are validated against it anew, and those without any of its parameters are left out.
    """
    return _elicitations(study, _attributes(study), space)


def save_failure(
    study: optuna.Study, trial_number: int, reason: str, *, usage: Usage | None = None, n_finished: int = 0
) -> bool:
    """Note in the study that a question went unanswered.

    Args:
        study: The study.
        trial_number: Number of the trial for which was asked.
        reason: What happened; secrets are masked.
        usage: What the unanswered question has used up, as `UnansweredError` has it.
        n_finished: Trials with a value when it was asked.

    Returns:
        Whether it was written; if not, a warning has said why.
    """
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    text = printable(redact(reason))[:_MAX_REASON_CHARACTERS]
    record = FailureRecord(trial_number, text, created_at, usage or Usage(), n_finished)
    return write_record(study, "failure", trial_number, json.dumps(asdict(record), sort_keys=True))


def load_failures(study: optuna.Study) -> tuple[FailureRecord, ...]:
    """All unanswered questions noted in the study, by trial number and time."""
    return _failures(study, _attributes(study))


def _elicitations(
    study: optuna.Study, attributes: Mapping[str, Any], space: SearchSpace | None
) -> tuple[Elicitation, ...]:
    found: dict[tuple[int, int], tuple[tuple[str, str], Elicitation]] = {}
    for text in _texts(study, attributes, "elicitation"):
        elicitation = _elicitation(study, text, space)
        if elicitation is None:
            continue
        question = (elicitation.trial_number, elicitation.answer_index)
        rank = (elicitation.created_at, text)
        if question not in found or rank < found[question][0]:
            found[question] = (rank, elicitation)
    return tuple(found[question][1] for question in sorted(found))


def _failures(study: optuna.Study, attributes: Mapping[str, Any]) -> tuple[FailureRecord, ...]:
    records = []
    for text in _texts(study, attributes, "failure"):
        try:
            records.append(_FAILURE.validate_json(text))
        except ValidationError:
            warn_once_of_elicitation(
                study, "A note about an unanswered question, kept in the study, cannot be read and is ignored."
            )
    return tuple(sorted(records, key=lambda record: (record.trial_number, record.created_at, record.reason)))


def _elicitation(study: optuna.Study, text: str, space: SearchSpace | None) -> Elicitation | None:
    """A stored record, read as what it is: input from whoever can write to the storage."""
    try:
        elicitation = Elicitation.from_json(text)
        if not elicitation.answer.regions:
            raise AnswerError("Expected an answer with at least one region, got one with none.")
        if space is None:
            return elicitation
        answer, repairs = validate_answer(elicitation.answer, space)
    except (PersistenceError, AnswerError) as error:
        warn_once_of_elicitation(study, f"An answer kept in the study cannot be used and is ignored: {error}")
        return None
    # What was repaired when the answer was stored is in `repairs` already.
    new = tuple(sentence for sentence in repairs if sentence not in elicitation.repairs)
    return replace(elicitation, answer=answer, repairs=(*elicitation.repairs, *new))


def write_record(study: optuna.Study, kind: str, trial_number: int, text: str) -> bool:
    """Keep a text in the study under the hash of it.

    Args:
        study: The study.
        kind: What it is a record of.
        trial_number: Number of the trial for which it is kept.
        text: The record, ASCII.

    Returns:
        Whether it was written; if not, a warning has said why.
    """
    chunks = [text[i : i + MAX_VALUE_CHARACTERS] for i in range(0, len(text), MAX_VALUE_CHARACTERS)]
    key = f"{_PREFIX}:{kind}:{FORMAT_VERSION}:{trial_number}:{_digest(text)}"
    try:
        for i, chunk in enumerate(chunks):
            set_study_attribute(study, f"{key}:{i}:{len(chunks)}", chunk)
    except Exception as error:  # each backend has its own: Optuna's, SQLAlchemy's, gRPC's, the operating system's
        warn_of_elicitation(
            f"The study's storage did not take a record ({type(error).__name__}: {redact(str(error))[:300]}); the "
            "study goes on, but other workers and a resumed study will not see it."
        )
        return False
    return True


def _attributes(study: optuna.Study) -> Mapping[str, Any]:
    """The study's system attributes; none, with a warning, if they cannot be read."""
    try:
        return study_attributes(study)
    except Exception as error:
        warn_of_elicitation(
            f"The study's storage could not be read ({type(error).__name__}: {redact(str(error))[:300]}); answers kept "
            "in it are not used now."
        )
        return {}


def record_texts(study: optuna.Study, kind: str) -> list[str]:
    """The texts of all complete records of one kind that are kept in the study."""
    return list(_texts(study, _attributes(study), kind))


def _texts(study: optuna.Study, attributes: Mapping[str, Any], kind: str) -> Iterator[str]:
    """The texts of all complete records of one kind."""
    chunks: dict[tuple[str, int], dict[int, str]] = defaultdict(dict)
    for key, value in attributes.items():
        place = _place(study, key, kind)
        if place is not None and isinstance(value, str):
            digest, index, count = place
            chunks[digest, count][index] = value
    for (digest, count), parts in chunks.items():
        # Fewer parts: another worker is still writing, or died; either way there is nothing to read yet.
        if len(parts) == count and all(i in parts for i in range(count)):  # the count is untrusted, and may be huge
            text = "".join(parts[i] for i in range(count))
            if _digest(text) == digest:
                yield text
            else:
                warn_once_of_elicitation(study, "A record kept in the study is damaged and is ignored.")


def _place(study: optuna.Study, key: str, kind: str) -> tuple[str, int, int] | None:
    """Digest, index and count from a key of ours; `None` for other keys."""
    start = f"{_PREFIX}:{kind}:"
    if not key.startswith(start):
        return None
    parts = key.removeprefix(start).split(":")
    if parts[0] != str(FORMAT_VERSION):
        warn_once_of_elicitation(
            study,
            f"A record in the study has format version {parts[0]!r}, this package reads {FORMAT_VERSION}; it is "
            "ignored. Use the version of llm_prior_bo that wrote it.",
        )
        return None
    try:
        _, _, digest, index, count = parts
        return digest, int(index), int(count)
    except ValueError:
        return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_said: PerStudy[set[str]] = PerStudy(set)
"""What was said about which study: records are read again and again, and stay as they are."""


def warn_once_of_elicitation(study: optuna.Study, message: str) -> None:
    """Give an `ElicitationWarning`, unless this process has given it of this study before."""
    said = _said(study)
    if message not in said:
        said.add(message)
        warn_of_elicitation(message)


def warn_of_elicitation(message: str) -> None:
    """Give an `ElicitationWarning` without control characters."""
    warnings.warn(printable(message), ElicitationWarning, stacklevel=4)
