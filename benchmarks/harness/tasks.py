"""One face for everything that is optimised: live tasks, tables and surrogates of a folder, landscapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from optuna import Trial
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from benchmarks.harness.hpo_tasks import Distributions, distributions, load_task
from benchmarks.harness.live_tasks import LIVE_TASKS, Config, LiveTask, Scores, active
from benchmarks.harness.problems import LANDSCAPES, Problem, get_problem
from benchmarks.harness.recordings import context_of
from llm_prior_bo import SearchSpace
from llm_prior_bo.errors import ConfigurationError


@dataclass(frozen=True, eq=False)
class BenchmarkTask:
    """What is optimised; always minimised.

    Args:
        name: Its name.
        description: Of the problem, as a question to a language model gives it.
        distributions: Optuna distribution of every parameter, conditional ones included.
        default: The configuration that a user begins with: the library's default values, or a usual choice; on a
            landscape the centre of the box.
        best_known: The least value known; `None` where nobody knows, as for live tasks, whose splits differ by seed.
        suggest: Configuration of a trial; conditional parameters are suggested only where they are active.
        evaluate: Scores of a configuration and a seed; only live tasks depend on the seed.
    """

    name: str
    description: str
    distributions: Distributions
    default: Config
    best_known: float | None
    suggest: Callable[[Trial], dict[str, Any]]
    evaluate: Callable[[Config, int], Scores]

    @cached_property
    def space(self) -> SearchSpace:
        """The parameters as a search space."""
        return SearchSpace(self.distributions)

    def encoded(self, params: Mapping[str, Any]) -> list[float | None]:
        """Coordinates of a configuration, to four digits; `None` for a parameter that is not active in it."""
        return [
            round(column.encode(params[column.name]), 4) if column.name in params else None
            for column in self.space.columns
        ]


def find_task(name: str, data: Path | None) -> BenchmarkTask:
    """The task of a name.

    Args:
        name: A name in `LIVE_TASKS` or `LANDSCAPES`, or of a task of the folder.
        data: The folder with `suite.py`; `None` for tasks that need none.

    Raises:
        ConfigurationError: If the task needs the folder and there is none.
    """
    if name in LIVE_TASKS:
        return _live(LIVE_TASKS[name])
    if name in LANDSCAPES:
        return _landscape(get_problem(name))
    if data is None:
        raise ConfigurationError(
            f"Expected one of the tasks {[*LIVE_TASKS, *LANDSCAPES]}, or the folder of {name!r}, got neither; pass "
            "--data."
        )
    return _of_folder(name, data)


def _live(task: LiveTask) -> BenchmarkTask:
    return BenchmarkTask(
        name=task.name,
        description=_description(task.name, None),
        distributions=distributions(task),
        default=task.default,
        best_known=None,
        suggest=task.suggest,
        evaluate=task.evaluate,
    )


def _landscape(problem: Problem) -> BenchmarkTask:
    space = problem.space
    return BenchmarkTask(
        name=problem.name,
        description=f"A smooth function of {len(space)} numbers, {problem.name}, whose least value is wanted.",
        distributions=dict(problem.distributions),
        default=space.decode([0.5] * len(space)),
        best_known=problem.optimal_value,
        suggest=lambda trial: {name: _suggest(trial, name, d) for name, d in problem.distributions.items()},
        evaluate=lambda config, _: Scores(problem.evaluate(config), None),
    )


def _suggest(trial: Trial, name: str, distribution: BaseDistribution) -> float:
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(name, distribution.low, distribution.high)


def _of_folder(name: str, data: Path) -> BenchmarkTask:
    task = load_task(data, name)
    space = distributions(task)
    stats = getattr(task, "stats", None) or {}
    return BenchmarkTask(
        name=name,
        description=_description(name, data),
        distributions=space,
        default=active(_legal(task.default, SearchSpace(space)), task.space()),
        best_known=stats.get("best"),
        suggest=task.suggest,
        evaluate=lambda config, _: Scores(float(task.evaluate(config)), None),
    )


def _description(name: str, data: Path | None) -> str:
    return context_of(data, name).problem_description or ""


def _legal(config: Config, space: SearchSpace) -> dict[str, Any]:
    """A configuration with numbers outside their range moved to its end."""
    legal = {}
    for name, value in config.items():
        column = space.column(name)
        is_legal = isinstance(column.distribution, CategoricalDistribution) or column.contains(value)
        legal[name] = value if is_legal else column.nearest(value)
    return legal
