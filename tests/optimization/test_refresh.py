"""When a question is asked again, and when it is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_prior_bo import RefreshPolicy
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.optimization.refresh import DEFAULT_REFRESH
from llm_prior_bo.study.progress import StudyProgress

ALL = RefreshPolicy(every=10, growth=1, lost_trust=0.05, stagnation=8, min_new_trials=5, max_elicitations=3)


def progress(**given: Any) -> StudyProgress:
    return StudyProgress(**{"n_finished": 20, "n_at_last_question": 14, "n_questions": 1, **given})


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, None),
        ({"n_finished": 24}, "every"),
        ({"n_finished": 23}, None),
        ({"trusts": (0.9, 0.01, 0.04, 0.02)}, "lost trust"),
        ({"trusts": (0.01, 0.9, 0.9, 0.01, 0.9)}, None),  # it dips for single trials
        ({"trusts": (0.01, 0.01)}, None),
        ({"trusts": (0.05, 0.05, 0.05)}, None),
        ({"n_finished": 22, "n_since_improvement": 8}, "stagnation"),
        ({"n_finished": 21, "n_since_improvement": 8}, None),  # one of the eight was before the last question
        ({"n_finished": 23, "n_since_improvement": 7}, None),
        ({"space_changed": True}, "search space changed"),
        ({"space_changed": True, "trusts": (0.0,) * 3, "n_finished": 99}, "search space changed"),
    ],
)
def test_reasons(given: dict[str, Any], reason: str | None) -> None:
    assert ALL.due(progress(**given)) == reason


@given(
    n_finished=st.integers(0, 100),
    last=st.integers(0, 100),
    n_questions=st.integers(0, 5),
    trusts=st.lists(st.floats(0, 1), max_size=5).map(tuple),
    since=st.integers(0, 100),
    changed=st.booleans(),
)
def test_never_without_new_trials_and_never_too_often(
    n_finished: int, last: int, n_questions: int, trusts: tuple[float, ...], since: int, changed: bool
) -> None:
    state = StudyProgress(n_finished, last, n_questions, trusts, since, changed)
    if ALL.due(state) is not None:
        assert n_finished - last >= ALL.min_new_trials
        assert n_questions < ALL.max_elicitations


def test_every_reason_can_be_switched_off() -> None:
    never = RefreshPolicy(every=None, lost_trust=None, stagnation=None, space_change=False)
    state = progress(n_finished=99, trusts=(0.0,) * 5, n_since_improvement=80, space_changed=True)
    assert never.due(state) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"every": 0},
        {"every": 2.5},
        {"every": True},
        {"stagnation": -1},
        {"max_elicitations": None},
        {"min_new_trials": 0},
        {"growth": 0.5},
        {"growth": float("inf")},
        {"growth": "fast"},
        {"lost_trust": 1.5},
        {"lost_trust": float("nan")},
    ],
)
def test_refuses(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"Expected {next(iter(wrong))}"):
        RefreshPolicy(**wrong)


@pytest.mark.parametrize(("n_questions", "distance"), [(1, 10), (2, 20), (3, 40)])
def test_the_distances_double_by_default(n_questions: int, distance: int) -> None:
    """After 10, 30 and 70 finished trials, and never again."""
    state = {"n_at_last_question": 5, "n_questions": n_questions}
    assert DEFAULT_REFRESH.due(progress(n_finished=5 + distance, **state)) == "every"
    assert DEFAULT_REFRESH.due(progress(n_finished=4 + distance, **state)) is None
    assert DEFAULT_REFRESH.due(progress(n_finished=999, n_at_last_question=5, n_questions=4)) is None
