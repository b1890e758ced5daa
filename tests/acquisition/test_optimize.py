"""The acquisition's maximisation: legal, better than its starts, exact on small spaces."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.models import SingleTaskGP
from hypothesis import given, settings
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo.acquisition.optimize import (
    _minimize_one_by_one,
    _minimize_together,
    optimize_acquisition,
    perturbed,
)
from llm_prior_bo.space import FloatArray, SearchSpace
from tests.strategies import spaces


class _Function(AcquisitionFunction):
    """Any function of points as an acquisition function."""

    def __init__(self, function: Any) -> None:
        x = torch.zeros(1, 1, dtype=torch.float64)
        super().__init__(SingleTaskGP(x, x, outcome_transform=None))
        self.function = function

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = self.function(X.squeeze(-2))
        return value


@pytest.mark.parametrize("dims", [1, 3])
def test_searches_together_and_one_by_one_are_the_same(dims: int) -> None:
    """BoTorch's `fmin_l_bfgs_b_batched` uses internals of SciPy; this is what notices if they change."""
    target = np.linspace(-0.1, 1.1, 6 * dims).reshape(6, dims)  # some of them beyond the bounds

    def loss(u: FloatArray, batch_indices: Sequence[int]) -> tuple[FloatArray, FloatArray]:
        difference = u - target[list(batch_indices)]
        curved = np.sin(7.0 * difference)
        return (difference**2 + 0.1 * curved**2).sum(axis=1), 2.0 * difference + 1.4 * curved * np.cos(7.0 * difference)

    starts = np.random.default_rng(0).random((6, dims))
    together, alone = _minimize_together(loss, starts), _minimize_one_by_one(loss, starts)
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert together.min() >= 0.0
    assert together.max() <= 1.0


def test_a_search_that_meets_no_number_ends_alone() -> None:
    def loss(u: FloatArray, batch_indices: Sequence[int]) -> tuple[FloatArray, FloatArray]:
        values = np.where(np.array(batch_indices) == 0, np.inf, ((u - 0.25) ** 2).sum(axis=1))
        return values, 2.0 * (u - 0.25)

    found = _minimize_together(loss, np.array([[0.9], [0.8]]))
    assert found[1, 0] == pytest.approx(0.25, abs=1e-6)


def _no_starts(space: SearchSpace) -> torch.Tensor:
    return torch.zeros(0, len(space), dtype=torch.float64)


