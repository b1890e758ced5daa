"""What the runner's tests let it run: functions that a worker process can import."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import torch

from llm_prior_bo.compare.runner import Task, run_tasks

TASKS = [Task("p", "q", method, seed, 1) for method in ("a", "b") for seed in range(2)]


def describe(task: Task) -> dict[str, Any]:
    environment = os.environ.get("OMP_NUM_THREADS")
    return {"name": f"{task.method}{task.seed}", "threads": torch.get_num_threads(), "environment": environment}


def fail_for_b(task: Task) -> dict[str, Any]:
    if task.method == "b":
        raise ValueError("b is broken")
    return describe(task)


def unwritable_for_b(task: Task) -> dict[str, Any]:
    return {"value": object() if task.method == "b" else 1}


def interrupted_at_second_seed(task: Task) -> dict[str, Any]:
    if task.seed == 1:
        raise KeyboardInterrupt
    return describe(task)


def endless_at_second_seed(task: Task) -> dict[str, Any]:
    if task.seed == 1:
        time.sleep(600)
    return describe(task)


if __name__ == "__main__":
    run_tasks(TASKS, out=Path(sys.argv[1]), execute=endless_at_second_seed, n_workers=1)
