"""How plausible a point is to a prior, as a smooth feature: the log density with heavy tails."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from llm_prior_bo._gradients import as_torch, value_and_gradient
from llm_prior_bo.errors import PriorError
from llm_prior_bo.priors.base import OptimumPrior, Points, as_points, device_of
from llm_prior_bo.priors.marginals import CategoricalMarginal, Marginal, SplitNormalMarginal
from llm_prior_bo.priors.mixture import MixturePrior
from llm_prior_bo.priors.region import RegionPrior
from llm_prior_bo.space import FloatArray


class Plausibility:
    """Log density of a mixture with Student-t tails instead of normal ones and without its uniform part.

        s(x) = log sum_k w_k exp( -(ν + 1)/2 · sum_j log(1 + z_kj² / ν) )

    with `z_kj` the distance of `x_j` from the best guess of region `k` in units of the scale on that side; for a choice
    `z² = 2 (log p_best - log p)`; a column without an opinion is at distance 0 everywhere. Each region counts with its
    weight at its best guess, however wide it is. Near there this is `(ν + 1) / ν` times the region's log density, up to
    a constant. Far away it goes on falling where the log density of a mixture has reached its floor, and falls slowly
    where a normal density would drop by hundreds of nats, so that it makes a usable regressor. Correlations are left
    out.

    For a prior that is not a `MixturePrior`, or is one that believes in no region, it is the log density itself.

    Args:
        prior: The prior over the optimum.
        degrees_of_freedom: `ν`, above 0.

    Raises:
        PriorError: If `degrees_of_freedom` is not positive.
    """

    def __init__(self, prior: OptimumPrior, *, degrees_of_freedom: float = 3.0) -> None:
        if not degrees_of_freedom > 0.0:
            raise PriorError(f"Expected degrees_of_freedom > 0, got {degrees_of_freedom}; 3 gives moderate tails.")
        self._prior = prior
        self._dof = degrees_of_freedom
        self._mixture = prior if isinstance(prior, MixturePrior) and bool(prior.weights.any()) else None
        if self._mixture is not None:
            self._log_weights: FloatArray = self._mixture.weights.log().numpy()  # K
            rows = [_split_normals(region) for region in self._mixture.regions]
            self._mode, self._left, self._right = map(np.array, zip(*rows, strict=True))  # K x d each
            self._tables = {j: np.log1p(table / self._dof) for j, table in _squared_distances(self._mixture).items()}

    @property
    def dim(self) -> int:
        """Number of columns `d`."""
        return self._prior.dim

    def __call__(self, X: Points) -> Tensor:
        """Plausibility of points.

        Args:
            X: Encoded points, `batch_shape x d`.

        Returns:
            `batch_shape`, float64, differentiable in the numeric columns.

        Raises:
            PriorError: If the last dimension is not `d`, or a log density is not finite.
        """
        points = as_points(X, self._prior.dim)
        values = _checked(self._prior.log_prob(points)) if self._mixture is None else as_torch(self, points)
        return values.to(device_of(X))

    def value(self, X: FloatArray) -> FloatArray:
        """Plausibility of encoded points, `n x d` to `n`."""
        if self._mixture is None:
            with torch.no_grad():
                values: FloatArray = _checked(self._prior.log_prob(torch.from_numpy(X))).numpy()
            return values
        return _log_sum(self._exponents(self._mixture, X)[0])

    def value_and_gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Plausibility of encoded points and its gradient, `n x d` to `n` and `n x d`."""
        if self._mixture is None:
            return value_and_gradient(lambda points: _checked(self._prior.log_prob(points)), X)
        exponents, z, scale, tails = self._exponents(self._mixture, X)
        value = _log_sum(exponents)
        shares = np.exp(exponents - value[:, None])  # n x K
        by_region = z / (scale * tails)  # n x K x d
        gradient = np.einsum("nk,nkd->nd", shares, by_region)
        gradient *= -(self._dof + 1.0) / self._dof
        return value, gradient

    def _exponents(self, mixture: MixturePrior, X: FloatArray) -> tuple[FloatArray, ...]:
        """Log of each weighted kernel, `n x K`; distance, scale and `1 + z²/ν` of each column, `n x K x d`."""
        distance = X[:, None, :] - self._mode
        scale = np.where(distance < 0.0, self._left, self._right)
        z = distance / scale
        tails = np.square(z)
        tails /= self._dof
        tails += 1.0
        total = np.log(tails).sum(axis=-1)  # n x K
        for j, table in self._tables.items():
            total += table[mixture.space.columns[j].cell_index(X[:, j])]
        return self._log_weights - 0.5 * (self._dof + 1.0) * total, z, scale, tails


def _log_sum(exponents: FloatArray) -> FloatArray:
    """Log of the sum of exponentials, `n x K` to `n`; the largest exponent of each row must be finite."""
    largest = exponents.max(axis=1)
    total: FloatArray = np.log(np.exp(exponents - largest[:, None]).sum(axis=1))
    total += largest
    return total


def _checked(log_density: Tensor) -> Tensor:
    """Log densities of a prior of someone's own, refused where they would make every mean infinite."""
    if not torch.isfinite(log_density).all():
        raise PriorError(
            "Expected finite log densities, got one that is not; mix in a uniform floor, e.g. "
            "TemperedMixture(prior, 0.95, uniform=UniformPrior(space))."
        )
    return log_density


def _split_normals(region: RegionPrior) -> tuple[list[float], list[float], list[float]]:
    """Mode, left and right scale of every column, `d` each; those of other columns make every distance 0."""
    marginals: list[Marginal | None] = [region.marginals.get(name) for name in region.space.names]
    rows = [
        (m.mode_unit, m.left_scale, m.right_scale) if isinstance(m, SplitNormalMarginal) else (0.0, math.inf, math.inf)
        for m in marginals
    ]
    mode, left, right = zip(*rows, strict=True)
    return list(mode), list(left), list(right)


def _squared_distances(prior: MixturePrior) -> dict[int, FloatArray]:
    """For every categorical column with an opinion `z²` of each choice in each region, `n_choices x K`."""
    tables = {}
    for j, name in enumerate(prior.space.names):
        marginals = [region.marginals.get(name) for region in prior.regions]
        if not any(isinstance(m, CategoricalMarginal) for m in marginals):
            continue
        none = torch.zeros(prior.space.columns[j].n_values or 1, dtype=torch.float64)
        columns = [2.0 * (m.table.max() - m.table) if isinstance(m, CategoricalMarginal) else none for m in marginals]
        tables[j] = torch.stack(columns, dim=-1).numpy()
    return tables
