"""How long a worker waits for others, in each case that `docs/how_to/workers.md` names: prints its table.

    python -m benchmarks.waits

The limits are shortened, a patience of `PATIENCE` seconds and a lock of `LOCK` seconds, so that the formulas can be
checked in a minute. Workers that are gone are marks in the storage, as they leave them behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from unittest.mock import patch

import optuna

from llm_prior_bo.compare.markdown import markdown_head, markdown_row
from llm_prior_bo.study import suggestion_lock
from llm_prior_bo.study.election import ARRIVAL_SECONDS, Election
from llm_prior_bo.study.election import POLL_SECONDS as ELECTION_POLL
from llm_prior_bo.study.process import ProcessMark, this_process
from llm_prior_bo.study.storage import set_trial_attribute
from llm_prior_bo.study.trial_records import ARRIVED_KEY, CHOOSING_KEY
from tests.study.test_election import ended_process
from tests.trials import start

PATIENCE = 3.0
LOCK = 2.0
SLACK = 1.0
"""Seconds that looking and a busy machine may add."""
DAYS = 3 * 86400.0

Arrange = Callable[[optuna.Study], object]


@dataclass(frozen=True)
class Case:
    """Something that a worker may have to wait for.

    Attributes:
        name: What it is.
        formula: The most seconds of it, in words.
        limit: The same as a number.
        arrange: Leaves the others' marks in an empty study.
        choosing: Whether it is waited for with the lock of suggestions, not for an answer.
    """

    name: str
    formula: str
    limit: float
    arrange: Arrange
    choosing: bool = False


def _mark(key: str, *changes: dict[str, object]) -> Arrange:
    """Trials of workers that have left marks, which differ from this process's as given."""

    def arrange(study: optuna.Study) -> None:
        for change in changes:
            mark: ProcessMark = replace(this_process(), **change)  # type: ignore[arg-type]
            set_trial_attribute(study, start(study), key, mark.to_json())

    return arrange


def cases() -> Iterator[Case]:
    """All of them."""
    gone: dict[str, object] = {"pid": ended_process(), "started": None}
    elsewhere: dict[str, object] = {"host": "elsewhere"}
    old: dict[str, object] = {"time": time.time() - DAYS}
    yield Case("the asker was killed, same host", "0", 0.0, _mark(ARRIVED_KEY, gone))
    yield Case("all workers were killed and started again", "0", 0.0, _mark(ARRIVED_KEY, gone, gone, gone))
    yield Case("the asker is alive and slow", "patience", PATIENCE, _mark(ARRIVED_KEY, {}))
    yield Case("the asker was killed, another host", "patience", PATIENCE, _mark(ARRIVED_KEY, elsewhere))
    yield Case("two askers, both slow or out of sight", "2 x patience", 2 * PATIENCE, _mark(ARRIVED_KEY, {}, elsewhere))
    yield Case("four askers", "2 x patience", 2 * PATIENCE, _mark(ARRIVED_KEY, *[elsewhere] * 4))
    yield Case("left running days ago, another host", "0", 0.0, _mark(ARRIVED_KEY, {**elsewhere, **old}))
    yield Case("a running trial of another sampler", "ARRIVAL_SECONDS", ARRIVAL_SECONDS, start)
    yield Case("the chooser was killed, same host", "0", 0.0, _mark(CHOOSING_KEY, gone), choosing=True)
    yield Case("the chooser was killed, another host", "lock", LOCK, _mark(CHOOSING_KEY, elsewhere), choosing=True)
    yield Case("three of them", "3 x lock", 3 * LOCK, _mark(CHOOSING_KEY, *[elsewhere] * 3), choosing=True)
    yield Case("a flag of days ago", "0", 0.0, _mark(CHOOSING_KEY, {**elsewhere, **old}), choosing=True)


def seconds(case: Case) -> float:
    """How long a worker that comes now waits."""
    study = optuna.create_study()
    case.arrange(study)
    trial = start(study)
    set_trial_attribute(study, trial, ARRIVED_KEY, this_process().to_json())
    since = time.monotonic()
    if case.choosing:
        with patch.object(suggestion_lock, "MAX_SECONDS", LOCK), suggestion_lock.suggestion_lock(study, trial):
            pass
    else:
        Election(PATIENCE).wait(study, trial, lambda: False)
    return time.monotonic() - since


def main() -> None:
    """Print the table; an error if a limit was passed."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    too_long = []
    print(*markdown_head(("waits for", "at most", "limit here", "measured")), sep="\n")
    for case in cases():
        waited = seconds(case)
        print(markdown_row([case.name, case.formula, f"{case.limit:g} s", f"{waited:.2f} s"]), flush=True)
        if waited > case.limit + SLACK + 3 * ELECTION_POLL:
            too_long.append(case.name)
    if too_long:
        raise SystemExit(f"Longer than it may: {', '.join(too_long)}")


if __name__ == "__main__":
    main()
