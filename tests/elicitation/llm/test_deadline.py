from __future__ import annotations

import contextvars
import threading
import time

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


def test_whoever_takes_too_long_is_ended() -> None:
    ended = threading.Event()

    def trickle() -> None:
        try:
            while True:
                time.sleep(0.01)
        except Exception:  # what a library does that tries again
            raise AssertionError from None
        finally:
            ended.set()

    with pytest.raises(DeadlineError, match=r"within 0\.05 s"):
        run_within(0.05, trickle)
    assert ended.wait(10.0)
    assert wait_until(lambda: all(t.name != "llm_prior_bo-request" for t in threading.enumerate()))
