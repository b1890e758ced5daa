"""How long to wait: before a request is repeated, and between any two requests."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from llm_prior_bo.errors import ConfigurationError

MAX_WAIT = 60.0
"""Seconds between two attempts at most; a server that wants more is taken for one that is down."""


@dataclass
class BackOff:
    """Waits that double, each shortened at random by up to half, so that workers do not come back all at once.

    Args:
        first: Seconds before the first repeated request; at most `MAX_WAIT` later on.
        rng: Source of the randomness.

    Raises:
        ConfigurationError: If `first` is not a number of at least 0.
    """

    first: float = 1.0
    rng: random.Random = field(default_factory=random.Random, repr=False)

    def __post_init__(self) -> None:
        if not self.first >= 0:
            raise ConfigurationError(f"Expected retry_wait >= 0 seconds, got {self.first!r}.")

    def seconds(self, attempt: int, asked: float | None = None) -> float | None:
        """Seconds to wait after an attempt, `None` if the server wants more than `MAX_WAIT`.

        Args:
            attempt: Number of the attempt that failed, from 1.
            asked: Seconds that the server asked to wait. They go before: never shorter, never longer.
        """
        if asked is not None:
            return asked if asked <= MAX_WAIT else None
        # 2 to the 60th is beyond any limit, and to the 1100th beyond any float.
        longest = min(self.first * 2.0 ** min(attempt - 1, 60), MAX_WAIT)
        return longest * (1.0 - 0.5 * self.rng.random())


class RateLimit:
    """Spreads the requests of one process evenly; threads share one and take turns.

    Args:
        per_minute: Most requests in a minute; `None` for no limit.
        sleep: Called with the seconds to wait.
        clock: Seconds that pass, from any start.

    Raises:
        ConfigurationError: If `per_minute` is not above 0.
    """

    def __init__(
        self,
        per_minute: float | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if per_minute is not None and not per_minute > 0:
            raise ConfigurationError(f"Expected requests_per_minute > 0, got {per_minute!r}; None is no limit.")
        self.interval = 0.0 if per_minute is None else 60.0 / per_minute
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._next_turn: float | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the lock and the turn: another process has its own."""
        return {**self.__dict__, "_lock": None, "_next_turn": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """With a new lock."""
        self.__dict__.update(state, _lock=threading.Lock())

    def wait(self) -> None:
        """Wait for the next turn, and take it."""
        if not self.interval:
            return
        with self._lock:  # not while sleeping: the others must be able to queue
            now = self._clock()
            turn = now if self._next_turn is None else max(now, self._next_turn)
            self._next_turn = turn + self.interval
        if turn > now:
            self._sleep(turn - now)
