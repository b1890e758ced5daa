"""One study of a comparison: a sampler on a task with a seed."""

from __future__ import annotations

import math
import numbers
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from llm_prior_bo.compare.inputs import ComparisonTask, SamplerFactory, make_sampler
from llm_prior_bo.compare.runner import Task
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.space import Column, FloatArray
from llm_prior_bo.visualization.comparison import trial_values

if TYPE_CHECKING:
    from optuna import Study

TEST_VALUE = "test_value"
"""User attribute of a trial in which an objective states the quality on held-out data."""

SEED = "seed"
"""User attribute of a study in which an objective finds the seed, e.g. to split its data by it."""

NOT_RUN, INFEASIBLE = "NOT_RUN", "INFEASIBLE"
"""States beside Optuna's: the sampler had ended the study before this trial; complete, but a constraint is violated."""


@dataclass(frozen=True)
class StudyRunner:
    """Runs one study; what `run_tasks` executes.

    Args:
        tasks: Name -> task.
        samplers: Name -> class, or function of a seed.
    """

    tasks: Mapping[str, ComparisonTask]
    samplers: Mapping[str, SamplerFactory]

    def __call__(self, key: Task) -> dict[str, Any]:
        """The record of a study, as JSON-able values.

        Args:
            key: `problem` is the name of the task, `method` that of the sampler.

        Raises:
            ConfigurationError: If no trial was completed.
        """
        task = self.tasks[key.problem]
        sampler = make_sampler(self.samplers[key.method], name=key.method, seed=key.seed, task=key.problem)
        timed, failures = TimedSampler(sampler), list[str]()
        started = time.perf_counter()
        with quiet_optuna(optuna.logging.ERROR):
            study = optuna.create_study(direction=task.direction, sampler=timed)
            for name, value in {SEED: key.seed, **task.user_attrs}.items():
                study.set_user_attr(name, value)
            enqueued = task.enqueue.get(key.method, ())[: key.n_trials]
            for params in enqueued:
                study.enqueue_trial(dict(params))
            study.optimize(_remembering(task, failures), n_trials=key.n_trials, catch=(Exception,))
        seconds = time.perf_counter() - started
        if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            told = failures[0] if failures else "none returned a number"
            raise ConfigurationError(f"Expected at least one complete trial, got {len(study.trials)} others: {told}.")
        return {
            "direction": task.direction,
            "sampler": type(sampler).__name__,
            "n_enqueued": len(enqueued),
            "seconds": seconds,
            "failure": failures[0] if failures else None,
            **_told(study, key.n_trials, timed.seconds, n_enqueued=len(enqueued)),
        }


def _remembering(task: ComparisonTask, failures: list[str]) -> Any:
    """The objective; what it raises is also kept as text."""

    def objective(trial: Trial) -> float:
        try:
            return task.objective(trial)
        except optuna.TrialPruned:
            raise
        except Exception as error:
            failures.append(f"{type(error).__name__}: {error}")
            raise

    return objective


def _told(study: Study, n_trials: int, seconds: Mapping[int, float], *, n_enqueued: int) -> dict[str, Any]:
    """One entry a trial, and the diversity of what was suggested."""
    trials, values = study.trials, trial_values(study).tolist()
    missing = n_trials - len(trials)  # a sampler that has tried everything ends its study
    return {
        "values": [None if np.isnan(value) else value for value in values] + [None] * missing,
        "states": [_state(trial, value) for trial, value in zip(trials, values, strict=True)] + [NOT_RUN] * missing,
        "test_values": [_test_value(trial) for trial in trials] + [None] * missing,
        "suggest_seconds": [seconds.get(trial.number, 0.0) for trial in trials] + [0.0] * missing,
        "params": [{name: _plain(value) for name, value in trial.params.items()} for trial in trials],
        "diversity": mean_distance(
            [trial.params for trial in trials[n_enqueued:]],
            {name: distribution for trial in trials for name, distribution in trial.distributions.items()},
        ),
    }


def _state(trial: FrozenTrial, value: float) -> str:
    is_infeasible = trial.state == TrialState.COMPLETE and np.isnan(value)
    return INFEASIBLE if is_infeasible else trial.state.name


def _test_value(trial: FrozenTrial) -> float | None:
    value = trial.user_attrs.get(TEST_VALUE)
    if value is not None and not isinstance(value, numbers.Real):
        raise ConfigurationError(f"Expected a number as a trial's user attribute {TEST_VALUE!r}, got {value!r}.")
    return None if value is None or math.isnan(value) else float(value)


def _plain(value: Any) -> Any:
    """A parameter's value as JSON can hold it."""
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def mean_distance(params: Sequence[Mapping[str, Any]], distributions: Mapping[str, BaseDistribution]) -> float | None:
    """Mean distance between two configurations, in [0, 1] (Gower 1971).

    The distance of two configurations is the mean over the parameters that at least one of them has: the difference of
    the coordinates in [0, 1] for a number (of its logarithm where the range is logarithmic), 0 or 1 for equal or
    different choices, 1 for a parameter that only one of them has.

    Args:
        params: Configurations, `n`.
        distributions: Distribution of every parameter.

    Returns:
        The mean over all pairs; `None` for fewer than two configurations, or for those without parameters.
    """
    n = len(params)
    total, counted = np.zeros((n, n)), np.zeros((n, n))
    for name, distribution in distributions.items():
        has = np.array([name in row for row in params], dtype=bool)  # n
        distance = np.ones((n, n))
        values = [row[name] for row in params if name in row]
        distance[np.ix_(has, has)] = _distances(Column(name, distribution), values)
        either = has[:, None] | has[None, :]  # n x n
        total += np.where(either, distance, 0.0)
        counted += either
    pairs = np.triu(counted > 0, k=1)
    return float((total[pairs] / counted[pairs]).mean()) if pairs.any() else None


def _distances(column: Column, values: Sequence[Any]) -> FloatArray:
    """Distances of the values of one parameter, `n x n`."""
    if column.kind == "categorical":
        codes = np.array([column.encode(value) for value in values])
        distances: FloatArray = (codes[:, None] != codes[None, :]).astype(np.float64)
    else:
        unit = column.to_unit(values)
        distances = np.abs(unit[:, None] - unit[None, :])
    return distances


class TimedSampler(BaseSampler):
    """A sampler whose own time is measured, the objective's left out.

    Args:
        sampler: Does all the work.
    """

    def __init__(self, sampler: BaseSampler) -> None:
        self.sampler = sampler
        self.seconds: dict[int, float] = defaultdict(float)
        """Number of a trial -> seconds spent in the sampler."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As the sampler."""
        with self._measured(trial):
            return self.sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the sampler."""
        with self._measured(trial):
            return self.sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As the sampler."""
        with self._measured(trial):
            return self.sampler.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """As the sampler."""
        with self._measured(trial):
            self.sampler.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """As the sampler."""
        with self._measured(trial):
            self.sampler.after_trial(study, trial, state, values)

    @contextmanager
    def _measured(self, trial: FrozenTrial) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[trial.number] += time.perf_counter() - started


@contextmanager
def quiet_optuna(level: int = optuna.logging.WARNING) -> Iterator[None]:
    """Without Optuna's messages below a level, e.g. the one of every trial."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, level))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
