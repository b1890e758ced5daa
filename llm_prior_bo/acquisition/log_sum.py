"""A score as a sum of log terms: an acquisition function, and functions of single points with exponents.

    score(X) = log α(X) + Σ_i e_i · Σ_j t_i(x_j),    X = (x_1, ..., x_q)

A prior over the optimum is one such term (πBO, Hvarfner et al., ICLR 2022), the log probability that a trial finishes
another one. Pending points stay with `α`; only new points are weighted, so every acquisition function whose values are
log values can be the base, for any `q`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias, runtime_checkable

import botorch.acquisition
import botorch.acquisition.multi_objective.logei
import torch
from botorch.acquisition.acquisition import AcquisitionFunction, OneShotAcquisitionFunction
from botorch.acquisition.analytic import AnalyticAcquisitionFunction
from botorch.utils.transforms import t_batch_mode_transform
from torch import Tensor

from llm_prior_bo._gradients import as_torch, value_and_gradient, with_gradient
from llm_prior_bo.errors import ConfigurationError, PriorError, UnsupportedAcquisitionError
from llm_prior_bo.space import FloatArray

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


@dataclass(frozen=True, eq=False)
class Term:
    """One term of a score.

    Args:
        name: What it is, for people; unique in a score.
        density: An object with a `log_prob`, or a function from points `batch_shape x d` to log values `batch_shape`.
            If it is `WithGradient` as well, that is used for searches.
        exponent: The weight `e`, finite and at least 0. At 0 the density is not evaluated.

    Raises:
        ConfigurationError: If an argument is of another kind or out of range.
    """

    name: str
    density: HasLogProb | LogDensity
    exponent: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.density, HasLogProb) and not callable(self.density):
            raise ConfigurationError(
                "Expected a prior with a log_prob method, or a function from points to log densities, got "
                f"{self.density!r}."
            )
        object.__setattr__(self, "exponent", _checked_exponent(self.exponent))

    def log_density(self, X: Tensor) -> Tensor:
        """Log values of the density, without the exponent.

        Args:
            X: Points, `batch_shape x d`.

        Returns:
            `batch_shape`.

        Raises:
            PriorError: If the values are not finite or not one for each point.
        """
        values = self._evaluate(X)
        if values.shape != X.shape[:-1]:
            raise PriorError(
                f"Expected one log density per point, shape {tuple(X.shape[:-1])} for X of shape {tuple(X.shape)}, "
                f"got shape {tuple(values.shape)}; reduce over the last dimension of X only."
            )
        # One -inf makes the start-point heuristics of BoTorch fail with an error that names neither prior nor point.
        if not torch.isfinite(values).all():
            raise PriorError(
                f"Expected finite log densities, got {_first_non_finite(values)}; "
                "mix in a uniform floor, e.g. torch.logaddexp(log_density, math.log(0.05))."
            )
        return values

    def value_and_gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values and gradients of the term, exponent included, at points `n x d`: `n` and `n x d`."""
        fast = with_gradient(self.density)
        values, gradient = value_and_gradient(self.log_density, X) if fast is None else fast.value_and_gradient(X)
        return self.exponent * values, self.exponent * gradient

    def _evaluate(self, X: Tensor) -> Tensor:
        fast = with_gradient(self.density)
        if fast is not None:
            return as_torch(fast, X)
        return self.density.log_prob(X) if isinstance(self.density, HasLogProb) else self.density(X)


