"""The lean posterior against BoTorch's and GPyTorch's own."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from botorch.acquisition.analytic import LogExpectedImprovement
from botorch.models.gp_regression import SingleTaskGP
from botorch.models.gp_regression_mixed import MixedSingleTaskGP
from botorch.models.transforms.input import Normalize
from botorch.posteriors.gpytorch import GPyTorchPosterior
from botorch.utils.sampling import draw_sobol_normal_samples
from gpytorch.kernels import MaternKernel, RBFKernel, ScaleKernel
from gpytorch.means import ConstantMean, LinearMean
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from torch import Tensor

from llm_prior_bo._isolation import isolated_torch
from llm_prior_bo.acquisition.analytic_log_ei import AnalyticLogEI
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.exact_gp import ExactPosterior, supports, training_root
from llm_prior_bo.models.surrogate import fit_surrogate
from llm_prior_bo.priors import UniformPrior
from llm_prior_bo.space import SearchSpace
from tests.gps import gp, matern

N = 15
SPACE = SearchSpace(
    {"x": FloatDistribution(0, 1), "k": IntDistribution(1, 8), "c": CategoricalDistribution(["a", "b", "c"])}
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(n: int, d: int = 3, *, seed: int = 0) -> Tensor:
    return torch.rand(n, d, generator=seeded(seed), dtype=torch.float64)


def noisy(X: Tensor) -> Tensor:
    """Standardised values with noise, `n`."""
    noise = torch.randn(len(X), generator=seeded(1), dtype=torch.float64)
    y = torch.sin(4.0 * X[:, 0]) - X[:, -1].square() + 0.1 * noise
    return (y - y.mean()) / y.std()


def fixed() -> SingleTaskGP:
    X = points(N)
    return gp(X, noisy(X), lengthscale=0.5, noise=0.01).requires_grad_(True)


def in_one_dimension() -> SingleTaskGP:
    X = points(N, 1)
    return gp(X, noisy(X), noise=0.01).requires_grad_(True)


def of_botorch() -> SingleTaskGP:
    """BoTorch's defaults: no scale of the kernel, a fitted mean, other kernel priors."""
    X = points(N)
    return SingleTaskGP(X, noisy(X).unsqueeze(-1), outcome_transform=None)


def rough() -> SingleTaskGP:
    """Another smoothness than the surrogate's."""
    X = points(N)
    kernel = ScaleKernel(MaternKernel(nu=1.5, ard_num_dims=3))
    model = SingleTaskGP(
        X, noisy(X).unsqueeze(-1), covar_module=kernel, mean_module=ConstantMean(), outcome_transform=None
    )
    return model.double()


def normalized() -> SingleTaskGP:
    X = points(N)
    transform = Normalize(3, bounds=torch.tensor([[-1.0] * 3, [2.0] * 3], dtype=torch.float64))
    mean = LinearMean(3)
    y = noisy(X).unsqueeze(-1)
    return SingleTaskGP(X, y, input_transform=transform, mean_module=mean, outcome_transform=None).double()


def of_columns() -> SingleTaskGP:
    """A sum of kernels of different columns, which GPyTorch keeps lazy."""
    X = points(N)
    kernel = ScaleKernel(RBFKernel(active_dims=(0,))) + MaternKernel(nu=2.5, active_dims=(1, 2))
    return SingleTaskGP(X, noisy(X).unsqueeze(-1), covar_module=kernel, outcome_transform=None).double()


def of_one_column() -> SingleTaskGP:
    X = points(N)
    kernel = RBFKernel(active_dims=(1,))
    return SingleTaskGP(X, noisy(X).unsqueeze(-1), covar_module=kernel, outcome_transform=None).double()


def with_known_noise() -> SingleTaskGP:
    X = points(N)
    variances = 0.01 + 0.1 * points(N, 1, seed=2)
    return SingleTaskGP(X, noisy(X).unsqueeze(-1), train_Yvar=variances, outcome_transform=None)


