"""One-dimensional densities of one column, relative to uniform."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Self

import numpy as np
import torch
from torch import Tensor

from llm_prior_bo._cached_property import cached_property
from llm_prior_bo.errors import PriorError
from llm_prior_bo.priors import _cells
from llm_prior_bo.priors._split_normal import SplitNormals
from llm_prior_bo.priors.base import check_count, generator_or_fresh, uniform_variates
from llm_prior_bo.space import Column

DEFAULT_SCALE = 0.01
"""Scale, as a fraction of the range, of a side to which an answer gives no width at all."""

SCALE_LIMITS = (1e-12, 1e6)
"""Scales are cut to these: below, float64 coordinates cannot resolve them; above, the density is uniform to 1e-12."""

MIN_PROBABILITY = 1e-12
"""Smallest probability of a choice in a table, so that no region is ever impossible."""


class Marginal(ABC):
    """The density of one column, relative to uniform."""

    column: Column

    @abstractmethod
    def log_prob(self, u: Tensor) -> Tensor:
        """Log density relative to uniform of coordinates, `batch_shape` -> `batch_shape`."""

    @abstractmethod
    def icdf(self, v: Tensor) -> Tensor:
        """Probabilities in [0, 1] to legal coordinates, `batch_shape` -> `batch_shape`; not differentiable."""

    @property
    @abstractmethod
    def mode(self) -> float:
        """A legal coordinate with (about) the largest density."""

    @property
    @abstractmethod
    def max_log_prob(self) -> float:
        """The largest log density of the column."""

    @property
    @abstractmethod
    def table(self) -> Tensor | None:
        """Log density of every value, `n_values`; `None` for a continuous or huge column."""

    @abstractmethod
    def tempered(self, temperature: float) -> Self:
        """The density to the power `1 / temperature` before truncation, normalised again."""

    @abstractmethod
    def widened(self, min_scale: float) -> Self:
        """A density that resolves nothing finer than `min_scale`, a fraction of the range."""

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw `n` legal coordinates."""
        return self.icdf(uniform_variates(check_count(n), 1, generator_or_fresh(generator))[:, 0])


