"""Real hyperparameter-optimisation tasks: tables and surrogates that a folder of the user's has in `suite.py`."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Distributions = dict[str, BaseDistribution]

ALIASES = {
    "xgb_1494": "rbv2_xgboost_1494",
    "xgb_40499": "rbv2_xgboost_40499",
    "fcnet_protein": "fcnet_protein_structure",
}
"""Tasks that are not called as the recorded answer about them."""


def load_task(data: Path, name: str) -> Any:
    """A task of the collection; tasks of XGBoost and of SVMs that it does not list are made from its surrogates.

    Args:
        data: The folder with `suite.py`.
        name: The task's name, or that of the answer about it.
    """
    if str(data) not in sys.path:
        sys.path.insert(0, str(data))
    suite = importlib.import_module("suite")
    name = ALIASES.get(name, name)
    if name in suite.TASKS:
        return suite.TASKS[name]
    if name.startswith("svm_"):
        return suite.Task(name, "profet", "surrogate", (name,), "", "", "error")
    family, instance = name.rsplit("_", 1)
    return suite.Task(name, "yahpo", "surrogate", (family, instance), "", "", "error")


def distributions(task: Any) -> Distributions:
    """The task's parameters, conditional ones included, as Optuna distributions."""

    def convert(row: dict[str, Any]) -> BaseDistribution:
        if row["type"] == "categorical":
            return CategoricalDistribution(list(row["choices"]))
        log = bool(row["log"]) and row["low"] > 0
        if row["type"] == "int":
            return IntDistribution(int(row["low"]), int(row["high"]), log=log)
        return FloatDistribution(row["low"], row["high"], log=log)

    return {row["name"]: convert(row) for row in task.space()}


def run_trials(study: optuna.Study, task: Any, *, n_trials: int) -> dict[str, Any]:
    """Run trials of a study on a task; conditional parameters are suggested only where they are active.

    Returns:
        `values` of all trials of the study, `None` for one without, and the `seconds` that these ones took.
    """
    started = time.perf_counter()
    study.optimize(lambda trial: task.evaluate(task.suggest(trial)), n_trials=n_trials)
    return {"values": [trial.value for trial in study.trials], "seconds": time.perf_counter() - started}
