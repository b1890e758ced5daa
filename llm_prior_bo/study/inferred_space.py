"""The parameters that the trials of a study have asked for: its search space, where nobody has stated one.

Optuna's objectives say what they want while they run. Parameters may occur in some trials only (conditional ones), may
turn up late, and their ranges may change. Groups of parameters that occur together need no models of their own here:
the surrogate learns which columns count when (`models.conditional_parameters`), so one model of all of them does, and
what a branch has in common with the others is learned from all trials.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from llm_prior_bo._cached_property import cached_property
from llm_prior_bo.study.process import timestamp
from llm_prior_bo.study.storage import all_trials

if TYPE_CHECKING:
    from optuna import Study

from llm_prior_bo.space import STEP_TOLERANCE

MAX_CHANCE = 0.05
"""How probable it may be that a parameter which is still asked for now and then lacks in just the latest trials."""

MIN_OCCURRENCES = 2
"""Trials that must have asked for a parameter before it is modelled: with a single value in its column, the data say
nothing about how fast the objective changes along it. A parameter that all trials share is modelled from the first."""


@dataclass(frozen=True)
class InferredSpace:
    """What the finished and pruned trials of a study have asked for.

    Args:
        seen: For every parameter its distribution in each trial that asked for it, by the trial's position.
        n_trials: How many trials there are.
    """

    seen: dict[str, dict[int, BaseDistribution]]
    n_trials: int

    @classmethod
    def of(cls, trials: Iterable[FrozenTrial]) -> InferredSpace:
        """Read trials; those that are waiting, running or failed may not have asked for all of their parameters."""
        ended = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        seen: dict[str, dict[int, BaseDistribution]] = {}
        for position, trial in enumerate(sorted(ended, key=lambda trial: trial.number)):
            for name, distribution in trial.distributions.items():
                seen.setdefault(name, {})[position] = distribution
        return cls(seen, len(ended))

    @classmethod
    def of_study(cls, study: Study, *, ended_by: datetime | None = None) -> InferredSpace:
        """What the trials of all of a pruner's brackets have asked for, or those of them that had ended at a time."""
        trials = all_trials(study)
        latest = timestamp(ended_by)
        if latest is not None:
            # As seconds: imported trials may have times with a zone.
            trials = [trial for trial in trials if (timestamp(trial.datetime_complete) or math.inf) <= latest]
        return cls.of(trials)

    def n_occurrences(self, name: str) -> int:
        """How many trials have asked for a parameter."""
        return len(self.seen.get(name, ()))

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Every parameter with the distribution that counts now (`current_distribution`), by name."""
        return {name: current_distribution(list(self.seen[name].values())) for name in sorted(self.seen)}

    @cached_property
    def modelled(self) -> dict[str, BaseDistribution]:
        """Those that are modelled together, by name: they occur often enough and have more than a single value."""
        enough = min(MIN_OCCURRENCES, self.n_trials)
        return {
            name: distribution
            for name, distribution in self.distributions.items()
            if self.n_occurrences(name) >= enough and not distribution.single() and not self.is_gone(name)
        }

    def is_gone(self, name: str) -> bool:
        """Whether a parameter seems to have been taken out of the objective.

        Trials asked for it without exception, then none did. A model that keeps such a column takes what is known for
        unexplored there, and suggests the same values of the others again and again.
        """
        first, last = min(self.seen[name]), max(self.seen[name])
        n_since = self.n_trials - 1 - last
        without_gap = last - first + 1 == len(self.seen[name])
        # Of all ways to choose the trials that lack it, one leaves the latest.
        return without_gap and math.comb(self.n_trials - first, n_since) * MAX_CHANCE >= 1.0


def current_distribution(seen: Sequence[BaseDistribution]) -> BaseDistribution:
    """The distribution of a parameter whose range may have changed.

    * The latest one, once two trials running have had it and none before: somebody has changed the range.
    * The smallest one that holds them all otherwise, for then the range or the step depends on something in the trial
      and changes all the time.

    Args:
        seen: At least one distribution, oldest first. Optuna refuses other kinds, scales and choices for one name.
    """
    latest = seen[-1]
    numeric = [d for d in seen if isinstance(d, FloatDistribution | IntDistribution) and type(d) is type(latest)]
    # Compared as plain numbers: there may be thousands of trials, and Optuna's own comparison takes many times as long.
    ranges = [(d.low, d.high, d.step, d.log) for d in numeric]
    n_same = ranges.count(ranges[-1]) if ranges else 0
    if n_same == len(ranges) or (n_same >= MIN_OCCURRENCES and ranges[-n_same:] == ranges[-1:] * n_same):
        return latest
    return _hull([numeric[i] for i in {values: i for i, values in enumerate(ranges)}.values()])


def _hull(distributions: Sequence[FloatDistribution | IntDistribution]) -> BaseDistribution:
    """The smallest distribution that holds several of one kind; where scales differ, which cannot be, the latest."""
    first, latest = distributions[0], distributions[-1]
    if any(d.log != first.log for d in distributions):
        return latest
    low, high = min(d.low for d in distributions), max(d.high for d in distributions)
    if isinstance(latest, IntDistribution):
        gaps = [int(n) for d in distributions for n in (d.step or 1, d.low - first.low)]
        return IntDistribution(int(low), int(high), log=latest.log, step=math.gcd(*gaps))
    return FloatDistribution(low, high, log=latest.log, step=_common_step(distributions))


def _common_step(distributions: Sequence[FloatDistribution | IntDistribution]) -> float | None:
    """The step of floats, if all have one and it leads from each to the others."""
    step, low = distributions[0].step, distributions[0].low
    if step is None or any(d.step != step for d in distributions):
        return None
    steps = [(d.low - low) / step for d in distributions]
    return step if all(abs(n - round(n)) < STEP_TOLERANCE for n in steps) else None
