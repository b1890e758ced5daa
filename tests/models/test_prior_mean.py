"""The prior in the surrogate's mean: its coefficient, its posterior, and when it stays out."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from botorch.acquisition.analytic import LogExpectedImprovement
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.objective import GenericMCObjective
from botorch.posteriors.gpytorch import GPyTorchPosterior
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.utils.sampling import draw_sobol_normal_samples
from gpytorch.means import ConstantMean
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy import optimize, stats
from torch import Tensor

from llm_prior_bo._isolation import isolated_torch
from llm_prior_bo.acquisition.log_acquisition import N_MC_SAMPLES, N_OUTCOMES, log_acquisition
from llm_prior_bo.decay import ConstantDecay
from llm_prior_bo.errors import ConfigurationError, PriorError
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.exact_gp import ExactPosterior
from llm_prior_bo.models.prior_mean import PriorMean
from llm_prior_bo.models.surrogate import Surrogate, fit_surrogate
from llm_prior_bo.priors import (
    CategoricalMarginal,
    Marginal,
    MixturePrior,
    OptimumPrior,
    Plausibility,
    RegionPrior,
    SplitNormalMarginal,
    TemperedMixture,
    UniformPrior,
)
from llm_prior_bo.space import SearchSpace
from tests.gps import gp, matern

DOUBLE = torch.float64
UNIT = FloatDistribution(0.0, 1.0)
PLANE = SearchSpace({"x": UNIT, "y": UNIT})
MIXED = SearchSpace({"x": UNIT, "k": IntDistribution(1, 8), "c": CategoricalDistribution(["a", "b", "c"])})
CONDITIONAL = SearchSpace({"x": UNIT, "depth": UNIT, "booster": CategoricalDistribution(["linear", "tree"])})


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mixture(space: SearchSpace, *regions: dict[str, tuple[float, ...]], uniform_weight: float = 0.1) -> MixturePrior:
    """Regions of equal weight; split normals as `(mode, left, right)`, choices as tables."""
    built = []
    for beliefs in regions:
        marginals: dict[str, Marginal] = {}
        for name, belief in beliefs.items():
            column = space.column(name)
            kind = CategoricalMarginal if column.kind == "categorical" else None
            marginals[name] = kind(column, belief) if kind else SplitNormalMarginal(column, *belief)
        built.append(RegionPrior(space, marginals))
    return MixturePrior(space, built, [1.0] * len(built), uniform_weight)


PRIORS = {
    "continuous": mixture(PLANE, {"x": (0.3, 0.1, 0.2), "y": (0.7, 0.2, 0.1)}, {"x": (0.9, 0.05, 0.05)}),
    "mixed": mixture(MIXED, {"x": (0.3, 0.1, 0.2), "k": (0.75, 0.2, 0.2), "c": (0.1, 0.6, 0.3)}),
    "conditional": mixture(CONDITIONAL, {"x": (0.3, 0.1, 0.2), "depth": (0.9, 0.1, 0.1), "booster": (0.3, 0.7)}),
}


def values(prior: OptimumPrior, X: Tensor, *, effect: float, noise: float, seed: int) -> Tensor:
    """A wave that has nothing to do with the prior, and `effect` times the standardised plausibility, `n`."""
    generator = seeded(seed + 100)
    phase = 6.3 * torch.rand(2, generator=generator, dtype=DOUBLE)
    wave = torch.sin(5.0 * X[:, 0] + phase[0]) + torch.cos(4.0 * X[:, 1] + phase[1])
    s = Plausibility(prior)(X)
    epsilon = torch.randn(len(X), generator=generator, dtype=DOUBLE)
    return 0.4 * wave + effect * (s - s.mean()) / s.std() + noise * epsilon


@cache
def fitted(kind: str, *, m: int = 1, c: int = 0, n: int = 14) -> Surrogate:
    """A surrogate of values that agree with the prior; a second objective falls with it."""
    prior = PRIORS[kind]
    X = UniformPrior(prior.space).stratified_sample(n, generator=seeded(1))
    active = None
    if kind == "conditional":
        active = torch.ones(n, 3, dtype=torch.bool)
        active[X[:, 2] == 0.0, 1] = False
        X = torch.where(active, X, torch.full_like(X, 0.5))
    y = values(prior, X, effect=1.0, noise=0.2, seed=0)
    Y = torch.stack([y, -y + 0.1 * X[:, 0]], dim=-1)[:, :m]
    constraints = (X[:, :1] - 0.6)[:, :c]
    data = TrainingData(X=X, Y=Y, constraints=constraints, pending=X[:0], active=active)
    with isolated_torch(0):
        return fit_surrogate(data, prior.space)


def tilted(kind: str, **arguments: Any) -> tuple[Surrogate, tuple[float, ...]]:
    """The surrogate with the prior in its mean."""
    return PriorMean().apply(fitted(kind, **arguments), PRIORS[kind])


def by_hand(X: Tensor, y: Tensor) -> Surrogate:
    """A surrogate of given hyperparameters, of which nothing is fitted."""
    model = gp(X, y, noise=0.01)
    model.eval()
    return Surrogate(model, X, y.unsqueeze(-1), X[:, :0])


def prior_mean_at(surrogate: Surrogate, X: Tensor, output: int = 0) -> Tensor:
    """What a surrogate expects before any data, `n`."""
    model: Any = surrogate.outputs[output].eval()
    mean: Tensor = model.mean_module(model.transform_inputs(X))
    return mean


def posterior(surrogate: Surrogate, X: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance as BoTorch computes them, `n x outputs`."""
    with torch.no_grad():
        result = surrogate.model.posterior(X)
    assert isinstance(result, GPyTorchPosterior)
    return result.mean, result.variance


