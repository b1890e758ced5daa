"""What workers of another library are given: a study whose sampler asks a server, and an objective."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.storages import BaseStorage

from llm_prior_bo import LLMElicitor, LLMPriorSampler, PriorAnswer
from tests.elicitation.fake_server import FakeServer, Reply, completion, serving

SPACE: dict[str, BaseDistribution] = {"x": FloatDistribution(0.0, 1.0), "rate": FloatDistribution(1e-4, 1e-1, log=True)}
BELIEF = PriorAnswer.by_hand(numeric={"x": (0.3, 0.2, 0.4), "rate": (1e-2, 3e-3, 3e-2)})
TIME_LIMIT = 240.0
"""Seconds after which a worker is taken to hang: many times what it takes."""


@contextmanager
def answering() -> Iterator[FakeServer]:
    """A model that takes half a second: time for other workers to ask as well."""
    with serving() as server:
        server.always = Reply(body=completion(BELIEF.model_dump_json()), after_s=0.5)
        yield server


def asking_sampler(server: FakeServer, **options: Any) -> LLMPriorSampler:
    """A sampler that asks it, once."""
    elicitor = LLMElicitor("openai/m", api_base=server.url, api_key="none", timeout=60.0)
    options = {"search_space": SPACE, "n_startup_trials": 4, "refresh": None, "seed": 0, **options}
    sampler = LLMPriorSampler(elicitor=elicitor, **options)
    sampler.trial_attributes = True
    return sampler


def new_study(server: FakeServer, storage: BaseStorage | str | None = None) -> optuna.Study:
    return optuna.create_study(storage=storage, sampler=asking_sampler(server))


def loss(x: float, rate: float) -> float:
    return (x - 0.35) ** 2 + (math.log10(rate) + 2) ** 2 / 10


def evaluate(trial: optuna.Trial) -> float:
    return loss(trial.suggest_float("x", 0.0, 1.0), trial.suggest_float("rate", 1e-4, 1e-1, log=True))


def work(study: optuna.Study) -> None:
    study.optimize(evaluate, n_trials=4)


def assert_worked_together(study: optuna.Study, server: FakeServer, *, n_trials: int) -> None:
    """One question; every trial has finished, at a place of its own, and says what its suggestion came from."""
    assert len(server.requests) == 1
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * n_trials
    assert len({tuple(sorted(trial.params.items())) for trial in study.trials}) == n_trials
    phases = [trial.user_attrs["llm_prior_phase"] for trial in study.trials]
    assert phases.count("startup") in (4, 5)  # one may have been under way when the fourth finished
    assert phases.count("model") == n_trials - phases.count("startup")
