"""Workers choose one after the other: a worker that chooses sees what all the others have chosen.

Two workers that read the same trials maximise the same acquisition function, and find the same maximum. A published
suggestion helps only those that look after it was published. So at most one worker of a study is between looking and
publishing; an objective takes longer than that.

No storage compares and sets, but one flag a trial, written by its own worker alone, is enough: the one-bit algorithm of
Burns and Lynch (Bounds on shared memory for mutual exclusion, Information and Computation 107, 1993). A worker raises
its flag where no lower-numbered trial has one, lowers it again if one has appeared meanwhile, and then waits until no
higher-numbered trial has one. The flag of a trial with a published suggestion counts as lowered.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from optuna.logging import get_logger
from optuna.trial import FrozenTrial

from llm_prior_bo.study.storage import PerStudy, reload_trial, running_trials
from llm_prior_bo.study.trial_records import is_choosing, mark_choosing, read_suggestion

if TYPE_CHECKING:
    from optuna import Study

POLL_SECONDS = 0.05
"""How often a worker looks whether another one has chosen, times the number of those that may be waiting: many that
wait together must not keep the storage busy."""

MAX_SECONDS = 60.0
"""A worker that one has waited for this long is taken for dead: two equal suggestions are a smaller loss than a study
that stands still. One whose process has ended on the same host is not waited for at all."""

MAX_FLAG_SECONDS = 600.0
"""A flag that was raised longer ago, by the clock of the worker that raised it, is not waited for at all. Longer than
`MAX_SECONDS`, for a worker with a raised flag may itself be waiting for several others."""

SAY_AFTER_SECONDS = 1.0
"""How long a worker waits before it says so: a few tenths of a second are usual among many workers."""

SWITCH = "LLM_PRIOR_BO_SUGGESTION_LOCK"
"""Environment variable that turns the lock off if it is "0"."""

_log = get_logger(f"optuna.{__name__}")  # below Optuna's own, whose level and handlers the user knows

_dead: PerStudy[set[int]] = PerStudy(set)
"""Numbers of trials whose workers this process has waited for without success."""


@contextmanager
def suggestion_lock(study: Study, trial: FrozenTrial) -> Iterator[None]:
    """Look, choose and publish inside, as the only worker of the study.

    Does nothing while the environment variable `LLM_PRIOR_BO_SUGGESTION_LOCK` is "0". The suggestions of running trials
    are pending points all the same; what is lost is only that those which are being chosen right now are seen.

    Args:
        study: The study; a pruner's bracket view of one is fine, the workers of all brackets take turns.
        trial: The trial a suggestion is wanted for.
    """
    if os.environ.get(SWITCH, "").strip() == "0":
        yield
        return
    _acquire(study, trial)
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):  # whatever the storage says, it is not what went wrong
            mark_choosing(study, trial, False)
        raise


def _acquire(study: Study, trial: FrozenTrial) -> None:
    lower: list[FrozenTrial] = []
    while True:
        if not lower:
            mark_choosing(study, trial, True)
            lower, higher = _choosing(study, trial)
            if not lower:
                break
            mark_choosing(study, trial, False)
        _wait_for_release(study, lower)
        lower, _ = _choosing(study, trial)
    # Whoever raises a flag from now on sees the one that is up, and lowers its own.
    _wait_for_release(study, higher)


def _choosing(study: Study, trial: FrozenTrial) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
    """The running trials with a raised flag: those numbered lower, and those numbered higher."""
    dead = _dead(study)
    choosing = [other for other in running_trials(study) if _is_up(other) and other.number not in dead]
    return [o for o in choosing if o.number < trial.number], [o for o in choosing if o.number > trial.number]


def _wait_for_release(study: Study, others: Sequence[FrozenTrial]) -> None:
    """Wait until each of some trials has lowered its flag once, or is taken for dead."""
    running = running_trials(study) if others else []
    n_waiting = sum(read_suggestion(trial) is None for trial in running)
    since, is_said = time.monotonic(), False
    for n_left, other in zip(range(len(others), 0, -1), others, strict=True):
        deadline = time.monotonic() + MAX_SECONDS
        while _is_up(reload_trial(study, other)):
            if time.monotonic() > deadline:
                _dead(study).add(other.number)
                break
            if not is_said and time.monotonic() - since >= SAY_AFTER_SECONDS:
                _log.info(
                    f"Waiting for the worker of trial {other.number}, which is choosing its parameters, "
                    f"{n_left * MAX_SECONDS:g} s at most for {'it' if n_left == 1 else 'it and others'}."
                )
                is_said = True
            time.sleep(POLL_SECONDS * max(n_waiting, 1))


def _is_up(trial: FrozenTrial) -> bool:
    return is_choosing(trial, max_age=MAX_FLAG_SECONDS)
