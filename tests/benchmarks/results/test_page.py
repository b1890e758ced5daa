from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.results import page, wrong_priors
from benchmarks.results.__main__ import main
from benchmarks.results.records import kept
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


def test_methods_on_live_tasks_have_a_table_of_their_own() -> None:
    text = page.write(studies("svm_336", "svm_digits"))
    assert text.count("| **default** | 1 | 6 |") == 2
    assert "trained live, 1:" in text
    assert "trained live, " not in page.write(studies("svm_336"))


def test_placebos_have_a_second_table_without_trust() -> None:
    weighed = studies("svm_336")
    bare = [r | {"method": "no-trust"} for r in weighed if r["method"] == "default"]
    text = page.write([*weighed, *bare])
    assert "The same without trust" in text
    assert text.count("| mirrored | 1 | 6 |") == 2
    assert page.write(weighed).count("| mirrored | 1 | 6 |") == 1


def test_remarks_stand_in_their_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remarks = tmp_path / "remarks.md"
    remarks.write_text("In short.\n\n## Families\n\nMark this.\n\n## Not tried\n\nMuch.\n", encoding="utf-8")
    monkeypatch.setattr(page, "REMARKS", remarks)
    text = page.write(studies("svm_336"))
    assert "Records: 42 studies, in `benchmarks/records`.*\n\nIn short.\n" in text
    assert "## Families\n\nMark this.\n\n| family |" in text
    assert text.endswith("## Not tried\n\nMuch.\n")


def test_commands_keep_records_and_write_page_and_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["--records", str(tmp_path / "kept")]
    for kind, records in {"proof": studies("svm_336"), "wrong": WRONG}.items():
        (tmp_path / f"{kind}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
        main(["keep", kind, str(tmp_path / f"{kind}.jsonl"), *folder])
        assert f"{len(records)} studies are kept." in capsys.readouterr().out
    main(["write", "--out", str(tmp_path), *folder])
    assert "## Right and wrong priors" in (tmp_path / "results.md").read_text(encoding="utf-8")
    assert (tmp_path / "figures" / "results.png").read_bytes().startswith(b"\x89PNG")


def test_tokens_are_those_of_the_recorded_question() -> None:
    counted = page.tokens_of("svm_336")
    assert counted is not None
    question, answer = counted
    assert 500 < question < 3000
    assert 200 < answer < 3000
    assert page.tokens_of("no such task") is None


def test_published_page_is_what_this_code_writes_from_the_kept_records() -> None:
    text = page.write(kept("proof"), wrong=kept("wrong"), again=kept("again"))
    assert (ROOT / "docs" / "results.md").read_text(encoding="utf-8") == text
