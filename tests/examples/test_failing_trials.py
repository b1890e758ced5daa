from __future__ import annotations

import failing_trials
import optuna
import pytest
from optuna.trial import TrialState

from llm_prior_bo import SearchSpace


def test_all_samplers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(failing_trials, "EPOCHS", 1)
    studies = failing_trials.main(n_trials=3)
    output = capsys.readouterr().out
    assert "memory limit" in output
    assert all(name in output for name in studies)
    assert all(len(study.trials) == 3 for study in studies.values())


def test_too_little_memory_fails_a_trial_and_not_the_study() -> None:
    study = optuna.create_study()
    large = {"learning_rate": 1e-3, "width": 2048, "depth": 6, "batch_size": 512, "dropout": 0.0}
    study.enqueue_trial(large)
    study.optimize(failing_trials.objective, n_trials=1, catch=(MemoryError,))
    assert study.trials[0].state == TrialState.FAIL


def test_memory_is_too_little_for_a_third_of_the_space() -> None:
    space = SearchSpace(failing_trials.SEARCH_SPACE)
    draws = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    points = [draws.ask(dict(space.distributions)).params for _ in range(500)]
    needed = [failing_trials.memory_needed(p["width"], p["depth"], p["batch_size"]) for p in points]
    share = sum(bytes_ > failing_trials.MEMORY for bytes_ in needed) / len(needed)
    assert 0.27 < share < 0.41  # three standard errors about .34


def test_memory_of_one_layer() -> None:
    # 64 * 16 + 16 weights and biases of the layer, 160 + 10 of the output; 64 + 3 * 16 + 10 activations of each row.
    assert failing_trials.memory_needed(width=16, depth=1, batch_size=2) == 4 * (4 * 1210 + 2 * 122)
