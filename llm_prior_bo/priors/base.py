"""What every prior over the optimum can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from optuna.distributions import FloatDistribution
from torch import Tensor

from llm_prior_bo.errors import PriorError
from llm_prior_bo.space import FloatArray, SearchSpace

Points: TypeAlias = Tensor | npt.NDArray[np.float64]
"""Encoded points, `batch_shape x d`, as a tensor or an array."""


class OptimumPrior(ABC):
    """A density over where the optimum is, **relative to uniform** over the encoded space.

    `log_prob(X) == 0` means "no opinion". With the uniform density as the reference measure (width of the cell for a
    grid column, `1 / c` for a choice) the density integrates to one exactly, in whatever mix of linear, logarithmic,
    integer and categorical parameters.
    """

    @property
    @abstractmethod
    def dim(self) -> int:
        """Number of columns `d` of the encoded space."""

    @property
    @abstractmethod
    def log_range(self) -> float:
        """Upper end minus lower end of `log_prob`: the `L` of the loss bound `exp(L * exponent)`."""

    @property
    def is_uniform(self) -> bool:
        """Whether this is surely no opinion: the density is 1 everywhere. A prior that cannot tell says no."""
        return False

    @abstractmethod
    def log_prob(self, X: Points) -> Tensor:
        """Log density relative to uniform, differentiable in the continuous columns.

        Args:
            X: Encoded points, `batch_shape x d`, of any float type.

        Returns:
            `batch_shape`, float64, on the device of `X`. Entries of a grid or categorical column count as the cell
            they lie in.

        Raises:
            PriorError: If the last dimension is not `d`.
        """

    @abstractmethod
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw legal points.

        Args:
            n: Number of draws.
            generator: Source of randomness; `None` seeds a fresh one from the operating system. PyTorch's global
                generator is neither read nor moved.

        Returns:
            Legal encoded points, `n x d`, float64.
        """

    @abstractmethod
    def mode(self) -> Tensor:
        """A legal encoded point, `d`, at which the density is (about) largest."""

    def stratified_sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw legal points that cover the density more evenly than independent draws; here: `sample`.

        Args:
            n: Number of draws.
            generator: Source of randomness, as in `sample`.

        Returns:
            Legal encoded points, `n x d`, float64.
        """
        return self.sample(n, generator=generator)


def own_space(prior: OptimumPrior) -> SearchSpace | None:
    """The space that a prior names as its own; `None` for one that names none, which an `OptimumPrior` need not."""
    space = getattr(prior, "space", None)
    return space if isinstance(space, SearchSpace) else None


def space_of(prior: OptimumPrior) -> SearchSpace:
    """The space that a prior is over: its own, else the unit cube of `dim` columns."""
    return own_space(prior) or SearchSpace({f"x{j}": FloatDistribution(0.0, 1.0) for j in range(prior.dim)})


def as_points(X: Points, dim: int) -> Tensor:
    """Check and convert points.

    Args:
        X: Encoded points, `batch_shape x d`.
        dim: The expected `d`.

    Returns:
        `batch_shape x d`, float64, on the CPU, part of the graph of `X`.

    Raises:
        PriorError: If the last dimension is not `dim`.
    """
    points = torch.as_tensor(X).to(device="cpu", dtype=torch.float64)
    if points.ndim == 0 or points.shape[-1] != dim:
        raise PriorError(
            f"Expected points of shape `batch_shape x {dim}`, got {tuple(points.shape)}; encode them with the "
            "SearchSpace that the prior was built for."
        )
    return points


def check_points(X: FloatArray, dim: int) -> FloatArray:
    """Check points `n x d`.

    Raises:
        PriorError: If the last dimension is not `dim`.
    """
    return X if X.shape[-1] == dim else as_points(X, dim).numpy()


def device_of(X: Points) -> torch.device:
    """The device that a result for `X` belongs on."""
    return X.device if isinstance(X, Tensor) else torch.device("cpu")


def generator_or_fresh(generator: torch.Generator | None) -> torch.Generator:
    """The generator given, or a new one seeded from the operating system's entropy."""
    if generator is not None:
        return generator
    fresh = torch.Generator()
    fresh.seed()
    return fresh


def check_count(n: int) -> int:
    """Check a number of draws.

    Raises:
        PriorError: If it is negative.
    """
    if n < 0:
        raise PriorError(f"Expected a number of draws >= 0, got {n}.")
    return int(n)


def uniform_variates(n: int, dims: int, generator: torch.Generator) -> Tensor:
    """Independent uniform variates, `n x dims`, float64."""
    return torch.rand(n, dims, generator=generator, dtype=torch.float64, device=generator.device).cpu()


def sobol_variates(n: int, dims: int, generator: torch.Generator) -> Tensor:
    """The first `n` points of a scrambled Sobol sequence, `n x dims`, float64."""
    seed = int(torch.randint(2**31 - 1, (1,), generator=generator, device=generator.device))
    if n == 0:
        return torch.zeros(0, dims, dtype=torch.float64, device="cpu")
    return sobol_points(n, dims, seed=seed)


def sobol_points(n: int, dims: int, *, seed: int) -> Tensor:
    """The first `n` points of a scrambled Sobol sequence, `n x dims`, float64; `dims` at most `SobolEngine.MAXDIM`."""
    # A seeded engine scrambles with a generator of its own.
    engine = torch.quasirandom.SobolEngine(dims, scramble=True, seed=seed)  # type: ignore[no-untyped-call]
    first = engine.quasi.to(torch.float64) / 2**engine.MAXBIT  # PyTorch rounds it to the default dtype
    points: Tensor = engine.draw(n, dtype=torch.float64)
    points[:1] = first
    return points
