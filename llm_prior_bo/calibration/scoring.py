"""How sure may an answer be taken to be? Stated intervals against the optimum that a study found later.

On each side of its best guess a stated interval has a width; the distance of the optimum in such widths is its score.
A split normal whose interval really holds a share `c` of the optima has scores with the standard deviation
`1 / Phi^-1((1 + c) / 2)`: one number, estimated from all scores of a model, is the coverage to assume next time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
from optuna.distributions import BaseDistribution
from pydantic import Field
from scipy.special import ndtri
from torch import Tensor

from llm_prior_bo.elicitation.answer.schema import PriorAnswer
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.priors import SplitNormalMarginal
from llm_prior_bo.priors._split_normal import SplitNormals
from llm_prior_bo.priors.build import build_prior
from llm_prior_bo.priors.marginals import SCALE_LIMITS
from llm_prior_bo.space import SearchSpace

STATED_COVERAGE = 0.8
"""Probability with which an answer says that its intervals hold the optimum's value."""

DEFAULT_COVERAGE = 0.5
"""Coverage assumed without a record, as by `build_prior`."""

COVERAGE_BOUNDS = (0.1, 0.9)
"""An estimated coverage is kept within these: scores of a few studies do not justify more."""

DEFAULT_PRIOR_STRENGTH = 20.0
"""Beliefs that the assumption before any record weighs as much as: those of two or three studies."""

_STATED_Z = NormalDist().inv_cdf((1.0 + STATED_COVERAGE) / 2.0)
_N_COVERAGES = 401  # steps of 0.002, far below what any number of studies resolves

_Unit = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
_Scale = Annotated[float, Field(ge=SCALE_LIMITS[0], le=SCALE_LIMITS[1], allow_inf_nan=False)]
_FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BeliefScore:
    """One stated interval and the optimum's value, in the parameter's encoded column (fractions of its range).

    Attributes:
        mode: Coordinate of the best guess.
        left: Scale below the best guess of the split normal that takes the interval at its word.
        right: Scale above it.
        optimum: Coordinate of the optimum.
        lower: Lower edge of the optimum's cell; `optimum` itself for a continuous parameter.
        upper: Upper edge of that cell.
        parameter: Name of the parameter, `None` unless names are kept.
    """

    mode: _Unit
    left: _Scale
    right: _Scale
    optimum: _Unit
    lower: _Unit
    upper: _Unit
    parameter: str | None = None

    @property
    def z(self) -> float:
        """Signed distance of the optimum from the best guess, in stated half-widths of its side."""
        return float(self._split_normal.standardized(torch.tensor(self.optimum, dtype=torch.float64))) / _STATED_Z

    @property
    def inside(self) -> bool:
        """Whether the stated interval holds the optimum's value."""
        return abs(self.z) <= 1.0

    @property
    def probability(self) -> float:
        """Probability-integral position: what the stated density, cut to the range, puts below the optimum."""
        return float(self._split_normal.cdf(torch.tensor(self.optimum, dtype=torch.float64)))

    @property
    def _split_normal(self) -> SplitNormals:
        return SplitNormals(*(torch.tensor(v, dtype=torch.float64) for v in (self.mode, self.left, self.right)))


@dataclass(frozen=True)
class AnswerScore:
    """One answer against the optimum.

    Attributes:
        confidence: The stated probability that the optimum is in one of the regions.
        uniform_weight: Weight of the uniform component of the density that the answer became.
        region_share: Probability that the optimum came from a region rather than from the uniform component. If
            the confidences are right, its mean over many answers is the mean of `1 - uniform_weight`.
        region: Position of the most responsible region in the answer.
        beliefs: Its intervals, against the optimum.
    """

    confidence: _Unit
    uniform_weight: _Unit
    region_share: _Unit
    region: Annotated[int, Field(ge=0)]
    beliefs: tuple[BeliefScore, ...]


def score_answer(
    answer: PriorAnswer,
    optimum: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
    *,
    keep_names: bool = False,
) -> AnswerScore:
    """Compare an answer with the optimum that was found.

    The intervals of one region are compared, the one that is most responsible for the optimum when intervals are
    read with `DEFAULT_COVERAGE`. Intervals without any width state none and are left out, as are parameters that are
    not active at the optimum.

    Args:
        answer: The answer.
        optimum: The optimum's parameters, in natural units.
        distributions: Their distributions.
        keep_names: Whether the scores carry the names of the parameters.

    Raises:
        AnswerError: If the answer does not fit the distributions.
        SearchSpaceError: If a value does not.
    """
    space = SearchSpace(distributions)
    x = space.encode([optimum])[0]  # d
    prior = build_prior(answer, space, interval_coverage=DEFAULT_COVERAGE, lenient=True)
    responsibilities = prior.responsibilities(torch.as_tensor(x))  # K + 1
    region = int(responsibilities[:-1].argmax())
    stated = build_prior(answer, space, interval_coverage=STATED_COVERAGE, lenient=True).regions[region].marginals
    number = answer.regions[region].region
    with_width = {row.parameter for row in answer.numeric if row.region == number and row.high > row.low}
    beliefs = [
        _belief_score(marginal, float(x[space.index(name)]), name if keep_names else None)
        for name, marginal in stated.items()
        if isinstance(marginal, SplitNormalMarginal) and name in with_width
    ]
    return AnswerScore(
        confidence=min(max(answer.confidence, 0.0), 1.0),
        uniform_weight=prior.uniform_weight,
        region_share=min(float(responsibilities[:-1].sum()), 1.0),
        region=region,
        beliefs=tuple(beliefs),
    )