def mixed_of_botorch() -> SingleTaskGP:
    X = points(N)
    X[:, 2] = (X[:, 2] * 3).floor()
    return MixedSingleTaskGP(X, noisy(X).unsqueeze(-1), cat_dims=[2], outcome_transform=None)


def one_hot() -> SingleTaskGP:
    """The surrogate of a mixed space, with hyperparameters of its fit."""
    X = UniformPrior(SPACE).sample(2 * N, generator=seeded())
    data = TrainingData(X=X, Y=noisy(X).unsqueeze(-1), constraints=X[:, :0], pending=X[:0])
    with isolated_torch():
        model = fit_surrogate(data, SPACE).model
    assert isinstance(model, SingleTaskGP)
    return model.requires_grad_(True)


MODELS: list[Callable[[], SingleTaskGP]] = [
    fixed,
    in_one_dimension,
    of_botorch,
    rough,
    normalized,
    of_columns,
    of_one_column,
    with_known_noise,
    mixed_of_botorch,
    one_hot,
]


@pytest.fixture(params=MODELS, ids=lambda make: make.__name__)
def model(request: pytest.FixtureRequest) -> SingleTaskGP:
    made: SingleTaskGP = request.param()
    return made


def new_points(model: SingleTaskGP, *batch_shape: int) -> Tensor:
    """Points that the model was not trained on; legal ones where it has choices."""
    d = model.train().train_inputs[0].shape[-1]  # in training mode they are as they came
    model.eval()
    n = math.prod(batch_shape)
    X = UniformPrior(SPACE).sample(n, generator=seeded(5)) if d == 3 else points(n, d, seed=5)
    return X.reshape(*batch_shape, d)


def own_posterior(model: SingleTaskGP, X: Tensor) -> tuple[Tensor, Tensor]:
    posterior = model.posterior(X)
    assert isinstance(posterior, GPyTorchPosterior)
    return posterior.mean, posterior.variance


def test_root_of_the_training_covariance(model: SingleTaskGP) -> None:
    model.eval()
    root = training_root(model)
    X = model.train_inputs[0]
    noisy_process = model.likelihood(model.forward(X), X)  # in evaluation mode the points are transformed already
    torch.testing.assert_close(root @ root.T, noisy_process.covariance_matrix, rtol=1e-10, atol=1e-10)
    assert torch.equal(root, root.tril())


KNOWN = [fixed, in_one_dimension, one_hot]
"""Of these the posterior is in closed form."""


