"""The picture at the top of README.md and its number, from the records of `python -m benchmarks.real_answers run`.

    python docs/figures/headline.py real.jsonl

Writes `headline.png`, what it shows as `headline.json`, and the paragraph with the number between the two comments
`headline` in README.md.

*Regret* is the best value so far minus the best value of any study of the task in the file. Its unit, for each task, is
the median over the seeds of what `GPSampler` leaves after its ten random trials. Curves are medians, bands quartiles,
over all tasks and seeds together. Tasks whose published table the model says that it remembers are left out, and so are
tasks on which those ten trials leave nothing.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

from style import BLUE, GREEN, GREY, ORANGE, headline, save

from benchmarks.real_answers import EXTRAPOLATED, REMEMBERED, Quartiles, Record, finished, read_records

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

OURS, UNIT_METHOD, UNIT_TRIALS, AFTER = "default", "GPSampler", 10, 10
METHODS = {
    OURS: ("LLM prior", BLUE),
    "no-llm": ("the engine without an LLM", GREEN),
    "GPSampler": ("GPSampler", ORANGE),
    "TPESampler": ("TPESampler", GREY),
}
"""Method of `benchmarks.real_answers` -> its name for people, and its colour."""

SINGLE_TASKS = {
    "xgb_protein_structure": "XGBoost, protein structure",
    "opda_convnext": "ConvNeXt: a start that misleads",
}
"""Tasks with a panel of their own: one where the answer is right, one where it is not."""

MARKS = re.compile(r"(<!-- headline -->\n).*?(<!-- /headline -->)", re.DOTALL)

Curves = dict[tuple[str, str, int], Any]
"""Task, method, seed -> best value so far after every trial."""


def curves_of(records: Sequence[Record], *, n_trials: int) -> Curves:
    """Best values so far of the finished studies with the task's own answer."""
    return {
        (r["problem"], r["method"], r["seed"]): np.minimum.accumulate(r["values"][:n_trials])
        for r in finished(records)
        if r["prior"] == "own" and r["method"] in METHODS and r["problem"] not in REMEMBERED
    }


def regrets_of(curves: Curves) -> Curves:
    """Normalised regrets; see the top of this file."""
    regrets: Curves = {}
    for task in sorted({task for task, _, _ in curves}):
        own = {key: curve for key, curve in curves.items() if key[0] == task}
        best = min(float(curve[-1]) for curve in own.values())
        unit = float(np.median([c[UNIT_TRIALS - 1] - best for (_, m, _), c in own.items() if m == UNIT_METHOD]))
        if unit > 0.0:
            regrets |= {key: (curve - best) / unit for key, curve in own.items()}
    return regrets


def summarize(records: Sequence[Record]) -> dict[str, Any]:
    """What the picture shows and the paragraph says.

    Args:
        records: Those of one run: every method of `METHODS` on every task and seed.

    Returns:
        JSON: trials, tasks, seeds, `curves` (method -> quartiles after every trial), `level_after` (method -> the first
        trial at which its median is level with ours after `AFTER` trials, `None`: never), `sooner` (method -> tasks on
        which its median over the seeds is there by that very trial or sooner) and `ahead` (tasks on which it is ahead
        after the last trial).
    """
    n_trials = min(len(record["values"]) for record in finished(records))
    regrets = regrets_of(curves_of(records, n_trials=n_trials))
    tasks = sorted({task for task, _, _ in regrets})
    seeds = sorted({seed for _, _, seed in regrets})
    missing = [(t, m, s) for t in tasks for m in METHODS for s in seeds if (t, m, s) not in regrets]
    if missing:
        raise SystemExit(f"Expected every method on every task and seed, found no record of {missing[:5]}.")
    pooled = {m: _quartiles([regrets[t, m, s] for t in tasks for s in seeds]) for m in METHODS}
    medians = {(t, m): np.median([regrets[t, m, s] for s in seeds], axis=0) for t in tasks for m in METHODS}
    goal = pooled[OURS]["median"][AFTER - 1]
    others = [m for m in METHODS if m != OURS]
    return {
        "n_trials": n_trials,
        "tasks": tasks,
        "n_seeds": len(seeds),
        "curves": pooled,
        "level_after": {m: _first_at_most(pooled[m]["median"], goal) for m in others},
        "sooner": {m: [t for t in tasks if medians[t, m][AFTER - 1] <= medians[t, OURS][AFTER - 1]] for m in others},
        "ahead": {m: [t for t in tasks if medians[t, m][-1] < medians[t, OURS][-1]] for m in others},
    }


def _quartiles(curves: Sequence[Any]) -> dict[str, list[float]]:
    by_trial = [Quartiles.of(values) for values in np.stack(curves).T]
    return {name: [round(getattr(q, name), 4) for q in by_trial] for name in ("low", "median", "high")}


def _first_at_most(curve: Sequence[float], goal: float) -> int | None:
    return next((n for n, value in enumerate(curve, start=1) if value <= goal), None)


