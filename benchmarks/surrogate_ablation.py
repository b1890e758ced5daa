"""What the surrogate's choices are worth: the outcome transform, the kernel with its prior, and the zero mean.

    python benchmarks/surrogate_ablation.py --data FOLDER --out ablation.jsonl --seeds 8 --processes 2

FOLDER is that of `engine.py`. Two of the tasks have the heavy tails that spoil a plain standardisation: the mean
squared error of a table of networks without the logarithm, and a task whose bad configurations "diverge" to ten times
their error. Every variant replaces one function of the surrogate and leaves the rest as it is.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))

import engine
import torch
from botorch.models.utils.gpytorch_modules import get_covar_module_with_dim_scaled_prior
from gpytorch.means import ConstantMean
from torch import Tensor

from llm_prior_bo import surrogate

TASKS = ("fcnet_slice_localization, raw error", "lcbench_126026, diverging", "lcbench_126026", "hpobench_nn_phoneme")


class _Wrapped:
    """A task whose values are transformed."""

    def __init__(self, task: Any, transform: Callable[[float], float]) -> None:
        self._task, self._transform = task, transform

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def evaluate(self, config: dict[str, Any]) -> float:
        return self._transform(self._task.evaluate(config))


_load = engine.load_task


def load_task(data: Path, name: str) -> Any:
    """A task of the collection, or one of the heavy-tailed ones made from it."""
    task = _load(data, name.split(",")[0])
    if name.endswith("raw error"):
        return _Wrapped(task, lambda y: math.pow(10.0, y))
    if name.endswith("diverging"):
        return _Wrapped(task, lambda y: 10.0 * y if y > 0.2 else y)
    return task


def _plain(y: Tensor) -> Tensor:
    """Mean 0, standard deviation 1, nothing else."""
    deviation = y.std(correction=0)
    return (y - y.mean()) / deviation if float(deviation) > 1e-12 else torch.zeros_like(y)


VARIANTS: dict[str, dict[str, Any]] = {
    "as shipped": {},
    "plain outcomes": {"standardize_outcome": _plain},
    "BoTorch's kernel": {"_kernel": get_covar_module_with_dim_scaled_prior},
    "fitted mean": {"_mean": ConstantMean},
}


def run(data: Path, task: str, variant: str, seed: int, n_trials: int) -> engine.Study:
    """Run one study under one variant."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(engine, "load_task", load_task))
        for name, function in VARIANTS[variant].items():
            stack.enter_context(mock.patch.object(surrogate, name, function))
        study = engine.run(data, task, "no prior", seed, n_trials)
    return replace(study, method=variant)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with suite.py")
    parser.add_argument("--out", type=Path, default=Path("ablation.jsonl"), help="file of results")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args(arguments)
    studies = engine.read(options.out)
    done = {(study.task, study.method, study.seed) for study in studies}
    wanted = [(t, v, s) for s in range(options.seeds) for t in TASKS for v in VARIANTS]
    with ProcessPoolExecutor(options.processes) as pool:
        jobs = [pool.submit(run, options.data, *key, options.trials) for key in wanted if key not in done]
        for job in as_completed(jobs):
            studies.append(job.result())
            with options.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(studies[-1])) + "\n")
    print(engine.table(studies, engine.CHECKPOINTS))
    print("\n" + engine.comparison(studies, engine.CHECKPOINTS, subject="as shipped"))


if __name__ == "__main__":
    main()
