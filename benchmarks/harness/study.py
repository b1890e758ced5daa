"""One study of the benchmark: a method on a problem with a prior."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna import Study
from optuna.samplers import BaseSampler

from benchmarks.harness.methods import PRIOR_FREE, get_method
from benchmarks.harness.priors import make_prior
from benchmarks.harness.problems import Problem, get_problem
from llm_prior_bo.compare.runner import Task
from llm_prior_bo.compare.study import quiet_optuna
from llm_prior_bo.study.diagnostics import study_statistics
from llm_prior_bo.study.trial_records import Suggestion

NO_PRIOR_KIND = "uniform"
"""Kind of prior that methods in `PRIOR_FREE` are recorded under."""


def make_tasks(
    problems: Sequence[str], priors: Sequence[str], methods: Sequence[str], seeds: Sequence[int], *, n_trials: int
) -> list[Task]:
    """All combinations, those of a method that ignores its prior once for all priors.

    Args:
        problems: Names in `PROBLEMS`.
        priors: Names in `PRIOR_KINDS`.
        methods: Names in `METHODS`.
        seeds: Seeds of prior and sampler.
        n_trials: Length of every study.
    """
    tasks = (
        Task(problem, NO_PRIOR_KIND if method in PRIOR_FREE else prior, method, seed, n_trials)
        for seed in seeds
        for problem in problems
        for prior in priors
        for method in methods
    )
    return list(dict.fromkeys(tasks))


def run_trials(problem: Problem, sampler: BaseSampler, *, n_trials: int) -> Study:
    """A study of a problem, all parameters of a trial asked for at once; Optuna says nothing of it.

    Args:
        problem: What to minimise.
        sampler: Who suggests.
        n_trials: Length of the study.

    Returns:
        The study, in memory, with its finished trials.
    """
    with quiet_optuna():
        study = optuna.create_study(direction="minimize", sampler=sampler)
        for _ in range(n_trials):
            trial = study.ask(dict(problem.distributions))
            study.tell(trial, problem.evaluate(trial.params))
    return study


def run_study(task: Task) -> dict[str, Any]:
    """Run one study.

    Args:
        task: Names of problem, kind of prior and method; seed of prior and sampler.

    Returns:
        What can be written as JSON: `values` (of every trial), `regret` (best so far, of every trial), `seconds`, and
        `trials`: for every trial what the sampler said of its suggestion (`phase`, `exponent`, `log_acquisition`,
        `log_prior`, `loss_bound`, `details`), `None` where it said nothing.
    """
    problem = get_problem(task.problem)
    prior = make_prior(task.prior, problem, task.seed)
    sampler = get_method(task.method)(prior, problem.distributions, task.seed, task.n_trials)
    started = time.perf_counter()
    study = run_trials(problem, sampler, n_trials=task.n_trials)
    seconds = time.perf_counter() - started
    values = [trial.values[0] for trial in study.trials]
    suggestions = study_statistics(study).suggestions
    return {
        "values": values,
        "regret": (np.minimum.accumulate(values) - problem.optimal_value).tolist(),
        "seconds": seconds,
        "trials": [_told(suggestions.get(number)) for number in range(task.n_trials)],
    }


def _told(suggestion: Suggestion | None) -> dict[str, Any] | None:
    if suggestion is None:
        return None
    wanted = ("phase", "exponent", "log_acquisition", "log_prior", "loss_bound")
    weighed = [part for part in suggestion.answers if part.trust is not None]
    details = {"trust": suggestion.trust, "region_weights": list(weighed[0].region_weights)} if weighed else {}
    return {**{name: getattr(suggestion, name) for name in wanted}, "details": details}
