"""A study that was stopped and resumed in a new process gives the trials of one that ran through."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo import LLMPriorSampler, PriorAnswer, SearchSpace, build_prior
from tests.scripts import run_python

SPACE = SearchSpace(
    {"x": FloatDistribution(0, 1), "k": IntDistribution(1, 8), "c": CategoricalDistribution(["a", "b"])}
)


def objective(trial: optuna.Trial) -> float:
    x, k, c = trial.suggest_float("x", 0, 1), trial.suggest_int("k", 1, 8), trial.suggest_categorical("c", ["a", "b"])
    return (x - 0.3) ** 2 + 0.1 * abs(k - 5) + (c == "b")


def run(url: str, n_trials: int) -> None:
    """Some trials of the study in a storage, which is resumed if it is there."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    prior = build_prior(PriorAnswer.by_hand(numeric={"x": (0.4, 0.2, 0.6)}), SPACE)
    sampler = LLMPriorSampler(prior=prior, seed=3)
    optuna.create_study(study_name="s", storage=url, sampler=sampler, load_if_exists=True).optimize(
        objective, n_trials=n_trials
    )


def trials_of(path: Path, *parts: int) -> list[tuple[object, ...]]:
    """Parameters and values of a study that was run in so many parts, each in a process of its own."""
    url = f"sqlite:///{path}"
    for n_trials in parts:
        run_python(f"from tests.test_resume import run; run({url!r}, {n_trials})")
    return [(trial.params, trial.value) for trial in optuna.load_study(study_name="s", storage=url).trials]


def test_gives_the_same_trials(tmp_path: Path) -> None:
    through = trials_of(tmp_path / "through.db", 12)
    assert trials_of(tmp_path / "resumed.db", 7, 5) == through
    assert len(through) == 12
