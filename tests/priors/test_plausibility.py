"""The plausibility of points: log density near the best guesses, heavy tails far from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from optuna.distributions import CategoricalDistribution, FloatDistribution
from scipy import stats
from scipy.special import logsumexp
from torch import Tensor

from llm_prior_bo.errors import PriorError
from llm_prior_bo.priors import (
    CategoricalMarginal,
    Marginal,
    MixturePrior,
    OptimumPrior,
    Plausibility,
    SplitNormalMarginal,
    UniformPrior,
)
from llm_prior_bo.space import SearchSpace
from tests.priors.cases import (
    CASES,
    MIXED,
    PLANE,
    UNIT,
    FloatArray,
    coupled,
    discounted,
    mixed,
    random_priors,
    region,
    seeded,
    single,
    space_of,
)

DOUBLE = torch.float64


def kernel(marginal: Marginal, u: float, dof: float) -> float:
    """Log of a Student-t kernel, 0 at the best guess."""
    if isinstance(marginal, CategoricalMarginal):
        squared = 2.0 * math.log(max(marginal.probabilities) / marginal.probabilities[int(u)])
    else:
        assert isinstance(marginal, SplitNormalMarginal)
        scale = marginal.left_scale if u < marginal.mode_unit else marginal.right_scale
        squared = ((u - marginal.mode_unit) / scale) ** 2
    return -(dof + 1.0) / 2.0 * math.log(1.0 + squared / dof)


def by_hand(prior: MixturePrior, X: Tensor, dof: float) -> FloatArray:
    """The formula, term by term."""
    rows = []
    for x in X.tolist():
        terms = []
        for one in prior.regions:
            terms.append(sum(kernel(m, x[prior.space.index(name)], dof) for name, m in one.marginals.items()))
        rows.append(logsumexp(terms, b=prior.weights.numpy()))
    return np.array(rows)


class TestFormula:
    @pytest.mark.parametrize("dof", [0.5, 1.0, 3.0, 30.0])
    def test_one_region_has_the_tails_of_students_t(self, dof: float) -> None:
        plausibility = Plausibility(single(UNIT, (0.3, 0.1, 0.2)), degrees_of_freedom=dof)
        x = torch.tensor([0.0, 0.1, 0.29, 0.3, 0.31, 0.7, 1.0], dtype=DOUBLE)
        z = np.array([-3.0, -2.0, -0.1, 0.0, 0.05, 2.0, 3.5])
        t = stats.t(dof)
        values = plausibility(x.unsqueeze(-1))
        relative = values - values[3]
        np.testing.assert_allclose(relative, t.logpdf(z) - t.logpdf(0.0), rtol=1e-9, atol=1e-12)

    def test_in_numbers(self) -> None:
        """Two scales off, with 3 degrees of freedom: -2 log(1 + 4/3)."""
        value = Plausibility(single(UNIT, (0.3, 0.1, 0.2), uniform_weight=0.0))(torch.tensor([0.1], dtype=DOUBLE))
        assert float(value) == pytest.approx(-2.0 * math.log(7.0 / 3.0))

    def test_two_regions_add_up_by_weight(self) -> None:
        regions = [region(PLANE, {"x": (0.2, 0.1, 0.1)}), region(PLANE, {"x": (0.8, 0.05, 0.1), "y": (0.5, 0.2, 0.2)})]
        prior = MixturePrior(PLANE, regions, [0.6, 0.3], 0.1)
        # One scale from the first best guess, ten and two from the second: (1 + 1/3)^-2 and ((1 + 100/3) (1 + 4/3))^-2.
        x = torch.tensor([0.3, 0.9], dtype=DOUBLE)
        first, second = (4.0 / 3.0) ** -2, (103.0 / 3.0 * 7.0 / 3.0) ** -2
        assert float(Plausibility(prior)(x)) == pytest.approx(math.log(0.6 * first + 0.3 * second))

    def test_choices_are_as_far_off_as_they_are_less_probable(self) -> None:
        prior = single(CategoricalDistribution(["a", "b", "c"]), (0.5, 0.3, 0.2), uniform_weight=0.0)
        values = Plausibility(prior)(torch.tensor([[0.0], [1.0], [2.0]], dtype=DOUBLE))
        expected = [-2.0 * math.log1p(2.0 * math.log(0.5 / p) / 3.0) for p in (0.5, 0.3, 0.2)]
        torch.testing.assert_close(values, torch.tensor(expected, dtype=DOUBLE))

    @pytest.mark.parametrize("dof", [1.0, 3.0, 8.0])
    def test_of_a_mixed_space(self, dof: float) -> None:
        prior = mixed()
        X = UniformPrior(MIXED).sample(200, generator=seeded())
        values = Plausibility(prior, degrees_of_freedom=dof)(X)
        np.testing.assert_allclose(values, by_hand(prior, X, dof), rtol=1e-10, atol=1e-10)

    def test_correlations_and_the_floor_are_left_out(self) -> None:
        X = UniformPrior(PLANE).sample(50, generator=seeded())
        beliefs = ((0.4, 0.05, 0.05), (0.6, 0.06, 0.06))
        with_both = Plausibility(coupled(*beliefs, rho=0.8, uniform_weight=0.5))(X)
        without = Plausibility(coupled(*beliefs, rho=0.0, uniform_weight=0.0))(X)
        differences = with_both - without  # but for the weight of the region, which is a constant
        torch.testing.assert_close(differences, differences[:1].expand(50))

    def test_illegal_coordinates_count_as_the_choice_they_lie_in(self) -> None:
        plausibility = Plausibility(single(CategoricalDistribution(["a", "b", "c"]), (0.5, 0.3, 0.2)))
        odd = torch.tensor([[-0.3], [0.4], [1.2], [2.9]], dtype=DOUBLE)
        legal = torch.tensor([[0.0], [0.0], [1.0], [2.0]], dtype=DOUBLE)
        assert torch.equal(plausibility(odd), plausibility(legal))


class TestNearTheBestGuess:
    """Against the log density of a region without correlations."""

    SPACE = SearchSpace({"x": UNIT, "lr": FloatDistribution(1e-5, 1.0, log=True), "z": UNIT})
    REGION = region(SPACE, {"x": (0.3, 0.1, 0.2), "lr": (0.7, 0.05, 0.02)})
    BEST = torch.tensor([0.3, 0.7, 0.5], dtype=DOUBLE)

    @pytest.mark.parametrize("dof", [1.0, 3.0, 20.0])
    @pytest.mark.parametrize(
        "direction", [(1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 1.0, 0.3), (0.0, -1.0, 0.0), (0.5, -0.2, 1.0)]
    )
    def test_the_curvature_is_proportional(self, dof: float, direction: tuple[float, float, float]) -> None:
        """To second order, on either side, a constant factor and a constant are all that differs."""
        prior = MixturePrior(self.SPACE, [self.REGION], [0.8], 0.2)
        plausibility = Plausibility(prior, degrees_of_freedom=dof)
        moved = self.BEST + 1e-4 * torch.tensor(direction, dtype=DOUBLE)
        fall = float(plausibility(self.BEST) - plausibility(moved))
        expected = float(self.REGION.log_prob(self.BEST) - self.REGION.log_prob(moved))
        assert expected > 0.0
        assert fall == pytest.approx((dof + 1.0) / dof * expected, rel=1e-4)

    def test_the_gradient_vanishes(self) -> None:
        x = self.BEST.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(Plausibility(MixturePrior(self.SPACE, [self.REGION], [1.0], 0.0))(x), x)
        assert torch.equal(gradient, torch.zeros(3, dtype=DOUBLE))

    def test_many_degrees_of_freedom_give_the_log_density(self) -> None:
        """Everywhere, choices included, but for a constant."""
        space = SearchSpace({"x": UNIT, "c": CategoricalDistribution(["a", "b", "c"])})
        one = region(space, {"x": (0.3, 0.1, 0.2), "c": (0.7, 0.2, 0.1)})
        X = UniformPrior(space).sample(50, generator=seeded())
        values = Plausibility(MixturePrior(space, [one], [1.0], 0.0), degrees_of_freedom=1e9)(X)
        torch.testing.assert_close(values, one.log_prob(X) - one.max_log_prob, rtol=1e-5, atol=1e-5)


class TestFarAway:
    def test_goes_on_falling_below_the_floor(self) -> None:
        prior = single(UNIT, (0.0, 0.02, 0.02))
        X = torch.tensor([[0.4], [0.6], [0.8], [1.0]], dtype=DOUBLE)
        assert float(prior.log_prob(X).diff().abs().max()) < 1e-12
        assert float(Plausibility(prior)(X).diff().max()) < -0.5

    def test_but_slowly(self) -> None:
        """Five hundred scales off, where a normal density is down by a hundred thousand nats."""
        fall = Plausibility(single(UNIT, (0.0, 0.002, 0.002), uniform_weight=0.0))(torch.ones(1, dtype=DOUBLE))
        assert -30.0 < float(fall) < -20.0


class TestNoOpinion:
    def test_a_column_costs_nothing(self) -> None:
        prior = MixturePrior(MIXED, [region(MIXED, {"depth": (0.75, 0.1, 0.1)})], [1.0], 0.1)
        X = UniformPrior(MIXED).sample(30, generator=seeded())
        moved = X.clone()
        moved[:, 0], moved[:, 2] = 1.0 - X[:, 0], (X[:, 2] + 1.0) % 3.0
        assert torch.equal(Plausibility(prior)(X), Plausibility(prior)(moved))

    def test_a_silent_region_stays_plausible_everywhere(self) -> None:
        """A choice that only one of two regions speaks of."""
        regions = [region(MIXED, {"act": (1.0, 0.0, 0.0)}), region(MIXED, {})]
        values = Plausibility(MixturePrior(MIXED, regions, [0.5, 0.5], 0.0))(
            torch.tensor([[0.2, 0.25, 0.0], [0.9, 0.25, 2.0]], dtype=DOUBLE)
        )
        far = math.exp(-2.0 * math.log1p(2.0 * math.log(1e12) / 3.0))
        assert values[0].item() == pytest.approx(0.0)
        assert values[1].item() == pytest.approx(math.log(0.5 + 0.5 * far))

    @pytest.mark.parametrize(
        "prior",
        [
            UniformPrior(MIXED),
            MixturePrior(MIXED, [], [], 1.0),
            MixturePrior(MIXED, [region(MIXED, {"lr": (0.1, 0.1, 0.1)})], [0.0], 1.0),
            MixturePrior(MIXED, [region(MIXED, {})], [1.0], 0.0),
        ],
        ids=["uniform", "no regions", "a region without weight", "a silent region"],
    )
    def test_is_the_same_everywhere(self, prior: OptimumPrior) -> None:
        X = UniformPrior(MIXED).sample(20, generator=seeded())
        assert torch.equal(Plausibility(prior)(X), torch.zeros(20, dtype=DOUBLE))

    def test_a_region_without_weight_is_left_out(self) -> None:
        regions = [region(PLANE, {"x": (0.2, 0.1, 0.1)}), region(PLANE, {"x": (0.8, 0.05, 0.1)})]
        X = UniformPrior(PLANE).sample(20, generator=seeded()).requires_grad_()
        values = Plausibility(MixturePrior(PLANE, regions, [0.9, 0.0], 0.1))(X)
        torch.testing.assert_close(values, Plausibility(MixturePrior(PLANE, regions[:1], [0.9], 0.1))(X))
        (gradient,) = torch.autograd.grad(values.sum(), X)
        assert gradient.isfinite().all()


class TestGradient:
    def test_is_that_of_the_values(self) -> None:
        prior = mixed()
        X = UniformPrior(MIXED).sample(10, generator=seeded())

        def values(lr: Tensor) -> Tensor:
            return Plausibility(prior)(torch.cat([lr, X[:, 1:]], dim=-1))

        assert torch.autograd.gradcheck(values, (X[:, :1].clone().requires_grad_(),))

    def test_in_the_plane_with_several_regions(self) -> None:
        regions = [
            region(PLANE, {"x": (0.2, 0.1, 0.3), "y": (0.9, 0.2, 0.1)}),
            region(PLANE, {"x": (0.8, 0.05, 0.1)}),
        ]
        plausibility = Plausibility(MixturePrior(PLANE, regions, [0.5, 0.4], 0.1), degrees_of_freedom=2.0)
        X = UniformPrior(PLANE).sample(12, generator=seeded()).requires_grad_()
        assert torch.autograd.gradcheck(plausibility, (X,))

    @pytest.mark.parametrize("name", CASES)
    def test_is_finite(self, name: str) -> None:
        prior = CASES[name]()
        X = torch.cat([UniformPrior(space_of(prior)).sample(20, generator=seeded()), prior.mode().unsqueeze(0)])
        (gradient,) = torch.autograd.grad(Plausibility(prior)(X.requires_grad_()).sum(), X)
        assert gradient.isfinite().all()


@dataclass
class Triangle(OptimumPrior):
    """`2 x` on [0, 1]: a density of someone's own, which vanishes at 0."""

    dim = 1
    log_range = math.inf

    def log_prob(self, X: Any) -> Tensor:
        return torch.log(2.0 * torch.as_tensor(X, dtype=DOUBLE)[..., 0])

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return torch.rand(n, 1, generator=generator, dtype=DOUBLE).sqrt()

    def mode(self) -> Tensor:
        return torch.ones(1, dtype=DOUBLE)


