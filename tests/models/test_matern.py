"""The fast Matern kernel against GPyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gpytorch.kernels import MaternKernel, ScaleKernel
from torch import Tensor

from llm_prior_bo.models.matern import ScaledMatern, matern_and_slope, squared_distances


def points(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pair(width: int = 3) -> tuple[ScaledMatern, ScaleKernel]:
    """Ours and GPyTorch's with the same hyperparameters, none of which asks for a gradient."""
    kernels = []
    for kind in (ScaledMatern, ScaleKernel):
        kernel = kind(MaternKernel(nu=2.5, ard_num_dims=width)).double()
        kernel.base_kernel.lengthscale = 0.2 + points(1, width, seed=9)
        kernel.outputscale = 1.7
        kernels.append(kernel.requires_grad_(False))
    return kernels[0], kernels[1]


@pytest.mark.parametrize(
    "shapes", [((5, 3), (7, 3)), ((4, 5, 3), (7, 3)), ((4, 5, 3), (4, 7, 3)), ((2, 4, 1, 3), (7, 3))]
)
def test_covariance_and_its_gradients(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    ours, reference = pair()
    first, second = points(*shapes[0]), points(*shapes[1], seed=1)
    results = []
    for kernel in (ours, reference):
        a, b = first.clone().requires_grad_(), second.clone().requires_grad_()
        covariance = kernel.forward(a, b)
        weights = points(*covariance.shape, seed=2)
        results.append((covariance, *torch.autograd.grad((covariance * weights).sum(), (a, b))))
    for value, expected in zip(*results, strict=True):
        assert value.shape == expected.shape
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-10)


def test_gradient_where_points_coincide_is_zero() -> None:
    ours, _ = pair()
    X = points(4, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(ours.forward(X, X.detach().clone()).diagonal().sum(), X)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-7)


def test_diagonal() -> None:
    ours, reference = pair()
    X, other = points(6, 3), points(6, 3, seed=1)
    assert torch.equal(ours.forward(X, X, diag=True), torch.full((6,), float(ours.outputscale), dtype=torch.float64))
    torch.testing.assert_close(ours.forward(X, other, diag=True), reference.forward(X, other, diag=True))


def test_gradients_in_the_hyperparameters_are_gpytorchs() -> None:
    ours, reference = (kernel.requires_grad_(True) for kernel in pair())
    X = points(6, 3)
    gradients = [
        torch.autograd.grad(kernel.forward(X, X).square().sum(), list(kernel.parameters()))
        for kernel in (ours, reference)
    ]
    for value, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(value, expected)


def test_slope_is_the_derivative_by_the_squared_distance() -> None:
    squared = np.array([1e-6, 0.01, 0.5, 3.0, 40.0])
    step = 1e-7
    difference = (matern_and_slope(squared + step, 2.0)[0] - matern_and_slope(squared - step, 2.0)[0]) / (2.0 * step)
    np.testing.assert_allclose(matern_and_slope(squared, 2.0)[1], difference, rtol=1e-3, atol=1e-8)


def test_distances_far_from_the_origin() -> None:
    X = points(5, 3) + 1e4
    own = torch.as_tensor(squared_distances(X.numpy(), X.numpy()))
    torch.testing.assert_close(own, torch.cdist(X, X).square(), rtol=1e-6, atol=1e-9)
