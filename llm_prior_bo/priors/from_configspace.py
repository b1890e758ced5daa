"""Priors that are written as a ConfigSpace, as SMAC and other tools take them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import beta as beta_distribution

from llm_prior_bo.errors import ConfigurationError, PriorError
from llm_prior_bo.priors.marginals import CategoricalMarginal, Marginal, SplitNormalMarginal
from llm_prior_bo.priors.mixture import MixturePrior, uniform_weight_for
from llm_prior_bo.priors.region import RegionPrior
from llm_prior_bo.space import Column, SearchSpace

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


def prior_from_configspace(
    configspace: ConfigurationSpace,
    space: SearchSpace,
    *,
    confidence: float = 0.8,
    default_scale: float | None = None,
) -> MixturePrior:
    """Turn the priors of a ConfigSpace into one region.

    Parameters are matched by name. What only one side has, and conditions and forbidden clauses, are no opinion.

    * **Normal**, float or integer: the same normal, cut to the range of `space`. On a log scale its deviation is
      `|log(lower + sigma)|`, which is how ConfigSpace reads `sigma`.
    * **Beta**, float or integer: a split normal with the same mode, each side as wide as holds 80 % of the side's mass.
      `Beta(1, 1)` is no opinion.
    * **Categorical** with weights: its probabilities. Choices that only `space` has keep the density of no opinion.
    * Anything else states no prior. With `default_scale` its default value does: a normal around it, or a choice that
      counts twice.

    Args:
        configspace: The priors, of the package ConfigSpace, version 1.
        space: The space of the study.
        confidence: Probability that the priors hold at all; the rest, at least 5 %, is uniform.
        default_scale: Standard deviation of the normal around default values, as a fraction of the range. `None`: they
            are not read, for ConfigSpace gives every hyperparameter one, stated or not.

    Returns:
        A mixture of one region, labelled with the name of the ConfigSpace.

    Raises:
        ConfigurationError: If ConfigSpace is not installed, or an argument is not what is expected.
        PriorError: If it has no prior of a parameter of `space`, or one that is logarithmic on one side only.
    """
    _check_class(configspace)
    floor = uniform_weight_for(confidence)
    if default_scale is not None and not 0.0 < default_scale < math.inf:
        raise ConfigurationError(f"Expected default_scale > 0, a fraction of the range, got {default_scale!r}.")
    shared = [column for column in space.columns if column.name in configspace and column.n_values != 1]
    built = {column.name: _marginal(column, configspace[column.name], default_scale) for column in shared}
    marginals = {name: marginal for name, marginal in built.items() if marginal is not None}
    if not marginals:
        raise PriorError(
            f"Expected priors of the parameters {list(space.names)}, got a ConfigSpace without any, with "
            f"{list(configspace)}; use Normal or Beta hyperparameters or weights, or read the default values with "
            "default_scale=0.25."
        )
    region = RegionPrior(space, marginals, label=f"ConfigSpace {configspace.name or ''}".strip())
    return MixturePrior(space, [region], [1.0 - floor], floor)


def _check_class(configspace: object) -> None:
    try:
        from ConfigSpace import ConfigurationSpace  # an optional package
    except ImportError:
        raise ConfigurationError("Expected the package ConfigSpace, which is not installed; pip install it.") from None
    if not isinstance(configspace, ConfigurationSpace):
        raise ConfigurationError(f"Expected a ConfigSpace.ConfigurationSpace, got {configspace!r:.200}.")


def _marginal(column: Column, parameter: Any, default_scale: float | None) -> Marginal | None:
    choices = getattr(parameter, "choices", getattr(parameter, "sequence", None))
    if choices is not None:
        return _table(column, parameter, choices, default_scale)
    if column.kind == "categorical" or not hasattr(parameter, "lower"):
        return None  # a number that has become a choice, or a constant
    if hasattr(parameter, "mu"):
        return _normal(column, parameter)
    if hasattr(parameter, "alpha"):
        return None if parameter.alpha == parameter.beta == 1.0 else _from_beta(column, parameter)
    if default_scale is None:
        return None
    return SplitNormalMarginal(column, float(column.to_unit(parameter.default_value)), default_scale, default_scale)


def _normal(column: Column, parameter: Any) -> SplitNormalMarginal:
    _check_scale(column, parameter)
    # ConfigSpace 1.2's own formula, `UnitScaler.vectorize_size`: the bound is added, so that sigma is about a factor.
    sigma = abs(math.log(parameter.lower + parameter.sigma)) if column.log else parameter.sigma
    low, high = column.distribution.low, column.distribution.high  # type: ignore[attr-defined]  # it is numeric
    width = math.log(high / low) if column.log else high - low
    scale = sigma * float(column.to_unit(high) - column.to_unit(low)) / width
    return SplitNormalMarginal(column, float(column.to_unit(parameter.mu)), scale, scale)


def _check_scale(column: Column, parameter: Any) -> None:
    if bool(parameter.log) != column.log:
        raise PriorError(
            f"Expected one scale of {column.name!r}, got it {'logarithmic' if parameter.log else 'linear'} in the "
            "ConfigSpace only; give both log=True or neither."
        )


def _from_beta(column: Column, parameter: Any) -> SplitNormalMarginal:
    _check_scale(column, parameter)
    alpha, beta = parameter.alpha, parameter.beta
    low, high = float(parameter.lower), float(parameter.upper)
    low, high = (math.log(low), math.log(high)) if parameter.log else (low, high)
    mode = (alpha - 1.0) / (alpha + beta - 2.0)
    density = beta_distribution(alpha, beta)
    below = float(density.cdf(mode))
    # On each side 80 % of the side's own mass, which is how a split normal is made of an interval.
    units = [float(density.ppf(0.2 * below)), mode, float(density.ppf(below + 0.8 * (1.0 - below)))]
    lower, best, upper = (math.exp(low + (high - low) * u) if column.log else low + (high - low) * u for u in units)
    return SplitNormalMarginal.from_interval(column, low=lower, best=best, high=upper, coverage=0.8)


def _table(column: Column, parameter: Any, choices: Any, default_scale: float | None) -> CategoricalMarginal | None:
    if column.kind != "categorical":
        return None
    weights = getattr(parameter, "weights", None)
    if weights is None and default_scale is None:
        return None
    if weights is None:
        weights = [2.0 if choice == parameter.default_value else 1.0 for choice in choices]
    known = {int(column.encode(c)): float(w) for c, w in zip(choices, weights, strict=True) if column.contains(c)}
    total = sum(known.values())
    if total == 0.0:
        return None
    n = column.n_values or 1
    p = np.full(n, 1.0 / n)
    for index, weight in known.items():
        p[index] = len(known) / n * weight / total
    return CategoricalMarginal(column, tuple(p.tolist()))
