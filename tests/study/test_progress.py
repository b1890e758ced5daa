"""What a decision to ask again rests on, read from a study."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from llm_prior_bo import Elicitation, PriorAnswer, SearchSpace
from llm_prior_bo.study.answer_records import FailureRecord
from llm_prior_bo.study.progress import StudyProgress, study_progress
from llm_prior_bo.study.trial_records import SUGGESTION_KEY, AnswerPart, Suggestion

SPACE = SearchSpace({"x": FloatDistribution(0, 1)})
ANSWER = PriorAnswer.by_hand(numeric={"x": (0.25, 0.2, 0.3)})


def add(
    study: optuna.Study,
    values: Sequence[float] | None,
    *,
    trust: float | None = None,
    given_trust: float | None = None,
    **options: Any,
) -> None:
    attributes = {}
    told = {at: one for at, one in ((-1, given_trust), (0, trust)) if one is not None}
    if told:
        parts = tuple(AnswerPart(at, 1, 1.0, 0.0, 0.0, 1.0, trust=one) for at, one in told.items())
        suggestion = Suggestion(params={"x": 0.5}, phase="model", n=1, answers=parts)
        attributes[SUGGESTION_KEY] = json.dumps(asdict(suggestion))
    state = TrialState.COMPLETE if values is not None else TrialState.FAIL
    study.add_trial(create_trial(state=state, values=values, system_attrs=attributes, **options))


def progress_of(study: optuna.Study, answers: Sequence[Elicitation] = (), failures: Any = ()) -> StudyProgress:
    return study_progress(study, answers, failures, SPACE)


def test_an_empty_study() -> None:
    assert progress_of(optuna.create_study()) == StudyProgress()


def test_counts_since_the_last_question_whether_answered_or_not() -> None:
    study = optuna.create_study()
    for value in (3.0, 2.0, 1.0, 4.0):
        add(study, [value])
    add(study, None)
    answers = [Elicitation(ANSWER, trial_number=0), Elicitation(ANSWER, trial_number=0, answer_index=1)]
    assert progress_of(study, answers) == StudyProgress(4, 0, 1, (), 1, False)
    failures = [FailureRecord(2, "down", n_finished=2), FailureRecord(0, "the second answer")]
    assert progress_of(study, answers, failures) == StudyProgress(4, 2, 2, (), 1, False)


def test_trust_in_a_given_prior_is_none_in_the_answers() -> None:
    """A given prior that holds must not keep a refuted answer from being asked for again."""
    study = optuna.create_study()
    add(study, [1.0], given_trust=0.9)
    add(study, [1.0], trust=0.1, given_trust=0.9)
    assert progress_of(study).trusts == (0.1,)


def test_trust_since_the_last_question() -> None:
    study = optuna.create_study()
    for trust in (0.9, None, 0.5, 0.25):
        add(study, [1.0], trust=trust)
    assert progress_of(study).trusts == (0.9, 0.5, 0.25)
    assert progress_of(study, [Elicitation(ANSWER, trial_number=2)]).trusts == (0.25,)


@pytest.mark.parametrize(
    ("directions", "values", "expected"),
    [
        (["minimize"], [[3.0], [1.0], [1.0], [2.0]], 2),
        (["maximize"], [[3.0], [1.0], [1.0], [2.0]], 3),
        (["minimize"], [[math.inf], [math.inf]], 1),
        (["minimize", "minimize"], [[1.0, 1.0], [2.0, 2.0], [0.0, 3.0], [1.0, 2.0]], 1),
        (["minimize", "maximize"], [[1.0, 1.0], [2.0, 2.0], [3.0, 0.0], [2.0, 2.0]], 2),
    ],
)
def test_trials_since_an_improvement(
    directions: list[Literal["minimize", "maximize"]], values: list[list[float]], expected: int
) -> None:
    study = optuna.create_study(directions=directions)
    for row in values:
        add(study, row)
    assert progress_of(study).n_since_improvement == expected


def test_a_better_but_infeasible_trial_is_no_improvement() -> None:
    study = optuna.create_study()
    add(study, [1.0], constraints={"c": 0.0})
    add(study, [0.5], constraints={"c": 0.1})
    assert progress_of(study).n_since_improvement == 1


def test_a_space_that_no_answer_was_asked_about() -> None:
    study = optuna.create_study()
    other = SearchSpace({"x": FloatDistribution(0, 2)})
    for fingerprint, changed in ((SPACE.fingerprint, False), (other.fingerprint, True), ("", False)):
        assert progress_of(study, [Elicitation(ANSWER, space_fingerprint=fingerprint)]).space_changed is changed
    assert not progress_of(study).space_changed
