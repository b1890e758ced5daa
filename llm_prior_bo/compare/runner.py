"""Run many tasks on several processes, and take up again what was interrupted."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from llm_prior_bo.errors import ConfigurationError, PersistenceError

Record = dict[str, Any]
"""The fields of a task, `error` (`None` or a traceback), and what the task's execution returned."""


@dataclass(frozen=True, slots=True)
class Task:
    """One run. All names are the caller's; together the fields are the key of its record.

    Args:
        problem: What is optimised.
        prior: What is believed about it.
        method: Who optimises.
        seed: Seed of all randomness.
        n_trials: Number of trials.
    """

    problem: str
    prior: str
    method: str
    seed: int
    n_trials: int

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Task:
        """The task that a record is of.

        Raises:
            KeyError: If a field is missing.
        """
        return cls(**{field.name: record[field.name] for field in fields(cls)})


Execute = Callable[[Task], Mapping[str, Any]]
"""Does a task and returns what can be written as JSON. It has to be picklable: a function of an importable module."""


def run_tasks(
    tasks: Sequence[Task],
    *,
    out: Path,
    execute: Execute,
    n_workers: int = 1,
    on_record: Callable[[Record], None] | None = None,
) -> list[Record]:
    """Run the tasks that have no result yet.

    Tasks of small seeds come first, otherwise the order is kept: early on there are few seeds of everything. Results
    are appended to `out` as they come, one line each, by this process only; a run that was killed is taken up again by
    the same call. A task that raises is recorded with its traceback, and tried again by the next call.

    Args:
        tasks: What to run; those with a record without error in `out` are skipped.
        out: File of JSON lines, which need not exist. Not for two runs at a time.
        execute: Does one task. Its result must not use the names of a task's fields, nor `error`.
        n_workers: Processes, each a new interpreter with one thread; 0 runs everything in this process, with its
            threads as they are.
        on_record: Called with every new record.

    Returns:
        The records of the tasks, in their order.

    Raises:
        ConfigurationError: If `n_workers` is negative.
        PersistenceError: If `out` has a line that is no record.
        BrokenProcessPool: If a worker dies, e.g. for want of memory; what was finished is in `out`.
    """
    if n_workers < 0:
        raise ConfigurationError(f"Expected a number of workers of at least 0, got {n_workers}.")
    out.parent.mkdir(parents=True, exist_ok=True)
    _mend_end(out)
    records = {Task.of(record): record for record in read_records(out)}
    missing = [task for task in dict.fromkeys(tasks) if task not in records or records[task]["error"] is not None]
    missing.sort(key=lambda task: task.seed)
    lines = _lines_from_pool(missing, execute, n_workers) if n_workers else (_line(execute, task) for task in missing)
    # Unbuffered: one line is one write. Closed: the workers end with the run, whatever ends it.
    with out.open("ab", buffering=0) as file, closing(lines):
        for line in lines:
            file.write(line.encode() + b"\n")
            record: Record = json.loads(line)
            records[Task.of(record)] = record
            if on_record is not None:
                on_record(record)
    return [records[task] for task in tasks]


def read_records(path: Path) -> list[Record]:
    """The last record of every task in a file of JSON lines, which need not exist.

    A last line that a killed run left unfinished is passed over.

    Raises:
        PersistenceError: If another line is no record.
    """
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else [""]
    records: dict[Task, Record] = {}
    for number, line in enumerate(lines, start=1):
        is_tail = number == len(lines)  # without a line break at its end
        record = _parsed(line)
        if record is not None:
            records[Task.of(record)] = record
        elif line.strip() and not is_tail:
            raise PersistenceError(
                f"Expected a record in every line of {path}, got {line[:60]!r} in line {number}; delete that line."
            )
    return list(records.values())


def finished(records: Iterable[Record]) -> list[Record]:
    """The records without an error."""
    return [record for record in records if record["error"] is None]


def _parsed(line: str) -> Record | None:
    try:
        record = json.loads(line)
        Task.of(record)
    except (ValueError, KeyError, TypeError):
        return None
    return {"error": None, **record}


def _mend_end(path: Path) -> None:
    """End the file with a whole line: a record that lacks only its line break gets it, a piece of one is cut off."""
    if not path.exists():
        return
    *whole, tail = path.read_bytes().split(b"\n")
    if not tail:
        return
    if _parsed(tail.decode(errors="replace")) is not None:
        with path.open("ab") as file:
            file.write(b"\n")
    else:
        os.truncate(path, sum(len(line) + 1 for line in whole))


def _lines_from_pool(tasks: Sequence[Task], execute: Execute, n_workers: int) -> Generator[str]:
    """Records as JSON, as they come."""
    if not tasks:
        return
    # A forked copy of a process that has used torch's threads may hang.
    context = multiprocessing.get_context("spawn")
    with _one_thread_environment():
        pool = ProcessPoolExecutor(min(n_workers, len(tasks)), mp_context=context, initializer=_start_worker)
        try:
            for future in as_completed([pool.submit(_line, execute, task) for task in tasks]):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _line(execute: Execute, task: Task) -> str:
    """The record of one task as JSON. Made where the task runs, so that an unwritable result is that task's error."""
    try:
        return json.dumps({**execute(task), **asdict(task), "error": None})
    except Exception:
        return json.dumps({**asdict(task), "error": traceback.format_exc()})


def _start_worker() -> None:
    torch.set_num_threads(1)
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """End this worker when the run is killed: it would go on with its task, and then wait for the next for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _one_thread_environment() -> Iterator[None]:
    """Processes started inside use one thread in NumPy and SciPy too, which read this when they are imported."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
