from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution

from benchmarks.harness.mixed import DISTRIBUTIONS, OPTIMUM, mixed

Discrete = tuple[int, int, str, str]


def at(discrete: Discrete, *, log_rate: float, dropout: float) -> float:
    depth, units, optimizer, scaling = discrete
    rest = {"depth": depth, "units": units, "optimizer": optimizer, "scaling": scaling}
    return mixed({"rate": 10.0**log_rate, "dropout": dropout, **rest})


def combinations() -> list[Discrete]:
    optimizers, scalings = (
        [str(choice) for choice in distribution.choices]
        for distribution in DISTRIBUTIONS.values()
        if isinstance(distribution, CategoricalDistribution)
    )
    return list(itertools.product(range(1, 9), range(8, 513), optimizers, scalings))


def vertex(left: float, middle: float, right: float) -> tuple[float, float]:
    """Where the parabola through (0, left), (1, middle) and (2, right) is lowest, and how far below `left`."""
    curvature = left - 2.0 * middle + right
    slope = (4.0 * middle - 3.0 * left - right) / 2.0
    return -slope / curvature, -(slope**2) / (2.0 * curvature)


def lowest(discrete: Discrete) -> tuple[float, float, float]:
    """Least value of a combination, with log rate and dropout: a sum of one parabola in each of them."""
    start = at(discrete, log_rate=-5.0, dropout=0.0)
    u, rate_gain = vertex(start, *(at(discrete, log_rate=x, dropout=0.0) for x in (-2.5, 0.0)))
    v, dropout_gain = vertex(start, *(at(discrete, log_rate=-5.0, dropout=x) for x in (0.5, 1.0)))
    return start + rate_gain + dropout_gain, -5.0 + 2.5 * u, 0.5 * v


def test_optimum_by_enumeration_of_all_integers_and_choices() -> None:
    values = {discrete: lowest(discrete) for discrete in combinations()}
    log_rates, dropouts = (np.array([found[i] for found in values.values()]) for i in (1, 2))
    assert log_rates.min() > -5.0
    assert log_rates.max() < 0.0
    assert dropouts.min() > 0.0
    assert dropouts.max() < 1.0
    (best, (value, log_rate, dropout)), (_, (second, _, _)) = sorted(values.items(), key=lambda item: item[1][0])[:2]
    assert value == pytest.approx(0.0, abs=1e-9)
    assert second > 1e-4
    assert best == tuple(OPTIMUM[name] for name in ("depth", "units", "optimizer", "scaling"))
    assert (10.0**log_rate, dropout) == pytest.approx((OPTIMUM["rate"], OPTIMUM["dropout"]), rel=1e-6)
    assert mixed(OPTIMUM) == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize(
    "discrete", [(3, 32, "adam", "standard"), (8, 512, "sgd", "none"), (1, 9, "rmsprop", "robust")]
)
def test_floats_enter_as_a_sum_of_parabolas(discrete: Discrete) -> None:
    value, log_rate, dropout = lowest(discrete)
    assert at(discrete, log_rate=log_rate, dropout=dropout) == pytest.approx(value, abs=1e-9)
    grid = itertools.product(np.linspace(-5.0, 0.0, 26), np.linspace(0.0, 1.0, 21))
    assert min(at(discrete, log_rate=x, dropout=y) for x, y in grid) >= value - 1e-9


@pytest.mark.parametrize(
    ("changed", "moves"),
    [({"optimizer": "sgd"}, (True, False)), ({"scaling": "none"}, (False, True)), ({"depth": 8}, (True, True))],
)
def test_parameters_interact(changed: dict[str, Any], moves: tuple[bool, bool]) -> None:
    names = ("depth", "units", "optimizer", "scaling")
    depth, units, optimizer, scaling = (({**OPTIMUM, **changed})[name] for name in names)
    _, log_rate, dropout = lowest((depth, units, optimizer, scaling))
    assert (abs(log_rate + 3.0) > 0.1, abs(dropout - 0.35) > 0.1) == moves