class TestPosterior:
    @pytest.fixture(params=KNOWN, ids=lambda make: make.__name__)
    def known(self, request: pytest.FixtureRequest) -> SingleTaskGP:
        made: SingleTaskGP = request.param()
        return made

    @pytest.mark.parametrize("n", [1, 7])
    def test_mean_and_variance_are_those_of_botorch(self, known: SingleTaskGP, n: int) -> None:
        X = new_points(known, n)
        marginals = ExactPosterior(known).marginals(X.numpy())
        mean, variance = own_posterior(known, X.unsqueeze(-2))
        assert (marginals.mean.shape, marginals.variance.shape) == ((n, 1), (n,))
        np.testing.assert_allclose(marginals.mean[:, 0], mean.detach().flatten(), rtol=0, atol=1e-9)
        np.testing.assert_allclose(marginals.variance, variance.detach().flatten(), rtol=0, atol=1e-9)

    def test_so_are_their_gradients(self, known: SingleTaskGP) -> None:
        X = new_points(known, 6, 1).requires_grad_()
        marginals = ExactPosterior(known).marginals(X.detach().squeeze(1).numpy())
        one, none = np.ones((6, 1)), np.zeros((6, 1))
        derivatives_of = ((one, none[:, 0]), (none, one[:, 0]))
        for derivatives, expected in zip(derivatives_of, own_posterior(known, X), strict=True):
            (reference,) = torch.autograd.grad(expected.sum(), X, retain_graph=True)
            gradient = marginals.pull_back(*derivatives)
            np.testing.assert_allclose(gradient, reference.squeeze(1).numpy(), rtol=1e-8, atol=1e-8)

    def test_a_gradient_in_both_is_the_sum(self, known: SingleTaskGP) -> None:
        X = new_points(known, 4)
        marginals = ExactPosterior(known).marginals(X.numpy())
        a, b, none = np.arange(4.0)[:, None], np.array([1.0, -2.0, 0.5, 0.0]), np.zeros((4, 1))
        together = marginals.pull_back(a, b)
        apart = marginals.pull_back(a, none[:, 0]) + marginals.pull_back(none, b)
        np.testing.assert_allclose(together, apart, atol=1e-12)

    def test_expected_improvement_is_that_over_the_model(self, known: SingleTaskGP) -> None:
        X = new_points(known, 20, 1).requires_grad_()
        best = float(known.train_targets.max())
        value = AnalyticLogEI(known, best_f=best)(X)
        in_double = torch.tensor(best, dtype=torch.float64)  # a float would be rounded to single precision
        expected = LogExpectedImprovement(known, best_f=in_double)(X)
        torch.testing.assert_close(value, expected, rtol=1e-7, atol=1e-7)
        (gradient,) = torch.autograd.grad(value.sum(), X)
        (reference,) = torch.autograd.grad(expected.sum(), X)
        torch.testing.assert_close(gradient, reference, rtol=1e-6, atol=1e-6)

    def test_variance_is_never_negative(self) -> None:
        X = points(N)
        model = gp(X, noisy(X), lengthscale=2.0, noise=1e-9)
        model.eval()
        marginals = ExactPosterior(model).marginals(X.numpy())
        assert (marginals.variance >= 0.0).all()
        assert marginals.variance.max() < 1e-6
        np.testing.assert_allclose(marginals.mean[:, 0], model.train_targets.numpy(), rtol=0, atol=1e-4)

    def test_no_gradient_where_the_variance_is_cut_off(self) -> None:
        X = points(N)
        model = gp(X, noisy(X), lengthscale=2.0, noise=1e-9)
        model.eval()
        marginals = ExactPosterior(model).marginals(X.numpy())
        gradient = marginals.pull_back(np.zeros((N, 1)), np.ones(N))
        assert np.abs(gradient[marginals.variance == 0.0]).sum() == 0.0

    @pytest.mark.parametrize("make", [make for make in MODELS if make not in KNOWN], ids=lambda make: make.__name__)
    def test_refuses_what_it_does_not_know(self, make: Callable[[], SingleTaskGP]) -> None:
        model = make().eval()
        assert not supports(model)
        with pytest.raises(ConfigurationError, match="use the model's own posterior"):
            ExactPosterior(model)


