from __future__ import annotations

from pathlib import Path

import parallel_sqlite
import pytest

from llm_prior_bo import answers_of


def test_one_question_for_all_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = parallel_sqlite.main(["--storage", f"sqlite:///{tmp_path}/study.db", "--workers", "2", "--trials", "4"])
    assert "1 answer in the study" in capsys.readouterr().out
    assert len(answers_of(study)) == 1
    assert len(study.trials) >= 4
    assert {trial.user_attrs["worker"] for trial in study.trials} <= {"worker 0", "worker 1"}
