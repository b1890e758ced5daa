"""Functions sent to other processes, those of notebooks and lambdas too."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from llm_prior_bo.compare.runner import Execute, Task
from llm_prior_bo.errors import ConfigurationError


@dataclass(frozen=True)
class Transferred:
    """A pickled function of a task, which is read where it is called.

    Args:
        payload: The function, pickled.
    """

    payload: bytes

    def __call__(self, task: Task) -> Mapping[str, Any]:
        """Call the function; what goes wrong when it is read is an error of the task, not of its process."""
        return _loaded(self.payload)(task)


def transferred(execute: Execute) -> Transferred:
    """A function that can be sent to another process, with cloudpickle if it is installed.

    Args:
        execute: Does one task. Without cloudpickle, all that it refers to must be in modules that can be imported.

    Raises:
        ConfigurationError: If it cannot be pickled.
    """
    try:
        pickler = importlib.import_module("cloudpickle")
    except ImportError:
        pickler = pickle
    try:
        return Transferred(pickler.dumps(execute))
    except Exception as error:  # each object has its own
        raise ConfigurationError(
            f"Expected objectives and samplers that can be sent to other processes, got {type(error).__name__}: "
            f"{error}; give n_jobs=1, which needs no other process, open files and connections inside the objective, "
            "and for lambdas and notebooks run `pip install 'llm-prior-bo[compare]'`."
        ) from error


@lru_cache(maxsize=1)
def _loaded(payload: bytes) -> Execute:
    execute: Execute = pickle.loads(payload)
    return execute
