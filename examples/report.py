"""What the quickstart shows: the beliefs of a language model, and the results of several samplers."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from numpy.typing import NDArray

from llm_prior_bo import CategoricalBelief, NumericBelief, PriorAnswer, Region
from llm_prior_bo.elicitation import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 100
"""Columns of the terminal that the texts keep to."""


@dataclass(frozen=True)
class Run:
    """One sampler's study.

    Attributes:
        label: The sampler's name for people.
        errors: Validation error of each trial, in order.
        config: The best trial's parameters.
        test_error: Their test error.
        seconds: Duration of the study, training included.
    """

    label: str
    errors: tuple[float, ...]
    config: dict[str, Any]
    test_error: float
    seconds: float

    @property
    def best_so_far(self) -> NDArray[np.float64]:
        """Smallest validation error up to each trial."""
        return np.minimum.accumulate(np.array(self.errors))

    def best_after(self, n_trials: int) -> float:
        """Smallest validation error among the first `n_trials`."""
        return min(self.errors[:n_trials])


def finished_errors(study: optuna.Study) -> tuple[float, ...]:
    """Value of each finished trial, in order."""
    return tuple(trial.value for trial in study.trials if trial.value is not None)


def aligned(rows: Sequence[Sequence[str]], *, numbers_from: int | None = None, indent: str = "  ") -> str:
    """Lay out rows in columns.

    Args:
        rows: Cells; all rows equally long.
        numbers_from: Columns from this one on are aligned to the right.
        indent: Put before each row.
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    first_number = len(widths) if numbers_from is None else numbers_from
    lines = [
        "  ".join(
            cell.rjust(width) if i >= first_number else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join((indent + line).rstrip() for line in lines)


# ---- beliefs


def belief_table(answer: PriorAnswer, *, notes_length: int = 400) -> str:
    """What an answer says, region by region: best guess and 80% interval, or the likeliest choices."""
    total = sum(region.weight for region in answer.regions) or 1.0
    blocks = [
        _region_block(answer, region, share=region.weight / total)
        for region in sorted(answer.regions, key=lambda region: -region.weight)
    ]
    where = "this region" if len(answer.regions) == 1 else f"one of these {len(answer.regions)} regions"
    confidence = f"  confidence that the optimum lies in {where} at all: {answer.confidence:.0%}"
    notes = textwrap.shorten(answer.notes, notes_length, placeholder=" ...")
    wrapped = textwrap.wrap(notes, WIDTH, initial_indent="  notes: ", subsequent_indent="         ")
    return printable("\n".join([*blocks, "", confidence, *wrapped]), keep="\n")  # a model's words do nothing here


def _region_block(answer: PriorAnswer, region: Region, *, share: float) -> str:
    numeric = [row for row in answer.numeric if row.region == region.region]
    choices = [row for row in answer.categorical if row.region == region.region]
    rows = [
        ("parameter", "best guess", "80% interval, or share of each choice"),
        *map(_numeric_cells, numeric),
        *_choice_cells(choices),
    ]
    correlations = [
        f"  correlation of {row.first} and {row.second}: {row.rho:+.2f}"
        for row in answer.correlations
        if row.region == region.region
    ]
    title = textwrap.shorten(f"region {region.region} ({share:.0%}): {region.label}", WIDTH - 2, placeholder=" ...")
    return "\n".join([f"\n  {title}", aligned(rows, indent="    "), *(f"  {line}" for line in correlations)])


def _numeric_cells(row: NumericBelief) -> tuple[str, str, str]:
    return row.parameter, short(row.best), f"{short(row.low)} .. {short(row.high)}"


def _choice_cells(rows: Sequence[CategoricalBelief]) -> list[tuple[str, str, str]]:
    cells = []
    for parameter in dict.fromkeys(row.parameter for row in rows):
        ranked = sorted((row for row in rows if row.parameter == parameter), key=lambda row: -row.weight)
        shares = ", ".join(f"{row.choice} {row.weight:.0%}" for row in ranked)
        cells.append((parameter, ranked[0].choice, shares))
    return cells


def short(value: float) -> str:
    """A number as a person would write it: two significant digits, all of them if it is a whole number."""
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:.2g}"


# ---- results


def checkpoints(n_trials: int) -> list[int]:
    """After how many trials the samplers are compared: 5, 10 and the last."""
    return [*(n for n in (5, 10) if n < n_trials), n_trials]


def results_table(runs: Sequence[Run]) -> str:
    """Best validation error after some trials, test error of the configuration chosen, and the time it took."""
    marks = checkpoints(min(len(run.errors) for run in runs))
    head = ["best validation error after", *(f"{n} trials" for n in marks), "test error", "seconds"]
    body = [
        [run.label, *map(percent, (run.best_after(n) for n in marks)), percent(run.test_error), f"{run.seconds:.0f}"]
        for run in runs
    ]
    return aligned([head, *body], numbers_from=1)


def config_text(config: Mapping[str, Any]) -> str:
    """Parameters in one line, or a few."""
    cells = [f"{name} {short(value) if isinstance(value, float) else value}" for name, value in config.items()]
    return textwrap.fill(", ".join(cells), WIDTH, initial_indent="  ", subsequent_indent="  ")


def percent(error: float) -> str:
    """An error rate as text: `4.25%`."""
    return f"{error:.2%}"


# ---- figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#7F7F7F", "#CC79A7", "#E69F00")  # the colour-blind tell them apart, too
TICKS = (0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.9)


def save_figure(runs: Sequence[Run], path: Path, *, title: str) -> None:
    """Draw the best validation error so far against the number of trials, one labelled line for each sampler."""
    # Without pyplot no window system is touched and no global state is left behind.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 4.6), layout="constrained")
    axes = figure.add_subplot()
    bottom, top = _limits(runs)
    n_trials = max(len(run.errors) for run in runs)
    ends = [max(run.best_after(n_trials), bottom) for run in runs]
    label_heights = _spread([math.log(end) for end in ends], gap=0.055 * math.log(top / bottom))
    _dress(axes, n_trials=n_trials, limits=(bottom, top))
    axes.set_title(title, loc="left", fontsize=11)
    # The first sampler is the one the example is about: it is drawn last, on top of the others.
    for i, run in reversed(list(enumerate(runs))):
        width, weight = (2.8, "bold") if i == 0 else (1.7, "normal")
        colour, trials = COLOURS[i % len(COLOURS)], range(1, len(run.errors) + 1)
        axes.step(trials, run.best_so_far, where="post", color=colour, linewidth=width, zorder=3)
        axes.annotate(
            f"{run.label}  {percent(run.best_after(n_trials))}",
            xy=(len(run.errors), ends[i]),
            xytext=(1 + 1.04 * max(n_trials - 1, 1), math.exp(label_heights[i])),
            color=colour,
            fontweight=weight,
            verticalalignment="center",
            annotation_clip=False,
            # From the middle of the label's left side.
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8, "relpos": (0, 0.5), "shrinkB": 0},
        )
    figure.savefig(path, dpi=160)