@dataclass(frozen=True)
class SplitNormalMarginal(Marginal):
    """A split normal truncated to [0, 1] in the column's coordinate, an own scale on each side of the mode.

    Continuous at the mode and exactly renormalised after truncation. On a grid column the density of a value is the
    mean of the continuous one over the value's cell, so the values' masses sum to one exactly; nothing is enumerated
    for grids with more than `TABLE_LIMIT` values.

    Args:
        column: A continuous or grid column.
        mode_unit: The mode's coordinate in [0, 1].
        left_scale: Scale below the mode, as a fraction of the range; cut to `SCALE_LIMITS`.
        right_scale: Scale above the mode.

    Raises:
        PriorError: If the column is categorical, the mode outside [0, 1] or a scale not positive and finite.
    """

    column: Column
    mode_unit: float
    left_scale: float
    right_scale: float

    def __post_init__(self) -> None:
        name = self.column.name
        if self.column.kind == "categorical":
            raise PriorError(f"Expected a numeric column, got the categorical {name!r}; use CategoricalMarginal.")
        if not 0.0 <= self.mode_unit <= 1.0:
            raise PriorError(f"Expected a mode in [0, 1] for {name!r}, got {self.mode_unit}; use Column.to_unit.")
        for field in ("left_scale", "right_scale"):
            scale = float(getattr(self, field))
            if not (math.isfinite(scale) and scale > 0.0):
                raise PriorError(f"Expected a positive, finite {field} for {name!r}, got {scale}.")
            object.__setattr__(self, field, min(max(scale, SCALE_LIMITS[0]), SCALE_LIMITS[1]))
        object.__setattr__(self, "mode_unit", float(self.mode_unit))

    @classmethod
    def from_interval(cls, column: Column, *, best: float, low: float, high: float, coverage: float) -> Self:
        """From a best guess and an interval in natural units.

        On each side `scale = distance / z` with `z = Phi^-1((1 + coverage) / 2)`, so that the parent (before
        truncation) puts exactly `coverage` of each side's mass, and hence of all, within `[low, high]`. Truncation
        only removes mass outside, so it can only raise the coverage. On a grid the interval is inclusive: distances
        run from the centre of the best value's cell to the outer edges of the cells of `low` and `high`.

        A side of no width (`best == low`) gets `DEFAULT_SCALE`, but never more than the other side's scale; at the
        end of the range the side has no mass and takes the other side's scale: a half normal.

        Args:
            column: A continuous or grid column.
            best: Most plausible value; clipped to the range, as are the others.
            low: Lower end of the interval.
            high: Upper end of the interval.
            coverage: Probability that the interval really holds the optimum's value, in (0, 1).

        Raises:
            PriorError: If a value is not finite, not `low <= best <= high`, or `coverage` not in (0, 1).
        """
        if not all(math.isfinite(value) for value in (best, low, high)) or not low <= best <= high:
            raise PriorError(
                f"Expected finite low <= best <= high for {column.name!r}, got {low}, {best}, {high}; order them."
            )
        if not 0.0 < coverage < 1.0:
            raise PriorError(f"Expected an interval coverage in (0, 1), got {coverage}.")
        if column.kind == "categorical":
            raise PriorError(f"Expected a numeric column, got the categorical {column.name!r}.")
        centre, lower, upper = _unit_interval(column, best, low, high)
        z = NormalDist().inv_cdf((1.0 + coverage) / 2.0)
        left, right = _side_scales(column, (centre, lower, upper), z)
        return cls(column, centre, left, right)

    @cached_property
    def split_normals(self) -> SplitNormals:
        """The density's parameters as tensors without dimensions."""
        values = torch.tensor([self.mode_unit, self.left_scale, self.right_scale], dtype=torch.float64, device="cpu")
        return SplitNormals(*values)

    def log_prob(self, u: Tensor) -> Tensor:
        """Log density relative to uniform, `batch_shape` -> `batch_shape`."""
        if self.column.kind == "continuous":
            return self.split_normals.log_density(u)
        if self.table is not None:
            return self.table[_cells.cell_index(self.column, u)]
        return self.split_normals.log_mean_density(*_cells.cell_edges(self.column, u))

    def icdf(self, v: Tensor) -> Tensor:
        """Probabilities to legal coordinates: exact cell masses on a grid, whatever its size."""
        u = self.split_normals.icdf(v)
        return u if self.column.kind == "continuous" else _cells.snapped(self.column, u)

    @property
    def mode(self) -> float:
        """The mode, on a grid the centre of its cell."""
        return float(self.column.snap(self.mode_unit))

    @cached_property
    def max_log_prob(self) -> float:
        """The largest log density; for a huge grid the continuous density's, a bound."""
        if self.table is not None:
            return float(self.table.max())
        return -float(self.split_normals.log_mass)

    @cached_property
    def table(self) -> Tensor | None:
        """Log density of every value of a small grid, `n_values`, else `None`."""
        if not _cells.has_table(self.column):
            return None
        return self.split_normals.log_mean_density(*_cells.all_cell_edges(self.column))

    def tempered(self, temperature: float) -> Self:
        """Scales times `sqrt(temperature)`: the parent to the power `1 / temperature`, truncated and normalised."""
        factor = math.sqrt(check_temperature(temperature))
        return type(self)(self.column, self.mode_unit, self.left_scale * factor, self.right_scale * factor)

    def widened(self, min_scale: float) -> Self:
        """Both scales at least `min_scale`."""
        return type(self)(
            self.column, self.mode_unit, max(self.left_scale, min_scale), max(self.right_scale, min_scale)
        )


