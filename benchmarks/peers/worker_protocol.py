"""The other side of `external.py`: it answers in lines of JSON. Nothing but the standard library is imported here."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO


def serve(start: Callable[[dict[str, Any]], Any], requests: TextIO, replies: TextIO) -> None:
    """Answer requests until there are no more.

    Args:
        start: Makes the optimiser from the first message; it has `ask(number)` and `tell(number, value)`.
        requests: Lines of JSON.
        replies: The same.
    """
    optimizer = start(json.loads(requests.readline()))
    for line in iter(requests.readline, ""):
        message = json.loads(line)
        if "ask" in message:
            replies.write(json.dumps(optimizer.ask(message["ask"])) + "\n")
            replies.flush()
        else:
            optimizer.tell(message["tell"], message["value"])


def protocol_streams() -> tuple[TextIO, TextIO]:
    """Standard input, and standard output as it was; what libraries print goes to the error output from now on."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return sys.stdin, replies
