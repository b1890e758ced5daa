"""The picture at the top of README.md and its number, from the kept records of `benchmarks.proof`.

    python docs/figures/headline.py

Writes `headline.png`, what it shows as `headline.json`, and the paragraph with the number between the two comments
`headline` in README.md.

*Regret* and its unit, what `GPSampler` leaves after its ten random trials, are those of docs/results.md
(`benchmarks.results.regrets`). Curves are medians, bands quartiles, over all tasks and seeds together. Tasks whose
published table the model says that it remembers are left out, and so are tasks on which those ten trials leave nothing.
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

from style import headline, save

from benchmarks.results.figure import WAYS
from benchmarks.results.records import FOLDER, kept
from benchmarks.results.regrets import EXTRAPOLATED, GP, NO_LLM, OURS, TaskRegrets, Way, regrets_of
from benchmarks.results.versus import trials_to
from llm_prior_bo.compare.runner import Record, finished
from llm_prior_bo.compare.statistics import Quartiles

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

AFTER = 10

SINGLE_TASKS = {
    "xgb_protein_structure": "XGBoost, protein structure",
    "opda_convnext": "ConvNeXt: a start that misleads",
}
"""Tasks with a panel of their own: one where the answer is right, one where it is not."""

MARKS = re.compile(r"(<!-- headline -->\n).*?(<!-- /headline -->)", re.DOTALL)


def regrets(records: Sequence[Record]) -> list[TaskRegrets]:
    """Regrets of the ways in `WAYS`, over as many trials as all of them have."""
    own = [r for r in finished(records) if (r["method"], r["prior"]) in WAYS]
    return regrets_of(own, n_trials=min(len(r["values"]) for r in own))


def summarize(tasks: Sequence[TaskRegrets]) -> dict[str, Any]:
    """What the picture shows and the paragraph says.

    Args:
        tasks: Every way of `WAYS` on every task and seed.

    Returns:
        JSON: trials, tasks, `n_extrapolated` of them, seeds, `curves` (method -> quartiles after every trial),
        `level_after` (method -> the first trial at which its median is level with ours after `AFTER` trials, `None`:
        never), `sooner` (method -> tasks on which its median over the seeds is there by that very trial or sooner) and
        `ahead` (tasks on which it is ahead after the last trial).
    """
    seeds = sorted({seed for task in tasks for way in WAYS for seed in task.of(way)})
    missing = [(t.task, way.method, s) for t in tasks for way in WAYS for s in seeds if s not in t.of(way)]
    if missing:
        raise SystemExit(f"Expected every method on every task and seed, found no record of {missing[:5]}.")
    pooled = {way: _quartiles([task.of(way)[s] for task in tasks for s in seeds]) for way in WAYS}
    level = pooled[OURS]["median"][AFTER - 1]
    others = [way for way in WAYS if way != OURS]
    return {
        "n_trials": len(pooled[OURS]["median"]),
        "tasks": [task.task for task in tasks],
        "n_extrapolated": sum(task.family == EXTRAPOLATED for task in tasks),
        "n_seeds": len(seeds),
        "curves": {way.method: curves for way, curves in pooled.items()},
        "level_after": {way.method: _first_at_most(pooled[way]["median"], level) for way in others},
        "sooner": {w.method: [t.task for t in tasks if _lead(t, w, AFTER) >= 0.0] for w in others},
        "ahead": {w.method: [t.task for t in tasks if _lead(t, w, None) > 0.0] for w in others},
    }


def _lead(task: TaskRegrets, way: Way, n: int | None) -> float:
    """By how much the median of a way is below ours after `n` trials; `None`: in the end."""
    index = -1 if n is None else n - 1
    return float(task.median(OURS)[index] - task.median(way)[index])


def _quartiles(curves: Sequence[Any]) -> dict[str, list[float]]:
    by_trial = [Quartiles.of(values) for values in np.stack(curves).T]
    return {name: [round(getattr(q, name), 4) for q in by_trial] for name in ("low", "median", "high")}


def _first_at_most(curve: Sequence[float], level: float) -> int | None:
    n = trials_to(np.asarray(curve), level)
    return int(n) if np.isfinite(n) else None


def paragraph(summary: Mapping[str, Any]) -> str:
    """The number, its protocol and the losses, as README.md says them."""
    n_tasks, n_trials = len(summary["tasks"]), summary["n_trials"]

    def after(method: str) -> str:
        n = summary["level_after"][method]
        return f"after {n}" if n is not None else f"not within {n_trials}"

    def lost(what: str) -> str:
        named = {way.method: label if way == NO_LLM else f"`{label}`" for way, (label, _) in WAYS.items()}
        return ", ".join(f"{named[m]} on {len(tasks)}" for m, tasks in summary[what].items())

    others = f"`TPESampler` {after('TPESampler')}, and the same engine without an LLM {after('no-llm')}"
    tasks = f"{n_tasks} real tuning tasks ({summary['n_extrapolated']} of them network surrogates)"
    text = (
        f"**After {AFTER} trials it is where Optuna's `GPSampler` is {after('GPSampler')}**, {others}: "
        f"median regret over {tasks} with {summary['n_seeds']} seeds each, "
        f"{n_trials} trials, one recorded answer a task, tables that the model remembers left out. It does not win "
        f"everywhere. Level or ahead of it after {AFTER} trials: {lost('sooner')} of the {n_tasks} tasks. "
        f"Ahead of it after {n_trials}: {lost('ahead')}."
    )
    return textwrap.fill(text, 130) + "\n"


def draw(tasks: Sequence[TaskRegrets], summary: Mapping[str, Any], path: Path) -> None:
    """The pooled curves, and the tasks of `SINGLE_TASKS` that are there."""
    singles = [task for task in tasks if task.task in SINGLE_TASKS]
    figure = Figure(figsize=(11.0, 4.3), layout="constrained")
    grid = figure.add_gridspec(max(len(singles), 1), 2, width_ratios=(2.1, 1.0))
    _draw_pooled(figure.add_subplot(grid[:, 0]), summary)
    for row, task in enumerate(singles):
        _draw_task(figure.add_subplot(grid[row, 1]), task, n_trials=summary["n_trials"])
    save(figure, path, dpi=150)


def _draw_pooled(axes: Axes, summary: Mapping[str, Any]) -> None:
    trials = range(1, summary["n_trials"] + 1)
    for way, (label, colour) in WAYS.items():
        curve = summary["curves"][way.method]
        axes.fill_between(trials, curve["low"], curve["high"], color=colour, alpha=0.13, linewidth=0)
        axes.plot(trials, curve["median"], color=colour, linewidth=2.6 if way == OURS else 1.7, label=label)
    level, there = summary["curves"][OURS.method]["median"][AFTER - 1], summary["level_after"][GP.method]
    if there is not None and there > AFTER:
        axes.annotate("", (there, level), (AFTER, level), arrowprops={"arrowstyle": "->", "color": "black"})
        text = f"{AFTER} trials here, {there} there"
        axes.annotate(text, (there, level), xytext=(-6, -12), textcoords="offset points", ha="right", fontsize=9)
    lows = [value for curve in summary["curves"].values() for value in curve["low"] if value > 0.0]
    axes.set(yscale="log", ylim=(max(min(lows), 0.02), None), xlim=(1, summary["n_trials"]), xlabel="trials")
    axes.set_ylabel("regret, 1 = what 10 random trials leave")
    ticks = [tick for tick in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10) if tick >= axes.get_ylim()[0]]
    axes.set_yticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.spines[["right", "top"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9.5, loc="upper right")
    headline(axes, f"{len(summary['tasks'])} real tuning tasks x {summary['n_seeds']} seeds: medians and quartiles")


def _draw_task(axes: Axes, task: TaskRegrets, *, n_trials: int) -> None:
    """Medians and quartiles over the seeds, in the task's own unit, above the best value known if one is."""
    seen = []
    has_reference = any(record["best_known"] is not None for record in task.records[OURS].values())
    for way, (_, colour) in WAYS.items():
        values = [record["values"][:n_trials] for record in task.records[way].values()]
        curve = _quartiles([np.minimum.accumulate(own) for own in values])
        trials = range(1, n_trials + 1)
        axes.fill_between(trials, curve["low"], curve["high"], color=colour, alpha=0.13, linewidth=0)
        axes.plot(trials, curve["median"], color=colour, linewidth=2.2 if way == OURS else 1.4)
        seen += curve["median"][
            2:
        ]  # the first random trials may be far off: the axis shows the medians from trial 3 on
    margin = 0.06 * float(np.ptp(seen)) or 1.0
    axes.set(
        xlim=(1, n_trials),
        ylim=(min(seen) - margin, max(seen) + margin),
        ylabel="above the best known" if has_reference else "best value",
    )
    axes.spines[["right", "top"]].set_visible(False)
    headline(axes, SINGLE_TASKS[task.task])


def main(arguments: Sequence[str] | None = None, *, folder: Path = HERE, readme: Path = ROOT / "README.md") -> None:
    """Write picture, summary and paragraph.

    Args:
        arguments: The command line; `None`: that of the process.
        folder: Where picture and summary go.
        readme: The page whose paragraph is replaced.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=Path, default=FOLDER, help="folder of records (default: the repository's)")
    tasks = regrets(kept("proof", parser.parse_args(arguments).records))
    summary = summarize(tasks)
    draw(tasks, summary, folder / "headline.png")
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in summary.items())
    (folder / "headline.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    text = readme.read_text(encoding="utf-8")
    readme.write_text(MARKS.sub(lambda m: m[1] + paragraph(summary) + m[2], text), encoding="utf-8")
    print(paragraph(summary))


if __name__ == "__main__":
    main()
