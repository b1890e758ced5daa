"""Analytic log expected improvement, averaged over what may come out of pending evaluations, with its gradient."""

from __future__ import annotations

import math
from typing import TypeGuard

import numpy as np
import torch
from botorch.acquisition.analytic import LogExpectedImprovement
from botorch.models.gp_regression import SingleTaskGP
from botorch.models.model import Model
from botorch.utils.sampling import draw_sobol_normal_samples
from botorch.utils.transforms import t_batch_mode_transform
from scipy.special import erfcx, ndtr
from torch import Tensor

from llm_prior_bo._gradients import as_torch
from llm_prior_bo.models.exact_gp import ExactPosterior, supports
from llm_prior_bo.models.normal_cdf import log_density
from llm_prior_bo.space import FloatArray

N_OUTCOMES = 64
"""Possible outcomes at the pending points, over which expected improvement is averaged."""
SMALLEST_VARIANCE = 1e-12
"""A smaller variance counts as this one, as in BoTorch."""
_FAR_BELOW = -1e4
"""Standard deviations below the best value from which on a difference of logarithms has lost too many digits."""
_ROOT_HALF_PI = math.sqrt(0.5 * math.pi)
_ROOT2 = math.sqrt(2.0)


class AnalyticLogEI(LogExpectedImprovement):
    """Log expected improvement of one output to be maximised, with its gradient in closed form.

    Without pending points it is BoTorch's `LogExpectedImprovement`. With some, it is the log of the mean, over what may
    come out there, of the expected improvement on the best value then known.

    Args:
        model: As `ExactPosterior` takes it.
        best_f: The value to improve on.
        pending: Points under evaluation, `p x d`.
        seed: Seed of the quasi-random outcomes at the pending points.
    """

    def __init__(self, model: SingleTaskGP, best_f: float, *, pending: FloatArray | None = None, seed: int = 0) -> None:
        super().__init__(model, torch.tensor(best_f, dtype=torch.float64))
        p = 0 if pending is None else len(pending)
        normals = draw_sobol_normal_samples(p, N_OUTCOMES, dtype=torch.float64, seed=seed).numpy().T if p else None
        self._posterior = ExactPosterior(model, pending=pending, normals=normals)
        self._best: FloatArray = self._posterior.outcomes.max(axis=0, initial=best_f)  # s

    @staticmethod
    def supports(model: Model) -> TypeGuard[SingleTaskGP]:
        """Whether a model is of the one kind whose posterior `ExactPosterior` knows."""
        return isinstance(model, SingleTaskGP) and supports(model)

    @t_batch_mode_transform(expected_q=1)  # type: ignore[arg-type]  # typed for functions of the base class
    def forward(self, X: Tensor) -> Tensor:
        """`b x 1 x d` to `b`."""
        return as_torch(self, X.squeeze(-2))

    def value(self, X: FloatArray) -> FloatArray:
        """Log expected improvement at points `n x d`, `n`."""
        marginals = self._posterior.marginals(X)
        values = log_improvement(marginals.mean, marginals.variance[:, None], self._best)[0]  # n x s
        return _log_mean(values)

    def value_and_gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log expected improvement at points `n x d`, `n`, and its gradient, `n x d`."""
        marginals = self._posterior.marginals(X)
        values, by_mean, by_variance = log_improvement(marginals.mean, marginals.variance[:, None], self._best)
        value = _log_mean(values)
        shares = np.exp(values - value[:, None]) / values.shape[1]  # n x s
        return value, marginals.pull_back(shares * by_mean, (shares * by_variance).sum(axis=1))


def _log_mean(values: FloatArray) -> FloatArray:
    """Log of the mean of exponentials, `n x s` to `n`."""
    largest = values.max(axis=1)
    mean: FloatArray = np.log(np.exp(values - largest[:, None]).mean(axis=1))
    mean += largest
    return mean


def log_improvement(
    mean: FloatArray, variance: FloatArray, best: float | FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Log expected improvement on a value, with its derivatives (Ament et al., NeurIPS 2023, section 4.1).

        log EI = log σ + log h(u),    u = (μ - best) / σ,    h = φ + u Φ

    where `EI' = Φ` in `μ` and `φ` in `σ`. Below the best value `h` vanishes faster than its parts, so that it is taken
    as `φ (1 + u Φ/φ)`, with the quotient from `erfcx`; far below it, where the bracket vanishes too, as its series.

    Args:
        mean: Posterior means, of any shape.
        variance: Posterior variances, broadcast to it; below 1e-12 they count as that, and constant.
        best: The value to improve on, broadcast to it.

    Returns:
        The value, its derivative by the mean, and by the variance, each of the shape of the means.
    """
    sigma = np.sqrt(np.maximum(variance, SMALLEST_VARIANCE))
    u = (mean - best) / sigma
    above, far = u > -1.0, u < _FAR_BELOW
    log_phi = log_density(u)
    # Every branch is evaluated everywhere, at arguments that it can take.
    upper = np.maximum(u, -1.0)
    density, probability = np.exp(np.where(above, log_phi, 0.0)), ndtr(upper)
    h = density + upper * probability
    lower = np.clip(u, _FAR_BELOW, -1.0)
    ratio = _ROOT_HALF_PI * erfcx(-lower / _ROOT2)  # Φ/φ
    bracket = 1.0 + lower * ratio
    tail = np.maximum(-u, 1.0)
    log_h = np.where(above, np.log(h), log_phi + np.where(far, -2.0 * np.log(tail), np.log(bracket)))
    by_mean = np.where(above, probability / h, np.where(far, tail + 2.0 / tail, ratio / bracket)) / sigma
    by_sigma = np.where(above, density / h, np.where(far, np.square(tail) + 3.0, 1.0 / bracket)) / sigma
    return np.log(sigma) + log_h, by_mean, np.where(variance > SMALLEST_VARIANCE, 0.5 * by_sigma / sigma, 0.0)
