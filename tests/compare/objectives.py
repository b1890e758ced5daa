"""What the tests compare: objectives and samplers of an importable module."""

from __future__ import annotations

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import RandomSampler

SPACE: dict[str, BaseDistribution] = {"x": FloatDistribution(-1.0, 1.0)}


def square(trial: optuna.Trial) -> float:
    """Smallest at 0.3; the held-out quality is best at 0.2."""
    x = trial.suggest_float("x", -1.0, 1.0)
    trial.set_user_attr("test_value", (x - 0.2) ** 2)
    return (x - 0.3) ** 2


def negative_square(trial: optuna.Trial) -> float:
    """To maximise."""
    return -square(trial)


def seeded(trial: optuna.Trial) -> float:
    """The seed of the study."""
    trial.suggest_float("x", -1.0, 1.0)
    return float(trial.study.user_attrs["seed"])


def half_fails(trial: optuna.Trial) -> float:
    """Raises for negative x."""
    if square(trial) > 0.09 and trial.params["x"] < 0.0:
        raise ValueError("x is negative")
    return 1.0


def always_fails(trial: optuna.Trial) -> float:
    """Never returns."""
    raise ValueError(f"trial {trial.number} is broken")


def random_by_keyword(*, seed: int) -> RandomSampler:
    """A function that takes its seed by name only."""
    return RandomSampler(seed=seed)
