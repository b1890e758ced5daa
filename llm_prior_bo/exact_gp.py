"""Posterior of a small exact GP, without the overhead of GPyTorch's lazy tensors.

With tens or hundreds of trials the matrices are tiny, and more than half of a posterior's time is spent in building and
unpacking lazy objects. What is here takes kernel, mean and noise from a BoTorch `SingleTaskGP` and gives the same
numbers as its own methods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from botorch.models.gp_regression import SingleTaskGP
from botorch.models.model import Model
from gpytorch.kernels import Kernel
from gpytorch.models import ExactGP
from linear_operator.utils.cholesky import psd_safe_cholesky
from torch import Tensor


@dataclass(frozen=True, slots=True)
class MarginalPosterior:
    """Mean and variance of a single output at points of shape `batch_shape x q x d`."""

    mean: Tensor
    """`batch_shape x q x 1`."""
    variance: Tensor
    """`batch_shape x q x 1`, not negative."""


class ExactPosterior(Model):
    """The posterior marginals of a fitted `SingleTaskGP`, for analytic acquisition functions.

    Args:
        model: Fitted, in evaluation mode, one output, no outcome transform.
    """

    def __init__(self, model: SingleTaskGP) -> None:
        super().__init__()
        # In a tuple, so that they are not submodules: acquisition functions walk through all of them at every call.
        self._parts = (model.transform_inputs, model.mean_module, model.covar_module)
        with torch.no_grad():
            X = model.train_inputs[0]  # transformed: the model is in evaluation mode
            root = training_root(model)
            identity = torch.eye(len(X), dtype=X.dtype)
            self._inverse_root = torch.linalg.solve_triangular(root, identity, upper=False)  # n x n
            residual = model.train_targets - _mean(model, X)
            self._weights = self._inverse_root.T @ (self._inverse_root @ residual)  # n
            self._X = X

    @property
    def num_outputs(self) -> int:
        """One output."""
        return 1

    def posterior(  # type: ignore[override]  # a narrower interface than BoTorch's, all that LogEI asks for
        self,
        X: Tensor,
        output_indices: list[int] | None = None,  # noqa: ARG002
        observation_noise: bool | Tensor = False,  # noqa: ARG002
        posterior_transform: None = None,  # noqa: ARG002
    ) -> MarginalPosterior:
        """Posterior marginals of the noise-free function.

        Args:
            X: Encoded points, `batch_shape x q x d`.
            output_indices: Not used.
            observation_noise: Not used.
            posterior_transform: Not used.

        Returns:
            Mean and variance of every point, without their covariance.
        """
        transform, mean_module, kernel = self._parts
        transformed = transform(X)
        cross = _covariance(kernel, transformed, self._X)  # batch_shape x q x n
        shift, explained = _Conditioned.apply(cross, self._weights, self._inverse_root)
        mean = mean_module(transformed) + shift
        variance = _variances(kernel, transformed) - explained
        return MarginalPosterior(mean=mean.unsqueeze(-1), variance=variance.clamp_min(0.0).unsqueeze(-1))


class _Conditioned(torch.autograd.Function):
    """What the data add to the mean, and take from the variance, of points with known covariances with the data."""

    @staticmethod
    def forward(ctx: Any, cross: Tensor, weights: Tensor, inverse_root: Tensor) -> tuple[Tensor, Tensor]:
        """Covariances `batch_shape x n`, weights `n` and inverse Cholesky factor `n x n` to two of `batch_shape`."""
        whitened = cross @ inverse_root.T  # batch_shape x n
        ctx.save_for_backward(whitened, weights, inverse_root)
        return cross @ weights, whitened.square().sum(dim=-1)

    @staticmethod
    def backward(ctx: Any, mean_gradient: Tensor, explained_gradient: Tensor) -> tuple[Tensor, None, None]:
        """`batch_shape x n`: both are a linear and a quadratic form of the covariances."""
        whitened, weights, inverse_root = ctx.saved_tensors
        quadratic = (2.0 * explained_gradient).unsqueeze(-1) * (whitened @ inverse_root)
        return mean_gradient.unsqueeze(-1) * weights + quadratic, None, None


def training_root(model: SingleTaskGP) -> Tensor:
    """Lower Cholesky factor of the covariance of the training data with noise, `n x n`.

    Args:
        model: In evaluation mode.
    """
    return _root(model, model.train_inputs[0])


def _mean(model: ExactGP, X: Tensor) -> Tensor:
    """Prior mean of transformed points, `n`."""
    mean: Tensor = model.mean_module(X)
    return mean


def _root(model: SingleTaskGP, X: Tensor) -> Tensor:
    """Lower Cholesky factor of the training covariance with noise, `n x n`."""
    covariance = _covariance(model.covar_module, X, X)
    root: Tensor = psd_safe_cholesky(covariance + model.likelihood.noise * torch.eye(len(X), dtype=X.dtype))
    return root


def _variances(kernel: Kernel, X: Tensor) -> Tensor:
    """Prior variance of transformed points, `batch_shape x q`."""
    points = X if kernel.active_dims is None else X.index_select(-1, kernel.active_dims)
    variances: Tensor = kernel.forward(points, points, diag=True)
    return variances


def _covariance(kernel: Kernel, first: Tensor, second: Tensor) -> Tensor:
    """Kernel matrix of transformed points, `batch_shape x q x n`, without the detour over a lazy one if possible."""
    if kernel.active_dims is not None:  # which `forward` leaves to `__call__`
        first, second = (points.index_select(-1, kernel.active_dims) for points in (first, second))
    covariance = kernel.forward(first, second)
    dense: Tensor = covariance if isinstance(covariance, Tensor) else covariance.to_dense()  # sums of kernels are lazy
    return dense
