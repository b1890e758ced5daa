"""Marginals of one column against SciPy, and what an interval turns into."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from scipy import stats

from llm_prior_bo.errors import PriorError
from llm_prior_bo.priors import CategoricalMarginal, SplitNormalMarginal
from llm_prior_bo.priors._cells import TABLE_LIMIT
from llm_prior_bo.priors.marginals import DEFAULT_SCALE, MIN_PROBABILITY, SCALE_LIMITS
from llm_prior_bo.space import Column
from tests.priors.cases import UNIT, FloatArray, seeded

DOUBLE = torch.float64


def column(distribution: BaseDistribution = UNIT) -> Column:
    return Column("x", distribution)


def reference_cdf(u: FloatArray, mode: float, left: float, right: float) -> FloatArray:
    """Of the truncated split normal, from SciPy's normal distribution."""

    def untruncated(x: FloatArray) -> FloatArray:
        below = left * stats.norm.cdf((np.minimum(x, mode) - mode) / left)
        above = right * (stats.norm.cdf((np.maximum(x, mode) - mode) / right) - 0.5)
        return np.asarray(below + above, dtype=np.float64)

    start, end = untruncated(np.array([0.0, 1.0]))
    return np.asarray((untruncated(u) - start) / (end - start), dtype=np.float64)


