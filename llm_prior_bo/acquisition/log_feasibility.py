"""Log probability that the constraints of a surrogate hold, with its gradient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from botorch.models.gp_regression import SingleTaskGP
from scipy.special import log_ndtr

from llm_prior_bo.acquisition.analytic_log_ei import SMALLEST_VARIANCE
from llm_prior_bo.models.exact_gp import ExactPosterior, Marginals
from llm_prior_bo.models.normal_cdf import log_cdf_slope
from llm_prior_bo.space import FloatArray


class LogFeasibility:
    """Sum of the log probabilities that outputs are at most 0; nothing without outputs.

    Args:
        outputs: The process of each; `models.exact_gp.supports` must hold.
    """

    def __init__(self, outputs: Sequence[SingleTaskGP]) -> None:
        self._posteriors = [ExactPosterior(output) for output in outputs]

    def value(self, X: FloatArray) -> FloatArray:
        """At points `n x d`, `n`."""
        total = np.zeros(len(X))
        for posterior in self._posteriors:
            total += log_ndtr(_score(posterior.marginals(X))[0])
        return total

    def value_and_gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """At points `n x d`, `n`, and the gradient, `n x d`."""
        value, gradient = np.zeros(len(X)), np.zeros(X.shape)
        for posterior in self._posteriors:
            marginals = posterior.marginals(X)
            score, sigma = _score(marginals)
            by_score = log_cdf_slope(score)
            by_variance = np.where(marginals.variance > SMALLEST_VARIANCE, -0.5 * by_score * score / sigma**2, 0.0)
            value += log_ndtr(score)
            gradient += marginals.pull_back((-by_score / sigma)[:, None], by_variance)
        return value, gradient


def _score(marginals: Marginals) -> tuple[FloatArray, FloatArray]:
    """How many standard deviations the mean is below 0, and the standard deviation, each `n`."""
    sigma = np.sqrt(np.maximum(marginals.variance, SMALLEST_VARIANCE))
    return -marginals.mean[:, 0] / sigma, sigma
