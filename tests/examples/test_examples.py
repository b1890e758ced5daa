"""All examples as a user meets them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SHARED = {"digits.py", "breast_cancer.py"}
SCRIPTS = sorted({path.name for path in EXAMPLES.glob("*.py")} - SHARED)


def test_table_lists_every_example() -> None:
    rows = re.findall(r"^\| `([\w.]+)`", (EXAMPLES / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(rows) == sorted([*SCRIPTS, "tour.ipynb"])


@pytest.mark.parametrize("name", SCRIPTS)
def test_first_lines_say_how_to_run_it(name: str) -> None:
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    assert text.startswith('"""')
    assert f"python examples/{name}" in text.split('"""')[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_runs_from_any_folder(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent)},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "another question's" not in done.stderr  # the recording is of this very question
    assert done.stdout
