"""What the command lines of all benchmarks have in common."""

from __future__ import annotations

import argparse
from pathlib import Path


def new_parser(description: str | None, *, prog: str | None = None) -> argparse.ArgumentParser:
    """A parser that shows a module's docstring as it is written."""
    return argparse.ArgumentParser(
        prog=prog, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_run_options(parser: argparse.ArgumentParser, *, seeds: int | None = None, trials: int | None = None) -> None:
    """Add `--out` and `--workers`, and `--seeds` and `--trials` where they have a default.

    Args:
        parser: Of a command that calls `run_tasks`.
        seeds: Default number of seeds, which are counted from 0.
        trials: Default length of a study.
    """
    parser.add_argument("--out", type=Path, required=True, help="file of results, JSON lines; continued if it exists")
    if seeds is not None:
        parser.add_argument("--seeds", type=positive, default=seeds, help=f"number of seeds (default: {seeds})")
    if trials is not None:
        parser.add_argument("--trials", type=positive, default=trials, help=f"trials of a study (default: {trials})")
    parser.add_argument("--workers", type=positive, default=1, help="studies at a time (default: 1)")


def positive(text: str) -> int:
    """A whole number of at least 1.

    Raises:
        argparse.ArgumentTypeError: If the text is none.
    """
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"Expected a whole number of at least 1, got {text!r}.")
    return int(text)


def parse_seeds(text: str) -> list[int]:
    """Seeds from a list of numbers and inclusive ranges, such as `0-10` or `0,3,7-9`.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    seeds: dict[int, None] = {}
    for part in text.split(","):
        first, _, last = part.partition("-")
        try:
            numbers = range(int(first), int(last or first) + 1)
        except ValueError:
            numbers = range(0)
        if not numbers:
            raise argparse.ArgumentTypeError(
                f"Expected numbers and rising ranges such as 0-10 or 0,3,7-9, got {text!r}."
            )
        seeds.update(dict.fromkeys(numbers))
    return list(seeds)
