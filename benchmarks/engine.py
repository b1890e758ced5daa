"""Is the engine without a prior as good as Optuna's own samplers?

    python benchmarks/engine.py --data FOLDER --out engine.jsonl --seeds 8 --trials 50 --processes 2

FOLDER holds `suite.py`, a collection of real hyperparameter-optimisation tables and surrogates. `LLMPriorSampler` runs
with a uniform density ("no prior"), so that only its surrogate, its start-up design and its maximisation of the
acquisition function are compared. "no opinion" is the same from an answer that says nothing and without
`search_space=`: conditional parameters are then drawn independently, as `GPSampler` does. Every finished study is one
line of the file; the same command takes up an interrupted benchmark again.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch: more threads are slower on shared cores

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo import FixedElicitor, LLMPriorSampler, PriorAnswer, SearchSpace, UniformPrior

TASKS = (
    "lcbench_126026",
    "lcbench_168330",
    "rbv2_xgboost_1494",
    "rbv2_xgboost_40499",
    "fcnet_slice_localization",
    "hpobench_nn_phoneme",
)
CHECKPOINTS = (10, 20, 50)


@dataclass(frozen=True)
class Study:
    """One finished study: all objective values, minimised, in the order of the trials."""

    task: str
    method: str
    seed: int
    values: tuple[float, ...]
    seconds: float

    def best_after(self, n: int) -> float:
        """Best value of the first `n` trials."""
        return min(self.values[:n])


def load_task(data: Path, name: str) -> Any:
    """A task of the collection; XGBoost tasks that it does not list are made from its surrogate."""
    if str(data) not in sys.path:
        sys.path.insert(0, str(data))
    suite = importlib.import_module("suite")
    if name in suite.TASKS:
        return suite.TASKS[name]
    family, instance = name.rsplit("_", 1)
    return suite.Task(name, "yahpo", "surrogate", (family, instance), "", "", "error")


def distributions(task: Any) -> dict[str, BaseDistribution]:
    """The task's parameters, conditional ones included, as Optuna distributions."""

    def convert(row: dict[str, Any]) -> BaseDistribution:
        if row["type"] == "categorical":
            return CategoricalDistribution(list(row["choices"]))
        log = bool(row["log"]) and row["low"] > 0
        if row["type"] == "int":
            return IntDistribution(int(row["low"]), int(row["high"]), log=log)
        return FloatDistribution(row["low"], row["high"], log=log)

    return {row["name"]: convert(row) for row in task.space()}


def _no_prior(task: Any, seed: int) -> optuna.samplers.BaseSampler:
    return LLMPriorSampler(prior=UniformPrior(SearchSpace(distributions(task))), seed=seed)


def _no_opinion(_: Any, seed: int) -> optuna.samplers.BaseSampler:
    return LLMPriorSampler(elicitor=FixedElicitor(PriorAnswer.by_hand()), seed=seed)


METHODS: dict[str, Callable[[Any, int], optuna.samplers.BaseSampler]] = {
    "no prior": _no_prior,
    "no opinion": _no_opinion,
    "GPSampler": lambda _, seed: optuna.samplers.GPSampler(seed=seed),
    "TPESampler": lambda _, seed: optuna.samplers.TPESampler(seed=seed),
    "RandomSampler": lambda _, seed: optuna.samplers.RandomSampler(seed=seed),
}


def run(data: Path, name: str, method: str, seed: int, n_trials: int) -> Study:
    """Run one study."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    task = load_task(data, name)
    study = optuna.create_study(sampler=METHODS[method](task, seed))
    started = time.perf_counter()
    study.optimize(lambda trial: task.evaluate(task.suggest(trial)), n_trials=n_trials)
    values = tuple(trial.value for trial in study.trials if trial.value is not None)
    return Study(name, method, seed, values, time.perf_counter() - started)


def read(path: Path) -> list[Study]:
    """Studies in a file, which need not exist."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Study(**{**record, "values": tuple(record["values"])}) for record in map(json.loads, lines)]


def complete(options: argparse.Namespace) -> list[Study]:
    """Run the studies that are missing and give all that were asked for."""
    wanted = [(t, m, s) for s in range(options.seeds) for t in options.tasks for m in options.methods]
    studies = [study for study in read(options.out) if len(study.values) == options.trials]
    done = {(study.task, study.method, study.seed) for study in studies}
    with ProcessPoolExecutor(options.processes) as pool:
        jobs = [pool.submit(run, options.data, *key, options.trials) for key in wanted if key not in done]
        for job in as_completed(jobs):
            study = job.result()
            studies.append(study)
            with options.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(study)) + "\n")
    return [study for study in studies if (study.task, study.method, study.seed) in set(wanted)]


def table(studies: Sequence[Study], checkpoints: Sequence[int]) -> str:
    """Median and quartiles of the best value, a row for each task and method."""
    lines = [f"{'task':26s} {'method':16s}" + "".join(f"{f'best after {n}':>34s}" for n in checkpoints) + "  seconds"]
    for key in dict.fromkeys((study.task, study.method) for study in sorted(studies, key=lambda s: s.task)):
        own = [study for study in studies if (study.task, study.method) == key]
        quartiles = [np.quantile([study.best_after(n) for study in own], [0.5, 0.25, 0.75]) for n in checkpoints]
        cells = [f"{q[0]:.4f} ({q[1]:.4f} .. {q[2]:.4f})" for q in quartiles]
        seconds = np.median([study.seconds for study in own])
        lines.append(f"{key[0]:26s} {key[1]:16s}" + "".join(f"{cell:>34s}" for cell in cells) + f"{seconds:9.1f}")
    return "\n".join(lines)


def comparison(studies: Sequence[Study], checkpoints: Sequence[int], *, subject: str) -> str:
    """Paired by seed: how often the subject is better, level, worse, and the probability that it is no worse."""
    by_key = {(study.task, study.method, study.seed): study for study in studies}
    lines = [f"{subject} against (better-level-worse of the seeds)" + "".join(f"{n:>12d}" for n in checkpoints)]
    for task in dict.fromkeys(study.task for study in studies):
        for other in dict.fromkeys(study.method for study in studies if study.method != subject):
            seeds = sorted({s for t, m, s in by_key if (t, m) == (task, other) and (task, subject, s) in by_key})
            cells = []
            for n in checkpoints:
                pairs = [(by_key[task, subject, s].best_after(n), by_key[task, other, s].best_after(n)) for s in seeds]
                wins, losses = sum(a < b for a, b in pairs), sum(a > b for a, b in pairs)
                cells.append(f"{wins}-{len(pairs) - wins - losses}-{losses}")
            lines.append(f"{task:30s} {other:16s}" + "".join(f"{cell:>12s}" for cell in cells))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with suite.py")
    parser.add_argument("--out", type=Path, default=Path("engine.jsonl"), help="file of results")
    parser.add_argument("--seeds", type=int, default=8, help="number of seeds, counted from 0")
    parser.add_argument("--trials", type=int, default=50, help="trials of each study")
    parser.add_argument("--processes", type=int, default=1, help="studies at a time")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["no prior", "GPSampler"])
    options = parser.parse_args(arguments)
    studies = complete(options)
    checkpoints = [n for n in CHECKPOINTS if n <= options.trials]
    print(table(studies, checkpoints))
    if "no prior" in options.methods:
        print("\n" + comparison(studies, checkpoints, subject="no prior"))


if __name__ == "__main__":
    main()