def fit_coverage(
    answers: Sequence[AnswerScore],
    *,
    weights: Sequence[float] | None = None,
    centre: float = DEFAULT_COVERAGE,
    prior_strength: float = DEFAULT_PRIOR_STRENGTH,
) -> float:
    """The coverage under which the optima are most plausible, shrunk towards an assumption.

    Each score counts with the density that the answer's prior has for that parameter alone: a truncated split normal,
    on a grid its mass on the optimum's value, and the uniform component, which keeps an optimum far outside an interval
    from counting more than that the region was wrong. The assumption is the conjugate one of a normal distribution's
    variance (inverse gamma), as if `prior_strength` scores had been seen whose mean square is that of `centre`. Without
    truncation and uniform component the maximum is `1 / s^2 = (m + n) / (m s_0^2 + sum t_i^2)`, for `n` scores `t_i`,
    `m` assumed ones and the coverage `2 Phi(1 / s) - 1`.

    Args:
        answers: What was found; may be empty.
        weights: Weight of every answer, e.g. one over the number of answers to the same question; all 1 if `None`.
        centre: The coverage assumed before.
        prior_strength: How many scores the assumption weighs as much as, `m`.

    Returns:
        A coverage within `COVERAGE_BOUNDS`, to 0.002; `centre`, kept within these, if there are no scores.

    Raises:
        ConfigurationError: If `centre`, `prior_strength` or the weights are out of range.
    """
    shares = [1.0] * len(answers) if weights is None else list(weights)
    _check_fit(answers, shares, centre, prior_strength)
    if not any(answer.beliefs for answer in answers):
        return min(max(centre, COVERAGE_BOUNDS[0]), COVERAGE_BOUNDS[1])
    coverages = np.linspace(*COVERAGE_BOUNDS, _N_COVERAGES)
    z = ndtri((1.0 + coverages) / 2.0)  # G
    # The inverse gamma's log density in s = 1 / z, mode at the centre's.
    assumed = prior_strength * (np.log(z) - np.square(z / ndtri((1.0 + centre) / 2.0)) / 2.0)
    return round(float(coverages[np.argmax(assumed + _log_likelihood(answers, shares, z))]), 3)


def _check_fit(answers: Sequence[AnswerScore], weights: Sequence[float], centre: float, prior_strength: float) -> None:
    if not 0.0 < centre < 1.0:
        raise ConfigurationError(f"Expected an assumed coverage in (0, 1), got {centre}; 0.5 is the default.")
    if not 0.0 <= prior_strength < np.inf:
        raise ConfigurationError(f"Expected a finite prior_strength >= 0, got {prior_strength}; 20 is the default.")
    if len(weights) != len(answers) or not all(0.0 <= weight < np.inf for weight in weights):
        raise ConfigurationError(
            f"Expected {len(answers)} finite weights >= 0, one an answer, got {list(weights)[:10]}."
        )


def _log_likelihood(answers: Sequence[AnswerScore], weights: Sequence[float], z: _FloatArray) -> _FloatArray:
    """Weighted log likelihood of all scores, for every factor `z` of the half-widths: `G`."""
    total = np.zeros_like(z)
    for answer, weight in zip(answers, weights, strict=True):
        if answer.beliefs:
            densities = torch.exp(_log_densities(answer.beliefs, torch.as_tensor(z)))  # n x G
            mixed = (1.0 - answer.uniform_weight) * densities + answer.uniform_weight
            total += weight * torch.log(mixed.clamp_min(_TINY)).sum(dim=0).numpy()
    return total


_TINY = 1e-300


def _log_densities(beliefs: Sequence[BeliefScore], z: Tensor) -> Tensor:
    """Log densities of the optimum's values, relative to uniform, `n x G`."""
    rows = [(b.mode, b.left, b.right, b.optimum, b.lower, b.upper) for b in beliefs]
    columns = torch.tensor(rows, dtype=torch.float64)
    mode, left, right, optimum, lower, upper = columns.T.unsqueeze(-1)  # each n x 1
    factor = _STATED_Z / z  # G
    split_normals = SplitNormals(mode, left * factor, right * factor)
    is_point = upper <= lower
    # Any cell with a width will do where it is not used.
    cell_upper = torch.where(is_point, lower + 1.0, upper)
    return torch.where(is_point, split_normals.log_density(optimum), split_normals.log_mean_density(lower, cell_upper))


def _belief_score(marginal: SplitNormalMarginal, optimum: float, parameter: str | None) -> BeliefScore:
    column = marginal.column
    lower = upper = optimum
    if column.kind == "grid":
        edges = column.cell_edges(column.cell_index(optimum))
        lower, upper = (min(max(float(edge), 0.0), 1.0) for edge in edges)
    return BeliefScore(marginal.mode_unit, marginal.left_scale, marginal.right_scale, optimum, lower, upper, parameter)
