from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import bootstrap, mstats

from llm_prior_bo.compare.statistics import Comparison, MeanDifference, Quartiles, paired_bootstrap
from llm_prior_bo.errors import ConfigurationError


class TestQuartiles:
    def test_quartiles_next_to_an_infinite_value(self) -> None:
        assert Quartiles.of([1.0, 2.0, 3.0, math.inf]) == Quartiles(2.0, 3.0, math.inf)

    def test_quartiles_as_text(self) -> None:
        quartiles = Quartiles(0.125, 2.0, 31.0)
        assert quartiles.text(".2f") == "2.00 (0.12 .. 31.00)"
        assert quartiles.text(".4g") == "2 (0.125 .. 31)"
        assert str(quartiles) == "2 (0.12 to 31)"

    def test_agree_with_scipy(self) -> None:
        values = np.random.default_rng(0).normal(size=11)
        own = Quartiles.of(values.tolist())
        expected = mstats.mquantiles(values, [0.25, 0.5, 0.75], alphap=1, betap=1)  # NumPy's linear interpolation
        assert (own.low, own.median, own.high) == pytest.approx(tuple(expected))


class TestComparison:
    def test_smaller_wins(self) -> None:
        assert Comparison.of([(1.0, 2.0), (2.0, 1.0), (1.0, 1.0 + 1e-12)]) == Comparison(1, 1, 1)

    def test_without_tolerance_only_equal_numbers_are_level(self) -> None:
        assert Comparison.of([(1.0, 1.0 + 1e-12), (1.0, 1.0)], tolerance=0.0) == Comparison(1, 1, 0)

    def test_infinite_numbers(self) -> None:
        inf = math.inf
        assert Comparison.of([(inf, inf), (1.0, inf), (inf, 1.0), (-inf, -inf)]) == Comparison(1, 2, 1)

    def test_sum(self) -> None:
        assert Comparison(1, 2, 3) + Comparison(4, 5, 6) == Comparison(5, 7, 9)
        assert str(Comparison(5, 7, 9)) == "5-7-9"


class TestBootstrap:
    def test_constant_difference_has_no_width(self) -> None:
        assert paired_bootstrap([1.0, 2.0, 3.0], [2.0, 3.0, 4.0], seed=0) == MeanDifference(-1.0, -1.0, -1.0)

    def test_agrees_with_resampled_means(self) -> None:
        rng = np.random.default_rng(0)
        a, b = rng.gamma(2.0, size=30), rng.gamma(2.0, size=30)
        own = paired_bootstrap(a, b, n_resamples=20_000, seed=1)
        rows = np.random.default_rng(2).integers(30, size=(20_000, 30))
        low, high = np.quantile((a - b)[rows].mean(axis=1), [0.025, 0.975])
        assert own.mean == pytest.approx((a - b).mean())
        assert (own.low, own.high) == pytest.approx((low, high), abs=0.02)

    def test_one_pair_has_no_width(self) -> None:
        assert paired_bootstrap([3.0], [1.0], seed=0) == MeanDifference(2.0, 2.0, 2.0)

    def test_width_of_a_large_sample(self) -> None:
        a = np.random.default_rng(0).standard_normal(400)
        own = paired_bootstrap(a, np.zeros(400), seed=0)
        assert own.high - own.low == pytest.approx(2 * 1.96 * a.std() / math.sqrt(400), rel=0.1)

    def test_same_seed_same_interval(self) -> None:
        a, b = [1.0, 4.0, 2.0], [0.0, 1.0, 5.0]
        assert paired_bootstrap(a, b, seed=3) == paired_bootstrap(a, b, seed=3)
        assert str(MeanDifference(0.5, -0.25, 1.0)) == "+0.5 (-0.25 to +1)"

    def test_agrees_with_scipy(self) -> None:
        rng = np.random.default_rng(0)
        a, b = rng.gamma(2.0, size=12), rng.gamma(2.0, size=12)
        interval = bootstrap((a - b,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(0))
        own = paired_bootstrap(a, b)
        assert (own.low, own.high) == pytest.approx(tuple(interval.confidence_interval))

    @pytest.mark.parametrize(("a", "b"), [([], []), ([1.0], [1.0, 2.0])])
    def test_numbers_that_are_no_pairs_are_refused(self, a: list[float], b: list[float]) -> None:
        with pytest.raises(ConfigurationError, match=f"at least one, got {len(a)} and {len(b)}"):
            paired_bootstrap(a, b, seed=0)
