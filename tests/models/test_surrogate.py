"""The surrogate fits anything a study can produce, and predicts."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import pytest
import torch
from botorch.posteriors.gpytorch import GPyTorchPosterior
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo.errors import SurrogateWarning
from llm_prior_bo.models import surrogate as module
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.surrogate import Surrogate, fit_surrogate
from llm_prior_bo.space import SearchSpace

SPACE = SearchSpace(
    {"x": FloatDistribution(0, 1), "k": IntDistribution(1, 8), "c": CategoricalDistribution(["a", "b", "c"])}
)


def _data(y: torch.Tensor, X: torch.Tensor | None = None, constraints: torch.Tensor | None = None) -> TrainingData:
    n = len(y)
    if X is None:
        generator = torch.Generator().manual_seed(0)
        X = torch.rand(n, 3, generator=generator, dtype=torch.float64) * torch.tensor(SPACE.bounds[1] + 0.49)
    return TrainingData(
        X=torch.as_tensor(SPACE.snap(X)),
        Y=y.reshape(n, -1).double(),
        constraints=torch.zeros(n, 0, dtype=torch.float64) if constraints is None else constraints.double(),
        pending=torch.zeros(0, 3, dtype=torch.float64),
    )


def _target(X: torch.Tensor) -> torch.Tensor:
    return torch.sin(5.0 * X[:, 0]) + X[:, 1] + 0.5 * (X[:, 2] == 1).double()


def _mean(surrogate: Surrogate, X: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        posterior = surrogate.model.posterior(X)
    assert isinstance(posterior, GPyTorchPosterior)
    return posterior.mean.squeeze(-1)


def test_learns_a_mixed_function() -> None:
    train = _data(torch.zeros(60))
    train = _data(_target(train.X), X=train.X)
    surrogate = fit_surrogate(train, SPACE)
    generator = torch.Generator().manual_seed(1)
    new = torch.as_tensor(
        SPACE.snap(torch.rand(200, 3, generator=generator, dtype=torch.float64) * torch.tensor(SPACE.bounds[1] + 0.49))
    )
    mean = _mean(surrogate, new)
    correlation = torch.corrcoef(torch.stack([mean, _target(new)]))[0, 1]
    assert float(correlation) > 0.97


@pytest.mark.parametrize(
    "y",
    [
        torch.zeros(6),
        torch.tensor([1.0]),
        torch.tensor([1.0, 2.0]),
        torch.tensor([1.0, math.inf, -math.inf, 2.0]),
        torch.tensor([1e12, 1.0, 2.0, 1.5, 1.2]),
        torch.tensor([1e-30, 2e-30, 3e-30]),
    ],
    ids=["constant", "one", "two", "infinite", "outlier", "tiny"],
)
def test_odd_values_fit(y: torch.Tensor) -> None:
    surrogate = fit_surrogate(_data(y), SPACE)
    with torch.no_grad():
        posterior = surrogate.model.posterior(torch.rand(5, 1, 3, dtype=torch.float64).round())
    assert isinstance(posterior, GPyTorchPosterior)
    assert posterior.mean.isfinite().all()
    assert posterior.variance.isfinite().all()


def test_duplicate_points_fit() -> None:
    X = torch.tensor([[0.5, 0.5, 1.0]]).repeat(12, 1)
    surrogate = fit_surrogate(_data(torch.randn(12, generator=torch.Generator().manual_seed(0)), X=X), SPACE)
    assert _mean(surrogate, X[:1].double()).isfinite().all()


def test_several_objectives_and_constraints() -> None:
    y = torch.randn(10, 2, generator=torch.Generator().manual_seed(0))
    c = torch.tensor([[-1.0], [2.0]]).repeat(5, 1)
    surrogate = fit_surrogate(_data(y, constraints=c), SPACE)
    assert surrogate.n_objectives == 2
    assert surrogate.model.num_outputs == 3
    assert surrogate.feasible.tolist() == [True, False] * 5


def test_hyperparameters_depend_on_the_data_alone() -> None:
    train = _data(torch.zeros(30))
    train = _data(_target(train.X), X=train.X)
    first = fit_surrogate(train, SPACE)
    fit_surrogate(_data(torch.randn(20, generator=torch.Generator().manual_seed(3))), SPACE)
    second = fit_surrogate(train, SPACE)
    point = torch.tensor([[0.3, 0.4, 1.0]], dtype=torch.float64)
    assert torch.equal(_mean(first, point), _mean(second, point))


class TestGiven:
    """A model of some of the trials, with the hyperparameters of all."""

    def surrogate(self, *, m: int = 1, c: int = 0) -> Surrogate:
        train = _data(torch.zeros(20))
        Y = torch.stack([_target(train.X), -_target(train.X).square()], dim=-1)[:, :m]
        constraints = torch.stack([train.X[:, 0] - 0.5], dim=-1)[:, :c]
        return fit_surrogate(_data(Y, X=train.X, constraints=constraints), SPACE)

    @pytest.mark.parametrize(("m", "c"), [(1, 0), (2, 0), (1, 1)])
    def test_predicts_as_the_textbook_says(self, m: int, c: int) -> None:
        surrogate, rows = self.surrogate(m=m, c=c), [3, 0, 7, 12]
        given = surrogate.condition_on_subset(rows)
        assert given.model.num_outputs == m + c
        points = surrogate.X[:5]
        with torch.no_grad():
            posterior = given.model.posterior(points)
        assert isinstance(posterior, GPyTorchPosterior)
        targets = torch.cat([surrogate.Y, surrogate.constraints], dim=-1)
        outputs: list[Any] = list(getattr(surrogate.model, "models", [surrogate.model]))
        for i, output in enumerate(outputs):
            X = output.transform_inputs(surrogate.X[rows])
            new = output.transform_inputs(points)
            with torch.no_grad():
                covariance = output.covar_module(X).to_dense() + output.likelihood.noise * torch.eye(4).double()
                gain = torch.linalg.solve(covariance, output.covar_module(X, new).to_dense()).T
                mean = output.mean_module(new) + gain @ (targets[rows, i] - output.mean_module(X))
            torch.testing.assert_close(posterior.mean[:, i], mean, rtol=1e-6, atol=1e-6)

    def test_holds_the_data_of_its_trials(self) -> None:
        surrogate, rows = self.surrogate(m=2, c=1), [5, 1]
        given = surrogate.condition_on_subset(rows)
        assert torch.equal(given.X, surrogate.X[rows])
        assert torch.equal(given.Y, surrogate.Y[rows])
        assert torch.equal(given.constraints, surrogate.constraints[rows])

    def test_all_trials_are_the_model_itself(self) -> None:
        surrogate = self.surrogate()
        points = torch.as_tensor(SPACE.snap(torch.rand(5, 3, dtype=torch.float64, generator=torch.Generator())))
        torch.testing.assert_close(_mean(surrogate.condition_on_subset(range(20)), points), _mean(surrogate, points))

    def test_keeps_the_hyperparameters_and_leaves_the_model_alone(self) -> None:
        surrogate = self.surrogate()
        points = surrogate.X[:4]
        before = _mean(surrogate, points)
        own, other = (model.outputs[0].state_dict() for model in (surrogate, surrogate.condition_on_subset([0, 1])))
        assert own.keys() == other.keys()
        assert all(torch.equal(own[key], other[key]) for key in own)
        assert torch.equal(_mean(surrogate, points), before)

    def test_of_columns_that_do_not_always_count(self) -> None:
        train = _data(_target(_data(torch.zeros(20)).X))
        active = torch.ones(20, 3, dtype=torch.bool)
        active[train.X[:, 2] == 0.0, 1] = False
        surrogate = fit_surrogate(replace(train, active=active), SPACE)
        given = surrogate.condition_on_subset(range(0, 20, 2))
        near = torch.tensor([[0.3, 0.1, 0.0], [0.3, 0.9, 0.0]], dtype=torch.float64)
        for one in (surrogate, given):
            mean = _mean(one, torch.as_tensor(SPACE.snap(near)))
            assert float(mean[0]) == pytest.approx(float(mean[1]), abs=1e-9)


def test_a_failed_fit_warns_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(module, "maximise_posterior", fail)
    with pytest.warns(SurrogateWarning, match="before the data"):
        surrogate = fit_surrogate(_data(torch.arange(5.0)), SPACE)
    assert _mean(surrogate, torch.zeros(1, 3, dtype=torch.float64)).isfinite().all()


def test_a_single_choice_is_no_obstacle() -> None:
    space = SearchSpace({"x": FloatDistribution(0, 1), "c": CategoricalDistribution(["only"])})
    X = torch.tensor([[0.1, 0.0], [0.9, 0.0], [0.4, 0.0]], dtype=torch.float64)
    data = TrainingData(X=X, Y=X[:, :1], constraints=X[:, :0], pending=X[:0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit_surrogate(data, space).model.num_outputs == 1


def test_expected_evaluations_keep_the_mean_and_shrink_the_variance() -> None:
    train = _data(torch.zeros(20))
    surrogate = fit_surrogate(_data(_target(train.X), X=train.X), SPACE)
    generator = torch.Generator().manual_seed(3)
    points = torch.as_tensor(
        SPACE.snap(torch.rand(30, 3, generator=generator, dtype=torch.float64) * torch.tensor(SPACE.bounds[1] + 0.49))
    )
    pending, others = points[:10], points[10:]
    believed = surrogate.kriging_believer(pending)
    torch.testing.assert_close(_mean(believed, others), _mean(surrogate, others), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        before: Any = surrogate.model.posterior(points)
        after: Any = believed.model.posterior(points)
    assert (after.variance <= before.variance + 1e-9).all()
    assert after.variance[:10].max() < 0.1 * before.variance[:10].mean()
    assert torch.equal(believed.X, surrogate.X)
