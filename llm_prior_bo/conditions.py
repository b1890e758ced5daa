"""Conditional parameters: when a column counts, learned from which trials used it.

Optuna knows no conditions, only which parameters a trial asked for. Where the value of one categorical parameter
decides that without exception (a booster that has no trees asks for no tree depth), the surrogate must not see
differences in the columns that do not count: it would take a configuration that is known for an unexplored one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from botorch.models.transforms.input import InputTransform
from torch import Tensor

from llm_prior_bo.space import SearchSpace


@dataclass(frozen=True, slots=True)
class Condition:
    """A column that does not count for some choices of another one.

    Args:
        column: Index of the conditional column.
        parent: Index of the categorical column that decides.
        inactive: Choices of the parent, as indices, for which the column does not count.
    """

    column: int
    parent: int
    inactive: tuple[int, ...]


def infer_conditions(X: Tensor, active: Tensor, space: SearchSpace) -> tuple[Condition, ...]:
    """Find the columns whose use is decided by a categorical column.

    Choices that no trial has tried yet count as active. Of several explanations the one with the fewest choices is
    taken, then the first; more trials tell them apart.

    Args:
        X: Encoded points of the finished trials, `n x d`.
        active: Which parameters each trial asked for, `n x d` booleans.
        space: Their space.

    Returns:
        One condition for every column that some trials did not use and that a parent explains.
    """
    conditions = []
    for column in torch.nonzero(~active.all(dim=0)).flatten().tolist():
        explanations = [
            Condition(column, parent, inactive)
            for parent in space.categorical_dims
            if parent != column and (inactive := _inactive_choices(X[:, parent], active[:, column]))
        ]
        if explanations:
            conditions.append(min(explanations, key=lambda c: space.columns[c.parent].n_values or 0))
    return tuple(conditions)


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
            parent = X[..., condition.parent].round()
            inactive = torch.isin(parent, parent.new_tensor(condition.inactive))
            columns[condition.column] = columns[condition.column].masked_fill(inactive, self.neutral[condition.column])
        return torch.stack(columns, dim=-1)
