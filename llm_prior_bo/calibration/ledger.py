"""A local file of how past answers did, and the interval coverage to assume next time.

One line of JSON for each recorded study, appended in one write, so that several processes may share the file. Nothing
writes it unless `CalibrationLedger.record` is called, and nothing leaves the machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from pydantic import Field, TypeAdapter, ValidationError
from scipy.stats import binomtest

from llm_prior_bo.calibration.scoring import (
    DEFAULT_COVERAGE,
    DEFAULT_PRIOR_STRENGTH,
    AnswerScore,
    fit_coverage,
    score_answer,
)
from llm_prior_bo.elicitation.record import EDITED_BY_HAND, Elicitation
from llm_prior_bo.errors import AnswerError, ElicitationWarning, SearchSpaceError
from llm_prior_bo.study.answer_records import load_elicitations

FORMAT_VERSION = 1
"""Version of the lines. A reader passes over versions that it does not know, with a warning."""

BY_HAND = "fixed"
"""The model of answers that a person has written or edited; they count only where this name is asked for."""

MIN_TRIALS = 20
"""Studies with fewer finished trials say little about where the optimum is."""

_DATE_AT_END = re.compile(r"[-@:]?\d{4}-?\d{2}-?\d{2}$")

_Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class LedgerAnswer:
    """One answer of a study, against the best trial.

    Attributes:
        model: Who answered, as the provider names it; `None` if unknown.
        trial_number: Number of the trial for which was asked.
        answer_index: Which of several answers to that question.
        n_shown: Number of trials that the question showed.
        score: What came of it.
        prompt_version: Version of the prompt's wording.
    """

    model: str | None
    trial_number: _Count
    answer_index: _Count
    n_shown: _Count
    score: AnswerScore
    prompt_version: str | None = None


@dataclass(frozen=True)
class LedgerEntry:
    """One study of the ledger.

    Attributes:
        study: Hash of the study's name, start and first answer: the name cannot be guessed from it.
        n_parameters: Number of parameters that are active at the best trial.
        n_finished: Number of finished trials when it was recorded.
        recorded_at: ISO 8601 time, UTC.
        answers: Answers that were given before the best trial was known.
        study_name: The name itself, `None` unless names are kept.
        format_version: Version of this record.
    """

    study: str
    n_parameters: _Count
    n_finished: _Count
    recorded_at: str
    answers: tuple[LedgerAnswer, ...]
    study_name: str | None = None
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True)
class ModelCalibration:
    """How the answers of one model did.

    Attributes:
        model: Name of the model, without provider and date.
        n_studies: Number of studies.
        n_answers: Number of answers.
        n_intervals: Number of stated 80 % intervals.
        inside: Share of them that hold the value found; `None` without any.
        inside_low: Lower end of its 95 % interval (Wilson), as if intervals were independent.
        inside_high: Upper end.
        stated_share: Mean stated probability that the optimum is in the regions.
        found_share: Mean probability that it came from one of them, given where it was found.
        coverage: What to assume for a stated 80 % interval.
    """

    model: str
    n_studies: int
    n_answers: int
    n_intervals: int
    inside: float | None
    inside_low: float | None
    inside_high: float | None
    stated_share: float
    found_share: float
    coverage: float


_ENTRY: TypeAdapter[LedgerEntry] = TypeAdapter(LedgerEntry)
_VERSION: TypeAdapter[dict[str, object]] = TypeAdapter(dict[str, object])


class CalibrationLedger:
    """Compares past answers with the optima that were found, and says what to make of the next ones.

    The best trial stands for the optimum. It is noisy, and nearer to the answer than the optimum is, because the
    search began there: read the fitted coverage as an upper estimate, the more so the shorter the studies.

    Args:
        path: The file, which need not exist; `~` is the home folder.

    Example:
        >>> ledger = CalibrationLedger("~/.llm_prior_bo/ledger.jsonl")
        >>> sampler = LLMPriorSampler("gpt-4o", interval_coverage=ledger.coverage("gpt-4o"))  # doctest: +SKIP
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def record(self, study: optuna.Study, *, keep_names: bool = False) -> int:
        """Compare the answers kept in a study with its best trial, and write down how they did.

        Only answers to questions for the best trial or an earlier one count: later ones had it before their eyes. A
        study may be recorded again; of several records the one with the most finished trials counts, the latest of
        equals. With several objectives there is no one optimum that an interval could hold, so nothing is recorded;
        neither without a finished trial that satisfies the constraints, or without answers.

        Args:
            study: A study of an `LLMPriorSampler`, finished or not.
            keep_names: Whether the names of the study and of its parameters are written too.

        Returns:
            The number of answers recorded; a warning says why if there are none, or the file cannot be written.
        """
        found = _entry(study, keep_names=keep_names)
        if isinstance(found, str):
            _warn(f"{found} Nothing is recorded in the ledger.")
            return 0
        try:
            _append_line(self.path, _ENTRY.dump_json(found))
        except OSError as error:
            _warn(f"Expected to write to the ledger {str(self.path)!r}, got {error!r}; the study is not recorded.")
            return 0
        return len(found.answers)

    def entries(self) -> tuple[LedgerEntry, ...]:
        """All studies, in the order in which they were first recorded; none if there is no file.

        Lines that are damaged, or of another version, are passed over with one warning.

        Raises:
            OSError: If the file is there and cannot be read.
        """
        latest: dict[str, LedgerEntry] = {}
        lines = self.path.read_bytes().splitlines() if self.path.exists() else []
        read = [_read_line(line) for line in lines if line.strip()]
        for entry in (entry for entry in read if entry is not None):
            if entry.study not in latest or entry.n_finished >= latest[entry.study].n_finished:
                latest[entry.study] = entry
        n_lost = read.count(None)
        if n_lost:
            _warn(
                f"Expected ledger records of version {FORMAT_VERSION} in {str(self.path)!r}, got {n_lost} "
                "line(s) that are damaged or of another version; they are passed over."
            )
        return tuple(latest.values())

    def coverage(
        self,
        model: str | None = None,
        *,
        default: float = DEFAULT_COVERAGE,
        prior_strength: float = DEFAULT_PRIOR_STRENGTH,
        min_trials: int = MIN_TRIALS,
    ) -> float:
        """The coverage to assume for a stated 80 % interval: `interval_coverage` of the sampler.

        First all other models' scores move the estimate away from `default`, then the model's own scores move it
        from there, each time against `prior_strength` assumed scores: a model with a long record is judged by it,
        one without by what is known of the others (`fit_coverage`). Several answers of a model in one study share
        the weight of one.

        Args:
            model: Name of the model, with or without provider and date; `None` for all models together. "fixed" is
                answers by hand, which count nowhere else.
            default: What to assume without any record.
            prior_strength: How many scores an assumption weighs as much as.
            min_trials: Studies with fewer finished trials are left out.

        Returns:
            A coverage in [0.1, 0.9]; `default`, kept within these, without any record.

        Raises:
            ConfigurationError: If `default` or `prior_strength` is out of range.
        """
        return _pooled_coverage(_usable(self.entries(), min_trials), model, default, prior_strength)

    def summary(self, *, min_trials: int = MIN_TRIALS) -> tuple[ModelCalibration, ...]:
        """How the answers of every model did, by name.

        Args:
            min_trials: Studies with fewer finished trials are left out.
        """
        entries = _usable(self.entries(), min_trials)
        models = sorted({_family(answer.model) for entry in entries for answer in entry.answers})
        return tuple(_calibration(entries, model) for model in models)


