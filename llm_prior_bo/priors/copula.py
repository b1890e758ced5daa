r"""Gaussian copula over numeric columns.

The copula couples the columns through the normal scores of their marginals `F_j` (after truncation to [0, 1]), and the
joint density is built column by column::

    z_j  = Phi^-1((1 - eps) / 2 + eps * F_j(u_j))          in the box [-2, 2];  eps = Phi(2) - Phi(-2) = 0.9545
    p(u) = prod_j f_j(u_j) * c_j
    c_j  = [N(z_j; mu_j, s_j) / N(z_j; 0, 1)] * [P(box | 0, 1) / P(box | mu_j, s_j)]

with `mu_j, s_j` the conditional mean and deviation of the multivariate normal given the columns before. Each factor is
a conditional density truncated to the box and normalised there. A grid column takes the integral over its cell (and
hands the score of the cell's centre on to the later columns); continuous columns come first. So the joint density is
**exactly normalised and exactly sampleable**, whatever is truncated or discrete.

With an infinite box this is the ordinary Gaussian copula, which is unbounded in the corners of the cube: where
truncated marginals do not vanish at the ends of their range, `log p` reaches +30 in the very corner and an acquisition
function multiplied by it runs there. The box bounds the density: at half-width 3, a correlation of 0.5 still makes the
corner 3.2 nats likelier, which put it above the stated best guesses of a real answer; at 2 it is 1.6 nats. What it
costs: the marginals of the second and later columns are kept to 0.005 (largest difference of distribution functions)
instead of exactly, a stated correlation of 0.5 becomes one of 0.42 between the scores, and after a grid column
marginals are kept to second order in its cell's width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from llm_prior_bo.errors import PriorError
from llm_prior_bo.priors import _cells
from llm_prior_bo.priors._normal import LOG_SQRT_2PI, SQRT_2, log_mean_kernel, truncated_normal_icdf
from llm_prior_bo.priors._split_normal import SplitNormals

if TYPE_CHECKING:
    from llm_prior_bo.priors.marginals import SplitNormalMarginal

MIN_EIGENVALUE = 0.01
"""Smallest eigenvalue of a correlation matrix: no column is determined by the others to better than a tenth."""

MAX_SCORE = 2.0
"""Normal scores are confined to plus or minus this, which bounds the density."""

BOX_MASS = math.erf(MAX_SCORE / SQRT_2)
LOG_BOX = math.log(BOX_MASS / (2.0 * MAX_SCORE)) + LOG_SQRT_2PI


def nearest_correlation_matrix(
    matrix: npt.ArrayLike,
    *,
    min_eigenvalue: float = MIN_EIGENVALUE,
    max_iterations: int = 1000,
    tolerance: float = 1e-9,
) -> npt.NDArray[np.float64]:
    """Project onto the correlation matrices with eigenvalues of at least `min_eigenvalue`, in the Frobenius norm.

    Alternating projections onto the eigenvalue-bounded cone and the matrices of unit diagonal, with Dykstra's
    correction (N. J. Higham, "Computing the nearest correlation matrix: a problem from finance", IMA Journal of
    Numerical Analysis 22, 2002, algorithm 3.3). A matrix that qualifies is returned unchanged.

    Args:
        matrix: Square matrix, `m x m`; its symmetric part is used.
        min_eigenvalue: Lower bound on the eigenvalues, in [0, 1).
        max_iterations: Limit on the iterations.
        tolerance: Change of the matrix at which to stop.

    Returns:
        Symmetric `m x m` matrix with unit diagonal and eigenvalues >= `min_eigenvalue`.

    Raises:
        PriorError: If the matrix is not square or not finite, or `min_eigenvalue` not in [0, 1).
    """
    target = np.array(matrix, dtype=np.float64)
    if target.ndim != 2 or target.shape[0] != target.shape[1] or not np.isfinite(target).all():
        raise PriorError(f"Expected a finite square matrix of correlations, got shape {target.shape}: {target}.")
    if not 0.0 <= min_eigenvalue < 1.0:
        raise PriorError(f"Expected a smallest eigenvalue in [0, 1), got {min_eigenvalue}.")
    unit = (target + target.T) / 2
    np.fill_diagonal(unit, 1.0)
    correction = np.zeros_like(unit)
    for _ in range(max_iterations):
        if np.linalg.eigvalsh(unit).min(initial=1.0) >= min_eigenvalue:
            return unit
        bounded = _with_bounded_eigenvalues(unit - correction, min_eigenvalue)
        correction = bounded - (unit - correction)
        previous, unit = unit, bounded.copy()
        np.fill_diagonal(unit, 1.0)
        if np.abs(unit - previous).max() < tolerance:
            break
    # The iterates approach the bound from outside: a last step towards the identity crosses it.
    smallest = float(np.linalg.eigvalsh(unit).min())
    shrinkage = max(0.0, (min_eigenvalue - smallest) / (1.0 - smallest))
    return unit * (1.0 - shrinkage) + np.eye(len(unit)) * shrinkage


def _with_bounded_eigenvalues(matrix: npt.NDArray[np.float64], bound: float) -> npt.NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    projected = (vectors * np.maximum(values, bound)) @ vectors.T
    result: npt.NDArray[np.float64] = (projected + projected.T) / 2
    return result


class _Scores(NamedTuple):
    """Normal scores of points: the representative, and for grid columns both ends of the cell."""

    representative: Tensor  # batch_shape x m
    lower: Tensor  # batch_shape x g, grid columns only
    upper: Tensor  # batch_shape x g
    log_cells: Tensor  # batch_shape x g, log mean of the kernel over the cell


class GaussianCopula:
    """Dependence between split normal marginals, exactly normalised and exactly sampleable.

    The marginals' normal scores are coupled within [-2, 2], column by column; the module's docstring has the density,
    and what it keeps of the marginals.

    Args:
        marginals: The `m` marginals that are coupled.
        correlation: Correlations of the normal scores, `m x m`; projected by `nearest_correlation_matrix`.

    Attributes:
        order: Positions of the marginals in the order in which they are conditioned, continuous ones first.
        n_continuous: How many of them are continuous, `c`.
        continuous_marginals: These marginals, each attribute `c`.
        grid_marginals: The marginals of the grid columns, `g`.
        tables: `cell_scores` of every cell of each of them, `4 x n_values`; `None` for a huge grid.
        inverse_factor: Inverse of the lower Cholesky factor of the correlations in that order, `m x m`.
        deviation: Diagonal of that factor, `m`: deviations given the columns before.

    Raises:
        PriorError: If the correlations are not an `m x m` finite matrix, or an entry is outside [-1, 1].
    """

    def __init__(self, marginals: Sequence[SplitNormalMarginal], correlation: npt.ArrayLike) -> None:
        R = np.array(correlation, dtype=np.float64)
        if R.shape != (len(marginals), len(marginals)) or not np.isfinite(R).all() or (np.abs(R) > 1.0).any():
            raise PriorError(
                f"Expected a {len(marginals)} x {len(marginals)} matrix of correlations in [-1, 1], got {R.tolist()}."
            )
        self.marginals = tuple(marginals)
        self.correlation = nearest_correlation_matrix(R)
        # Continuous columns first, because later columns are conditioned on exact values then.
        self.order = sorted(range(len(marginals)), key=lambda j: marginals[j].column.kind == "grid")
        self._sorted = tuple(marginals[j] for j in self.order)
        self.n_continuous = sum(marginal.column.kind == "continuous" for marginal in marginals)
        self.continuous_marginals = _stacked(self._sorted[: self.n_continuous])
        factor = np.linalg.cholesky(self.correlation[np.ix_(self.order, self.order)])
        self._factor = torch.from_numpy(factor)
        self.deviation = self._factor.diagonal()
        self.inverse_factor = torch.from_numpy(np.linalg.inv(factor))
        self.grid_marginals = self._sorted[self.n_continuous :]
        self.tables = [_score_table(marginal) for marginal in self.grid_marginals]

    def log_ratio(self, U: Tensor) -> Tensor:
        """Log of the joint density over the product of the marginals.

        Args:
            U: Coordinates of the coupled columns in the order of `marginals`, `batch_shape x m`.

        Returns:
            `batch_shape`, differentiable in the continuous columns.
        """
        scores = self._scores(U[..., self.order])
        # z = L e and mu_j = z_j - L_jj e_j: all conditional means in one product.
        residual = scores.representative @ self.inverse_factor.T
        mean = scores.representative - residual * self.deviation
        # Widths, Jacobians and deviations cancel between the conditional and the marginal density (on paper), so that
        # means of the kernel over cells (a point, for a continuous column) and over boxes remain.
        c = self.n_continuous
        z, e = scores.representative[..., :c], residual[..., :c]
        points = (z - e) * (z + e) / 2  # batch_shape x c
        # The first column is not conditioned on anything: its box cancels.
        boxes = self._log_mean(mean, slice(1, None), -mean.new_tensor(MAX_SCORE), mean.new_tensor(MAX_SCORE))
        total = points.sum(dim=-1) - (boxes - LOG_BOX).sum(dim=-1)
        if c == len(self._sorted):
            return total
        cells = self._log_mean(mean, slice(c, None), scores.lower, scores.upper)
        return total + (cells - scores.log_cells).sum(dim=-1)

    def _log_mean(self, mean: Tensor, columns: slice, lower: Tensor, upper: Tensor) -> Tensor:
        """Log means of the conditional kernels of some columns between two scores, `batch_shape x n_columns`."""
        mean, deviation = mean[..., columns], self.deviation[columns]
        return log_mean_kernel((lower - mean) / deviation, (upper - mean) / deviation)

    def transport(self, V: Tensor) -> Tensor:
        """Uniform variates to coordinates, column by column: exact ancestral sampling.

        Args:
            V: Variates in [0, 1], one a column in the order of `marginals`, `n x m`.

        Returns:
            Legal coordinates in the order of `marginals`, `n x m`.
        """
        residuals: list[Tensor] = []
        U = torch.empty_like(V)
        for j, (position, marginal) in enumerate(zip(self.order, self._sorted, strict=True)):
            mean = V.new_zeros(len(V))
            for i, residual in enumerate(residuals):
                mean = mean + self._factor[j, i] * residual
            deviation = self.deviation[j]
            lower, upper = (-MAX_SCORE - mean) / deviation, (MAX_SCORE - mean) / deviation
            z = mean + deviation * truncated_normal_icdf(V[:, position], lower, upper)
            p = (torch.special.ndtr(z) - 0.5) / BOX_MASS + 0.5
            U[:, position] = marginal.icdf(p.clamp(0, 1))
            residuals.append((_scores(marginal.split_normals, U[:, position]) - mean) / deviation)
        return U

    def _scores(self, U: Tensor) -> _Scores:
        c = self.n_continuous
        points = _scores(self.continuous_marginals, U[..., :c])
        centres, lower, upper, log_cells = self.grid_scores(U[..., c:])
        return _Scores(torch.cat([points, centres], dim=-1), lower, upper, log_cells)

    def grid_scores(self, U: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Scores of the grid columns.

        Args:
            U: Coordinates of the grid columns in their order in `order`, `batch_shape x g`.

        Returns:
            Scores of the cells' centres and of their lower and upper edges, and log means of the kernel over the cells,
            each `batch_shape x g`.
        """
        pairs = zip(self.grid_marginals, self.tables, strict=True)
        cells = [cell_scores(marginal, U[..., j], table) for j, (marginal, table) in enumerate(pairs)]
        rows = torch.stack(cells, dim=-1) if cells else U.new_zeros(4, *U.shape[:-1], 0)
        return rows[0], rows[1], rows[2], rows[3]

    def __repr__(self) -> str:
        names = [marginal.column.name for marginal in self.marginals]
        return f"GaussianCopula({names}, {self.correlation.round(3).tolist()})"


