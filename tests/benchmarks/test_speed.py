"""The scripts that measure speed and scale do what they say, at a small size."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage

from benchmarks import scale, speed
from llm_prior_bo import SearchSpace


@pytest.mark.parametrize("kind", speed.KINDS)
def test_history(kind: str) -> None:
    space = SearchSpace(speed.distributions(kind, 6))
    trials = speed.history(space, 9)
    assert len(space) == 6
    assert [len(trials), len({tuple(trial.params.items()) for trial in trials})] == [9, 9]
    assert [trial.params for trial in speed.history(space, 9)] == [trial.params for trial in trials]
    best = space.decode(np.where(np.isin(np.arange(6), space.categorical_dims), 0.0, speed.OPTIMUM))
    assert speed.objective(best, space, np.random.default_rng(0)) < np.median([trial.value for trial in trials])
    assert speed.prior_by_hand(space).is_uniform is False


def test_every_sampler_is_asked_equally_often(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = speed.suggestion_seconds("numeric", 2, 12, names=["ours", "TPESampler"], asks=2)
    assert {name: len(times) for name, times in seconds.items()} == {"ours": 3, "TPESampler": 3}
    assert speed.row("x", {"ours": [0.2, 0.1, 0.3], "GPSampler": [0.1, 0.4, 0.4]}) == (
        "| x | 200 / 200 | 100 / 400 | 2.00 | 0.50 |"
    )
    assert capsys.readouterr().out == ""


def test_calls_of_the_storage() -> None:
    storage = scale.CountingStorage()
    assert isinstance(storage, InMemoryStorage)
    study = scale.study_with(3, storage, RandomSampler(seed=0), SearchSpace(speed.distributions("numeric", 2)))
    storage.calls.clear()
    study.tell(study.ask(), 1.0)
    assert storage.calls["create_new_trial"] == storage.calls["set_trial_state_values"] == 1
    calls = scale.storage_calls(12, RandomSampler(seed=0), SearchSpace(speed.distributions("numeric", 2)), trials=2)
    assert calls["set_trial_param"] == 2.0