# Recording -----------------------------------------------------------------------------------------------------------


def _entry(study: optuna.Study, *, keep_names: bool) -> LedgerEntry | str:
    """The record of a study, or why there is none."""
    if len(study.directions) > 1:
        return f"Expected a study with one objective, got {len(study.directions)}."
    try:
        best = study.best_trial
    except ValueError:
        return "Expected a finished trial that satisfies the constraints, got none."
    elicitations = load_elicitations(study)
    if not elicitations or not best.distributions:
        return "Expected a study with answers and parameters, got one without."
    early = [e for e in elicitations if e.trial_number <= best.number and best.number not in e.trials_shown]
    if not early:
        return "Expected an answer from before the best trial, got later ones only."
    scored = [(e, _score(e, best, keep_names=keep_names)) for e in early]
    answers = tuple(_ledger_answer(e, score) for e, score in scored if score is not None)
    if not answers:
        return "Expected an answer that fits the best trial, got none."
    return LedgerEntry(
        study=_study_key(study, elicitations[0]),
        n_parameters=len(best.distributions),
        n_finished=len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))),
        recorded_at=datetime.now(UTC).isoformat(timespec="seconds"),
        answers=answers,
        study_name=study.study_name if keep_names else None,
    )


def _score(elicitation: Elicitation, best: FrozenTrial, *, keep_names: bool) -> AnswerScore | None:
    try:
        return score_answer(elicitation.answer, best.params, best.distributions, keep_names=keep_names)
    except (AnswerError, SearchSpaceError) as error:  # stored answers are input from whoever can write to the storage
        _warn(f"An answer kept in the study cannot be compared with the best trial and is left out: {error}")
        return None


