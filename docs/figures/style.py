"""What the scripts of the figures share: colours, titles, files, the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY, PINK = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#7F7F7F",
    "#CC79A7",
)  # told apart by the colour-blind

HERE = Path(__file__).parent


def headline(axes: Axes, text: str) -> None:
    """A bold title, flush left."""
    axes.set_title(text, loc="left", fontsize=10.5, fontweight="bold")


def save(figure: Figure, path: Path, *, dpi: int, **options: Any) -> None:
    """Write a figure as PNG.

    Args:
        figure: The figure.
        path: The file.
        dpi: Pixels per inch.
        options: Further arguments of `Figure.savefig`.
    """
    # White, not transparent: the labels must stay legible on a dark page. No metadata: equal figures are equal files.
    figure.savefig(path, dpi=dpi, facecolor="white", metadata={"Software": None}, **options)


def draw_named(
    figures: Mapping[str, Callable[[Path], None]],
    arguments: Sequence[str] | None,
    *,
    description: str | None,
    prefix: str = "",
) -> None:
    """Draw the figures that are named on the command line, all of them by default.

    Args:
        figures: Name -> function that writes the figure to a path.
        arguments: The command line; `None`: that of the process.
        description: What the help says.
        prefix: What the files' names begin with.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", metavar="figure", help=f"some of {', '.join(figures)}; all by default")
    chosen = parser.parse_args(arguments).figures or list(figures)
    unknown = sorted(set(chosen) - set(figures))
    if unknown:
        parser.error(f"expected some of {', '.join(figures)}, got {', '.join(unknown)}")
    for name in chosen:
        path = HERE / f"{prefix}{name}.png"
        figures[name](path)
        print(path)
