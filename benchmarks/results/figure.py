"""Regret against trials, a panel for each task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.results.regrets import GP, NO_LLM, OURS, TaskRegrets, Way
from llm_prior_bo.space import FloatArray

WAYS: Mapping[Way, tuple[str, str]] = {
    OURS: ("LLM prior", "#0072B2"),
    NO_LLM: ("the engine without an LLM", "#009E73"),
    GP: ("GPSampler", "#D55E00"),
    Way("TPESampler"): ("TPESampler", "#7F7F7F"),
}
"""Way -> its name for people, and its colour."""

N_COLUMNS = 4
FLOOR = 0.01
"""Smaller regrets are drawn as this one."""


def draw(tasks: Sequence[TaskRegrets], path: Path) -> None:
    """Medians over the seeds, with bands from quartile to quartile; regrets in units of each task."""
    shown = [task for task in tasks if task.of(OURS)]
    n_rows = math.ceil(len(shown) / N_COLUMNS)
    figure = Figure(figsize=(12.0, 2.5 * n_rows + 0.6), layout="constrained")
    panels = figure.subplots(n_rows, N_COLUMNS, squeeze=False, sharex=True)
    for panel, task in zip(panels.flat, shown, strict=False):
        _draw_task(panel, task)
    for panel in panels.flat[len(shown) :]:
        panel.set_visible(False)
    lines = {line.get_label(): line for line in panels.flat[0].get_lines()}
    figure.legend(list(lines.values()), list(lines), loc="outside lower center", ncols=len(lines), frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": None})  # equal figures are equal files


def quartiles(curves: Sequence[FloatArray]) -> FloatArray:
    """First quartile, median and third quartile after each trial, `3 x n_trials`, at least `FLOOR`."""
    return np.maximum(np.quantile(np.stack(curves), [0.25, 0.5, 0.75], axis=0), FLOOR)


def _draw_task(axes: Axes, task: TaskRegrets) -> None:
    for way, (label, colour) in WAYS.items():
        if not task.of(way):
            continue
        low, median, high = quartiles(list(task.of(way).values()))
        trials = range(1, len(median) + 1)
        axes.fill_between(trials, low, high, color=colour, alpha=0.13, linewidth=0)
        axes.plot(trials, median, color=colour, linewidth=2.2 if way == OURS else 1.5, label=label)
    axes.set_yscale("log")
    axes.set_title(task.task, loc="left", fontsize=9)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
