"""The Gaussian copula in NumPy with its gradient: the fast path of `GaussianCopula.log_ratio` in a search.

With `z = Λ e` the normal scores (`Λ` the Cholesky factor of the correlations), `μ_j = z_j - Λ_jj e_j` the conditional
means, `s_j = Λ_jj` the conditional deviations, and `M(a, b)` the mean of `exp(-t²/2)` over an interval,

    log c = Σ_continuous (z_j² - e_j²) / 2 - Σ_{j>1} log M(box_j) + Σ_grid log M(cell_j) + const

where box and cell are the intervals of `(t - μ_j) / s_j`. Grid columns hand on the score of their cell's centre, which
does not move with the point, so only continuous columns have a gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.special import erf, log_ndtr, ndtri

from llm_prior_bo.priors import _cells
from llm_prior_bo.priors._normal import LOG_SQRT_2PI, NODES, SQRT_2, SQRT_HALF_PI, WEIGHTS
from llm_prior_bo.priors.copula import BOX_MASS, LOG_BOX, MAX_SCORE, GaussianCopula, cell_scores
from llm_prior_bo.space import FloatArray


class CopulaGradient:
    """Log ratios of the copulas of several regions at once, with their gradients.

    All columns of all copulas stand side by side, `m` in all, the `c` continuous ones first: their matrices become
    blocks of one. A search has few points at a time, so that what costs is the number of calls.

    Args:
        copulas: One a region; `None`: a region without correlations, whose ratio is 1.
        dims: Columns of the space that each of them couples, in the order of its marginals.
    """

    def __init__(self, copulas: Sequence[GaussianCopula | None], dims: Sequence[Sequence[int]]) -> None:
        given = [(k, copula, own) for k, (copula, own) in enumerate(zip(copulas, dims, strict=True)) if copula]
        self._n_regions, self.is_trivial = len(copulas), not given
        columns = [
            (j >= copula.n_continuous, k, j, own[position])
            for k, copula, own in given
            for j, position in enumerate(copula.order)
        ]
        columns.sort(key=lambda column: column[0])  # stable: within a region they stay in order
        place = {(k, j): i for i, (_, k, j, _) in enumerate(columns)}
        m = len(columns)
        self._n_continuous = sum(not is_grid for is_grid, *_ in columns)
        self._regions = np.array([k for _, k, _, _ in columns], dtype=np.intp)
        self._dims = np.array([dim for *_, dim in columns], dtype=np.intp)
        self._inverse, self._deviation = np.zeros((m, m)), np.ones(m)
        for k, copula, own in given:
            rows = [place[k, j] for j in range(len(own))]
            self._inverse[np.ix_(rows, rows)] = copula.inverse_factor.numpy()
            self._deviation[rows] = copula.deviation.numpy()
        marginals = [copula.continuous_marginals for _, copula, _ in given]
        self._mode, self._left, self._right, self._log_mass = (
            np.concatenate([np.zeros(0), *(getattr(own, name).numpy() for own in marginals)])
            for name in ("mode", "left", "right", "log_mass")
        )
        self._below = self._left * _integral_from_mode(self._mode / self._left)
        self._grids = [
            (marginal, None if table is None else (_cells.inner_edges(marginal.column), table.numpy()))
            for _, copula, _ in given
            for marginal, table in zip(copula.grid_marginals, copula.tables, strict=True)
        ]
        # Boxes of all columns but the first of each copula, which is not conditioned on anything, then cells of grids.
        self._boxed = np.array([i for i, (_, _, j, _) in enumerate(columns) if j > 0], dtype=np.intp)
        self._conditioned = np.array([*self._boxed, *range(self._n_continuous, m)], dtype=np.intp)
        self._deviations = self._deviation[self._conditioned]
        self._membership = (self._regions[:, None] == np.arange(self._n_regions)).astype(np.float64)  # m x K

    def value(self, X: FloatArray) -> FloatArray:
        """Log of each joint density over the product of its marginals, encoded points `n x d` to `n x K`."""
        return self._evaluate(X)[0]

    def value_and_gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The same and the gradients, `n x d` to `n x K` and `n x K x d`."""
        value, z, e, by_mean, slope = self._evaluate(X)
        c = self._n_continuous
        # z moves e through the inverse factor, and the conditional means through z and e.
        by_score = z[:, :c] - e[:, :c] @ self._inverse[:c, :c] + by_mean[:, :c]
        by_score -= (by_mean * self._deviation) @ self._inverse[:, :c]
        gradient = np.zeros((len(X), self._n_regions, X.shape[1]))
        gradient[:, self._regions[:c], self._dims[:c]] = by_score * slope
        return value, gradient

    def _evaluate(self, X: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
        """Values `n x K`, scores and residuals `n x m`, derivative by the conditional means, `n x m`, and `dz/du`."""
        c, n_boxes = self._n_continuous, len(self._boxed)
        U = X[:, self._dims]
        scores, slope = self._continuous_scores(U[:, :c])
        centres, lower, upper, log_cells = self._grid_scores(U[:, c:])
        z = np.concatenate([scores, centres], axis=1)
        e = z @ self._inverse.T
        mean = z - e * self._deviation
        conditioned = mean[:, self._conditioned]
        box = np.full((len(z), n_boxes), MAX_SCORE)
        means, shift = log_mean_and_shift(
            (np.concatenate([-box, lower], axis=1) - conditioned) / self._deviations,
            (np.concatenate([box, upper], axis=1) - conditioned) / self._deviations,
        )
        shift /= self._deviations
        summands = np.empty_like(z)
        summands[:, :c] = 0.5 * (np.square(z[:, :c]) - np.square(e[:, :c]))
        summands[:, c:] = means[:, n_boxes:] - log_cells
        summands[:, self._boxed] -= means[:, :n_boxes] - LOG_BOX
        by_mean = np.zeros_like(z)
        by_mean[:, self._boxed] = shift[:, :n_boxes]
        by_mean[:, c:] -= shift[:, n_boxes:]
        return summands @ self._membership, z, e, by_mean, slope

    def _grid_scores(self, U: FloatArray) -> FloatArray:
        """Scores of the grid columns as `GaussianCopula.grid_scores`, `n x g` to `4 x n x g`."""
        rows = np.empty((4, *U.shape))
        for j, (marginal, tabulated) in enumerate(self._grids):
            if tabulated is None:
                rows[:, :, j] = cell_scores(marginal, torch.from_numpy(U[:, j].copy()), None).numpy()
            else:
                edges, table = tabulated
                rows[:, :, j] = table[:, np.searchsorted(edges, U[:, j], side="right")]
        return rows

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
