"""Every script can be imported, and those that the other files do not cover do what they say, at a small size."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import acquisition_maximum, asking_again, failing_region, real_answers
from benchmarks.harness.runner import Task

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("name", SCRIPTS)
def test_is_run_as_a_module(name: str) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    assert f"python -m benchmarks.{name}" in (module.__doc__ or "")
    assert callable(module.main)


def test_help_is_the_docstring() -> None:
    command = [sys.executable, "-m", "benchmarks.failing_region", "--help"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (failing_region.__doc__ or "")[:200] in result.stdout


def _record(problem: str, method: str, seed: int, **result: Any) -> dict[str, Any]:
    return {"problem": problem, "prior": "own", "method": method, "seed": seed, "n_trials": 40, "error": None, **result}


def test_asking_again_is_compared_study_by_study() -> None:
    once, again = np.full(40, 2.0), np.full(40, 2.0)
    again[18:] = 1.0
    records = [
        _record("p", method, seed, values=values.tolist())
        for seed in (0, 1)
        for method, values in (("asked once", once), ("asked again", again))
    ]
    first, second, wins = asking_again.table(records).splitlines()[2:]
    assert first == "| p | 0 | 2 / 2 | 2 / 1 | 2 / 1 | 2 / 1 | 2 / 1 |"
    assert second.startswith("| p | 1 |")
    assert wins == "| asked again better-equal-worse |  | 0-2-0 | 2-0-0 | 2-0-0 | 2-0-0 | 2-0-0 |"


def test_failures_and_regret_by_case() -> None:
    records = [
        _record("branin/inside", "factor", seed, failed=[seed == 0] * 40, regret=[None if seed == 0 else 0.5] * 40)
        for seed in range(2)
    ]
    half, infinite = "50% (25% .. 75%)", "inf (inf .. inf)"
    assert failing_region.table(records).splitlines()[2] == (
        f"| branin/inside | own | factor | 2 | {half} | {half} | {infinite} | {infinite} |"
    )


def test_real_answers_against_both_controls(data: Path) -> None:
    (data / "answers").mkdir()
    (data / "answers" / "small.answer.json").write_text(
        '{"notes": "", "regions": [{"region": 1, "label": "", "weight": 1}], "numeric": [{"region": 1, '
        '"parameter": "rate", "best": 0.01, "low": 0.001, "high": 0.1}], "categorical": [], "correlations": [], '
        '"confidence": 0.9}'
    )
    records = []
    for method in ("control-1", "control-2", "no-llm"):
        task = Task("small", "own", method, 0, 8)
        result = real_answers.run_study(task, data=data)
        records.append({**_record("small", method, 0), "n_trials": 8, **result})
    # The second control starts on the points of the first.
    assert records[0]["values"][:5] == records[1]["values"][:5]
    best, verdict = real_answers.tables(records, n_trials=8).split("\n\n")
    assert best.splitlines()[2].startswith("| small | control-1 | 1 | ")
    assert "better control" in verdict


def test_a_larger_search_is_compared_with_ordinary_ones(data: Path) -> None:
    ordinary, large = acquisition_maximum.values(data, "small", 0)
    assert len(ordinary) == 4
    assert large >= max(ordinary) - 1e-3
