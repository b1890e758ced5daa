"""The one place where Optuna's private names are used.

Optuna 5 has no public way to write attributes for a sampler, and the `study` that one is given under a pruner with
brackets shows the trials of its bracket only and has no attributes at all. So storages are called directly, as Optuna's
own samplers do. A change there is a change of this file; `tests/study/test_storage.py` has a test for each name.
"""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from optuna.storages import BaseStorage
from optuna.storages._heartbeat import is_heartbeat_enabled
from optuna.trial import FrozenTrial, TrialState

from llm_prior_bo.study.locks import ForkSafeLock

if TYPE_CHECKING:
    from optuna import Study

METRIC_NAMES_KEY = "study:metric_names"
"""System attribute in which Optuna's `Study.set_metric_names` keeps the names."""

RETRY_HISTORY_KEY = "retry_history"
"""System attribute in which Optuna keeps the numbers of the trials that a queued one is a retry of."""

FIXED_PARAMS_KEY = "fixed_params"
"""System attribute in which Optuna's `Study.enqueue_trial` keeps the values that a trial will be given."""

_Value = TypeVar("_Value")


def all_trials(study: Study, *, states: tuple[TrialState, ...] | None = None) -> list[FrozenTrial]:
    """The trials of a study, of all of a pruner's brackets; not copies.

    Args:
        study: The study, or what a pruner with brackets passes for it.
        states: Only trials in these states; `None`: all.
    """
    return study._storage.get_all_trials(study._study_id, deepcopy=False, states=states)


def reload_trial(study: Study, trial: FrozenTrial) -> FrozenTrial:
    """A trial as it is in the storage now."""
    return study._storage.get_trial(trial_id(trial))


def trial_id(trial: FrozenTrial) -> int:
    """The identifier of a trial in its storage, which other studies' trials do not have."""
    return trial._trial_id


def set_trial_attribute(study: Study, trial: FrozenTrial, key: str, value: Any) -> None:
    """Set a system attribute of a trial that is not finished; read it from `FrozenTrial.system_attrs`."""
    study._storage.set_trial_system_attr(trial_id(trial), key, value)


def set_trial_user_attribute(study: Study, trial: FrozenTrial, key: str, value: Any) -> None:
    """Set a user attribute of a trial that is not finished, in the storage and in the object that its objective has."""
    study._storage.set_trial_user_attr(trial_id(trial), key, value)
    trial.set_user_attr(key, value)  # as `optuna.Trial.set_user_attr` does


def enqueued_names(trial: FrozenTrial) -> frozenset[str]:
    """Names of the parameters whose values were given with `Study.enqueue_trial`, whatever is suggested."""
    fixed = trial.system_attrs.get(FIXED_PARAMS_KEY)
    return frozenset(fixed) if isinstance(fixed, Mapping) else frozenset()


def fail_trial(study: Study, trial: FrozenTrial) -> None:
    """End a trial that will never run as failed."""
    study._storage.set_trial_state_values(trial_id(trial), state=TrialState.FAIL)


def study_attributes(study: Study) -> Mapping[str, Any]:
    """The system attributes of a study; not a copy."""
    return study._storage.get_study_system_attrs(study._study_id)


def set_study_attribute(study: Study, key: str, value: Any) -> None:
    """Set a system attribute of a study."""
    study._storage.set_study_system_attr(study._study_id, key, value)


def study_user_attributes(study: Study) -> Mapping[str, Any]:
    """What the user has set with `study.set_user_attr`; not a copy."""
    return study._storage.get_study_user_attrs(study._study_id)


def metric_names(study: Study) -> tuple[str, ...]:
    """What the user calls the objectives; empty if there are no names."""
    names = study_attributes(study).get(METRIC_NAMES_KEY)
    return tuple(names) if isinstance(names, list | tuple) else ()


def retried_numbers(trials: Iterable[FrozenTrial]) -> frozenset[int]:
    """Numbers of the trials that Optuna queued anew because their workers had died."""
    # Optuna's `RetryHeartbeatStaleTrialCallback.retry_history` reads the same, with a warning that it is experimental.
    histories = (trial.system_attrs.get(RETRY_HISTORY_KEY) for trial in trials)
    known = [history for history in histories if isinstance(history, list | tuple)]  # attributes are untrusted input
    return frozenset(number for history in known for number in history if isinstance(number, int))


def trial_constraints(trial: FrozenTrial) -> dict[str, float]:
    """The constraints that a trial has set, by name; whatever is not of a number's type is none.

    `FrozenTrial.constraints` reads attributes that anybody can write, and raises where they are not as it expects.
    """
    try:
        given: Mapping[str, object] = trial.constraints
    except (TypeError, ValueError):
        return {}
    known: dict[str, float] = {}
    for name, value in given.items():
        if isinstance(value, numbers.Real):
            known[name] = math.inf if math.isnan(value) else float(value)  # what is no number is not satisfied
    return known


def has_heartbeat(study: Study) -> bool:
    """Whether the trial that starts now will be failed by another worker if this one dies.

    So it is where the storage records heartbeats and the trial is run by `Study.optimize`, which sends them; not for
    trials that come from `Study.ask`.
    """
    whole = getattr(study, "_study", study)  # what a pruner's bracket is a part of
    return bool(is_heartbeat_enabled(study._storage) and whole._thread_local.in_optimize_loop)


class PerStudy(Generic[_Value]):
    """What a process remembers of each study, for as long as the study's storage object lives.

    Kept by the storage itself, not by an identifier that another storage may have later. It may be lost at any time: a
    pickled copy is empty, and so is a forked child's, whose values may have been half written at the fork.

    Args:
        make: Makes the value of a study that nothing is remembered of.
        max_studies: Studies of one storage that are remembered, those used last; `None`: all.
    """

    def __init__(self, make: Callable[[], _Value], *, max_studies: int | None = None) -> None:
        self._make = make
        self._max_studies = max_studies
        self._lock = ForkSafeLock()
        self._forget()

    def _forget(self) -> None:
        self._values: WeakKeyDictionary[BaseStorage, dict[int, _Value]] = WeakKeyDictionary()
        self._process = os.getpid()

    def __call__(self, study: Study) -> _Value:
        """The value of a study."""
        with self._lock:
            if self._process != os.getpid():
                self._forget()
            of_storage = self._values.setdefault(study._storage, {})
            value = of_storage.pop(study._study_id) if study._study_id in of_storage else self._make()
            of_storage[study._study_id] = value  # at the end: used last
            if self._max_studies is not None and len(of_storage) > self._max_studies:
                del of_storage[next(iter(of_storage))]
            return value

    def __getstate__(self) -> dict[str, Any]:
        """Without what is remembered, and without the lock."""
        return {"_make": self._make, "_max_studies": self._max_studies}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Empty."""
        self.__init__(state["_make"], max_studies=state["_max_studies"])  # type: ignore[misc]


def running_trials(study: Study) -> Sequence[FrozenTrial]:
    """The trials of a study that are running."""
    return all_trials(study, states=(TrialState.RUNNING,))
