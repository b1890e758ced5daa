"""The most probable hyperparameters of a Gaussian process with a scaled Matern-5/2 kernel.

The log posterior density of the hyperparameters and its gradient have closed forms (Rasmussen and Williams, "Gaussian
Processes for Machine Learning", 2006, section 5.4.1). With `A = αα' - K^-1`, `α = K^-1 y`,

    ∂ log p(y) / ∂ log θ = ½ Σ_ij A_ij ∂K_ij / ∂ log θ

which for the length scale of column `j` is a quadratic form of that column. So one step costs a Cholesky factor, an
inverse and one product with the points, whatever the dimension. The steps are taken in the logarithms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from botorch.models.gp_regression import SingleTaskGP
from linear_operator.utils.errors import NotPSDError
from scipy.optimize import minimize

from llm_prior_bo._gradients import product
from llm_prior_bo.models.cholesky import safe_cholesky
from llm_prior_bo.models.matern import matern_and_slope, squared_distances
from llm_prior_bo.models.subset import even_rows
from llm_prior_bo.space import FloatArray

KernelPriors: TypeAlias = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]

LARGEST = 1e3
"""Of all hyperparameters: outcomes are standardised and ranges have length 1, so nothing is lost beyond it."""

UNLIKELY = 1e6
"""Loss per datum where the covariance has no Cholesky factor."""


@dataclass(frozen=True, slots=True, eq=False)
class LogPosterior:
    """Log posterior density of the logarithms of length scales, variance and noise, up to a constant.

    Args:
        model: With a `ScaledMatern` kernel, one noise level, and kernel priors log-normal (length scales) and gamma
            (variance, noise).
        X: Its training points as its kernel sees them, `n x w`.
        residual: Its outcomes without the mean, `n`.
    """

    model: SingleTaskGP
    X: FloatArray
    residual: FloatArray
    _kernel_priors: KernelPriors = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_kernel_priors", _kernel_priors(self.model))  # once, not at every evaluation

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Value and gradient at `w + 2` log hyperparameters: length scales, variance, noise.

        Raises:
            linear_operator.utils.errors.NotPSDError: If the covariance is not positive definite, even with some jitter.
        """
        likelihood, gradient = self._likelihood(theta)
        priors, slope = self._priors(theta)
        return likelihood + priors, gradient + slope

    def _likelihood(self, theta: FloatArray) -> tuple[float, FloatArray]:
        scale, noise = math.exp(theta[-2]), math.exp(theta[-1])
        points = self.X / np.exp(theta[:-2])  # n x w
        covariance, slope = matern_and_slope(squared_distances(points, points), scale)
        n = len(points)
        covariance.flat[:: n + 1] += noise
        root = safe_cholesky(torch.from_numpy(covariance))
        inverse = torch.cholesky_inverse(root).numpy()
        alpha = inverse @ self.residual
        fit = float(self.residual @ alpha)
        log_root_determinant = float(np.log(root.diagonal().numpy()).sum())
        value = -0.5 * fit - log_root_determinant - 0.5 * n * math.log(2.0 * math.pi)
        trace = float(alpha @ alpha - np.trace(inverse))  # of A
        # ∂K/∂ log ℓ_j = -2 (∂k/∂ r²) Δ_j²: minus twice the slope weighs the squared differences of the column.
        weights = np.outer(alpha, alpha)  # n x n
        weights -= inverse
        weights *= slope
        squares = weights.sum(axis=1) @ np.square(points) - (points * product(weights, points)).sum(axis=0)  # ½ Σ W Δ²
        gradient = np.empty(len(theta))
        gradient[:-2] = -2.0 * squares
        gradient[-2] = 0.5 * (fit - n - noise * trace)
        gradient[-1] = 0.5 * noise * trace
        return value, gradient

    def _priors(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Log density of the kernel priors, in the hyperparameters themselves, and its slope in their logarithms."""
        (loc, spread), (a, b), (c, d) = self._kernel_priors
        deviation = (theta[:-2] - loc) / spread
        scale, noise = theta[-2], theta[-1]
        value = -float(np.sum(theta[:-2] + 0.5 * deviation**2))
        value += (a - 1.0) * scale - b * math.exp(scale) + (c - 1.0) * noise - d * math.exp(noise)
        ends = [a - 1.0 - b * math.exp(scale), c - 1.0 - d * math.exp(noise)]
        return value, np.concatenate([-1.0 - deviation / spread, ends])


def maximise_posterior(
    model: SingleTaskGP, *, max_iterations: int, tolerance: float, max_data: int | None = None
) -> None:
    """Move the hyperparameters of a model from where they are to the most probable ones.

    Args:
        model: As `LogPosterior` takes it, in training mode.
        max_iterations: Most steps of the optimiser.
        tolerance: Gain of the log posterior density from one step to the next, in nats, at which it stops.
        max_data: Of more data than that, evenly spaced ones are used; `None`: all.
    """
    with torch.no_grad():
        X = model.transform_inputs(model.train_inputs[0])
        residual = model.train_targets - model.mean_module(X)
    rows = even_rows(len(X), max_data or len(X))
    found = minimize(
        partial(_loss, LogPosterior(model, X.numpy()[rows], residual.numpy()[rows])),
        np.log(get_hyperparameters(model)),
        jac=True,
        method="L-BFGS-B",
        bounds=_bounds(model),
        options={"maxiter": max_iterations, "ftol": tolerance / len(rows), "gtol": tolerance / len(rows)},
    )
    set_hyperparameters(model, np.exp(found.x))


def _loss(log_posterior: LogPosterior, theta: FloatArray) -> tuple[float, FloatArray]:
    """Minus the log posterior density and its gradient, per datum."""
    try:
        value, gradient = log_posterior(theta)
    except NotPSDError:  # a step of the line search that went too far
        return UNLIKELY, np.zeros_like(theta)
    return -value / len(log_posterior.X), -gradient / len(log_posterior.X)


def get_hyperparameters(model: SingleTaskGP) -> FloatArray:
    """Length scales, variance and noise, `w + 2`."""
    kernel = model.covar_module
    parts = [kernel.base_kernel.lengthscale.flatten(), kernel.outputscale.flatten(), model.likelihood.noise.flatten()]
    values: FloatArray = torch.cat(parts).detach().numpy()
    return values


def set_hyperparameters(model: SingleTaskGP, values: FloatArray) -> None:
    """Give a model the hyperparameters of `get_hyperparameters`; values beyond their bounds end there."""
    low, high = np.exp(np.array(_bounds(model)).T)
    limited = torch.as_tensor(np.clip(values, low, high))
    kernel: Any = model.covar_module
    kernel.base_kernel.lengthscale = limited[:-2].unsqueeze(0)
    kernel.outputscale = limited[-2]
    model.likelihood.noise = limited[-1:]


def _kernel_priors(model: SingleTaskGP) -> KernelPriors:
    """Location and scale of the log-normal, shape and rate of the two gamma densities."""
    kernel: Any = model.covar_module
    noise = model.likelihood.noise_covar.noise_prior
    lengthscale, scale = kernel.base_kernel.lengthscale_prior, kernel.outputscale_prior
    return (
        (float(lengthscale.loc), float(lengthscale.scale)),
        (float(scale.concentration), float(scale.rate)),
        (float(noise.concentration), float(noise.rate)),
    )


def _bounds(model: SingleTaskGP) -> list[tuple[float, float]]:
    """Bounds of the log hyperparameters."""
    kernel: Any = model.covar_module
    width = kernel.base_kernel.ard_num_dims
    lowest = [float(kernel.base_kernel.raw_lengthscale_constraint.lower_bound)] * width
    lowest.append(float(kernel.raw_outputscale_constraint.lower_bound))
    lowest.append(float(model.likelihood.noise_covar.raw_noise_constraint.lower_bound))
    return [(math.log(low), math.log(LARGEST)) for low in lowest]
