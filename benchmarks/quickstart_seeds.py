"""The comparison of `examples/basic_usage.py` over more seeds and trials.

    python -m benchmarks.quickstart_seeds --out quickstart_seeds.jsonl --seeds 5

A seed changes the split of the data, the networks' random starts and the sampler; the language model's answer is the
recorded one throughout. The same command takes up an interrupted benchmark again, and more seeds can be added later.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# The examples are scripts that stand alone, and import each other so.
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from basic_usage import be_quiet_and_quick, best_after, checkpoints, run, samplers, seconds

from benchmarks.harness.arguments import new_parser, positive
from llm_prior_bo.compare.markdown import markdown_table
from llm_prior_bo.compare.runner import Record, Task, run_tasks
from llm_prior_bo.compare.statistics import Comparison, Quartiles

SAMPLERS = tuple(samplers())
SUBJECT = SAMPLERS[0]


def run_task(task: Task) -> dict[str, Any]:
    """Best validation error so far, in percent, after each trial; the test error; the duration of the study."""
    study = run(task.method, task.seed, n_trials=task.n_trials)
    return {
        "best": [100 * best_after(n, study) for n in range(1, task.n_trials + 1)],
        "test_error": 100 * study.user_attrs["test_error"],
        "seconds": seconds(study),
    }


def complete(path: Path, *, methods: Sequence[str], seeds: Sequence[int], n_trials: int) -> list[Record]:
    """Do the runs that are missing, one seed after the other, and give all that were asked for.

    Raises:
        RuntimeError: If a run failed.
    """
    tasks = [Task("digits", "recorded", method, seed, n_trials) for seed in seeds for method in methods]
    records = run_tasks(tasks, out=path, execute=run_task, n_workers=0, on_record=_print_record)
    if failed := [record["error"] for record in records if record["error"] is not None]:
        raise RuntimeError(f"{len(failed)} runs failed; run again to retry. The first one:\n{failed[0]}")
    return records


def _print_record(record: Record) -> None:
    result = "failed" if record["error"] is not None else f"{record['best'][-1]:.2f} %"
    print(f"seed {record['seed']}  {record['method']}: {result}", flush=True)


def columns(n_trials: int) -> dict[str, Callable[[Record], float]]:
    """Title of each column of the tables, and what it shows of a run."""
    after = {f"{n} trials": lambda record, n=n: record["best"][n - 1] for n in checkpoints(n_trials)}
    return {**after, "test error": lambda record: record["test_error"]}


def quartiles_table(records: Sequence[Record], *, n_trials: int) -> str:
    """Median (lower quartile .. upper quartile) over the seeds, one row for each sampler."""
    rows = []
    for method in dict.fromkeys(record["method"] for record in records):
        own = [record for record in records if record["method"] == method]
        cells = {
            title: Quartiles.of([value(record) for record in own]).text(".2f")
            for title, value in columns(n_trials).items()
        }
        duration = Quartiles.of([record["seconds"] for record in own]).text(".0f")
        rows.append({"best validation error after": method, **cells, "seconds": duration})
    return markdown_table(rows)


def wins_table(records: Sequence[Record], *, n_trials: int) -> str:
    """In how many seeds the language model's prior is better than, level with and worse than each other sampler."""
    by_seed = {(record["method"], record["seed"]): record for record in records}
    rows = []
    for method in dict.fromkeys(method for method, _ in by_seed if method != SUBJECT):
        pairs = [(record, by_seed[method, seed]) for (own, seed), record in by_seed.items() if own == SUBJECT]
        cells = {
            title: str(Comparison.of([(value(ours), value(theirs)) for ours, theirs in pairs]))
            for title, value in columns(n_trials).items()
        }
        rows.append({f"{SUBJECT}: better-equal-worse than": method, **cells})
    return markdown_table(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what is missing and print the tables."""
    parser = new_parser(__doc__)
    parser.add_argument("--out", type=Path, default=Path("quickstart_seeds.jsonl"), help="file of results")
    parser.add_argument("--seeds", type=positive, default=5, help="number of seeds (default: 5)")
    parser.add_argument("--trials", type=positive, default=25, help="trials for each sampler (default: 25)")
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=list(SAMPLERS), help="which ones to run")
    options = parser.parse_args(arguments)
    be_quiet_and_quick()
    records = complete(options.out, methods=options.samplers, seeds=range(options.seeds), n_trials=options.trials)
    print(f"\nErrors in percent: median (quartiles) of {options.seeds} seeds\n")
    print(quartiles_table(records, n_trials=options.trials))
    if SUBJECT in options.samplers and len(options.samplers) > 1:
        print(f"\n{wins_table(records, n_trials=options.trials)}")


if __name__ == "__main__":
    main()