class LogSum(AcquisitionFunction):
    """`log α(X) + Σ_i e_i · Σ_j t_i(x_j)`.

    Args:
        acq_function: The base function `α`, with log values. It keeps its pending points.
        terms: The terms; those with exponent 0 change nothing, to the bit.
        to_log: Takes the base function's values (`batch_shape`) to log space if they are not there yet.

    Raises:
        UnsupportedAcquisitionError: If the values are not log values and no `to_log` is given, or if they are and one
            is given, or if the function optimises points that are not candidates (one-shot functions).
    """

    _log: bool = True  # BoTorch's mark of log values, so that the result can itself be wrapped

    def __init__(
        self,
        acq_function: AcquisitionFunction,
        terms: Sequence[Term] = (),
        *,
        to_log: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        _check_supported(acq_function, to_log)
        super().__init__(model=acq_function.model)
        self.acq_function = acq_function
        self.terms = tuple(terms)
        self.to_log = to_log

    @t_batch_mode_transform()  # type: ignore[arg-type]  # typed for functions of the base class
    def forward(self, X: Tensor) -> Tensor:
        """Evaluate the score.

        Args:
            X: `batch_shape x q x d`, the new points only.

        Returns:
            `batch_shape`.
        """
        value = self._base_value(X)  # batch_shape
        for term in self._active:
            weight = term.log_density(X).sum(dim=-1)  # batch_shape
            value = value + term.exponent * weight.to(value)
        return value

    def contributions(self, X: Tensor) -> dict[str, Tensor]:
        """What every part adds to the score, by the names of the terms; the base function's is "acquisition".

        Args:
            X: `batch_shape x q x d`.

        Returns:
            For every part `batch_shape`; their sum is the score.
        """
        parts = {"acquisition": self._base_value(X)}
        for term in self.terms:
            zero = torch.zeros_like(parts["acquisition"])
            parts[term.name] = term.exponent * term.log_density(X).sum(dim=-1) if term.exponent else zero
        return parts

    def value_and_gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Scores of single points `n x d`, `n`, and their gradients, `n x d`.

        Each part is differentiated by its own `value_and_gradient` if it has one, else by PyTorch.
        """
        values, gradient = acquisition_and_gradient(self.acq_function, X, to_log=self.to_log)
        for term in self._active:
            of_term = term.value_and_gradient(X)
            values, gradient = values + of_term[0], gradient + of_term[1]
        return values, gradient

    @property  # type: ignore[override]  # a plain attribute in BoTorch, which is None as often as not
    def X_pending(self) -> Tensor | None:
        """Pending points of the base function, `p x d`."""
        pending: Tensor | None = getattr(self.acq_function, "X_pending", None)
        return pending if pending is not None else _absorbed_pending_points(self.acq_function)

    @X_pending.setter
    def X_pending(self, X_pending: Tensor | None) -> None:
        self.set_X_pending(X_pending)

    def set_X_pending(self, X_pending: Tensor | None = None) -> None:
        """Hand pending points to the base function. The terms do not weight them.

        Args:
            X_pending: `p x d`, or `None` to forget them.
        """
        # Analytic functions raise on any call, but there is nothing to forget where there never was a pending point.
        if X_pending is None and isinstance(self.acq_function, AnalyticAcquisitionFunction):
            return
        self.acq_function.set_X_pending(X_pending)

    @property
    def _active(self) -> list[Term]:
        return [term for term in self.terms if term.exponent]

    def _base_value(self, X: Tensor) -> Tensor:
        """Log value of the base function: `batch_shape x q x d` -> `batch_shape`."""
        value: Tensor = self.acq_function(X)
        return value if self.to_log is None else _in_log_space(value, self.to_log, self.acq_function)


def acquisition_and_gradient(
    acq_function: AcquisitionFunction, X: FloatArray, *, to_log: Callable[[Tensor], Tensor] | None = None
) -> tuple[FloatArray, FloatArray]:
    """Values of an acquisition function at single points `n x d`, `n`, and its gradients there, `n x d`.

    Args:
        acq_function: Its own `value_and_gradient` is used if it has one.
        X: The points.
        to_log: Applied to the values.
    """
    own = acq_function if isinstance(acq_function, LogSum) else with_gradient(acq_function)
    if own is not None and to_log is None:
        return own.value_and_gradient(X)
    return value_and_gradient(partial(_of_single_points, acq_function, to_log), X)


def _of_single_points(
    acq_function: AcquisitionFunction, to_log: Callable[[Tensor], Tensor] | None, points: Tensor
) -> Tensor:
    """`n x d` to `n`."""
    values: Tensor = acq_function(points.unsqueeze(1))
    return values if to_log is None else _in_log_space(values, to_log, acq_function)


def _in_log_space(value: Tensor, to_log: Callable[[Tensor], Tensor], acq_function: AcquisitionFunction) -> Tensor:
    log_value = to_log(value)
    if not torch.isfinite(log_value).all():
        raise UnsupportedAcquisitionError(
            f"Expected to_log to give finite values for those of {type(acq_function).__name__} "
            f"(smallest {float(value.detach().min()):.3g}), got {_first_non_finite(log_value)}; "
            "name a transform that fits their range."
        )
    return log_value


def _checked_exponent(exponent: object) -> float:
    if callable(exponent):
        raise ConfigurationError(
            f"Expected the exponent at this trial, got the schedule {exponent!r}; call it with the number of trials."
        )
    try:
        value = float(exponent)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = math.nan
    if not (math.isfinite(value) and value >= 0.0):
        raise ConfigurationError(f"Expected a finite exponent of at least 0, got {exponent!r}; 0 turns the prior off.")
    return value


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


def _check_supported(acq_function: AcquisitionFunction, to_log: Callable[[Tensor], Tensor] | None) -> None:
    """Refuse what a log term cannot be added to."""
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
        # A density times a negative value would invert the prior; added to a plain value, its weight is arbitrary.
        raise UnsupportedAcquisitionError(
            f"Expected an acquisition function with log values, got {name}; use {_log_variant(name)}, "
            "or name a transform of its values to log space, e.g. to_log=torch.log if they are positive."
        )


def _log_variant(name: str) -> str:
    """Name of the log-valued relative of one of BoTorch's acquisition functions, or a general suggestion."""
    variant = f"qLog{name[1:]}" if name.startswith("q") else f"Log{name}"
    exists = hasattr(botorch.acquisition, variant) or hasattr(botorch.acquisition.multi_objective.logei, variant)
    return variant if exists else "a log-valued one, e.g. qLogNoisyExpectedImprovement"
