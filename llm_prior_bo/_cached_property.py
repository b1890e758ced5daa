"""A property that is worked out once, and that a forked child can use."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

_Value = TypeVar("_Value")


class cached_property(functools.cached_property[_Value]):
    """As `functools.cached_property` is from Python 3.12 on: without a lock.

    Python 3.11 holds a lock, one for all objects of a class, while the value is worked out. A child that is forked
    meanwhile inherits it held, by a thread that it does not have, and waits for ever. Without it two threads may both
    work out the value, which does no harm.
    """

    def __init__(self, func: Callable[[Any], _Value]) -> None:
        super().__init__(func)
        self.lock = nullcontext()
