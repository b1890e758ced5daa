from __future__ import annotations

from pathlib import Path

import basic_usage
import pytest


@pytest.mark.usefixtures("brief_comparison")
def test_one_study_then_a_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = basic_usage.main(["--trials", "2", "--seeds", "1", "--out", str(tmp_path)])
    output = capsys.readouterr().out
    assert len(study.trials) == 2
    assert "Answer with 4 regions, confidence 0.88" in output
    assert "Repaired: The interval of 'width'" in output
    assert all(name in output for name in ("LLM prior", "GPSampler", "TPE", "random"))
    assert {path.name for path in tmp_path.iterdir()} == {"comparison.html", "report.html"}


def test_a_live_model_can_be_asked() -> None:
    assert str(basic_usage.llm_prior(0, model="gpt-4o")) == "LLMPriorSampler(gpt-4o)"


@pytest.mark.parametrize("trials", ["0", "-1", "many"])
def test_bad_budget_is_refused(trials: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        basic_usage.main(["--trials", trials])
    assert "above zero" in capsys.readouterr().err
