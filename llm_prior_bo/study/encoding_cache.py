"""Trials as encoded points; what a finished trial encodes to is remembered.

A study only grows: all but the newest trials were encoded for the suggestion before. What is remembered is a function
of the trial alone, so it may be forgotten at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from llm_prior_bo.errors import SearchSpaceError
from llm_prior_bo.space import Column, FloatArray, SearchSpace
from llm_prior_bo.study.locks import ForkSafeLock
from llm_prior_bo.study.storage import PerStudy
from llm_prior_bo.study.trial_records import read_suggestion

if TYPE_CHECKING:
    from optuna import Study

MAX_REMEMBERED = 4
"""Spaces that are remembered for one study, and studies for one storage: those used last."""

_Remembered = dict[int, tuple[datetime | None, FloatArray | None]]
"""By trial number: when the trial finished, which tells one of another study from it, and its point."""

_memory: PerStudy[dict[SearchSpace, _Remembered]] = PerStudy(dict, max_studies=MAX_REMEMBERED)
_lock = ForkSafeLock()


def encode_trials(study: Study, space: SearchSpace, trials: Sequence[FrozenTrial]) -> list[FloatArray | None]:
    """Encode trials of a study, the finished ones at most once.

    Args:
        study: The study.
        space: The space to encode in.
        trials: Some of the study's trials.

    Returns:
        For every trial what `encode_trial` gives. The arrays are read-only.
    """
    with _lock:
        known = _remembered(study, space)
    new = [trial for trial in trials if trial.state.is_finished() and not _is_known(trial, known)]
    for trial, point in zip(new, _encode_all(new, space), strict=True):
        known[trial.number] = (trial.datetime_complete, point)
    return [known[trial.number][1] if trial.state.is_finished() else encode_trial(trial, space) for trial in trials]


def encode_trial(trial: FrozenTrial, space: SearchSpace) -> FloatArray | None:
    """Encode the parameters of a trial, published ones included.

    Returns:
        A point, `d`, or `None` if the trial has none of the parameters or a value that is not legal in the space.
    """
    return _encode_all([trial], space)[0]


def _remembered(study: Study, space: SearchSpace) -> _Remembered:
    """What is remembered of a study in a space; the space that was not used for longest is forgotten."""
    by_space = _memory(study)
    by_space[space] = by_space.pop(space, {})
    while len(by_space) > MAX_REMEMBERED:
        del by_space[next(iter(by_space))]
    return by_space[space]


def _is_known(trial: FrozenTrial, known: _Remembered) -> bool:
    entry = known.get(trial.number)
    return entry is not None and entry[0] == trial.datetime_complete


def _encode_all(trials: Sequence[FrozenTrial], space: SearchSpace) -> list[FloatArray | None]:
    """Encode column by column, which for many trials is several times as fast as trial by trial."""
    params = [_known_params(trial) for trial in trials]
    points = np.tile(space.neutral_point, (len(trials), 1))  # trials x d
    legal = np.array([not row.keys().isdisjoint(space.names) for row in params], dtype=bool)
    for j, column in enumerate(space.columns):
        present = np.array([i for i, row in enumerate(params) if column.name in row], dtype=np.int64)
        coordinates = _encode_column(column, [params[i][column.name] for i in present])
        points[present, j] = coordinates
        legal[present] &= np.isfinite(coordinates)
    points.flags.writeable = False
    # Copies, so that one remembered point does not keep the array of all in memory.
    return [point.copy() if ok else None for point, ok in zip(points, legal, strict=True)]


def _known_params(trial: FrozenTrial) -> Mapping[str, Any]:
    suggestion = read_suggestion(trial) if trial.state in (TrialState.RUNNING, TrialState.FAIL) else None
    return {**suggestion.params, **trial.params} if suggestion else trial.params


def _encode_column(column: Column, values: Sequence[Any]) -> FloatArray:
    """Coordinates of native values; NaN for those that are not legal."""
    if column.kind == "continuous":
        low, high = column.distribution.low, column.distribution.high  # type: ignore[attr-defined]
        if all(type(value) is float and low <= value <= high for value in values):
            return column.to_unit(np.array(values, dtype=np.float64))
    coordinates = np.empty(len(values))
    known: dict[tuple[type, Any], float] = {}  # grids have few different values, each of which takes a while
    for i, value in enumerate(values):
        if type(value) not in (int, float):  # what was published may be anything, unhashable things as well
            coordinates[i] = _encode_value(column, value)
            continue
        key = (type(value), value)
        if key not in known:
            known[key] = _encode_value(column, value)
        coordinates[i] = known[key]
    return coordinates


def _encode_value(column: Column, value: Any) -> float:
    """The coordinate of a value; of one between two values of a grid its own place, for the grid may have moved."""
    try:
        return column.encode(value)
    except (SearchSpaceError, OverflowError):  # a published number may be larger than any float
        is_between = type(value) in (int, float) and column.kind == "grid" and column.is_in_range(value)
        return float(column.to_unit(value)) if is_between else float("nan")
