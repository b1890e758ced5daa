"""A call that ends in time, whatever it waits for."""

from __future__ import annotations

import contextvars
import ctypes
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


class DeadlineError(TimeoutError):
    """A call took longer than it may."""


def run_within(seconds: float, function: Callable[[], _Result]) -> _Result:
    """Call a function, and give up on it after a time.

    The time-outs of HTTP clients are for one piece of the answer, so a server that sends a byte now and then keeps
    them waiting for ever. The function runs in a thread of its own. When the time is over, an exception is raised
    in that thread as well: it ends, and closes its connection, as soon as it is given the next byte or its own
    time-out strikes.

    Args:
        seconds: How long to wait.
        function: What to call; takes nothing.

    Raises:
        DeadlineError: If there is no result in time.
        Exception: Whatever the function raises.
    """
    results: list[_Result] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            results.append(context.run(function))
        except BaseException as error:
            errors.append(error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=call, name="llm_prior_bo-request", daemon=True)
    thread.start()
    try:
        thread.join(seconds)
    finally:  # also if a person interrupts
        given_up = thread.is_alive()
        if given_up:
            _end(thread)
    if results:
        return results[0]
    if errors and not given_up:
        raise errors[0]
    raise DeadlineError(f"Expected an answer within {seconds:g} s, got none.")


def _end(thread: threading.Thread) -> None:
    """Raise an exception in another thread, the next time that it runs Python code."""
    if sys.implementation.name == "cpython" and thread.ident is not None:
        # Not an `Exception`: libraries on the way catch those and may try again.
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
