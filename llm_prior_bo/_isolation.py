"""One torch thread, a private random state and the CPU around model code."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from linear_operator.utils.warnings import NumericalWarning

_lock = threading.RLock()


@contextmanager
def isolated_torch(seed: int) -> Iterator[None]:
    """Run model code reproducibly and leave no trace.

    * BoTorch draws from torch's global generator (start points, baseline pruning, quasi-random seeds), so the state is
      forked and seeded here, and restored afterwards. That state is shared by all threads of a process, hence the lock.
    * Two torch threads are many times slower than one where cores are shared, so one is forced and restored.
    * A default device or dtype set by the user's own training code must not reach the surrogate.
    * The jitter that a covariance matrix gets where points nearly coincide is no news to the user, and must not end a
      study whose warnings are errors.

    Args:
        seed: Seed of everything drawn inside.
    """
    with _lock:
        n_threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
        try:
            torch.set_num_threads(1)
            torch.set_default_dtype(torch.float64)
            with _cpu(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                warnings.simplefilter("ignore", NumericalWarning)
                torch.manual_seed(seed)
                yield
        finally:
            torch.set_default_dtype(dtype)
            torch.set_num_threads(n_threads)


def _cpu() -> AbstractContextManager[object]:
    """The CPU as the default device; nothing where it is already, for the context costs time at every operation."""
    return nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu")
