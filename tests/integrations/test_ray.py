"""Ray Tune: the sampler inside `OptunaSearch`, alone and in a `Tuner`, and pickled into Ray's workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from llm_prior_bo.study.diagnostics import study_statistics
from tests.integrations.workers import (
    SPACE,
    TIME_LIMIT,
    answering,
    asking_sampler,
    assert_worked_together,
    loss,
    new_study,
    work,
)
from tests.scripts import ROOT

pytestmark = pytest.mark.filterwarnings("ignore")  # of Ray's own, which differ from version to version
ray = pytest.importorskip("ray")
pytest.importorskip("ray.tune")


@pytest.fixture
def cluster() -> Iterator[None]:
    """Two workers on this machine, which find this folder's modules."""
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=environment)
    yield
    ray.shutdown()


def search_with(sampler: Any) -> Any:
    from ray.tune.search.optuna import OptunaSearch

    return OptunaSearch(space=dict(SPACE), metric="loss", mode="min", sampler=sampler)


def test_a_search_is_saved_and_goes_on(tmp_path: Path) -> None:
    """A checkpoint holds the study and the sampler, which asks no second time."""
    with answering() as server:
        search = search_with(asking_sampler(server))
        for name in "abcdef":
            search.on_trial_complete(name, {"loss": loss(**search.suggest(name)), "training_iteration": 1})
        search.save(str(tmp_path / "search.pkl"))
        again = search_with(None)
        again.restore(str(tmp_path / "search.pkl"))
        assert again.suggest("g") == search.suggest("g")
        assert len(server.requests) == 1
    assert [row["phase"] for row in study_statistics(search._ot_study).trace()] == ["startup"] * 4 + ["model"] * 3


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_tuner(tmp_path: Path) -> None:
    from ray import tune

    with answering() as server:
        search = search_with(asking_sampler(server))
        tuner = tune.Tuner(
            lambda config: {"loss": loss(**config)},
            tune_config=tune.TuneConfig(search_alg=search, num_samples=8, max_concurrent_trials=2),
            run_config=tune.RunConfig(verbose=0, storage_path=str(tmp_path)),
        )
        results = tuner.fit()
        assert results.num_errors == 0
        assert_worked_together(search._ot_study, server, n_trials=8)


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_one_question_for_all_workers(tmp_path: Path) -> None:
    with answering() as server:
        study = new_study(server, JournalStorage(JournalFileBackend(str(tmp_path / "study.log"))))
        remote = ray.remote(work)
        ray.get([remote.remote(study) for _ in range(2)], timeout=TIME_LIMIT)
        assert_worked_together(study, server, n_trials=8)
