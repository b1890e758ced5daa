"""An optimiser behind the protocol that repeats the prior's modes, and moves on when it is told a value."""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.peers.worker_protocol import protocol_streams, serve


class Modes:
    def __init__(self, first: dict[str, Any]) -> None:
        print("this is no reply")  # goes to the error output
        self._first = first
        self._told = 0

    def ask(self, number: int) -> list[float]:
        if number == self._first["n_trials"]:
            sys.exit("that was all")
        modes = [parameter["mode"] for parameter in self._first["parameters"]]
        return [min(1.0, (mode or 0.0) + 0.1 * self._told) for mode in modes]

    def tell(self, number: int, value: float | None) -> None:  # noqa: ARG002
        self._told += value is not None


if __name__ == "__main__":
    serve(Modes, *protocol_streams())
