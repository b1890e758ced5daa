"""Posterior of a small exact GP with a Matern-5/2 kernel, with its gradient in closed form.

With tens or hundreds of trials the matrices are tiny, and most of a posterior's time in GPyTorch is spent in building
and unpacking lazy objects. What is here takes kernel, mean and noise from a BoTorch `SingleTaskGP` and gives the same
numbers as its own methods.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from botorch.models.gp_regression import SingleTaskGP
from gpytorch.kernels import Kernel, MaternKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import ZeroMean
from linear_operator.utils.cholesky import psd_safe_cholesky
from torch import Tensor

from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.gp.gradients import product
from llm_prior_bo.gp.kernel_input import KernelInput
from llm_prior_bo.gp.matern import matern_and_slope, squared_distances
from llm_prior_bo.gp.trend import parts_of
from llm_prior_bo.space import FloatArray


class Marginals(NamedTuple):
    """Posterior of the noise-free function at single points."""

    mean: FloatArray
    """`n`."""
    variance: FloatArray
    """Not negative, `n`."""
    pull_back: Callable[[FloatArray, FloatArray], FloatArray]
    """Derivatives of something by mean and variance, `n` each, to its gradient in the points, `n x d`."""


class ExactPosterior:
    """The posterior marginals of a fitted `SingleTaskGP`.

    Args:
        model: Fitted, in evaluation mode; `supports(model)` must hold.

    Raises:
        ConfigurationError: If it does not.
    """

    def __init__(self, model: SingleTaskGP) -> None:
        if not supports(model):
            raise ConfigurationError(
                "Expected a model of one output with one noise level, mean 0 and the kernel "
                f"ScaleKernel(MaternKernel(nu=2.5)), got {model}; use the model's own posterior."
            )
        self._encoding, kernel, _, self._trend = parts_of(model)
        with torch.no_grad():
            root = training_root(model)
            inverse_root = torch.linalg.solve_triangular(root, torch.eye(len(root)).to(root), upper=False)
            encoded = model.train_inputs[0]  # in evaluation mode
            if self._trend is None:
                residual, points = model.train_targets, encoded
            else:
                residual, points = model.train_targets - encoded[:, -1], encoded[:, :-1]
            self._lengthscale: FloatArray = kernel.base_kernel.lengthscale.detach().reshape(-1).numpy()
            self._scale = float(kernel.outputscale)
            self._training: FloatArray = points.numpy() / self._lengthscale
            self._inverse_root: FloatArray = inverse_root.numpy()
            self._weights: FloatArray = (inverse_root.T @ (inverse_root @ residual)).numpy()

    def marginals(self, X: FloatArray) -> Marginals:
        """Posterior of the noise-free function at points.

        Args:
            X: Encoded points, `n x d`.
        """
        points = (X if self._encoding is None else self._encoding.encode(X)) / self._lengthscale
        cross, slope = matern_and_slope(squared_distances(points, self._training), self._scale)  # n x trials
        whitened = product(cross, self._inverse_root.T)
        mean = product(cross, self._weights)
        if self._trend is not None:
            mean += self._trend.value(X)
        variance = self._scale - np.square(whitened).sum(axis=1)

        def pull_back(by_mean: FloatArray, by_variance: FloatArray) -> FloatArray:
            by_cross = product(whitened, self._inverse_root)  # n x trials
            by_cross *= (-2.0 * by_variance * (variance > 0.0))[:, None]
            by_cross += by_mean[:, None] * self._weights
            return self._pull_back(X, points, 2.0 * by_cross * slope, by_mean)

        return Marginals(mean, np.maximum(variance, 0.0), pull_back)

    def _pull_back(self, X: FloatArray, points: FloatArray, by_distance: FloatArray, by_mean: FloatArray) -> FloatArray:
        """Gradient in the points from twice the derivatives by squared distances, `n x trials`: a quadratic form."""
        gradient: FloatArray = by_distance.sum(axis=1)[:, None] * points - product(by_distance, self._training)
        gradient /= self._lengthscale
        if self._encoding is not None:
            gradient = self._encoding.pull_back(X, gradient)
        if self._trend is not None:
            gradient += by_mean[:, None] * self._trend.value_and_gradient(X)[1]
        return gradient


def supports(model: SingleTaskGP) -> bool:
    """Whether a model is of the one kind that `ExactPosterior` knows, which is that of the package's surrogate."""
    encoding, kernel, mean, _ = parts_of(model)
    base = getattr(kernel, "base_kernel", None)
    return (
        isinstance(kernel, ScaleKernel)
        and isinstance(base, MaternKernel)
        and base.nu == 2.5
        and kernel.active_dims is None
        and base.active_dims is None
        and model.batch_shape == torch.Size([])
        and isinstance(mean, ZeroMean)
        and isinstance(encoding, KernelInput | None)
        and type(model.likelihood) is GaussianLikelihood
        and getattr(model, "outcome_transform", None) is None
    )


def training_root(model: SingleTaskGP) -> Tensor:
    """Lower Cholesky factor of the covariance of the training data with noise, `n x n`.

    Args:
        model: In evaluation mode; any kernel.
    """
    X = model.train_inputs[0]  # transformed: the model is in evaluation mode
    covariance = dense_covariance(model.covar_module, X)
    root: Tensor = psd_safe_cholesky(covariance + model.likelihood.noise * torch.eye(len(X), dtype=X.dtype))
    return root


def dense_covariance(kernel: Kernel, X: Tensor) -> Tensor:
    """Kernel matrix of encoded points, `n x w` to `n x n`, without the detour over a lazy one if possible."""
    points = X if kernel.active_dims is None else X.index_select(-1, kernel.active_dims)  # left to `__call__`
    covariance: Any = kernel.forward(points, points)
    dense: Tensor = covariance if isinstance(covariance, Tensor) else covariance.to_dense()  # sums of kernels are lazy
    return dense
