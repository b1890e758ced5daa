"""One search space with every kind of parameter, and an answer that fits it."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo.elicitation import StudyContext
from llm_prior_bo.space import SearchSpace


@pytest.fixture
def space() -> SearchSpace:
    return SearchSpace(
        {
            "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
            "dropout": FloatDistribution(0.0, 0.5),
            "momentum": FloatDistribution(0.0, 0.9, step=0.1),
            "units": IntDistribution(16, 512, log=True),
            "layers": IntDistribution(1, 5),
            "optimizer": CategoricalDistribution(["adam", "sgd", "rmsprop"]),
            "batch_size": CategoricalDistribution([16, 32, 64]),
            "warmup": CategoricalDistribution([None, True, False]),
        }
    )


@pytest.fixture
def context(space: SearchSpace) -> StudyContext:
    return StudyContext(distributions=space.distributions, problem_description="a small network on digits")


@pytest.fixture
def answer() -> dict[str, Any]:
    """An answer that needs no repair."""
    return {
        "notes": "small data",
        "regions": [{"region": 1, "label": "slow", "weight": 0.75}, {"region": 2, "label": "fast", "weight": 0.25}],
        "numeric": [
            {"region": 1, "parameter": "learning_rate", "best": 1e-3, "low": 3e-4, "high": 5e-3},
            {"region": 1, "parameter": "dropout", "best": 0.2, "low": 0.1, "high": 0.4},
            {"region": 2, "parameter": "learning_rate", "best": 0.03, "low": 0.01, "high": 0.1},
        ],
        "categorical": [
            {"region": 1, "parameter": "optimizer", "choice": "adam", "weight": 0.5},
            {"region": 1, "parameter": "optimizer", "choice": "sgd", "weight": 0.25},
            {"region": 1, "parameter": "batch_size", "choice": "32", "weight": 0.5},
        ],
        "correlations": [{"region": 1, "first": "learning_rate", "second": "dropout", "rho": 0.5}],
        "confidence": 0.75,
    }
