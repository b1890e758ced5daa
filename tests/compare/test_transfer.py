from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from llm_prior_bo.compare.runner import Task
from llm_prior_bo.compare.transfer import transferred
from llm_prior_bo.errors import ConfigurationError
from tests.compare.work import describe
from tests.scripts import run_python

TASK = Task("p", "q", "a", 0, 1)


def test_a_lambda() -> None:
    offset = 3
    assert transferred(lambda task: {"seed": task.seed + offset})(TASK) == {"seed": 3}


def test_without_cloudpickle_a_function_of_a_module_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    assert transferred(describe)(TASK)["name"] == "a0"
    with pytest.raises(ConfigurationError, match=r"n_jobs=1.*pip install 'llm-prior-bo\[compare\]'"):
        transferred(lambda task: {"seed": task.seed})


def test_what_cannot_be_pickled_is_told() -> None:
    lock = threading.Lock()

    def locked(task: Task) -> Mapping[str, Any]:
        with lock:
            return {"seed": task.seed}

    with pytest.raises(ConfigurationError, match=r"got TypeError: cannot pickle '_thread.lock' object; give n_jobs=1"):
        transferred(locked)


def test_a_function_of_a_notebook_reaches_another_process() -> None:
    # The code of `python -c` is in `__main__` without a file, as in a notebook.
    script = """
        import optuna
        from llm_prior_bo import compare

        if __name__ == "__main__":
            offset = 5.0
            def objective(trial):
                return trial.suggest_float("x", 0.0, 1.0) + offset
            samplers = {"a": lambda seed: optuna.samplers.RandomSampler(seed=seed), "b": optuna.samplers.TPESampler}
            result = compare(objective, samplers, 2, seeds=1, n_jobs=2, show_progress_bar=False)
            print(bool((result.to_frame()["value"] >= 5.0).all()), len(result.to_frame()))
    """
    assert run_python(script).strip() == "True 4"