class TestPending:
    """What may come out at points under evaluation."""

    PENDING = np.array([[0.2, 0.3, 0.9], [0.6, 0.1, 0.4], [0.61, 0.1, 0.4]])
    NORMALS = draw_sobol_normal_samples(3, 4096, dtype=torch.float64, seed=1).numpy().T

    def test_outcomes_are_distributed_as_the_posterior(self) -> None:
        model = fixed().eval()
        outcomes = ExactPosterior(model, pending=self.PENDING, normals=self.NORMALS).outcomes
        posterior = model.posterior(torch.as_tensor(self.PENDING))
        assert isinstance(posterior, GPyTorchPosterior)
        covariance = posterior.distribution.covariance_matrix.detach().numpy()
        np.testing.assert_allclose(outcomes.mean(axis=1), posterior.mean.detach().flatten(), atol=2e-3)
        np.testing.assert_allclose(np.cov(outcomes), covariance, atol=5e-3)

    def test_given_an_outcome_it_is_the_posterior_with_one_more_datum(self) -> None:
        model, new = fixed().eval(), points(6, seed=4).numpy()
        given = ExactPosterior(model, pending=self.PENDING, normals=self.NORMALS[:, :5])
        marginals = given.marginals(new)
        assert marginals.mean.shape == (6, 5)
        X = np.concatenate([points(N).numpy(), self.PENDING])
        noise = np.diag([0.01] * N + [1e-6] * 3)
        K = matern(torch.as_tensor(X), torch.as_tensor(X), 0.5).numpy() + noise
        k = matern(torch.as_tensor(new), torch.as_tensor(X), 0.5).numpy()
        for s in range(5):
            y = np.concatenate([noisy(points(N)).numpy(), given.outcomes[:, s]])
            np.testing.assert_allclose(marginals.mean[:, s], k @ np.linalg.solve(K, y), atol=1e-7)
        variance = 1.0 - np.einsum("ij,ji->i", k, np.linalg.solve(K, k.T))
        np.testing.assert_allclose(marginals.variance, variance, atol=1e-7)

    def test_nothing_is_learned_about_pending_points_themselves(self) -> None:
        given = ExactPosterior(fixed().eval(), pending=self.PENDING, normals=self.NORMALS[:, :5])
        marginals = given.marginals(self.PENDING)
        assert marginals.variance.max() < 1e-5
        np.testing.assert_allclose(marginals.mean, given.outcomes, atol=0.02)

    def test_expected_improvement_is_the_mean_over_outcomes(self) -> None:
        """Against plain Monte Carlo over everything that is not known, pending points and candidate."""
        model, x = fixed().eval(), torch.tensor([[0.3, 0.4, 0.7]], dtype=torch.float64)
        expected = model.posterior(x)
        assert isinstance(expected, GPyTorchPosterior)
        best = float(expected.mean.detach())  # so that there is something to gain
        acquisition = AnalyticLogEI(model, best_f=best, pending=self.PENDING, seed=0)
        posterior = model.posterior(torch.cat([torch.as_tensor(self.PENDING), x]))
        with isolated_torch():
            draws = posterior.rsample(torch.Size([400_000])).detach().squeeze(-1)
        known = draws[:, :3].amax(dim=1).clamp_min(best)
        improvement = (draws[:, 3] - known).clamp_min(0.0)
        # 64 outcomes stand for all: three per cent.
        assert float(acquisition(x.unsqueeze(0)).exp()) == pytest.approx(float(improvement.mean()), rel=0.03)

    @pytest.mark.parametrize("make", [fixed, one_hot])
    def test_its_gradient_is_that_of_the_values(self, make: Callable[[], SingleTaskGP]) -> None:
        model = make().eval()
        new = new_points(model, 4, 1)
        pending = new_points(model, 7)[4:].numpy()
        acquisition = AnalyticLogEI(model, best_f=0.5, pending=pending, seed=0)
        X = new.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(acquisition(X).sum(), X)
        columns = range(3) if make is fixed else (0, 1)  # no gradient reaches choices
        for j in columns:
            step = torch.zeros(3, dtype=torch.float64)
            step[j] = 1e-6
            difference = (acquisition(new + step) - acquisition(new - step)) / 2e-6
            torch.testing.assert_close(gradient[:, 0, j], difference.detach(), rtol=1e-4, atol=1e-5)

    def test_the_seed_decides(self) -> None:
        model, X = fixed().eval(), new_points(fixed(), 5, 1)
        one, two, other = (AnalyticLogEI(model, best_f=0.5, pending=self.PENDING, seed=seed)(X) for seed in (0, 0, 1))
        assert torch.equal(one, two)
        assert not torch.equal(one, other)
        torch.testing.assert_close(one, other, rtol=0, atol=0.5)

    def test_points_that_coincide(self) -> None:
        model = fixed().eval()
        twice = np.concatenate([self.PENDING[:1], self.PENDING[:1], points(N).numpy()[:1]])
        acquisition = AnalyticLogEI(model, best_f=0.5, pending=twice, seed=0)
        assert bool(acquisition(new_points(model, 5, 1)).isfinite().all())
