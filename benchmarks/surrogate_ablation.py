"""What the surrogate's choices are worth: the outcome transform, the kernel with its prior, and the zero mean.

    python -m benchmarks.surrogate_ablation --data FOLDER --out ablation.jsonl --seeds 8 --workers 2

FOLDER is that of `benchmarks.engine`. Two of the tasks have the heavy tails that spoil a plain standardisation: the
mean squared error of a table of networks without the logarithm, and a task whose bad configurations "diverge" to ten
times their error. Every variant replaces one function of the surrogate and leaves the rest as it is.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from botorch.fit import fit_gpytorch_mll
from botorch.models.gp_regression import SingleTaskGP
from botorch.models.utils.gpytorch_modules import get_covar_module_with_dim_scaled_prior
from gpytorch.means import ConstantMean
from gpytorch.mlls import ExactMarginalLogLikelihood
from torch import Tensor

from benchmarks import engine
from benchmarks.harness.arguments import add_run_options, new_parser
from benchmarks.harness.hpo_tasks import load_task
from llm_prior_bo.compare.runner import Task, run_tasks
from llm_prior_bo.models import surrogate

TASKS = ("fcnet_slice_localization, raw error", "lcbench_126026, diverging", "lcbench_126026", "hpobench_nn_phoneme")


class _Wrapped:
    """A task whose values are transformed."""

    def __init__(self, task: Any, transform: Callable[[float], float]) -> None:
        self._task, self._transform = task, transform

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def evaluate(self, config: dict[str, Any]) -> float:
        return self._transform(self._task.evaluate(config))


def load_variant(data: Path, name: str) -> Any:
    """A task of the collection, or one of the heavy-tailed ones made from it."""
    task = load_task(data, name.split(",")[0])
    if name.endswith("raw error"):
        return _Wrapped(task, lambda y: math.pow(10.0, y))
    if name.endswith("diverging"):
        return _Wrapped(task, lambda y: 10.0 * y if y > 0.2 else y)
    return task


def _plain(y: Tensor) -> Tensor:
    """Mean 0, standard deviation 1, nothing else."""
    deviation = y.std(correction=0)
    return (y - y.mean()) / deviation if float(deviation) > 1e-12 else torch.zeros_like(y)


def _fit_by_botorch(model: SingleTaskGP) -> None:
    """BoTorch's fit, which knows every kernel and mean; the package's own one is written for those that it ships."""
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    model.requires_grad_(False)
    model.eval()


AS_SHIPPED = "as shipped"
VARIANTS: Mapping[str, dict[str, Any]] = {
    AS_SHIPPED: {},
    "plain outcomes": {"standardize_outcome": _plain},
    "BoTorch's kernel": {"mixed_kernel": get_covar_module_with_dim_scaled_prior, "fit_process": _fit_by_botorch},
    "fitted mean": {"_mean": ConstantMean, "fit_process": _fit_by_botorch},
}
"""Variant -> functions of `llm_prior_bo.models.surrogate` that are replaced."""


def run_study(task: Task, *, data: Path) -> dict[str, Any]:
    """Run one study under the variant that `method` names."""
    changes = VARIANTS[task.method]
    with mock.patch.multiple(surrogate, **changes) if changes else nullcontext():
        return engine.run_study(replace(task, method=engine.NO_PRIOR), data=data, load=load_variant)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing and print the tables."""
    parser = new_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with suite.py")
    add_run_options(parser, seeds=8, trials=50)
    options = parser.parse_args(arguments)
    tasks = engine.make_tasks(TASKS, list(VARIANTS), n_seeds=options.seeds, n_trials=options.trials)
    execute = functools.partial(run_study, data=options.data)
    records = run_tasks(tasks, out=options.out, execute=execute, n_workers=options.workers)
    engine.print_tables(records, subject=AS_SHIPPED)


if __name__ == "__main__":
    main()
