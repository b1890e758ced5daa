"""The Gaussian copula in NumPy with its gradient: the fast path of `GaussianCopula.log_ratio` in a search.

With `z = Λ e` the normal scores (`Λ` the Cholesky factor of the correlations), `μ_j = z_j - Λ_jj e_j` the conditional
means, `s_j = Λ_jj` the conditional deviations, and `M(a, b)` the mean of `exp(-t²/2)` over an interval,

    log c = Σ_continuous (z_j² - e_j²) / 2 - Σ_{j>1} log M(box_j) + Σ_grid log M(cell_j) + const

where box and cell are the intervals of `(t - μ_j) / s_j`. Grid columns hand on the score of their cell's centre, which
does not move with the point, so only continuous columns have a gradient.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import erf, log_ndtr, ndtri

from llm_prior_bo.priors._normal import LOG_SQRT_2PI, NODES, SQRT_2, SQRT_HALF_PI, WEIGHTS
from llm_prior_bo.priors.copula import BOX_MASS, LOG_BOX, MAX_SCORE, GaussianCopula
from llm_prior_bo.space import FloatArray


class CopulaGradient:
    """Log ratio of a copula, with its gradient.

    Args:
        copula: The copula; its arrays are read once.
    """

    def __init__(self, copula: GaussianCopula) -> None:
        self._copula = copula
        self._order, self._n_continuous = list(copula.order), copula.n_continuous
        self._inverse: FloatArray = copula.inverse_factor.numpy()
        self._deviation: FloatArray = copula.deviation.numpy()
        marginals = copula.continuous_marginals
        self._mode, self._left, self._right = (x.numpy() for x in (marginals.mode, marginals.left, marginals.right))
        self._below = self._left * _integral_from_mode(self._mode / self._left)
        self._log_mass: FloatArray = marginals.log_mass.numpy()

    def value(self, U: FloatArray) -> FloatArray:
        """Log of the joint density over the product of the marginals, `n x m` to `n`."""
        return self._evaluate(U)[0]

    def value_and_gradient(self, U: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The same and its gradient, `n x m` to `n` and `n x m`."""
        value, z, e, by_mean, slope = self._evaluate(U)
        c = self._n_continuous
        # z moves e through the inverse factor, and the conditional means through z and e.
        by_score = z[:, :c] - e[:, :c] @ self._inverse[:c, :c] + by_mean[:, :c]
        by_score -= (by_mean * self._deviation) @ self._inverse[:, :c]
        gradient = np.zeros_like(U)
        gradient[:, self._order[:c]] = by_score * slope
        return value, gradient

    def _evaluate(self, U: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
        """Value `n`, scores and residuals `n x m`, derivative by the conditional means, `n x m`, and `dz/du`."""
        c = self._n_continuous
        scores, slope = self._continuous_scores(U[:, self._order[:c]])
        cells = [rows.numpy() for rows in self._copula.grid_scores(torch.from_numpy(U[:, self._order[c:]]))]
        z = np.concatenate([scores, cells[0]], axis=1)
        e = z @ self._inverse.T
        mean = z - e * self._deviation
        value = 0.5 * (np.square(z[:, :c]) - np.square(e[:, :c])).sum(axis=1)
        by_mean = np.zeros_like(z)
        # The first column is not conditioned on anything: its box cancels.
        s = self._deviation[1:]
        boxes, shift = log_mean_and_shift((-MAX_SCORE - mean[:, 1:]) / s, (MAX_SCORE - mean[:, 1:]) / s)
        value -= (boxes - LOG_BOX).sum(axis=1)
        by_mean[:, 1:] += shift / s
        if c < z.shape[1]:
            s = self._deviation[c:]
            inside, shift = log_mean_and_shift((cells[1] - mean[:, c:]) / s, (cells[2] - mean[:, c:]) / s)
            value += (inside - cells[3]).sum(axis=1)
            by_mean[:, c:] -= shift / s
        return value, z, e, by_mean, slope

    def _continuous_scores(self, U: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Normal scores of the continuous columns within the box, and their derivatives, `n x c` each."""
        distance = U - self._mode
        scale = np.where(distance < 0.0, self._left, self._right)
        t = distance / scale
        signed = scale * _integral_from_mode(t)  # integral of the kernel from the mode
        probability = np.clip((self._below + signed) * np.exp(-self._log_mass), 0.0, 1.0)
        z: FloatArray = ndtri((probability - 0.5) * BOX_MASS + 0.5)
        log_density = -0.5 * np.square(t) - self._log_mass
        return z, BOX_MASS * np.exp(log_density + 0.5 * np.square(z) + LOG_SQRT_2PI)


def log_mean_and_shift(lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log of the mean of `exp(-t²/2)` over intervals, and its derivative when both ends move together.

    Args:
        lower: Lower ends, any shape.
        upper: Upper ends, above the lower ones.

    Returns:
        The log mean as `log_mean_kernel` has it, and its derivative, each of that shape.
    """
    flip = lower + upper > 0.0  # the kernel is even; in the lower half no difference of numbers near 1 is taken
    a, b = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
    narrow = (b - a) * (1.0 + 0.5 * np.abs(a + b)) <= 1.0
    log_mean, shift = np.empty_like(a), np.empty_like(a)
    for chosen, formula in ((narrow, _narrow), (~narrow, _wide)):
        if chosen.all():
            log_mean, shift = formula(a, b)
        elif chosen.any():
            log_mean[chosen], shift[chosen] = formula(a[chosen], b[chosen])
    return log_mean, np.where(flip, -shift, shift)


def _narrow(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """By quadrature, as `log_mean_kernel`; the derivative `(k(b) - k(a)) / ((b - a) M)` as a hyperbolic sine."""
    m, half = 0.5 * (a + b), 0.5 * (b - a)
    t = half[..., None] * NODES.numpy()
    kernel_sums = (np.cosh(m[..., None] * t) * np.exp(-0.5 * np.square(t))) @ WEIGHTS.numpy()
    log_mean = np.log(kernel_sums) - 0.5 * np.square(m)
    x = half * m
    sinhc = np.where(np.abs(x) > 1e-8, np.sinh(x) / np.where(x == 0.0, 1.0, x), 1.0)
    return log_mean, -m * np.exp(-0.25 * (np.square(a) + np.square(b)) - log_mean) * sinhc


def _wide(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """By a difference of distribution functions."""
    log_upper, width = log_ndtr(b), b - a
    log_mean = log_upper + np.log1p(-np.exp(log_ndtr(a) - log_upper)) + LOG_SQRT_2PI - np.log(width)
    difference = np.exp(-0.5 * np.square(b) - log_mean) - np.exp(-0.5 * np.square(a) - log_mean)
    return log_mean, difference / width


def _integral_from_mode(t: FloatArray) -> FloatArray:
    """Integral of `exp(-x²/2)` from 0 to `t`."""
    result: FloatArray = SQRT_HALF_PI * erf(t / SQRT_2)
    return result
