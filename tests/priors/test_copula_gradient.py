"""The copula's fast path against PyTorch's gradient of the same formulas, and against arithmetic with many digits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from optuna.distributions import BaseDistribution, IntDistribution

from llm_prior_bo._gradients import value_and_gradient
from llm_prior_bo.priors import GaussianCopula, SplitNormalMarginal
from llm_prior_bo.priors._copula_gradient import CopulaGradient, log_mean_and_shift
from llm_prior_bo.priors._normal import log_mean_kernel
from llm_prior_bo.space import Column
from tests.priors.cases import UNIT
from tests.priors.test_normal import INTERVALS

GRID = IntDistribution(1, 9)


@pytest.mark.parametrize(
    "distributions",
    [
        (UNIT, UNIT),
        (UNIT, IntDistribution(1, 9)),
        (IntDistribution(1, 9), UNIT, UNIT),
        (IntDistribution(1, 10**9), UNIT),
    ],
    ids=["continuous", "with a grid", "a grid first", "a huge grid"],
)
@pytest.mark.parametrize("rho", [-0.95, 0.3, 0.9])
def test_is_the_copula_and_its_gradient(distributions: tuple[BaseDistribution, ...], rho: float) -> None:
    columns = [Column(f"x{j}", distribution) for j, distribution in enumerate(distributions)]
    marginals = [SplitNormalMarginal(c, m, 0.1, 0.4) for c, m in zip(columns, (0.2, 0.9, 0.5), strict=False)]
    R = np.eye(len(columns))
    R[0, 1] = R[1, 0] = rho
    copula = GaussianCopula(marginals, R)
    U = np.random.default_rng(0).random((100, len(columns)))
    U[:4] = [[0.0] * len(columns), [1.0] * len(columns), [0.0, *[1.0] * (len(columns) - 1)], [0.2] * len(columns)]
    U = np.stack([column.snap(u) for column, u in zip(columns, U.T, strict=True)], axis=-1)
    expected, gradient = value_and_gradient(copula.log_ratio, U)
    dims = range(len(columns))
    value, own = CopulaGradient([copula], [dims]).value_and_gradient(U)
    np.testing.assert_allclose(value[:, 0], expected, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(own[:, 0], gradient, rtol=1e-8, atol=1e-8)
    assert np.array_equal(CopulaGradient([copula], [dims]).value(U), value)


def test_several_copulas_are_each_on_its_own() -> None:
    columns = [Column(f"x{j}", distribution) for j, distribution in enumerate((UNIT, GRID, UNIT, UNIT, GRID))]
    dims = [[3, 1, 0], [], [4, 2]]
    copulas = []
    for k, own in enumerate(dims):
        marginals = [SplitNormalMarginal(columns[j], 0.2 + 0.1 * k, 0.1, 0.4) for j in own]
        R = np.full((len(own), len(own)), 0.4) + 0.6 * np.eye(len(own))
        copulas.append(GaussianCopula(marginals, R) if own else None)
    X = np.random.default_rng(1).random((50, len(columns)))
    X = np.stack([column.snap(x) for column, x in zip(columns, X.T, strict=True)], axis=-1)
    together = CopulaGradient(copulas, dims)
    value, gradient = together.value_and_gradient(X)
    assert gradient.shape == (50, 3, 5)
    for k, (copula, own) in enumerate(zip(copulas, dims, strict=True)):
        alone, slope = CopulaGradient([copula], [own]).value_and_gradient(X)
        np.testing.assert_allclose(value[:, k], alone[:, 0], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(gradient[:, k], slope[:, 0], rtol=1e-12, atol=1e-13)
    assert (value[:, 1] == 0.0).all()
    assert CopulaGradient([None], [[]]).is_trivial
    assert not together.is_trivial


def test_shifted_intervals() -> None:
    lower, upper = np.array([interval for interval in INTERVALS if interval[0] < interval[1]]).T
    log_mean, shift = log_mean_and_shift(lower, upper)
    exact = log_mean_kernel(torch.from_numpy(lower), torch.from_numpy(upper)).numpy()
    np.testing.assert_allclose(log_mean, exact, rtol=1e-13, atol=1e-14)

    def shifted(t: torch.Tensor) -> torch.Tensor:
        return log_mean_kernel(torch.from_numpy(lower) + t[:, 0], torch.from_numpy(upper) + t[:, 0])

    _, expected = value_and_gradient(shifted, np.zeros((len(lower), 1)))
    np.testing.assert_allclose(shift, expected[:, 0], rtol=1e-8, atol=1e-9)


def test_every_formula_alone_gives_the_same() -> None:
    lower, upper = np.array([[-3.0, 0.1], [-2.0, 0.4]])
    together = log_mean_and_shift(lower, upper)
    for i in range(2):
        alone = log_mean_and_shift(lower[i : i + 1], upper[i : i + 1])
        assert (alone[0][0], alone[1][0]) == (together[0][i], together[1][i])
