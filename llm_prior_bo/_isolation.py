"""Settings that model code needs, for the calling thread alone: the user's process is not ours.

Nothing that other threads can see is changed, for however short: no default dtype, no global generator, no number of
threads of the process. What is set here belongs to the calling thread in PyTorch, OpenMP and NumPy; dtypes and
generators are arguments everywhere else in the package.
"""

from __future__ import annotations

import ctypes
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import cache, wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
import torch
from botorch.exceptions.warnings import BotorchWarning
from linear_operator.utils.warnings import NumericalWarning
from threadpoolctl import ThreadpoolController

# PyTorch imports SymPy when GPyTorch makes its first kernel, and SymPy adds to the warning filters of the process.
# Here, where the package is imported and no study runs yet, they can be put back.
with warnings.catch_warnings():
    import sympy as sympy


_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


@contextmanager
def isolated_torch() -> Iterator[None]:
    """Run model code with settings of its own, in this thread.

    * One OpenMP thread: two are many times slower than one where cores are shared. The number belongs to the thread
      (`omp_set_num_threads`), while `torch.set_num_threads` also sets that of threads that start later.
      And one thread of MKL, which has a number of its own once `torch.set_num_threads` was called. A child that was
      forked after OpenMP had several threads would wait for them for ever.
    * The CPU as default device, no autocast, no inference mode, gradients on: the user's training code may have set
      any of them in the thread that asks for a suggestion.
    * NumPy's floating-point errors are ignored: underflow is what a density far away is expected to do.
    * Where no other thread could see it, remarks on the jitter of nearly singular matrices are left out; see
      `without_remarks` for where one could.
    """
    # PyTorch gives a thread the user's number of threads when it first computes in it. Let it be before that number is
    # changed here, or the thread would be left with the one that it had without PyTorch.
    torch.get_num_threads()
    with ExitStack() as stack:
        stack.enter_context(_openmp().limit(limits=1))
        stack.enter_context(_one_mkl_thread())
        stack.enter_context(np.errstate(all="ignore"))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(_without_autocast())
        stack.enter_context(_cpu())
        stack.enter_context(_without_remarks())
        yield


@cache
def _openmp() -> ThreadpoolController:
    """The OpenMP libraries of this process; looking for them takes milliseconds."""
    return ThreadpoolController().select(user_api="openmp")


@contextmanager
def _one_mkl_thread() -> Iterator[None]:
    set_threads = _mkl_function("MKL_Set_Num_Threads_Local")  # of the calling thread; returns what was set before
    if set_threads is None:
        yield
        return
    before = set_threads(1)
    try:
        yield
    finally:
        set_threads(before)


@cache
def _mkl_function(name: str) -> Callable[..., int] | None:
    """A function of the MKL that PyTorch is linked with; `None` where it has none, or keeps it to itself."""
    try:
        function: Callable[..., int] = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))[name]
    except (OSError, AttributeError):
        return None
    return function


def _cpu() -> AbstractContextManager[object]:
    """The CPU as the default device; nothing where it is already, for the context costs time at every operation."""
    return nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu")


def _without_autocast() -> AbstractContextManager[object]:
    if not torch.is_autocast_enabled("cpu"):
        return nullcontext()
    return torch.autocast("cpu", enabled=False)


def without_remarks(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Decorate a function that changes nothing: it is called again if a remark of BoTorch's was raised as an error.

    BoTorch and linear_operator remark on points that nearly coincide. That must not end a study whose warnings are
    errors, so for a user with such filters, and only then, they are changed for the second call.
    """

    @wraps(function)
    def quiet(*arguments: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        try:
            return function(*arguments, **options)
        except Warning as warning:
            if not (isinstance(warning, NumericalWarning | BotorchWarning) or _INFEASIBLE in str(warning)):
                raise
        with _filtered():
            return function(*arguments, **options)

    return quiet


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Leave out the remarks if this is the only thread: Python's warning filters are those of the whole process."""
    with nullcontext() if threading.active_count() > 1 else _filtered():
        yield


@contextmanager
def _filtered() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NumericalWarning)
        warnings.simplefilter("ignore", BotorchWarning)
        # Points that are feasible only just may all be infeasible in one of the samples.
        warnings.filterwarnings("ignore", _INFEASIBLE)
        yield


_INFEASIBLE = "When all training points are infeasible"
