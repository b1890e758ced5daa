"""One way of optimising against another on many tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.results.regrets import TaskRegrets, Way
from llm_prior_bo.compare.statistics import Comparison, MeanDifference, paired_bootstrap
from llm_prior_bo.compare.summary import MIN_PAIRS
from llm_prior_bo.space import FloatArray

Metric = Callable[[FloatArray], float]
"""From a curve of regrets to one number, of which the smaller is the better."""


def after(n: int) -> Metric:
    """Regret after `n` trials."""
    return lambda regret: float(regret[n - 1])


def area(first: int, last: int | None = None) -> Metric:
    """Mean regret after each of the trials from `first` (counted from 1) to `last`; `None`: to the end."""
    return lambda regret: float(regret[first - 1 : last].mean())


@dataclass(frozen=True)
class Versus:
    """A way minus another in a metric, paired by seed; negative: the first is better.

    Args:
        by_task: Task -> mean difference over the seeds that both have, with its interval.
        n_pairs: Task -> number of these seeds.
    """

    by_task: Mapping[str, MeanDifference]
    n_pairs: Mapping[str, int]

    @classmethod
    def of(cls, tasks: Sequence[TaskRegrets], first: Way, second: Way, metric: Metric) -> Versus:
        """Compare on the tasks on which both ways were run with a common seed."""
        found, n_pairs = {}, {}
        for task in tasks:
            own, other = task.of(first), task.of(second)
            seeds = sorted(own.keys() & other.keys())
            if seeds:
                found[task.task] = paired_bootstrap(*([metric(way[s]) for s in seeds] for way in (own, other)))
                n_pairs[task.task] = len(seeds)
        return cls(found, n_pairs)

    @property
    def means(self) -> FloatArray:
        """Mean difference of every task."""
        return np.array([difference.mean for difference in self.by_task.values()])

    @property
    def overall(self) -> MeanDifference:
        """Mean of the tasks' means, with the interval of resampled tasks."""
        return paired_bootstrap(self.means, np.zeros(len(self.by_task)))

    @property
    def verdicts(self) -> Comparison:
        """On how many tasks the first is better, neither, worse, its interval leaving zero out."""
        told = [d for task, d in self.by_task.items() if self.n_pairs[task] >= MIN_PAIRS]
        better, worse = sum(d.high < 0.0 for d in told), sum(d.low > 0.0 for d in told)
        return Comparison(better, len(self.by_task) - better - worse, worse)

    @property
    def worst(self) -> tuple[str, float]:
        """The task with the largest mean difference, and that difference."""
        task = max(self.by_task, key=lambda name: self.by_task[name].mean)
        return task, self.by_task[task].mean


def speed_up(task: TaskRegrets, way: Way, baseline: Way) -> float | None:
    """How many times fewer trials than a baseline reach what more than half of its studies reach in the end.

    Args:
        task: The studies.
        way: Who is compared.
        baseline: With whom.

    Returns:
        The baseline's median number of trials over the way's; 0 if the way does not reach it in the median, `None` if
        one of the two was not run.
    """
    if not task.of(way) or not task.of(baseline):
        return None
    finals = sorted(float(regret[-1]) for regret in task.of(baseline).values())
    level = finals[len(finals) // 2]  # so the baseline's median is finite
    theirs, own = (
        float(np.median([trials_to(regret, level) for regret in task.of(one).values()])) for one in (baseline, way)
    )
    return theirs / own if np.isfinite(own) else 0.0


def trials_to(regret: FloatArray, level: float) -> float:
    """After how many trials a level was reached; infinite if it never was."""
    reached = np.flatnonzero(regret <= level)
    return float(reached[0] + 1) if len(reached) else np.inf
