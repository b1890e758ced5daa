from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

SUITE = """
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    name: str
    source: str = ""
    kind: str = ""
    instance: tuple = ()
    context: str = "A small task."
    direction: str = ""
    metric: str = ""

    def space(self):
        return [
            {"name": "rate", "type": "float", "low": 1e-4, "high": 1.0, "log": True},
            {"name": "depth", "type": "int", "low": 1, "high": 8, "log": False},
            {"name": "booster", "type": "categorical", "choices": ["tree", "linear"]},
            {"name": "share", "type": "float", "low": 0, "high": 1, "log": True, "condition": ("booster", ["tree"])},
        ]

    def suggest(self, trial):
        config = {"booster": trial.suggest_categorical("booster", ["tree", "linear"])}
        config["rate"] = trial.suggest_float("rate", 1e-4, 1.0, log=True)
        config["depth"] = trial.suggest_int("depth", 1, 8)
        if config["booster"] == "tree":
            config["share"] = trial.suggest_float("share", 0.0, 1.0)
        return config

    def evaluate(self, config):
        return config["rate"] + 0.1 * config["depth"] + config.get("share", 0.3)

    def evaluate_all(self, configs):
        return [self.evaluate(config) for config in configs]

    def from_unit(self, u):
        depth, booster = 1 + int(u[1] * 7.999), ["tree", "linear"][int(u[2] * 1.999)]
        config = {"rate": 1e-4 ** (1 - u[0]), "depth": depth, "booster": booster}
        return {**config, "share": float(u[3])} if booster == "tree" else config

    def sample(self, rng):
        return self.from_unit(rng.random(4))


TASKS = {"small": Task("small")}
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder as `--data` takes it, with one task, `small`."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "suite.py").write_text(SUITE)
    monkeypatch.setattr(sys, "path", sys.path[:])
    verbosity = optuna.logging.get_verbosity()
    yield folder
    sys.modules.pop("suite", None)
    optuna.logging.set_verbosity(verbosity)
