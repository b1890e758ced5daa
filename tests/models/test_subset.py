"""Which trials of a long study the surrogate is given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_prior_bo.models.subset import even_rows, merit_of, representative_rows


@given(n=st.integers(0, 300), limit=st.integers(1, 120), seed=st.integers(0, 5))
def test_as_many_different_rows_as_asked_for_in_order(n: int, limit: int, seed: int) -> None:
    merit = np.random.default_rng(seed).integers(0, 20, n).astype(float)
    rows = representative_rows(merit, limit)
    assert len(rows) == min(n, limit)
    assert (np.diff(rows) > 0).all()
    assert rows.tolist() == representative_rows(merit, limit).tolist()
    if n > 0:
        assert merit[rows].max() == merit.max()


def test_the_best_the_latest_and_some_of_all_others() -> None:
    merit = np.random.default_rng(0).permutation(1000).astype(float)
    rows = set(representative_rows(merit, 100).tolist())
    best = set(np.argsort(-merit)[:10].tolist())
    latest = [i for i in range(999, -1, -1) if i not in best][:10]
    assert best | set(latest) <= rows
    others = np.sort(merit[sorted(rows - best - set(latest))])
    assert len(others) == 80
    assert others[0] < 30
    assert np.diff(others).max() < 40  # no part of the range is left out


@pytest.mark.parametrize(
    ("n", "limit", "expected"), [(3, 5, [0, 1, 2]), (10, 5, [0, 2, 4, 6, 8]), (0, 5, []), (4, 0, [])]
)
def test_even_rows(n: int, limit: int, expected: list[int]) -> None:
    assert even_rows(n, limit).tolist() == expected


def test_merit_is_feasibility_first_then_the_ranks() -> None:
    Y = np.array([[3.0, 1.0], [1.0, 0.0], [2.0, 2.0], [9.0, 9.0]])
    merit = merit_of(Y, np.array([0.0, 0.0, 0.0, 1.0]))
    assert np.argsort(-merit).tolist() == [2, 0, 1, 3]
    assert np.argsort(-merit_of(Y, np.array([0.0, 5.0, np.inf, 1.0]))).tolist() == [0, 3, 1, 2]


def test_merit_of_infinite_values_and_of_none() -> None:
    assert np.argsort(-merit_of(np.array([[-np.inf], [np.inf], [0.0]]), np.zeros(3))).tolist() == [1, 2, 0]
    assert len(merit_of(np.zeros((0, 1)), np.zeros(0))) == 0
