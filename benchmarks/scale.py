"""What does a suggestion cost in a long study, and what does one trial ask of the storage?

    python -m benchmarks.scale                                     # 1 000 and 10 000 finished trials
    python -m benchmarks.scale --trials 300 1000 --asks 3

The first table has the processor time of a suggestion, first and steady as in `benchmarks.speed`, what Optuna alone
takes to read all trials in a process that has not seen them (which every sampler that looks at them pays at first), and
how much memory the process has gained after the first suggestion and after all of them; every row is a process of its
own. The second one counts the calls of the storage that one trial makes, from `study.ask` to `study.tell`, of our
sampler and of a random one; calls of Optuna itself are in both. The third one has the cost of a suggestion while other
trials run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
import torch
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage

from benchmarks.harness.arguments import new_parser
from benchmarks.speed import distributions, history, objective, samplers, suggestion_seconds, timed_suggestion
from llm_prior_bo import SearchSpace, UniformPrior
from llm_prior_bo.compare.markdown import markdown_head, markdown_row

STORAGES = ("memory", "sqlite")
D = 8
KIND = "mixed"
PENDING = (0, 1, 8, 32, 100, 300, 1000)


class CountingStorage(InMemoryStorage):
    """An in-memory storage that counts which of its methods are called from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self._depth = 0

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name.startswith("_") or name == "calls" or not callable(value):
            return value

        def counted(*arguments: Any, **named: Any) -> Any:
            self.calls[name] += self._depth == 0
            self._depth += 1
            try:
                return value(*arguments, **named)
            finally:
                self._depth -= 1

        return counted


def memory_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def study_with(n: int, storage: BaseStorage, sampler: BaseSampler, space: SearchSpace) -> optuna.Study:
    """A study of finished random trials."""
    study = optuna.create_study(sampler=sampler, storage=storage)
    study.add_trials(history(space, n))
    return study


class Row(NamedTuple):
    """What one storage with so many trials costs."""

    first: float
    """Seconds of the first suggestion."""
    reading: float
    """Seconds that Optuna takes to read all trials anew."""
    steady: float
    """Seconds of the median further suggestion."""
    memory_once: float
    """MB gained by the first suggestion."""
    memory: float
    """MB gained by all of them."""


def seconds_to_read(study: optuna.Study) -> float:
    """Processor time of reading the trials of a study in a file through a storage object that has not seen them."""
    backend = getattr(study._storage, "_backend", None)  # of the cache that Optuna puts round a database
    if not isinstance(backend, RDBStorage):
        return 0.0
    other = optuna.load_study(study_name=study.study_name, storage=RDBStorage(backend.url))
    started = time.process_time()
    other.get_trials(deepcopy=False)
    return time.process_time() - started


def measure(n: int, kind: str, asks: int) -> Row:
    """Suggestions in a study of finished trials."""
    suggestion_seconds("numeric", 2, 12, names=["ours"], asks=1)  # imports
    space = SearchSpace(distributions(KIND, D))
    with tempfile.TemporaryDirectory() as folder:
        storage: BaseStorage = InMemoryStorage() if kind == "memory" else RDBStorage(f"sqlite:///{folder}/study.db")
        study = study_with(n, storage, samplers(["ours"], space)["ours"], space)
        reading = seconds_to_read(study)
        rng = np.random.default_rng(1)
        seconds, memory = [], [memory_mb()]
        for _ in range(1 + asks):
            seconds.append(timed_suggestion(study, space, rng))
            memory.append(memory_mb())
    return Row(seconds[0], reading, float(np.median(seconds[1:])), memory[1] - memory[0], memory[-1] - memory[0])


def storage_calls(n: int, sampler: BaseSampler, space: SearchSpace, *, trials: int = 5) -> dict[str, float]:
    """Calls of the storage per trial."""
    storage = CountingStorage()
    study = study_with(n, storage, sampler, space)
    rng = np.random.default_rng(1)
    storage.calls.clear()
    for _ in range(trials):
        trial = study.ask(space.distributions)
        study.tell(trial, objective(trial.params, space, rng))
    return {name: count / trials for name, count in storage.calls.items()}


def print_calls(n: int) -> None:
    """The table of calls."""
    space = SearchSpace(distributions(KIND, D))
    ours = storage_calls(n, samplers(["ours"], space)["ours"], space)
    random = storage_calls(n, RandomSampler(seed=0), space)
    print("", *markdown_head(["call of the storage, per trial", "ours", "RandomSampler"]), sep="\n")
    for name in sorted(ours.keys() | random.keys(), key=lambda name: -ours.get(name, 0.0)):
        print(markdown_row([f"`{name}`", *(f"{calls.get(name, 0.0):.0f}" for calls in (ours, random))]))


def seconds_with_pending(p: int, name: str, *, n: int = 100, asks: int = 3) -> float:
    """Processor time of a suggestion while `p` trials are running; the median of some, each told before the next."""
    space = SearchSpace(distributions("numeric", D))
    study = study_with(n, InMemoryStorage(), samplers([name], space)[name], space)
    for point in UniformPrior(space).sample(p, generator=torch.Generator().manual_seed(1)):
        study.enqueue_trial(space.decode(point))  # so that nothing is suggested for it
        study.ask(space.distributions)
    rng = np.random.default_rng(1)
    seconds = [timed_suggestion(study, space, rng) for _ in range(1 + asks)]
    return float(np.median(seconds[1:]))


def print_pending() -> None:
    """The table of trials that run at the same time."""
    print("", *markdown_head(["running trials", "ours, ms", "GPSampler, ms"]), sep="\n")
    for p in PENDING:
        times = [f"{1e3 * seconds_with_pending(p, name):.0f}" for name in ("ours", "GPSampler")]
        print(markdown_row([str(p), *times]), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = new_parser(__doc__)
    parser.add_argument("--trials", nargs="+", type=int, default=[1000, 10000])
    parser.add_argument("--storages", nargs="+", choices=STORAGES, default=list(STORAGES))
    parser.add_argument("--asks", type=int, default=5)
    parser.add_argument("--one-row", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")  # of experimental features
    torch.set_num_threads(1)
    if options.one_row:
        (n,), (kind,) = options.trials, options.storages
        row = measure(n, kind, options.asks)
        times = [f"{1e3 * seconds:.0f}" for seconds in (row.first, row.reading, row.steady)]
        memory = [f"{row.memory_once:.0f}", f"{row.memory:.0f}"]
        print(markdown_row([str(n), kind, *times, *memory]), flush=True)
        return
    titles = ["trials", "storage", "first, ms", "Optuna reads, ms", "steady, ms"]
    print(*markdown_head([*titles, "memory after the first, MB", "after all, MB"]), sep="\n", flush=True)
    for kind in options.storages:
        for n in options.trials:
            command = [sys.executable, "-m", "benchmarks.scale", "--one-row", "--asks", str(options.asks)]
            subprocess.run([*command, "--trials", str(n), "--storages", kind], check=True)
    print_calls(min(options.trials))
    print_pending()


if __name__ == "__main__":
    main()
