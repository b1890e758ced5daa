"""The comparison of `examples/quickstart.py` over several seeds.

    python -m benchmarks.quickstart_seeds --out quickstart_seeds.jsonl --seeds 5

A seed changes the split of the data, the networks' random starts and the sampler; the language model's answer is the
recorded one throughout. The same command takes up an interrupted benchmark again, and more seeds can be added later.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import optuna

# The examples are scripts that stand alone, and import each other so.
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from digits import DigitsTask, use_one_thread
from quickstart import LABELS, run
from report import Run, aligned, checkpoints

from benchmarks.harness.arguments import new_parser, positive
from llm_prior_bo.compare.runner import Record, Task, run_tasks
from llm_prior_bo.compare.statistics import Comparison, Quartiles

Runs = dict[tuple[str, int], Run]
"""Finished runs by sampler (a key of `LABELS`) and seed."""


def run_task(task: Task) -> dict[str, Any]:
    """One run of the quickstart: the fields of a `Run`."""
    digits = DigitsTask.load(seed=task.seed)
    return asdict(run(task.method, digits, n_trials=task.n_trials, seed=task.seed, model=None, quiet=True))


def complete(path: Path, *, samplers: Sequence[str], seeds: Sequence[int], n_trials: int) -> Runs:
    """Do the runs that are missing, one seed after the other, and give all that were asked for.

    Raises:
        RuntimeError: If a run failed.
    """
    tasks = [Task("digits", "recorded", sampler, seed, n_trials) for seed in seeds for sampler in samplers]
    records = run_tasks(tasks, out=path, execute=run_task, n_workers=0, on_record=_print_record)
    if failed := [record["error"] for record in records if record["error"] is not None]:
        raise RuntimeError(f"{len(failed)} runs failed; run again to retry. The first one:\n{failed[0]}")
    return {(record["method"], record["seed"]): _as_run(record) for record in records}


def _as_run(record: Record) -> Run:
    own = {field.name: record[field.name] for field in fields(Run)}
    return Run(**{**own, "errors": tuple(record["errors"])})


def _print_record(record: Record) -> None:
    result = "failed" if record["error"] is not None else f"{_as_run(record).best_after(record['n_trials']):.2%}"
    print(f"seed {record['seed']}  {LABELS[record['method']]}: {result}", flush=True)


def quartiles_table(runs: Runs, *, n_trials: int) -> str:
    """Median (lower quartile .. upper quartile) over the seeds, one row for each sampler."""
    samplers, marks = list(dict.fromkeys(sampler for sampler, _ in runs)), checkpoints(n_trials)
    head = ["best validation error after", *(f"{n} trials" for n in marks), "test error", "seconds"]
    body = []
    for sampler in samplers:
        own = [run for (name, _), run in runs.items() if name == sampler]
        errors = [[100 * run.best_after(n) for run in own] for n in marks] + [[100 * run.test_error for run in own]]
        cells = [Quartiles.of(sample).text(".2f") for sample in errors]
        body.append([LABELS[sampler], *cells, Quartiles.of([run.seconds for run in own]).text(".0f")])
    return aligned([head, *body], numbers_from=1)


def wins_table(runs: Runs, *, n_trials: int, subject: str = "llm") -> str:
    """In how many seeds the subject is better than, level with and worse than each other sampler."""
    samplers = [sampler for sampler in dict.fromkeys(name for name, _ in runs) if sampler != subject]
    seeds, marks = [seed for name, seed in runs if name == subject], checkpoints(n_trials)
    rows = [[f"{LABELS[subject]}: better-equal-worse than", *(f"{n} trials" for n in marks), "test error"]]
    for sampler in samplers:
        pairs = [(runs[subject, seed], runs[sampler, seed]) for seed in seeds]
        errors = [[(a.best_after(n), b.best_after(n)) for a, b in pairs] for n in marks]
        errors.append([(a.test_error, b.test_error) for a, b in pairs])
        rows.append([LABELS[sampler], *(str(Comparison.of(sample)) for sample in errors)])
    return aligned(rows, numbers_from=1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what is missing and print the tables."""
    parser = new_parser(__doc__)
    parser.add_argument("--out", type=Path, default=Path("quickstart_seeds.jsonl"), help="file of results")
    parser.add_argument("--seeds", type=positive, default=5, help="number of seeds (default: 5)")
    parser.add_argument("--trials", type=positive, default=25, help="trials for each sampler (default: 25)")
    parser.add_argument("--samplers", nargs="+", choices=LABELS, default=list(LABELS), help="which ones to run")
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    use_one_thread()
    runs = complete(options.out, samplers=options.samplers, seeds=range(options.seeds), n_trials=options.trials)
    print(f"\nErrors in percent: median (quartiles) of {options.seeds} seeds\n")
    print(quartiles_table(runs, n_trials=options.trials))
    if "llm" in options.samplers and len(options.samplers) > 1:
        print(f"\n{wins_table(runs, n_trials=options.trials)}")


if __name__ == "__main__":
    main()
