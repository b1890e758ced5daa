"""Dask: a study and its sampler are pickled into workers, which share a `DaskStorage`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integrations.workers import TIME_LIMIT, answering, assert_worked_together, new_study, work

distributed = pytest.importorskip("distributed")
optuna_integration = pytest.importorskip("optuna_integration")

pytestmark = pytest.mark.filterwarnings("ignore:DaskStorage is experimental")


@pytest.mark.parametrize(
    ("processes", "database"),
    [(False, False), (False, True), *(pytest.param(True, d, marks=pytest.mark.slow) for d in (False, True))],
)
def test_one_question_for_all_workers(tmp_path: Path, processes: bool, database: bool) -> None:
    """In threads of this process, or in processes; the study in the scheduler's memory, or in a database."""
    n_workers, threads = (2, 1) if processes else (1, 2)
    # By TCP even in one process: the default there looks for a way to the internet.
    here = {"processes": processes, "protocol": "tcp", "host": "127.0.0.1", "dashboard_address": None}
    with (
        answering() as server,
        distributed.LocalCluster(n_workers=n_workers, threads_per_worker=threads, **here) as cluster,
        distributed.Client(cluster) as client,
    ):
        url = f"sqlite:///{tmp_path}/study.db" if database else None
        study = new_study(server, optuna_integration.DaskStorage(url))
        futures = [client.submit(work, study, pure=False) for _ in range(2)]
        client.gather(futures) if processes else distributed.wait(futures, timeout=TIME_LIMIT)
        assert [future.status for future in futures] == ["finished"] * 2
        assert_worked_together(study, server, n_trials=8)
