"""Functions with gradients of their own as torch functions, and the other way round."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from llm_prior_bo._gradients import WithGradient, as_torch, product, value_and_gradient
from llm_prior_bo.space import FloatArray


class Cubes:
    """`sum_j x_j³`; counts how often a gradient was asked for."""

    def __init__(self) -> None:
        self.n_gradients = 0

    def value(self, X: FloatArray) -> FloatArray:
        result: FloatArray = (X**3).sum(axis=1)
        return result

    def value_and_gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        self.n_gradients += 1
        return self.value(X), 3.0 * X**2


@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 3, 4), (5, 1, 4)])
def test_is_differentiable_for_torch(shape: tuple[int, ...]) -> None:
    X = torch.rand(*shape, dtype=torch.float64, requires_grad=True)
    assert as_torch(Cubes(), X).shape == shape[:-1]
    assert torch.autograd.gradcheck(lambda points: as_torch(Cubes(), points), X)


def test_points_in_single_precision() -> None:
    X = torch.rand(5, 4, requires_grad=True)
    value = as_torch(Cubes(), X)
    (gradient,) = torch.autograd.grad(value.sum(), X)
    assert (value.dtype, gradient.dtype) == (torch.float64, torch.float32)
    torch.testing.assert_close(gradient, 3.0 * X.detach().square())


def test_the_gradient_is_left_out_where_nobody_wants_it() -> None:
    cubes = Cubes()
    assert isinstance(cubes, WithGradient)
    with torch.no_grad():
        as_torch(cubes, torch.ones(2, 3))
    as_torch(cubes, torch.ones(2, 3))
    assert cubes.n_gradients == 0
    as_torch(cubes, torch.ones(2, 3, requires_grad=True))
    assert cubes.n_gradients == 1


def test_of_a_torch_function() -> None:
    X = np.random.default_rng(0).random((5, 3))
    value, gradient = value_and_gradient(lambda points: points.pow(3).sum(dim=-1), X)
    expected, reference = Cubes().value_and_gradient(X)
    np.testing.assert_allclose(value, expected)
    np.testing.assert_allclose(gradient, reference)


@pytest.mark.parametrize("second", [(4,), (4, 2)])
def test_product(second: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((3, 4)), rng.random(second)
    np.testing.assert_allclose(product(a, b), a @ b)
    np.testing.assert_allclose(product(a[:, ::2], b[::2]), a[:, ::2] @ b[::2])
