"""The base acquisition function: which one, on what, and that its values are log values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.acquisition.analytic import (
    LogConstrainedExpectedImprovement,
    LogExpectedImprovement,
    LogProbabilityOfFeasibility,
    _log_ei_helper,
)
from botorch.acquisition.logei import qLogNoisyExpectedImprovement, qLogProbabilityOfFeasibility
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.models.gp_regression import SingleTaskGP
from botorch.posteriors.gpytorch import GPyTorchPosterior
from optuna.distributions import CategoricalDistribution, FloatDistribution
from torch import Tensor

from llm_prior_bo import SearchSpace, UniformPrior, prior_weighted
from llm_prior_bo._isolation import isolated_torch
from llm_prior_bo.acquisition.analytic_log_ehvi import AnalyticLogEHVI
from llm_prior_bo.acquisition.analytic_log_ei import log_improvement
from llm_prior_bo.acquisition.log_acquisition import MAX_PENDING, log_acquisition
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.surrogate import Surrogate, fit_surrogate

SPACE = SearchSpace({"x": FloatDistribution(0, 1), "c": CategoricalDistribution(["a", "b"])})
NOTHING = torch.zeros(0, 2, dtype=torch.float64)


def surrogate_of(Y: Tensor, constraints: Tensor | None = None) -> Surrogate:
    n = len(Y)
    X = torch.stack([torch.linspace(0, 1, n, dtype=torch.float64), torch.arange(n).double() % 2], dim=-1)
    constraints = torch.zeros(n, 0) if constraints is None else constraints
    data = TrainingData(X=X, Y=Y.reshape(n, -1).double(), constraints=constraints.double(), pending=NOTHING)
    with isolated_torch():
        return fit_surrogate(data, SPACE)


def of_another_kind() -> Surrogate:
    """BoTorch's default model: another kernel and mean."""
    X = torch.rand(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    Y = (X[:, :1] - X[:, :1].mean()) / X[:, :1].std()
    return Surrogate(SingleTaskGP(X, Y, outcome_transform=None).eval(), X, Y, X[:, :0])


def values(acquisition: AcquisitionFunction, *points: tuple[float, float]) -> Tensor:
    with isolated_torch(), torch.no_grad():
        result: Tensor = acquisition(torch.tensor(points, dtype=torch.float64).unsqueeze(1))
    return result


@pytest.fixture(scope="module")
def single() -> Surrogate:
    return surrogate_of(torch.tensor([0.0, 0.5, 1.0, 0.6, 0.1]))


@pytest.fixture(scope="module")
def double() -> Surrogate:
    return surrogate_of(torch.tensor([[0.0, 1.0], [0.5, 0.8], [1.0, 0.1], [0.2, 0.2]]))


@pytest.fixture(scope="module")
def constrained() -> Surrogate:
    # The larger x the better, but only the lower half is allowed.
    x = torch.linspace(0, 1, 9)
    return surrogate_of(x, (x - 0.5).unsqueeze(-1))


PENDING = torch.tensor([[0.55, 0.0]], dtype=torch.float64)


class TestChoice:
    def test_one_objective_alone_is_analytic(self, single: Surrogate) -> None:
        assert isinstance(log_acquisition(single, pending=NOTHING, seed=0), LogExpectedImprovement)

    def test_one_objective_alone_is_analytic_given_what_may_come_out(self, single: Surrogate) -> None:
        assert isinstance(log_acquisition(single, pending=PENDING, seed=0), LogExpectedImprovement)

    def test_constraints_are_analytic(self, constrained: Surrogate) -> None:
        assert isinstance(log_acquisition(constrained, pending=NOTHING, seed=0), LogConstrainedExpectedImprovement)

    def test_constraints_need_samples_where_something_is_pending(self, constrained: Surrogate) -> None:
        assert isinstance(log_acquisition(constrained, pending=PENDING, seed=0), qLogNoisyExpectedImprovement)

    def test_so_do_pending_points_of_a_model_of_another_kind(self) -> None:
        acquisition = log_acquisition(of_another_kind(), pending=PENDING, seed=0)
        assert isinstance(acquisition, qLogNoisyExpectedImprovement)

    @pytest.mark.parametrize("pending", [NOTHING, PENDING], ids=["nothing pending", "pending"])
    def test_several_objectives(self, double: Surrogate, pending: Tensor) -> None:
        acquisition = log_acquisition(double, pending=pending, seed=0)
        assert isinstance(acquisition, qLogNoisyExpectedHypervolumeImprovement if len(pending) else AnalyticLogEHVI)
        assert values(acquisition, (0.2, 0.0), (0.9, 1.0)).isfinite().all()

    def test_the_prior_may_be_added_to_each(self, single: Surrogate, double: Surrogate, constrained: Surrogate) -> None:
        for surrogate in (single, double, constrained):
            base = log_acquisition(surrogate, pending=PENDING, seed=0)
            weighted = prior_weighted(base, UniformPrior(SPACE), exponent=3.0)
            assert torch.allclose(values(weighted, (0.3, 1.0)), values(base, (0.3, 1.0)))


class TestValues:
    def test_expected_improvement_over_the_best_value(self, single: Surrogate) -> None:
        point = torch.tensor([[0.45, 1.0]], dtype=torch.float64)
        with torch.no_grad():
            posterior = single.model.posterior(point)
        assert isinstance(posterior, GPyTorchPosterior)
        mean, sd = posterior.mean.item(), posterior.variance.sqrt().item()
        z = (mean - single.Y.max().item()) / sd
        cdf = 0.5 * math.erfc(-z / math.sqrt(2))
        density = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
        expected = math.log(sd * (density + z * cdf))
        acquisition = log_acquisition(single, pending=NOTHING, seed=0)
        assert values(acquisition, (0.45, 1.0)).item() == pytest.approx(expected, rel=1e-4)

    def test_samples_agree_with_the_analytic_function_far_from_what_is_pending(self, single: Surrogate) -> None:
        far = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
        analytic = values(log_acquisition(single, pending=NOTHING, seed=0), (0.45, 0.0), (0.6, 0.0))
        sampled = values(log_acquisition(single, pending=far, seed=0), (0.45, 0.0), (0.6, 0.0))
        # The noisy one knows the best value only up to the model's noise.
        assert torch.allclose(analytic, sampled, atol=0.7)

    def test_a_pending_point_repels(self, single: Surrogate) -> None:
        free = values(log_acquisition(single, pending=NOTHING, seed=0), (0.55, 0.0))
        beside = values(log_acquisition(single, pending=PENDING, seed=0), (0.55, 0.0))
        assert beside.item() < free.item() - 2.0

    def test_what_is_probably_infeasible_repels(self, constrained: Surrogate) -> None:
        acquisition = log_acquisition(constrained, pending=NOTHING, seed=0)
        inside, outside = values(acquisition, (0.5, 0.0), (0.95, 0.0)).tolist()
        assert outside < inside - 5.0

    @pytest.mark.parametrize("seed", [0, 1])
    def test_the_seed_decides_what_is_sampled(self, double: Surrogate, seed: int) -> None:
        points = ((0.3, 0.0), (0.8, 1.0))
        one, two = (log_acquisition(double, pending=PENDING, seed=seed) for _ in range(2))
        other = log_acquisition(double, pending=PENDING, seed=seed + 2)
        assert torch.equal(values(one, *points), values(two, *points))
        assert not torch.equal(values(one, *points), values(other, *points))


class TestOddData:
    @pytest.mark.parametrize(
        "Y",
        [
            torch.tensor([1.0]),
            torch.zeros(4),
            torch.tensor([math.inf, 0.0, -math.inf]),
            torch.tensor([[1.0, 2.0]]),
            torch.zeros(4, 2),
            torch.tensor([[0.0, math.inf], [1.0, -math.inf], [0.5, 0.5]]),
            torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [0.5, 0.5, 0.0]]),
        ],
        ids=["one", "constant", "infinite", "one of two", "constant two", "infinite two", "three objectives"],
    )
    @pytest.mark.parametrize("pending", [NOTHING, PENDING], ids=["nothing pending", "pending"])
    def test_values_are_finite(self, Y: Tensor, pending: Tensor) -> None:
        acquisition = log_acquisition(surrogate_of(Y), pending=pending, seed=0)
        assert values(acquisition, (0.1, 0.0), (0.7, 1.0)).isfinite().all()

    @pytest.mark.parametrize("pending", [NOTHING, PENDING], ids=["nothing pending", "pending"])
    @pytest.mark.parametrize("n_objectives", [1, 2])
    def test_nothing_feasible(self, n_objectives: int, pending: Tensor) -> None:
        Y = torch.arange(4.0 * n_objectives).reshape(4, -1)
        surrogate = surrogate_of(Y, torch.tensor([[1.0, math.inf], [2.0, 1.0], [3.0, math.inf], [0.5, 2.0]]))
        acquisition = log_acquisition(surrogate, pending=pending, seed=0)
        probability = qLogProbabilityOfFeasibility if len(pending) else LogProbabilityOfFeasibility
        assert isinstance(acquisition, probability) == (n_objectives == 1)
        assert values(acquisition, (0.1, 0.0), (0.7, 1.0)).isfinite().all()

    def test_a_point_that_is_feasible_only_just(self) -> None:
        surrogate = surrogate_of(torch.arange(3.0), torch.tensor([[1.0], [2.0], [-1e-6]]))
        for pending, kind in ((NOTHING, LogConstrainedExpectedImprovement), (PENDING, qLogNoisyExpectedImprovement)):
            acquisition = log_acquisition(surrogate, pending=pending, seed=0)
            assert isinstance(acquisition, kind)
            assert values(acquisition, (0.1, 0.0), (0.7, 1.0)).isfinite().all()

    def test_a_point_that_is_pending_and_finished(self, single: Surrogate) -> None:
        acquisition = log_acquisition(single, pending=single.X[:2], seed=0)
        assert values(acquisition, (0.1, 0.0)).isfinite().all()


