"""Trials of a study as training data of the surrogate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from torch import Tensor

from llm_prior_bo.errors import SearchSpaceError
from llm_prior_bo.space import FloatArray, SearchSpace
from llm_prior_bo.trial_records import read_suggestion

if TYPE_CHECKING:
    from optuna import Study


MAX_IN_VAIN = 30
"""How many of the latest failed and pruned trials are kept away from: with 150 a suggestion takes ten times as long."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What the surrogate learns from.

    Args:
        X: Encoded points of the finished trials, `n x d`.
        Y: Their objective values, all to be maximised, `n x m`; may hold infinities, never NaN.
        constraints: Their constraint values, feasible where `<= 0`, `n x c` with `c >= 0`.
        pending: Encoded points that are being evaluated, or lately failed or were pruned, `p x d`: places where a
            further evaluation teaches nothing yet.
        active: Which parameters each finished trial asked for, `n x d` booleans; all of them if `None`.
        numbers: Number of each finished trial in its study, `n`; empty if they come from elsewhere.

    Raises:
        SearchSpaceError: If the shapes do not fit each other.
    """

    X: Tensor
    Y: Tensor
    constraints: Tensor
    pending: Tensor
    active: Tensor | None = None
    numbers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        n, d = self.X.shape
        active_fits = self.active is None or self.active.shape == self.X.shape
        if len(self.Y) != n or len(self.constraints) != n or self.pending.shape[-1] != d or not active_fits:
            raise SearchSpaceError(
                f"Expected X `n x d`, Y `n x m`, constraints `n x c` and pending `p x d`, got {tuple(self.X.shape)}, "
                f"{tuple(self.Y.shape)}, {tuple(self.constraints.shape)} and {tuple(self.pending.shape)}; "
                "active, if given, as X."
            )

    @property
    def n(self) -> int:
        """Number of finished trials."""
        return len(self.X)

    @classmethod
    def from_study(cls, study: Study, space: SearchSpace, *, trial: FrozenTrial | None = None) -> TrainingData:
        """Collect the finished, running, failed and pruned trials of a study.

        A finished trial that lacks a parameter of `space` (a conditional one that was not active) gets the column's
        neutral coordinate; one with a value that is not legal in `space` is left out.

        Args:
            study: The study; a pruner's bracket view of one is fine.
            space: The space to encode in.
            trial: The trial a suggestion is wanted for; it is not pending itself.

        Returns:
            Double-precision tensors on the CPU.
        """
        own = trial.number if trial is not None else -1
        signs = np.array([-1.0 if d == StudyDirection.MINIMIZE else 1.0 for d in study.directions])
        finished, values, constraints, active, numbers = [], [], [], [], []
        running, in_vain = [], []
        for other in study.get_trials(deepcopy=False):
            point = None if other.number == own else encode_trial(other, space)
            if point is None:
                continue
            if other.state == TrialState.COMPLETE and other.values is not None:
                finished.append(point)
                values.append(signs * np.array(other.values))
                constraints.append(other.constraints)
                active.append(np.array([name in other.params for name in space.names]))
                numbers.append(other.number)
            elif other.state == TrialState.RUNNING:
                running.append(point)
            elif other.state in (TrialState.FAIL, TrialState.PRUNED):
                # Without them a trial that was pruned would be suggested again: nothing else has changed.
                in_vain.append(point)
        d, m = len(space), len(signs)
        return cls(
            X=_tensor(finished, d),
            Y=_tensor(values, m),
            constraints=torch.as_tensor(_constraint_table(constraints)),
            pending=_distinct(_tensor([*running, *in_vain[-MAX_IN_VAIN:]], d)),
            active=_tensor(active, d).bool(),
            numbers=tuple(numbers),
        )


def neutral_point(space: SearchSpace) -> FloatArray:
    """The coordinates that stand for "not active": the middle of numeric columns, the first choice of others, `d`."""
    return np.array([0.0 if column.kind == "categorical" else 0.5 for column in space.columns])


def encode_trial(trial: FrozenTrial, space: SearchSpace) -> FloatArray | None:
    """Encode the parameters of a trial, published ones included.

    Returns:
        A point, `d`, or `None` if the trial has none of the parameters or a value that is not legal in the space.
    """
    suggestion = read_suggestion(trial) if trial.state == TrialState.RUNNING else None
    params = {**(suggestion.params if suggestion else {}), **trial.params}
    if not any(name in params for name in space.names):
        return None
    point = neutral_point(space)
    for j, column in enumerate(space.columns):
        if column.name not in params:
            continue
        try:
            point[j] = column.encode(params[column.name])
        except (SearchSpaceError, OverflowError):  # a published number may be larger than any float
            return None
    return point


def _constraint_table(rows: Sequence[Mapping[str, float]]) -> FloatArray:
    """Constraints as `n x c`, one column a name; a trial that did not report one counts as infeasible there."""
    names = sorted({name for row in rows for name in row})
    return np.array([[row.get(name, math.inf) for name in names] for row in rows]).reshape(len(rows), len(names))


def _tensor(rows: Sequence[FloatArray], width: int) -> Tensor:
    return torch.as_tensor(np.array(rows, dtype=np.float64).reshape(len(rows), width))


def _distinct(X: Tensor) -> Tensor:
    return torch.unique(X, dim=0) if len(X) else X
