"""The sum of log terms: values, gradients and what each term contributes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.acquisition.analytic import LogExpectedImprovement, ProbabilityOfImprovement
from botorch.acquisition.logei import qLogExpectedImprovement
from torch import Tensor

from llm_prior_bo._fast_path import fast_path
from llm_prior_bo._gradients import value_and_gradient
from llm_prior_bo.acquisition.analytic_log_ei import AnalyticLogEI
from llm_prior_bo.acquisition.log_sum import LogSum, Term, acquisition_and_gradient
from llm_prior_bo.errors import ConfigurationError, PriorError, UnsupportedAcquisitionError
from llm_prior_bo.priors import MixturePrior
from tests.gps import gp
from tests.priors.cases import PLANE, coupled, region

X = torch.rand(8, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
MODEL = gp(X, -(X - 0.4).square().sum(dim=-1), noise=0.01).eval()
PRIOR = MixturePrior(PLANE, [region(PLANE, {"x": (0.7, 0.1, 0.2), "y": (0.3, 0.2, 0.2)})], [0.9], 0.1)
CORRELATED = coupled((0.7, 0.1, 0.2), (0.3, 0.2, 0.2), rho=0.6)
BEST = float(MODEL.train_targets.max())

Make = Callable[[], AcquisitionFunction]
BASES: dict[str, Make] = {
    "fast": lambda: AnalyticLogEI(MODEL, BEST),
    "analytic": lambda: LogExpectedImprovement(MODEL, BEST),
    "Monte Carlo": lambda: qLogExpectedImprovement(MODEL, BEST),
}


def sloped(points: Tensor) -> Tensor:
    """A log density of the user's own."""
    return -points[..., 0]


TERMS = [Term("prior", PRIOR, 0.7), Term("correlated", CORRELATED, 1.3), Term("own", sloped, 0.5)]


@pytest.fixture(params=BASES)
def base(request: pytest.FixtureRequest) -> AcquisitionFunction:
    return BASES[request.param]()


def test_is_the_sum_of_its_parts(base: AcquisitionFunction) -> None:
    points = X[:5].unsqueeze(1)
    expected = base(points)
    for term in TERMS:
        density = term.density.log_prob(X[:5]) if isinstance(term.density, MixturePrior) else sloped(X[:5])
        expected = expected + term.exponent * density
    torch.testing.assert_close(LogSum(base, TERMS)(points), expected, rtol=1e-12, atol=1e-12)


def test_contributions_sum_to_the_score(base: AcquisitionFunction) -> None:
    score = LogSum(base, [*TERMS, Term("off", PRIOR, 0.0)])
    points = X[:5].unsqueeze(1)
    parts = score.contributions(points)
    assert list(parts) == ["acquisition", "prior", "correlated", "own", "off"]
    assert torch.equal(parts["off"], torch.zeros(5, dtype=torch.float64))
    torch.testing.assert_close(sum(parts.values(), torch.zeros(5)), score(points), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("fast", [True, False])
def test_gradient_is_that_of_the_score(base: AcquisitionFunction, fast: bool) -> None:
    score = LogSum(base, TERMS)
    with fast_path(fast):
        values, gradient = acquisition_and_gradient(score, X.numpy())
        expected, by_autograd = value_and_gradient(lambda points: score(points.unsqueeze(1)), X.numpy())
    np.testing.assert_allclose(values, expected, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(gradient, by_autograd, rtol=1e-8, atol=1e-9)


def test_both_paths_agree() -> None:
    """Ours and BoTorch's: the same model, the same prior, the same score."""
    with fast_path(False):
        slow = acquisition_and_gradient(LogSum(LogExpectedImprovement(MODEL, BEST), TERMS), X.numpy())
    fast = acquisition_and_gradient(LogSum(AnalyticLogEI(MODEL, BEST), TERMS), X.numpy())
    np.testing.assert_allclose(fast[0], slow[0], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(fast[1], slow[1], rtol=1e-4, atol=1e-5)


def test_sums_of_sums() -> None:
    inner = LogSum(AnalyticLogEI(MODEL, BEST), TERMS[:1])
    outer = LogSum(inner, TERMS[1:])
    flat = LogSum(AnalyticLogEI(MODEL, BEST), TERMS)
    for first, second in zip(outer.value_and_gradient(X.numpy()), flat.value_and_gradient(X.numpy()), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-13)


def test_a_transform_is_differentiated_too() -> None:
    score = LogSum(ProbabilityOfImprovement(MODEL, BEST), TERMS[:1], to_log=torch.log)
    values, gradient = score.value_and_gradient(X.numpy())
    expected, by_autograd = value_and_gradient(lambda points: score(points.unsqueeze(1)), X.numpy())
    np.testing.assert_allclose(values, expected, rtol=1e-11)
    np.testing.assert_allclose(gradient, by_autograd, rtol=1e-8, atol=1e-9)


def test_a_second_derivative_is_refused() -> None:
    """By the fast path, which writes the first down by hand; without it autograd has both."""
    points = X[:2].clone().requires_grad_()
    with fast_path(True):
        (gradient,) = torch.autograd.grad(TERMS[0].log_density(points).sum(), points, create_graph=True)
        with pytest.raises(RuntimeError, match="does not require grad"):
            torch.autograd.grad(gradient.sum(), points)
    with fast_path(False):
        (gradient,) = torch.autograd.grad(TERMS[0].log_density(points).sum(), points, create_graph=True)
        torch.autograd.grad(gradient.sum(), points)


@pytest.mark.parametrize("exponent", [-0.1, math.nan, math.inf, "much", None, float])
def test_bad_exponents(exponent: object) -> None:
    with pytest.raises(ConfigurationError, match="exponent"):
        Term("prior", PRIOR, exponent)  # type: ignore[arg-type]


def test_bad_densities() -> None:
    with pytest.raises(ConfigurationError, match="log_prob"):
        Term("prior", 3.0)  # type: ignore[arg-type]
    with pytest.raises(PriorError, match="one log density per point"):
        Term("prior", lambda points: points).log_density(X)
    with pytest.raises(PriorError, match="finite"):
        Term("prior", lambda points: torch.full_like(points[..., 0], -math.inf)).log_density(X)


def test_bases_without_log_values_are_refused() -> None:
    with pytest.raises(UnsupportedAcquisitionError, match="log values"):
        LogSum(ProbabilityOfImprovement(MODEL, BEST), TERMS)
