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
from torch import Tensor

from llm_prior_bo._gradients import product
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.models.cholesky import safe_cholesky
from llm_prior_bo.models.input_encoding import InputEncoding
from llm_prior_bo.models.matern import matern, matern_and_slope, squared_distances
from llm_prior_bo.space import FloatArray

_NUGGET = 1e-6
"""Share of the variance added to that of a pending point, where another one or a trial may be next to it."""


class Marginals(NamedTuple):
    """Posterior of the noise-free function at single points, for each of `s` outcomes of pending evaluations."""

    mean: FloatArray
    """`n x s`."""
    variance: FloatArray
    """Not negative, `n`; whatever comes out."""
    pull_back: Callable[[FloatArray, FloatArray], FloatArray]
    """Derivatives of something by mean, `n x s`, and variance, `n`, to its gradient in the points, `n x d`."""


class ExactPosterior:
    """The posterior marginals of a fitted `SingleTaskGP`, also given what may come out of pending evaluations.

    The outcomes at pending points are drawn jointly from the posterior ("fantasies": Snoek, Larochelle and Adams,
    "Practical Bayesian Optimization", NeurIPS 2012). In the Cholesky factor of data and pending points together they
    are standard normal numbers below the whitened data, so all outcomes share one factor and one variance.

    Args:
        model: Fitted, in evaluation mode; `supports(model)` must hold.
        pending: Points under evaluation, `p x d`; `None`: none.
        normals: Standard normal numbers that stand for their outcomes, `p x s`.

    Attributes:
        outcomes: The noise-free outcomes at the pending points, `p x s`; `s` is 1 if there are none.

    Raises:
        ConfigurationError: If the model is not supported.
    """

    def __init__(
        self, model: SingleTaskGP, *, pending: FloatArray | None = None, normals: FloatArray | None = None
    ) -> None:
        if not supports(model):
            raise ConfigurationError(
                "Expected a model of one output with one noise level, mean 0 and the kernel "
                f"ScaleKernel(MaternKernel(nu=2.5)), got {model}; use the model's own posterior."
            )
        kernel: Any = model.covar_module
        self._encoding = getattr(model, "input_transform", None)
        self._lengthscale: FloatArray = kernel.base_kernel.lengthscale.detach().reshape(-1).numpy()
        self._scale = float(kernel.outputscale.detach())
        encoded = model.train_inputs[0].detach().numpy()  # in evaluation mode
        residual: FloatArray = model.train_targets.detach().numpy()
        training, noise = encoded / self._lengthscale, np.full(len(encoded), float(model.likelihood.noise.detach()))
        if pending is not None and len(pending):
            training = np.concatenate([training, self._encoded(pending)])
            noise = np.concatenate([noise, np.full(len(pending), _NUGGET * self._scale)])
        covariance = matern(squared_distances(training, training), self._scale)
        covariance.flat[:: len(covariance) + 1] += noise
        root = safe_cholesky(torch.from_numpy(covariance))
        inverse_root = torch.linalg.solve_triangular(root, torch.eye(len(root), dtype=root.dtype), upper=False)
        self._training: FloatArray = training
        self._inverse_root: FloatArray = inverse_root.numpy()
        n = len(residual)
        whitened = product(self._inverse_root[:n, :n], residual)[:, None]  # n x 1
        self.outcomes: FloatArray = np.empty((0, 1))
        if pending is not None and normals is not None and len(pending):
            whitened = np.concatenate([np.repeat(whitened, normals.shape[1], axis=1), normals])  # (n + p) x s
            self.outcomes = product(root.numpy()[n:], whitened)
        self._weights: FloatArray = product(self._inverse_root.T, whitened)  # (n + p) x s

    def marginals(self, X: FloatArray) -> Marginals:
        """Posterior of the noise-free function at points.

        Args:
            X: Encoded points, `n x d`.
        """
        points = self._encoded(X)
        cross, slope = matern_and_slope(squared_distances(points, self._training), self._scale)  # n x trials
        whitened = product(cross, self._inverse_root.T)
        mean = product(cross, self._weights)  # n x s
        variance = self._scale - np.square(whitened).sum(axis=1)

        def pull_back(by_mean: FloatArray, by_variance: FloatArray) -> FloatArray:
            by_cross = product(whitened, self._inverse_root)  # n x trials
            by_cross *= (-2.0 * by_variance * (variance > 0.0))[:, None]
            by_cross += product(by_mean, self._weights.T)
            return self._pull_back(X, points, 2.0 * by_cross * slope)

        return Marginals(mean, np.maximum(variance, 0.0), pull_back)

    def _encoded(self, X: FloatArray) -> FloatArray:
        """Points as the kernel sees them, in length scales, `n x width`."""
        return (X if self._encoding is None else self._encoding.encode(X)) / self._lengthscale

    def _pull_back(self, X: FloatArray, points: FloatArray, by_distance: FloatArray) -> FloatArray:
        """Gradient in the points from twice the derivatives by squared distances, `n x trials`: a quadratic form."""
        gradient: FloatArray = by_distance.sum(axis=1)[:, None] * points - product(by_distance, self._training)
        gradient /= self._lengthscale
        return gradient if self._encoding is None else self._encoding.pull_back(X, gradient)


def supports(model: SingleTaskGP) -> bool:
    """Whether a model is of the one kind that `ExactPosterior` knows, which is that of the package's surrogate."""
    kernel = model.covar_module
    base = getattr(kernel, "base_kernel", None)
    return (
        isinstance(kernel, ScaleKernel)
        and isinstance(base, MaternKernel)
        and base.nu == 2.5
        and kernel.active_dims is None
        and base.active_dims is None
        and model.batch_shape == torch.Size([])
        and isinstance(model.mean_module, ZeroMean)
        and isinstance(getattr(model, "input_transform", None), InputEncoding | None)
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
    root: Tensor = safe_cholesky(covariance + model.likelihood.noise * torch.eye(len(X), dtype=X.dtype))
    return root


def dense_covariance(kernel: Kernel, X: Tensor) -> Tensor:
    """Kernel matrix of encoded points, `n x w` to `n x n`, without the detour over a lazy one if possible."""
    points = X if kernel.active_dims is None else X.index_select(-1, kernel.active_dims)  # left to `__call__`
    covariance: Any = kernel.forward(points, points)
    dense: Tensor = covariance if isinstance(covariance, Tensor) else covariance.to_dense()  # sums of kernels are lazy
    return dense