@dataclass(frozen=True)
class CategoricalMarginal(Marginal):
    """A probability table over the choices of a categorical column.

    Args:
        column: A categorical column.
        probabilities: One non-negative number a choice, in the column's order; normalised. Probabilities below
            `MIN_PROBABILITY` are lifted to it.

    Raises:
        PriorError: If the column is numeric, the length is wrong, an entry is negative or not finite, or all are zero.
    """

    column: Column
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        name = self.column.name
        if self.column.kind != "categorical":
            raise PriorError(f"Expected a categorical column, got the numeric {name!r}; use SplitNormalMarginal.")
        p = np.asarray(self.probabilities, dtype=np.float64)
        if p.shape != (self.column.n_values,):
            raise PriorError(f"Expected {self.column.n_values} probabilities for {name!r}, got shape {p.shape}.")
        if not np.isfinite(p).all() or (p < 0.0).any() or not p.any():
            raise PriorError(
                f"Expected finite non-negative probabilities for {name!r}, not all zero, got {self.probabilities}."
            )
        p = p / p.max()  # first, so that the sum cannot overflow
        p = np.maximum(p / p.sum(), MIN_PROBABILITY)
        object.__setattr__(self, "probabilities", tuple((p / p.sum()).tolist()))

    @cached_property
    def table(self) -> Tensor:
        """Log density of every choice relative to uniform, `log(p * c)`, `n_values`."""
        p = torch.tensor(self.probabilities, dtype=torch.float64, device="cpu")
        return torch.log(p) + math.log(len(self.probabilities))

    def log_prob(self, u: Tensor) -> Tensor:
        """Log density relative to uniform of choice indices, `batch_shape` -> `batch_shape`."""
        return self.table[_cells.cell_index(self.column, u)]

    def icdf(self, v: Tensor) -> Tensor:
        """Probabilities to choice indices."""
        cumulative = torch.tensor(self.probabilities, dtype=torch.float64, device="cpu").cumsum(0)[:-1]
        return torch.searchsorted(cumulative, v.contiguous(), right=True).to(torch.float64)

    @property
    def mode(self) -> float:
        """Index of the most probable choice."""
        return float(np.argmax(self.probabilities))

    @property
    def max_log_prob(self) -> float:
        """The largest log density."""
        return float(self.table.max())

    def tempered(self, temperature: float) -> Self:
        """Probabilities to the power `1 / temperature`, normalised."""
        p = torch.tensor(self.probabilities, dtype=torch.float64, device="cpu")
        log_p = torch.log(p) / check_temperature(temperature)
        # Already normalised at temperature 1: softmax would only add rounding.
        return self if temperature == 1.0 else type(self)(self.column, tuple(torch.softmax(log_p, 0).tolist()))

    def widened(self, min_scale: float) -> Self:
        """A share of `min_scale`, at most 1, spread evenly over the choices."""
        share = min(max(min_scale, 0.0), 1.0)
        return type(self)(
            self.column, tuple((1.0 - share) * p + share / len(self.probabilities) for p in self.probabilities)
        )


def check_temperature(temperature: float) -> float:
    """Check a temperature.

    Raises:
        PriorError: If it is not positive and finite.
    """
    if not (math.isfinite(temperature) and temperature > 0.0):
        raise PriorError(
            f"Expected a temperature > 0 (1 changes nothing, larger ones flatten), got {temperature}; give a number."
        )
    return float(temperature)


def _unit_interval(column: Column, best: float, low: float, high: float) -> tuple[float, float, float]:
    """Mode and interval ends as coordinates; on a grid the centre of a cell and the outer edges of cells."""
    units: Sequence[float] = [float(column.to_unit(value)) for value in (best, low, high)]
    if column.kind == "continuous":
        return units[0], units[1], units[2]
    cells = column.cell_index(np.asarray(units))
    lower, upper = column.cell_edges(cells)
    return float(column.cell_centre(cells[0])), float(lower[1]), float(upper[2])


def _side_scales(column: Column, interval: tuple[float, float, float], z: float) -> tuple[float, float]:
    """Scales below and above the mode, with the documented ones for sides of no width."""
    centre, lower, upper = interval
    half_cell = 0.0
    if column.kind == "grid":
        edges = column.cell_edges(column.cell_index(centre))
        half_cell = float(edges[1] - edges[0]) / 2
    # "No width" on a grid: the interval ends in the cell of the mode. Half of it is within rounding of the distance.
    left, right = ((d if d > half_cell * (1 + 1e-6) else 0.0) / z for d in (centre - lower, upper - centre))
    default = max(DEFAULT_SCALE, half_cell / z)
    if left == 0.0 and right == 0.0:
        return default, default
    if left == 0.0:
        left = right if centre == 0.0 else max(min(default, right), half_cell / z)
    if right == 0.0:
        right = left if centre == 1.0 else max(min(default, left), half_cell / z)
    return left, right
