"""The prior in the surrogate's mean function, with a weight that the data set.

An answer about where the optimum is also says where it is not: the objective is expected to get worse as points get
less plausible. Nobody knows how fast, so the rate is a coefficient that is fitted:

    f(x) = a · s(x) + g(x),    a ~ Exponential(rate),    g ~ the Gaussian process without a prior

with `s` the plausibility of `x` (`priors.Plausibility`), standardised over the space. Given the kernel this is a linear
model with one explicit basis function (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, section
2.7), so the most probable coefficient has a closed form,

    a = max(0, (s' K^-1 y - rate) / (s' K^-1 s)),

and is exactly 0, which is the surrogate without a prior, unless the data ask for more. With more trials `g` explains
more of the data, and the mean matters only where there are none; on top of that the coefficient decays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from botorch.models.gp_regression import SingleTaskGP
from torch import Tensor

from llm_prior_bo.decay import DecaySchedule, PowerDecay, check_decay, exponent_at
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.models.exact_gp import training_root
from llm_prior_bo.models.input_encoding import InputEncoding
from llm_prior_bo.models.surrogate import Surrogate, joint_model
from llm_prior_bo.models.trend import add_trend, parts_of
from llm_prior_bo.priors import OptimumPrior, Plausibility, UniformPrior
from llm_prior_bo.priors.base import as_points, space_of
from llm_prior_bo.space import FloatArray, SearchSpace

DEFAULT_DECAY = PowerDecay(beta=10.0, cap=1.0)

N_STANDARDIZE = 512
"""Uniform points over which the plausibility is standardised."""

SMALLEST_SPREAD = 1e-9
"""A plausibility that varies less is no opinion but rounding, which must not be blown up to a spread of 1."""


@dataclass(frozen=True, slots=True)
class PriorMean:
    """How a prior enters the surrogate's mean.

    Args:
        rate: Rate of the exponential prior of the coefficient, in spreads of the plausibility over the space per
            spread of the outcome. Larger is more sceptical.
        degrees_of_freedom: Tails of the plausibility, above 0.
        decay: Number of trials -> share of the fitted coefficient that is kept; `None` keeps all of it. An answer is
            right about the coarse picture, and late in a study the fine one is left.

    Raises:
        ConfigurationError: If `rate` is negative, `degrees_of_freedom` not positive, or `decay` not a decay schedule.
    """

    rate: float = 1.0
    degrees_of_freedom: float = 3.0
    decay: DecaySchedule | None = DEFAULT_DECAY

    def __post_init__(self) -> None:
        if not self.rate >= 0.0:
            raise ConfigurationError(f"Expected rate >= 0, got {self.rate}; 0 lets the likelihood alone decide.")
        if self.decay is not None:
            check_decay(self.decay)
        if not self.degrees_of_freedom > 0.0:
            raise ConfigurationError(
                f"Expected degrees_of_freedom > 0, got {self.degrees_of_freedom}; 3 gives moderate tails."
            )

    def apply(
        self, surrogate: Surrogate, prior: OptimumPrior, *, trust: float = 1.0, n: int | None = None
    ) -> tuple[Surrogate, tuple[float, ...]]:
        """A surrogate that expects less of implausible places.

        Args:
            surrogate: Fitted without a prior.
            prior: The density over the optimum, over the surrogate's points; weighed by the evidence.
            trust: Share of the fitted coefficient that is kept, in [0, 1].
            n: Number of trials for the decay; `None`: all that the surrogate was fitted to.

        Returns:
            The surrogate with the prior in the mean of every objective, and the coefficient of each objective; the
            surrogate itself where all of them are 0.

        Raises:
            PriorError: If the prior is not over the surrogate's points, or is none of the package's and its density
                vanishes somewhere.
        """
        if prior.is_uniform:
            return surrogate, (0.0,) * surrogate.n_objectives
        as_points(surrogate.X, prior.dim)  # before anything is computed of points of another space
        plausibility = Plausibility(prior, degrees_of_freedom=self.degrees_of_freedom)
        feature = _Standardized(plausibility, surrogate.space or space_of(prior))
        outputs = surrogate.outputs
        kept = trust * (1.0 if self.decay is None else exponent_at(self.decay, len(surrogate.X) if n is None else n))
        coefficients = [
            kept * self._coefficient(outputs[i], torch.as_tensor(feature.value(surrogate.X.numpy())))
            for i in range(surrogate.n_objectives)
        ]
        if not any(coefficients):
            return surrogate, tuple(coefficients)
        for i, coefficient in enumerate(coefficients):
            outputs[i] = add_trend(outputs[i], _Trend(feature, coefficient, parts_of(outputs[i]).encoding))
        return replace(surrogate, model=joint_model(outputs)), tuple(coefficients)

    def _coefficient(self, model: SingleTaskGP, s: Tensor) -> float:
        """The most probable coefficient of the plausibility at the training points, `n`, given the kernel."""
        with torch.no_grad():
            residual = model.train_targets - model.mean_module(model.train_inputs[0])
            whitened = torch.linalg.solve_triangular(
                training_root(model), torch.stack([s, residual], dim=-1), upper=False
            )
        ss, sy = float(whitened[:, 0] @ whitened[:, 0]), float(whitened[:, 0] @ whitened[:, 1])
        return max(0.0, sy - self.rate) / ss if ss > 0.0 else 0.0


class _Standardized:
    """A feature with mean 0 and standard deviation 1 over uniform points; 0 where the prior has no opinion at all."""

    def __init__(self, feature: Plausibility, space: SearchSpace) -> None:
        generator = torch.Generator().manual_seed(0)  # a property of the prior, not a random draw
        values = feature.value(UniformPrior(space).stratified_sample(N_STANDARDIZE, generator=generator).numpy())
        spread = float(values.std())
        self._feature, self._mean = feature, float(values.mean())
        self._scale = spread if spread > SMALLEST_SPREAD else math.inf

    def value(self, X: FloatArray) -> FloatArray:
        """`n x d` to `n`."""
        return (self._feature.value(X) - self._mean) / self._scale

    def value_and_gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """`n x d` to `n` and `n x d`."""
        value, gradient = self._feature.value_and_gradient(X)
        return (value - self._mean) / self._scale, gradient / self._scale


class _Trend:
    """A feature times a coefficient.

    Columns that do not count are neutral for the feature too: otherwise a configuration that is known would get another
    mean, without any variance, as often as such a column changes.
    """

    def __init__(self, feature: _Standardized, coefficient: float, encoding: Any) -> None:
        self._feature, self._coefficient = feature, coefficient
        self._encoding = encoding if isinstance(encoding, InputEncoding) else None

    def value(self, X: FloatArray) -> FloatArray:
        """`n x d` to `n`."""
        return self._coefficient * self._feature.value(X if self._encoding is None else self._encoding.neutral(X))

    def value_and_gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """`n x d` to `n` and `n x d`."""
        value, gradient = self._feature.value_and_gradient(X if self._encoding is None else self._encoding.neutral(X))
        gradient *= self._coefficient
        return self._coefficient * value, (
            gradient if self._encoding is None else self._encoding.where_it_counts(X, gradient)
        )
