"""joblib: a study and its sampler are pickled into workers, which share a journal file."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tests.integrations.workers import TIME_LIMIT, answering, assert_worked_together, new_study, work

joblib = pytest.importorskip("joblib")


@pytest.mark.parametrize(
    "backend", ["threading", *(pytest.param(b, marks=pytest.mark.slow) for b in ("loky", "multiprocessing"))]
)
def test_one_question_for_all_workers(tmp_path: Path, backend: str) -> None:
    with answering() as server:
        study = new_study(server, JournalStorage(JournalFileBackend(str(tmp_path / "study.log"))))
        joblib.Parallel(n_jobs=2, backend=backend, timeout=TIME_LIMIT)(joblib.delayed(work)(study) for _ in range(2))
        assert_worked_together(study, server, n_trials=8)
