"""Good trials of earlier studies as a prior over the optimum of another one.

Where a new problem resembles earlier ones, its optimum is likely to be where their best trials are: priors inferred
from the best configurations of other data sets made searches better (J. N. van Rijn and F. Hutter, "Hyperparameter
Importance Across Datasets", KDD 2018, with kernel density estimates). Every study is one region here, so that a trust
gate can find out which of them the new problem resembles.

A study is a single draw of problems, and its best trials resemble each other because its sampler went there: however
many there are, and however close together, regions are wide.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from botorch.utils.multi_objective.pareto import is_non_dominated
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.special import stdtrit

from llm_prior_bo.elicitation.answer.names import listing
from llm_prior_bo.elicitation.llm.secrets import printable
from llm_prior_bo.errors import ConfigurationError, PriorError
from llm_prior_bo.priors import CategoricalMarginal, Marginal, MixturePrior, RegionPrior, SplitNormalMarginal
from llm_prior_bo.priors.mixture import uniform_weight_for
from llm_prior_bo.space import Column, FloatArray, SearchSpace
from llm_prior_bo.study.storage import all_trials, trial_constraints

DEFAULT_TOP = 0.15
"""Share of a study's trials that count as good: 5 of 30."""

DEFAULT_MIN_SCALE = 0.25
"""How far the optima of related problems are apart, as a fraction of the range, one standard deviation."""

MAX_COUNT = 2.0
"""The best trials of a study count as no more than so many where a choice is concerned."""

_PROBABILITY = 0.9  # the quantile at which a normal and a Student t distribution are matched


def prior_from_study(
    studies: Study | Sequence[Study],
    space: SearchSpace,
    *,
    top: float | int = DEFAULT_TOP,
    confidence: float = 0.8,
    min_scale: float = DEFAULT_MIN_SCALE,
) -> MixturePrior:
    """Turn earlier studies into a prior over the optimum, one region a study.

    A region is built from the best finished trials of its study that satisfy the constraints; of several objectives,
    from the trials on the first Pareto fronts. Trials that are as good as the last one taken are taken as well. Values
    are matched by the parameter's name and read on the scale of `space`:

    * **Numeric**: a normal around the mean of the values. Its variance is that of the next such value (the prediction
      interval of Student's t distribution) plus `min_scale` squared, for the new problem is another one. Values outside
      the range count as its bound. Where `space` goes on beyond the earlier range and the best trials are close to the
      end of that, the region reaches to the new end.
    * **Categorical**: the shares that the choices have in the best trials, which count as `MAX_COUNT` trials at most,
      and every choice once more (Laplace's rule). A choice that the study did not have keeps the density of no opinion.
    * A parameter that none of the best trials has (a conditional one, or one that is new) is no opinion.

    Args:
        studies: One or several, of any direction and any sampler.
        space: The space of the new study.
        top: How many trials of each study are good: a share of its finished ones in (0, 1), or a count (an `int`).
        confidence: Probability that the optimum lies in these regions at all; the rest, at least 5 %, is uniform.
        min_scale: Least standard deviation of a region, as a fraction of the range: smaller for studies of the same
            problem, e.g. 0.1.

    Returns:
        A mixture of equally likely regions, in the order of the studies. Labels name them.

    Raises:
        ConfigurationError: If an argument is out of range, there is no study, or a study has no finished trial that
            satisfies the constraints.
        PriorError: If a study shares no parameter with `space`.

    Examples:
        >>> import optuna
        >>> past = optuna.create_study()
        >>> past.optimize(lambda trial: (trial.suggest_float("x", 0, 10) - 3) ** 2, n_trials=30)
        >>> prior = prior_from_study(past, SearchSpace({"x": FloatDistribution(0, 10)}), top=5)
        >>> len(prior.regions)
        1
    """
    given = [studies] if isinstance(studies, Study) else list(studies)
    if not given:
        raise ConfigurationError("Expected at least one earlier study, got none; use UniformPrior for no opinion.")
    _check_shares(top, min_scale)
    floor = uniform_weight_for(confidence)
    regions = [_region(_PastStudy.of(study, top), space, min_scale) for study in given]
    return MixturePrior(space, regions, [(1.0 - floor) / len(regions)] * len(regions), floor)


def _check_shares(top: float | int, min_scale: float) -> None:
    is_count = isinstance(top, int) and not isinstance(top, bool) and top >= 1
    if not (is_count or (isinstance(top, float) and 0.0 < top < 1.0)):
        raise ConfigurationError(f"Expected top to be a count (an int >= 1) or a share in (0, 1), got {top!r}.")
    if not 0.0 < min_scale < math.inf:
        raise ConfigurationError(f"Expected min_scale > 0, a fraction of the range, got {min_scale!r}.")


