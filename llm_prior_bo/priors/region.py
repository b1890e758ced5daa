"""One region: a product of marginals, coupled by a Gaussian copula where correlations are given."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping

import torch
from torch import Tensor

from llm_prior_bo._cached_property import cached_property
from llm_prior_bo.errors import PriorError
from llm_prior_bo.priors._product import ProductEvaluator
from llm_prior_bo.priors.base import (
    Points,
    as_points,
    check_count,
    device_of,
    generator_or_fresh,
    sobol_variates,
    uniform_variates,
)
from llm_prior_bo.priors.copula import GaussianCopula, correlation_from_pairs
from llm_prior_bo.priors.marginals import Marginal, SplitNormalMarginal, check_temperature
from llm_prior_bo.priors.uniform import centre, uniform_points
from llm_prior_bo.space import SearchSpace

BEST_TOLERANCE = 1.0
"""Nats by which another point must beat the marginals' modes to be a correlated region's best point."""

_N_PROBES = 1024  # points at which the largest density of a correlated region is looked for

_MAX_CORNER_DIMS = 10  # 1024 corners


class RegionPrior:
    """One regime in which the optimum may lie: a component of `MixturePrior`, relative to uniform.

    A parameter without a marginal is "no opinion" (uniform). Correlations couple parameters that have a split normal
    marginal; only columns that appear in a correlation enter the copula.

    Args:
        space: The search space.
        marginals: Marginal by parameter name.
        correlations: `{(first, second): rho}` between numeric parameters with a marginal, each in [-1, 1].
        label: A few words for people.

    Raises:
        PriorError: If a name is unknown, a marginal belongs to another column, or a correlation names a parameter
            without a split normal marginal.
    """

    def __init__(
        self,
        space: SearchSpace,
        marginals: Mapping[str, Marginal],
        *,
        correlations: Mapping[tuple[str, str], float] | None = None,
        label: str = "",
    ) -> None:
        _check_marginals(space, marginals)
        self.space = space
        self.label = label
        self.marginals: Mapping[str, Marginal] = dict(marginals)
        self.correlations: Mapping[tuple[str, str], float] = dict(correlations or {})
        self.coupled = tuple(name for name in space.names if any(name in pair for pair in self.correlations))
        self.coupled_dims = [space.index(name) for name in self.coupled]
        self.copula = self._build_copula()

    def _build_copula(self) -> GaussianCopula | None:
        chosen = {name: m for name, m in self.marginals.items() if isinstance(m, SplitNormalMarginal)}
        missing = sorted({name for pair in self.correlations for name in pair} - set(chosen))
        if missing:
            raise PriorError(
                f"Expected correlations between parameters with a split normal marginal, got {missing} without; "
                "give each a marginal or drop the correlation."
            )
        if not self.correlations:
            return None
        pairs = [(first, second, rho) for (first, second), rho in self.correlations.items()]
        return GaussianCopula([chosen[name] for name in self.coupled], correlation_from_pairs(self.coupled, pairs))

    @cached_property
    def _product(self) -> ProductEvaluator:
        return ProductEvaluator(self.space, [self.marginals])

    def log_prob(self, X: Points) -> Tensor:
        """Log density relative to uniform.

        Args:
            X: Encoded points, `batch_shape x d`.

        Returns:
            `batch_shape`, float64, differentiable in the continuous columns.
        """
        points = as_points(X, len(self.space))
        return (self._product(points).squeeze(-1) + self.log_coupling(points)).to(device_of(X))

    def log_coupling(self, X: Tensor) -> Tensor:
        """Log of the density over the product of its marginals; zero without correlations.

        Args:
            X: Encoded points, `batch_shape x d`, float64.

        Returns:
            `batch_shape`.
        """
        return X.new_zeros(X.shape[:-1]) if self.copula is None else self.copula.log_ratio(X[..., self.coupled_dims])

    def transport(self, V: Tensor) -> Tensor:
        """Uniform variates to points of the region.

        Args:
            V: Variates in [0, 1], one a column, `n x d`.

        Returns:
            Legal encoded points, `n x d`.
        """
        X = uniform_points(self.space, V)
        for name, marginal in self.marginals.items():
            if name not in self.coupled:
                j = self.space.index(name)
                X[:, j] = marginal.icdf(V[:, j])
        if self.copula is not None:
            X[:, self.coupled_dims] = self.copula.transport(V[:, self.coupled_dims])
        return X

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Independent legal points, `n x d`."""
        return self.transport(uniform_variates(check_count(n), len(self.space), generator_or_fresh(generator)))

    @cached_property
    def max_log_prob(self) -> float:
        """The largest log density.

        Exact without correlations (for huge grids the continuous density's maximum, a bound). With correlations the
        largest value found at the marginals' modes, at 1024 Sobol draws of the coupled columns and at their corners.
        """
        if self.copula is None:
            return float(sum(marginal.max_log_prob for marginal in self.marginals.values()))
        return self._peak[1]

    @cached_property
    def best(self) -> dict[str, float]:
        """Legal coordinate of the region's best point for every parameter with a marginal.

        The marginals' modes, which are the best guesses of an answer, unless correlations make them implausible
        together: if one of the points that `max_log_prob` looks at is better by more than `BEST_TOLERANCE`, that one.
        """
        chosen = self._modes if self.copula is None else self._peak[0]
        return {name: float(chosen[self.space.index(name)]) for name in self.marginals}

    @cached_property
    def _peak(self) -> tuple[Tensor, float]:
        """Of a region with a copula: its best point, `d`, and the largest log density among the probes."""
        probes = self._probes()
        values = self.log_prob(probes)
        top = int(values.argmax())
        best = probes[top] if float(values[top] - values[0]) > BEST_TOLERANCE else probes[0]
        return best.clone(), float(values[top])  # a copy: a row would keep all probes in memory

    @property
    def _modes(self) -> Tensor:
        """The marginals' modes, at the centre where there is none, `d`."""
        modes = centre(self.space)
        for name, marginal in self.marginals.items():
            modes[self.space.index(name)] = marginal.mode
        return modes

    def _probes(self) -> Tensor:
        """The marginals' modes; below, the modes but for probes of the coupled columns, `n x d`."""
        assert self.copula is not None
        modes = self._modes
        # A fixed seed: the best point is a property of the region, not a random draw.
        V = sobol_variates(_N_PROBES, len(self.coupled), torch.Generator().manual_seed(0))
        # Where marginals do not vanish at the ends of their range the density is largest in a corner.
        ends = list(itertools.product((0.0, 1.0), repeat=min(len(self.coupled), _MAX_CORNER_DIMS)))
        corners = torch.tensor(ends, dtype=torch.float64, device="cpu")
        U = torch.cat([self.copula.transport(V), modes[self.coupled_dims].repeat(len(corners), 1)])
        U[_N_PROBES:, : corners.shape[-1]] = corners
        probes = modes.repeat(len(U) + 1, 1)
        probes[1:, self.coupled_dims] = U
        return torch.as_tensor(self.space.snap(probes.numpy()), dtype=torch.float64, device="cpu")

    def tempered(self, temperature: float) -> RegionPrior:
        """The region flattened (`temperature > 1`) or sharpened, exactly normalised again.

        Scales are multiplied by `sqrt(temperature)`, table entries taken to the power `1 / temperature`; correlations
        are kept.

        Raises:
            PriorError: If the temperature is not positive and finite.
        """
        check_temperature(temperature)
        marginals = {name: marginal.tempered(temperature) for name, marginal in self.marginals.items()}
        return RegionPrior(self.space, marginals, correlations=self.correlations, label=self.label)

    def widened(self, min_scale: float) -> RegionPrior:
        """The region at a coarser resolution: no scale below `min_scale`, a fraction of the range."""
        marginals = {name: marginal.widened(min_scale) for name, marginal in self.marginals.items()}
        return RegionPrior(self.space, marginals, correlations=self.correlations, label=self.label)

    def labelled(self, label: str) -> RegionPrior:
        """The same region under another label; nothing is computed anew."""
        other = copy.copy(self)
        other.label = label
        return other

    def __repr__(self) -> str:
        return f"RegionPrior({self.label!r}, {list(self.marginals)}, correlations={dict(self.correlations)})"


def _check_marginals(space: SearchSpace, marginals: Mapping[str, Marginal]) -> None:
    unknown = sorted(set(marginals) - set(space.names))
    if unknown:
        raise PriorError(f"Expected marginals of {list(space.names)}, got {unknown}; drop them or extend the space.")
    for name, marginal in marginals.items():
        if marginal.column != space.column(name):
            raise PriorError(
                f"Expected a marginal of the column {space.column(name)!r}, got one of {marginal.column!r}; build it "
                "from space.column(name)."
            )
