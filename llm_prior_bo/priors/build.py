"""From an answer in natural names and units to a density over the encoded space.

The one place where the language model's side and the torch side meet. An interval that reaches beyond the range is
clipped, its ends are ordered, and weights are normalised. What is not plain is an `AnswerError`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from optuna.distributions import CategoricalDistribution, IntDistribution

from llm_prior_bo.elicitation.answer.choices import choice_texts, match_choice
from llm_prior_bo.elicitation.answer.schema import (
    MAX_CORRELATION,
    CategoricalBelief,
    Correlation,
    NumericBelief,
    PriorAnswer,
    Region,
)
from llm_prior_bo.elicitation.answer.strict import check_names_and_ranges
from llm_prior_bo.errors import AnswerError, ConfigurationError
from llm_prior_bo.priors import CategoricalMarginal, Marginal, MixturePrior, RegionPrior, SplitNormalMarginal
from llm_prior_bo.priors.mixture import MIN_UNIFORM_WEIGHT
from llm_prior_bo.space import Column, SearchSpace

UNNAMED_MASS = 0.1
"""Choices that an answer leaves out share at least this much, however much the named ones claim."""

MIN_CHOICE_SHARE = 0.01
"""Smallest probability of a choice with up to ten choices; with more, all of them share a tenth."""


def build_prior(
    answer: PriorAnswer,
    space: SearchSpace,
    *,
    interval_coverage: float = 0.5,
    min_uniform_weight: float = MIN_UNIFORM_WEIGHT,
    lenient: bool = False,
) -> MixturePrior:
    """Turn an answer into a prior over the optimum.

    * Region weights are normalised to `1 - w_0`, with `w_0 = max(1 - confidence, min_uniform_weight)`.
    * A parameter without a row in a region is "no opinion" there. A region that says nothing about `space` at all is
      kept as a uniform one, so that the regions of priors over parts of a conditional space correspond.
    * A numeric row becomes a `SplitNormalMarginal`. If the parameter is categorical with numeric choices, the interval
      is laid over the choices in order of size.
    * Choices are matched by their text (see `match_choice`: "None" or "null", "True" or "true"). If the named
      weights sum to less than one, the choices left out share the rest, and at least `UNNAMED_MASS` in any case; no
      choice gets less than `MIN_CHOICE_SHARE` (see there). Choices of a numeric parameter become an interval around
      the heaviest.
    * Correlations are cut to `MAX_CORRELATION` and kept between numeric parameters that both have a row in the region.
    * Of several rows about the same thing the last one counts.

    Args:
        answer: The answer.
        space: The search space.
        interval_coverage: Probability with which a stated interval really holds the optimum's value, in (0, 1).
            Answers state 80 %; language models are over-confident.
        min_uniform_weight: Smallest weight of the uniform component, in [0, 1].
        lenient: Ignore rows about parameters that are not in `space`, and move intervals that are outside the range to
            its bound: for an answer about a larger space, or one with other ranges. By default both are refused: in an
            answer that a person writes they are typos.

    Returns:
        A mixture with one region for each region of the answer, in its order, with its label.

    Raises:
        AnswerError: If a number is not finite or a weight negative, there is no region, a region's number is repeated
            or not defined, a choice is unknown, a row does not fit the kind of its parameter, or, unless `lenient`, a
            parameter is not in `space`, a best value not in its range, the weights of all regions or of all choices
            are zero, or a choice has blanks around it; with the nearest names.
        ConfigurationError: If `interval_coverage` or `min_uniform_weight` is out of range.
    """
    _check_settings(interval_coverage, min_uniform_weight)
    _check_answer(answer)
    _check_region_numbers(answer)
    if not lenient:
        check_names_and_ranges(answer.model_dump(), space)
    regions = [_build_region(answer, row, space, interval_coverage) for row in answer.regions]
    floor = max(1.0 - min(max(answer.confidence, 0.0), 1.0), min_uniform_weight)
    shares = _shares([row.weight for row in answer.regions])
    return MixturePrior(space, regions, [(1.0 - floor) * share for share in shares], floor)


def _check_settings(interval_coverage: float, min_uniform_weight: float) -> None:
    if not 0.0 < interval_coverage < 1.0:
        raise ConfigurationError(
            f"Expected interval_coverage in (0, 1), got {interval_coverage}; 0.5 is the default, 0.8 takes the answer "
            "at its word."
        )
    if not 0.0 <= min_uniform_weight <= 1.0:
        raise ConfigurationError(f"Expected min_uniform_weight in [0, 1], got {min_uniform_weight}; try 0.05.")


def _check_answer(answer: PriorAnswer) -> None:
    """The schema forbids NaN, but an answer can be constructed without validation."""
    if not isinstance(answer, PriorAnswer):
        raise AnswerError(
            f"Expected a PriorAnswer, got a {type(answer).__name__}; write PriorAnswer.model_validate(answer), or "
            "PriorAnswer.by_hand(numeric={name: (best, low, high)})."
        )
    if not answer.regions:
        raise AnswerError("Expected at least one region, got none; ask again, or use UniformPrior for no opinion.")
    if not math.isfinite(answer.confidence):
        raise AnswerError(f"Expected a confidence in [0, 1], got {answer.confidence}.")
    weighted: list[Region | CategoricalBelief] = [*answer.regions, *answer.categorical]
    for row in weighted:
        if not (math.isfinite(row.weight) and row.weight >= 0.0):
            raise AnswerError(f"Expected a finite weight >= 0, got {row!r}; give a number.")
    for belief in answer.numeric:
        if not all(math.isfinite(value) for value in (belief.best, belief.low, belief.high)):
            raise AnswerError(f"Expected finite best, low and high, got {belief!r}; give numbers in natural units.")
    for correlation in answer.correlations:
        if not math.isfinite(correlation.rho):
            raise AnswerError(f"Expected a finite correlation, got {correlation!r}; give a number in (-1, 1).")


def _check_region_numbers(answer: PriorAnswer) -> None:
    numbers = [row.region for row in answer.regions]
    if len(set(numbers)) < len(numbers):
        raise AnswerError(f"Expected every region to have a number of its own, got {numbers}; renumber them.")
    rows: list[NumericBelief | CategoricalBelief | Correlation] = [
        *answer.numeric,
        *answer.categorical,
        *answer.correlations,
    ]
    used = {row.region for row in rows}
    if used - set(numbers):
        raise AnswerError(
            f"Expected rows about the regions {numbers}, got rows about {sorted(used - set(numbers))}; list every "
            "region under `regions`."
        )


def _build_region(answer: PriorAnswer, region: Region, space: SearchSpace, coverage: float) -> RegionPrior:
    number = region.region
    numeric = {row.parameter: row for row in answer.numeric if row.region == number}
    categorical: dict[str, list[CategoricalBelief]] = {}
    for row in answer.categorical:
        if row.region == number:
            categorical.setdefault(row.parameter, []).append(row)
    built = {
        column.name: _build_marginal(column, numeric.get(column.name), categorical.get(column.name, []), coverage)
        for column in space.columns
        if column.n_values != 1  # nothing to believe about a single value
    }
    marginals = {name: marginal for name, marginal in built.items() if marginal is not None}
    return RegionPrior(space, marginals, correlations=_correlations(answer, number, marginals), label=region.label)


def _build_marginal(
    column: Column, numeric: NumericBelief | None, categorical: Sequence[CategoricalBelief], coverage: float
) -> Marginal | None:
    """The marginal of one column, `None` for no opinion; rows of the column's own kind go first."""
    if column.kind == "categorical":
        if categorical:
            return _table_from_choices(column, categorical)
        return None if numeric is None else _table_from_interval(column, numeric, coverage)
    if numeric is not None:
        return _from_interval(column, (numeric.best, numeric.low, numeric.high), coverage)
    return _interval_from_choices(column, categorical, coverage) if categorical else None


