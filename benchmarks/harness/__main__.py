"""Run the benchmark and read its results.

    python -m benchmarks.harness run --problems branin hartmann6 --priors strong wrong-narrow --seeds 0-10 \
        --trials 50 --workers 2 --out results.jsonl
    python -m benchmarks.harness report results.jsonl --figure regret.png

A run that was interrupted is taken up by the same command.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.arguments import add_run_options, new_parser, parse_seeds, positive
from benchmarks.harness.methods import METHODS
from benchmarks.harness.priors import PRIOR_KINDS
from benchmarks.harness.problems import PROBLEMS
from benchmarks.harness.report import draw
from benchmarks.harness.study import make_tasks, run_study
from benchmarks.harness.summary import summarize, trust_table
from llm_prior_bo.compare.markdown import markdown_table
from llm_prior_bo.compare.runner import Record, read_records, run_tasks
from llm_prior_bo.errors import LLMPriorError


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status, 1 if a study failed."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return _run(options) if options.command == "run" else _report(options)
    except (LLMPriorError, ImportError, OSError) as error:
        parser.error(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__, prog="python -m benchmarks.harness")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the studies that are missing in a file of results")
    for option, names in {"problems": PROBLEMS, "priors": PRIOR_KINDS, "methods": METHODS}.items():
        allowed = list(names)
        run.add_argument(
            f"--{option}", nargs="+", choices=allowed, default=allowed, metavar="NAME", help=_listed(names)
        )
    run.add_argument(
        "--seeds", type=parse_seeds, default=parse_seeds("0-10"), help="e.g. 0-10 or 0,3,7-9 (default: 0-10)"
    )
    add_run_options(run, trials=50)
    report = commands.add_parser("report", help="print tables of a file of results")
    report.add_argument("results", type=Path, help="file of results")
    report.add_argument("--at", type=positive, nargs="+", default=[10, 20, 50], help="after how many trials")
    report.add_argument("--reference", default="no-prior", help="method to compare with (default: no-prior)")
    report.add_argument("--trials", type=positive, help="only studies of this length")
    report.add_argument("--figure", type=Path, help="draw the curves of regret into this file")
    return parser


def _listed(names: Mapping[str, Any]) -> str:
    # argparse reads a percent sign as the start of a format.
    return f"any of {', '.join(names)} (default: all)".replace("%", "%%")


def _run(options: argparse.Namespace) -> int:
    tasks = make_tasks(options.problems, options.priors, options.methods, options.seeds, n_trials=options.trials)
    print(f"{len(tasks)} studies of {options.trials} trials", flush=True)
    records = run_tasks(tasks, out=options.out, execute=run_study, n_workers=options.workers, on_record=_print_record)
    failed = [record for record in records if record["error"] is not None]
    print(f"{len(records) - len(failed)} finished, {len(failed)} failed, in {options.out}")
    if failed:
        print(f"The first failure; run again to retry:\n{failed[0]['error']}", file=sys.stderr)
    return 1 if failed else 0


def _print_record(record: Record) -> None:
    name = f"{record['problem']}, {record['prior']}, {record['method']}, seed {record['seed']}"
    result = f"regret {record['regret'][-1]:.3g}, {record['seconds']:.0f} s" if record["error"] is None else "FAILED"
    print(f"{name}: {result}", flush=True)


def _report(options: argparse.Namespace) -> int:
    if not options.results.exists():
        raise FileNotFoundError(f"Expected a file of results, got {options.results}, which does not exist; run first.")
    every = read_records(options.results)
    records = [record for record in every if options.trials in (None, record["n_trials"])]
    failed = [record for record in records if record["error"] is not None]
    rows = summarize(records, at=options.at, reference=options.reference)
    print(markdown_table([row.cells() for row in rows]))
    trust = trust_table(records)
    if trust:
        print("\n" + markdown_table([row.cells() for row in trust]))
    if failed:
        print(f"\n{len(failed)} failed studies are left out.")
    if options.figure is not None:
        draw(records, options.figure)
        print(f"\nFigure: {options.figure}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
