"""Is the engine without a prior as good as Optuna's own samplers?

    python -m benchmarks.engine --data FOLDER --out engine.jsonl --seeds 8 --trials 50 --workers 2

FOLDER holds `suite.py`, a collection of real hyperparameter-optimisation tables and surrogates. `LLMPriorSampler` runs
with a uniform density ("no prior"), so that only its surrogate, its start-up design and its maximisation of the
acquisition function are compared. "no opinion" is the same from an answer that says nothing and without
`search_space=`: conditional parameters are then drawn independently, as `GPSampler` does. The same command takes up an
interrupted run again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler

from benchmarks.harness.arguments import add_run_options, new_parser
from benchmarks.harness.hpo_tasks import distributions, load_task, run_trials
from llm_prior_bo import FixedElicitor, LLMPriorSampler, PriorAnswer, SearchSpace, UniformPrior
from llm_prior_bo.compare.markdown import markdown_table
from llm_prior_bo.compare.runner import Record, Task, finished, run_tasks
from llm_prior_bo.compare.statistics import Comparison, Quartiles

TASKS = (
    "lcbench_126026",
    "lcbench_168330",
    "rbv2_xgboost_1494",
    "rbv2_xgboost_40499",
    "fcnet_slice_localization",
    "hpobench_nn_phoneme",
)
NO_PRIOR = "no prior"
CHECKPOINTS = (10, 20, 50)


def _no_opinion(seed: int) -> BaseSampler:
    answer = FixedElicitor(PriorAnswer.by_hand())
    return LLMPriorSampler(elicitor=answer, seed=seed, warn_independent_sampling=False)  # it is what is measured


METHODS: Mapping[str, Callable[[Any, int], BaseSampler]] = {
    NO_PRIOR: lambda task, seed: LLMPriorSampler(prior=UniformPrior(SearchSpace(distributions(task))), seed=seed),
    "no opinion": lambda _, seed: _no_opinion(seed),
    "GPSampler": lambda _, seed: optuna.samplers.GPSampler(seed=seed),
    "TPESampler": lambda _, seed: optuna.samplers.TPESampler(seed=seed),
    "RandomSampler": lambda _, seed: optuna.samplers.RandomSampler(seed=seed),
}


def run_study(task: Task, *, data: Path, load: Callable[[Path, str], Any] = load_task) -> dict[str, Any]:
    """Run one study.

    Args:
        task: `problem` is the task's name; `prior` is unused.
        data: The folder of the tasks.
        load: Gives a task of that folder by its name.

    Returns:
        Values of all trials, and seconds.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problem = load(data, task.problem)
    study = optuna.create_study(sampler=METHODS[task.method](problem, task.seed))
    return run_trials(study, problem, n_trials=task.n_trials)


def make_tasks(names: Sequence[str], methods: Sequence[str], *, n_seeds: int, n_trials: int) -> list[Task]:
    """All combinations."""
    return [Task(name, "none", m, seed, n_trials) for seed in range(n_seeds) for name in names for m in methods]


def best_after(record: Record, n: int) -> float:
    """Best value of the first `n` trials."""
    return float(np.nanmin(np.array(record["values"][:n], dtype=np.float64)))


def table(records: Sequence[Record], checkpoints: Sequence[int]) -> str:
    """Median and quartiles of the best value, a row for each task and method."""
    rows = []
    for problem, method in dict.fromkeys((r["problem"], r["method"]) for r in _by_problem(records)):
        own = [r for r in records if (r["problem"], r["method"]) == (problem, method)]
        best = {f"best after {n}": Quartiles.of([best_after(r, n) for r in own]).text(".4f") for n in checkpoints}
        seconds = {"seconds": f"{np.median([r['seconds'] for r in own]):.1f}"}
        rows.append({"task": problem, "method": method, "seeds": str(len(own)), **best, **seconds})
    return markdown_table(rows)


def comparison(records: Sequence[Record], checkpoints: Sequence[int], *, subject: str) -> str:
    """Paired by seed: how often the subject is better than, level with and worse than every other method."""
    by_key = {(r["problem"], r["method"], r["seed"]): r for r in records}
    rows = []
    for problem, method in dict.fromkeys((r["problem"], r["method"]) for r in _by_problem(records)):
        seeds = sorted(s for p, m, s in by_key if (p, m) == (problem, method) and (problem, subject, s) in by_key)
        if method == subject or not seeds:
            continue
        pairs = [(by_key[problem, subject, seed], by_key[problem, method, seed]) for seed in seeds]
        wins = {
            f"after {n}": str(Comparison.of((best_after(a, n), best_after(b, n)) for a, b in pairs))
            for n in checkpoints
        }
        rows.append({"task": problem, f"{subject}: better-level-worse than": method, **wins})
    return markdown_table(rows)


def _by_problem(records: Sequence[Record]) -> list[Record]:
    return sorted(records, key=lambda record: str(record["problem"]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing and print the tables."""
    parser = new_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with suite.py")
    add_run_options(parser, seeds=8, trials=50)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=[NO_PRIOR, "GPSampler"])
    options = parser.parse_args(arguments)
    tasks = make_tasks(options.tasks, options.methods, n_seeds=options.seeds, n_trials=options.trials)
    execute = functools.partial(run_study, data=options.data)
    print_tables(run_tasks(tasks, out=options.out, execute=execute, n_workers=options.workers), subject=NO_PRIOR)


def print_tables(records: Sequence[Record], *, subject: str) -> None:
    """Print the tables of the finished studies, whose length is the same."""
    done = finished(records)
    checkpoints = [n for n in CHECKPOINTS if all(n <= record["n_trials"] for record in done)]
    print(f"{table(done, checkpoints)}\n\n{comparison(done, checkpoints, subject=subject)}")
    if len(done) < len(records):
        print(f"\n{len(records) - len(done)} failed studies are left out; run again to retry.")


if __name__ == "__main__":
    main()
