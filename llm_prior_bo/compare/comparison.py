"""`compare`: any samplers on any objectives."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llm_prior_bo.compare.inputs import (
    ComparisonTask,
    Direction,
    Objective,
    SamplerFactory,
    check_factories,
    make_sampler,
)
from llm_prior_bo.compare.result import ComparisonResult
from llm_prior_bo.compare.runner import Record, Task, finished, read_records, run_tasks
from llm_prior_bo.compare.study import StudyRunner
from llm_prior_bo.compare.transfer import transferred
from llm_prior_bo.errors import ConfigurationError

DEFAULT_TASK = "objective"
"""Name of the only task, where it has none."""


def compare(
    objective: Objective | ComparisonTask | Mapping[str, Objective | ComparisonTask],
    samplers: Mapping[str, SamplerFactory],
    n_trials: int,
    seeds: int | Iterable[int] = 10,
    *,
    baseline: str | None = None,
    direction: Direction = "minimize",
    path: str | Path | None = None,
    n_jobs: int = 1,
    user_attrs: Mapping[str, Any] | None = None,
    enqueue: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    level: float | None = None,
    at: Sequence[int] | None = None,
    random: str | None = None,
    show_progress_bar: bool = True,
) -> ComparisonResult:
    """Compare samplers on an objective, or on several, with the same budget and the same seeds.

    One study is run for each task, sampler and seed. It has the seed as its user attribute `seed`, by which an
    objective may split its data; differences between samplers are paired by it. A trial that raises is one without a
    value, and its study goes on.

    Args:
        objective: What `Study.optimize` takes, a `ComparisonTask`, or a mapping from names to either. With
            `trial.set_user_attr("test_value", ...)` it may state the quality on data that the search does not use.
        samplers: Name -> class whose samplers take a `seed` (`optuna.samplers.TPESampler`), or function of a seed that
            returns a sampler; one with a parameter `task` also gets the name of the task. A ready sampler is refused:
            each study needs a new one. An `LLMPriorSampler` that has a `model` asks in every study; to ask once for
            all of them, ask before (`RecordingElicitor`, `save_answer`) and give it `elicitor=ReplayElicitor(path)` or
            `FixedElicitor(path)`.
        n_trials: Trials of a study, enqueued ones included.
        seeds: The seeds, or their number: they are counted from 0.
        baseline: Name of the sampler that the others are compared with.
        direction: "minimize" or "maximize"; of tasks that do not say it themselves.
        path: File of JSON lines, a record for each study as it finishes. The same call takes an interrupted
            comparison up again, and adds samplers, seeds or tasks. The file knows names only: after a change of an
            objective or of a sampler's arguments give another file. `None`: nothing is kept.
        n_jobs: Studies at a time, each in a process of its own with one thread. 1: one after another, in this process.
            With more, a script needs `if __name__ == "__main__":` around this call.
        user_attrs: User attributes of every study, e.g. `problem_description`; of tasks that do not say it themselves.
        enqueue: Name of a sampler -> parameters that its studies try first, so that what an `LLMPriorSampler` knows can
            be told from what any start from good values gains; of tasks that do not say it themselves.
        level: Value whose first reaching is counted; `None`: what most of the baseline's studies reach in the end. Of
            tasks that do not say it themselves.
        at: After how many trials best values are told; `None`: two round numbers in the first half, and the end.
        random: Name of the sampler that is random search, whose median trial a suggestion has to beat to count as a
            success; `None`: the one named "random", else the only `RandomSampler`. It is not run unless it is given.
        show_progress_bar: Whether finished studies are counted on the standard error.

    Returns:
        The result: printed, it is the tables; it has a figure and pandas frames.

    Raises:
        ConfigurationError: If an argument is not as above, the file holds another comparison, the objective cannot be
            sent to another process, or no study has finished.
        PersistenceError: If the file has a line that is no record.
        BrokenProcessPool: If a process dies, e.g. for want of memory; what was finished is in the file.

    Example:
        >>> import optuna
        >>> from llm_prior_bo import compare
        >>> def objective(trial):
        ...     return (trial.suggest_float("x", -1, 1) - 0.3) ** 2
        >>> samplers = {"TPE": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
        >>> result = compare(objective, samplers, n_trials=5, seeds=2, baseline="random", show_progress_bar=False)
        >>> result.samplers
        ['TPE', 'random']
    """
    check_factories(samplers)
    tasks = _tasks(objective, direction=direction, user_attrs=user_attrs, enqueue=enqueue, level=level)
    keys = _keys(tasks, samplers, n_trials=n_trials, seeds=seeds)
    _check_names(tasks, samplers, baseline=baseline, random=random)
    runner = StudyRunner(tasks, samplers)
    n_workers = _n_workers(n_jobs)
    with _file(path) as out:
        before = read_records(out)
        _check_resumed(before, keys, runner)
        execute = transferred(runner) if n_workers else runner
        with _progress(len(keys), finished(_of(keys, before)), show=show_progress_bar) as advance:
            records = _run(keys, out=out, execute=execute, n_workers=n_workers, on_record=advance)
    return ComparisonResult(
        tuple(records),
        baseline=baseline,
        levels={name: task.level for name, task in tasks.items() if task.level is not None},
        at=None if at is None else tuple(at),
        random=random,
    )


def _tasks(
    objective: Objective | ComparisonTask | Mapping[str, Objective | ComparisonTask],
    *,
    direction: Direction,
    user_attrs: Mapping[str, Any] | None,
    enqueue: Mapping[str, Sequence[Mapping[str, Any]]] | None,
    level: float | None,
) -> dict[str, ComparisonTask]:
    named = objective if isinstance(objective, Mapping) else {DEFAULT_TASK: objective}
    if not named:
        raise ConfigurationError("Expected at least one objective, got an empty mapping.")
    return {
        name: task
        if isinstance(task, ComparisonTask)
        else ComparisonTask(task, direction, user_attrs=user_attrs or {}, enqueue=enqueue or {}, level=level)
        for name, task in named.items()
    }


def _keys(
    tasks: Mapping[str, ComparisonTask],
    samplers: Mapping[str, SamplerFactory],
    *,
    n_trials: int,
    seeds: int | Iterable[int],
) -> list[Task]:
    """The studies, those of one task after another."""
    numbers = seeds if isinstance(seeds, Iterable) else range(seeds)
    listed = list(dict.fromkeys(map(int, numbers)))  # int: JSON does not know NumPy's
    if n_trials < 1 or not listed:
        raise ConfigurationError(f"Expected at least one trial and one seed, got {n_trials} and seeds {seeds!r}.")
    return [Task(task, "", sampler, seed, int(n_trials)) for task in tasks for sampler in samplers for seed in listed]


def _check_names(
    tasks: Mapping[str, ComparisonTask],
    samplers: Mapping[str, SamplerFactory],
    *,
    baseline: str | None,
    random: str | None,
) -> None:
    given = {"baseline": [baseline], "random": [random]}
    given |= {f"enqueue of {name!r}": list(task.enqueue) for name, task in tasks.items()}
    for argument, names in given.items():
        for name in names:
            if name is not None and name not in samplers:
                raise ConfigurationError(f"Expected {argument} to name one of {list(samplers)}, got {name!r}.")


def _check_resumed(records: Iterable[Record], keys: Sequence[Task], runner: StudyRunner) -> None:
    """What was run before was run as it would be now, as far as a record can tell; every sampler can be made."""
    known = {Task.of(record): record for record in finished(records)}
    for key in {(key.problem, key.method): key for key in reversed(keys)}.values():
        task = runner.tasks[key.problem]
        sampler = make_sampler(runner.samplers[key.method], name=key.method, seed=key.seed, task=key.problem)
        n_enqueued = len(task.enqueue.get(key.method, ())[: key.n_trials])
        now = {"direction": task.direction, "sampler": type(sampler).__name__, "n_enqueued": n_enqueued}
        same = [k for k in keys if (k.problem, k.method) == (key.problem, key.method) and k in known]
        before = [{name: known[k].get(name) for name in now} for k in same]
        if other := [one for one in before if one != now]:
            raise ConfigurationError(
                f"Expected the file to hold studies of {key.method!r} on {key.problem!r} with {now}, got {other[0]}: "
                "the results of another comparison; give another path."
            )


def _of(keys: Sequence[Task], records: Iterable[Record]) -> list[Record]:
    wanted = set(keys)
    return [record for record in records if Task.of(record) in wanted]


def _n_workers(n_jobs: int) -> int:
    if n_jobs < 1:
        raise ConfigurationError(f"Expected n_jobs of at least 1, got {n_jobs}.")
    return 0 if n_jobs == 1 else n_jobs


def _run(
    keys: Sequence[Task],
    *,
    out: Path,
    execute: Callable[[Task], Mapping[str, Any]],
    n_workers: int,
    on_record: Callable[[Record], None],
) -> list[Record]:
    try:
        return run_tasks(keys, out=out, execute=execute, n_workers=n_workers, on_record=on_record)
    except BrokenProcessPool as error:
        error.add_note(
            "A process has died. In a script, call compare below `if __name__ == '__main__':`; else memory may have "
            "run out: give a smaller n_jobs. With path=, the same call goes on where it was."
        )
        raise


@contextmanager
def _file(path: str | Path | None) -> Iterator[Path]:
    if path is not None:
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="llm_prior_bo_compare") as folder:
        yield Path(folder) / "results.jsonl"


@contextmanager
def _progress(n_studies: int, done: Sequence[Record], *, show: bool) -> Iterator[Callable[[Record], None]]:
    """A bar of finished studies; those that failed are told beside it."""
    from tqdm.auto import tqdm

    failed = 0
    with tqdm(total=n_studies, initial=len(done), unit="study", disable=not show) as bar:

        def advance(record: Record) -> None:
            nonlocal failed
            failed += record["error"] is not None
            bar.set_postfix_str(f"{failed} failed" if failed else "", refresh=False)
            bar.update()

        yield advance
