"""Products of marginals for several regions at once: the inner loop of every acquisition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from llm_prior_bo.priors import _cells
from llm_prior_bo.priors.marginals import Marginal, SplitNormalMarginal
from llm_prior_bo.space import FloatArray, SearchSpace


class ProductEvaluator:
    """Log density of `K` products of marginals, vectorised over regions and columns.

    Continuous columns are evaluated in closed form for all regions together; grids and choices of moderate size are
    looked up; a huge grid is computed cell by cell. Columns without an opinion in any region cost nothing.

    Args:
        space: The search space.
        regions: Marginals by parameter name, one mapping a region; a missing name means "no opinion".
    """

    def __init__(self, space: SearchSpace, regions: Sequence[Mapping[str, Marginal]]) -> None:
        self._n_regions = len(regions)
        used = [j for j, name in enumerate(space.names) if any(name in marginals for marginals in regions)]
        columns = {j: [marginals.get(space.names[j]) for marginals in regions] for j in used}
        self._continuous = [j for j in used if space.columns[j].kind == "continuous"]
        self._rows = _split_normal_rows([columns[j] for j in self._continuous], self._n_regions)
        self._tensors = tuple(torch.from_numpy(rows) for rows in self._rows)
        tabulated = [j for j in used if _cells.has_table(space.columns[j])]
        self._tables = [(j, _cells.inner_edges(space.columns[j]), _table(columns[j])) for j in tabulated]
        self._computed = {j: columns[j] for j in used if j not in {*self._continuous, *tabulated}}

    def __call__(self, X: Tensor) -> Tensor:
        """Log densities relative to uniform.

        Args:
            X: Encoded points, `batch_shape x d`, float64.

        Returns:
            `batch_shape x K`, differentiable in the continuous columns.
        """
        points = X.reshape(-1, X.shape[-1])  # n x d
        total = torch.from_numpy(self._log_discrete(points.detach().numpy()))
        if self._continuous:
            mode, left, right, log_mass = self._tensors
            distance = points[:, None, self._continuous] - mode  # n x K x c
            t = distance * torch.where(distance < 0, left, right)
            total = total + (t.square().sum(dim=-1) * -0.5 - log_mass)
        return total.reshape(*X.shape[:-1], self._n_regions)

    def value(self, X: FloatArray) -> FloatArray:
        """The same in NumPy, points `n x d` to `n x K`."""
        return self._log_discrete(X) + self._log_continuous(X)[0]

    def value_and_gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The same in NumPy with the gradients, points `n x d` to `n x K` and `n x K x d`."""
        log_density, t, inverse_scale = self._log_continuous(X)
        gradient = np.zeros((*log_density.shape, X.shape[1]))
        gradient[:, :, self._continuous] = -t * inverse_scale
        return self._log_discrete(X) + log_density, gradient

    def _log_continuous(self, X: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Log densities of the continuous columns, `n x K`; distances to the modes in scales, and one by the scales."""
        mode, left, right, log_mass = self._rows
        distance = X[:, None, self._continuous] - mode  # n x K x c
        inverse_scale = np.where(distance < 0.0, left, right)
        t = distance * inverse_scale
        return -0.5 * np.einsum("nkc,nkc->nk", t, t) - log_mass, t, inverse_scale

    def _log_discrete(self, points: FloatArray) -> FloatArray:
        """What grids and choices add, `n x d` to `n x K`; constant within their cells."""
        total = np.zeros((len(points), self._n_regions))
        for j, edges, table in self._tables:
            total += table[np.searchsorted(edges, points[:, j], side="right")]
        for j, marginals in self._computed.items():
            u = torch.from_numpy(points[:, j].copy())
            for k, marginal in enumerate(marginals):
                if marginal is not None:
                    total[:, k] += marginal.log_prob(u).numpy()
        return total


def _split_normal_rows(
    columns: Sequence[Sequence[Marginal | None]], n_regions: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Modes, inverse scales (`K x c`) and summed log masses (`K`); no opinion is an inverse scale of zero."""
    mode, left, right = np.zeros((3, n_regions, len(columns)))
    log_mass = np.zeros(n_regions)
    for j, marginals in enumerate(columns):
        for k, marginal in enumerate(marginals):
            if isinstance(marginal, SplitNormalMarginal):
                mode[k, j] = marginal.mode_unit
                left[k, j], right[k, j] = 1.0 / marginal.left_scale, 1.0 / marginal.right_scale
                log_mass[k] += float(marginal.split_normals.log_mass)
    return mode, left, right, log_mass


def _table(marginals: Sequence[Marginal | None]) -> FloatArray:
    """Log densities of the values of one column in every region, `n_values x K`; 0 where there is no opinion."""
    tables = [None if marginal is None else marginal.table for marginal in marginals]
    n_values = next(len(table) for table in tables if table is not None)
    columns = [np.zeros(n_values) if table is None else table.numpy() for table in tables]
    return np.stack(columns, axis=-1)
