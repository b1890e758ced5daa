"""Expected improvement times the probability of feasibility: BoTorch's values and gradients, and Monte Carlo's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from botorch.acquisition.analytic import LogConstrainedExpectedImprovement, LogProbabilityOfFeasibility
from optuna.distributions import CategoricalDistribution, FloatDistribution

from llm_prior_bo import SearchSpace
from llm_prior_bo._fast_path import fast_path
from llm_prior_bo._isolation import isolated_torch
from llm_prior_bo.acquisition.constrained_log_ei import AnalyticLogFeasibility, ConstrainedLogEI, constraint_bounds
from llm_prior_bo.acquisition.log_acquisition import log_acquisition
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.surrogate import Surrogate, fit_surrogate

SPACE = SearchSpace(
    {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1), "c": CategoricalDistribution(["a", "b"])}
)
N_MONTE_CARLO = 200_000


def surrogate_of(*, shift: float, n: int = 14) -> Surrogate:
    """Fitted to a wavy function with two noisy constraints; with a shift of 1 nothing is feasible."""
    rng = np.random.default_rng(0)
    X = torch.as_tensor(np.column_stack([rng.random((n, 2)), rng.integers(0, 2, n)]))
    Y = torch.sin(5.0 * X[:, :1]) + X[:, 1:2] + 0.1 * torch.as_tensor(rng.standard_normal((n, 1)))
    first = X[:, 0] - 0.6 + shift + 0.1 * torch.as_tensor(rng.standard_normal(n))
    second = X[:, 1] - 0.8 + shift + 0.1 * torch.as_tensor(rng.standard_normal(n))
    constraints = torch.stack([first, second], dim=-1)
    data = TrainingData(X=X, Y=Y, constraints=constraints, pending=X[:0])
    with isolated_torch():
        return fit_surrogate(data, SPACE)


def random_points(n: int) -> torch.Tensor:
    rng = np.random.default_rng(1)
    return torch.as_tensor(np.column_stack([rng.random((n, 2)), rng.integers(0, 2, n)]))


@pytest.fixture(scope="module")
def some_feasible() -> Surrogate:
    return surrogate_of(shift=0.0)


@pytest.fixture(scope="module")
def none_feasible() -> Surrogate:
    return surrogate_of(shift=1.0)


def both(surrogate: Surrogate) -> list[Any]:
    """The fast acquisition function, and BoTorch's."""
    found = []
    for fast in (True, False):
        with fast_path(fast), isolated_torch():
            found.append(log_acquisition(surrogate, pending=surrogate.X[:0], seed=0))
    return found


@pytest.mark.parametrize("name", ["some_feasible", "none_feasible"])
def test_values_and_gradients_are_botorchs(name: str, request: pytest.FixtureRequest) -> None:
    surrogate: Surrogate = request.getfixturevalue(name)
    own, reference = both(surrogate)
    assert type(own) is (ConstrainedLogEI if name == "some_feasible" else AnalyticLogFeasibility)
    kind = LogConstrainedExpectedImprovement if name == "some_feasible" else LogProbabilityOfFeasibility
    assert type(reference) is kind
    results = []
    for acquisition in (own, reference):
        points = random_points(40).unsqueeze(1).requires_grad_()
        with isolated_torch():
            value = acquisition(points)
        results.append((value.detach(), torch.autograd.grad(value.sum(), points)[0]))
    torch.testing.assert_close(results[0], results[1], rtol=1e-6, atol=1e-6)
    X = random_points(40).numpy()
    np.testing.assert_allclose(own.value(X), own.value_and_gradient(X)[0], rtol=1e-12)


def test_is_the_expectation_of_the_feasible_improvement(some_feasible: Surrogate) -> None:
    acquisition = ConstrainedLogEI(some_feasible)
    best = float(some_feasible.Y[some_feasible.feasible].max())
    x = random_points(40)[[int(acquisition.value(random_points(40).numpy()).argmax())]]
    rng = np.random.default_rng(2)
    with torch.no_grad():
        posteriors: list[Any] = [output.posterior(x) for output in some_feasible.outputs]
    f, *constraints = (
        float(p.mean) + float(p.variance) ** 0.5 * rng.standard_normal(N_MONTE_CARLO) for p in posteriors
    )
    gain = np.maximum(f - best, 0.0) * np.all([c <= 0.0 for c in constraints], axis=0)
    error = gain.std() / math.sqrt(N_MONTE_CARLO)
    assert math.exp(float(acquisition.value(x.numpy())[0])) == pytest.approx(gain.mean(), abs=5.0 * error)


def test_outputs_after_the_objectives_are_constraints(some_feasible: Surrogate) -> None:
    assert constraint_bounds(some_feasible) == {1: (None, 0.0), 2: (None, 0.0)}
