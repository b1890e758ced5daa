"""The closed-form posterior of the hyperparameters against GPyTorch's marginal likelihood."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from botorch.models.gp_regression import SingleTaskGP
from gpytorch.mlls import ExactMarginalLogLikelihood
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo._isolation import isolated_torch
from llm_prior_bo.models import surrogate as module
from llm_prior_bo.models.hyperparameters import (
    LARGEST,
    LogPosterior,
    get_hyperparameters,
    maximise_posterior,
    set_hyperparameters,
)
from llm_prior_bo.priors import UniformPrior
from llm_prior_bo.space import FloatArray, SearchSpace

SPACE = SearchSpace(
    {"x": FloatDistribution(0, 1), "k": IntDistribution(1, 8), "c": CategoricalDistribution(["a", "b", "c"])}
)
WIDTH = 5  # three choices are three columns


def model_of(n: int = 25, *, noise: float = 0.1) -> SingleTaskGP:
    generator = torch.Generator().manual_seed(0)
    X = UniformPrior(SPACE).sample(n, generator=generator)
    y = torch.sin(5.0 * X[:, 0]) + X[:, 1] + noise * torch.randn(n, generator=generator, dtype=torch.float64)
    with isolated_torch():
        return module.gaussian_process(X, (y - y.mean()) / y.std(), SPACE, (), likelihood=module._likelihood())


def log_posterior(model: SingleTaskGP) -> LogPosterior:
    X = model.transform_inputs(model.train_inputs[0])
    return LogPosterior(model, X.detach().numpy(), model.train_targets.numpy())


def of_gpytorch(model: SingleTaskGP, theta: FloatArray) -> tuple[float, FloatArray]:
    """Log marginal likelihood and log kernel priors, and the gradient in the log hyperparameters."""
    set_hyperparameters(model, np.exp(theta))
    model.train()
    n = len(model.train_targets)
    value = n * ExactMarginalLogLikelihood(model.likelihood, model)(model(*model.train_inputs), model.train_targets)
    kernel: Any = model.covar_module
    parameters = [
        kernel.base_kernel.raw_lengthscale,
        kernel.raw_outputscale,
        model.likelihood.noise_covar.raw_noise,
    ]
    gradients = torch.autograd.grad(value, parameters)
    return float(value.detach()), torch.cat([g.flatten() for g in gradients]).numpy() * np.exp(theta)


THETAS = [
    np.log([0.5, 1.0, 0.8, 0.6, 1.5, 1.0, 0.01]),
    np.log([3.0, 0.1, 0.3, 5.0, 2.0, 4.0, 0.3]),
    np.log([0.03, 0.03, 0.03, 0.03, 0.03, 0.1, 1e-4]),
]


@pytest.mark.parametrize("theta", THETAS)
def test_differences_and_gradients_are_those_of_gpytorch(theta: FloatArray) -> None:
    model = model_of()
    ours, reference = log_posterior(model), model_of()
    value, gradient = ours(theta)
    expected, slope = of_gpytorch(reference, theta)
    origin, _ = ours(THETAS[0])
    assert value - origin == pytest.approx(expected - of_gpytorch(reference, THETAS[0])[0], rel=1e-8, abs=1e-8)
    np.testing.assert_allclose(gradient, slope, rtol=1e-7, atol=1e-8)


def test_the_maximum_is_one() -> None:
    model = model_of(40)
    start = np.log(get_hyperparameters(model))
    maximise_posterior(model, max_iterations=200, tolerance=1e-9)
    best = np.log(get_hyperparameters(model))
    posterior = log_posterior(model)
    top = posterior(best)[0]
    assert top > posterior(start)[0]
    rng = np.random.default_rng(0)
    assert all(posterior(best + rng.normal(0.0, 0.1, len(best)))[0] < top for _ in range(30))


def test_is_reproducible_and_starts_where_the_model_is() -> None:
    first, second = model_of(), model_of()
    for model in (first, second):
        maximise_posterior(model, max_iterations=100, tolerance=1e-3)
    assert np.array_equal(get_hyperparameters(first), get_hyperparameters(second))
    again = get_hyperparameters(first)
    maximise_posterior(first, max_iterations=1, tolerance=1e-3)
    np.testing.assert_allclose(get_hyperparameters(first), again, rtol=0.01)  # one step at least


def test_of_many_data_some_are_used() -> None:
    whole, part = model_of(60), model_of(60)
    rows = torch.arange(0, 60, 2)
    only = SingleTaskGP(
        whole.train_inputs[0][rows],
        whole.train_targets[rows].unsqueeze(-1),
        likelihood=module._likelihood(),
        covar_module=module.mixed_kernel(WIDTH),
        mean_module=module._mean(),
        outcome_transform=None,
        input_transform=whole.input_transform,
    )
    maximise_posterior(part, max_iterations=100, tolerance=1e-6, max_data=30)
    maximise_posterior(only, max_iterations=100, tolerance=1e-6)
    np.testing.assert_allclose(get_hyperparameters(part), get_hyperparameters(only), rtol=1e-6)


def test_hyperparameters_come_back_and_end_at_their_bounds() -> None:
    model = model_of()
    values = np.array([0.3, 0.4, 0.5, 0.6, 0.7, 2.0, 0.02])
    set_hyperparameters(model, values)
    np.testing.assert_allclose(get_hyperparameters(model), values)
    set_hyperparameters(model, np.array([1e-9] * WIDTH + [1e9, 0.0]))
    np.testing.assert_allclose(get_hyperparameters(model), [0.025] * WIDTH + [LARGEST, 1e-6])


def test_a_start_far_off_is_no_obstacle() -> None:
    model = model_of()
    set_hyperparameters(model, np.array([LARGEST] * (WIDTH + 1) + [1e-6]))
    maximise_posterior(model, max_iterations=100, tolerance=1e-3)
    assert np.isfinite(get_hyperparameters(model)).all()
