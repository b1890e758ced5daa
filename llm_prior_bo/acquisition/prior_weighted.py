"""A prior over the optimum, added to a BoTorch acquisition function.

    log α_n(X) + γ_n · Σ_j log π(x_j),    X = (x_1, ..., x_q)

in log space only (πBO, Hvarfner et al., ICLR 2022, with the decay `γ_n` chosen by the caller). BoTorch's own
`PriorGuidedAcquisitionFunction` computes the same at `q = 1`. For sample-reducing Monte Carlo functions it weights each
point *inside* the maximum over the batch, and weights pending points with them: one pending point at a good place then
decides the maximum, and the surface goes flat. Here the pending points stay with the base function and only the new
points are weighted, which also opens the way to `q > 1`, pending points and hypervolume functions alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

import botorch.acquisition
import botorch.acquisition.multi_objective.logei
import torch
from botorch.acquisition.acquisition import AcquisitionFunction, OneShotAcquisitionFunction
from botorch.acquisition.analytic import AnalyticAcquisitionFunction
from botorch.utils.transforms import t_batch_mode_transform
from torch import Tensor

from llm_prior_bo.errors import ConfigurationError, PriorError, UnsupportedAcquisitionError

LogDensity: TypeAlias = Callable[[Tensor], Tensor]
"""`batch_shape x d` to `batch_shape`: log density, relative to uniform (so that 0 is no opinion)."""


@runtime_checkable
class HasLogProb(Protocol):
    """An object with a log density, such as an `OptimumPrior` or a `torch.distributions.Distribution`."""

    def log_prob(self, X: Tensor, /) -> Tensor:
        """Log density.

        Args:
            X: `batch_shape x d`.

        Returns:
            `batch_shape`.
        """
        ...


def prior_weighted(
    acq_function: AcquisitionFunction,
    prior: HasLogProb | LogDensity,
    *,
    exponent: float,
    to_log: Callable[[Tensor], Tensor] | None = None,
) -> PriorWeightedAcquisition:
    """Add a prior over the optimum to an acquisition function.

    Works with every acquisition function whose values are log values, for `q >= 1`, one or several objectives,
    constraints and pending points:

        base = qLogNoisyExpectedImprovement(model, X_baseline, X_pending=X_pending)
        acqf = prior_weighted(base, prior, exponent=PowerDecay(10.0)(n))
        candidates, value = optimize_acqf(acqf, bounds, q=4, num_restarts=4, raw_samples=128, sequential=True)

    Optimise batches with `sequential=True`, where each new point meets the earlier ones as pending points. Optimised
    jointly, nearly equal points at the prior's mode can win: the base function loses little by the repetition, and each
    of them earns the mode's density.

    To hold some coordinates fixed, use `fixed_features=` of the optimizer, or wrap the result in BoTorch's
    `FixedFeatureAcquisitionFunction`: the prior has to see all `d` coordinates.

    Args:
        acq_function: The base function. It keeps its pending points.
        prior: An `OptimumPrior`, or anything with such a `log_prob`, or a function that gives the log density of
            points `batch_shape x d` as `batch_shape`. Its values must be finite: mix in a uniform floor where a density
            would vanish.
        exponent: The weight `γ_n`, finite and at least 0, usually `decay(n)`. At 0 the result equals the base function
            exactly, and the prior is not evaluated.
        to_log: Takes the base function's values (`batch_shape`) to log space if they are not there yet, element by
            element and rising, e.g. `torch.log` for a positive function, or
            `lambda value: torch.nn.functional.softplus(value).log()` for an upper confidence bound.

    Returns:
        The weighted acquisition function.

    Raises:
        UnsupportedAcquisitionError: If the values are not log values and no `to_log` is given, or if they are and one
            is given, or if the function optimises points that are not candidates (one-shot functions).
        ConfigurationError: If the exponent is negative or not finite.
    """
    _check_supported(acq_function, to_log)
    return PriorWeightedAcquisition(
        acq_function, _log_density(prior), exponent=_check_exponent(exponent), to_log=to_log
    )


class PriorWeightedAcquisition(AcquisitionFunction):
    """`log α(X) + γ · Σ_j log π(x_j)`; made by `prior_weighted`.

    Attributes:
        acq_function: The base function, with its pending points.
        log_density: The log density of the prior, `batch_shape x d` to `batch_shape`.
        exponent: The weight `γ` of the prior.
    """

    _log: bool = True  # BoTorch's mark of log values, so that the result can itself be wrapped

    def __init__(
        self,
        acq_function: AcquisitionFunction,
        log_density: LogDensity,
        *,
        exponent: float,
        to_log: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(model=acq_function.model)
        self.acq_function = acq_function
        self.log_density = log_density
        self.exponent = exponent
        self.to_log = to_log

    @t_batch_mode_transform()  # type: ignore[arg-type]  # typed for functions of the base class
    def forward(self, X: Tensor) -> Tensor:
        """Evaluate the weighted acquisition function.

        Args:
            X: `batch_shape x q x d`, the new points only.

        Returns:
            `batch_shape`.
        """
        value = self._base_value(X)  # batch_shape
        if self.exponent == 0.0:
            return value
        weight = self._checked_log_density(X).sum(dim=-1)  # batch_shape
        return value + self.exponent * weight.to(value)

    @property  # type: ignore[override]  # a plain attribute in BoTorch, which is None as often as not
    def X_pending(self) -> Tensor | None:
        """Pending points of the base function, `p x d`."""
        pending: Tensor | None = getattr(self.acq_function, "X_pending", None)
        return pending if pending is not None else _absorbed_pending_points(self.acq_function)

    @X_pending.setter
    def X_pending(self, X_pending: Tensor | None) -> None:
        self.set_X_pending(X_pending)

    def set_X_pending(self, X_pending: Tensor | None = None) -> None:
        """Hand pending points to the base function. The prior does not weight them.

        Args:
            X_pending: `p x d`, or `None` to forget them.
        """
        # Analytic functions raise on any call, but there is nothing to forget where there never was a pending point.
        if X_pending is None and isinstance(self.acq_function, AnalyticAcquisitionFunction):
            return
        self.acq_function.set_X_pending(X_pending)

    def _base_value(self, X: Tensor) -> Tensor:
        """Log value of the base function: `batch_shape x q x d` -> `batch_shape`."""
        value: Tensor = self.acq_function(X)
        if self.to_log is None:
            return value
        log_value = self.to_log(value)
        if not torch.isfinite(log_value).all():
            raise UnsupportedAcquisitionError(
                f"Expected to_log to give finite values for those of {type(self.acq_function).__name__} "
                f"(smallest {float(value.detach().min()):.3g}), got {_first_non_finite(log_value)}; "
                "name a transform that fits their range."
            )
        return log_value

    def _checked_log_density(self, X: Tensor) -> Tensor:
        """Log density of each point, refused unless usable: `batch_shape x q x d` -> `batch_shape x q`."""
        log_density = self.log_density(X)
        if log_density.shape != X.shape[:-1]:
            raise PriorError(
                f"Expected one log density per point, shape {tuple(X.shape[:-1])} for X of shape {tuple(X.shape)}, "
                f"got shape {tuple(log_density.shape)}; reduce over the last dimension of X only."
            )
        # One -inf makes the start-point heuristics of BoTorch fail with an error that names neither prior nor point.
        if not torch.isfinite(log_density).all():
            raise PriorError(
                f"Expected finite log densities, got {_first_non_finite(log_density)}; "
                "mix in a uniform floor, e.g. torch.logaddexp(log_density, math.log(0.05))."
            )
        return log_density


def _log_density(prior: HasLogProb | LogDensity) -> LogDensity:
    """The log density of a prior in either of its forms."""
    if isinstance(prior, HasLogProb):
        return prior.log_prob
    if callable(prior):
        return prior
    raise ConfigurationError(
        f"Expected a prior with a log_prob method, or a function from points to log densities, got {prior!r}."
    )


def _check_exponent(exponent: float) -> float:
    if callable(exponent):
        raise ConfigurationError(
            f"Expected the exponent at this trial, got the schedule {exponent!r}; call it with the number of trials."
        )
    try:
        value = float(exponent)
    except (TypeError, ValueError):
        value = math.nan
    if not (math.isfinite(value) and value >= 0.0):
        raise ConfigurationError(f"Expected a finite exponent of at least 0, got {exponent!r}; 0 turns the prior off.")
    return value


def _check_supported(acq_function: AcquisitionFunction, to_log: Callable[[Tensor], Tensor] | None) -> None:
    """Refuse what a log density cannot be added to."""
    name = type(acq_function).__name__
    if isinstance(acq_function, OneShotAcquisitionFunction):
        raise UnsupportedAcquisitionError(
            f"Expected an acquisition function of the candidates alone, got the one-shot function {name}, whose input "
            "also holds fantasy points; use one that is not one-shot, e.g. qLogNoisyExpectedImprovement."
        )
    # BoTorch marks its log-valued functions with this attribute; there is no public one.
    is_log = bool(getattr(acq_function, "_log", False))
    if is_log and to_log is not None:
        raise UnsupportedAcquisitionError(f"Expected no to_log for {name}, whose values are log values; leave it out.")
    if not is_log and to_log is None:
        # A density times a negative value would turn the prior round; plus a plain value, its weight is arbitrary.
        raise UnsupportedAcquisitionError(
            f"Expected an acquisition function with log values, got {name}; use {_log_variant(name)}, "
            "or name a transform of its values to log space, e.g. to_log=torch.log if they are positive."
        )


def _log_variant(name: str) -> str:
    """Name of the log-valued relative of one of BoTorch's acquisition functions, or a general suggestion."""
    variant = f"qLog{name[1:]}" if name.startswith("q") else f"Log{name}"
    exists = hasattr(botorch.acquisition, variant) or hasattr(botorch.acquisition.multi_objective.logei, variant)
    return variant if exists else "a log-valued one, e.g. qLogNoisyExpectedImprovement"


def _absorbed_pending_points(acq_function: AcquisitionFunction) -> Tensor | None:
    """Pending points that an incremental `qLogNoisyExpectedImprovement` has put behind its baseline, `p x d`.

    It reports `X_pending = None`, so `optimize_acqf(q > 1, sequential=True)` would replace them by its own candidates
    and forget them. They are the end of the full baseline.
    """
    baseline = getattr(acq_function, "_X_baseline", None)
    full_baseline = getattr(acq_function, "_full_X_baseline", None)
    if baseline is None or full_baseline is None or full_baseline.shape[-2] == baseline.shape[-2]:
        return None
    pending: Tensor = full_baseline[..., baseline.shape[-2] :, :]
    return pending


def _first_non_finite(values: Tensor) -> float:
    return float(values.detach()[~torch.isfinite(values)][0])