class Textbook(NamedTuple):
    """Covariances of a plain surrogate's first output at the training points and new ones."""

    K: Tensor
    """With noise, `n x n`."""
    cross: Tensor
    """`new x n`."""
    own: Tensor
    """Variances before the data, `new`."""

    def predict(self, residual: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and variance of a process without a mean."""
        gain = torch.linalg.solve(self.K, self.cross.T).T
        return gain @ residual, self.own - (gain * self.cross).sum(dim=-1)


def textbook(surrogate: Surrogate, new: Tensor, rows: list[int] | None = None) -> Textbook:
    model: Any = surrogate.outputs[0]
    X = model.transform_inputs(surrogate.X if rows is None else surrogate.X[rows])
    new = model.transform_inputs(new)
    kernel = model.covar_module
    with torch.no_grad():
        K = kernel(X).to_dense() + model.likelihood.noise * torch.eye(len(X), dtype=DOUBLE)
        return Textbook(K, kernel(new, X).to_dense(), kernel(new, diag=True))


def new_points(kind: str, n: int = 25) -> Tensor:
    return UniformPrior(PRIORS[kind].space).sample(n, generator=seeded(7))


KINDS = list(PRIORS)


class TestFeature:
    @pytest.mark.parametrize("kind", KINDS)
    def test_is_the_plausibility_with_mean_zero_and_spread_one_over_the_space(self, kind: str) -> None:
        surrogate, (coefficient,) = tilted(kind)
        X = UniformPrior(PRIORS[kind].space).sample(4000, generator=seeded(3))
        if kind == "conditional":  # where the depth counts
            X[:, 2] = 1.0
        s = prior_mean_at(surrogate, X) / coefficient
        p = Plausibility(PRIORS[kind])(X)
        slopes = (s - s[0])[1:] / (p - p[0])[1:]
        torch.testing.assert_close(slopes, slopes[:1].expand(len(slopes)), rtol=1e-6, atol=1e-6)
        assert float(slopes[0]) > 0.0
        if kind != "conditional":
            assert float(s.mean()) == pytest.approx(0.0, abs=0.1)
            assert float(s.std()) == pytest.approx(1.0, abs=0.1)

    def test_the_degrees_of_freedom_are_those_asked_for(self) -> None:
        surrogate = fitted("continuous")
        normal = PriorMean(degrees_of_freedom=1e9).apply(surrogate, PRIORS["continuous"])[0]
        X = new_points("continuous")
        s, p = prior_mean_at(normal, X), Plausibility(PRIORS["continuous"], degrees_of_freedom=1e9)(X)
        assert np.corrcoef(s, p)[0, 1] == pytest.approx(1.0)
        assert np.corrcoef(s, Plausibility(PRIORS["continuous"])(X))[0, 1] < 0.99


class TestCoefficient:
    def numerical(self, surrogate: Surrogate, s: Tensor, *, rate: float) -> float:
        """Maximises `log N(y; a s, K + noise) - rate a` over `a >= 0`."""
        K = textbook(surrogate, surrogate.X).K.numpy()
        y = surrogate.Y[:, 0].numpy()

        def loss(a: float) -> float:
            return rate * a - float(stats.multivariate_normal(mean=a * s.numpy(), cov=K).logpdf(y))

        result = optimize.minimize_scalar(loss, bounds=(0.0, 20.0), method="bounded", options={"xatol": 1e-9})
        return float(result.x)

    def test_decay_counts_the_trials(self) -> None:
        surrogate, prior = fitted("continuous"), PRIORS["continuous"]
        (whole,) = PriorMean(rate=0.0, decay=None).apply(surrogate, prior)[1]
        assert whole > 0.0
        for n, share in ((1, 1.0), (10, 1.0), (40, 0.25)):
            assert PriorMean(rate=0.0).apply(surrogate, prior, n=n)[1][0] == pytest.approx(share * whole)
        n_data = len(surrogate.X)
        (own,) = PriorMean(rate=0.0, decay=lambda n: 1.0 / n).apply(surrogate, prior)[1]
        assert own == pytest.approx(whole / n_data)
        assert PriorMean(decay=ConstantDecay(0.0)).apply(surrogate, prior)[0] is surrogate

    @pytest.mark.parametrize("rate", [0.0, 1.0, 3.0])
    @pytest.mark.parametrize("kind", KINDS)
    def test_is_the_most_probable_one(self, kind: str, rate: float) -> None:
        surrogate = fitted(kind)
        believing, (coefficient,) = PriorMean(rate=rate, decay=None).apply(surrogate, PRIORS[kind])
        assert coefficient > 0.0
        s = prior_mean_at(believing, surrogate.X) / coefficient
        assert coefficient == pytest.approx(self.numerical(surrogate, s, rate=rate), abs=1e-5)

    def test_of_hyperparameters_by_hand(self) -> None:
        X = new_points("continuous", 10)
        s = Plausibility(PRIORS["continuous"])(X)
        surrogate = by_hand(X, 0.5 * s)
        believing, (coefficient,) = PriorMean(rate=0.5).apply(surrogate, PRIORS["continuous"])
        feature = prior_mean_at(believing, X) / coefficient
        weights = torch.linalg.solve(matern(X, X) + 0.01 * torch.eye(10, dtype=DOUBLE), feature)
        expected = (weights @ surrogate.Y[:, 0] - 0.5) / (weights @ feature)
        assert coefficient == pytest.approx(float(expected), rel=1e-6)

    def test_the_more_sceptical_the_smaller(self) -> None:
        rates = [0.0, 0.5, 1.0, 2.0, 4.0, math.inf]
        coefficients = [PriorMean(rate=r).apply(fitted("continuous"), PRIORS["continuous"])[1][0] for r in rates]
        assert coefficients == sorted(coefficients, reverse=True)
        assert len(set(coefficients)) == len(coefficients)
        assert coefficients[-1] == 0.0

    @pytest.mark.parametrize("trust", [0.0, 0.25, 1.0])
    def test_trust_scales_it(self, trust: float) -> None:
        surrogate, prior = fitted("mixed"), PRIORS["mixed"]
        (whole,) = PriorMean().apply(surrogate, prior)[1]
        believing, (share,) = PriorMean().apply(surrogate, prior, trust=trust)
        assert share == pytest.approx(trust * whole)
        full = PriorMean().apply(surrogate, prior)[0]
        X = new_points("mixed")
        torch.testing.assert_close(prior_mean_at(believing, X), trust * prior_mean_at(full, X))
        assert (believing is surrogate) == (trust == 0.0)

    def test_a_mean_that_is_there_already_is_kept(self) -> None:
        """The coefficient explains what it leaves, and the prior comes on top of it."""
        X, prior = new_points("continuous", 10), PRIORS["continuous"]
        y = 0.8 * Plausibility(prior)(X)
        constant: Any = ConstantMean().double()
        constant.constant = 2.5
        shifted = by_hand(X, y + 2.5)
        shifted.outputs[0].mean_module = constant.requires_grad_(False)
        plain, moved = PriorMean().apply(by_hand(X, y), prior), PriorMean().apply(shifted, prior)
        assert moved[1] == pytest.approx(plain[1])
        new = new_points("continuous")
        torch.testing.assert_close(posterior(moved[0], new)[0], posterior(plain[0], new)[0] + 2.5)


class TestNoPart:
    """The very same surrogate, so that nothing at all depends on a prior that has no part."""

    def test_where_the_data_contradict_it(self) -> None:
        X, prior = new_points("continuous", 12), PRIORS["continuous"]
        surrogate = by_hand(X, -values(prior, X, effect=1.0, noise=0.1, seed=0))
        believing, coefficients = PriorMean().apply(surrogate, prior)
        assert believing is surrogate
        assert coefficients == (0.0,)

    @pytest.mark.parametrize("rate", [0.0, 1.0])
    @pytest.mark.parametrize(
        "prior",
        [
            UniformPrior(PLANE),
            MixturePrior(PLANE, [], [], 1.0),
            mixture(PLANE, {}),
            mixture(PLANE, {"x": (0.3, 1e6, 1e6)}),
            MixturePrior(PLANE, mixture(PLANE, {"x": (0.3, 0.1, 0.1)}).regions, [0.0], 1.0),
            TemperedMixture(PRIORS["continuous"], 0.0, uniform=UniformPrior(PLANE)),
        ],
        ids=["uniform", "no regions", "silent", "flat", "without weight", "not believed"],
    )
    def test_without_an_opinion(self, prior: OptimumPrior, rate: float) -> None:
        X = new_points("continuous", 8)
        surrogate = by_hand(X, X[:, 0] + 3.0)  # a constant would explain it
        believing, coefficients = PriorMean(rate=rate).apply(surrogate, prior)
        assert believing is surrogate
        assert coefficients == (0.0,)

    def test_of_a_constant_objective(self) -> None:
        X = new_points("continuous", 8)
        surrogate = by_hand(X, torch.zeros(8, dtype=DOUBLE))
        assert PriorMean(rate=0.0).apply(surrogate, PRIORS["continuous"])[0] is surrogate

    def test_one_zero_an_objective(self) -> None:
        assert PriorMean().apply(fitted("continuous", m=2), UniformPrior(PLANE))[1] == (0.0, 0.0)


class TestPosterior:
    @pytest.mark.parametrize("kind", KINDS)
    def test_is_the_prior_plus_what_the_process_makes_of_the_rest(self, kind: str) -> None:
        """`a s(x)` plus the plain posterior of `y - a s(X)`, with the plain surrogate's kernel."""
        surrogate = fitted(kind)
        believing, _ = tilted(kind)
        X = new_points(kind)
        mean, variance = posterior(believing, X)
        residual = surrogate.Y[:, 0] - prior_mean_at(believing, surrogate.X)
        rest, left = textbook(surrogate, X).predict(residual)
        torch.testing.assert_close(mean.squeeze(-1), prior_mean_at(believing, X) + rest, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(variance.squeeze(-1), left, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(variance, posterior(surrogate, X)[1], rtol=1e-6, atol=1e-6)

    @pytest.mark.parametrize("kind", KINDS)
    def test_is_that_of_the_lean_one(self, kind: str) -> None:
        (model,) = tilted(kind)[0].outputs
        X = new_points(kind).requires_grad_()
        lean = ExactPosterior(model).marginals(X.detach().numpy())
        own = model.posterior(X.unsqueeze(-2))
        assert isinstance(own, GPyTorchPosterior)
        one, none = np.ones(len(X)), np.zeros(len(X))
        cases = (
            (lean.mean[:, 0], own.mean, (one[:, None], none)),
            (lean.variance, own.variance, (none[:, None], one)),
        )
        for value, expected, derivatives in cases:
            np.testing.assert_allclose(value, expected.detach().flatten().numpy(), rtol=1e-9, atol=1e-9)
            (reference,) = torch.autograd.grad(expected.sum(), X, retain_graph=True)
            gradient = lean.pull_back(*derivatives)
            assert np.isfinite(gradient).all()
            np.testing.assert_allclose(gradient, reference.numpy(), rtol=1e-7, atol=1e-7)

    def test_the_gradient_is_that_of_the_values(self) -> None:
        lean = ExactPosterior(tilted("continuous")[0].outputs[0])
        X, step = new_points("continuous", 5).numpy(), 1e-6
        gradient = lean.marginals(X).pull_back(np.ones((5, 1)), np.zeros(5))
        for j in range(2):
            up, down = X.copy(), X.copy()
            up[:, j] += step
            down[:, j] -= step
            difference = (lean.marginals(up).mean - lean.marginals(down).mean) / (2.0 * step)
            np.testing.assert_allclose(gradient[:, j], difference[:, 0], rtol=1e-5, atol=1e-6)

    def test_only_objectives_that_follow_the_prior_do(self) -> None:
        """One that falls with it, and constraints, stay as they are."""
        surrogate = fitted("mixed", m=2, c=1)
        believing, coefficients = tilted("mixed", m=2, c=1)
        assert coefficients[0] > 0.0
        assert coefficients[1] == 0.0
        X = new_points("mixed")
        (mean, variance), (plain_mean, plain_variance) = posterior(believing, X), posterior(surrogate, X)
        assert not torch.allclose(mean[:, 0], plain_mean[:, 0], atol=0.01)
        torch.testing.assert_close(mean[:, 1:], plain_mean[:, 1:])
        torch.testing.assert_close(variance, plain_variance, rtol=1e-6, atol=1e-6)
        assert torch.equal(prior_mean_at(believing, X, output=2), torch.zeros(len(X), dtype=DOUBLE))

    def test_pulls_unexplored_places_by_their_plausibility(self) -> None:
        X, prior = torch.tensor([[0.3, 0.7], [0.4, 0.6], [0.6, 0.2]], dtype=DOUBLE), PRIORS["continuous"]
        surrogate = by_hand(X, torch.tensor([2.0, 1.0, -3.0], dtype=DOUBLE))
        surrogate.outputs[0].covar_module.base_kernel.lengthscale = 0.03  # so short that nothing is known elsewhere
        believing, (coefficient,) = PriorMean().apply(surrogate, prior)
        assert coefficient > 0.0
        good, bad = posterior(believing, torch.tensor([[0.3, 0.85], [0.0, 0.0]], dtype=DOUBLE))[0].flatten().tolist()
        assert good > 0.1
        assert bad < -0.5


class TestColumnsThatDoNotCount:
    """A linear booster has no depth: it is one configuration, whatever the depth."""

    LINEAR = torch.tensor([[0.35, depth, 0.0] for depth in (0.0, 0.5, 0.9, 1.0)], dtype=DOUBLE)

    def test_the_mean_does_not_depend_on_them(self) -> None:
        believing, _ = tilted("conditional")
        mean, variance = posterior(believing, self.LINEAR)
        assert float(mean.max() - mean.min()) < 1e-12
        assert float(variance.max() - variance.min()) < 1e-12

    def test_but_does_where_they_count(self) -> None:
        believing, _ = tilted("conditional")
        trees = self.LINEAR.clone()
        trees[:, 2] = 1.0
        mean = prior_mean_at(believing, trees)
        assert int(mean.argmax()) == 2  # the best guess
        assert float(mean.max() - mean.min()) > 0.5

    def test_a_known_configuration_promises_nothing_new(self) -> None:
        """However plausible the column that does not count."""
        surrogate = fitted("conditional")
        believing, _ = tilted("conditional")
        known = surrogate.X[surrogate.X[:, 2] == 0.0]
        again = known.clone()
        again[:, 1] = 0.9
        acquisition = log_acquisition(believing, pending=surrogate.X[:0], seed=0)
        torch.testing.assert_close(acquisition(again.unsqueeze(1)), acquisition(known.unsqueeze(1)))


class TestAcquisition:
    PENDING = torch.tensor([[0.25, 0.6]], dtype=DOUBLE)

    def evaluate(self, acquisition: Callable[[Tensor], Tensor], X: Tensor) -> tuple[Tensor, Tensor]:
        """Values and gradients, both finite."""
        X = X.unsqueeze(1).clone().requires_grad_()
        with isolated_torch(0):
            value = acquisition(X)
            (gradient,) = torch.autograd.grad(value.sum(), X)
        assert value.isfinite().all()
        assert gradient.isfinite().all()
        assert gradient.abs().max() > 0.0
        return value.detach(), gradient

    @pytest.mark.parametrize("kind", KINDS)
    def test_expected_improvement(self, kind: str) -> None:
        believing, _ = tilted(kind)
        X = new_points(kind, 10)
        fast = self.evaluate(log_acquisition(believing, pending=X[:0], seed=0), X)
        own = self.evaluate(LogExpectedImprovement(believing.model, best_f=float(believing.Y.max())), X)
        torch.testing.assert_close(fast[0], own[0], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(fast[1], own[1], rtol=1e-5, atol=1e-5)

    def test_expected_improvement_by_its_formula(self) -> None:
        believing, _ = tilted("continuous")
        X = torch.tensor([[0.3, 0.7], [0.25, 0.75], [0.35, 0.9], [0.9, 0.8]], dtype=DOUBLE)
        mean, variance = (moment.squeeze(-1).numpy() for moment in posterior(believing, X))
        z = (mean - float(believing.Y.max())) / np.sqrt(variance)
        expected = np.log(np.sqrt(variance) * (stats.norm.pdf(z) + z * stats.norm.cdf(z)))
        value, _ = self.evaluate(log_acquisition(believing, pending=X[:0], seed=0), X)
        np.testing.assert_allclose(value, expected, rtol=1e-4)

    def test_with_pending_points_it_is_the_mean_over_their_outcomes(self) -> None:
        """Of a plain process of `y - a s(X)`, to which `a s(x)` is added everywhere, the pending points included."""
        plain = fitted("continuous")
        believing, _ = tilted("continuous")
        X, best = new_points("continuous", 6), float(plain.Y.max())
        rest = copy.deepcopy(plain)
        model: Any = rest.outputs[0]
        model.set_train_data(targets=plain.Y[:, 0] - prior_mean_at(believing, plain.X), strict=False)
        together = torch.cat([self.PENDING, X])
        posterior = model.posterior(together)
        mean = (posterior.mean.squeeze(-1) + prior_mean_at(believing, together)).detach().numpy()
        covariance = posterior.distribution.covariance_matrix.detach().numpy()
        # Of jointly normal values one becomes known: an outcome of the pending point, for each of the numbers drawn.
        normals = draw_sobol_normal_samples(1, N_OUTCOMES, dtype=DOUBLE, seed=3).numpy()[:, 0]
        outcomes = mean[0] + np.sqrt(covariance[0, 0]) * normals
        gain = covariance[1:, 0] / covariance[0, 0]
        means = mean[1:, None] + gain[:, None] * (outcomes - mean[0])  # points x outcomes
        spread = np.sqrt(np.diag(covariance)[1:] - gain * covariance[1:, 0])[:, None]
        z = (means - np.maximum(outcomes, best)) / spread
        expected = (spread * (stats.norm.pdf(z) + z * stats.norm.cdf(z))).mean(axis=1)
        value, _ = self.evaluate(log_acquisition(believing, pending=self.PENDING, seed=3), X)
        np.testing.assert_allclose(value.exp(), expected, rtol=1e-3, atol=1e-12)

    @pytest.mark.parametrize("c", [1], ids=["constrained"])
    def test_samples_with_pending_points_are_shifted_samples_of_the_rest(self, c: int) -> None:
        """The same numbers as a plain process of `y - a s(X)` whose objective adds `a s(x)`."""

        def objective(samples: Tensor, X: Tensor | None = None) -> Tensor:
            assert X is not None
            return samples[..., 0] + prior_mean_at(believing, X)

        plain = fitted("continuous", c=c)
        believing, _ = tilted("continuous", c=c)
        rest = copy.deepcopy(plain)
        model: Any = rest.outputs[0]
        model.set_train_data(targets=plain.Y[:, 0] - prior_mean_at(believing, plain.X), strict=False)
        acquisition = log_acquisition(believing, pending=self.PENDING, seed=3)
        assert isinstance(acquisition, qLogNoisyExpectedImprovement)
        reference = qLogNoisyExpectedImprovement(
            rest.model,
            X_baseline=acquisition.X_baseline,  # of the training points those that may be best, and the pending ones
            sampler=SobolQMCNormalSampler(torch.Size([N_MC_SAMPLES]), seed=3),
            objective=GenericMCObjective(objective),
            constraints=[lambda samples: samples[..., 1]] if c else None,
            prune_baseline=False,
        )
        X = new_points("continuous", 6)
        value, gradient = self.evaluate(acquisition, X)
        expected, reference_gradient = self.evaluate(reference, X)
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(gradient, reference_gradient, rtol=1e-2, atol=1e-2)

    @pytest.mark.parametrize("n_pending", [0, 1])
    @pytest.mark.parametrize("c", [0, 1])
    def test_hypervolume_of_two_objectives(self, c: int, n_pending: int) -> None:
        believing, coefficients = tilted("continuous", m=2, c=c)
        assert len(coefficients) == 2
        acquisition = log_acquisition(believing, pending=self.PENDING[:n_pending], seed=0)
        assert isinstance(acquisition, qLogNoisyExpectedHypervolumeImprovement)
        X = new_points("continuous", 5)
        value, _ = self.evaluate(acquisition, X)
        plain, _ = self.evaluate(
            log_acquisition(fitted("continuous", m=2, c=c), pending=self.PENDING[:n_pending], seed=0), X
        )
        assert not torch.allclose(value, plain, atol=0.01)

    def test_while_nothing_is_feasible(self) -> None:
        """The probability of feasibility does not depend on the objective, so neither on the prior."""
        plain = fitted("continuous", c=1)
        hopeless = replace(plain, constraints=plain.constraints.abs() + 0.1)
        believing, _ = PriorMean().apply(hopeless, PRIORS["continuous"])
        X = new_points("continuous", 5)
        value, _ = self.evaluate(log_acquisition(believing, pending=X[:0], seed=0), X)
        expected, _ = self.evaluate(log_acquisition(hopeless, pending=X[:0], seed=0), X)
        torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-6)


class TestTheSurrogateItself:
    @pytest.mark.parametrize("kind", KINDS)
    def test_is_left_alone(self, kind: str) -> None:
        surrogate = fitted(kind, c=1)
        X = new_points(kind)
        before = posterior(surrogate, X)
        states = [{key: value.clone() for key, value in output.state_dict().items()} for output in surrogate.outputs]
        inputs = [output.train_inputs[0].clone() for output in surrogate.outputs]
        believing, (coefficient,) = tilted(kind, c=1)
        posterior(believing, X)
        assert coefficient > 0.0
        for state, after in zip(states, [output.state_dict() for output in surrogate.outputs], strict=True):
            assert state.keys() == after.keys()
            assert all(torch.equal(state[key], after[key]) for key in state)
        for own, output in zip(inputs, surrogate.outputs, strict=True):
            assert torch.equal(own, output.train_inputs[0])
        assert all(torch.equal(a, b) for a, b in zip(before, posterior(surrogate, X), strict=True))
        assert torch.equal(believing.X, surrogate.X)
        assert torch.equal(believing.Y, surrogate.Y)
        assert torch.equal(believing.constraints, surrogate.constraints)

    def test_nothing_of_the_result_is_left_to_fit(self) -> None:
        believing, _ = tilted("mixed")
        assert not any(parameter.requires_grad for parameter in believing.model.parameters())

    @pytest.mark.parametrize("kind", KINDS)
    def test_given_some_of_the_trials(self, kind: str) -> None:
        surrogate = fitted(kind)
        believing, _ = tilted(kind)
        rows, X = [5, 0, 9, 11], new_points(kind)
        mean, variance = posterior(believing.condition_on_subset(rows), X)
        residual = surrogate.Y[rows, 0] - prior_mean_at(believing, surrogate.X[rows])
        rest, left = textbook(surrogate, X, rows).predict(residual)
        torch.testing.assert_close(mean.squeeze(-1), prior_mean_at(believing, X) + rest, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(variance.squeeze(-1), left, rtol=1e-6, atol=1e-6)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["copy", "pickle"])
    def test_copies_predict_the_same(self, kind: str, copied: Callable[[Surrogate], Surrogate]) -> None:
        believing, _ = tilted(kind, c=1)
        X = new_points(kind)
        expected = posterior(believing, X)
        for value, other in zip(expected, posterior(copied(believing), X), strict=True):
            torch.testing.assert_close(value, other, rtol=1e-12, atol=1e-12)


@dataclass
class Ridge(OptimumPrior):
    """A density of someone's own over the plane, `(2 x + floor) / (1 + floor)`, without a space."""

    floor: float = 0.1
    dim = 2
    log_range = math.inf

    def log_prob(self, X: Any) -> Tensor:
        return torch.log((2.0 * torch.as_tensor(X)[..., 0] + self.floor) / (1.0 + self.floor))

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return torch.rand(n, 2, generator=generator, dtype=DOUBLE)

    def mode(self) -> Tensor:
        return torch.ones(2, dtype=DOUBLE)


class TestOtherPriors:
    def surrogate(self) -> Surrogate:
        X = new_points("continuous", 12)
        return by_hand(X, 2.0 * X[:, 0] - 1.0)

    @pytest.mark.parametrize("space", [None, PLANE], ids=["no space", "space"])
    def test_of_someones_own(self, space: SearchSpace | None) -> None:
        surrogate = replace(self.surrogate(), space=space)
        believing, (coefficient,) = PriorMean().apply(surrogate, Ridge())
        assert coefficient > 0.0
        X = UniformPrior(PLANE).sample(4000, generator=seeded(3))
        s = prior_mean_at(believing, X) / coefficient
        assert np.corrcoef(s, Ridge().log_prob(X))[0, 1] == pytest.approx(1.0)
        assert float(s.mean()) == pytest.approx(0.0, abs=0.1)
        assert float(s.std()) == pytest.approx(1.0, abs=0.1)

    def test_believed_in_part(self) -> None:
        prior = TemperedMixture(Ridge(floor=0.0), 0.6, uniform=UniformPrior(PLANE))
        believing, (coefficient,) = PriorMean().apply(self.surrogate(), prior)
        assert coefficient > 0.0
        X = new_points("continuous")
        s = prior_mean_at(believing, X)
        assert np.corrcoef(s, prior.log_prob(X))[0, 1] == pytest.approx(1.0)

    def test_refuses_a_density_that_vanishes(self) -> None:
        surrogate = by_hand(torch.zeros(3, 2, dtype=DOUBLE), torch.arange(3.0, dtype=DOUBLE))
        with pytest.raises(PriorError, match="finite log densities"):
            PriorMean().apply(surrogate, Ridge(floor=0.0))

    def test_refuses_one_over_another_space(self) -> None:
        with pytest.raises(PriorError, match="batch_shape x 3"):
            PriorMean().apply(self.surrogate(), PRIORS["mixed"])


class TestSanity:
    """On average over objectives drawn at random."""

    PRIOR = PRIORS["continuous"]

    def study(self, seed: int, *, effect: float) -> Surrogate:
        X = UniformPrior(PLANE).sample(14, generator=seeded(seed))
        y = values(self.PRIOR, X, effect=effect, noise=0.2, seed=seed)
        data = TrainingData(X=X, Y=y.unsqueeze(-1), constraints=X[:, :0], pending=X[:0])
        with isolated_torch(0):
            return fit_surrogate(data, PLANE)

    def left_out_errors(self, surrogate: Surrogate) -> tuple[float, float]:
        """Mean squared errors at trials left out, without the prior and with it."""
        errors = []
        for i in range(len(surrogate.X)):
            plain = surrogate.condition_on_subset([j for j in range(len(surrogate.X)) if j != i])
            believing, _ = PriorMean().apply(plain, self.PRIOR)
            means = [posterior(one, surrogate.X[i : i + 1])[0].item() for one in (plain, believing)]
            errors.append([(mean - surrogate.Y[i, 0].item()) ** 2 for mean in means])
        without, with_prior = np.mean(errors, axis=0)
        return float(without), float(with_prior)

    def test_an_objective_that_follows_the_prior_is_predicted_better(self) -> None:
        errors = []
        for seed in range(4):
            surrogate = self.study(seed, effect=1.0)
            assert PriorMean().apply(surrogate, self.PRIOR)[1][0] > 0.1
            errors.append(self.left_out_errors(surrogate))
        without, with_prior = np.mean(errors, axis=0)
        assert with_prior < 0.8 * without

    def test_one_that_does_not_leaves_it_out(self) -> None:
        coefficients: list[float] = []
        for seed in range(15):
            coefficients += PriorMean().apply(self.study(seed, effect=0.0), self.PRIOR)[1]
        assert float(np.median(coefficients)) < 0.05


@pytest.mark.parametrize("rate", [-1e-9, -1.0, math.nan])
def test_refuses_a_negative_rate(rate: float) -> None:
    with pytest.raises(ConfigurationError, match="rate >= 0, got"):
        PriorMean(rate=rate)


@pytest.mark.parametrize("dof", [0.0, -1.0, math.nan])
def test_refuses_degrees_of_freedom_that_are_not_positive(dof: float) -> None:
    with pytest.raises(ConfigurationError, match="degrees_of_freedom > 0, got"):
        PriorMean(degrees_of_freedom=dof)
