from __future__ import annotations

from llm_prior_bo.compare.markdown import markdown_head, markdown_row, markdown_table


def test_a_row_without_a_cell_leaves_it_empty() -> None:
    assert markdown_table([{"a": "1"}, {"b": "2", "a": "3"}]).splitlines() == [
        "| a | b |",
        "| --- | --- |",
        "| 1 |  |",
        "| 3 | 2 |",
    ]


def test_of_nothing() -> None:
    assert markdown_table([]) == ""


def test_head_and_rows_alone() -> None:
    assert [*markdown_head(["a", "b"]), markdown_row(["1", "2"])] == ["| a | b |", "| --- | --- |", "| 1 | 2 |"]
