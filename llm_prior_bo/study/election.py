"""Which worker of a study asks the language model: the one of the lowest-numbered trial that has not passed that point.

Trial numbers are unique on every storage, so no further coordination is needed (`docs/explanation/design.md`,
workers).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from optuna.logging import get_logger
from optuna.trial import FrozenTrial, TrialState

from llm_prior_bo.study.process import timestamp
from llm_prior_bo.study.storage import PerStudy, all_trials
from llm_prior_bo.study.trial_records import asker, is_asking, is_own

if TYPE_CHECKING:
    from optuna import Study

POLL_SECONDS = 0.2
"""How often a worker looks whether the answer it waits for is there."""

MAX_ELECTION_TIMEOUTS = 2
"""How many workers one waits for before it goes on without an answer."""

ARRIVAL_SECONDS = 2.0
"""How long one waits for a trial that has just begun to say that its worker uses this sampler, which takes a few
milliseconds: it is the first thing that the sampler does. A trial that has not said so by then is another sampler's."""

MAX_ARRIVAL_AGE = 60.0
"""A trial that began this many seconds ago and has not said so is of another sampler, or of a worker that died."""

_log = get_logger(f"optuna.{__name__}")  # below Optuna's own, whose level and handlers the user knows

Outcome = Literal["settled", "elected", "timed out"]


@dataclass
class Election:
    """Elects the worker that asks, and waits for it.

    Args:
        patience: Seconds to wait for one worker before it is taken for dead.
    """

    patience: float = 150.0
    _dead: PerStudy[set[int]] = field(default_factory=lambda: PerStudy(set), repr=False)
    """Numbers of the trials whose workers were waited for without success."""
    _first_seen: PerStudy[dict[int, float]] = field(default_factory=lambda: PerStudy(dict), repr=False)
    """When trials that have not said that they use this sampler were first seen, by trial number."""

    @property
    def longest_wait(self) -> float:
        """The most seconds that a trial waits for the workers of others."""
        return MAX_ELECTION_TIMEOUTS * self.patience + ARRIVAL_SECONDS

    def is_elected(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether it is this trial's worker that asks."""
        return self._elected(study, trial).number == trial.number

    def is_somebody_asking(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the worker of a later trial is asking: this one may have been enqueued long before it started."""
        trials = all_trials(study)
        since = _asked_at(trials, trial)
        others = (other for other in trials if other.number != trial.number and is_asking(other))
        return any(self._may_ask(study, other, since) for other in others)

    def wait(self, study: Study, trial: FrozenTrial, is_settled: Callable[[], bool]) -> Outcome:
        """Wait for the worker that asks.

        Args:
            study: The study.
            trial: The trial whose worker waits.
            is_settled: Whether there is an answer, or will be none.

        Returns:
            "settled"; "elected" if it is this worker's turn to ask; "timed out" after `MAX_ELECTION_TIMEOUTS` workers
            that have stored neither an answer nor a failure.
        """
        awaited, since, n_timeouts, is_said = -1, time.monotonic(), 0, False
        while True:
            # Before the records: an asker writes them before it steps aside.
            elected = self._elected(study, trial)
            if is_settled():
                return "settled"
            if elected.number == trial.number:
                return "elected"
            if n_timeouts >= MAX_ELECTION_TIMEOUTS:
                return "timed out"
            if not is_said:
                _log.info(
                    f"Trial {trial.number} waits for the worker of trial {elected.number}, which asks for a prior, "
                    f"{self.longest_wait:g} s at most."
                )
                is_said = True
            if elected.number != awaited:
                awaited, since = elected.number, time.monotonic()
            if time.monotonic() - since >= self.patience:
                # By this worker's own clock, from when it was the other one's turn: the next one has its time as well.
                self._dead(study).add(elected.number)
                n_timeouts += 1
                continue
            time.sleep(POLL_SECONDS)

    def _elected(self, study: Study, trial: FrozenTrial) -> FrozenTrial:
        """The lowest-numbered trial whose worker may be asking, else this one."""
        trials = all_trials(study)
        since = _asked_at(trials, trial)
        earlier = (other for other in trials if other.number < trial.number)
        may_ask = [other for other in earlier if self._may_ask(study, other, since)]
        return min(may_ask, key=lambda other: other.number, default=trial)

    def _may_ask(self, study: Study, other: FrozenTrial, since: float) -> bool:
        """Whether another trial's worker may be asking.

        Not one whose process has ended, and not one that came long before this trial (`since`). Of trials that came
        together none may outlive the others in anyone's eyes, or all that wait would take their turn at once; so the
        time of day decides only where no live worker can be left.
        """
        if other.state != TrialState.RUNNING or is_own(other) or other.number in self._dead(study):
            return False
        mark = asker(other)
        if mark is None:
            return self._may_arrive(study, other)
        # Before an asker's own time begins, it may have waited for `MAX_ELECTION_TIMEOUTS` others.
        is_old = since - mark.time >= self.patience or mark.age() >= self.patience + self.longest_wait
        return not (is_old or mark.is_dead())

    def _may_arrive(self, study: Study, other: FrozenTrial) -> bool:
        """Whether a trial that has said nothing may have begun only now."""
        started = timestamp(other.datetime_start)
        if started is None or abs(time.time() - started) >= MAX_ARRIVAL_AGE:
            return False
        first_seen = self._first_seen(study).setdefault(other.number, time.monotonic())
        return time.monotonic() - first_seen < ARRIVAL_SECONDS


def _asked_at(trials: list[FrozenTrial], trial: FrozenTrial) -> float:
    """When a trial said that its worker may ask, else now."""
    mark = next((asker(other) for other in trials if other.number == trial.number), None)
    return time.time() if mark is None else mark.time
