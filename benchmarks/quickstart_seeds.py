"""The comparison of `examples/quickstart.py` over several seeds.

    python benchmarks/quickstart_seeds.py --out quickstart_seeds.jsonl --seeds 5

A seed changes the split of the data, the networks' random starts and the sampler; the language model's answer is the
recorded one throughout. Every finished run is one line of the file. Runs that are in it are not repeated: the same
command takes up an interrupted benchmark again, and more seeds can be added later.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import optuna

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from digits import DigitsTask, use_one_thread
from quickstart import LABELS, run
from report import Run, aligned, checkpoints

Runs = dict[tuple[str, int], Run]
"""Finished runs by sampler (a key of `LABELS`) and seed."""


def read_runs(path: Path, *, n_trials: int) -> Runs:
    """The runs of `n_trials` trials in a file, which need not exist."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    records = [record for record in map(_parse, lines) if record is not None and len(record["errors"]) == n_trials]
    return {(record.pop("sampler"), record.pop("seed")): _as_run(record) for record in records}


def _parse(line: str) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:  # the line that was being written when the benchmark was interrupted
        return None
    return record


def _as_run(record: dict[str, Any]) -> Run:
    return Run(**{**record, "errors": tuple(record["errors"])})


def append_run(path: Path, run: Run, *, sampler: str, seed: int) -> None:
    """Add one line."""
    line = json.dumps({"sampler": sampler, "seed": seed, **asdict(run)})
    cut_off = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    with path.open("a", encoding="utf-8") as file:
        file.write(("\n" if cut_off else "") + line + "\n")


def complete(path: Path, *, samplers: Sequence[str], seeds: Sequence[int], n_trials: int) -> Runs:
    """Do the runs that are missing, one seed after the other, and give all that were asked for."""
    done = read_runs(path, n_trials=n_trials)
    for seed in seeds:
        task = DigitsTask.load(seed=seed)
        for sampler in samplers:
            if (sampler, seed) not in done:
                done[sampler, seed] = run(sampler, task, n_trials=n_trials, seed=seed, model=None, quiet=True)
                append_run(path, done[sampler, seed], sampler=sampler, seed=seed)
                print(f"seed {seed}  {LABELS[sampler]}: {done[sampler, seed].best_after(n_trials):.2%}", flush=True)
    return {(sampler, seed): done[sampler, seed] for sampler in samplers for seed in seeds}


def quartiles_table(runs: Runs, *, n_trials: int) -> str:
    """Median (lower quartile .. upper quartile) over the seeds, one row for each sampler."""
    samplers, marks = list(dict.fromkeys(sampler for sampler, _ in runs)), checkpoints(n_trials)
    head = ["best validation error after", *(f"{n} trials" for n in marks), "test error", "seconds"]
    body = []
    for sampler in samplers:
        own = [run for (name, _), run in runs.items() if name == sampler]
        validation = [_quartiles([100 * run.best_after(n) for run in own], digits=2) for n in marks]
        test = _quartiles([100 * run.test_error for run in own], digits=2)
        body.append([LABELS[sampler], *validation, test, _quartiles([run.seconds for run in own], digits=0)])
    return aligned([head, *body], numbers_from=1)


def _quartiles(values: Sequence[float], *, digits: int) -> str:
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{median:.{digits}f} ({low:.{digits}f} .. {high:.{digits}f})"


def wins_table(runs: Runs, *, n_trials: int, subject: str = "llm") -> str:
    """In how many seeds the subject is better than, level with and worse than each other sampler."""
    samplers = [sampler for sampler in dict.fromkeys(name for name, _ in runs) if sampler != subject]
    seeds, marks = [seed for name, seed in runs if name == subject], checkpoints(n_trials)
    rows = [[f"{LABELS[subject]}: better-equal-worse than", *(f"{n} trials" for n in marks), "test error"]]
    for sampler in samplers:
        pairs = [(runs[subject, seed], runs[sampler, seed]) for seed in seeds]
        cells = [_record([(a.best_after(n), b.best_after(n)) for a, b in pairs]) for n in marks]
        rows.append([LABELS[sampler], *cells, _record([(a.test_error, b.test_error) for a, b in pairs])])
    return aligned(rows, numbers_from=1)


def _record(pairs: Sequence[tuple[float, float]]) -> str:
    wins, losses = sum(a < b for a, b in pairs), sum(a > b for a, b in pairs)
    return f"{wins}-{len(pairs) - wins - losses}-{losses}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("quickstart_seeds.jsonl"), help="file of results")
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds, counted from 0 (default: 5)")
    parser.add_argument("--trials", type=int, default=25, help="trials for each sampler (default: 25)")
    parser.add_argument("--samplers", nargs="+", choices=LABELS, default=list(LABELS), help="which ones to run")
    options = parser.parse_args(arguments)
    if options.seeds < 1 or options.trials < 1:
        parser.error(f"expected at least one seed and one trial, got {options.seeds} and {options.trials}")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    use_one_thread()
    runs = complete(options.out, samplers=options.samplers, seeds=range(options.seeds), n_trials=options.trials)
    print(f"\nErrors in percent: median (quartiles) of {options.seeds} seeds\n")
    print(quartiles_table(runs, n_trials=options.trials))
    if "llm" in options.samplers and len(options.samplers) > 1:
        print(f"\n{wins_table(runs, n_trials=options.trials)}")


if __name__ == "__main__":
    main()
