"""Which worker of a study asks the language model: the one of the lowest-numbered trial that has not passed that point.

Trial numbers are unique on every storage, so no further coordination is needed (`docs/design.md`, many workers).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from optuna.trial import FrozenTrial, TrialState

from llm_prior_bo.study.storage import PerStudy, all_trials
from llm_prior_bo.study.trial_records import is_asking, is_own

if TYPE_CHECKING:
    from optuna import Study

POLL_SECONDS = 0.2
"""How often a worker looks whether the answer it waits for is there."""

MAX_ELECTION_TIMEOUTS = 2
"""How many workers one waits for before it goes on without an answer."""

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

    def is_elected(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether it is this trial's worker that asks."""
        return self._elected(study, trial).number == trial.number

    def is_somebody_asking(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the worker of a later trial is asking: this one may have been enqueued long before it started."""
        others = (other for other in all_trials(study) if other.number != trial.number and is_asking(other))
        return any(self._may_ask(study, other, trial) for other in others)

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
        awaited, since, n_timeouts = -1, time.monotonic(), 0
        while True:
            # Before the records: an asker writes them before it steps aside.
            elected = self._elected(study, trial)
            if is_settled():
                return "settled"
            if elected.number == trial.number:
                return "elected"
            if n_timeouts >= MAX_ELECTION_TIMEOUTS:
                return "timed out"
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
        earlier = (other for other in all_trials(study) if other.number < trial.number)
        may_ask = [other for other in earlier if self._may_ask(study, other, trial)]
        return min(may_ask, key=lambda other: other.number, default=trial)

    def _may_ask(self, study: Study, other: FrozenTrial, trial: FrozenTrial) -> bool:
        """Whether another trial's worker may be asking; one that began long before this trial is taken for dead.

        Not one that began long ago: of trials that began together none may outlive the others in anyone's eyes, or all
        that wait would take their turn at once.
        """
        if other.state != TrialState.RUNNING or is_own(other) or other.number in self._dead(study):
            return False
        if other.datetime_start is None or trial.datetime_start is None:
            return other.datetime_start is not None
        return (trial.datetime_start - other.datetime_start).total_seconds() < self.patience
