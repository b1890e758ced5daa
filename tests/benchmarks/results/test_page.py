from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.results import page, wrong_priors
from benchmarks.results.__main__ import main
from tests.benchmarks.results.studies import studies

ROOT = Path(__file__).parents[3]


def wrong(seed: int, prior: str, method: str, regret: float) -> dict[str, Any]:
    key = {"problem": "branin", "prior": prior, "method": method, "seed": seed, "n_trials": 30, "error": None}
    return key | {"regret": [4.0] * 9 + [regret] * 21}


WRONG = [
    wrong(seed, prior, method, regret)
    for seed in range(3)
    for prior, method, regret in (("uniform", "no-prior", 2.0), ("weak", "default", 1.0), ("wrong", "default", 4.0))
]


def test_priors_are_compared_with_none_in_units_of_what_five_trials_leave() -> None:
    lines = wrong_priors.table(WRONG).splitlines()
    assert lines[0] == "| prior | after | branin, 3 seeds | worse by no more than 0.1 |"
    assert lines[2] == "| weak | 10 | -0.250 (-0.25 to -0.25) | 1 of 1 |"
    assert lines[5] == "| wrong | 10 | +0.500 (+0.50 to +0.50) | 0 of 1 |"


def test_page_has_a_section_for_what_is_given() -> None:
    text = page.write(studies("svm_336", "lcbench_126026"))
    titles = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    assert titles[:4] == ["Protocol", "All methods", "Families", "After the start-up"]
    assert "Right and wrong priors" not in titles
    assert "Records: 84 studies" in text
    assert "**Tasks**: 2 (1 tables and fitted runs, 1 extrapolated surrogates)" in text


def test_remarks_stand_in_their_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remarks = tmp_path / "remarks.md"
    remarks.write_text("In short.\n\n## Families\n\nMark this.\n\n## Not tried\n\nMuch.\n", encoding="utf-8")
    monkeypatch.setattr(page, "REMARKS", remarks)
    text = page.write(studies("svm_336"))
    assert "do not edit. Records: 42 studies.*\n\nIn short.\n" in text
    assert "## Families\n\nMark this.\n\n| family |" in text
    assert text.endswith("## Not tried\n\nMuch.\n")


def test_command_writes_page_and_figure(tmp_path: Path) -> None:
    for name, records in {"proof": studies("svm_336"), "wrong": WRONG}.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    main(["--proof", str(tmp_path / "proof.jsonl"), "--wrong", str(tmp_path / "wrong.jsonl"), "--out", str(tmp_path)])
    assert "## Right and wrong priors" in (tmp_path / "results.md").read_text(encoding="utf-8")
    assert (tmp_path / "figures" / "results.png").read_bytes().startswith(b"\x89PNG")


def test_tokens_are_those_of_the_recorded_question() -> None:
    counted = page.tokens_of("svm_336")
    assert counted is not None
    question, answer = counted
    assert 500 < question < 3000
    assert 200 < answer < 3000
    assert page.tokens_of("no such task") is None


def test_published_page_is_one_that_this_code_writes() -> None:
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    published = [title for title in page.read_remarks(page.REMARKS) if f"## {title}\n" in text or not title]
    assert {"", "All methods", "Families", "Controls", "Not in these tables"} <= set(published)
    for title, remark in page.read_remarks(page.REMARKS).items():
        if title in published:
            assert (f"## {title}\n\n{remark}" if title else remark) in text
    assert page.COMMANDS in text
