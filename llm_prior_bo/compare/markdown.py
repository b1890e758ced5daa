"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows, as texts by title of their column, as a Markdown table; a cell that a row does not have stays empty."""
    titles = list(dict.fromkeys(title for row in rows for title in row))
    lines = [*markdown_head(titles), *(markdown_row([row.get(title, "") for title in titles]) for row in rows)]
    return "\n".join(lines) if rows else ""


def markdown_head(titles: Sequence[str]) -> list[str]:
    """The first two lines of a table, for tables that are printed as their rows come."""
    return [markdown_row(titles), markdown_row(["---"] * len(titles))]


def markdown_row(cells: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"
