"""The lean posterior against BoTorch's and GPyTorch's own."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from botorch.acquisition.analytic import LogExpectedImprovement
from botorch.models.gp_regression import SingleTaskGP
from botorch.models.gp_regression_mixed import MixedSingleTaskGP
from botorch.models.transforms.input import Normalize
from botorch.posteriors.gpytorch import GPyTorchPosterior
from gpytorch.kernels import MaternKernel, RBFKernel, ScaleKernel
from gpytorch.means import ConstantMean, LinearMean
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from torch import Tensor

from llm_prior_bo._isolation import isolated_torch
from llm_prior_bo.exact_gp import ExactPosterior, training_root
from llm_prior_bo.priors import UniformPrior
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.surrogate import fit_surrogate
from llm_prior_bo.training_data import TrainingData
from tests.gps import gp

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
    with isolated_torch(0):
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


class TestPosterior:
    @pytest.mark.parametrize("batch_shape", [(7,), (1, 1), (6, 1), (4, 3), (2, 3, 1)])
    def test_mean_and_variance_are_those_of_botorch(self, model: SingleTaskGP, batch_shape: tuple[int, ...]) -> None:
        X = new_points(model, *batch_shape)
        posterior = ExactPosterior(model).posterior(X)
        mean, variance = own_posterior(model, X)
        assert posterior.mean.shape == posterior.variance.shape == (*batch_shape, 1)
        torch.testing.assert_close(posterior.mean, mean, rtol=0, atol=1e-9)
        torch.testing.assert_close(posterior.variance, variance, rtol=0, atol=1e-9)

    def test_so_are_their_gradients(self, model: SingleTaskGP) -> None:
        X = new_points(model, 6, 1).requires_grad_()
        posterior = ExactPosterior(model).posterior(X)
        for value, expected in zip((posterior.mean, posterior.variance), own_posterior(model, X), strict=True):
            (gradient,) = torch.autograd.grad(value.sum(), X, retain_graph=True)
            (reference,) = torch.autograd.grad(expected.sum(), X, retain_graph=True)
            torch.testing.assert_close(gradient, reference, rtol=1e-8, atol=1e-8)

    def test_expected_improvement_is_that_over_the_model(self, model: SingleTaskGP) -> None:
        X = new_points(model, 20, 1).requires_grad_()
        best = float(model.train_targets.max())
        value = LogExpectedImprovement(ExactPosterior(model), best_f=best)(X)
        expected = LogExpectedImprovement(model, best_f=best)(X)
        torch.testing.assert_close(value, expected, rtol=1e-7, atol=1e-7)
        (gradient,) = torch.autograd.grad(value.sum(), X)
        (reference,) = torch.autograd.grad(expected.sum(), X)
        torch.testing.assert_close(gradient, reference, rtol=1e-6, atol=1e-6)

    def test_variance_is_never_negative(self) -> None:
        X = points(N)
        model = gp(X, noisy(X), lengthscale=2.0, noise=1e-9)
        model.eval()
        posterior = ExactPosterior(model).posterior(X)
        assert (posterior.variance >= 0.0).all()
        assert posterior.variance.max() < 1e-6
        torch.testing.assert_close(posterior.mean.squeeze(-1), model.train_targets, rtol=0, atol=1e-4)

    def test_one_output_and_no_copy_of_the_model(self) -> None:
        model = fixed()
        model.eval()
        posterior = ExactPosterior(model)
        assert posterior.num_outputs == 1
        assert list(posterior.parameters()) == []  # acquisition functions walk through all of them at every call