def _ledger_answer(elicitation: Elicitation, score: AnswerScore) -> LedgerAnswer:
    return LedgerAnswer(
        model=elicitation.model,
        trial_number=elicitation.trial_number,
        answer_index=elicitation.answer_index,
        n_shown=len(elicitation.trials_shown),
        score=score,
        prompt_version=elicitation.prompt_version,
    )


def _study_key(study: optuna.Study, first: Elicitation) -> str:
    started = study.get_trials(deepcopy=False)[0].datetime_start
    moment = "" if started is None else started.isoformat(timespec="seconds")
    # The answer is the salt: names of studies are few and easily guessed.
    text = "\n".join([study.study_name, moment, first.answer.model_dump_json()])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _append_line(path: Path, line: bytes) -> None:
    """Append in one write, at the end that the file has then, whoever else writes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
    # A line that a killed process left unfinished must not swallow this one; blank lines are passed over.
    data = (b"" if _ends_with_whole_line(path) else b"\n") + line + b"\n"
    descriptor = os.open(path, flags, 0o600)
    try:
        written = os.write(descriptor, data)
    finally:
        os.close(descriptor)
    if written < len(data):
        raise OSError(f"only {written} of {len(data)} bytes were written")


def _ends_with_whole_line(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"
    return True


def _read_line(line: bytes) -> LedgerEntry | None:
    try:
        if _VERSION.validate_json(line).get("format_version") != FORMAT_VERSION:
            return None
        return _ENTRY.validate_json(line)
    except ValidationError:
        return None


# Fitting -------------------------------------------------------------------------------------------------------------


def _usable(entries: Sequence[LedgerEntry], min_trials: int) -> list[LedgerEntry]:
    return [entry for entry in entries if entry.n_finished >= min_trials]


def _pooled_coverage(entries: Sequence[LedgerEntry], model: str | None, default: float, prior_strength: float) -> float:
    wanted = None if model is None else _family(model)
    own, others = [], []
    for name, score, weight in _weighted_scores(entries):
        if name == wanted:
            own.append((score, weight))
        elif name != BY_HAND:
            others.append((score, weight))
    centre = default
    for group in (others, own):
        scores, weights = [score for score, _ in group], [weight for _, weight in group]
        centre = fit_coverage(scores, weights=weights, centre=centre, prior_strength=prior_strength)
    return centre


def _weighted_scores(entries: Sequence[LedgerEntry]) -> list[tuple[str, AnswerScore, float]]:
    """Model, score and weight of every answer: those of one model in one study share the weight of one."""
    weighted = []
    for entry in entries:
        counts = Counter(_family(answer.model) for answer in entry.answers)
        weighted += [(name, a.score, 1.0 / counts[name]) for a in entry.answers for name in [_family(a.model)]]
    return weighted


def _calibration(entries: Sequence[LedgerEntry], model: str) -> ModelCalibration:
    scores = [score for name, score, _ in _weighted_scores(entries) if name == model]
    hits = [belief.inside for score in scores for belief in score.beliefs]
    interval = binomtest(sum(hits), len(hits)).proportion_ci(method="wilson") if hits else None
    return ModelCalibration(
        model=model,
        n_studies=sum(any(_family(answer.model) == model for answer in entry.answers) for entry in entries),
        n_answers=len(scores),
        n_intervals=len(hits),
        inside=sum(hits) / len(hits) if hits else None,
        inside_low=None if interval is None else float(interval.low),
        inside_high=None if interval is None else float(interval.high),
        stated_share=float(np.mean([1.0 - score.uniform_weight for score in scores])),
        found_share=float(np.mean([score.region_share for score in scores])),
        coverage=_pooled_coverage(entries, model, DEFAULT_COVERAGE, DEFAULT_PRIOR_STRENGTH),
    )


def _family(model: str | None) -> str:
    """A model's name without provider and date: users ask for "openai/gpt-4o", providers say "gpt-4o-2024-08-06"."""
    if model is not None and model.endswith(EDITED_BY_HAND):
        return BY_HAND
    return _DATE_AT_END.sub("", (model or "unknown").strip().lower().rsplit("/", 1)[-1])


def _warn(message: str) -> None:
    warnings.warn(message, ElicitationWarning, stacklevel=3)