def correlation_from_pairs(names: Sequence[str], pairs: Sequence[tuple[str, str, float]]) -> npt.NDArray[np.float64]:
    """Correlation matrix with the given entries and zeros elsewhere, `m x m`; a later pair overrides an earlier."""
    R = np.eye(len(names))
    for first, second, rho in pairs:
        if not (math.isfinite(rho) and -1.0 <= rho <= 1.0):
            raise PriorError(f"Expected a correlation in [-1, 1] between {first!r} and {second!r}, got {rho}.")
        i, j = names.index(first), names.index(second)
        if i == j:
            raise PriorError(f"Expected a correlation between two parameters, got {first!r} with itself; drop it.")
        R[i, j] = R[j, i] = rho
    return R


def _stacked(marginals: Sequence[SplitNormalMarginal]) -> SplitNormals:
    rows = [(m.mode_unit, m.left_scale, m.right_scale) for m in marginals]
    return SplitNormals(*torch.tensor(rows, dtype=torch.float64, device="cpu").reshape(-1, 3).unbind(dim=-1))


def _scores(marginals: SplitNormals, u: Tensor) -> Tensor:
    """Normal scores within the box, differentiable."""
    scores: Tensor = torch.special.ndtri((marginals.cdf(u) - 0.5) * BOX_MASS + 0.5)
    return scores


def _score_table(marginal: SplitNormalMarginal) -> Tensor | None:
    """`cell_scores` of every cell of a small grid, `4 x n_values`."""
    if not _cells.has_table(marginal.column):
        return None
    return _scores_between(marginal, *_cells.all_cell_edges(marginal.column))


def cell_scores(marginal: SplitNormalMarginal, u: Tensor, table: Tensor | None) -> Tensor:
    """Scores of centre, lower and upper edge of cells, and the log mean of the kernel, `4 x batch_shape`."""
    if table is not None:
        return table[:, _cells.cell_index(marginal.column, u)]
    return _scores_between(marginal, *_cells.cell_edges(marginal.column, u))


def _scores_between(marginal: SplitNormalMarginal, lower: Tensor, upper: Tensor) -> Tensor:
    middle, low, high = _scores(marginal.split_normals, torch.stack([(lower + upper) / 2, lower, upper]))
    return torch.stack([middle, low, high, log_mean_kernel(low, high)])
