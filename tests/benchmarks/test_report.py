from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.harness.report import draw
from benchmarks.harness.summary import summarize, trust_table
from llm_prior_bo.compare.markdown import markdown_table
from llm_prior_bo.errors import ConfigurationError
from tests.benchmarks.records import record

RECORDS = [
    record("no-prior", 0, [4.0, 2.0], prior="uniform"),
    record("no-prior", 1, [4.0, 2.0], prior="uniform"),
    record("evidence", 0, [3.0, 0.0], details={2: {"trust": 0.75}}),
    record("evidence", 1, [5.0, 1.0], prior="wrong-wide"),
]


class TestTable:
    def test_of_a_summary(self) -> None:
        assert markdown_table([row.cells() for row in summarize(RECORDS, at=(1, 2))]).splitlines() == [
            "| problem | prior | method | seeds | regret after 1 | regret after 2 | 1: against no-prior "
            "| 2: against no-prior |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
            "| branin | weak | no-prior | 2 | 4 (4 to 4) | 2 (2 to 2) |  |  |",
            "| branin | weak | evidence | 1 | 3 (3 to 3) | 0 (0 to 0) | 1-0-0 | 1-0-0 |",
            "| branin | wrong-wide | no-prior | 2 | 4 (4 to 4) | 2 (2 to 2) |  |  |",
            "| branin | wrong-wide | evidence | 1 | 5 (5 to 5) | 1 (1 to 1) | 0-0-1 | 1-0-0 |",
        ]

    def test_of_trust(self) -> None:
        assert markdown_table([row.cells() for row in trust_table(RECORDS, at=(2,))]).splitlines() == [
            "| problem | prior | method | seeds | trust at 2 |",
            "| --- | --- | --- | --- | --- |",
            "| branin | weak | evidence | 1 | 0.75 |",
        ]


class TestFigure:
    def test_is_drawn(self, tmp_path: Path) -> None:
        path = tmp_path / "figure.svg"
        more = [record("evidence", 0, [2.0, 1.0], problem="mixed"), record("random", 0, [2.0, 1.0], problem="mixed")]
        draw([*RECORDS, *more], path)
        assert path.read_text().startswith("<?xml")

    def test_needs_records(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="at least one finished record"):
            draw([{**RECORDS[0], "error": "Traceback"}], tmp_path / "figure.svg")

    def test_says_what_to_install(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(ImportError, match=r'pip install "llm-prior-bo\[examples\]"'):
            draw(RECORDS, tmp_path / "figure.svg")
