"""Many workers on one study: is anything lost or done twice, and what does it cost not to have the latest results?

    python -m benchmarks.workers counts --out counts.md
    python -m benchmarks.workers regret --out regret.jsonl --workers 2
    python -m benchmarks.workers report regret.jsonl
    python -m benchmarks.workers throughput --out throughput.md

`counts` starts real processes on every storage that is there, on this machine, with a fake language model; it runs the
very workers of `tests/workers/`. `regret` simulates asynchronous workers in one process: each asks for a suggestion as
soon as its trial has finished, and trials take times drawn from an exponential distribution. So the figures do not
depend on the machine.

`throughput` counts suggestions a second of real processes whose objectives take no time, with the lock that makes
workers choose one after the other and without it (`LLM_PRIOR_BO_SUGGESTION_LOCK=0`), and the pairs of suggestions that
the lock is there to prevent, in studies of one length. Rates are those of the machine and of whatever else it does;
processor seconds carry over: with the lock a study gets at most one suggestion in the time of one, without it each core
of the workers as many.
"""

from __future__ import annotations

import heapq
import itertools
import math
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna

from benchmarks.harness import Quartiles, Task, finished, get_method, get_problem, make_prior, read_records, run_tasks
from benchmarks.harness.arguments import add_run_options, new_parser, positive
from llm_prior_bo.compare.markdown import markdown_head, markdown_row, markdown_table

if TYPE_CHECKING:
    from tests.workers.crew import Crew
    from tests.workers.places import Place

PROBLEMS = ("branin", "hartmann6", "mixed")
PRIORS = ("weak", "uniform")
N_WORKERS = (1, 8)
CHECKPOINTS = (10, 20, 40)
RATE_COLUMNS = ("storage", "processes", "lock", "trials a second", "processor seconds a trial", "near, at a time")
COLUMNS = ("storage", "processes", "questions", "trials finished", "lost", "failed", "equal", "near, at a time")


def run_asynchronously(task: Task) -> dict[str, Any]:
    """One study with workers that do not wait for each other; `task.method` is "METHOD@WORKERS".

    Returns:
        `regret`: that of the best of the trials finished so far, in the order in which they finish.
    """
    method, n_workers = task.method.split("@")
    problem = get_problem(task.problem)
    prior = make_prior(task.prior, problem, task.seed)
    sampler = get_method(method)(prior, problem.distributions, task.seed, task.n_trials)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    values = []
    for trial in _in_order_of_finish(study, problem.distributions, int(n_workers), task):
        values.append(problem.evaluate(trial.params))
        study.tell(trial, values[-1])
    return {"regret": (np.minimum.accumulate(values) - problem.optimal_value).tolist()}


def _in_order_of_finish(
    study: optuna.Study, distributions: Mapping[str, Any], n_workers: int, task: Task
) -> Iterator[optuna.Trial]:
    """Trials as they finish; a worker begins its next one when the caller has told the value of its last."""
    rng = np.random.default_rng([task.seed, n_workers])
    running: list[tuple[float, int, optuna.Trial]] = []
    now = 0.0
    for i in range(task.n_trials):
        if len(running) == n_workers:
            now, _, finished = heapq.heappop(running)
            yield finished
        heapq.heappush(running, (now + rng.exponential(), i, study.ask(dict(distributions))))
    while running:
        yield heapq.heappop(running)[2]


def regret(out: Path, *, n_seeds: int, n_trials: int, n_processes: int, problems: Sequence[str]) -> None:
    """Run all studies that are not in `out` yet."""
    tasks = [
        Task(problem, prior, f"default@{n_workers}", seed, n_trials)
        for problem, prior, n_workers, seed in itertools.product(problems, PRIORS, N_WORKERS, range(n_seeds))
    ]
    started = time.monotonic()
    run_tasks(
        tasks,
        out=out,
        execute=run_asynchronously,
        n_workers=n_processes,
        on_record=lambda record: print(
            f"{time.monotonic() - started:6.0f} s  {Task.of(record)} {(record['error'] or '')[-300:]}", flush=True
        ),
    )


def report(path: Path) -> str:
    """The table of regrets: median and quartiles over the seeds."""
    groups: dict[tuple[str, str, int], list[list[float]]] = {}
    for record in finished(read_records(path)):
        n_workers = int(record["method"].split("@")[1])
        groups.setdefault((record["problem"], record["prior"], n_workers), []).append(record["regret"])
    rows = []
    for (problem, prior, n_workers), curves in sorted(groups.items()):
        cells = {f"after {n} trials": str(Quartiles.of([curve[n - 1] for curve in curves])) for n in CHECKPOINTS}
        name = "none" if prior == "uniform" else prior
        key = {"problem": problem, "prior": name, "workers": str(n_workers), "seeds": str(len(curves))}
        rows.append({**key, **cells})
    return markdown_table(rows)