@dataclass(frozen=True)
class _PastStudy:
    """One earlier study: its finished trials that satisfy the constraints, and the best of them."""

    name: str
    trials: Sequence[FrozenTrial]
    best: Sequence[FrozenTrial]

    @classmethod
    def of(cls, study: Study, top: float | int) -> _PastStudy:
        name = printable(study.study_name)
        trials = [trial for trial in all_trials(study, states=(TrialState.COMPLETE,)) if _is_usable(trial)]
        if not trials:
            raise ConfigurationError(
                f"Expected an earlier study with finished trials that satisfy the constraints, got {name!r} with none "
                f"in {len(all_trials(study))} trials; leave it out."
            )
        signs = np.array([-1.0 if d == StudyDirection.MINIMIZE else 1.0 for d in study.directions])
        Y = signs * np.array([trial.values for trial in trials])  # n x m, to be maximised
        count = top if isinstance(top, int) else math.ceil(top * len(trials))
        return cls(name, trials, [trials[i] for i in np.flatnonzero(_are_best(Y, min(count, len(trials))))])

    def distributions(self, name: str) -> list[BaseDistribution]:
        """Every distribution that a parameter had."""
        found = [trial.distributions[name] for trial in self.trials if name in trial.distributions]
        return list({repr(distribution): distribution for distribution in found}.values())

    def values(self, name: str) -> list[Any]:
        """The values of a parameter in the best trials that have it."""
        return [trial.params[name] for trial in self.best if name in trial.params]


def _is_usable(trial: FrozenTrial) -> bool:
    is_feasible = all(value <= 0.0 for value in trial_constraints(trial).values())
    return is_feasible and all(math.isfinite(value) for value in trial.values)


def _are_best(Y: FloatArray, count: int) -> npt.NDArray[np.bool_]:
    """Which of `n x m` rows are the best `count`, and those as good as the last of them; of several columns fronts."""
    if Y.shape[1] == 1:
        worst = float(np.sort(Y[:, 0])[-count])
        return np.asarray(Y[:, 0] >= worst)
    chosen = np.zeros(len(Y), dtype=np.bool_)
    while chosen.sum() < count:
        rest = np.flatnonzero(~chosen)
        chosen[rest[is_non_dominated(torch.from_numpy(Y[rest]), deduplicate=False).numpy()]] = True
    return chosen


def _region(past: _PastStudy, space: SearchSpace, min_scale: float) -> RegionPrior:
    built = {column.name: _marginal(column, past, min_scale) for column in space.columns if column.n_values != 1}
    marginals = {name: marginal for name, marginal in built.items() if marginal is not None}
    if not marginals:
        theirs = {name for trial in past.trials for name in trial.params}
        raise PriorError(
            f"Expected an earlier study that shares parameters with {listing(space.names)}, got {past.name!r} with "
            f"{listing(sorted(theirs)) or 'none'}; give the parameters the same names, or leave the study out."
        )
    label = f"study {past.name}: best {len(past.best)} of {len(past.trials)} trials"
    return RegionPrior(space, marginals, label=label)


def _marginal(column: Column, past: _PastStudy, min_scale: float) -> Marginal | None:
    if column.kind == "categorical":
        return _table(column, past)
    values = [float(value) for value in past.values(column.name) if _is_number(value)]
    return _normal(column, values, past.distributions(column.name), min_scale) if values else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _normal(
    column: Column, values: Sequence[float], ranges: Sequence[BaseDistribution], min_scale: float
) -> SplitNormalMarginal:
    units = column.to_unit(values)
    mode = float(np.mean(units))
    # A single trial says nothing of the spread: as much as between problems.
    scale = math.hypot(min_scale if len(units) == 1 else _predictive_scale(units), min_scale)
    left, right = scale, scale
    numeric = [d for d in ranges if isinstance(d, FloatDistribution | IntDistribution)]
    if numeric:
        low, high = min(d.low for d in numeric), max(d.high for d in numeric)
        # The best trials press against an end that is none any more.
        if not _is_end(column, low, 0.0) and mode - scale < float(column.to_unit(low)):
            left = max(left, mode)
        if not _is_end(column, high, 1.0) and mode + scale > float(column.to_unit(high)):
            right = max(right, 1.0 - mode)
    return SplitNormalMarginal(column, mode, left, right)


def _is_end(column: Column, bound: float, end: float) -> bool:
    """Whether an earlier bound is at, or beyond, the end of a column (0 or 1); on a grid in its last cell."""
    return float(column.snap(column.to_unit(bound))) == float(column.snap(end))


def _predictive_scale(units: FloatArray) -> float:
    """Standard deviation of the normal whose central 80 % hold one more such value with 80 %; of two or more values."""
    n = len(units)
    deviation = float(np.std(units, ddof=1)) * math.sqrt(1.0 + 1.0 / n)
    return deviation * float(stdtrit(n - 1, _PROBABILITY)) / NormalDist().inv_cdf(_PROBABILITY)


def _table(column: Column, past: _PastStudy) -> CategoricalMarginal | None:
    indices = [int(column.encode(value)) for value in past.values(column.name) if column.contains(value)]
    if not indices:
        return None
    n_choices = column.n_values or 0
    known = sorted({*indices, *_offered(column, past)})
    shares = np.bincount(indices, minlength=n_choices)[known] / len(indices)
    counts = 1.0 + min(float(len(indices)), MAX_COUNT) * shares
    p = np.full(n_choices, 1.0 / n_choices)
    p[known] = len(known) / n_choices * counts / counts.sum()
    return CategoricalMarginal(column, tuple(p.tolist()))


def _offered(column: Column, past: _PastStudy) -> Iterator[int]:
    """The choices of a column that an earlier study could have taken."""
    for distribution in past.distributions(column.name):
        theirs = Column(column.name, distribution)
        for index in range(column.n_values or 0):
            choice = column.value(index)
            is_theirs = isinstance(distribution, CategoricalDistribution) or _is_number(choice)
            if is_theirs and theirs.contains(choice):
                yield index
