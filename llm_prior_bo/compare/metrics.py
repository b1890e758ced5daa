"""What one study of a comparison has reached, from its record.

Everything is computed on losses, of which the smaller is the better: the values themselves, or their negatives where
they are maximised. Where a study has no value yet, its loss is infinite.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llm_prior_bo._cached_property import cached_property
from llm_prior_bo.compare.runner import Task
from llm_prior_bo.compare.study import INFEASIBLE
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.space import FloatArray
from llm_prior_bo.visualization.comparison import best_so_far


@dataclass(frozen=True, eq=False)
class StudyResult:
    """One study.

    Args:
        task: Name of the task.
        sampler: Name of the sampler.
        seed: Its seed.
        direction: "minimize" or "maximize".
        kind: Name of the sampler's class; `None` if it is not known.
        n_enqueued: How many trials, the first ones, were given and not suggested.
        values: Value of each trial, `n`; NaN where there is none.
        states: State of each trial, `n`; empty if they are not known.
        test_values: Quality on held-out data of each trial, `n`; NaN where it is not known.
        suggest_seconds: The sampler's own time in each trial, `n`; empty if it is not known.
        diversity: Mean distance of two suggested configurations; `None` if it is not known.
        failure: What the first failed trial raised.
    """

    task: str
    sampler: str
    seed: int
    direction: str
    kind: str | None
    n_enqueued: int
    values: FloatArray
    states: Sequence[str]
    test_values: FloatArray
    suggest_seconds: FloatArray
    diversity: float | None
    failure: str | None

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> StudyResult:
        """The study of a record without an error; benchmarks' records, which have fewer fields, will do.

        Raises:
            ConfigurationError: If the record holds no values.
        """
        key = Task.of(record)
        values = record.get("values")
        if not isinstance(values, list) or len(values) != key.n_trials:
            raise ConfigurationError(
                f"Expected records with values, one for each of {key.n_trials} trials, got one of {key.problem!r} "
                f"with {sorted(record)}; give a file that `compare` has written."
            )
        return cls(
            task=key.problem,
            sampler=sampler_name(record),
            seed=key.seed,
            direction=record.get("direction", "minimize"),
            kind=record.get("sampler"),
            n_enqueued=record.get("n_enqueued", 0),
            values=_array(values),
            states=record.get("states", ()),
            test_values=_array(record.get("test_values") or [None] * len(values)),
            suggest_seconds=_array(record.get("suggest_seconds", ())),
            diversity=record.get("diversity"),
            failure=record.get("failure"),
        )

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return len(self.values)

    @property
    def sign(self) -> float:
        """What turns a value into a loss, and back."""
        return -1.0 if self.direction == "maximize" else 1.0

    @property
    def best(self) -> FloatArray:
        """Best value after each trial, `n`; NaN before the first value."""
        return best_so_far(self.values, direction=self.direction)

    @cached_property
    def loss(self) -> FloatArray:
        """Smallest loss after each trial, `n`; infinite before the first value."""
        best = self.best
        return np.where(np.isnan(best), math.inf, self.sign * best)

    def trials_to(self, loss: float) -> float:
        """After how many trials a loss was reached; infinite if it never was."""
        reached = np.flatnonzero(self.loss <= loss)
        return float(reached[0] + 1) if len(reached) else math.inf

    def area(self, first: int) -> float | None:
        """Mean of the smallest loss after each of the trials from `first` (counted from 1) to the last.

        `None` if there are fewer trials; infinite if there was no value at the first.
        """
        return float(self.loss[first - 1 :].mean()) if first <= self.n_trials else None

    def success_rate(self, loss: float) -> float | None:
        """Share of the suggestions with a smaller loss; trials without a value count, enqueued ones do not."""
        suggested = self.sign * self.suggested_values
        return float((suggested < loss).mean()) if len(suggested) else None  # NaN is not smaller

    @property
    def suggested_values(self) -> FloatArray:
        """Values of the trials that the sampler suggested, `n - n_enqueued`; NaN where there is none."""
        return self.values[self.n_enqueued :]

    @property
    def test_value(self) -> float | None:
        """Quality on held-out data of the best trial, the earliest of equal ones."""
        if np.isnan(self.values).all():
            return None
        value = float(self.test_values[int(np.nanargmin(self.sign * self.values))])
        return None if math.isnan(value) else value

    @property
    def mean_suggest_seconds(self) -> float | None:
        """The sampler's own time for a trial that it suggested, in the mean."""
        seconds = self.suggest_seconds[self.n_enqueued :]
        return float(seconds.mean()) if len(seconds) else None

    def count(self, state: str) -> int:
        """How many trials ended in a state."""
        return list(self.states).count(state)

    @property
    def n_without_value(self) -> dict[str, int]:
        """State -> how many trials have no value because of it."""
        counts = {state: self.count(state) for state in ("FAIL", "PRUNED", INFEASIBLE)}
        return {state: n for state, n in counts.items() if n}


def sampler_name(record: Mapping[str, Any]) -> str:
    """Name of the sampler of a record, with the prior of a benchmark's record."""
    key = Task.of(record)
    return f"{key.method} ({key.prior})" if key.prior else key.method


def _array(values: Sequence[float | None]) -> FloatArray:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
