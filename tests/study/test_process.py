"""Marks of processes: who left them, and whether they are still there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from llm_prior_bo.study import process
from llm_prior_bo.study.process import ProcessMark, this_process, timestamp


def running() -> tuple[subprocess.Popen[bytes], ProcessMark]:
    """Another process, and the mark that it would leave."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    return child, replace(this_process(), pid=child.pid, started=process._start_time(child.pid))


def end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.communicate()


def test_this_process_is_alive() -> None:
    mark = this_process()
    assert mark.pid == os.getpid()
    assert 0 <= mark.age() < 60
    assert not mark.is_dead()


def test_a_mark_is_an_attribute() -> None:
    mark = this_process()
    assert ProcessMark.read(json.loads(json.dumps(mark.to_json()))) == mark


def test_another_process_until_it_ends() -> None:
    child, mark = running()
    assert not mark.is_dead()
    end(child)
    assert mark.is_dead()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the state of a process is read from /proc")
def test_a_process_that_nobody_has_reaped() -> None:
    child, mark = running()
    assert child.stdin is not None
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert mark.is_dead()
    end(child)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="start times are read from /proc")
def test_a_number_that_was_given_anew() -> None:
    child, mark = running()
    assert replace(mark, started=(mark.started or 0) + 1).is_dead()
    assert replace(this_process(), started=1).is_dead()
    end(child)


def test_where_start_times_are_unknown_the_number_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    child, mark = running()
    monkeypatch.setattr(process, "_stat", lambda _: None)
    mark = replace(mark, started=None)
    assert not mark.is_dead()
    end(child)
    assert mark.is_dead()


def test_of_another_host_nothing_is_known() -> None:
    child, mark = running()
    end(child)
    assert not replace(mark, host="elsewhere").is_dead()


def test_no_signal_is_sent_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """There signal 0 is Ctrl-C."""
    child, mark = running()
    end(child)
    monkeypatch.setattr(os, "name", "nt")
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("a signal was sent"))
    assert not mark.is_dead()


def test_a_process_of_somebody_else_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError

    child, mark = running()
    with monkeypatch.context() as patched:
        patched.setattr(os, "kill", refuse)
        assert not mark.is_dead()
    end(child)


def mark_with(**fields: Any) -> dict[str, Any]:
    return {"host": "h", "pid": 1, "started": None, "time": 0.0, **fields}


NO_MARKS: list[Any] = [
    *[None, True, 5, "x", [], {}, {"host": "h"}, mark_with(host=1)],
    *[mark_with(pid=pid) for pid in ("1", 1.5, True, None)],
    *[mark_with(started=started) for started in ("1", 1.5, True)],
    *[mark_with(time=left) for left in ("1", None, True, "now")],
]


@pytest.mark.parametrize("value", NO_MARKS)
def test_what_is_not_a_mark(value: object) -> None:
    assert ProcessMark.read(value) is None


@pytest.mark.parametrize("pid", [0, -1, 10**30])
def test_numbers_that_no_process_has(pid: int) -> None:
    assert replace(this_process(), pid=pid).is_dead() in (True, False)


@pytest.mark.parametrize("left", [float("inf"), float("-inf"), float("nan"), 10**400])
def test_times_that_are_none(left: float) -> None:
    mark = ProcessMark.read({"host": "h", "pid": 1, "started": None, "time": left})
    assert mark is None or abs(mark.age()) < 1e13


def test_times_with_and_without_a_zone() -> None:
    now = datetime.now()
    assert timestamp(now) == pytest.approx(time.time(), abs=60)
    east = timezone(timedelta(hours=9))
    assert timestamp(datetime(2024, 5, 1, 12, tzinfo=UTC)) == timestamp(datetime(2024, 5, 1, 21, tzinfo=east))
    assert timestamp(None) is None
