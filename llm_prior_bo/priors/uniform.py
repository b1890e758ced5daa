"""The prior without an opinion."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from llm_prior_bo._display import Displayed, TextTable
from llm_prior_bo.priors.base import (
    OptimumPrior,
    Points,
    as_points,
    check_count,
    check_points,
    device_of,
    generator_or_fresh,
    sobol_variates,
    uniform_variates,
)
from llm_prior_bo.space import FloatArray, SearchSpace


class UniformPrior(Displayed, OptimumPrior):
    """No opinion: relative density 1 everywhere.

    "Uniform" is Optuna's: on the log scale where `log=True`, every value of a grid with the width of its cell.

    Args:
        space: The search space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space

    def _display(self) -> TextTable:
        return TextTable.of(f"Uniform over {', '.join(self.space.names)}")

    @property
    def dim(self) -> int:
        """Number of columns `d`."""
        return len(self.space)

    @property
    def log_range(self) -> float:
        """Zero: the density is constant."""
        return 0.0

    @property
    def is_uniform(self) -> bool:
        """Always."""
        return True

    def log_prob(self, X: Points) -> Tensor:
        """Zeros.

        Args:
            X: Encoded points, `batch_shape x d`.

        Returns:
            `batch_shape`, float64, part of the graph of `X` (with gradient zero).
        """
        points = as_points(X, self.dim)
        return torch.zeros_like(points).mul(points).sum(dim=-1).to(device_of(X))

    def value(self, X: FloatArray) -> FloatArray:
        """Zeros, `n x d` to `n`."""
        return np.zeros(len(check_points(X, self.dim)))

    def value_and_gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Zeros, `n x d` to `n` and `n x d`."""
        return self.value(X), np.zeros_like(X)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Independent uniform legal points, `n x d`."""
        return uniform_points(self.space, uniform_variates(check_count(n), self.dim, generator_or_fresh(generator)))

    def stratified_sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Scrambled Sobol points moved to legal coordinates, `n x d`."""
        return uniform_points(self.space, sobol_variates(check_count(n), self.dim, generator_or_fresh(generator)))

    def mode(self) -> Tensor:
        """The centre of the space, `d`: any point would do."""
        return centre(self.space)

    def __repr__(self) -> str:
        return f"UniformPrior({list(self.space.names)})"


def uniform_points(space: SearchSpace, V: Tensor) -> Tensor:
    """Uniform variates to uniform legal points.

    Args:
        space: The search space.
        V: Variates in [0, 1], `n x d`.

    Returns:
        Legal encoded points, `n x d`.
    """
    U = V.clone()
    for j in space.categorical_dims:
        count = space.columns[j].n_values or 1
        U[:, j] = (V[:, j] * count).floor().clamp_max(count - 1)
    return torch.as_tensor(space.snap(U.numpy()), dtype=torch.float64, device="cpu")


def centre(space: SearchSpace) -> Tensor:
    """The legal point at the centre of the numeric columns and the first choice of the categorical ones, `d`."""
    return torch.from_numpy(space.snap(space.neutral_point))
