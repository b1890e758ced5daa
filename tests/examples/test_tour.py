"""The notebook's code cells, run one after the other in one namespace.

No kernel is started: that would be another process behind sockets, two more packages, and the very same code.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import optuna
import plotly.io
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
CELLS = json.loads((EXAMPLES / "tour.ipynb").read_text(encoding="utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]


@pytest.fixture
def few_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every call of `optimize` no more than eleven trials, so that trial 10 can be explained."""
    optimize = optuna.Study.optimize
    monkeypatch.setattr(
        optuna.Study,
        "optimize",
        lambda study, objective, n_trials: optimize(study, objective, n_trials=min(n_trials, 11)),
    )


@pytest.mark.usefixtures("few_trials")
def test_cells_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(plotly.io.renderers, "default", plotly.io.renderers.default)
    names: dict[str, Any] = {}
    for cell in CODE:
        exec("".join(cell["source"]), names)
    assert len(names["study"].trials) == 12
    assert "even chance" not in names["text"]
    first, other = (names["answers_of"](names[study])[0].answer for study in ("study", "other"))
    assert first.confidence == 0.85
    assert other.confidence == 0.7
    assert [region.weight for region in other.regions] == [0.5, 0.5]
    assert (tmp_path / "tour" / "report.html").exists()


def test_outputs_are_stored_whole_and_small() -> None:
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    outputs = [output for cell in CODE for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert (EXAMPLES / "tour.ipynb").stat().st_size < 300_000