class TestOtherPriors:
    @pytest.mark.parametrize("trust", [0.0, 0.3, 0.9])
    def test_the_log_density_itself(self, trust: float) -> None:
        prior = discounted(mixed(), trust)
        X = UniformPrior(MIXED).sample(20, generator=seeded())
        assert torch.equal(Plausibility(prior)(X), prior.log_prob(X))

    def test_of_someones_own(self) -> None:
        X = torch.tensor([[0.1], [0.5]], dtype=DOUBLE)
        assert torch.equal(Plausibility(Triangle())(X), Triangle().log_prob(X))

    def test_refuses_a_density_that_vanishes(self) -> None:
        with pytest.raises(PriorError, match=r"finite log densities, .* mix in a uniform floor"):
            Plausibility(Triangle())(torch.tensor([[0.5], [0.0]], dtype=DOUBLE))


class TestShapes:
    @pytest.mark.parametrize("name", CASES)
    @pytest.mark.parametrize("batch_shape", [(), (1,), (5,), (4, 1), (2, 3), (0,)])
    def test_one_value_a_point(self, name: str, batch_shape: tuple[int, ...]) -> None:
        prior = CASES[name]()
        plausibility = Plausibility(prior)
        points = UniformPrior(space_of(prior)).sample(math.prod(batch_shape), generator=seeded())
        values = plausibility(points.reshape(*batch_shape, prior.dim))
        assert values.shape == batch_shape
        assert values.dtype == DOUBLE
        assert values.isfinite().all()
        one_by_one = [plausibility(point) for point in points]
        torch.testing.assert_close(values.flatten(), torch.stack(one_by_one) if one_by_one else values.flatten())

    def test_arrays_and_single_precision(self) -> None:
        X = UniformPrior(MIXED).sample(7, generator=seeded())
        plausibility = Plausibility(mixed())
        assert torch.equal(plausibility(X.numpy()), plausibility(X))
        assert plausibility(X.float()).dtype == DOUBLE
        torch.testing.assert_close(plausibility(X.float()), plausibility(X), rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("prior", [mixed(), UniformPrior(MIXED)], ids=["mixture", "uniform"])
    def test_refuses_points_of_another_space(self, prior: OptimumPrior) -> None:
        with pytest.raises(PriorError, match="batch_shape x 3"):
            Plausibility(prior)(torch.zeros(4, 2, dtype=DOUBLE))

    def test_knows_its_dimension(self) -> None:
        assert Plausibility(mixed()).dim == 3

    @given(prior=random_priors(max_size=3))
    def test_any_mixture_is_finite_and_at_most_its_weight(self, prior: MixturePrior) -> None:
        X = torch.cat([UniformPrior(prior.space).sample(10, generator=seeded()), prior.anchors()])
        values = Plausibility(prior)(X)
        assert values.isfinite().all()
        assert float(values.max()) <= 1e-9


@pytest.mark.parametrize("dof", [0.0, -1.0, math.nan])
def test_refuses_degrees_of_freedom_that_are_not_positive(dof: float) -> None:
    with pytest.raises(PriorError, match="degrees_of_freedom > 0, got"):
        Plausibility(mixed(), degrees_of_freedom=dof)