class TestLeanExpectedImprovement:
    """Value and gradient of the closed form are BoTorch's, from far above the best value to far below it."""

    @pytest.mark.parametrize("u", [8.0, 1.0, 0.0, -0.999, -1.001, -5.0, -40.0, -9e3, -1.1e4, -1e7])
    @pytest.mark.parametrize("variance", [1e-8, 0.01, 2.0])
    def test_value_and_derivatives(self, u: float, variance: float) -> None:
        v = torch.tensor([variance], dtype=torch.float64, requires_grad=True)
        mean = (u * v.detach().sqrt() + 0.5).requires_grad_()
        sigma = v.sqrt()
        expected = sigma.log() + _log_ei_helper((mean - 0.5) / sigma)
        references = (expected.detach(), *torch.autograd.grad(expected.sum(), (mean, v)))
        own = log_improvement(mean.detach().numpy(), v.detach().numpy(), 0.5)
        for value, reference in zip(own, references, strict=True):
            np.testing.assert_allclose(value, reference.numpy(), rtol=1e-6, atol=1e-7)

    def test_no_derivative_by_a_variance_that_there_is_not(self) -> None:
        value, _, by_variance = log_improvement(np.zeros(2), np.array([0.0, 1e-13]), 0.0)
        assert np.isfinite(value).all()
        assert by_variance.tolist() == [0.0, 0.0]

    def test_all_at_once_as_one_by_one(self) -> None:
        u = np.array([8.0, -0.5, -3.0, -9e3, -1e5, 40.0])
        together = log_improvement(u, np.ones(6), 0.0)
        single = [log_improvement(u[i : i + 1], np.ones(1), 0.0) for i in range(6)]
        for k in range(3):
            assert together[k].tolist() == [parts[k][0] for parts in single]

    def test_is_botorchs_over_the_model(self, single: Surrogate) -> None:
        X = torch.rand(20, 1, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        X[..., 1] = (X[..., 1] > 0.5).double()
        results = []
        for acquisition in (
            log_acquisition(single, pending=NOTHING, seed=0),
            LogExpectedImprovement(single.model, best_f=single.Y.max()),
        ):
            points = X.clone().requires_grad_()
            value = acquisition(points)
            results.append((value.detach(), torch.autograd.grad(value.sum(), points)[0]))
        (value, gradient), (expected, reference) = results
        torch.testing.assert_close(value, expected, rtol=1e-7, atol=1e-7)
        torch.testing.assert_close(gradient, reference, rtol=1e-6, atol=1e-6)

    def test_of_a_model_that_it_does_not_know_is_botorchs(self) -> None:
        assert type(log_acquisition(of_another_kind(), pending=NOTHING, seed=0)) is LogExpectedImprovement


class TestManyPendingPoints:
    def points(self, *, n_more: int) -> Tensor:
        """As many as are integrated over, far from the best places, and some more near them."""
        x = torch.cat([torch.linspace(0.6, 1.0, MAX_PENDING), torch.linspace(0.42, 0.5, n_more)]).double()
        return torch.stack([x, torch.zeros_like(x)], dim=-1)

    def test_as_many_as_are_integrated_over_change_nothing(self, single: Surrogate) -> None:
        acquisition = log_acquisition(single, pending=self.points(n_more=0), seed=0)
        assert acquisition.model is single.model

    # So many points on one line are next to each other for a smooth kernel.
    @pytest.mark.filterwarnings("ignore:A not p.d., added jitter")
    @pytest.mark.parametrize("kind", ["single", "double", "constrained"])
    def test_the_rest_is_taken_into_account(self, kind: str, request: pytest.FixtureRequest) -> None:
        surrogate: Surrogate = request.getfixturevalue(kind)
        fewer = log_acquisition(surrogate, pending=self.points(n_more=0), seed=0)
        acquisition = log_acquisition(surrogate, pending=self.points(n_more=9), seed=0)
        assert (acquisition.model is surrogate.model) == (kind == "single")  # where they are all integrated over
        assert float(values(acquisition, (0.46, 0.0))) < float(values(fewer, (0.46, 0.0)))
