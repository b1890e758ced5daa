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

import copy
import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from botorch.models.gp_regression import SingleTaskGP
from botorch.models.transforms.input import ChainedInputTransform, InputTransform
from gpytorch.kernels import Kernel
from gpytorch.means import Mean
from torch import Tensor

from llm_prior_bo.conditions import NeutralInactive
from llm_prior_bo.decay import DecaySchedule, PowerDecay, check_decay, exponent_at
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.exact_gp import training_root
from llm_prior_bo.priors import OptimumPrior, Plausibility, UniformPrior
from llm_prior_bo.priors.base import space_of
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.surrogate import Surrogate, joint_model

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
        plausibility = Plausibility(prior, degrees_of_freedom=self.degrees_of_freedom)
        feature = _Standardized(plausibility, surrogate.space or space_of(prior))
        outputs = surrogate.outputs
        kept = trust * (1.0 if self.decay is None else exponent_at(self.decay, len(surrogate.X) if n is None else n))
        coefficients = [
            kept * self._coefficient(outputs[i], feature(surrogate.X)) for i in range(surrogate.n_objectives)
        ]
        if not any(coefficients):
            return surrogate, tuple(coefficients)
        for i, coefficient in enumerate(coefficients):
            outputs[i] = _with_mean(outputs[i], feature, coefficient)
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
        values = feature(UniformPrior(space).stratified_sample(N_STANDARDIZE, generator=generator))
        spread = float(values.std())
        self._feature, self._mean = feature, float(values.mean())
        self._scale = spread if spread > SMALLEST_SPREAD else math.inf

    def __call__(self, X: Tensor) -> Tensor:
        """`batch_shape x d` to `batch_shape`."""
        return (self._feature(X) - self._mean) / self._scale


def _with_mean(model: SingleTaskGP, feature: _Standardized, coefficient: float) -> SingleTaskGP:
    """The same process with the feature in its mean: the feature is a last column that the kernel does not see."""
    other = copy.deepcopy(model)
    other.train()  # so that the training points are as they came, untransformed
    other.input_transform = _AppendFeature(feature, getattr(other, "input_transform", None))
    other.covar_module = _WithoutFeature(other.covar_module)
    other.mean_module = _FeatureMean(other.mean_module, coefficient)
    other.requires_grad_(False)
    other.eval()
    return other


class _AppendFeature(InputTransform):
    """Another transform's columns, then the feature of the point as it came.

    Columns that do not count are neutral for the feature too: otherwise a configuration that is known would get another
    mean, without any variance, as often as such a column changes.
    """

    def __init__(self, feature: _Standardized, inner: InputTransform | None) -> None:
        super().__init__()
        self.feature = feature
        self.inner = inner
        self.neutral = _neutral_step(inner)
        self.transform_on_train = self.transform_on_eval = self.transform_on_fantasize = True
        self.is_one_to_many = False

    def transform(self, X: Tensor) -> Tensor:
        """`batch_shape x q x d` to `batch_shape x q x (width + 1)`."""
        columns = X if self.inner is None else self.inner(X)
        points = X if self.neutral is None else self.neutral(X)
        return torch.cat([columns, self.feature(points).unsqueeze(-1)], dim=-1)


def _neutral_step(transform: InputTransform | None) -> InputTransform | None:
    """The step of a transform that makes columns neutral, if there is one."""
    steps = transform.values() if isinstance(transform, ChainedInputTransform) else ()
    return next((step for step in steps if isinstance(step, NeutralInactive)), None)


class _WithoutFeature(Kernel):  # type: ignore[misc]  # GPyTorch has no types
    """A kernel of all columns but the last."""

    def __init__(self, base: Kernel) -> None:
        super().__init__()
        self.base = base

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any) -> Tensor:
        """Covariance, as GPyTorch's kernels."""
        covariance: Tensor = self.base.forward(x1[..., :-1], x2[..., :-1], diag=diag, **params)
        return covariance


class _FeatureMean(Mean):  # type: ignore[misc]
    """Another mean of all columns but the last, plus the last one times a coefficient."""

    def __init__(self, base: Mean, coefficient: float) -> None:
        super().__init__()
        self.base = base
        self.coefficient = coefficient

    def forward(self, x: Tensor) -> Tensor:
        """`batch_shape x n x (width + 1)` to `batch_shape x n`."""
        mean: Tensor = self.base(x[..., :-1]) + self.coefficient * x[..., -1]
        return mean
