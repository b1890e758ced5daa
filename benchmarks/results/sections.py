"""The tables of docs/results.md, each a function from regrets to Markdown; an empty text where there are no records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmarks.results.regrets import FAMILIES, GP, NO_LLM, OURS, TaskRegrets, Way
from benchmarks.results.versus import Versus, after, area, speed_up, trials_to
from llm_prior_bo.compare.markdown import markdown_table
from llm_prior_bo.compare.statistics import MeanDifference, Quartiles, paired_bootstrap

CONTROL = Way("control-1", "own")
RANDOM, TPE = Way("RandomSampler"), Way("TPESampler")
CHECKPOINTS = (5, 10, 20, 50)
EARLY = 10
"""Trials after which a method is compared early on."""
HURT = 0.05
"""A task counts as hurt where the mean regret is larger than without a belief by more than this, in units."""
FAST = 10.0
"""A speed-up that is counted."""

Tasks = Sequence[TaskRegrets]


def length(tasks: Tasks) -> int:
    """Trials of a study."""
    return len(next(iter(next(iter(tasks[0].regrets.values())).values())))


def ways_of(tasks: Tasks) -> list[Way]:
    """All ways that were run, in the order of the records."""
    return list(dict.fromkeys(way for task in tasks for way in task.regrets))


def in_words(number: float) -> str:
    """A number with its sign and three digits, zero without a sign."""
    return f"{number:+.3f}" if abs(number) >= 5e-4 else "0.000"


def interval(difference: MeanDifference) -> str:
    """A mean difference with its interval."""
    return f"{in_words(difference.mean)} ({difference.low:+.2f} to {difference.high:+.2f})"


def _seeds(tasks: Tasks, way: Way) -> str:
    counts = [len(task.of(way)) for task in tasks if task.of(way)]
    return str(counts[0]) if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"


def _pooled(tasks: Tasks, way: Way, n: int) -> Quartiles:
    return Quartiles.of([float(regret[n - 1]) for task in tasks for regret in task.of(way).values()])


# Everybody -----------------------------------------------------------------------------------------------------------


def everybody(tasks: Tasks) -> str:
    """A row for each way with the answer of the task, or with none: regrets, and the comparison with `GPSampler`."""
    n_trials = length(tasks)
    ways = [way for way in ways_of(tasks) if way.belief in ("own", "none")]
    rows = []
    for way in sorted(ways, key=lambda way: _pooled(tasks, way, EARLY).median):
        row = {"method": f"**{way}**" if way == OURS else str(way), "tasks": str(sum(bool(t.of(way)) for t in tasks))}
        row["seeds"] = _seeds(tasks, way)
        for n in (n for n in CHECKPOINTS if n <= n_trials):
            row[f"after {n}"] = _pooled(tasks, way, n).text(".2f")
        for n in (EARLY, n_trials):
            verdicts = Versus.of(tasks, way, GP, after(n)).verdicts
            row[f"tasks against GPSampler after {n}"] = "" if way == GP else str(verdicts)
        row["speed-up"] = "" if way == GP else _speed_up(tasks, way)
        row["successes"] = _success(tasks, way)
        rows.append(row)
    return markdown_table(rows)


def speed_ups(tasks: Tasks, way: Way, baseline: Way = GP) -> dict[str, float]:
    """Task -> speed-up over a baseline, 0 where the level is not reached."""
    found = {task.task: speed_up(task, way, baseline) for task in tasks}
    return {task: factor for task, factor in found.items() if factor is not None}


def _speed_up(tasks: Tasks, way: Way) -> str:
    factors = list(speed_ups(tasks, way).values())
    median = float(np.median(factors))
    told = f"{median:.1f}x" if median > 0.0 else "not reached"
    return f"{told}, {sum(f >= FAST for f in factors)} of {len(factors)}"


def _success(tasks: Tasks, way: Way) -> str:
    """Share of the trials that are better than the median of random search, mean over tasks."""
    shares = []
    for task in (task for task in tasks if task.of(way) and task.of(RANDOM)):
        median = np.median([value for record in task.records[RANDOM].values() for value in record["values"]])
        shares.append(np.mean([np.asarray(record["values"]) < median for record in task.records[way].values()]))
    return f"{np.mean(shares):.2f}" if shares else ""


def families(tasks: Tasks) -> str:
    """For each family and in all: ours against the controls, in the area, median and worst of the tasks."""
    rows = []
    for family in (*FAMILIES, "all"):
        own = [task for task in tasks if family in ("all", task.family)]
        row = {"family": family, "tasks": str(len(own))}
        for second, first in ((GP, 1), (TPE, 1), (NO_LLM, 1), (CONTROL, 6)):
            versus = Versus.of(own, OURS, second, area(first))
            if versus.by_task:
                worst, value = versus.worst
                median = in_words(float(np.median(versus.means)))
                row[f"minus {second.method}, from trial {first}"] = f"{median}, worst {in_words(value)} ({worst})"
        if len(row) > 2:
            rows.append(row)
    return markdown_table(rows)


def after_startup(tasks: Tasks) -> str:
    """For each way that starts as ours does: the area from trial 6 on, minus that without a belief after the start.

    Args:
        tasks: Regrets in units of `STARTUP`.
    """
    rows = []
    for way in (OURS, Way("no-trust", "own"), Way("pibo-10", "own"), Way("control-2", "own"), NO_LLM, GP, TPE):
        row = {"method": str(way)}
        for family in FAMILIES:
            versus = Versus.of([task for task in tasks if task.family == family], way, CONTROL, area(6))
            if versus.by_task:
                median, (worst, value) = float(np.median(versus.means)), versus.worst
                counts = f"{len(versus.by_task)} tasks, {versus.verdicts}"
                row[family] = f"{in_words(median)}, worst {in_words(value)} ({worst}); {counts}"
        if len(row) > 1:
            rows.append(row)
    return markdown_table(rows)


def by_task(tasks: Tasks) -> str:
    """A row for each task: ours against the engine without a belief, the controls and `GPSampler`; trust."""
    rows = []
    columns = ((NO_LLM, 1), (CONTROL, 6), (Way("control-2", "own"), 6), (Way("pibo-10", "own"), 6), (GP, 1))
    against = [(second, area(first), first) for second, first in columns]
    factors = speed_ups(tasks, OURS)
    for task in (task for task in tasks if task.of(OURS)):
        row = {"task": task.task, "family": task.family}
        for second, metric, first in against:
            found = Versus.of([task], OURS, second, metric).by_task.get(task.task)
            row[f"minus {second.method}, from {first}"] = "" if found is None else interval(found)
        factor = factors.get(task.task)
        row["speed-up over GPSampler"] = "" if factor is None else f"{factor:.1f}x" if factor else "not reached"
        row["trust after 10, 20, 50"] = _trust_text([task], OURS, (10, 20, 50))
        rows.append(row)
    return markdown_table(rows)


def _trust(task: TaskRegrets, way: Way, n: int) -> float | None:
    """Median trust in the belief when trial `n`, counted from 1, was suggested; `None` if nobody asked for it."""
    told = [record["trace"].get(str(n - 1)) for record in task.records.get(way, {}).values()]
    trust = [one[2] for one in told if one is not None and one[2] is not None]
    return float(np.median(trust)) if trust else None


def _trust_text(tasks: Tasks, way: Way, checkpoints: Sequence[int]) -> str:
    """Median over tasks of the trust at some trials."""
    by_trial = [[trust for task in tasks if (trust := _trust(task, way, n)) is not None] for n in checkpoints]
    return ", ".join(f"{np.median(trust):.2f}" if trust else "-" for trust in by_trial)


def engine(tasks: Tasks) -> str:
    """The engine without a belief minus `GPSampler`, task by task and over all tasks, after some trials."""
    shown = [n for n in CHECKPOINTS if EARLY <= n <= length(tasks)]
    found = {n: Versus.of(tasks, NO_LLM, GP, after(n)) for n in shown}
    own = [task for task in tasks if task.task in found[EARLY].by_task]
    rows = [
        {"task": task.task, "seeds": str(found[EARLY].n_pairs[task.task])}
        | {f"after {n}": interval(versus.by_task[task.task]) for n, versus in found.items()}
        for task in own
    ]
    total = {f"after {n}": f"{interval(versus.overall)}, {versus.verdicts}" for n, versus in found.items() if own}
    return markdown_table([*rows, {"task": "mean over the tasks", "seeds": "", **total}]) if rows else ""


# When it hurts -------------------------------------------------------------------------------------------------------


def hurt(tasks: Tasks) -> str:
    """On how many tasks a belief cost something, how much, and what became of the trust."""
    n_trials, rows = length(tasks), []
    for n in (n for n in CHECKPOINTS if n <= n_trials):
        versus = Versus.of(tasks, OURS, NO_LLM, after(n))
        costs = {task: d.mean for task, d in versus.by_task.items() if d.mean > HURT}
        trust = _trust_text([task for task in tasks if task.task in costs], OURS, (n,))
        worst = max(costs, key=lambda task: costs[task], default="")
        rows.append(
            {
                "after": str(n),
                "tasks hurt": f"{len(costs)} of {len(versus.by_task)}",
                "their mean cost": f"{np.mean(list(costs.values())):.2f}" if costs else "",
                "the worst": f"{worst}, {costs[worst]:.2f}" if costs else "",
                "their median trust": trust,
                "mean over all tasks": interval(versus.overall),
            }
        )
    return markdown_table(rows)


# Placebos and earlier studies ----------------------------------------------------------------------------------------


def placebos(tasks: Tasks, kinds: Sequence[str], *, n_trials: int, method: str = OURS.method) -> str:
    """A method with other beliefs, each minus no belief and minus ours with the task's own answer, on common tasks.

    Tasks on which only the own answer was run do not count; nothing if there is no other.
    """
    rows, others = [], [Way(method, kind) for kind in kinds if kind != OURS.belief]
    compared = [task for task in tasks if any(task.of(way) for way in others)]
    for kind in kinds:
        way = Way(method, kind)
        own = [task for task in compared if task.of(way)]
        if not own:
            continue
        none = Versus.of(own, way, NO_LLM, area(1, n_trials))
        answer = Versus.of(own, way, OURS, area(1, n_trials))
        rows.append(
            {
                "belief": kind,
                "tasks": str(len(own)),
                "seeds": _seeds(own, way),
                "minus no belief": interval(none.overall),
                "median over the tasks": in_words(float(np.median(none.means))),
                "better-neither-worse": str(none.verdicts),
                "minus `default` with the own answer": "" if way == OURS else interval(answer.overall),
                f"minus no belief after {EARLY}": interval(Versus.of(own, way, NO_LLM, after(EARLY)).overall),
                f"after {n_trials}": interval(Versus.of(own, way, NO_LLM, after(n_trials)).overall),
                "trust after 10, 20": _trust_text(own, way, (10, 20)),
            }
        )
    return markdown_table(rows) if len(rows) > 1 else ""


def earlier(tasks: Tasks, *, n_trials: int) -> str:
    """What the answer knows, what earlier studies know, and both: area minus no belief, task by task."""
    kinds = ("own", "earlier", "earlier and own")
    ways = [Way(OURS.method, kind) for kind in kinds]
    own = [task for task in tasks if all(task.of(way) for way in ways)]
    found = {way: Versus.of(own, way, NO_LLM, area(1, n_trials)) for way in ways}
    rows = [
        {"task": task.task, "seeds": _seeds([task], ways[1])}
        | {str(way.belief): interval(found[way].by_task[task.task]) for way in ways}
        for task in own
    ]
    mean = {way.belief: interval(found[way].overall) for way in ways if own}
    return markdown_table([*rows, {"task": "mean over the tasks", **mean}]) if rows else ""


# Controls ------------------------------------------------------------------------------------------------------------


def against(tasks: Tasks, others: Mapping[str, Way]) -> str:
    """Ours minus each of the others: after ten trials, in the end, and in the area from trial 1 on."""
    n_trials, rows = length(tasks), []
    metrics = {f"after {EARLY}": after(EARLY), f"after {n_trials}": after(n_trials), "area from trial 1": area(1)}
    for what, way in others.items():
        row = {"minus": str(way), "what it controls for": what}
        for title, metric in metrics.items():
            versus = Versus.of(tasks, OURS, way, metric)
            if versus.by_task:
                row["tasks"] = str(len(versus.by_task))
                row["seeds"] = _seeds([t for t in tasks if t.task in versus.by_task], way)
                row[title] = f"{interval(versus.overall)}, {versus.verdicts}"
        if "tasks" in row:
            rows.append(row)
    return markdown_table(rows)


# Held-out test -------------------------------------------------------------------------------------------------------


def held_out(tasks: Tasks, ways: Sequence[Way] = (CONTROL, NO_LLM, GP, TPE, RANDOM)) -> str:
    """Test score of the best trial by the validation score: median, and ours minus each of the others by seed."""
    rows = []
    for task in (task for task in tasks if _has_test(task)):
        n_trials = length([task])
        for n in (EARLY, n_trials):
            own = _test_scores(task, OURS, n)
            row = {"task": task.task, "after": str(n), "ours": Quartiles.of(list(own.values())).text(".4g")}
            for way in ways:
                other = _test_scores(task, way, n)
                seeds = sorted(own.keys() & other.keys())
                if seeds:
                    found = paired_bootstrap([own[s] for s in seeds], [other[s] for s in seeds])
                    row[f"minus {way.method}"] = str(found)
            rows.append(row)
    return markdown_table(rows)


def _has_test(task: TaskRegrets) -> bool:
    return any(record.get("test_values") is not None for record in task.records.get(OURS, {}).values())


def _test_scores(task: TaskRegrets, way: Way, n: int) -> dict[int, float]:
    return {
        seed: record["test_values"][int(np.argmin(record["values"][:n]))]
        for seed, record in task.records.get(way, {}).items()
        if record.get("test_values") is not None
    }


# Cost ----------------------------------------------------------------------------------------------------------------


def cost(tasks: Tasks, tokens: Callable[[str], tuple[int, int] | None]) -> str:
    """What the first answer costs, in tokens, against the trials of `GPSampler` that the first ten trials stand for.

    Args:
        tasks: The tasks.
        tokens: Task -> tokens of the question and of the answer; `None` if no answer is recorded.
    """
    n_trials, rows, saved = length(tasks), [], []
    for task in (task for task in tasks if task.of(OURS) and task.of(GP)):
        counted = tokens(task.task)
        if counted is None:
            continue
        reached = trials_to(task.median(GP), float(task.median(OURS)[EARLY - 1]))
        saved.append(min(reached, n_trials) - EARLY)
        told = f"{reached:.0f}" if np.isfinite(reached) else f"more than {n_trials}"
        question, answer = counted
        rows.append(
            {
                "task": task.task,
                "tokens asked": str(question),
                "answered": str(answer),
                f"GPSampler is where ours is after {EARLY} trials after": told,
            }
        )
    return (markdown_table(rows) + f"\n\nTrials saved, median over the tasks: {np.median(saved):.0f}.") if rows else ""
