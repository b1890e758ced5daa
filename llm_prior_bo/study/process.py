"""Which process left a mark in a study, and whether it has ended.

A worker that was killed leaves its marks behind. A process on the same host is looked up at once; of one on another
host only the age of its mark can be judged, by the clock in the mark itself: it counts seconds since 1970, whatever the
time zones of the machines.
"""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

_PROC = Path("/proc")
_LATEST = 1e12  # some 30 000 years from 1970: no time that a clock shows


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """A process, and when it left the mark.

    Args:
        host: The machine since it was last started, and the part of it in which process numbers are unique.
        pid: Number of the process.
        started: When the process was started, in clock ticks since the machine was; `None` where that is unknown.
        time: When the mark was left, in seconds since 1970.
    """

    host: str
    pid: int
    started: int | None
    time: float

    def to_json(self) -> dict[str, Any]:
        """As the value of an attribute."""
        return asdict(self)

    @classmethod
    def read(cls, value: object) -> ProcessMark | None:
        """A mark from the value of an attribute, which is untrusted input; `None` if it is not one."""
        try:
            mark = _MARK.validate_json(json.dumps(value), strict=True)
        except (ValidationError, TypeError, ValueError, RecursionError):
            return None
        return mark if abs(mark.time) <= _LATEST else None  # nor NaN

    def age(self) -> float:
        """Seconds since the mark was left, by this machine's clock."""
        return time.time() - self.time

    def is_dead(self) -> bool:
        """Whether the process is known to have ended; `False` for one on another host."""
        if self.host != _host():
            return False
        if self.pid == os.getpid():
            return self.started != _start_time(self.pid)
        if os.name != "posix" or self.pid <= 0:  # on Windows signal 0 is not a question but Ctrl-C
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):  # it is there, but belongs to somebody else; or a number that cannot be one
            pass
        stat = _stat(self.pid)
        # Ended without anybody having asked how, or its number has been given to another process since.
        return stat is not None and (stat[0] == "Z" or self.started not in (None, stat[1]))


_MARK: TypeAdapter[ProcessMark] = TypeAdapter(ProcessMark)


def this_process() -> ProcessMark:
    """A mark of this process, left now."""
    return ProcessMark(_host(), os.getpid(), _start_time(os.getpid()), time.time())


def timestamp(moment: datetime | None) -> float | None:
    """Seconds since 1970; times without a zone, as Optuna writes them, are taken for this machine's local time."""
    try:
        return None if moment is None else moment.timestamp()
    except (OverflowError, OSError, ValueError):  # before 1970 or after 2038 on some systems
        return None


@lru_cache(maxsize=1)
def _host() -> str:
    """Host name, start of the machine and process namespace: containers share the first two."""
    parts = [socket.gethostname()]
    try:
        parts.append((_PROC / "sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink(_PROC / "self/ns/pid"))
    except OSError:  # not Linux: there the host name has to do
        pass
    return " ".join(parts)


def _start_time(pid: int) -> int | None:
    stat = _stat(pid)
    return None if stat is None else stat[1]


def _stat(pid: int) -> tuple[str, int] | None:
    """State and start time of a process on Linux, `None` elsewhere."""
    try:
        # The second field, the name in parentheses, may hold anything; the state is the 3rd, the start time the 22nd.
        after_name = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return after_name[0], int(after_name[19])
    except (OSError, ValueError, IndexError):
        return None
