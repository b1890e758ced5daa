"""Trials of a study as training data of the surrogate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from torch import Tensor

from llm_prior_bo.models.data import MAX_UNSUCCESSFUL_PENDING, TrainingData
from llm_prior_bo.models.subset import even_rows, merit_of, representative_rows
from llm_prior_bo.space import FloatArray, SearchSpace
from llm_prior_bo.study.encoding_cache import encode_trials
from llm_prior_bo.study.storage import retried_numbers, trial_constraints
from llm_prior_bo.study.trial_records import failed_by_itself

if TYPE_CHECKING:
    from optuna import Study


PrunedTrials = Literal["avoid", "last_value"]
"""What pruned trials are to the surrogate: places not to go again, or observations (`training_data_of`)."""

MAX_TRIALS = 1000
"""The most finished trials that a surrogate is given."""


def training_data_of(
    study: Study,
    space: SearchSpace,
    *,
    trial: FrozenTrial | None = None,
    failed_as_pending: bool = True,
    use_pruned: PrunedTrials = "avoid",
    max_trials: int = MAX_TRIALS,
) -> TrainingData:
    """Collect the finished, running, failed and pruned trials of a study.

    A finished trial that lacks a parameter of `space` (a conditional one that was not active) gets the column's
    neutral coordinate; one with a value that is not legal in `space` is left out. Of a long study a representative
    part is taken (`subset.representative_rows`).

    Args:
        study: The study; a pruner's bracket view of one is fine.
        space: The space to encode in.
        trial: The trial a suggestion is wanted for; it is not pending itself.
        failed_as_pending: Whether all trials in `failed` are pending as well, or only those after the latest finished
            one.
        use_pruned: "avoid": pruned trials are places not to go again. "last_value": those with a last intermediate
            value count as finished with that value, but as no better than the median of the finished ones: it was
            reported early, and they were stopped because others were ahead.
        max_trials: The most finished trials to take, and the most failed and pruned ones.

    Returns:
        Double-precision tensors on the CPU.
    """
    own = trial.number if trial is not None else -1
    signs = np.array([-1.0 if d == StudyDirection.MINIMIZE else 1.0 for d in study.directions])
    finished: list[tuple[FrozenTrial, FloatArray]] = []
    running, unsuccessful, failed, pruned = [], [], [], []
    trials = study.get_trials(deepcopy=False)
    retried = retried_numbers(trials)
    known = _values(trials, signs, use_pruned)
    latest = max(known, default=-1)
    for other, point in zip(trials, encode_trials(study, space, trials), strict=True):
        if point is None or other.number == own:
            continue
        if other.number in known:
            finished.append((other, point))
        elif other.state == TrialState.RUNNING:
            running.append(point)
        elif other.state in (TrialState.FAIL, TrialState.PRUNED):
            is_failure = failed_by_itself(other) and other.number not in retried
            if is_failure:
                failed.append(point)
            elif other.state == TrialState.PRUNED:
                pruned.append(point)
            # Without them a trial without a value would be suggested again: nothing else has changed.
            if failed_as_pending or not is_failure or other.number > latest:
                unsuccessful.append(point)
    d, m = len(space), len(signs)
    Y = np.array([known[other.number] for other, _ in finished]).reshape(len(finished), m)
    constraints = _constraint_table([trial_constraints(other) for other, _ in finished])
    rows = representative_rows(merit_of(Y, np.maximum(constraints, 0.0).sum(axis=1)), max_trials)
    kept = [finished[i] for i in rows]
    # The same share of the others, so that the rate of failures stays what it is.
    share = len(kept) / len(finished) if finished else 1.0
    return TrainingData(
        X=_tensor([point for _, point in kept], d),
        Y=torch.as_tensor(Y[rows]),
        constraints=torch.as_tensor(constraints[rows]),
        pending=_distinct(_tensor([*running, *unsuccessful[-MAX_UNSUCCESSFUL_PENDING:]], d)),
        active=_tensor([np.array([name in other.params for name in space.names]) for other, _ in kept], d).bool(),
        numbers=tuple(other.number for other, _ in kept),
        failed=_tensor(_thinned(failed, share, max_trials), d),
        pruned=_tensor(_thinned(pruned, share, max_trials), d),
    )


def _values(trials: Sequence[FrozenTrial], signs: FloatArray, use_pruned: PrunedTrials) -> dict[int, FloatArray]:
    """Values to be maximised of the trials that have one, by trial number."""
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE and trial.values is not None]
    table = signs * np.array([trial.values for trial in finished]).reshape(len(finished), len(signs))
    values = dict(zip([trial.number for trial in finished], table, strict=True))
    if use_pruned == "avoid" or not finished or len(signs) > 1:
        return values
    middle = np.median([value[0] for value in values.values()])
    always = set.intersection(*(set(trial_constraints(trial)) for trial in finished))
    for trial in trials:
        last = trial.intermediate_values.get(-1 if trial.last_step is None else trial.last_step, math.nan)
        # One that was stopped before it set a constraint that every finished trial sets would count as feasible.
        if trial.state == TrialState.PRUNED and not math.isnan(last) and always <= trial_constraints(trial).keys():
            values[trial.number] = np.minimum(signs * last, middle)
    return values


def _constraint_table(rows: Sequence[Mapping[str, float]]) -> FloatArray:
    """Constraints as `n x c`, one column a name; one that a trial has not set is satisfied, as in Optuna.

    By how much nobody knows: by as much as the values that were set usually are away from the bound.
    """
    names = sorted({name for row in rows for name in row})
    table = np.array([[row.get(name, math.nan) for name in names] for row in rows]).reshape(len(rows), len(names))
    for column in table.T:
        sizes = np.abs(column[np.isfinite(column)])
        column[np.isnan(column)] = -np.median(sizes) if sizes.any() else -1.0
    return table


def _thinned(points: Sequence[FloatArray], share: float, limit: int) -> list[FloatArray]:
    return [points[i] for i in even_rows(len(points), min(limit, math.ceil(share * len(points))))]


def _tensor(rows: Sequence[FloatArray], width: int) -> Tensor:
    return torch.as_tensor(np.array(rows, dtype=np.float64).reshape(len(rows), width))


def _distinct(X: Tensor) -> Tensor:
    return torch.unique(X, dim=0) if len(X) else X
