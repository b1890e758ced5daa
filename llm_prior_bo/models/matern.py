"""A scaled Matern-5/2 kernel whose matrices and gradients come from a few dense operations.

GPyTorch differentiates its own one through a chain of small operations; with some hundred trials that chain is most of
the time that maximising an acquisition function takes. With `r` the distance in length scales,

    k = s (1 + √5 r + 5/3 r²) exp(-√5 r),      ∂k/∂(r²) = -5/6 s (1 + √5 r) exp(-√5 r)

and since `r²` is a quadratic form, what is left of every gradient is a matrix product.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from gpytorch.kernels import ScaleKernel
from torch import Tensor

from llm_prior_bo._gradients import product
from llm_prior_bo.space import FloatArray

_ROOT5 = math.sqrt(5.0)


class ScaledMatern(ScaleKernel):
    """`ScaleKernel(MaternKernel(nu=2.5))` with a fast matrix where no hyperparameter asks for a gradient."""

    def forward(
        self, x1: Tensor, x2: Tensor, last_dim_is_batch: bool = False, diag: bool = False, **params: Any
    ) -> Tensor:
        """Covariance, as GPyTorch's kernels: `batch_shape x n x m`, or its diagonal, `batch_shape x n`."""
        is_plain = self.raw_outputscale.dim() == 0 and not (last_dim_is_batch or params)
        is_plain = is_plain and (not diag or _are_the_same(x1, x2))
        if not is_plain or self.raw_outputscale.requires_grad or self.base_kernel.raw_lengthscale.requires_grad:
            slow: Tensor = super().forward(x1, x2, last_dim_is_batch=last_dim_is_batch, diag=diag, **params)
            return slow
        scale: Tensor = self.outputscale
        if diag:
            return scale.expand(x1.shape[:-1])
        lengthscale = self.base_kernel.lengthscale[0]
        covariance: Tensor = _Covariance.apply(x1 / lengthscale, x2 / lengthscale, float(scale))
        return covariance


class _Covariance(torch.autograd.Function):
    """Matern-5/2 covariance of points in length scales, with its gradient in the points."""

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, scale: float) -> Tensor:
        """`batch_shape x n x w` and `batch_shape x m x w` to `batch_shape x n x m`."""
        squared = squared_distances(first.detach().numpy(), second.detach().numpy())
        if not any(ctx.needs_input_grad):
            return torch.from_numpy(matern(squared, scale))
        covariance, slope = matern_and_slope(squared, scale)
        ctx.save_for_backward(first, second, torch.from_numpy(slope))
        return torch.from_numpy(covariance)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """The gradient of `r²` in a point is twice its difference to the other one."""
        first, second, slope = ctx.saved_tensors
        weights = 2.0 * gradient * slope  # batch_shape x n x m
        grad_first = grad_second = None
        if ctx.needs_input_grad[0]:
            grad_first = _reduced(weights.sum(dim=-1, keepdim=True) * first - weights @ second, first)
        if ctx.needs_input_grad[1]:
            transposed = weights.transpose(-1, -2)
            grad_second = _reduced(transposed.sum(dim=-1, keepdim=True) * second - transposed @ first, second)
        return grad_first, grad_second, None


def squared_distances(first: FloatArray, second: FloatArray) -> FloatArray:
    """Squared Euclidean distances, `batch_shape x n x w` and `batch_shape x m x w` to `batch_shape x n x m`."""
    # About a common centre, so that less is lost where large squares cancel.
    centre = second.reshape(-1, second.shape[-1]).mean(axis=0)
    a, b = first - centre, second - centre
    of_a, of_b = (np.square(points).sum(axis=-1)[..., None] for points in (a, b))
    # In one product: |a|² + |b|² - 2 a·b = (|a|², 1, -2a)·(1, |b|², b).
    left = np.concatenate([of_a, np.ones_like(of_a), -2.0 * a], axis=-1)
    right = np.concatenate([np.ones_like(of_b), of_b, b], axis=-1)
    squared = product(left, right.swapaxes(-1, -2))
    return np.maximum(squared, 0.0, out=squared)


def matern(squared: FloatArray, scale: float) -> FloatArray:
    """Covariance, as `matern_and_slope`; the distances are overwritten."""
    linear, decay = _linear_and_decay(squared, scale)
    return _covariance(squared, linear, decay)


def matern_and_slope(squared: FloatArray, scale: float) -> tuple[FloatArray, FloatArray]:
    """Covariance and its derivative by the squared distance.

    Args:
        squared: Squared distances in length scales, any shape; overwritten, for new large arrays take as long as what
            is computed.
        scale: Variance of the process.
    """
    linear, decay = _linear_and_decay(squared, scale)
    slope = linear * decay
    slope *= -5.0 / 6.0
    return _covariance(squared, linear, decay), slope


def _linear_and_decay(squared: FloatArray, scale: float) -> tuple[FloatArray, FloatArray]:
    """`1 + √5 r` and `s exp(-√5 r)`."""
    linear = np.sqrt(squared)
    linear *= -_ROOT5
    decay = np.exp(linear)
    decay *= scale
    np.subtract(1.0, linear, out=linear)
    return linear, decay


def _covariance(squared: FloatArray, linear: FloatArray, decay: FloatArray) -> FloatArray:
    squared *= 5.0 / 3.0
    squared += linear
    squared *= decay
    return squared


def _are_the_same(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors are views of the same numbers."""
    return first.data_ptr() == second.data_ptr() and first.shape == second.shape and first.stride() == second.stride()


def _reduced(gradient: Tensor, points: Tensor) -> Tensor:
    """Sum over the batch dimensions along which the points were broadcast."""
    return gradient.sum_to_size(points.shape)
