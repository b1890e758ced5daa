"""Hypothesis strategies for Optuna distributions and search spaces."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo.space import Column, SearchSpace


def _floats() -> st.SearchStrategy[FloatDistribution]:
    def linear(low: float, width: float) -> FloatDistribution:
        return FloatDistribution(low, low + width)

    def log(exponent: float, decades: float) -> FloatDistribution:
        return FloatDistribution(10.0**exponent, 10.0 ** (exponent + decades), log=True)

    def stepped(low: float, step: float, n: int) -> FloatDistribution:
        high = Decimal(str(low)) + n * Decimal(str(step))  # in decimals, so that the step divides the range
        return FloatDistribution(low, float(high), step=step)

    return st.one_of(
        st.builds(linear, st.floats(-1e3, 1e3), st.floats(0.0, 1e3)),
        st.builds(log, st.floats(-8, 3), st.floats(0.0, 6)),
        st.builds(
            stepped, st.sampled_from([-1.0, 0.0, 0.1, 2.5]), st.sampled_from([0.1, 0.25, 1.0]), st.integers(0, 40)
        ),
    )


def _ints() -> st.SearchStrategy[IntDistribution]:
    def stepped(low: int, step: int, n: int) -> IntDistribution:
        return IntDistribution(low, low + n * step, step=step)

    def log(low: int, factor: int) -> IntDistribution:
        return IntDistribution(low, low * factor, log=True)

    return st.one_of(
        st.builds(stepped, st.integers(-100, 100), st.integers(1, 7), st.integers(0, 10**6)),
        st.builds(log, st.integers(1, 1000), st.integers(1, 1000)),
    )


_CHOICES: list[list[bool | int | float | str | None]] = [
    ["relu", "tanh", "gelu"],
    [None, "l2"],
    [True, False],
    [1, 2.5, "x", None, False],
    [16, 32, 64],
    ["only"],
]


def distributions() -> st.SearchStrategy[BaseDistribution]:
    """Every kind of Optuna distribution, single-valued ones included."""
    return st.one_of(_floats(), _ints(), st.sampled_from(_CHOICES).map(CategoricalDistribution))


def spaces(max_size: int = 5) -> st.SearchStrategy[SearchSpace]:
    """Search spaces of one to `max_size` parameters."""
    return st.lists(distributions(), min_size=1, max_size=max_size).map(
        lambda ds: SearchSpace({f"p{i}": d for i, d in enumerate(ds)})
    )


@st.composite
def legal_values(draw: st.DrawFn, column: Column) -> Any:
    """A legal native value of a column, made without the code under test."""
    distribution = column.distribution
    if isinstance(distribution, CategoricalDistribution):
        return draw(st.sampled_from(distribution.choices))
    if isinstance(distribution, IntDistribution):
        n = (distribution.high - distribution.low) // distribution.step
        return distribution.low + draw(st.integers(0, n)) * distribution.step
    assert isinstance(distribution, FloatDistribution)
    if distribution.step is None:
        return draw(st.floats(distribution.low, distribution.high))
    index = draw(st.integers(0, math.floor((distribution.high - distribution.low) / distribution.step + 1e-8)))
    return min(index * distribution.step + distribution.low, distribution.high)
