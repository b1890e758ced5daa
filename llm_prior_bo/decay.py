"""Decay schedules: how much the prior counts after `n` finished trials.

A schedule maps the number of informative trials `n` to the exponent `γ_n >= 0` of the prior density, which enters the
acquisition function as `log α(x) + γ_n · log π(x)`. Any `Callable[[int], float]` is one; the classes here are the
published and the useful ones. All are frozen, printable and picklable.

Where the log density has the range `L = max log π - min log π`, the weighted strategy loses at most the factor
`C_n = exp(L · γ_n)` of the unweighted strategy's bound (Hvarfner et al., πBO, ICLR 2022, theorem 1), so every schedule
that goes to zero keeps the base strategy's rate. `BoundedLossDecay` solves this for `γ_n`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from llm_prior_bo.errors import ConfigurationError

DecaySchedule: TypeAlias = Callable[[int], float]
"""The number of informative trials `n >= 0` to the exponent of the prior, finite and at least 0."""

_ACCEPTED = (
    "PowerDecay(beta), ExponentialDecay(half_life), LinearDecay(horizon), ConstantDecay(value), "
    "BoundedLossDecay(max_loss, from_trial) or a function of the number of trials, e.g. lambda n: 10 / max(n, 1)"
)


class HasLogRange(Protocol):
    """A density that knows how far its log values spread, as every `OptimumPrior` does."""

    @property
    def log_range(self) -> float:
        """`max log π - min log π`, finite."""
        ...


@dataclass(frozen=True)
class PowerDecay:
    """`γ_n = β / n^power`, at most `cap`; the schedule of πBO.

    `power=1` is πBO (Hvarfner et al., ICLR 2022), `power=2` is DynaBO. Before the first trial, `n` counts as 1.

    Args:
        beta: Weight of the prior at the first trial, at least 0. The πBO paper takes a tenth of the number of trials.
        power: How fast the weight falls, at least 0.
        cap: Upper limit. `cap=1` never counts one belief more than once; `None` sets no limit.
    """

    beta: float = 10.0
    power: float = 1.0
    cap: float | None = None

    def __post_init__(self) -> None:
        _require_at_least(0, beta=self.beta, power=self.power)
        if self.cap is not None:
            _require_at_least(0, cap=self.cap)

    def __call__(self, n: int) -> float:
        """The exponent after `n` trials."""
        # A negative power underflows to 0 where n^power would overflow.
        exponent = self.beta * math.pow(max(n, 1), -self.power)
        return exponent if self.cap is None else min(exponent, self.cap)


@dataclass(frozen=True)
class ExponentialDecay:
    """`γ_n = 2^(-n / half_life)`; starts at 1.

    PriorBand and NePS write the same as `exp(-n / d)`: `half_life = d · ln 2`.

    Args:
        half_life: Number of trials in which the weight halves, above 0.
    """

    half_life: float

    def __post_init__(self) -> None:
        _require_above(0, half_life=self.half_life)

    def __call__(self, n: int) -> float:
        """The exponent after `n` trials."""
        return math.pow(2.0, -n / self.half_life)


@dataclass(frozen=True)
class LinearDecay:
    """`γ_n = max(0, 1 - n / horizon)`; starts at 1 and is off from trial `horizon` on.

    Args:
        horizon: Number of trials after which the prior no longer counts, above 0.
    """

    horizon: float

    def __post_init__(self) -> None:
        _require_above(0, horizon=self.horizon)

    def __call__(self, n: int) -> float:
        """The exponent after `n` trials."""
        return max(0.0, 1.0 - n / self.horizon)


@dataclass(frozen=True)
class ConstantDecay:
    """`γ_n = value`: the prior never fades. For ablations, and for BoTorch's own behaviour.

    Args:
        value: The exponent, at least 0. 0 switches the prior off.
    """

    value: float = 1.0

    def __post_init__(self) -> None:
        _require_at_least(0, value=self.value)

    def __call__(self, n: int) -> float:  # noqa: ARG002  (a schedule takes n, this one does not need it)
        """The exponent after `n` trials."""
        return float(self.value)


@dataclass(frozen=True)
class BoundedLossDecay:
    """`γ_n = min(1, n_0 · ln c / (L · n))`: never more than `c` times worse from trial `n_0` on.

    The loss factor of a weighted strategy is at most `C_n = exp(L · γ_n)`, with `L` the range of the joint log density.
    This schedule is that bound solved for the exponent: `C_n <= c^(n_0 / n)`, so at most `c` from trial `n_0` on, and
    falling to 1. A prior without any opinion (`L = 0`) can do no harm, so its exponent stays at 1.

    `L` belongs to the prior, which need not exist yet when the schedule is chosen. So it may be left open, to be filled
    in by `for_prior` (the sampler does that for each prior it uses):

        decay = BoundedLossDecay(max_loss=2.0, from_trial=20)
        acqf = prior_weighted(base, prior, exponent=decay.for_prior(prior)(n))

    Args:
        max_loss: The factor `c`, above 1.
        from_trial: The trial `n_0` from which on it holds, at least 1.
        log_range: The range `L`, at least 0; `None` leaves it open.
    """

    max_loss: float
    from_trial: int
    log_range: float | None = None

    def __post_init__(self) -> None:
        _require_above(1, max_loss=self.max_loss)
        _require_at_least(1, from_trial=self.from_trial)
        if self.log_range is not None:
            _require_at_least(0, log_range=self.log_range)

    def for_prior(self, prior: HasLogRange) -> BoundedLossDecay:
        """This schedule with the log range of `prior`."""
        return replace(self, log_range=float(prior.log_range))

    def __call__(self, n: int) -> float:
        """The exponent after `n` trials."""
        if self.log_range is None:
            raise ConfigurationError(
                "Expected a schedule that knows the range of the prior's log density, got "
                f"{self!r}; use decay.for_prior(prior), or give log_range=."
            )
        budget = self.from_trial * math.log(self.max_loss)  # n_0 · ln c
        loss = self.log_range * max(n, 1)  # L · n
        return min(1.0, budget / loss) if loss > 0.0 else 1.0


def check_decay(decay: object) -> DecaySchedule:
    """`decay` itself if it can be a schedule.

    Raises:
        ConfigurationError: If it cannot, with what is accepted.
    """
    if isinstance(decay, type):
        raise ConfigurationError(f"Expected a decay schedule, got the class {decay.__name__}; make one of {_ACCEPTED}.")
    if not callable(decay):
        raise ConfigurationError(f"Expected a decay schedule, got {decay!r}; give {_ACCEPTED}.")
    return decay


def bind_decay(decay: DecaySchedule, prior: HasLogRange) -> DecaySchedule:
    """`decay` with what it left open taken from `prior`; all other schedules come back as they are."""
    if isinstance(decay, BoundedLossDecay) and decay.log_range is None:
        return decay.for_prior(prior)
    return decay


def exponent_at(decay: DecaySchedule, n: int) -> float:
    """The exponent of a schedule after `n` trials, checked: schedules may be written by the user.

    Raises:
        ConfigurationError: If the schedule gives something else than a finite number of at least 0.
    """
    value = decay(n)
    try:
        exponent = float(value)
    except (TypeError, ValueError):
        exponent = math.nan
    if not (math.isfinite(exponent) and exponent >= 0.0):
        raise ConfigurationError(
            f"Expected a finite exponent of at least 0 from the decay schedule {decay!r}, got {value!r} at n={n}; "
            "mend the schedule, e.g. divide by max(n, 1)."
        )
    return exponent


def _require_at_least(limit: float, **values: float) -> None:
    """Every value is a finite number of at least `limit`, or a `ConfigurationError` names the first that is not."""
    for name, value in values.items():
        if not (_is_finite_number(value) and value >= limit):
            raise ConfigurationError(f"Expected {name} to be a finite number of at least {limit}, got {value!r}.")


def _require_above(limit: float, **values: float) -> None:
    """Every value is a finite number above `limit`, or a `ConfigurationError` names the first that is not."""
    for name, value in values.items():
        if not (_is_finite_number(value) and value > limit):
            raise ConfigurationError(f"Expected {name} to be a finite number above {limit}, got {value!r}.")


def _is_finite_number(value: object) -> bool:
    try:
        return not isinstance(value, str | bytes) and math.isfinite(value)  # type: ignore[arg-type]
    except TypeError:
        return False


def loss_bound(exponent: float, prior: HasLogRange) -> float:
    """The loss factor `C_n = exp(L · γ_n)` at an exponent; `inf` where it exceeds any float.

    Args:
        exponent: The exponent `γ_n`.
        prior: The prior in use, whose log density has the range `L`.
    """
    power = exponent * prior.log_range if exponent > 0.0 else 0.0
    return math.exp(power) if power < _LARGEST_POWER else math.inf


_LARGEST_POWER = 700.0
"""`exp` of more overflows."""
