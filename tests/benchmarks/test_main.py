"""The command line, on studies that take no time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness import __main__ as command_line
from llm_prior_bo.compare.runner import read_records

ROOT = Path(__file__).parents[2]


def run(out: Path, *more: str) -> int:
    options = ["--problems", "branin", "--priors", "weak", "strong", "--methods", "random", "no-prior", "--trials", "8"]
    return command_line.main(["run", *options, "--seeds", "0-1", "--out", str(out), *more])


class TestBothCommands:
    def test_from_end_to_end(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out, figure = tmp_path / "results.jsonl", tmp_path / "regret.png"
        assert run(out) == 0
        assert "4 finished, 0 failed" in capsys.readouterr().out
        assert [(record["method"], record["seed"], len(record["regret"])) for record in read_records(out)] == [
            ("random", 0, 8),
            ("no-prior", 0, 8),
            ("random", 1, 8),
            ("no-prior", 1, 8),
        ]
        text = out.read_text()
        assert run(out) == 0  # nothing is left to do
        assert out.read_text() == text
        capsys.readouterr()
        assert command_line.main(["report", str(out), "--figure", str(figure)]) == 0
        printed = capsys.readouterr().out
        assert "| branin | uniform | random | 2 |" in printed
        assert "regret after 8" in printed
        assert figure.stat().st_size > 1000

    def test_as_a_module(self) -> None:
        command = [sys.executable, "-m", "benchmarks.harness", "report", "no such file"]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert result.returncode == 2
        assert "no such file, which does not exist; run first." in result.stderr


class TestRun:
    def test_failures_are_told(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(command_line, "run_study", len)  # called with a task, it raises
        assert run(tmp_path / "results.jsonl") == 1
        printed = capsys.readouterr()
        assert "branin, uniform, random, seed 0: FAILED" in printed.out
        assert "0 finished, 4 failed" in printed.out
        assert "TypeError" in printed.err

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--problems", "brain"], "invalid choice: 'brain'"),
            (["--methods", "pibo"], "invalid choice: 'pibo'"),
            (["--seeds", "ten"], "Expected numbers and rising ranges such as 0-10 or 0,3,7-9, got 'ten'"),
            (["--seeds", "5-3"], "got '5-3'"),
            (["--trials", "0"], "Expected a whole number of at least 1, got '0'"),
            (["--workers", "-1"], "Expected a whole number of at least 1, got '-1'"),
        ],
    )
    def test_wrong_options_are_refused(
        self, options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            run(tmp_path / "results.jsonl", *options)
        assert message in capsys.readouterr().err
        assert not list(tmp_path.iterdir())

    def test_damaged_file_is_named(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "results.jsonl"
        out.write_text("damaged\n")
        with pytest.raises(SystemExit):
            run(out)
        assert "'damaged' in line 1" in capsys.readouterr().err


def test_help_names_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command_line.main(["run", "--help"])
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("hartmann6", "wrong-narrow", "dynabo", "0-10"))