class TestSplitNormal:
    @pytest.mark.parametrize("mode", [0.0, 0.2, 0.5, 1.0])
    @pytest.mark.parametrize("scale", [0.01, 0.1, 1.0, 50.0])
    def test_symmetric_is_a_truncated_normal(self, mode: float, scale: float) -> None:
        u = np.linspace(0, 1, 201)
        reference = stats.truncnorm(-mode / scale, (1 - mode) / scale, loc=mode, scale=scale)
        marginal = SplitNormalMarginal(column(), mode, scale, scale)
        np.testing.assert_allclose(marginal.log_prob(torch.as_tensor(u)), reference.logpdf(u), rtol=1e-11, atol=1e-11)

    @pytest.mark.parametrize("mode", [0.0, 0.3, 1.0])
    @pytest.mark.parametrize(("left", "right"), [(0.05, 0.3), (0.3, 0.05), (1e-4, 2.0), (20.0, 0.01)])
    def test_distribution_function(self, mode: float, left: float, right: float) -> None:
        u = np.linspace(0, 1, 201)
        marginal = SplitNormalMarginal(column(), mode, left, right)
        np.testing.assert_allclose(
            marginal.split_normals.cdf(torch.as_tensor(u)), reference_cdf(u, mode, left, right), rtol=1e-12, atol=1e-14
        )
        np.testing.assert_allclose(marginal.split_normals.cdf(marginal.icdf(torch.as_tensor(u))), u, atol=1e-14)
        seed = round(1e4 * (mode + left + 7 * right))  # other variates for every case
        draws = marginal.sample(5000, generator=seeded(seed)).numpy()
        assert stats.kstest(reference_cdf(draws, mode, left, right), "uniform").pvalue > 1e-3

    def test_continuous_at_the_mode(self) -> None:
        marginal = SplitNormalMarginal(column(), 0.3, 0.01, 0.5)
        around = torch.tensor([0.3 - 1e-12, 0.3, 0.3 + 1e-12], dtype=DOUBLE)
        assert float(marginal.log_prob(around).std()) < 1e-12
        assert float(marginal.log_prob(around)[1]) == pytest.approx(marginal.max_log_prob)

    @pytest.mark.parametrize(
        "distribution",
        [
            IntDistribution(-3, 20),
            IntDistribution(1, 500, log=True),
            FloatDistribution(-1.0, 1.0, step=0.25),
            IntDistribution(5, 5),
        ],
    )
    @pytest.mark.parametrize("belief", [(0.3, 0.1, 0.2), (0.0, 1e-3, 1e-3), (1.0, 3.0, 0.1), (0.5, 1e2, 1e2)])
    def test_masses_of_grid_values(self, distribution: BaseDistribution, belief: tuple[float, float, float]) -> None:
        grid = column(distribution)
        lower, upper = grid.cell_edges(np.arange(grid.n_values or 0))
        marginal = SplitNormalMarginal(grid, *belief)
        masses = marginal.log_prob(torch.as_tensor((lower + upper) / 2)).exp().numpy() * (upper - lower)
        assert masses.sum() == pytest.approx(1.0, abs=1e-13)
        np.testing.assert_allclose(
            masses, reference_cdf(upper, *belief) - reference_cdf(lower, *belief), rtol=1e-9, atol=1e-13
        )
        index = grid.cell_index(marginal.sample(3000, generator=seeded(4)))
        likely = masses * 3000 >= 5
        observed = np.bincount(index, minlength=len(masses))
        if likely.sum() > 1:
            observed, expected = (np.append(x[likely], x[~likely].sum()) for x in (observed, masses * 3000))
            expected = np.maximum(expected, 1e-9)
            assert observed[-1] <= 5 + 4 * expected[-1]
            assert (
                stats.chisquare(observed[:-1], expected[:-1] * observed[:-1].sum() / expected[:-1].sum()).pvalue > 1e-3
            )
        assert torch.isfinite(marginal.log_prob(torch.as_tensor(lower))).all()

    def test_tails_far_out(self) -> None:
        u = torch.tensor([0.0, 0.999999], dtype=DOUBLE)
        continuous = SplitNormalMarginal(column(), 0.5, 1e-9, 1e-9).log_prob(u)
        assert torch.isfinite(continuous).all()
        on_grid = SplitNormalMarginal(column(IntDistribution(0, 9)), 0.5, 1e-9, 1e-9).log_prob(u)
        # The nearest edge of the cell dominates: -(d / s)^2 / 2.
        assert float(on_grid[0]) == pytest.approx(-0.5 * (0.4 / 1e-9) ** 2, rel=1e-8)

    @pytest.mark.parametrize("n", [TABLE_LIMIT, TABLE_LIMIT + 1, 10**9])
    def test_huge_grids_are_not_enumerated(self, n: int) -> None:
        grid = column(IntDistribution(1, n))
        marginal = SplitNormalMarginal.from_interval(grid, best=n // 3, low=n // 4, high=n // 2, coverage=0.8)
        assert (marginal.table is None) == (n > TABLE_LIMIT)
        smooth = SplitNormalMarginal(column(), marginal.mode_unit, marginal.left_scale, marginal.right_scale)
        u = torch.tensor([0.0, 0.2, 0.3333, 0.9, 1.0], dtype=DOUBLE)
        torch.testing.assert_close(marginal.log_prob(u), smooth.log_prob(u), rtol=1e-3, atol=1e-3)
        draws = marginal.sample(2000, generator=seeded(1)).numpy()
        assert np.array_equal(draws, grid.snap(draws))
        inside = ((draws >= 0.25) & (draws <= 0.5)).mean()
        assert 0.78 < inside < 0.86
        assert marginal.max_log_prob >= float(marginal.log_prob(torch.tensor(marginal.mode_unit, dtype=DOUBLE))) - 1e-9

    @pytest.mark.parametrize("belief", [(0.3, 1e-14, 1e-14), (0.3, 1e9, 1e9)])
    def test_scales_are_cut(self, belief: tuple[float, float, float]) -> None:
        marginal = SplitNormalMarginal(column(), *belief)
        assert SCALE_LIMITS[0] <= marginal.left_scale <= SCALE_LIMITS[1]
        assert torch.isfinite(marginal.log_prob(torch.tensor([0.0, 0.3, 1.0], dtype=DOUBLE))).all()

    def test_tempered(self) -> None:
        marginal = SplitNormalMarginal(column(), 0.3, 0.1, 0.2)
        u = torch.linspace(0, 1, 11, dtype=DOUBLE)
        assert torch.equal(marginal.tempered(1.0).log_prob(u), marginal.log_prob(u))
        difference = marginal.tempered(4.0).log_prob(u) - marginal.log_prob(u) / 4.0
        torch.testing.assert_close(difference, difference[:1].expand(11))  # a constant: the normaliser
        for temperature in (0.0, -1.0, math.inf, math.nan):
            with pytest.raises(PriorError, match="temperature"):
                marginal.tempered(temperature)

    def test_widened(self) -> None:
        marginal = SplitNormalMarginal(column(), 0.3, 0.01, 0.2)
        assert marginal.widened(0.1) == SplitNormalMarginal(column(), 0.3, 0.1, 0.2)
        assert marginal.widened(0.5) == SplitNormalMarginal(column(), 0.3, 0.5, 0.5)
        for nothing in (0.0, 0.01):
            assert marginal.widened(nothing) == marginal
        grid = SplitNormalMarginal(column(IntDistribution(1, 9)), 0.3, 1e-3, 1e-3).widened(0.1)
        masses = grid.log_prob(torch.as_tensor(grid.column.cell_centre(np.arange(9)))).exp() / 9
        assert float(masses.sum()) == pytest.approx(1.0)
        assert float(masses.max()) < 0.6

    @pytest.mark.parametrize(
        ("belief", "complaint"),
        [
            ((-0.1, 1.0, 1.0), "mode"),
            ((math.nan, 1.0, 1.0), "mode"),
            ((0.5, 0.0, 1.0), "left_scale"),
            ((0.5, 1.0, math.inf), "right_scale"),
        ],
    )
    def test_refuses(self, belief: tuple[float, float, float], complaint: str) -> None:
        with pytest.raises(PriorError, match=complaint):
            SplitNormalMarginal(column(), *belief)

    def test_refuses_categorical_columns(self) -> None:
        categorical = column(CategoricalDistribution(["a", "b"]))
        with pytest.raises(PriorError, match="categorical"):
            SplitNormalMarginal(categorical, 0.5, 1.0, 1.0)
        with pytest.raises(PriorError, match="categorical"):
            SplitNormalMarginal.from_interval(categorical, best=0, low=0, high=1, coverage=0.5)


class TestFromInterval:
    @pytest.mark.parametrize("coverage", [0.2, 0.5, 0.8, 0.95])
    def test_each_side_of_the_parent_holds_the_coverage(self, coverage: float) -> None:
        log = column(FloatDistribution(1e-6, 1.0, log=True))
        marginal = SplitNormalMarginal.from_interval(log, best=1e-3, low=1e-4, high=3e-2, coverage=coverage)
        assert marginal.mode_unit == pytest.approx(0.5)
        for natural, scale in ((1e-4, marginal.left_scale), (3e-2, marginal.right_scale)):
            distance = abs(float(log.to_unit(natural)) - 0.5)
            assert 2 * stats.norm.cdf(distance / scale) - 1 == pytest.approx(coverage, abs=1e-12)

    @given(
        values=st.lists(st.floats(0, 1), min_size=3, max_size=3, unique_by=lambda v: round(v, 3)),
        coverage=st.floats(0.05, 0.95),
    )
    def test_truncation_only_raises_the_coverage(self, values: list[float], coverage: float) -> None:
        low, best, high = sorted(values)
        marginal = SplitNormalMarginal.from_interval(column(), best=best, low=low, high=high, coverage=coverage)
        inside = marginal.split_normals.cdf(torch.tensor([low, high], dtype=DOUBLE))
        assert float(inside[1] - inside[0]) >= coverage - 1e-9

    @given(values=st.lists(st.integers(1, 50), min_size=3, max_size=3), coverage=st.floats(0.05, 0.95))
    def test_intervals_of_integers_are_inclusive(self, values: list[int], coverage: float) -> None:
        grid = column(IntDistribution(1, 50))
        low, best, high = sorted(values)
        marginal = SplitNormalMarginal.from_interval(grid, best=best, low=low, high=high, coverage=coverage)
        legal = torch.as_tensor(grid.cell_centre(np.arange(50)))
        masses = marginal.log_prob(legal).exp() / 50
        assert marginal.mode == pytest.approx(grid.encode(best))
        if low < best < high:
            assert float(masses[low - 1 : high].sum()) >= coverage - 1e-9

    @pytest.mark.parametrize(
        ("best", "low", "high", "scales"),
        [
            (0.5, 0.5, 0.5, (DEFAULT_SCALE, DEFAULT_SCALE)),
            (0.5, 0.5, 0.6, (DEFAULT_SCALE, 0.1)),
            (0.5, 0.5, 0.501, (0.001, 0.001)),  # never wider than the side that has a width
            (0.5, 0.499, 0.5, (0.001, 0.001)),
            (0.0, 0.0, 0.2, (0.2, 0.2)),  # a half normal
            (1.0, 0.7, 1.0, (0.3, 0.3)),
            (0.0, 0.0, 0.0, (DEFAULT_SCALE, DEFAULT_SCALE)),
        ],
    )
    def test_sides_without_width(self, best: float, low: float, high: float, scales: tuple[float, float]) -> None:
        coverage = 2 * stats.norm.cdf(1.0) - 1  # z = 1
        marginal = SplitNormalMarginal.from_interval(column(), best=best, low=low, high=high, coverage=coverage)
        assert (marginal.left_scale, marginal.right_scale) == pytest.approx(scales)

    def test_one_integer_and_nothing_else(self) -> None:
        coverage = 2 * stats.norm.cdf(1.0) - 1
        coarse = SplitNormalMarginal.from_interval(
            column(IntDistribution(1, 10)), best=3, low=3, high=3, coverage=coverage
        )
        assert (coarse.left_scale, coarse.right_scale) == pytest.approx((0.05, 0.05))  # half a cell
        fine = SplitNormalMarginal.from_interval(
            column(IntDistribution(1, 10**9)), best=3, low=3, high=3, coverage=coverage
        )
        assert fine.right_scale == pytest.approx(DEFAULT_SCALE)

    def test_beyond_the_range_is_clipped(self) -> None:
        marginal = SplitNormalMarginal.from_interval(column(), best=7.0, low=0.5, high=9.0, coverage=0.5)
        assert marginal.mode == 1.0

    @pytest.mark.parametrize("values", [(0.5, 0.6, 0.7), (0.5, 0.4, 0.3), (math.nan, 0.0, 1.0), (0.5, 0.0, math.inf)])
    def test_refuses_values(self, values: tuple[float, float, float]) -> None:
        with pytest.raises(PriorError, match="low <= best <= high"):
            SplitNormalMarginal.from_interval(column(), best=values[0], low=values[1], high=values[2], coverage=0.5)

    @pytest.mark.parametrize("coverage", [0.0, 1.0, math.nan])
    def test_refuses_coverages(self, coverage: float) -> None:
        with pytest.raises(PriorError, match="coverage"):
            SplitNormalMarginal.from_interval(column(), best=0.5, low=0.4, high=0.6, coverage=coverage)


class TestCategorical:
    def test_relative_density_is_probability_times_number_of_choices(self) -> None:
        marginal = CategoricalMarginal(column(CategoricalDistribution(["a", "b", "c"])), (1.0, 2.0, 5.0))
        expected = np.log(np.array([1.0, 2.0, 5.0]) / 8 * 3)
        np.testing.assert_allclose(marginal.log_prob(torch.arange(3, dtype=DOUBLE)), expected, atol=1e-15)
        assert marginal.mode == 2.0
        assert marginal.max_log_prob == pytest.approx(expected[2])
        counts = np.bincount(marginal.sample(4000, generator=seeded(2)).long().numpy(), minlength=3)
        assert stats.chisquare(counts, [500, 1000, 2500]).pvalue > 1e-3

    def test_nothing_is_impossible(self) -> None:
        marginal = CategoricalMarginal(column(CategoricalDistribution(["a", "b"])), (0.0, 1e300))
        assert marginal.probabilities == pytest.approx((MIN_PROBABILITY, 1.0), rel=1e-9)

    def test_tempered(self) -> None:
        marginal = CategoricalMarginal(column(CategoricalDistribution(["a", "b"])), (0.2, 0.8))
        assert marginal.tempered(1.0) == marginal
        assert marginal.tempered(2.0).probabilities == pytest.approx((1 / 3, 2 / 3))
        assert marginal.tempered(1e-3).probabilities == pytest.approx((MIN_PROBABILITY, 1.0))
        with pytest.raises(PriorError, match="temperature"):
            marginal.tempered(0.0)

    def test_widened(self) -> None:
        marginal = CategoricalMarginal(column(CategoricalDistribution(["a", "b", "c"])), (0.0, 0.1, 0.9))
        assert marginal.widened(0.3).probabilities == pytest.approx((0.1, 0.17, 0.73))
        assert marginal.widened(0.0).probabilities == pytest.approx(marginal.probabilities)
        for everything in (1.0, 5.0):
            assert marginal.widened(everything).probabilities == pytest.approx((1 / 3, 1 / 3, 1 / 3))

    @pytest.mark.parametrize("table", [(1.0,), (1.0, -1.0), (0.0, 0.0), (math.nan, 1.0), (1.0, 1.0, 1.0)])
    def test_refuses(self, table: tuple[float, ...]) -> None:
        with pytest.raises(PriorError, match="probabilities"):
            CategoricalMarginal(column(CategoricalDistribution(["a", "b"])), table)

    def test_refuses_numeric_columns(self) -> None:
        with pytest.raises(PriorError, match="numeric"):
            CategoricalMarginal(column(), (0.5, 0.5))
