"""Experiment trackers: what Optuna's callbacks for MLflow and Weights & Biases get to see of a suggestion."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from llm_prior_bo import FixedElicitor, LLMPriorSampler
from tests.integrations.workers import BELIEF, SPACE, evaluate

# Both callbacks are deprecated since Optuna 4.9 (until 6.0), and the trackers have warnings of their own.
pytestmark = pytest.mark.filterwarnings("ignore")
optuna_integration = pytest.importorskip("optuna_integration")


@pytest.fixture
def study() -> optuna.Study:
    sampler = LLMPriorSampler(elicitor=FixedElicitor(BELIEF), search_space=SPACE, n_startup_trials=2, seed=0)
    sampler.trial_attributes = True
    return optuna.create_study(study_name="tracked", sampler=sampler)


def test_mlflow_has_the_attributes_as_tags(study: optuna.Study, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    before = mlflow.get_tracking_uri()
    callback = optuna_integration.MLflowCallback(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    try:
        study.optimize(evaluate, n_trials=3, callbacks=[callback])
        runs = mlflow.search_runs(experiment_names=["tracked"], output_format="list")
    finally:
        mlflow.set_tracking_uri(before)
    tags = sorted((run.data.tags for run in runs), key=lambda tags: int(tags["number"]))
    assert [tag["llm_prior_phase"] for tag in tags] == ["startup", "startup", "model"]
    assert tags[0]["llm_prior_source"] == "mode"
    assert float(tags[2]["llm_prior_trust"]) == study.trials[2].user_attrs["llm_prior_trust"]


def test_weights_and_biases_logs_what_the_objective_gives_it(
    study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its callback logs parameters and values; the attributes are there for the objective."""
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    options = {"project": "p", "mode": "offline", "dir": str(tmp_path)}
    callback = optuna_integration.WeightsAndBiasesCallback(metric_name="loss", wandb_kwargs=options)

    def objective(trial: optuna.Trial) -> float:
        value = evaluate(trial)
        wandb.log(dict(trial.user_attrs), step=trial.number)
        return value

    try:
        study.optimize(callback.track_in_wandb()(objective), n_trials=4, callbacks=[callback])
        summary = dict(wandb.run.summary)  # of trial 2: a step is closed by the next one
    finally:
        wandb.finish()
    assert summary["llm_prior_phase"] == "model"
    assert summary["llm_prior_trust"] == study.trials[2].user_attrs["llm_prior_trust"]
    assert {"x", "rate", "loss"} <= summary.keys()
