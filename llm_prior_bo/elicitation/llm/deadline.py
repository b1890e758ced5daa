"""A call that ends in time, whatever it waits for."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


class DeadlineError(TimeoutError):
    """A call took longer than it may."""


def run_within(seconds: float, function: Callable[[], _Result]) -> _Result:
    """Call a function, and give up on it after a time.

    The time-outs of HTTP clients are for one piece of the answer, so a server that sends a byte now and then keeps
    them waiting without end. Hence the function runs in a thread of its own, and when the time is over the caller goes
    on without it.

    The thread is left alone then: it ends when the server closes the connection, sends the rest or is silent for the
    client's own time-out, and what it returns or raises is dropped. Until then it holds one connection and some
    memory. It is a daemon, so the process does not wait for it. (To raise an exception in it would be worse: it may
    hold a lock at that moment, for example that of a logging handler, which nobody would release.)

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
    thread.join(seconds)
    if results:
        return results[0]
    if errors:
        raise errors[0]
    raise DeadlineError(f"Expected an answer within {seconds:g} s, got none.")
