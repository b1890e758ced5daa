from __future__ import annotations

import contextvars
import threading

import pytest

from llm_prior_bo.elicitation.llm.deadline import DeadlineError, run_within
from tests.elicitation.fake_server import wait_until

place: contextvars.ContextVar[str] = contextvars.ContextVar("place", default="elsewhere")


def test_result() -> None:
    assert run_within(60.0, lambda: 7) == 7


def test_the_functions_own_exception() -> None:
    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        run_within(60.0, fail)


def test_the_callers_context_is_seen() -> None:
    place.set("here")
    assert run_within(60.0, place.get) == "here"


def test_whoever_takes_too_long_is_left_alone() -> None:
    """No exception is raised in its thread: it ends when its own work does, with its locks released."""
    goes_on, ended, lock = threading.Event(), threading.Event(), threading.Lock()

    def wait() -> None:
        with lock:
            goes_on.wait(60.0)
        ended.set()

    with pytest.raises(DeadlineError, match=r"within 0\.05 s"):
        run_within(0.05, wait)
    assert lock.locked()
    (thread,) = (t for t in threading.enumerate() if t.name == "llm_prior_bo-request")
    assert thread.daemon
    goes_on.set()
    assert ended.wait(60.0)
    assert not lock.locked()
    thread.join(60.0)
    assert not thread.is_alive()


def test_an_exception_that_comes_too_late_is_dropped() -> None:
    goes_on = threading.Event()

    def fail() -> None:
        goes_on.wait(60.0)
        raise KeyError("late")

    with pytest.raises(DeadlineError):
        run_within(0.05, fail)
    goes_on.set()
    assert wait_until(lambda: all(t.name != "llm_prior_bo-request" for t in threading.enumerate()), seconds=60.0)
