"""Optuna distributions and encoded columns: one parameter, one column.

Coordinates (the whole package computes in them):

* a **continuous** column lies in [0, 1], uniform there is what Optuna calls uniform (log where ``log=True``);
* a **grid** column (integers, stepped floats) lies in [0, 1] too. Every legal value owns a *cell*, padded by half a
  step as Optuna's GP sampler does, and its coordinate is the cell's centre. A cell's width is the value's uniform mass,
  so the cells of a log integer are unequal. A grid of more than `MAX_CELLS` values is a continuous column whose
  coordinates decode to the nearest legal value;
* a **categorical** column holds the index of the choice.

numpy and Optuna only; nothing here knows about densities or models.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from llm_prior_bo._cached_property import cached_property
from llm_prior_bo.errors import SearchSpaceError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
ColumnKind = Literal["continuous", "grid", "categorical"]

MAX_CELLS = 2**45
"""Grids of more values are laid out as continuous columns: double-precision coordinates in [0, 1] are 2^-53 apart, so
the edges of much narrower cells coincide, and from 2^63 values on an index does not fit into an int64 either."""


@dataclass(frozen=True, eq=False)
class Column:
    """One parameter as one column of the encoded space.

    Args:
        name: The parameter's name in the study.
        distribution: Its Optuna distribution.
    """

    name: str
    distribution: BaseDistribution

    def __post_init__(self) -> None:
        if not isinstance(self.distribution, FloatDistribution | IntDistribution | CategoricalDistribution):
            raise SearchSpaceError(
                f"Expected a FloatDistribution, IntDistribution or CategoricalDistribution for {self.name!r}, got "
                f"{self.distribution!r}; use optuna.distributions."
            )
        if isinstance(self.distribution, IntDistribution):
            try:
                float(self.distribution.low), float(self.distribution.high)
            except OverflowError:
                raise SearchSpaceError(
                    f"Expected bounds of {self.name!r} that a float can hold, got {self.distribution!r}; Optuna stores "
                    "values as floats."
                ) from None

    def __eq__(self, other: object) -> bool:
        """Equal name and distribution; choices are compared by what is stored of them (`_same_choice`)."""
        return isinstance(other, Column) and (self.name, self._key) == (other.name, other._key)

    def __hash__(self) -> int:
        """Of the text of the distribution: Optuna's own fails for choices that cannot be hashed."""
        return hash((self.name, self._key))

    @cached_property
    def _key(self) -> tuple[str, ...]:
        if isinstance(self.distribution, CategoricalDistribution):
            return self._choice_texts
        return (repr(self.distribution),)

    @cached_property
    def kind(self) -> ColumnKind:
        """How the column is laid out: "continuous", "grid" or "categorical"."""
        if isinstance(self.distribution, CategoricalDistribution):
            return "categorical"
        return "continuous" if self.n_values is None else "grid"

    @cached_property
    def log(self) -> bool:
        """Whether the column is logarithmic in the parameter."""
        return isinstance(self.distribution, FloatDistribution | IntDistribution) and self.distribution.log

    @cached_property
    def n_values(self) -> int | None:
        """Number of legal values (grid) or choices (categorical), `None` for a continuous column."""
        if isinstance(self.distribution, CategoricalDistribution):
            return len(self.distribution.choices)
        low, high = self._numeric.low, self._numeric.high
        if low == high or self._numeric.single():
            return 1
        if self._step is None:
            return None
        n = round((high - low) / self._step) + 1
        return n if n <= MAX_CELLS else None

    @cached_property
    def _range(self) -> tuple[float, float]:
        return float(self._numeric.low), float(self._numeric.high)

    @property
    def _numeric(self) -> FloatDistribution | IntDistribution:
        if isinstance(self.distribution, FloatDistribution | IntDistribution):
            return self.distribution
        raise SearchSpaceError(f"Expected a numeric column, got the categorical {self.name!r}; use its choices.")

    @cached_property
    def _step(self) -> float | None:
        return self._numeric.step

    @cached_property
    def _scale_range(self) -> tuple[float, float]:
        """The padded range on the column's own scale (logarithm taken where `log`)."""
        low, high = self._range
        padding = 0.0 if self._step is None else self._step / 2
        if self.kind == "grid" and not self.log and self._step is not None:
            # The last cell of the padded range ends where the number of cells says, not where `high` was rounded to.
            return low - padding, low - padding + (self.n_values or 1) * self._step
        low, high = low - padding, high + padding
        return (math.log(low), math.log(high)) if self.log else (low, high)

    @property
    def text(self) -> str:
        """The distribution as JSON; choices that JSON cannot hold are there as they are printed."""
        try:
            return distribution_to_json(self.distribution)
        except (TypeError, ValueError):
            return json.dumps({"name": type(self.distribution).__name__, "attributes": {"choices": self._key}})

    # Numeric columns ---------------------------------------------------------------------------------------------

    def to_unit(self, value: npt.ArrayLike) -> FloatArray:
        """Numeric natural values to coordinates in [0, 1]: continuous, monotone, clipped; grids are not snapped.

        Raises:
            SearchSpaceError: If the column is categorical.
        """
        low, high = self._scale_range
        if not high > low:  # a single legal value, which owns the whole interval
            return np.full(np.shape(value), 0.5)
        v = np.asarray(value, dtype=np.float64)
        if self.log:
            v = np.log(np.maximum(v, np.finfo(np.float64).tiny))
        # Halves first: high - low may overflow for ranges as wide as the floats themselves.
        return np.clip((v / 2 - low / 2) / (high / 2 - low / 2), 0.0, 1.0)

    def from_unit(self, u: npt.ArrayLike) -> FloatArray:
        """Coordinates to natural values within the parameter's range; grids are not snapped. Inverse of `to_unit`."""
        low, high = self._scale_range
        u = np.clip(np.asarray(u, dtype=np.float64), 0.0, 1.0)
        v = low * (1.0 - u) + high * u  # shape of u; this form cannot overflow
        return np.clip(np.exp(v) if self.log else v, *self._range)

    def cell_index(self, u: npt.ArrayLike) -> IntArray:
        """Index of the cell (grid) or choice (categorical) that a coordinate belongs to."""
        last = self._n_cells - 1
        u = np.asarray(u, dtype=np.float64)
        if self.kind == "categorical":
            return _integers(np.clip(np.rint(u), 0, last))
        if last == 0:
            return np.zeros(u.shape, dtype=np.int64)
        if self.log:
            return _integers(np.clip(np.rint(self.from_unit(u)) - self._range[0], 0, last))
        return _integers(np.clip(np.floor(u * (last + 1)), 0, last))

    def cell_edges(self, index: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Lower and upper edge of grid cells; together the cells partition [0, 1]."""
        i = np.asarray(index, dtype=np.float64)
        n = self._n_cells
        if n == 1 or not self.log:
            return i / n, (i + 1) / n
        low, high = self._scale_range
        value = self._range[0] + i
        lower = (np.log(value - 0.5) - low) / (high - low)
        upper = (np.log(value + 0.5) - low) / (high - low)
        return np.where(i <= 0, 0.0, lower), np.where(i >= n - 1, 1.0, upper)

    def cell_centre(self, index: npt.ArrayLike) -> FloatArray:
        """Legal coordinates of grid cells."""
        lower, upper = self.cell_edges(index)
        return (lower + upper) / 2

    @property
    def _n_cells(self) -> int:
        if self.n_values is None:
            raise SearchSpaceError(f"Expected a grid or categorical column, got the continuous {self.name!r}.")
        return self.n_values

    # All columns -------------------------------------------------------------------------------------------------

    def value(self, index: int) -> Any:
        """The native value of a grid cell, or the choice, with its Python type."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self.distribution.choices[index]
        if isinstance(self.distribution, IntDistribution):
            return int(self.distribution.low + index * self.distribution.step)
        low, high = self._range
        # Same order of operations as Optuna's own rounding, so that the floats are equal to the bit.
        return float(min(index * (self._step or 0.0) + low, high))

    def encode(self, value: Any) -> float:
        """One legal native value to its coordinate.

        Raises:
            SearchSpaceError: If the value is not legal for the distribution.
        """
        if isinstance(self.distribution, CategoricalDistribution):
            return float(self._choice_index(value))
        if not self.contains(value):
            raise SearchSpaceError(
                f"Expected a value of {self.name!r} within {self.distribution!r}, got {value!r}; give a legal value."
            )
        if self.kind == "continuous":
            return float(self.to_unit(value))
        if self._n_cells == 1:
            return 0.5
        index = round((value - self._numeric.low) / (self._step or 1.0))
        return float(self.cell_centre(min(max(index, 0), self._n_cells - 1)))

    def decode(self, u: float) -> Any:
        """One coordinate to the legal native value whose cell it lies in."""
        if self.kind != "continuous":
            value = self.value(int(self.cell_index(u)))
            is_stored = type(value) is not int or int(float(value)) == value
            return value if is_stored or self.kind == "categorical" else self._nearest_stored(value)
        value = float(self.from_unit(u))
        return value if self._step is None else self._nearest_stored(value)

    def _nearest_stored(self, value: float) -> int | float:
        """The legal value that is nearest to a number and that a float can hold, of a grid of very large numbers.

        Optuna stores integers as floats, and compares what it has stored with the bounds: 2^63 - 1 is stored as 2^63,
        which is out of a range that ends at 2^63 - 1. An integer of b bits that a float holds is a multiple of
        2^(b - 53), so the multiples of ever larger powers of two are tried.
        """
        distribution = self._numeric
        if isinstance(distribution, FloatDistribution):
            return float(self.value(round((value - distribution.low) / (self._step or 1.0))))
        low, step = distribution.low, distribution.step
        last = (distribution.high - low) // step
        index = _nearest_multiple(round(value) - low, step)
        n_bits = max(abs(low), abs(distribution.high)).bit_length()
        for power in range(max(n_bits - 51, 1)):  # two more than 53 bits need, for sums that carry
            divisor = math.gcd(step, 2**power)
            if low % divisor:
                break  # no value of the grid is a multiple of 2^power
            # low + step i = 0 modulo 2^power holds for one index in every `period`.
            period = 2**power // divisor
            first = int(-(low // divisor) * pow(step // divisor, -1, period) % period)
            nearest = _nearest_multiple(index - first, period)
            for multiple in (nearest, nearest - 1, nearest + 1):
                i = first + multiple * period
                if 0 <= i <= last and int(float(low + i * step)) == low + i * step:
                    return int(low + i * step)
        return int(self.value(min(max(index, 0), last)))

    def snap(self, u: npt.ArrayLike) -> FloatArray:
        """Coordinates to the nearest legal coordinates."""
        if self.kind == "continuous":
            u = np.clip(np.asarray(u, dtype=np.float64), 0.0, 1.0)
            # The cells of the smallest integers are wide on a log scale, however many integers there are.
            return self.to_unit(np.rint(self.from_unit(u))) if self.log and self._step is not None else u
        index = self.cell_index(u)
        return index.astype(np.float64) if self.kind == "categorical" else self.cell_centre(index)

    def contains(self, value: Any) -> bool:
        """Whether a native value is legal, as far as the floats that Optuna stores can tell."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self._find_choice(value) is not None
        if not self.is_in_range(value):
            return False
        if self._step is None:
            return True
        steps: float = (value - self._numeric.low) / self._step
        if isinstance(self.distribution, FloatDistribution):
            return abs(steps - round(steps)) < STEP_TOLERANCE
        # Beyond 2^53 neighbouring floats are more than 1 apart: what is stored of a multiple need not be one.
        return bool(abs(value) > 2**53 or float(value - self._numeric.low) % self._step == 0)

    def is_in_range(self, value: Any) -> bool:
        """Whether a value is a number between the bounds of a numeric column, be it on the grid or not."""
        if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
            return False
        low, high = self._range
        try:
            return bool(low <= float(value) <= high)  # NaN is not
        except OverflowError:
            return False

    def nearest(self, value: float) -> Any:
        """The legal value of a numeric column that is nearest to a number.

        Raises:
            SearchSpaceError: If the column is categorical.
        """
        return self.decode(float(self.to_unit(value)))

    def _choice_index(self, value: Any) -> int:
        index = self._find_choice(value)
        if index is None:
            raise SearchSpaceError(f"Expected one of {list(self._choices)} for {self.name!r}, got {value!r}.")
        return index

    def _find_choice(self, value: Any) -> int | None:
        """The index of a choice: of the same type and equal, else equal, else equal in what a storage gives back."""
        choices = self._choices
        equal = [index for index, choice in enumerate(choices) if _same_choice(value, choice)]
        for index in equal:
            if type(choices[index]) is type(value):  # 1, 1.0 and True are different choices
                return index
        if equal:
            return equal[0]
        if all(isinstance(choice, _PLAIN) for choice in choices):
            return None
        stored = _stored_text(value)
        found = [index for index, text in enumerate(self._choice_texts) if text == stored]
        return found[0] if len(found) == 1 else None

    @cached_property
    def _choice_texts(self) -> tuple[str, ...]:
        return tuple(_stored_text(choice) for choice in self._choices)

    @property
    def _choices(self) -> tuple[Any, ...]:
        assert isinstance(self.distribution, CategoricalDistribution)
        return self.distribution.choices


def _nearest_multiple(value: int, step: int) -> int:
    """How many steps lead next to a value, in whole numbers of any size."""
    return (2 * value + step) // (2 * step)


def _integers(values: npt.ArrayLike) -> IntArray:
    return np.asarray(values).astype(np.int64)


_PLAIN = (type(None), bool, int, float, str)
"""Types of choices that every storage gives back as they are."""

STEP_TOLERANCE = 1e-8
"""How far a stepped float may be from a multiple of its step, in steps: what Optuna allows."""


def _same_choice(value: Any, choice: Any) -> bool:
    if value is choice:
        return True
    try:
        both_nan = isinstance(value, float) and isinstance(choice, float) and math.isnan(value) and math.isnan(choice)
        return both_nan or bool(value == choice)
    except Exception:  # the comparison of a user's own class, or of arrays
        return False


def _stored_text(choice: Any) -> str:
    """A choice as a storage holds it: JSON, in which tuples are lists and keys are text; else how it is printed."""
    try:
        return json.dumps(choice, default=repr)
    except (TypeError, ValueError, RecursionError):
        return repr(choice)


def is_same_parameter(first: BaseDistribution, second: BaseDistribution) -> bool:
    """Whether two distributions are of one kind and scale, as Optuna wants of those that have one name.

    Ranges and steps may differ. Choices are compared as a storage gives them back, where tuples have become lists.
    """
    if type(first) is not type(second):
        return False
    if isinstance(first, CategoricalDistribution):
        return Column("", first) == Column("", second)
    return bool(getattr(first, "log", False) == getattr(second, "log", False))


class SearchSpace:
    """Parameters with their distributions, in a fixed order, and the encoded space they span.

    Args:
        distributions: Optuna distribution of every parameter; the order is kept.

    Raises:
        SearchSpaceError: If there is no parameter, or a distribution is of an unknown kind.

    Example:
        >>> space = SearchSpace({"lr": FloatDistribution(1e-5, 1e-1, log=True), "depth": IntDistribution(1, 4)})
        >>> space.encode([{"lr": 1e-3, "depth": 2}])
        array([[0.5  , 0.375]])
        >>> space.decode([0.5, 0.3])["depth"]
        2
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution]) -> None:
        if not distributions:
            raise SearchSpaceError(
                "Expected at least one parameter, got an empty search space; pass {name: optuna distribution}."
            )
        self.columns: tuple[Column, ...] = tuple(Column(name, dist) for name, dist in distributions.items())

    @property
    def neutral_point(self) -> FloatArray:
        """The coordinates that stand for "not active", `d`: the middle of numeric columns, else the first choice."""
        return np.array([0.0 if column.kind == "categorical" else 0.5 for column in self.columns])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Parameter names in column order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Distribution of every parameter, in column order."""
        return {column.name: column.distribution for column in self.columns}

    @cached_property
    def bounds(self) -> FloatArray:
        """Lower and upper bounds of the encoded columns, `2 x d`."""
        upper = [float((c.n_values or 1) - 1) if c.kind == "categorical" else 1.0 for c in self.columns]
        return np.array([np.zeros(len(upper)), upper])

    @cached_property
    def continuous_dims(self) -> tuple[int, ...]:
        """Indices of the continuous columns."""
        return self._dims("continuous")

    @cached_property
    def grid_dims(self) -> tuple[int, ...]:
        """Indices of the grid columns."""
        return self._dims("grid")

    @cached_property
    def categorical_dims(self) -> tuple[int, ...]:
        """Indices of the categorical columns."""
        return self._dims("categorical")

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the parameters and their distributions, whatever their order."""
        canonical = sorted((column.name, column.text) for column in self.columns)
        return hashlib.sha256(json.dumps(canonical).encode()).hexdigest()[:16]

    def column(self, name: str) -> Column:
        """The column of a parameter.

        Raises:
            SearchSpaceError: If the space has no such parameter.
        """
        return self.columns[self.index(name)]

    def index(self, name: str) -> int:
        """The position of a parameter's column.

        Raises:
            SearchSpaceError: If the space has no such parameter.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise SearchSpaceError(f"Expected one of {list(self.names)}, got {name!r}.") from None

    def encode(self, params: Iterable[Mapping[str, Any]]) -> FloatArray:
        """Encode configurations in natural units.

        Args:
            params: Dicts with a legal value for every parameter; further keys are ignored.

        Returns:
            Encoded points, `n x d`.

        Raises:
            SearchSpaceError: If a parameter is missing or a value is not legal.
        """
        if isinstance(params, Mapping):
            raise SearchSpaceError("Expected a list of dicts, got one dict; write encode([params]).")
        rows = [self._encode_row(row) for row in params]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self))

    def _encode_row(self, row: Mapping[str, Any]) -> list[float]:
        missing = [name for name in self.names if name not in row]
        if missing:
            raise SearchSpaceError(f"Expected values for {list(self.names)}, got none for {missing}.")
        return [column.encode(row[column.name]) for column in self.columns]

    def decode(self, x: Sequence[float] | npt.ArrayLike) -> dict[str, Any]:
        """Decode one encoded point.

        Args:
            x: A point, `d` (array, tensor on the CPU, or list); anything outside a column's bounds is clipped.

        Returns:
            Native Python values that are legal for the distributions. `decode(encode([p])[0]) == p` to the bit for
            integers, stepped floats and choices, to rounding (relative 1e-12) for continuous parameters.

        Raises:
            SearchSpaceError: If the point has another length or is not finite.
        """
        point = np.asarray(x, dtype=np.float64)
        if point.shape != (len(self),):
            raise SearchSpaceError(f"Expected one point of shape ({len(self)},), got {point.shape}; decode row by row.")
        if not np.isfinite(point).all():
            raise SearchSpaceError(f"Expected finite coordinates, got {point.tolist()}.")
        return {column.name: column.decode(float(u)) for column, u in zip(self.columns, point, strict=True)}

    def snap(self, X: npt.ArrayLike) -> FloatArray:
        """Move every entry to the legal coordinate whose cell it lies in.

        Args:
            X: Encoded points, `batch_shape x d`.

        Returns:
            Legal encoded points, `batch_shape x d`; continuous entries are clipped to [0, 1].
        """
        X = np.asarray(X, dtype=np.float64)
        return np.stack([column.snap(X[..., j]) for j, column in enumerate(self.columns)], axis=-1)

    def displaced(self, X: npt.ArrayLike, steps: npt.ArrayLike) -> FloatArray:
        """Points moved by steps: numeric columns to the legal coordinate where they end, categorical ones not at all.

        Args:
            X: Encoded points, `batch_shape x d`.
            steps: What to add, in encoded coordinates, `batch_shape x d`; entries of categorical columns are ignored.

        Returns:
            Legal encoded points, `batch_shape x d`; steps beyond the bounds end there.
        """
        moves = np.array(steps, dtype=np.float64)  # a copy
        moves[..., list(self.categorical_dims)] = 0.0
        return self.snap(np.clip(np.asarray(X, dtype=np.float64) + moves, 0.0, self.bounds[1]))

    def _dims(self, kind: ColumnKind) -> tuple[int, ...]:
        return tuple(j for j, column in enumerate(self.columns) if column.kind == kind)

    def __len__(self) -> int:
        return len(self.columns)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SearchSpace) and self.columns == other.columns

    def __hash__(self) -> int:
        return hash(self.columns)

    def __repr__(self) -> str:
        return f"SearchSpace({self.distributions!r})"