def _from_interval(column: Column, values: tuple[float, float, float], coverage: float) -> SplitNormalMarginal:
    # Ends in the wrong order are swapped, and an interval that leaves its own best guess out is widened to hold it.
    return SplitNormalMarginal.from_interval(
        column, best=values[0], low=min(values), high=max(values), coverage=coverage
    )


def _interval_from_choices(
    column: Column, rows: Sequence[CategoricalBelief], coverage: float
) -> SplitNormalMarginal | None:
    """Choices given for a numeric parameter: the heaviest is the best guess, the interval holds those with weight."""
    weights: dict[float, float] = {}
    for row in rows:
        value = _number(row.choice)
        if value is None:
            raise AnswerError(
                f"Expected a number for the numeric parameter {column.name!r}, got the choice {row.choice!r}; give a "
                "numeric row with best, low and high."
            )
        weights[value] = row.weight
    likely = [value for value, weight in weights.items() if weight > 0.0]
    if not likely:
        return None
    best = max(likely, key=lambda value: weights[value])
    return _from_interval(column, (best, min(likely), max(likely)), coverage)


# Categorical columns -------------------------------------------------------------------------------------------------


def _table_from_choices(column: Column, rows: Sequence[CategoricalBelief]) -> CategoricalMarginal | None:
    named = {_choice_index(column, row.choice): row.weight for row in rows}
    choices = _choices(column)
    n_unnamed = len(choices) - len(named)
    claimed = sum(named.values())
    if n_unnamed == 0 and claimed == 0.0:
        return None
    rest = max(1.0 - claimed, UNNAMED_MASS) if n_unnamed else 0.0
    p = np.full(len(choices), rest / max(n_unnamed, 1))
    for index, share in zip(named, _shares(list(named.values())), strict=True):
        p[index] = (1.0 - rest) * share
    return _with_smallest_share(column, p)