def paragraph(summary: Mapping[str, Any]) -> str:
    """The number, its protocol and the losses, as README.md says them."""
    n_tasks, n_trials = len(summary["tasks"]), summary["n_trials"]
    n_extrapolated = sum(task.startswith(EXTRAPOLATED) for task in summary["tasks"])

    def after(method: str) -> str:
        n = summary["level_after"][method]
        return f"after {n}" if n is not None else f"not within {n_trials}"

    def lost(what: str) -> str:
        named = {m: label if m == "no-llm" else f"`{label}`" for m, (label, _) in METHODS.items()}
        return ", ".join(f"{named[m]} on {len(tasks)}" for m, tasks in summary[what].items())

    others = f"`TPESampler` {after('TPESampler')}, and the same engine without an LLM {after('no-llm')}"
    tasks = f"{n_tasks} real tuning tasks ({n_extrapolated} of them network surrogates)"
    text = (
        f"**After {AFTER} trials it is where Optuna's `GPSampler` is {after('GPSampler')}**, {others}: "
        f"median regret over {tasks} with {summary['n_seeds']} seeds each, "
        f"{n_trials} trials, one recorded answer a task, tables that the model remembers left out. It does not win "
        f"everywhere. Level or ahead of it after {AFTER} trials: {lost('sooner')} of the {n_tasks} tasks. "
        f"Ahead of it after {n_trials}: {lost('ahead')}."
    )
    return textwrap.fill(text, 130) + "\n"


def draw(records: Sequence[Record], summary: Mapping[str, Any], path: Path) -> None:
    """The pooled curves, and the tasks of `SINGLE_TASKS` that are in the records."""
    curves = curves_of(records, n_trials=summary["n_trials"])
    singles = [task for task in SINGLE_TASKS if task in summary["tasks"]]
    figure = Figure(figsize=(11.0, 4.3), layout="constrained")
    grid = figure.add_gridspec(max(len(singles), 1), 2, width_ratios=(2.1, 1.0))
    _draw_pooled(figure.add_subplot(grid[:, 0]), summary)
    for row, task in enumerate(singles):
        _draw_task(figure.add_subplot(grid[row, 1]), curves, task)
    save(figure, path, dpi=150)


def _draw_pooled(axes: Axes, summary: Mapping[str, Any]) -> None:
    trials = range(1, summary["n_trials"] + 1)
    for method, (label, colour) in METHODS.items():
        curve = summary["curves"][method]
        axes.fill_between(trials, curve["low"], curve["high"], color=colour, alpha=0.13, linewidth=0)
        axes.plot(trials, curve["median"], color=colour, linewidth=2.6 if method == OURS else 1.7, label=label)
    goal, there = summary["curves"][OURS]["median"][AFTER - 1], summary["level_after"][UNIT_METHOD]
    if there is not None and there > AFTER:
        axes.annotate("", (there, goal), (AFTER, goal), arrowprops={"arrowstyle": "->", "color": "black"})
        text = f"{AFTER} trials here, {there} there"
        axes.annotate(text, (there, goal), xytext=(-6, -12), textcoords="offset points", ha="right", fontsize=9)
    lows = [value for method in METHODS for value in summary["curves"][method]["low"] if value > 0.0]
    axes.set(yscale="log", ylim=(max(min(lows), 0.02), None), xlim=(1, summary["n_trials"]), xlabel="trials")
    axes.set_ylabel("regret, 1 = what 10 random trials leave")
    ticks = [tick for tick in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10) if tick >= axes.get_ylim()[0]]
    axes.set_yticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.spines[["right", "top"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9.5, loc="upper right")
    headline(axes, f"{len(summary['tasks'])} real tuning tasks x {summary['n_seeds']} seeds: medians and quartiles")


def _draw_task(axes: Axes, curves: Curves, task: str) -> None:
    """Medians and quartiles over the seeds, in the task's own unit."""
    for method, (_, colour) in METHODS.items():
        curve = _quartiles([c for (t, m, _), c in curves.items() if (t, m) == (task, method)])
        trials = range(1, len(curve["median"]) + 1)
        axes.fill_between(trials, curve["low"], curve["high"], color=colour, alpha=0.13, linewidth=0)
        axes.plot(trials, curve["median"], color=colour, linewidth=2.2 if method == OURS else 1.4)
    # The first random trials may be far off: what counts is the range of the medians from trial 3 on.
    seen = np.concatenate([_medians(curves, task, method)[2:] for method in METHODS])
    margin = 0.06 * float(np.ptp(seen)) or 1.0
    axes.set(xlim=(1, len(trials)), ylim=(float(seen.min()) - margin, float(seen.max()) + margin), ylabel="best value")
    axes.spines[["right", "top"]].set_visible(False)
    headline(axes, SINGLE_TASKS[task])


def _medians(curves: Curves, task: str, method: str) -> Any:
    return np.median([c for (t, m, _), c in curves.items() if (t, m) == (task, method)], axis=0)


def main(arguments: Sequence[str] | None = None, *, folder: Path = HERE, readme: Path = ROOT / "README.md") -> None:
    """Write picture, summary and paragraph.

    Args:
        arguments: The command line; `None`: that of the process.
        folder: Where picture and summary go.
        readme: The page whose paragraph is replaced.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path, help="file of JSON lines that `benchmarks.real_answers run` wrote")
    records = read_records(parser.parse_args(arguments).records)
    summary = summarize(records)
    draw(records, summary, folder / "headline.png")
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in summary.items())
    (folder / "headline.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    text = readme.read_text(encoding="utf-8")
    readme.write_text(MARKS.sub(lambda m: m[1] + paragraph(summary) + m[2], text), encoding="utf-8")
    print(paragraph(summary))


if __name__ == "__main__":
    main()
