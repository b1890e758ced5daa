"""The switch of the fast path: what is computed by this package in NumPy, and what by BoTorch and GPyTorch.

With tens of trials the matrices of a Gaussian process are tiny, and most of a suggestion's time in PyTorch goes into
starting small operations. So posterior, marginal likelihood, expected improvement and densities are written in NumPy
with their gradients (`docs/explanation/performance.md` has the figures). They compute the same as BoTorch and GPyTorch
do, and are left out if the environment variable `LLM_PRIOR_BO_FAST` is 0: the tests compare both.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

VARIABLE = "LLM_PRIOR_BO_FAST"
"""Environment variable: "0" switches the fast path off."""

_chosen: ContextVar[bool | None] = ContextVar("fast_path", default=None)


def is_fast() -> bool:
    """Whether the fast path is on in this thread."""
    chosen = _chosen.get()
    return os.environ.get(VARIABLE, "1") != "0" if chosen is None else chosen


@contextmanager
def fast_path(enabled: bool) -> Iterator[None]:
    """Switch the fast path on or off inside, in this thread only.

    Args:
        enabled: Whether it is on.
    """
    token = _chosen.set(enabled)
    try:
        yield
    finally:
        _chosen.reset(token)
