"""The command line as a user calls it, in a folder with a search space, an answer and a study."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from typer.testing import CliRunner, Result

from llm_prior_bo import FixedElicitor, LLMPriorSampler, PriorAnswer, save_answer
from llm_prior_bo.cli.app import app

Run = Callable[..., Result]
SPACE = {
    "learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
    "optimizer": {"type": "categorical", "choices": ["adam", "sgd"]},
}
ANSWER = PriorAnswer.by_hand(numeric={"learning_rate": (1e-3, 1e-4, 1e-2)}, categorical={"optimizer": {"adam": 0.7}})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a folder with `space.json` and `answer.yaml`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.json").write_text(json.dumps(SPACE), encoding="utf-8")
    save_answer(ANSWER, tmp_path / "answer.yaml")
    verbosity = optuna.logging.get_verbosity()

    def invoke(*arguments: str) -> Result:
        try:
            return CliRunner().invoke(app, arguments, prog_name="llm-prior-bo", env={"COLUMNS": "100"})
        finally:
            optuna.logging.set_verbosity(verbosity)

    return invoke


@pytest.fixture
def study(run: Run) -> optuna.Study:  # noqa: ARG001 - in its folder
    """A study with an answer and two suggestions of the model, in `study.log`."""
    storage = JournalStorage(JournalFileBackend("study.log"))
    space = {"learning_rate": FloatDistribution(1e-5, 0.1, log=True)}
    answer = PriorAnswer.by_hand(numeric={"learning_rate": (1e-3, 1e-4, 1e-2)})
    sampler = LLMPriorSampler(elicitor=FixedElicitor(answer), search_space=space, seed=0)
    study = optuna.create_study(storage=storage, study_name="tuning", sampler=sampler)
    study.optimize(lambda trial: abs(trial.suggest_float("learning_rate", 1e-5, 0.1, log=True) - 2e-3), 7)
    return study
