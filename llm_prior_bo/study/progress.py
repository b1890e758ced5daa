"""How far a study has come since its last question: what a refresh policy decides on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from llm_prior_bo.elicitation.record import Elicitation
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.answer_records import FailureRecord
from llm_prior_bo.study.storage import all_trials, trial_constraints
from llm_prior_bo.study.trial_records import read_suggestion, started_here

if TYPE_CHECKING:
    from optuna import Study


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """What a decision to ask again rests on.

    Args:
        n_finished: Trials of the study that have a value.
        n_at_last_question: The same when the last question was asked, answered or not.
        n_questions: Questions asked so far, answered or not; further answers to one question count once.
        trusts: Trust in the answers, not in a density that was given, at every suggestion since the last question, the
            oldest first.
        n_since_improvement: Trials with a value since the best one, or since the front of trade-offs last moved.
        space_changed: Whether there are parameters, ranges or choices that no answer was asked about.
    """

    n_finished: int = 0
    n_at_last_question: int = 0
    n_questions: int = 0
    trusts: tuple[float, ...] = ()
    n_since_improvement: int = 0
    space_changed: bool = False

    @property
    def n_new(self) -> int:
        """Trials with a value since the last question."""
        return max(self.n_finished - self.n_at_last_question, 0)


def study_progress(
    study: Study, answers: Sequence[Elicitation], failures: Sequence[FailureRecord], space: SearchSpace
) -> StudyProgress:
    """Read the progress of a study from what is stored in it, so that all workers see the same.

    Args:
        study: The study, or what a pruner with brackets passes for it: the trials of all brackets count.
        answers: Its stored answers.
        failures: Its questions that nobody answered.
        space: All parameters that are known now.
    """
    trials = all_trials(study)
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE and trial.values is not None]
    questions: list[Elicitation | FailureRecord] = [*answers, *failures]
    asked_for = {record.trial_number for record in questions}
    last = max(asked_for, default=-1)
    return StudyProgress(
        n_finished=len(finished),
        n_at_last_question=max((record.n_finished for record in questions), default=0),
        n_questions=len(asked_for),
        trusts=_trusts(trial for trial in trials if trial.number > last),
        n_since_improvement=_n_since_improvement(finished, study.directions),
        space_changed=bool(answers) and answers[-1].space_fingerprint not in ("", space.fingerprint),
    )


def _trusts(trials: Iterable[FrozenTrial]) -> tuple[float, ...]:
    suggestions = (read_suggestion(trial) for trial in trials)
    answers = [[part for part in one.answers if part.asked_at >= 0] for one in suggestions if one is not None]
    found = [[part.trust for part in parts if part.trust is not None] for parts in answers]
    return tuple(max(trusts) for trusts in found if trusts)


def _n_since_improvement(finished: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> int:
    """Trials after the last one that no earlier feasible trial equals or dominates."""
    signs = np.array([-1.0 if direction == StudyDirection.MAXIMIZE else 1.0 for direction in directions])
    front = np.empty((0, len(signs)))
    n_since = 0
    for trial in finished:
        n_since += 1
        losses = np.nan_to_num(signs * np.array(trial.values, dtype=float), nan=np.inf)
        feasible = all(value <= 0.0 for value in trial_constraints(trial).values())
        if feasible and not (front <= losses).all(axis=-1).any():
            front = np.vstack([front[~(losses <= front).all(axis=-1)], losses])
            n_since = 0
    return n_since


def evidence_trials(study: Study) -> list[int]:
    """Numbers of the finished trials of this study's own, without those added from elsewhere and without failed ones.

    Args:
        study: The study; of a pruner's bracket view, the trials of the bracket count.
    """
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [trial.number for trial in finished if started_here(study, trial)]
