"""What the kernel sees of a point: neutral where a column does not count, choices one-hot."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution

from llm_prior_bo.models.conditional_parameters import Condition
from llm_prior_bo.models.input_encoding import InputEncoding
from llm_prior_bo.priors import UniformPrior
from llm_prior_bo.space import SearchSpace

SPACE = SearchSpace(
    {
        "only": CategoricalDistribution(["one"]),
        "x": FloatDistribution(0, 1),
        "kind": CategoricalDistribution(["a", "b", "c"]),
        "y": FloatDistribution(0, 1),
        "flag": CategoricalDistribution([True, False]),
    }
)
CONDITIONS = [Condition(column=3, parent=2, inactive=(0,))]
X = UniformPrior(SPACE).sample(40, generator=torch.Generator().manual_seed(0))
R = math.sqrt(0.5)


def test_nothing_to_do() -> None:
    numeric = SearchSpace({"x": FloatDistribution(0, 1), "only": CategoricalDistribution(["one"])})
    assert InputEncoding.of(numeric, ()) is None


def test_columns() -> None:
    transform = InputEncoding.of(SPACE, CONDITIONS)
    assert transform is not None
    assert transform.width == 1 + 1 + 3 + 1 + 2
    encoded = transform.encode(np.array([[0.0, 0.3, 0.0, 0.9, 1.0], [0.0, 0.4, 2.0, 0.8, 0.0]]))
    expected = [[0.0, 0.3, R, 0, 0, 0.5, 0, R], [0.0, 0.4, 0, 0, R, 0.8, R, 0]]
    np.testing.assert_allclose(encoded, expected)


def test_two_choices_are_as_far_apart_as_the_ends_of_a_range() -> None:
    transform = InputEncoding(SPACE, ())
    encoded = transform.encode(np.array([[0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0]]))
    assert np.linalg.norm(encoded[0] - encoded[1]) == pytest.approx(1.0)


@pytest.mark.parametrize("conditions", [(), CONDITIONS], ids=["plain", "conditional"])
@pytest.mark.parametrize("shape", [(40,), (40, 1), (8, 5), (2, 4, 5)])
def test_for_torch_it_is_the_same(conditions: list[Condition], shape: tuple[int, ...]) -> None:
    transform = InputEncoding(SPACE, conditions)
    encoded = transform(X.reshape(*shape, 5))
    assert encoded.shape == (*shape, transform.width)
    np.testing.assert_array_equal(encoded.reshape(40, -1).numpy(), transform.encode(X.numpy()))


def test_gradients_reach_what_counts_alone() -> None:
    transform = InputEncoding(SPACE, CONDITIONS)
    points = X.clone().requires_grad_()
    weights = torch.rand(40, transform.width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (gradient,) = torch.autograd.grad((transform(points) * weights).sum(), points)
    expected = torch.zeros_like(points)
    expected[:, 0], expected[:, 1], expected[:, 3] = weights[:, 0], weights[:, 1], weights[:, 5]
    expected[X[:, 2] == 0.0, 3] = 0.0
    assert torch.equal(gradient, expected)


def test_neutral_points() -> None:
    transform = InputEncoding(SPACE, CONDITIONS)
    neutral = transform.neutral(X.numpy())
    inactive = (X[:, 2] == 0.0).numpy()
    assert (neutral[inactive, 3] == 0.5).all()
    np.testing.assert_array_equal(neutral[~inactive], X.numpy()[~inactive])
    np.testing.assert_array_equal(InputEncoding(SPACE, ()).neutral(X.numpy()), X.numpy())