def counts(n_trials: int) -> Iterator[str]:
    """The table of counts, line by line."""
    from tests.workers.crew import Crew, answering
    from tests.workers.postgresql import missing
    from tests.workers.worker import Asking, quick

    yield from markdown_head(COLUMNS)
    storages = ["SQLite", "journal file", "gRPC proxy over SQLite"]
    storages += [] if missing() else ["PostgreSQL", "gRPC proxy over PostgreSQL"]
    for storage, n_workers in itertools.product(storages, (8, 16)):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            place = _new_place(storage, folder, stack)
            server = stack.enter_context(answering())
            crew = Crew(place, folder, Asking(server.url, n_startup_trials=n_workers * (n_trials - 1)))
            stack.callback(crew.end)
            crew.start(n_workers, n_trials=n_trials, objective=quick)
            _wait_for_all(crew)
            tally = crew.tally()
            finished_trials = f"{tally.n_finished} of {n_workers * n_trials}"
            numbers = (tally.n_lost, tally.n_failed, len(tally.equal), len(tally.near))
            yield markdown_row([storage, *map(str, (n_workers, len(server.requests), finished_trials, *numbers))])


def _new_place(storage: str, folder: Path, stack: ExitStack) -> Place:
    """An empty storage, by the name that a table has for it; its servers end with `stack`."""
    from tests.workers.places import Database, Journal, proxy_of
    from tests.workers.postgresql import PostgreSQL

    place: Place = Journal(folder / "study.log")
    if "PostgreSQL" in storage:
        place = Database(stack.enter_context(PostgreSQL()).url)
    elif "SQLite" in storage:
        place = Database(f"sqlite:///{folder}/study.db")
    return stack.enter_context(proxy_of(place)) if storage.startswith("gRPC") else place


def _wait_for_all(crew: Crew) -> None:
    codes = crew.wait(timeout=1200.0)
    if set(codes.values()) != {0}:
        raise RuntimeError(crew.errors() or f"Expected all workers to end, got {codes}.")


def throughput(storages: Sequence[str], n_workers: Sequence[int], n_trials: int) -> Iterator[str]:
    """The table of suggestions a second, line by line."""
    yield from markdown_head(RATE_COLUMNS)
    for storage, n, lock in itertools.product(storages, n_workers, (True, False)):
        rate, used, n_near = _rated(storage, n, n_trials, lock=lock)
        yield markdown_row([storage, str(n), "on" if lock else "off", f"{rate:.2f}", f"{used:.3f}", str(n_near)])


def _rated(storage: str, n_workers: int, n_trials: int, *, lock: bool) -> tuple[float, float, int]:
    """Finished trials a second, processor time of one, and pairs that ran at the same time in nearly one place."""
    from tests.workers.crew import ANSWER, Crew
    from tests.workers.worker import STUDY, Given, quick

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place = _new_place(storage, folder, stack)
        crew = Crew(place, folder, Given(ANSWER, lock))
        stack.callback(crew.end)
        crew.start(n_workers, n_trials=math.ceil(n_trials / n_workers), objective=quick)
        _wait_for_all(crew)
        trials = optuna.load_study(study_name=STUDY, storage=place.open()).get_trials(deepcopy=False)
        ends = sorted(trial.datetime_complete.timestamp() for trial in trials if trial.datetime_complete is not None)
        # Workers begin and end at different times, and the first suggestion of each is a slow one.
        middle = ends[len(ends) // 5 : len(ends) - len(ends) // 10]
        rate = (len(middle) - 1) / (middle[-1] - middle[0])
        return rate, crew.used() / len(trials), len(crew.tally().near)


def _print_to(path: Path, lines: Iterable[str]) -> None:
    with path.open("w") as file:
        for line in lines:
            print(line, flush=True)
            print(line, file=file, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the commands."""
    parser = new_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    counting = commands.add_parser("counts")
    counting.add_argument("--out", type=Path, required=True)
    counting.add_argument("--trials", type=int, default=5, help="of every worker")
    running = commands.add_parser("regret")
    add_run_options(running, seeds=8, trials=40)
    running.add_argument("--problems", nargs="+", default=list(PROBLEMS))
    commands.add_parser("report").add_argument("path", type=Path)
    rating = commands.add_parser("throughput")
    rating.add_argument("--out", type=Path, required=True)
    rating.add_argument("--trials", type=positive, default=160, help="of all workers together")
    rating.add_argument("--workers", nargs="+", type=positive, default=[1, 16], help="numbers of processes")
    rating.add_argument("--storages", nargs="+", default=["SQLite", "journal file"], help="as the tables call them")
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if options.command == "counts":
        _print_to(options.out, counts(options.trials))
    elif options.command == "throughput":
        _print_to(options.out, throughput(options.storages, options.workers, options.trials))
    elif options.command == "regret":
        regret(
            options.out,
            n_seeds=options.seeds,
            n_trials=options.trials,
            n_processes=options.workers,
            problems=options.problems,
        )
    else:
        print(report(options.path))


if __name__ == "__main__":
    main()
