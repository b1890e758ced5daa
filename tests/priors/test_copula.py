"""The copula against SciPy's multivariate normal, and the projection of its matrix."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import IntDistribution
from scipy import stats

from llm_prior_bo.errors import PriorError
from llm_prior_bo.priors import GaussianCopula, SplitNormalMarginal, nearest_correlation_matrix
from llm_prior_bo.priors.copula import MAX_SCORE, MIN_EIGENVALUE
from llm_prior_bo.space import Column
from tests.priors.cases import UNIT, FloatArray, coupled, quadrature_axes, seeded

DOUBLE = torch.float64


def smooth(*beliefs: tuple[float, float, float]) -> list[SplitNormalMarginal]:
    return [SplitNormalMarginal(Column(f"x{j}", UNIT), *belief) for j, belief in enumerate(beliefs)]


def scores(marginals: list[SplitNormalMarginal], U: FloatArray) -> FloatArray:
    """Normal scores within the box, by SciPy."""
    box = stats.norm.cdf(MAX_SCORE) - stats.norm.cdf(-MAX_SCORE)
    columns = [m.split_normals.cdf(torch.as_tensor(U[:, j])).numpy() for j, m in enumerate(marginals)]
    return np.asarray(stats.norm.ppf(stats.norm.cdf(-MAX_SCORE) + box * np.stack(columns, axis=-1)), dtype=np.float64)


class TestDensity:
    def test_is_the_sequentially_truncated_multivariate_normal(self) -> None:
        marginals = smooth((0.4, 0.1, 0.3), (0.0, 0.2, 0.2), (0.9, 0.5, 0.05))
        R = np.array([[1.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.0]])
        U = np.random.default_rng(0).uniform(size=(200, 3))
        z = scores(marginals, U)
        expected = np.zeros(len(U))
        for j in range(3):  # conditional moments from the blocks of R, not from a Cholesky factor
            weights = np.linalg.solve(R[:j, :j], R[:j, j]) if j else np.zeros(0)
            mean = z[:, :j] @ weights
            deviation = math.sqrt(R[j, j] - R[:j, j] @ weights)
            low, high = (-MAX_SCORE - mean) / deviation, (MAX_SCORE - mean) / deviation
            expected += stats.truncnorm.logpdf(z[:, j], low, high, loc=mean, scale=deviation)
            expected -= stats.truncnorm.logpdf(z[:, j], -MAX_SCORE, MAX_SCORE)
        actual = GaussianCopula(marginals, R).log_ratio(torch.as_tensor(U))
        np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-10)

    def test_is_nearly_the_gaussian_copula_well_inside_the_box(self) -> None:
        marginals = smooth((0.5, 0.05, 0.05), (0.5, 0.08, 0.08))
        R = np.array([[1.0, 0.5], [0.5, 1.0]])
        U = 0.5 + np.array([0.05, 0.08]) * np.random.default_rng(1).uniform(-1.0, 1.0, size=(200, 2))
        t = (U - 0.5) / np.array([0.05, 0.08])
        expected = stats.multivariate_normal(cov=R).logpdf(t) - stats.norm.logpdf(t).sum(axis=-1)
        actual = GaussianCopula(marginals, R).log_ratio(torch.as_tensor(U))
        # Within one deviation of the centre. The box halves some of the coupling, and never turns it round.
        assert float(np.abs(actual.numpy() - expected).max()) < 0.25
        assert np.corrcoef(actual.numpy(), expected)[0, 1] > 0.99

    def test_no_correlation_is_no_coupling(self) -> None:
        copula = GaussianCopula(smooth((0.4, 0.1, 0.3), (0.0, 0.2, 0.2)), np.eye(2))
        U = torch.rand(50, 2, generator=seeded(), dtype=DOUBLE)
        torch.testing.assert_close(copula.log_ratio(U), torch.zeros(50, dtype=DOUBLE), rtol=0, atol=1e-14)

    def test_second_derivatives(self) -> None:
        copula = GaussianCopula(smooth((0.4, 0.1, 0.3), (0.1, 0.2, 0.2)), [[1.0, 0.7], [0.7, 1.0]])
        U = torch.tensor([[0.3, 0.2], [0.6, 0.05]], dtype=DOUBLE, requires_grad=True)
        assert torch.autograd.gradgradcheck(copula.log_ratio, U)

    def test_bounded_in_the_corners(self) -> None:
        copula = GaussianCopula(smooth((0.0, 0.3, 0.3), (0.0, 0.3, 0.3)), [[1.0, 0.8], [0.8, 1.0]])
        assert 0.0 < float(copula.log_ratio(torch.zeros(1, 2, dtype=DOUBLE))) < 3.0

    @pytest.mark.parametrize("rho", [-0.95, -0.5, 0.3, 0.8, 0.95])
    def test_marginals_are_kept(self, rho: float) -> None:
        prior = coupled((0.1, 0.2, 0.4), (0.9, 0.3, 0.1), rho=rho, uniform_weight=0.0)
        x, y = quadrature_axes(prior)
        grid = np.stack(np.meshgrid(x.nodes, y.nodes, indexing="ij"), axis=-1)
        density = prior.log_prob(grid).exp().numpy()
        exact = [
            prior.regions[0].marginals[name].log_prob(torch.as_tensor(a.nodes)).exp()
            for name, a in zip("xy", (x, y), strict=True)
        ]
        np.testing.assert_allclose(density @ y.weights, exact[0], rtol=1e-8)  # the first exactly
        shift = np.cumsum((x.weights @ density - exact[1].numpy()) * y.weights)
        assert np.abs(shift).max() < 5e-3

    def test_a_fine_grid_is_nearly_continuous(self) -> None:
        beliefs = (0.4, 0.1, 0.3), (0.6, 0.2, 0.2)
        grids = [SplitNormalMarginal(Column(f"n{j}", IntDistribution(1, 10**6)), *b) for j, b in enumerate(beliefs)]
        U = torch.rand(200, 2, generator=seeded(), dtype=DOUBLE)
        R = [[1.0, -0.6], [-0.6, 1.0]]
        torch.testing.assert_close(
            GaussianCopula(grids, R).log_ratio(U), GaussianCopula(smooth(*beliefs), R).log_ratio(U), rtol=0, atol=1e-3
        )


class TestDraws:
    def test_scores_have_the_correlations_of_the_truncated_normal(self) -> None:
        marginals = smooth((0.4, 0.1, 0.3), (0.0, 0.2, 0.2), (0.9, 0.5, 0.05))
        R = np.array([[1.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.0]])
        U = GaussianCopula(marginals, R).transport(torch.rand(40000, 3, generator=seeded(3), dtype=DOUBLE)).numpy()
        rng, z = np.random.default_rng(4), np.zeros((40000, 3))
        for j in range(3):  # the same distribution drawn by SciPy
            weights = np.linalg.solve(R[:j, :j], R[:j, j]) if j else np.zeros(0)
            mean, deviation = z[:, :j] @ weights, math.sqrt(R[j, j] - R[:j, j] @ weights)
            low, high = (-MAX_SCORE - mean) / deviation, (MAX_SCORE - mean) / deviation
            z[:, j] = stats.truncnorm.rvs(low, high, loc=mean, scale=deviation, random_state=rng)
        actual = np.corrcoef(scores(marginals, U), rowvar=False)
        np.testing.assert_allclose(actual, np.corrcoef(z, rowvar=False), atol=0.02)
        np.testing.assert_allclose(actual, R, atol=0.1)

    def test_order_of_columns_is_the_callers(self) -> None:
        grid = SplitNormalMarginal(Column("n", IntDistribution(1, 5)), 0.5, 0.2, 0.2)
        copula = GaussianCopula([grid, *smooth((0.3, 0.1, 0.1))], [[1.0, 0.5], [0.5, 1.0]])
        U = copula.transport(torch.rand(100, 2, generator=seeded(), dtype=DOUBLE))
        assert np.isin(U[:, 0].numpy().round(6), [0.1, 0.3, 0.5, 0.7, 0.9]).all()
        assert len(np.unique(U[:, 1].numpy())) == 100
        assert "GaussianCopula(['n', 'x0']" in repr(copula)


class TestNearestCorrelationMatrix:
    def test_example_of_higham(self) -> None:
        # Section 4 of the paper: tridiagonal of ones, nearest matrix to four decimals.
        matrix = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
        expected = [[1.0, 0.7607, 0.1573], [0.7607, 1.0, 0.7607], [0.1573, 0.7607, 1.0]]
        np.testing.assert_allclose(nearest_correlation_matrix(matrix, min_eigenvalue=0.0), expected, atol=5e-5)

    def test_valid_matrix_is_untouched(self) -> None:
        R = np.array([[1.0, 0.5], [0.5, 1.0]])
        assert np.array_equal(nearest_correlation_matrix(R), R)

    @given(entries=st.lists(st.floats(-1, 1), min_size=10, max_size=10))
    def test_always_a_correlation_matrix(self, entries: list[float]) -> None:
        matrix = np.eye(5)
        matrix[np.triu_indices(5, 1)] = entries
        R = nearest_correlation_matrix(matrix + matrix.T - np.eye(5))
        assert np.array_equal(R, R.T)
        assert np.array_equal(np.diag(R), np.ones(5))
        assert np.linalg.eigvalsh(R).min() >= MIN_EIGENVALUE - 1e-12
        assert np.abs(R).max() <= 1.0

    def test_input_is_left_alone(self) -> None:
        matrix = np.array([[1.0, 1.0], [1.0, 1.0]])
        nearest_correlation_matrix(matrix)
        assert np.array_equal(matrix, np.ones((2, 2)))

    def test_few_iterations_still_give_a_correlation_matrix(self) -> None:
        R = nearest_correlation_matrix([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]], max_iterations=1)
        assert np.linalg.eigvalsh(R).min() >= MIN_EIGENVALUE - 1e-12

    def test_refuses(self) -> None:
        with pytest.raises(PriorError, match="square"):
            nearest_correlation_matrix(np.zeros((2, 3)))
        with pytest.raises(PriorError, match="finite"):
            nearest_correlation_matrix([[1.0, math.nan], [math.nan, 1.0]])
        with pytest.raises(PriorError, match="eigenvalue"):
            nearest_correlation_matrix(np.eye(2), min_eigenvalue=1.0)
        with pytest.raises(PriorError, match="correlations in"):
            GaussianCopula(smooth((0.5, 0.1, 0.1)), np.eye(2))
        with pytest.raises(PriorError, match="correlations in"):
            GaussianCopula(smooth((0.5, 0.1, 0.1), (0.5, 0.1, 0.1)), [[1.0, 2.0], [2.0, 1.0]])