def _dress(axes: Axes, *, n_trials: int, limits: tuple[float, float]) -> None:
    axes.set_xlim(1, max(n_trials, 2))
    axes.set_xticks([1, *range(5, n_trials + 1, 5)])
    axes.set_xlabel("trials")
    axes.set_yscale("log", subs=[])
    axes.set_ylim(*limits)
    ticks = [tick for tick in TICKS if limits[0] <= tick <= limits[1]]
    axes.set_yticks(ticks, labels=[f"{100 * tick:g}%" for tick in ticks])
    axes.set_ylabel("best validation error so far (log scale)")
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def _limits(runs: Sequence[Run]) -> tuple[float, float]:
    """Lowest and highest error to show, with a margin; never zero, which has no place on a log axis."""
    curves = np.concatenate([run.best_so_far for run in runs])
    return max(0.85 * float(curves.min()), 1e-3), max(1.1 * float(curves.max()), 2e-3)


def _spread(heights: Sequence[float], *, gap: float) -> list[float]:
    """Heights of labels that keep `gap` from each other and are otherwise where they belong.

    Labels that would overlap form a stack about their mean; stacks that meet are merged. Of level lines, the first has
    its label on top.
    """
    stacks: list[list[int]] = []
    for i in sorted(range(len(heights)), key=lambda i: (heights[i], -i)):
        stacks.append([i])
        while len(stacks) > 1 and _bottom(stacks[-1], heights, gap) < _top(stacks[-2], heights, gap) + gap:
            stacks[-2:] = [stacks[-2] + stacks[-1]]
    placed = {i: _bottom(stack, heights, gap) + gap * k for stack in stacks for k, i in enumerate(stack)}
    return [placed[i] for i in range(len(heights))]


def _bottom(stack: Sequence[int], heights: Sequence[float], gap: float) -> float:
    """Height of the lowest label of a stack that is centred about the mean of its heights."""
    return sum(heights[i] for i in stack) / len(stack) - gap * (len(stack) - 1) / 2


def _top(stack: Sequence[int], heights: Sequence[float], gap: float) -> float:
    return _bottom(stack, heights, gap) + gap * (len(stack) - 1)
