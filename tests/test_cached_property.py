"""Worked out once; and no lock is held meanwhile, which a child forked at that moment would wait for."""

from __future__ import annotations

import threading

from llm_prior_bo._cached_property import cached_property


class Slow:
    """Its value is there once it may be."""

    def __init__(self, may_go_on: threading.Event) -> None:
        self.started = threading.Event()
        self.may_go_on = may_go_on
        self.n_times = 0

    @cached_property
    def value(self) -> int:
        self.n_times += 1
        self.started.set()
        assert self.may_go_on.wait(600.0)
        return self.n_times


def test_it_is_worked_out_once() -> None:
    may_go_on = threading.Event()
    may_go_on.set()
    slow = Slow(may_go_on)
    assert (slow.value, slow.value, slow.n_times) == (1, 1, 1)


def test_another_object_does_not_wait() -> None:
    slow, quick = Slow(threading.Event()), Slow(threading.Event())
    quick.may_go_on.set()
    thread = threading.Thread(target=lambda: slow.value)
    thread.start()
    assert slow.started.wait(600.0)
    other = threading.Thread(target=lambda: quick.value)
    other.start()
    other.join(60.0)
    is_free = not other.is_alive()
    slow.may_go_on.set()
    thread.join()
    assert is_free
