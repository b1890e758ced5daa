"""Good and bad priors over the optimum of a problem, made from what is known about it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from benchmarks.harness.problems import Params, Problem
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.priors import (
    CategoricalMarginal,
    Marginal,
    MixturePrior,
    OptimumPrior,
    RegionPrior,
    SplitNormalMarginal,
    UniformPrior,
)
from llm_prior_bo.space import SearchSpace

NARROW = 0.01
"""Scale of a narrow region, as a share of each range."""

WIDE = 0.1
"""Scale of a wide region."""

UNIFORM_WEIGHT = 0.05

_SURE = 0.95  # probability of the centre's choice in a narrow region
_LIKELY = 0.7  # and in a wide one

FloatArray = npt.NDArray[np.float64]
_PriorFactory = Callable[[Problem, np.random.Generator], OptimumPrior]


def make_prior(kind: str, problem: Problem, seed: int) -> OptimumPrior:
    """A prior of a kind for a problem.

    `strong`, `weak` and the wrong ones are those of the piBO paper (Hvarfner et al., ICLR 2022, section 5). Coordinates
    are encoded ones, so a scale is a share of the range, on the log scale where the parameter is. In the right regions
    the centre is the first optimum plus noise, its choices are the optimum's; the regions at bad places have no noise.

    | kind | regions |
    |---|---|
    | `strong` | scale 1 %, centre = optimum + noise of the same scale |
    | `weak` | scale 10 %, likewise |
    | `off-centre` | scale 10 %, centre two scales beside the optimum, up or down at random in every coordinate |
    | `wrong-narrow` | scale 1 %, at the worst place |
    | `wrong-wide` | scale 10 %, at the worst place |
    | `multimodal` | scale 10 %, equal weights: 0 as `weak`, 1 at the worst place, 2 at another bad one far from both |
    | `uniform` | none: no opinion |

    Args:
        kind: A name in `PRIOR_KINDS`.
        problem: Whose optimum the prior is about.
        seed: Seed of the noise, which is the same for all kinds but for its scale.

    Returns:
        The prior over the problem's space; centres are clipped to the ranges.

    Raises:
        ConfigurationError: If there is no such kind.
    """
    if kind not in PRIOR_KINDS:
        raise ConfigurationError(f"Expected one of the kinds of prior {list(PRIOR_KINDS)}, got {kind!r}.")
    return PRIOR_KINDS[kind](problem, np.random.default_rng([seed, zlib.crc32(problem.name.encode())]))


def _strong(problem: Problem, rng: np.random.Generator) -> OptimumPrior:
    return _mixture(problem.space, [_near_optimum(problem, rng, scale=NARROW)])


def _weak(problem: Problem, rng: np.random.Generator) -> OptimumPrior:
    return _mixture(problem.space, [_near_optimum(problem, rng, scale=WIDE)])


def _off_centre(problem: Problem, rng: np.random.Generator) -> OptimumPrior:
    shift = 2.0 * WIDE * rng.choice([-1.0, 1.0], size=len(problem.space))
    return _mixture(
        problem.space, [_region(problem.space, _point(problem, problem.optimum), shift, WIDE, "off-centre")]
    )


def _wrong_narrow(problem: Problem, _: np.random.Generator) -> OptimumPrior:
    return _mixture(problem.space, [_at(problem, problem.worst, scale=NARROW, label="worst place")])


def _wrong_wide(problem: Problem, _: np.random.Generator) -> OptimumPrior:
    return _mixture(problem.space, [_at(problem, problem.worst, scale=WIDE, label="worst place")])


def _multimodal(problem: Problem, rng: np.random.Generator) -> OptimumPrior:
    regions = [
        _near_optimum(problem, rng, scale=WIDE),
        _at(problem, problem.worst, scale=WIDE, label="worst place"),
        _at(problem, problem.elsewhere, scale=WIDE, label="another bad place"),
    ]
    return _mixture(problem.space, regions)


def _uniform(problem: Problem, _: np.random.Generator) -> OptimumPrior:
    return UniformPrior(problem.space)


PRIOR_KINDS: Mapping[str, _PriorFactory] = MappingProxyType(
    {
        "strong": _strong,
        "weak": _weak,
        "off-centre": _off_centre,
        "wrong-narrow": _wrong_narrow,
        "wrong-wide": _wrong_wide,
        "multimodal": _multimodal,
        "uniform": _uniform,
    }
)
"""Name -> how to make the prior, see `make_prior`."""


def _mixture(space: SearchSpace, regions: list[RegionPrior]) -> MixturePrior:
    share = (1.0 - UNIFORM_WEIGHT) / len(regions)
    return MixturePrior(space, regions, [share] * len(regions), UNIFORM_WEIGHT)


def _near_optimum(problem: Problem, rng: np.random.Generator, *, scale: float) -> RegionPrior:
    noise = scale * rng.standard_normal(len(problem.space))
    return _region(problem.space, _point(problem, problem.optimum), noise, scale, "optimum")


def _at(problem: Problem, params: Params, *, scale: float, label: str) -> RegionPrior:
    return _region(problem.space, _point(problem, params), np.zeros(len(problem.space)), scale, label)


def _point(problem: Problem, params: Params) -> FloatArray:
    return np.asarray(problem.space.encode([params])[0])


def _region(space: SearchSpace, centre: FloatArray, shift: FloatArray, scale: float, label: str) -> RegionPrior:
    """A region round an encoded point `d`, its numeric coordinates shifted by `d` numbers."""
    marginals: dict[str, Marginal] = {}
    for column, at, by in zip(space.columns, centre, shift, strict=True):
        if column.kind == "categorical":
            share = _SURE if scale == NARROW else _LIKELY
            n_others = (column.n_values or 1) - 1
            table = [share if i == int(at) else (1.0 - share) / n_others for i in range(n_others + 1)]
            marginals[column.name] = CategoricalMarginal(column, tuple(table))
        else:
            mode = float(np.clip(at + by, 0.0, 1.0))
            marginals[column.name] = SplitNormalMarginal(column, mode, left_scale=scale, right_scale=scale)
    return RegionPrior(space, marginals, label=label)
