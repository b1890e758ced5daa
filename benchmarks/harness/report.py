"""Tables and figures of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.harness.summary import group_by_seed
from llm_prior_bo.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOWEST_REGRET = 1e-9
"""Smaller regrets are drawn as this one."""

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#000000")
"""Told apart by the colour-blind; methods beyond them are drawn dashed."""


def draw(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw log10 of the best regret so far against the number of trials: a panel for each problem and kind of prior.

    A line is the median over the seeds, its band reaches from quartile to quartile. Records of methods that ignore
    their prior appear in every panel of their problem.

    Args:
        records: With a task's fields and `regret` (best so far, of every trial); failed ones are left out.
        path: Where to write; the ending names the format.

    Raises:
        ImportError: If Matplotlib is not installed.
        ConfigurationError: If there is no finished record, or the studies have different lengths.
    """
    try:
        from matplotlib.figure import Figure  # not pyplot, which keeps global state
    except ImportError as error:
        raise ImportError(
            'Expected Matplotlib for a figure, found none; pip install "llm-prior-bo[examples]".'
        ) from error
    groups = group_by_seed(records)
    if not groups:
        raise ConfigurationError("Expected at least one finished record to draw, got none.")
    problems, priors, methods = (list(dict.fromkeys(group[i] for group in groups)) for i in range(3))
    size = (3.2 * len(priors) + 0.6, 2.5 * len(problems) + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(problems), len(priors), squeeze=False, sharex=True, sharey="row")
    for i, problem in enumerate(problems):
        for j, prior in enumerate(priors):
            _dress(panels[i, j], title=f"{problem}, {prior}", is_left=j == 0, is_lowest=i == len(problems) - 1)
            for rank, method in enumerate(methods):
                _draw_method(panels[i, j], list(groups.get((problem, prior, method), {}).values()), method, rank)
    lines = {line.get_label(): line for panel in panels.flat for line in panel.get_lines()}
    shown = [method for method in methods if method in lines]
    figure.legend(
        [lines[method] for method in shown], shown, loc="outside lower center", ncols=len(shown), frameon=False
    )
    figure.savefig(path, dpi=140)


def _draw_method(axes: Axes, records: Sequence[Mapping[str, Any]], method: str, rank: int) -> None:
    if not records:
        return
    curves = np.log10(np.maximum([record["regret"] for record in records], LOWEST_REGRET))  # seeds x trials
    low, median, high = np.quantile(curves, [0.25, 0.5, 0.75], axis=0)
    trials = np.arange(1, curves.shape[1] + 1)
    colour, style = _COLOURS[rank % len(_COLOURS)], "-" if rank < len(_COLOURS) else "--"
    axes.fill_between(trials, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(trials, median, style, color=colour, linewidth=1.6, label=method)


def _dress(axes: Axes, *, title: str, is_left: bool, is_lowest: bool) -> None:
    axes.set_title(title, loc="left", fontsize=9)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    if is_left:
        axes.set_ylabel("log10 regret")
    if is_lowest:
        axes.set_xlabel("trials")
