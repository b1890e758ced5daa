"""Outcome scaling: monotone, bounded influence of outliers, no failure on odd values."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_prior_bo.models.outcome_transform import scale_constraint, standardize_outcome


def _tensor(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_monotone_and_standardised(values: list[float]) -> None:
    y = _tensor(values)
    z = standardize_outcome(y)
    order = y.argsort()
    assert (z[order].diff() >= -1e-9).all()
    assert z.isfinite().all()
    if float(z.abs().max()) > 0.0:
        assert float(z.mean()) == pytest.approx(0.0, abs=1e-8)
        assert float(z.std(correction=0)) == pytest.approx(1.0)


def test_a_diverged_run_does_not_flatten_the_rest() -> None:
    # Negated losses: nine runs near 0.98, one that diverged to 2.0.
    y = _tensor([-0.980, -0.979, -0.981, -0.978, -0.982, -0.979, -0.983, -0.977, -0.980, -2.0])
    plain = (y - y.mean()) / y.std(correction=0)
    z = standardize_outcome(y)
    assert float(plain[:9].max() - plain[:9].min()) < 0.03
    assert float(z[:9].max() - z[:9].min()) > 0.5
    assert float(z.argmin()) == 9


def test_constant_values_become_zero() -> None:
    assert standardize_outcome(_tensor([3.0, 3.0])).tolist() == [0.0, 0.0]
    assert standardize_outcome(_tensor([3.0])).tolist() == [0.0]


def test_infinities_take_the_extreme_finite_value() -> None:
    z = standardize_outcome(_tensor([1.0, 2.0, 3.0, -math.inf, math.inf]))
    assert z[3] == z[0]
    assert z[4] == z[2]
    assert standardize_outcome(_tensor([math.inf, -math.inf])).tolist() == [0.0, 0.0]


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
def test_constraints_keep_their_sign(values: list[float]) -> None:
    c = _tensor(values)
    scaled = scale_constraint(c)
    assert scaled.isfinite().all()
    assert (scaled * c >= 0.0).all()  # a tiny violation may round to zero, never to the other side
