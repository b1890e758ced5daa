from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import optuna
import pytest
import torch

from benchmarks import quickstart_seeds
from llm_prior_bo.compare.runner import read_records


@pytest.fixture(autouse=True)
def one_epoch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Train for one epoch, and put PyTorch's and Optuna's settings back afterwards."""
    import digits  # quickstart_seeds has put the examples on the path

    monkeypatch.setattr(digits, "fit_network", partial(digits.fit_network, epochs=1))
    n_threads, verbosity = torch.get_num_threads(), optuna.logging.get_verbosity()
    yield
    torch.set_num_threads(n_threads)
    torch.set_flush_denormal(False)
    optuna.logging.set_verbosity(verbosity)


def test_interrupted_benchmark_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "runs.jsonl"
    arguments = ["--out", str(path), "--trials", "1", "--seeds", "2", "--samplers", "GPSampler", "TPESampler"]
    quickstart_seeds.main(arguments)
    lines = path.read_text().splitlines()
    assert len(lines) == 4
    path.write_text("\n".join(lines[:2]) + "\n" + lines[2][:30])
    capsys.readouterr()
    quickstart_seeds.main(arguments)
    assert capsys.readouterr().out.count("seed ") == 2
    assert {(record["method"], record["seed"]) for record in read_records(path)} == {
        ("GPSampler", 0),
        ("TPESampler", 0),
        ("GPSampler", 1),
        ("TPESampler", 1),
    }


def test_failed_runs_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quickstart_seeds, "run_task", len)  # called with a task, it raises
    with pytest.raises(RuntimeError, match=r"(?s)1 runs failed; run again to retry.*TypeError"):
        quickstart_seeds.complete(tmp_path / "runs.jsonl", methods=["TPESampler"], seeds=[0], n_trials=1)


def test_tables() -> None:
    records = [
        {"method": method, "seed": 0, "best": best, "test_error": test_error, "seconds": 12.4}
        for method, best, test_error in (
            ("LLM prior", [90.0, 5.0, 5.0, 5.0, 5.0, 4.0], 3.1),
            ("TPESampler", [50.0, 4.0, 4.0, 4.0, 4.0, 4.0], 4.2),
        )
    ]
    rows = quickstart_seeds.quartiles_table(records, n_trials=6).splitlines()
    assert rows[0] == "| best validation error after | 5 trials | 6 trials | test error | seconds |"
    assert rows[2].startswith("| LLM prior | 5.00 (5.00 .. 5.00) | 4.00 (4.00 .. 4.00) | 3.10 (3.10 .. 3.10) | 12 ")
    wins = quickstart_seeds.wins_table(records, n_trials=6).splitlines()
    assert wins[2:] == ["| TPESampler | 0-0-1 | 0-1-0 | 1-0-0 |"]