def test_finds_the_best_of_a_small_discrete_space() -> None:
    space = SearchSpace({"a": IntDistribution(0, 6), "b": IntDistribution(0, 6), "c": CategoricalDistribution("wxyz")})
    table = torch.randn(7, 7, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def look_up(X: torch.Tensor) -> torch.Tensor:
        i, j, k = (X[..., 0] * 7).long().clamp(max=6), (X[..., 1] * 7).long().clamp(max=6), X[..., 2].long()
        return table[i, j, k]

    _, value = optimize_acquisition(_Function(look_up), space, starts=_no_starts(space), rng=np.random.default_rng(0))
    assert value == pytest.approx(float(table.max()))


def test_finds_a_smooth_mixed_optimum() -> None:
    space = SearchSpace(
        {
            "x": FloatDistribution(0, 1),
            "y": FloatDistribution(1e-4, 1, log=True),
            "k": IntDistribution(1, 1000, log=True),
            "c": CategoricalDistribution("abc"),
        }
    )
    target = torch.tensor([0.123, 0.77, 0.4], dtype=torch.float64)

    def bowl(X: torch.Tensor) -> torch.Tensor:
        return -50.0 * (X[..., :3] - target).square().sum(dim=-1) - 2.0 * (X[..., 3] - 2.0).abs()

    x, _ = optimize_acquisition(_Function(bowl), space, starts=_no_starts(space), rng=np.random.default_rng(0))
    assert x[:2].tolist() == pytest.approx(target[:2].tolist(), abs=1e-3)
    assert float(x[2]) == pytest.approx(0.4, abs=0.01)
    assert float(x[3]) == 2.0
    np.testing.assert_allclose(space.snap(x.numpy()), x.numpy(), atol=1e-12)


def test_a_needle_is_found_from_its_start_point_only() -> None:
    space = SearchSpace({f"x{i}": FloatDistribution(0, 1) for i in range(6)})
    needle = torch.full((6,), 0.31, dtype=torch.float64)

    def spike(X: torch.Tensor) -> torch.Tensor:
        return torch.exp(-((X - needle) / 0.01).square().sum(dim=-1)).clamp_min(1e-6).log()

    starts = needle.unsqueeze(0) + 0.01
    x, value = optimize_acquisition(_Function(spike), space, starts=starts, rng=np.random.default_rng(0))
    assert value == pytest.approx(0.0, abs=1e-3)
    assert x.tolist() == pytest.approx(needle.tolist(), abs=1e-3)


@settings(max_examples=25)
@given(spaces(max_size=4))
def test_result_is_legal_and_no_worse_than_any_start(space: SearchSpace) -> None:
    centre = torch.as_tensor(space.bounds.mean(axis=0))
    function = _Function(lambda X: -(X - 0.7 * centre).square().sum(dim=-1))
    rng = np.random.default_rng(0)
    starts = torch.as_tensor(space.snap(rng.random((10, len(space))) * space.bounds[1]))
    x, value = optimize_acquisition(function, space, starts=starts, rng=rng)
    np.testing.assert_allclose(space.snap(x.numpy()), x.numpy(), atol=1e-12)
    assert value >= float(function(starts.unsqueeze(1)).max()) - 1e-12


def test_same_seed_same_result() -> None:
    space = SearchSpace({"x": FloatDistribution(0, 1), "c": CategoricalDistribution("ab")})
    function = _Function(lambda X: torch.sin(20 * X[..., 0]) + X[..., 1])
    results = [
        optimize_acquisition(function, space, starts=_no_starts(space), rng=np.random.default_rng(5)) for _ in range(2)
    ]
    assert torch.equal(results[0][0], results[1][0])


def test_values_that_are_not_finite_do_no_harm() -> None:
    space = SearchSpace({"x": FloatDistribution(0, 1), "k": IntDistribution(0, 3)})
    function = _Function(lambda X: torch.where(X[..., 0] < 0.5, X[..., 0].log() * float("nan"), X[..., 0]))
    x, value = optimize_acquisition(function, space, starts=_no_starts(space), rng=np.random.default_rng(0))
    assert value > 0.9
    assert float(x[0]) > 0.9


def test_perturbed_points_stay_legal_and_keep_choices() -> None:
    space = SearchSpace({"x": FloatDistribution(0, 1), "k": IntDistribution(0, 4), "c": CategoricalDistribution("abc")})
    X = torch.tensor([[0.0, 0.5, 2.0], [1.0, 0.1, 0.0]], dtype=torch.float64)
    near = perturbed(X, space, n_each=50, scale=0.1, rng=np.random.default_rng(0))
    assert near.shape == (100, 3)
    assert near[:50, 2].eq(2.0).all()
    assert near[50:, 2].eq(0.0).all()
    np.testing.assert_allclose(space.snap(near.numpy()), near.numpy(), atol=1e-12)
    assert 0.03 < float((near[:50, 0] - X[0, 0]).abs().mean()) < 0.15


def test_all_values_of_a_small_grid_are_reachable() -> None:
    space = SearchSpace({"k": IntDistribution(0, 9), "m": IntDistribution(0, 9)})
    for i, j in itertools.product((0, 9), (0, 9)):
        goal = torch.as_tensor(space.encode([{"k": i, "m": j}])[0])
        function = _Function(lambda X, goal=goal: -(X - goal).abs().sum(dim=-1))
        x, _ = optimize_acquisition(function, space, starts=_no_starts(space), rng=np.random.default_rng(0))
        assert space.decode(x) == {"k": i, "m": j}


def test_points_to_avoid_are_returned_only_where_there_is_no_other() -> None:
    space = SearchSpace({"a": IntDistribution(0, 1), "b": IntDistribution(0, 1)})
    legal = torch.as_tensor(space.encode([{"a": a, "b": b} for a in (0, 1) for b in (0, 1)]))
    acquisition = _Function(lambda X: -X.sum(dim=-1))
    options: dict[str, Any] = {"starts": _no_starts(space)}
    found = [
        optimize_acquisition(acquisition, space, avoid=legal[:k], rng=np.random.default_rng(0), **options)[0]
        for k in (0, 1, 3, 4)
    ]
    assert space.decode(found[0]) == space.decode(found[3]) == {"a": 0, "b": 0}
    assert sorted(space.decode(found[1]).values()) == [0, 1]
    assert space.decode(found[2]) == {"a": 1, "b": 1}
