"""The priors that the contract suite runs over, and a quadrature that integrates any of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo.priors import (
    CategoricalMarginal,
    Marginal,
    MixturePrior,
    OptimumPrior,
    RegionPrior,
    SplitNormalMarginal,
    TemperedMixture,
    UniformPrior,
    pool_priors,
)
from llm_prior_bo.space import Column, SearchSpace
from tests.strategies import spaces

FloatArray = npt.NDArray[np.float64]
Belief = tuple[float, ...]
"""`(mode, left scale, right scale)` in the unit coordinate, or a probability table."""


def region(
    space: SearchSpace,
    beliefs: Mapping[str, Belief],
    correlations: Mapping[tuple[str, str], float] | None = None,
    label: str = "",
) -> RegionPrior:
    """A region from numbers."""
    marginals: dict[str, Marginal] = {}
    for name, belief in beliefs.items():
        column = space.column(name)
        if column.kind == "categorical":
            marginals[name] = CategoricalMarginal(column, belief)
        else:
            marginals[name] = SplitNormalMarginal(column, *belief)
    return RegionPrior(space, marginals, correlations=correlations, label=label)


def single(distribution: BaseDistribution, *beliefs: Belief, uniform_weight: float = 0.1) -> MixturePrior:
    """A mixture over one parameter `x`, one region a belief."""
    space = SearchSpace({"x": distribution})
    regions = [region(space, {"x": belief}) for belief in beliefs]
    return MixturePrior(space, regions, [1.0] * len(regions), uniform_weight)


UNIT = FloatDistribution(0.0, 1.0)
PLANE = SearchSpace({"x": UNIT, "y": UNIT})
MIXED = SearchSpace(
    {
        "lr": FloatDistribution(1e-5, 1.0, log=True),
        "depth": IntDistribution(1, 6),
        "act": CategoricalDistribution(["relu", "tanh", None]),
    }
)


def mixed() -> MixturePrior:
    """Three regions over a mixed space, each silent about something."""
    regions = [
        region(MIXED, {"lr": (0.3, 0.1, 0.3), "depth": (0.75, 0.1, 0.1), "act": (0.1, 0.6, 0.3)}, label="one"),
        region(MIXED, {"lr": (0.9, 0.05, 0.05), "act": (0.0, 0.0, 1.0)}, label="two"),
        region(MIXED, {"depth": (0.1, 0.02, 0.4)}, label="three"),
    ]
    return MixturePrior(MIXED, regions, [0.5, 0.3, 0.1], 0.1)


def coupled(*beliefs: Belief, rho: float, uniform_weight: float = 0.1) -> MixturePrior:
    """One correlated region in the plane."""
    first, second = beliefs
    coupled_region = region(PLANE, {"x": first, "y": second}, {("x", "y"): rho})
    return MixturePrior(PLANE, [coupled_region], [0.9], uniform_weight)


def coupled_mixed() -> MixturePrior:
    """Correlations between a continuous, a uniform grid and a logarithmic grid column."""
    space = SearchSpace({"n": IntDistribution(1, 7), "x": UNIT, "m": IntDistribution(1, 30, log=True)})
    beliefs = {"n": (0.4, 0.2, 0.3), "x": (0.7, 0.4, 0.1), "m": (0.5, 0.2, 0.2)}
    regions = [
        region(space, beliefs, {("x", "n"): 0.7, ("n", "m"): -0.5}),
        region(space, {"n": (0.0, 0.3, 0.3), "x": (1.0, 0.2, 0.2)}, {("n", "x"): -0.8}),
    ]
    return MixturePrior(space, regions, [0.6, 0.3], 0.1)


def discounted(prior: MixturePrior, trust: float) -> TemperedMixture:
    """A mixture believed in part."""
    return TemperedMixture(prior, trust, uniform=UniformPrior(prior.space))


CASES: dict[str, Callable[[], OptimumPrior]] = {
    "uniform": lambda: UniformPrior(MIXED),
    "no regions": lambda: MixturePrior(MIXED, [], [], 1.0),
    "continuous": lambda: single(UNIT, (0.3, 0.1, 0.2), (0.8, 0.02, 0.05)),
    "log": lambda: single(FloatDistribution(1e-6, 1e2, log=True), (0.3, 0.01, 0.3)),
    "integer": lambda: single(IntDistribution(0, 9), (0.35, 0.05, 0.3), (1.0, 0.1, 0.1)),
    "log integer": lambda: single(IntDistribution(1, 200, log=True), (0.5, 0.1, 0.3)),
    "stepped": lambda: single(FloatDistribution(0.0, 1.0, step=0.1), (0.5, 0.2, 0.01)),
    "huge integer": lambda: single(IntDistribution(1, 10**9), (0.3, 0.1, 0.2)),
    "one value": lambda: single(IntDistribution(3, 3), (0.5, 0.2, 0.01)),
    "categorical": lambda: single(CategoricalDistribution(["a", "b", "c", "d"]), (0.1, 0.2, 0.0, 0.7)),
    "mixed": mixed,
    "half normals": lambda: single(UNIT, (0.0, 0.1, 0.1), (1.0, 0.1, 0.2)),
    "needle": lambda: single(UNIT, (0.0, 1e-12, 1e-12)),
    "flat": lambda: single(UNIT, (0.7, 1e6, 1e6)),
    "lopsided": lambda: single(UNIT, (0.5, 1e-7, 10.0), (0.5, 3.0, 1e-6)),
    "tempered": lambda: mixed().tempered(3.0),
    "sharpened": lambda: coupled_mixed().tempered(0.2),
    "pooled": lambda: pool_priors([mixed(), UniformPrior(MIXED), mixed().tempered(2.0)], weights=[1, 2, 3]),
    "coupled": lambda: coupled((0.4, 0.05, 0.05), (0.6, 0.06, 0.06), rho=0.8),
    "coupled, skew": lambda: coupled((0.4, 0.2, 0.02), (0.6, 0.01, 0.1), rho=-0.6),
    "coupled in a corner": lambda: coupled((0.0, 0.2, 0.2), (0.0, 0.3, 0.3), rho=0.95),
    "coupled off a corner": lambda: coupled((0.0, 0.2, 0.2), (1.0, 0.3, 0.3), rho=0.95),
    "coupled, flat": lambda: coupled((0.3, 1e4, 1e4), (0.6, 1e5, 0.2), rho=0.9),
    "coupled mixed": coupled_mixed,
    "without floor": lambda: coupled((0.4, 0.05, 0.05), (0.6, 0.2, 0.06), rho=0.8, uniform_weight=0.0),
    "widened": lambda: coupled_mixed().widened(0.25),
    "discounted": lambda: discounted(mixed(), 0.6),
    "discounted, without floor": lambda: discounted(single(UNIT, (0.3, 0.02, 0.1), uniform_weight=0.0), 0.99),
    "not believed": lambda: discounted(mixed(), 0.0),
    "wholly believed": lambda: discounted(coupled_mixed(), 1.0),
}


def space_of(prior: OptimumPrior) -> SearchSpace:
    """The space that a prior is over."""
    assert isinstance(prior, UniformPrior | MixturePrior | TemperedMixture)
    return prior.space


@st.composite
def random_priors(draw: st.DrawFn, max_size: int = 4) -> MixturePrior:
    """Any mixture over any space: missing marginals, extreme scales, correlations between whatever is numeric."""
    space = draw(spaces(max_size=max_size))
    regions = []
    for _ in range(draw(st.integers(0, 3))):
        beliefs: dict[str, tuple[float, ...]] = {}
        for column in space.columns:
            if column.kind == "categorical":
                size = column.n_values or 1
                beliefs[column.name] = tuple(draw(st.lists(st.floats(0.01, 1), min_size=size, max_size=size)))
            else:
                exponents = st.floats(-9, 3).map(lambda e: 10.0**e)
                beliefs[column.name] = (draw(st.floats(0, 1)), draw(exponents), draw(exponents))
        spoken = draw(st.sets(st.sampled_from(space.names), min_size=1))
        numeric = sorted(name for name in spoken if space.column(name).kind != "categorical")
        pairs = {(a, b): draw(st.floats(-1, 1)) for a, b in itertools.pairwise(numeric)}
        regions.append(region(space, {name: beliefs[name] for name in space.names if name in spoken}, pairs))
    weights = draw(st.lists(st.floats(0, 1), min_size=len(regions), max_size=len(regions)))
    return MixturePrior(space, regions, weights, draw(st.floats(0.01, 1)))


class Axis(NamedTuple):
    """Quadrature of one column."""

    nodes: FloatArray
    weights: FloatArray
    edges: FloatArray
    """Ends of the intervals within which all nodes of a panel, a cell or a choice lie."""


def quadrature_axes(prior: OptimumPrior, *, order: int = 12) -> list[Axis]:
    """One-dimensional quadratures, one a column.

    Gauss-Legendre between breakpoints at the modes and at multiples of the scales on continuous columns, every cell of
    grid columns and every choice. A huge grid is integrated as if it were continuous.
    """
    return [_axis(column, _split_normals(prior, column.name), order) for column in space_of(prior).columns]


def quadrature(prior: OptimumPrior) -> tuple[FloatArray, FloatArray]:
    """Nodes `n x d` and weights `n` that integrate the prior over its space: products of `quadrature_axes`."""
    axes = quadrature_axes(prior)
    nodes = np.stack([grid.ravel() for grid in np.meshgrid(*(axis.nodes for axis in axes), indexing="ij")], axis=-1)
    weights = axes[0].weights
    for axis in axes[1:]:
        weights = np.multiply.outer(weights, axis.weights)
    return nodes, weights.ravel()


def _split_normals(prior: OptimumPrior, name: str) -> list[SplitNormalMarginal]:
    prior = prior.prior if isinstance(prior, TemperedMixture) else prior
    regions = prior.regions if isinstance(prior, MixturePrior) else ()
    return [m for m in (r.marginals.get(name) for r in regions) if isinstance(m, SplitNormalMarginal)]


def _axis(column: Column, marginals: list[SplitNormalMarginal], order: int) -> Axis:
    if column.kind == "categorical":
        count = column.n_values or 1
        return Axis(np.arange(count, dtype=np.float64), np.full(count, 1.0 / count), np.arange(-0.5, count))
    if column.kind == "grid" and (column.n_values or 1) <= 1000:
        lower, upper = column.cell_edges(np.arange(column.n_values or 1))
        return Axis((lower + upper) / 2, upper - lower, np.append(lower, 1.0).astype(np.float64))
    steps = np.array([0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 13.0, 17.0, 25.0, 40.0])
    points = {0.0, 1.0}
    for m in marginals:
        points.update((m.mode_unit - m.left_scale * steps).tolist() + (m.mode_unit + m.right_scale * steps).tolist())
        # The scores of a copula turn steep where little mass is left: breakpoints at small probabilities as well.
        levels = torch.tensor(
            [1e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5], dtype=torch.float64
        )
        points.update(m.split_normals.icdf(torch.cat([levels, 1 - levels])).tolist())
    edges = np.array(sorted(point for point in points if 0.0 <= point <= 1.0))
    nodes, weights = np.polynomial.legendre.leggauss(order)
    pieces = [(a + (b - a) * (nodes + 1) / 2, (b - a) * weights / 2) for a, b in itertools.pairwise(edges)]
    return Axis(np.concatenate([p[0] for p in pieces]), np.concatenate([p[1] for p in pieces]), edges)


def integral(prior: OptimumPrior) -> float:
    """The integral of a prior's density: one, to rounding."""
    nodes, weights = quadrature(prior)
    return float(weights @ prior.log_prob(nodes).exp().numpy())


def seeded(seed: int = 0) -> torch.Generator:
    """A generator with a fixed seed."""
    return torch.Generator().manual_seed(seed)
