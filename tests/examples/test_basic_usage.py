from __future__ import annotations

from pathlib import Path

import basic_usage
import optuna
import pytest


def study_of(errors: list[float], *, test_error: float) -> optuna.Study:
    study = optuna.create_study()
    study.add_trials([optuna.trial.create_trial(value=error) for error in errors])
    study.set_user_attr("test_error", test_error)
    return study


def test_all_samplers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    studies = basic_usage.main(["--trials", "2", "--seeds", "1", "--out", str(tmp_path)])
    output = capsys.readouterr().out
    assert list(studies) == ["LLM prior", "GPSampler", "TPESampler"]
    assert [len(study.trials) for (study,) in studies.values()] == [2, 2, 2]
    assert "Answer with 4 regions, confidence 0.88" in output
    assert "Repaired: The interval of 'width'" in output
    assert all(name in output for name in studies)
    assert {path.name for path in tmp_path.iterdir()} == {"comparison.html", "report.html"}


def test_a_live_model_can_be_asked() -> None:
    assert str(basic_usage.llm_prior(0, model="gpt-4o")) == "LLMPriorSampler(gpt-4o)"


@pytest.mark.parametrize("trials", ["0", "-1", "many"])
def test_bad_budget_is_refused(trials: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        basic_usage.main(["--trials", trials])
    assert "above zero" in capsys.readouterr().err


@pytest.mark.parametrize(("n_trials", "marks"), [(2, [2]), (5, [5]), (6, [5, 6]), (25, [5, 10, 25])])
def test_checkpoints(n_trials: int, marks: list[int]) -> None:
    assert basic_usage.checkpoints(n_trials) == marks


def test_table() -> None:
    studies = {
        "one": [study_of([0.9, 0.05, 0.06, 0.05, 0.05, 0.04], test_error=0.031)],
        "two": [study_of([0.5, 0.04, 0.3, 0.3, 0.3, 0.2], test_error=0.042)] * 2,
    }
    head, *rows = [line.split() for line in basic_usage.results_table(studies, n_trials=6).splitlines()]
    assert head == ["5", "trials", "6", "trials", "test", "error", "seconds"]
    assert [row[0:2] + row[5:6] + row[9:10] for row in rows] == [
        ["one", "5.00%", "4.00%", "3.10%"],
        ["two", "4.00%", "4.00%", "4.20%"],
    ]


def test_quartiles() -> None:
    assert basic_usage.quartiles([0.01, 0.02, 0.03, 0.04, 0.05]) == "3.00% (2.00% .. 4.00%)"
