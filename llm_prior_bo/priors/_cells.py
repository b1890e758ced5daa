"""Cells of grid columns and choices of categorical columns as tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from llm_prior_bo.space import Column, FloatArray

TABLE_LIMIT = 65536
"""Columns with at most this many values get a table with one entry a value; larger ones are computed cell by cell."""


def has_table(column: Column) -> bool:
    """Whether the column is discrete and small enough to enumerate."""
    return column.n_values is not None and column.n_values <= TABLE_LIMIT


def cell_index(column: Column, u: Tensor) -> Tensor:
    """Index of the cell or choice of every coordinate, `batch_shape`, int64."""
    return torch.from_numpy(np.asarray(column.cell_index(u.detach().numpy())))


def cell_edges(column: Column, u: Tensor) -> tuple[Tensor, Tensor]:
    """Lower and upper edge of the cells that coordinates of a grid column lie in."""
    lower, upper = column.cell_edges(column.cell_index(u.detach().numpy()))
    return torch.from_numpy(np.asarray(lower)), torch.from_numpy(np.asarray(upper))


def all_cell_edges(column: Column) -> tuple[Tensor, Tensor]:
    """Lower and upper edges of all cells of a small grid column, `n_values` each."""
    lower, upper = column.cell_edges(np.arange(column.n_values or 1))
    return torch.from_numpy(np.asarray(lower)), torch.from_numpy(np.asarray(upper))


def snapped(column: Column, u: Tensor) -> Tensor:
    """Legal coordinates of the cells that coordinates lie in."""
    return torch.as_tensor(column.snap(u.detach().numpy()), dtype=torch.float64, device="cpu")


def inner_edges(column: Column) -> FloatArray:
    """Coordinates at which the cells of a small discrete column meet, `n_values - 1`, for `numpy.searchsorted`."""
    if column.kind == "categorical":
        return np.arange((column.n_values or 1) - 1, dtype=np.float64) + 0.5
    return all_cell_edges(column)[0][1:].numpy()
