"""From the records of `benchmarks.proof` to regrets that can be averaged over tasks.

*Regret* is the best value so far minus the best value known of the task: that of the table or the function, or of any
study in the records if it is better. Live tasks are split anew for every seed, so there it is the best of all studies
of the task *and* the seed. Regrets are divided by a unit of each task, the median over the seeds of what a method has
left after some trials: here what `GPSampler` leaves after its ten random trials.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from benchmarks.harness.live_tasks import LIVE_TASKS
from benchmarks.harness.problems import LANDSCAPES
from llm_prior_bo.compare.runner import Record, finished
from llm_prior_bo.space import FloatArray

TABLES, EXTRAPOLATED, LIVE, FUNCTIONS = (
    "tables and fitted runs",
    "extrapolated surrogates",
    "live training",
    "functions",
)
FAMILIES = (TABLES, EXTRAPOLATED, LIVE, FUNCTIONS)
"""Complete tables, and surrogates whose optimum agrees with the best real runs; network surrogates whose optimum is
partly an artefact of extrapolation; models trained as the study runs; functions of two parameters."""

REMEMBERED = frozenset({"fcnet_slice_localization", "fcnet_naval_propulsion", "fcnet_parkinsons_telemonitoring"})
"""Tasks whose published table the model says in its answer that it remembers: left out of everything."""

_EXTRAPOLATED = ("lcbench_", "rbv2_")


def family_of(task: str) -> str:
    """The family of a task, one of `FAMILIES`."""
    if task in LIVE_TASKS:
        return LIVE
    if task in LANDSCAPES:
        return FUNCTIONS
    return EXTRAPOLATED if task.startswith(_EXTRAPOLATED) else TABLES


class Way(NamedTuple):
    """Who optimises, with what belief.

    Args:
        method: Name in `benchmarks.proof.METHODS`.
        belief: Kind of belief; "none" for methods that have none.
    """

    method: str
    belief: str = "none"

    def __str__(self) -> str:
        return self.method if self.belief in ("own", "none") else f"{self.method}, {self.belief} belief"


OURS = Way("default", "own")
NO_LLM = Way("no-llm")
GP = Way("GPSampler")


class Unit(NamedTuple):
    """What regrets are divided by: the median over the seeds of what is left after some trials."""

    way: Way
    n_trials: int


RANDOM_TRIALS = Unit(GP, 10)
"""What `GPSampler` leaves after its ten random trials."""

STARTUP = Unit(Way("control-1", "own"), 5)
"""What is left after the five trials with which ours starts."""


@dataclass(frozen=True, eq=False)
class TaskRegrets:
    """The studies of one task.

    Args:
        task: Its name.
        regrets: Way -> seed -> regret after each trial, `n_trials`, in units.
        records: Way -> seed -> the record.
    """

    task: str
    regrets: Mapping[Way, Mapping[int, FloatArray]]
    records: Mapping[Way, Mapping[int, Record]]

    @property
    def family(self) -> str:
        """The task's family."""
        return family_of(self.task)

    def of(self, way: Way) -> Mapping[int, FloatArray]:
        """Regrets of a way by seed; none if it was not run."""
        return self.regrets.get(way, {})

    def median(self, way: Way) -> FloatArray:
        """Median regret of a way after each trial, `n_trials`."""
        return np.median(list(self.of(way).values()), axis=0)


def regrets_of(
    records: Iterable[Record], *, unit: Unit = RANDOM_TRIALS, n_trials: int | None = None
) -> list[TaskRegrets]:
    """Regrets of every task, in the order of the records.

    Args:
        records: Of `benchmarks.proof`; those with an error are left out.
        unit: What regrets are divided by. A task without studies of its way, or on which they leave nothing, is left
            out, see `left_out`.
        n_trials: How many trials count; `None`: those of the shortest study.
    """
    found = list(_by_task(records).items())
    n = n_trials or min((len(record["values"]) for _, own in found for record in own), default=0)
    tasks = (_task_regrets(task, own, unit, n) for task, own in found)
    return [task for task in tasks if task is not None]


def of_full_length(records: Sequence[Record]) -> list[Record]:
    """The longest studies with the task's own answer, or with none."""
    own = [record for record in records if record["prior"] in ("own", "none")]
    n_trials = max(record["n_trials"] for record in own)
    return [record for record in own if record["n_trials"] == n_trials]


def left_out(records: Iterable[Record], kept: Sequence[TaskRegrets]) -> list[str]:
    """Tasks of the records that have no regrets."""
    return sorted(_by_task(records).keys() - {task.task for task in kept})


def _by_task(records: Iterable[Record]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in finished(records):
        if record["problem"] not in REMEMBERED:
            groups.setdefault(record["problem"], []).append(record)
    return groups


def _task_regrets(task: str, records: Sequence[Record], unit: Unit, n_trials: int) -> TaskRegrets | None:
    by_way: dict[Way, dict[int, Record]] = {}
    for record in records:
        if len(record["values"]) >= n_trials:
            by_way.setdefault(Way(record["method"], record["prior"]), {})[record["seed"]] = record
    lowest = _lowest(task, records)
    raw: dict[Way, dict[int, Any]] = {
        way: {seed: _best(record)[:n_trials] - lowest[seed] for seed, record in own.items()}
        for way, own in by_way.items()
    }
    left = [regret[unit.n_trials - 1] for regret in raw.get(unit.way, {}).values()]
    scale = float(np.median(left)) if left else 0.0
    if scale <= 0.0:
        return None
    return TaskRegrets(task, {way: {s: r / scale for s, r in own.items()} for way, own in raw.items()}, by_way)


def _best(record: Record) -> FloatArray:
    return np.minimum.accumulate(np.asarray(record["values"], dtype=np.float64))


def _lowest(task: str, records: Sequence[Record]) -> dict[int, float]:
    """The least value known, by seed."""
    by_seed: dict[int, list[float]] = {}
    for record in records:
        by_seed.setdefault(record["seed"], []).append(min(record["values"]))
    if task in LIVE_TASKS:
        return {seed: min(values) for seed, values in by_seed.items()}
    known = [record["best_known"] for record in records if record.get("best_known") is not None]
    lowest = min([*known, *(value for values in by_seed.values() for value in values)])
    return dict.fromkeys(by_seed, lowest)
