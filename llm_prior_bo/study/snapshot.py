"""A study as it was when one of its trials started, in memory."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import optuna
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

if TYPE_CHECKING:
    from optuna import Study


def study_before(study: Study, trial: FrozenTrial) -> Study:
    """The trials that a worker saw when `trial` started, which is among them as a running one.

    Trials that ended afterwards are running ones, and those that started afterwards are waiting. What ended between
    the start of the trial and its suggestion, in another worker, is not known to have ended: the storage has no time of
    the suggestion.

    Args:
        study: The study, with the trial.
        trial: A trial that has started.
    """
    with _quiet():
        storage = InMemoryStorage()
        storage.create_new_study(study.directions, study.study_name)
        before = optuna.load_study(study_name=study.study_name, storage=storage)
    for other in study.get_trials(deepcopy=False)[: trial.number + 1]:
        before.add_trial(_as_of(other, trial))
    return before


def _as_of(other: FrozenTrial, trial: FrozenTrial) -> FrozenTrial:
    """A trial as it was when `trial` started."""
    assert trial.datetime_start is not None
    state = other.state
    if other.datetime_start is None or other.datetime_start > trial.datetime_start:
        state = TrialState.WAITING
    elif other.number == trial.number or (other.datetime_complete or trial.datetime_start) > trial.datetime_start:
        state = TrialState.RUNNING
    if state == other.state:
        return other
    then = copy.copy(other)
    then.state, then.values, then.datetime_complete = state, None, None
    if state == TrialState.WAITING:
        then.datetime_start = None
    return then


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's note that a study was created: the user has created none."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(verbosity, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)
