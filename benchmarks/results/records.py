"""The studies behind docs/results.md, in `benchmarks/records`: the page is written from them, without running any.

Of a study the tables need little, so little is kept: what the sampler told of the suggestions that tables show, and the
values to five digits. These are minus the best value known of the task; as they are where none is known; and minus the
study's first value where a record has no such field, as those of `benchmarks.asking_again`. New records are added to
those that are there, and replace those of the same study.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from benchmarks.results.sections import CHECKPOINTS
from llm_prior_bo.compare.runner import Record, Task, finished

FOLDER = Path(__file__).parents[1] / "records"

Kind = Literal["proof", "wrong", "again"]
KINDS: tuple[Kind, ...] = ("proof", "wrong", "again")
"""Records of `benchmarks.proof`, of right and wrong priors by `benchmarks.harness`, of `benchmarks.asking_again`."""

N_DIGITS = 5


def kept(kind: Kind, folder: Path = FOLDER) -> list[Record]:
    """What is kept of one kind; nothing without a file."""
    path = _path(kind, folder)
    if not path.exists():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def keep(kind: Kind, records: Iterable[Record], folder: Path = FOLDER) -> int:
    """Add records, those with an error left out, and return how many there are now."""
    by_study = {Task.of(record): record for record in kept(kind, folder)}
    by_study |= {Task.of(record): reduced(record) for record in finished(records)}
    lines = [json.dumps(record, separators=(",", ":")) + "\n" for record in by_study.values()]
    folder.mkdir(parents=True, exist_ok=True)
    # Without a time, equal records are equal files.
    _path(kind, folder).write_bytes(gzip.compress("".join(lines).encode(), mtime=0))
    return len(by_study)


def reduced(record: Record) -> Record:
    """What is kept of a record."""
    own: Record = {**asdict(Task.of(record)), "error": None}
    if "regret" in record:
        return own | {"regret": _rounded(record["regret"])}
    best_known = record.get("best_known", record["values"][0])
    reference = 0.0 if best_known is None else best_known
    own["values"] = _rounded(value - reference for value in record["values"])
    if "best_known" in record:
        own["best_known"] = None if best_known is None else 0.0
        own["test_values"] = None if record["test_values"] is None else _rounded(record["test_values"])
        shown = {str(n - 1) for n in CHECKPOINTS}
        own["trace"] = {n: told for n, told in record["trace"].items() if n in shown}
    return own


def _rounded(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.{N_DIGITS}g}") for value in values]


def _path(kind: Kind, folder: Path) -> Path:
    return folder / f"{kind}.jsonl.gz"
