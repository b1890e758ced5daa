"""Short tables of objects: as text, in a notebook, and by rich. What others wrote is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_prior_bo._text import printable

if TYPE_CHECKING:
    from rich.console import RenderableType

MAX_ROWS = 40
"""Rows that are shown; of more, the last line tells how many are left out."""

MAX_CELL_CHARACTERS = 200
"""A longer text in a cell or a line is cut."""


@dataclass(frozen=True, slots=True)
class TextTable:
    """A title, rows of text, and lines below them; make one with `of`, which escapes and cuts."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[str, ...]

    @classmethod
    def of(
        cls, title: str, columns: Sequence[str] = (), rows: Iterable[Sequence[object]] = (), lines: Iterable[str] = ()
    ) -> TextTable:
        """A table of any values: `None` is a dash, floats have three digits."""
        cells = [tuple(_cell(value) for value in row) for row in rows]
        left_out = [f"... and {len(cells) - MAX_ROWS} more rows"] if len(cells) > MAX_ROWS else []
        below = tuple(_cell(line) for line in (*left_out, *lines))
        return cls(_cell(title), tuple(map(_cell, columns)), tuple(cells[:MAX_ROWS]), below)

    def __str__(self) -> str:
        table = [self.columns, *self.rows] if self.rows else []
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        padded = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in table]
        return "\n".join([self.title, *(f"  {row}" for row in padded), *self.lines])

    def to_html(self) -> str:
        """HTML without anything that acts."""
        head = "".join(f"<th>{html.escape(column)}</th>" for column in self.columns)
        rows = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in self.rows]
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if rows else ""
        below = "".join(f"<div>{html.escape(line)}</div>" for line in self.lines)
        return f"<div><strong>{html.escape(self.title)}</strong>{table}{below}</div>"

    def to_rich(self) -> RenderableType:
        """A table for rich's consoles; its cells are plain text, no markup."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        parts: list[RenderableType] = [Text(self.title, style="bold")]
        if self.rows:
            table = Table(*self.columns)
            for row in self.rows:
                table.add_row(*map(Text, row))
            parts.append(table)
        return Group(*parts, *map(Text, self.lines))


class Displayed:
    """What is shown as a table; `_display` says which."""

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # IPython takes the first class in the order of resolution that has this method or a `__repr__` of its own, and
        # every dataclass has one.
        cls._repr_pretty_ = cls._repr_pretty_  # type: ignore[method-assign]

    def _display(self) -> TextTable:
        raise NotImplementedError

    def __str__(self) -> str:
        return str(self._display())

    def _repr_html_(self) -> str:
        return self._display().to_html()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002 - IPython's signature
        printer.text(str(self))

    def __rich__(self) -> RenderableType:
        return self._display().to_rich()


def _cell(value: object) -> str:
    if value is None:
        return "-"
    text = f"{value:.3g}" if isinstance(value, float) else printable(str(value), keep="")
    return text if len(text) <= MAX_CELL_CHARACTERS else f"{text[:MAX_CELL_CHARACTERS]}..."
