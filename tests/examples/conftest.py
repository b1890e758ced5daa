"""What the tests of the examples share: the scripts can be imported, and leave no setting behind."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import optuna
import pytest
import torch

# The examples are scripts that stand alone, and import each other so.
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

import comparison_study
import digits


@pytest.fixture(autouse=True)
def settings_restored() -> Iterator[None]:
    """Put PyTorch's and Optuna's settings back afterwards."""
    n_threads, verbosity = torch.get_num_threads(), optuna.logging.get_verbosity()
    yield
    torch.set_num_threads(n_threads)
    torch.set_flush_denormal(False)
    optuna.logging.set_verbosity(verbosity)


@pytest.fixture(autouse=True)
def one_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train networks for one epoch."""
    monkeypatch.setattr(digits, "fit_network", partial(digits.fit_network, epochs=1))


@pytest.fixture
def brief_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train the networks of the quick comparison, which is what has to be asked for, for one epoch."""

    def trained_briefly(trial: optuna.Trial, *, epochs: int, n_networks: int) -> float:
        assert (epochs, n_networks) == (10, 1)
        return objective(trial, epochs=1, n_networks=n_networks)

    objective = comparison_study.objective
    monkeypatch.setattr(comparison_study, "objective", trained_briefly)
