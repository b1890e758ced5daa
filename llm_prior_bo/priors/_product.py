"""Products of marginals for several regions at once: the inner loop of every acquisition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from llm_prior_bo.priors import _cells
from llm_prior_bo.priors.marginals import Marginal, SplitNormalMarginal
from llm_prior_bo.space import SearchSpace


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
        self._tabulated = [j for j in used if _cells.has_table(space.columns[j])]
        self._computed = {j: columns[j] for j in used if j not in {*self._continuous, *self._tabulated}}
        self._mode, self._left, self._right, self._log_mass = _split_normal_rows(
            [columns[j] for j in self._continuous], self._n_regions
        )
        self._lookup = _cells.CellLookup([space.columns[j] for j in self._tabulated])
        self._tables, self._offsets = _joined_tables(
            [columns[j] for j in self._tabulated],
            [space.columns[j].n_values or 1 for j in self._tabulated],
            self._n_regions,
        )

    def __call__(self, X: Tensor) -> Tensor:
        """Log densities relative to uniform.

        Args:
            X: Encoded points, `batch_shape x d`, float64.

        Returns:
            `batch_shape x K`, differentiable in the continuous columns.
        """
        points = X.reshape(-1, X.shape[-1])  # n x d
        total = points.new_zeros(len(points), self._n_regions)
        if self._continuous:
            total = total + self._log_continuous(points)
        if self._tabulated:
            total = total + self._log_tabulated(points)
        for j, marginals in self._computed.items():
            rows = [points.new_zeros(len(points)) if m is None else m.log_prob(points[:, j]) for m in marginals]
            total = total + torch.stack(rows, dim=-1)
        return total.reshape(*X.shape[:-1], self._n_regions)

    def _log_continuous(self, points: Tensor) -> Tensor:
        distance = points[:, None, self._continuous] - self._mode  # n x K x c
        t = distance * torch.where(distance < 0, self._left, self._right)
        return t.square().sum(dim=-1) * -0.5 - self._log_mass  # n x K

    def _log_tabulated(self, points: Tensor) -> Tensor:
        cells = self._lookup(points[:, self._tabulated]) + self._offsets  # g x n
        return self._tables[:, cells].sum(dim=1).T  # K x g x n -> n x K


def _split_normal_rows(
    columns: Sequence[Sequence[Marginal | None]], n_regions: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Modes, inverse scales (`K x c`) and summed log masses (`K`); no opinion is an inverse scale of zero."""
    mode, left, right = torch.zeros(3, n_regions, len(columns), dtype=torch.float64).unbind(0)
    log_mass = torch.zeros(n_regions, dtype=torch.float64)
    for j, marginals in enumerate(columns):
        for k, marginal in enumerate(marginals):
            if isinstance(marginal, SplitNormalMarginal):
                mode[k, j] = marginal.mode_unit
                left[k, j], right[k, j] = 1.0 / marginal.left_scale, 1.0 / marginal.right_scale
                log_mass[k] += marginal.split_normals.log_mass
    return mode, left, right, log_mass


def _joined_tables(
    columns: Sequence[Sequence[Marginal | None]], sizes: Sequence[int], n_regions: int
) -> tuple[Tensor, Tensor]:
    """All tables side by side, `K x sum(sizes)`, and where each column's starts, `g x 1`."""
    starts = [sum(sizes[:j]) for j in range(len(sizes))]
    joined = torch.zeros(n_regions, sum(sizes), dtype=torch.float64)
    for start, size, marginals in zip(starts, sizes, columns, strict=True):
        for k, marginal in enumerate(marginals):
            if marginal is not None and marginal.table is not None:
                joined[k, start : start + size] = marginal.table
    return joined, torch.tensor(starts, dtype=torch.int64).unsqueeze(-1)
