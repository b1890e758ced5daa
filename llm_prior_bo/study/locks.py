"""Locks that a forked child can use.

A child process inherits the locks of its parent as they were at the fork, but not the threads that hold them: one that
another thread held is never released. So every lock of this package is made anew in the child.
"""

from __future__ import annotations

import os
import threading
from types import TracebackType
from typing import Any
from weakref import WeakSet


class ForkSafeLock:
    """A re-entrant lock, free in every forked child and in every copy. For `with` statements."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _locks.add(self)

    def renew(self) -> None:
        """Replace the lock by one that nobody holds."""
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, deep or pickled, is a lock of its own."""
        return ForkSafeLock, ()


_locks: WeakSet[ForkSafeLock] = WeakSet()


def _renew_all() -> None:
    for lock in list(_locks):
        lock.renew()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_renew_all)
