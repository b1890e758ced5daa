from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import engine, surrogate_ablation
from llm_prior_bo.compare.runner import Task, read_records


def record(method: str, seed: int, values: list[float | None], *, problem: str = "small") -> dict[str, Any]:
    key = {"problem": problem, "prior": "none", "method": method, "seed": seed, "n_trials": len(values)}
    return {**key, "error": None, "values": values, "seconds": 2.0 + seed}


RECORDS = [
    record("no prior", 0, [3.0, 1.0]),
    record("no prior", 1, [3.0, 2.0]),
    record("GPSampler", 0, [2.0, 2.0]),
    record("GPSampler", 1, [4.0, 2.0]),
    record("GPSampler", 2, [0.0, 0.0]),  # no pair
]


def test_table() -> None:
    assert engine.table(RECORDS, (1, 2)).splitlines()[2:] == [
        "| small | no prior | 2 | 3.0000 (3.0000 .. 3.0000) | 1.5000 (1.2500 .. 1.7500) | 2.5 |",
        "| small | GPSampler | 3 | 2.0000 (1.0000 .. 3.0000) | 2.0000 (1.0000 .. 2.0000) | 3.0 |",
    ]


def test_comparison_is_paired_by_seed() -> None:
    assert engine.comparison(RECORDS, (1, 2), subject="no prior").splitlines()[2:] == [
        "| small | GPSampler | 1-0-1 | 1-1-0 |"
    ]


def test_best_passes_over_trials_without_a_value() -> None:
    assert engine.best_after(record("no prior", 0, [None, 3.0, 1.0]), 2) == 3.0


def test_an_interrupted_run_is_taken_up(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "engine.jsonl"
    options = ["--data", str(data), "--out", str(out), "--tasks", "small", "--trials", "3"]
    engine.main([*options, "--seeds", "1", "--methods", "RandomSampler"])
    first = out.read_text()
    engine.main([*options, "--seeds", "1", "--methods", "RandomSampler", "TPESampler"])
    assert out.read_text().startswith(first)
    assert [(r["problem"], r["method"], len(r["values"])) for r in read_records(out)] == [
        ("small", "RandomSampler", 3),
        ("small", "TPESampler", 3),
    ]
    assert "| small | TPESampler | 1 |" in capsys.readouterr().out


@pytest.mark.parametrize("method", ["no prior", "no opinion"])
def test_own_methods(data: Path, method: str) -> None:
    assert len(engine.run_study(Task("small", "none", method, 0, 3), data=data)["values"]) == 3


class TestSurrogateAblation:
    def test_every_variant_changes_suggestions(self, data: Path) -> None:
        """Beyond the start-up, which is the same for all."""
        values = {
            variant: surrogate_ablation.run_study(Task("small", "none", variant, 0, 13), data=data)["values"]
            for variant in surrogate_ablation.VARIANTS
        }
        shipped = values.pop(surrogate_ablation.AS_SHIPPED)
        assert all(other[:10] == shipped[:10] for other in values.values())
        assert [variant for variant, other in values.items() if other == shipped] == []

    def test_tasks_with_heavy_tails(self, data: Path) -> None:
        config = {"rate": 0.5, "depth": 4, "booster": "linear"}
        plain, raw, diverging = (
            surrogate_ablation.load_variant(data, f"small{change}").evaluate(config)
            for change in ("", ", raw error", ", diverging")
        )
        assert plain == pytest.approx(1.2)
        assert raw == pytest.approx(10.0**1.2)
        assert diverging == pytest.approx(12.0)
