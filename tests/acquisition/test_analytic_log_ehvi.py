"""Expected hypervolume improvement in closed form: BoTorch's, Monte Carlo's, and finite where BoTorch's is not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from botorch.acquisition.multi_objective.analytic import ExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from optuna.distributions import CategoricalDistribution, FloatDistribution

from llm_prior_bo import SearchSpace
from llm_prior_bo._isolation import isolated_torch
from llm_prior_bo.acquisition import log_acquisition as module
from llm_prior_bo.acquisition.analytic_log_ehvi import AnalyticLogEHVI, cells_above
from llm_prior_bo.acquisition.log_acquisition import log_acquisition
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.surrogate import Surrogate, fit_surrogate

SPACE = SearchSpace(
    {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1), "c": CategoricalDistribution(["a", "b"])}
)
N_MONTE_CARLO = 100_000


def surrogate_of(m: int, *, n: int = 12, limit: float | None = None) -> Surrogate:
    """Objectives that pull to different corners, with noise; with a limit, a constraint on one input."""
    rng = np.random.default_rng(m)
    X = torch.as_tensor(np.column_stack([rng.random((n, 2)), rng.integers(0, 2, n)]))
    corners = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)[:m]
    Y = -((X[:, None, :2] - corners) ** 2).sum(dim=-1) + 0.05 * torch.as_tensor(rng.standard_normal((n, m)))
    constraints = X[:, :0] if limit is None else X[:, :1] - limit + 0.1 * torch.as_tensor(rng.standard_normal((n, 1)))
    with isolated_torch():
        return fit_surrogate(TrainingData(X=X, Y=Y, constraints=constraints, pending=X[:0]), SPACE)


def points(n: int = 30) -> torch.Tensor:
    rng = np.random.default_rng(9)
    return torch.as_tensor(np.column_stack([rng.random((n, 2)), rng.integers(0, 2, n)]))


def analytic(surrogate: Surrogate) -> Any:
    ref_point = infer_reference_point(surrogate.Y)
    return AnalyticLogEHVI(surrogate, ref_point, cells_above(surrogate, ref_point))


@pytest.mark.parametrize("m", [2, 3])
def test_values_and_gradients_are_botorchs_where_it_has_digits(m: int) -> None:
    surrogate = surrogate_of(m)
    own = analytic(surrogate)
    reference: Any = ExpectedHypervolumeImprovement(surrogate.model, own.ref_point.tolist(), own.partitioning)
    results = []
    for function in (own, lambda X: reference(X).log()):
        X = points().unsqueeze(1).requires_grad_()
        with isolated_torch():
            value = function(X)
        results.append((value.detach(), torch.autograd.grad(value.sum(), X)[0]))
    (value, gradient), (expected, expected_gradient) = results
    known = expected > -10.0
    assert int(known.sum()) >= 10
    torch.testing.assert_close(value[known], expected[known], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient[known], expected_gradient[known], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(own.value(points().numpy()), value.numpy(), rtol=1e-10)


def test_is_the_expectation_of_the_volume_gained() -> None:
    m = 2
    surrogate = surrogate_of(m, limit=0.8)
    own = analytic(surrogate)
    X = points()
    x = X[[int(own.value(X.numpy()).argmax())]]
    with torch.no_grad():
        posteriors: list[Any] = [output.posterior(x) for output in surrogate.outputs]
    rng = np.random.default_rng(2)
    draws = [float(p.mean) + float(p.variance) ** 0.5 * rng.standard_normal(N_MONTE_CARLO) for p in posteriors]
    lower, upper = own.partitioning.get_hypercell_bounds().numpy()
    y = np.stack(draws[:m], axis=-1)[:, None]
    gain = np.maximum(np.minimum(y, upper) - lower, 0.0).prod(axis=-1).sum(axis=-1) * (draws[m] <= 0.0)
    error = gain.std() / math.sqrt(N_MONTE_CARLO)
    assert math.exp(float(own.value(x.numpy())[0])) == pytest.approx(gain.mean(), abs=5.0 * error)


def test_gradient_is_the_difference_quotient_far_below_the_front() -> None:
    surrogate = surrogate_of(2)
    own = analytic(surrogate)
    worst = surrogate.X[[int(surrogate.Y.sum(dim=-1).argmin())]].numpy() + np.array([[0.01, -0.01, 0.0]])
    value, gradient = own.value_and_gradient(worst)
    assert np.isfinite(value).all()
    h = 1e-6
    for j in range(2):
        step = np.zeros((1, 3))
        step[0, j] = h
        quotient = (own.value(worst + step) - own.value(worst - step)) / (2.0 * h)
        np.testing.assert_allclose(gradient[:, j], quotient, rtol=1e-4, atol=1e-4)


def test_nothing_feasible_counts_from_the_reference_point() -> None:
    surrogate = surrogate_of(2, limit=-1.0)
    assert not bool(surrogate.feasible.any())
    acquisition = log_acquisition(surrogate, pending=surrogate.X[:0], seed=0)
    assert isinstance(acquisition, AnalyticLogEHVI)
    with isolated_torch(), torch.no_grad():
        assert acquisition(points().unsqueeze(1)).isfinite().all()


def test_a_front_of_many_cells_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    surrogate = surrogate_of(2)
    assert isinstance(log_acquisition(surrogate, pending=surrogate.X[:0], seed=0), AnalyticLogEHVI)
    monkeypatch.setattr(module, "MAX_CELLS", 1)
    acquisition = log_acquisition(surrogate, pending=surrogate.X[:0], seed=0)
    assert isinstance(acquisition, qLogNoisyExpectedHypervolumeImprovement)
