"""Any prior, believed in part."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_prior_bo.errors import PriorError
from llm_prior_bo.priors import MixturePrior, OptimumPrior, TemperedMixture, UniformPrior
from llm_prior_bo.space import SearchSpace
from tests.priors.cases import MIXED, PLANE, UNIT, coupled_mixed, discounted, mixed, random_priors, seeded, single

DOUBLE = torch.float64


@dataclass
class Triangle(OptimumPrior):
    """`2 x` on [0, 1]: a density of someone's own, which vanishes at 0."""

    dim = 1
    log_range = math.inf

    def log_prob(self, X: Any) -> torch.Tensor:
        return torch.log(2.0 * torch.as_tensor(X, dtype=DOUBLE)[..., 0])

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> torch.Tensor:
        return torch.rand(n, 1, generator=generator, dtype=DOUBLE).sqrt()

    def mode(self) -> torch.Tensor:
        return torch.ones(1, dtype=DOUBLE)


LINE = UniformPrior(SearchSpace({"x": UNIT}))


class TestDensity:
    @pytest.mark.parametrize("trust", [0.0, 1e-12, 0.3, 0.999, 1.0])
    def test_is_the_weighted_mean_of_prior_and_uniform(self, trust: float) -> None:
        prior = coupled_mixed()
        X = prior.sample(50, generator=seeded())
        expected = (trust * prior.log_prob(X).exp() + 1.0 - trust).log()
        torch.testing.assert_close(discounted(prior, trust).log_prob(X), expected, rtol=1e-12, atol=1e-12)

    def test_of_a_mixture_is_a_mixture_with_a_larger_floor(self) -> None:
        prior = mixed()
        X = prior.sample(50, generator=seeded())
        same = MixturePrior(MIXED, prior.regions, prior.weights * 0.4, 0.6 + 0.4 * prior.uniform_weight)
        torch.testing.assert_close(discounted(prior, 0.4).log_prob(X), same.log_prob(X))

    def test_the_floor_holds_where_the_prior_vanishes(self) -> None:
        prior = TemperedMixture(Triangle(), 0.75, uniform=LINE)
        X = torch.tensor([[0.0], [0.5], [1.0]], dtype=DOUBLE)
        torch.testing.assert_close(prior.log_prob(X).exp(), torch.tensor([0.25, 1.0, 1.75], dtype=DOUBLE))

    def test_gradient(self) -> None:
        prior = TemperedMixture(Triangle(), 0.75, uniform=LINE)
        x = torch.tensor([0.4], dtype=DOUBLE, requires_grad=True)
        (gradient,) = torch.autograd.grad(prior.log_prob(x), x)
        assert float(gradient) == pytest.approx(0.75 * 2.0 / (0.75 * 0.8 + 0.25))

    @given(prior=random_priors(max_size=3), trust=st.floats(0.0, 1.0))
    def test_never_below_the_floor_nor_above_its_range(self, prior: MixturePrior, trust: float) -> None:
        believed = discounted(prior, trust)
        values = believed.log_prob(torch.cat([prior.sample(20, generator=seeded()), prior.anchors()]))
        assert torch.isfinite(values).all()
        floor = math.log(max(1.0 - trust, prior.uniform_weight))
        assert float(values.min()) >= floor - 1e-9
        assert float(values.max() - values.min()) <= believed.log_range + 0.05


class TestLogRange:
    def test_without_trust_there_is_none(self) -> None:
        assert discounted(mixed(), 0.0).log_range == 0.0

    def test_with_full_trust_it_is_the_priors(self) -> None:
        assert discounted(mixed(), 1.0).log_range == mixed().log_range

    def test_falls_with_the_trust(self) -> None:
        ranges = [discounted(mixed(), trust).log_range for trust in (1e-6, 0.01, 0.5, 0.99, 1.0 - 1e-9)]
        assert ranges == sorted(ranges)
        assert ranges[0] < 1e-3

    @pytest.mark.parametrize("log_range", [math.inf, 1e6, 1.0])
    def test_is_finite_where_the_priors_is_not(self, log_range: float) -> None:
        prior = Triangle()
        prior.log_range = log_range
        assert 0.0 < TemperedMixture(prior, 0.5, uniform=LINE).log_range < 1e4


class TestDraws:
    @pytest.mark.parametrize("trust", [0.0, 0.3, 1.0])
    def test_come_from_the_prior_as_often_as_it_is_believed(self, trust: float) -> None:
        needle = single(UNIT, (0.5, 1e-9, 1e-9), uniform_weight=0.0)
        X = discounted(needle, trust).sample(4000, generator=seeded())
        near = float(((X - 0.5).abs() < 1e-6).double().mean())
        assert near == pytest.approx(trust, abs=4.5 * math.sqrt(trust * (1.0 - trust) / 4000))
        others = X[(X - 0.5).abs() >= 1e-6]
        if len(others):
            assert float(others.mean()) == pytest.approx(0.5, abs=4.5 / math.sqrt(12 * len(others)))

    def test_of_a_prior_of_ones_own(self) -> None:
        X = TemperedMixture(Triangle(), 0.5, uniform=LINE).sample(4000, generator=seeded())
        # The mean of 2x is 2/3.
        assert float(X.mean()) == pytest.approx(0.5 * 2 / 3 + 0.5 * 0.5, abs=4.5 * 0.28 / math.sqrt(4000))


def test_keeps_what_the_prior_knows() -> None:
    prior = discounted(mixed(), 0.25)
    assert prior.dim == 3
    assert prior.space == MIXED
    assert torch.equal(prior.mode(), mixed().mode())
    assert repr(prior).startswith("TemperedMixture(MixturePrior(")
    assert repr(prior).endswith("trust=0.2500)")


@pytest.mark.parametrize("trust", [-0.01, 1.01, math.nan])
def test_refuses_a_trust_out_of_range(trust: float) -> None:
    with pytest.raises(PriorError, match=r"trust in \[0, 1\], got"):
        discounted(mixed(), trust)


def test_refuses_a_uniform_of_another_dimension() -> None:
    with pytest.raises(PriorError, match="one dimension, got 3 and 2"):
        TemperedMixture(mixed(), 0.5, uniform=UniformPrior(PLANE))
