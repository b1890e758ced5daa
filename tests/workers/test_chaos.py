"""Workers killed at random moments: the short version of `benchmarks/chaos.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.chaos import run
from tests.workers.conftest import Open

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_three_kills(open_place: Open, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "crew"
    folder.mkdir()
    chaos = run(open_place(kind), folder, n_kills=3, seed=0)
    assert chaos.problems() == []
    assert chaos.n_kills == 3
    assert chaos.tally.n_finished > 0
