"""Conditional parameters: when a column counts, learned from which trials used it.

Optuna knows no conditions, only which parameters a trial asked for. Where the value of one parameter decides that
without exception (a booster that has no trees asks for no tree depth, a network of one layer for no width of the
second), the surrogate must not see differences in the columns that do not count: it would take a configuration that is
known for an unexplored one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from botorch.models.transforms.input import InputTransform
from torch import Tensor

from llm_prior_bo.space import SearchSpace

FEW_VALUES = 16
"""A numeric column with no more values is taken for one that decides about others as soon as a categorical one is."""

MAX_CHANCE = 0.05
"""How probable it may be that some numeric column separates the trials with and without a parameter by accident."""

TOLERANCE = 1e-9
"""Coordinates closer than this are equal."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A column that does not count for some values of another one.

    Args:
        column: Index of the conditional column.
        parent: Index of the column that decides.
        inactive: Choices of a categorical parent, as indices, for which the column does not count.
        interval: Ends of the coordinates of a numeric parent for which the column does not count, both included;
            `None` for a categorical one.
    """

    column: int
    parent: int
    inactive: tuple[int, ...] = ()
    interval: tuple[float, float] | None = None

    def holds(self, parent: Tensor) -> Tensor:
        """Where the column does not count.

        Args:
            parent: Coordinates of the parent, of any shape.

        Returns:
            Booleans of that shape.
        """
        if self.interval is None:
            return torch.isin(parent.round(), parent.new_tensor(self.inactive))
        low, high = self.interval
        return (parent >= low - TOLERANCE) & (parent <= high + TOLERANCE)


def infer_conditions(X: Tensor, active: Tensor, space: SearchSpace) -> tuple[Condition, ...]:
    """Find the columns whose use is decided by another column.

    A categorical column explains it where every choice goes with one of the two throughout. A numeric one does where
    the trials without lie on one side of those with; unless it has few values, as a number of layers has, there must be
    too many of them for an accident (`MAX_CHANCE`). Values that
    no trial has tried yet count as active. Of several explanations a categorical one goes first, then the one with the
    fewest values, then the first; more trials tell them apart. A column that no trial has used, and that nothing
    explains, does not count anywhere.

    Args:
        X: Encoded points of the finished trials, `n x d`.
        active: Which parameters each trial asked for, `n x d` booleans.
        space: Their space.

    Returns:
        One condition for every column that some trials did not use and that is explained.
    """
    conditions = []
    for column in torch.nonzero(~active.all(dim=0)).flatten().tolist():
        explanation = _by_choices(column, X, active, space) or _by_threshold(column, X, active, space)
        if explanation is None and not bool(active[:, column].any()):
            explanation = Condition(column, column, interval=(-math.inf, math.inf))
        if explanation is not None:
            conditions.append(explanation)
    return tuple(conditions)


def _by_choices(column: int, X: Tensor, active: Tensor, space: SearchSpace) -> Condition | None:
    explanations = [
        Condition(column, parent, inactive)
        for parent in space.categorical_dims
        if parent != column and (inactive := _inactive_choices(X[:, parent], active[:, column]))
    ]
    return min(explanations, key=lambda c: space.columns[c.parent].n_values or 0, default=None)


def _by_threshold(column: int, X: Tensor, active: Tensor, space: SearchSpace) -> Condition | None:
    """A numeric column that separates the trials with and without; not itself one that some trials lack."""
    used = active[:, column]
    if not bool(used.any()):
        return None
    sizes = {j: space.columns[j].n_values or math.inf for j in (*space.grid_dims, *space.continuous_dims)}
    parents = [j for j, size in sizes.items() if size > 1 and bool(active[:, j].all())]
    # Of all ways to choose the trials without, two leave them at one end of a column.
    if 2 * len(parents) > MAX_CHANCE * math.comb(len(used), int(used.sum())):
        parents = [j for j in parents if sizes[j] <= FEW_VALUES]
    explanations = [
        Condition(column, parent, interval=interval)
        for parent in parents
        if (interval := _inactive_interval(X[:, parent], used)) is not None
    ]
    return min(explanations, key=lambda c: sizes[c.parent], default=None)


def _inactive_interval(values: Tensor, used: Tensor) -> tuple[float, float] | None:
    """The end of a column's range that goes with "not used", `None` if the two are mixed."""
    with_use, without_use = values[used], values[~used]
    if without_use.max() < with_use.min() - TOLERANCE:
        return -math.inf, float(without_use.max())
    if without_use.min() > with_use.max() + TOLERANCE:
        return float(without_use.min()), math.inf
    return None


def _inactive_choices(choices: Tensor, used: Tensor) -> tuple[int, ...]:
    """The choices that go with "not used"; empty unless every choice goes with one of the two throughout."""
    with_use, without_use = set(choices[used].tolist()), set(choices[~used].tolist())
    return () if with_use & without_use else tuple(sorted(int(choice) for choice in without_use))


class NeutralInactive(InputTransform):
    """Sets columns that do not count to their neutral coordinate, in training points and candidates alike.

    Args:
        conditions: When which column does not count.
        neutral: The neutral coordinates, `d`.
    """

    def __init__(self, conditions: Sequence[Condition], neutral: Tensor) -> None:
        super().__init__()
        self.transform_on_train = True
        self.transform_on_eval = True
        self.transform_on_fantasize = True
        self.conditions = tuple(conditions)
        self.neutral = {condition.column: float(neutral[condition.column]) for condition in conditions}

    def transform(self, X: Tensor) -> Tensor:
        """Neutralise.

        Args:
            X: Encoded points, `batch_shape x n x d`.

        Returns:
            The same with inactive entries replaced, `batch_shape x n x d`; no gradient reaches these.
        """
        columns = list(X.unbind(dim=-1))
        for condition in self.conditions:
            inactive = condition.holds(X[..., condition.parent])
            columns[condition.column] = columns[condition.column].masked_fill(inactive, self.neutral[condition.column])
        return torch.stack(columns, dim=-1)
