"""The picture at the top of README.md, its number, and the pictures of the tutorial."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.results.records import keep

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "docs" / "figures"
N_TRIALS = 14


def load_script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, FIGURES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


headline = load_script("headline")

OPTIMUM = -1.0
CURVES = {
    # Level with what GPSampler has after 12 trials after one, better than all from the eleventh on.
    "default": [1.0] * 10 + [0.0] * 3 + [OPTIMUM],
    "no-llm": [4.0] * 13 + [1.0],
    "GPSampler": [5.0] * 5 + [3.0] * 6 + [1.0] * 3,
    "TPESampler": [5.0] * 14,
}
"""Method -> best values so far of every study of the made-up tasks."""


def record(task: str, method: str, seed: int, values: list[float], **others: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "problem": task,
        "prior": "own" if method == "default" else "none",
        "method": method,
        "seed": seed,
        "n_trials": len(values),
        "error": None,
        "test_values": None,
        "best_known": None,
        "trace": {},
    }
    return {**fields, "values": values, **others}


@pytest.fixture
def records() -> list[dict[str, Any]]:
    """Two tasks in different units, one that the model remembers, and one on which nothing is left after the start."""
    made = [
        record(task, method, seed, [scale * value for value in CURVES[method]])
        for task, scale in (("xgb_protein_structure", 1.0), ("lcbench_1", 100.0))
        for method in CURVES
        for seed in (0, 1)
    ]
    made += [record("fcnet_slice_localization", method, seed, [9.0] * N_TRIALS) for method in CURVES for seed in (0, 1)]
    made += [record("solved", method, seed, [2.0] * N_TRIALS) for method in CURVES for seed in (0, 1)]
    # Neither counts: a foreign answer, and a study that died.
    made.append(record("lcbench_1", "default", 0, [-1e9] * N_TRIALS, prior="foreign"))
    made.append(record("lcbench_1", "default", 7, [], error="out of memory"))
    return made


class TestHeadline:
    def test_regrets_are_in_units_of_what_ten_random_trials_leave(self, records: list[dict[str, Any]]) -> None:
        summary = headline.summarize(headline.regrets(records))
        # GPSampler's 3 after ten trials is 4 above the optimum.
        assert summary["curves"]["GPSampler"]["median"][9] == 1.0
        assert summary["curves"]["GPSampler"]["median"][0] == 1.5
        assert summary["curves"]["default"]["median"][9] == 0.5
        assert summary["curves"]["default"]["high"][-1] == 0.0

    def test_remembered_and_solved_tasks_are_left_out(self, records: list[dict[str, Any]]) -> None:
        assert headline.summarize(headline.regrets(records))["tasks"] == ["xgb_protein_structure", "lcbench_1"]

    def test_trials_until_level_are_counted(self, records: list[dict[str, Any]]) -> None:
        assert headline.summarize(headline.regrets(records))["level_after"] == {
            "no-llm": 14,
            "GPSampler": 12,
            "TPESampler": None,
        }

    def test_losses_are_counted(self, records: list[dict[str, Any]]) -> None:
        ahead = [
            {**r, "values": [0.5 * v for v in CURVES["default"]]}
            if (r["problem"], r["method"]) == ("xgb_protein_structure", "TPESampler")
            else r
            for r in records
        ]
        for r in ahead:
            if (r["problem"], r["method"]) == ("xgb_protein_structure", "TPESampler"):
                r["values"] = [*r["values"][:-1], 2.0 * OPTIMUM]
        summary = headline.summarize(headline.regrets(ahead))
        assert summary["sooner"] == {"no-llm": [], "GPSampler": [], "TPESampler": ["xgb_protein_structure"]}
        assert summary["ahead"] == {"no-llm": [], "GPSampler": [], "TPESampler": ["xgb_protein_structure"]}

    def test_a_missing_study_is_named(self, records: list[dict[str, Any]]) -> None:
        missing = [r for r in records if (r["problem"], r["method"], r["seed"]) != ("lcbench_1", "no-llm", 1)]
        with pytest.raises(SystemExit, match=r"'lcbench_1', 'no-llm', 1"):
            headline.summarize(headline.regrets(missing))

    def test_script_writes_picture_summary_and_paragraph(self, records: list[dict[str, Any]], tmp_path: Path) -> None:
        readme = tmp_path / "README.md"
        keep("proof", records, tmp_path)
        readme.write_text("# Title\n\n<!-- headline -->\nold\n<!-- /headline -->\n\nThe rest.\n", encoding="utf-8")
        headline.main(["--records", str(tmp_path)], folder=tmp_path, readme=readme)
        summary = json.loads((tmp_path / "headline.json").read_text(encoding="utf-8"))
        assert summary == headline.summarize(headline.regrets(records))
        assert (tmp_path / "headline.png").read_bytes().startswith(b"\x89PNG")
        text = readme.read_text(encoding="utf-8")
        assert text.startswith("# Title\n\n<!-- headline -->\n**After 10 trials it is where")
        assert "`GPSampler` is after 12" in text
        assert "`TPESampler` not within 14" in text
        assert text.endswith("<!-- /headline -->\n\nThe rest.\n")

    def test_readme_says_what_the_summary_says(self) -> None:
        text = (ROOT / "README.md").read_text(encoding="utf-8")
        summary = json.loads((FIGURES / "headline.json").read_text(encoding="utf-8"))
        stated = headline.MARKS.search(text)
        assert stated is not None
        assert stated[0] == f"{stated[1]}{headline.paragraph(summary)}{stated[2]}"
        assert text[: stated.end()].count("\n") <= 20

    def test_summary_has_no_raw_values(self) -> None:
        summary = json.loads((FIGURES / "headline.json").read_text(encoding="utf-8"))
        n = summary["n_trials"]
        assert all(len(curve) == n for method in summary["curves"].values() for curve in method.values())
        assert set(summary) == {
            "n_trials",
            "tasks",
            "n_extrapolated",
            "n_seeds",
            "curves",
            "level_after",
            "sooner",
            "ahead",
        }
        assert not any(task.startswith("fcnet") for task in summary["tasks"])


def test_every_picture_of_the_tutorial_is_of_a_page_that_its_code_writes() -> None:
    for page in sorted((ROOT / "docs" / "tutorial").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        pictures = re.findall(r"!\[[^\]]*\]\((\w+)\.png\)", text)
        assert [name for name in pictures if f'"{name}.html"' not in text] == []