def _table_from_interval(column: Column, belief: NumericBelief, coverage: float) -> CategoricalMarginal:
    """An interval given for a categorical parameter with numeric choices: a split normal over their ranks."""
    values = [_number_of_choice(choice) for choice in _choices(column)]
    if any(math.isnan(value) for value in values):
        raise AnswerError(
            f"Expected choices out of {list(_choices(column))} for the categorical parameter {column.name!r}, got "
            f"{belief!r}; give categorical rows with choice and weight."
        )
    order = np.argsort(values, kind="stable")
    ranks = Column(column.name, IntDistribution(0, len(values) - 1))
    best, low, high = np.interp(
        [belief.best, belief.low, belief.high], np.asarray(values)[order], np.arange(len(order))
    )
    marginal = _from_interval(ranks, (float(best), float(low), float(high)), coverage)
    assert marginal.table is not None  # as many values as Optuna holds choices
    p = np.empty(len(values))
    p[order] = np.exp(marginal.table.numpy()) / len(values)
    return _with_smallest_share(column, p)


def _with_smallest_share(column: Column, p: np.ndarray[tuple[int], np.dtype[np.float64]]) -> CategoricalMarginal:
    shared = min(MIN_CHOICE_SHARE * len(p), UNNAMED_MASS)
    return CategoricalMarginal(column, tuple(((1.0 - shared) * p / p.sum() + shared / len(p)).tolist()))


def _choices(column: Column) -> tuple[bool | int | float | str | None, ...]:
    assert isinstance(column.distribution, CategoricalDistribution)
    return column.distribution.choices


def _choice_index(column: Column, text: str) -> int:
    index = match_choice(text, _choices(column))
    if index is None:
        raise AnswerError(
            f"Expected one of {list(choice_texts(_choices(column)))} for {column.name!r}, got {text!r}; give the "
            "exact text of a choice."
        )
    return index


def _number_of_choice(choice: object) -> float:
    """The choice as a number, NaN if it is none (a truth value is none)."""
    if isinstance(choice, bool):
        return math.nan
    number = _number(str(choice))
    return math.nan if number is None else number


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


# Correlations and weights --------------------------------------------------------------------------------------------


def _correlations(answer: PriorAnswer, number: int, marginals: Mapping[str, Marginal]) -> dict[tuple[str, str], float]:
    numeric = [name for name, marginal in marginals.items() if isinstance(marginal, SplitNormalMarginal)]
    correlations: dict[tuple[str, str], float] = {}
    for row in answer.correlations:
        if row.region != number or row.first == row.second or not {row.first, row.second} <= set(numeric):
            continue
        first, second = sorted((row.first, row.second), key=numeric.index)
        correlations[first, second] = min(max(row.rho, -MAX_CORRELATION), MAX_CORRELATION)
    return {pair: rho for pair, rho in correlations.items() if rho != 0.0}


def _shares(weights: Sequence[float]) -> list[float]:
    """Weights as shares of their sum; equal shares if all are zero."""
    largest = max(weights)
    if largest == 0.0:
        return [1.0 / len(weights)] * len(weights)
    scaled = [weight / largest for weight in weights]  # first, so that the sum cannot overflow
    return [weight / sum(scaled) for weight in scaled]
