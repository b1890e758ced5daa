"""Medians, quartiles, paired differences with bootstrap intervals, and counts of wins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap

from llm_prior_bo.errors import ConfigurationError

TIE = 1e-9
"""Regrets that differ by no more than this are level."""

_COVERAGE = 0.95


@dataclass(frozen=True, slots=True)
class Quartiles:
    """Median and quartiles of a sample.

    Args:
        low: First quartile.
        median: Median.
        high: Third quartile.
    """

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Quartiles:
        """Quartiles of at least one value: interpolated, but next to an infinite value, where there is no middle."""
        sample = np.asarray(values, dtype=np.float64)
        quantiles = np.quantile(sample, [0.25, 0.5, 0.75], method="linear" if np.isfinite(sample).all() else "higher")
        return cls(*quantiles.tolist())

    def text(self, spec: str) -> str:
        """Median and quartiles, `median (low .. high)`, each written by a format specification, e.g. `".2f"`."""
        return f"{self.median:{spec}} ({self.low:{spec}} .. {self.high:{spec}})"

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.low:.2g} to {self.high:.2g})"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How often one method was better than another on the same seeds.

    Args:
        wins: Seeds with the smaller number: less regret, or less loss.
        ties: Seeds with numbers that are level.
        losses: Seeds with the larger number.
    """

    wins: int
    ties: int
    losses: int

    @classmethod
    def of(cls, pairs: Iterable[tuple[float, float]], *, tolerance: float = TIE) -> Comparison:
        """Compare the first number of every pair with the second.

        Args:
            pairs: Numbers of which the smaller is the better; they may be infinite, but not NaN.
            tolerance: Numbers that differ by no more than this are level.
        """
        signs = [_order(own, other, tolerance) for own, other in pairs]
        return cls(wins=signs.count(-1), ties=signs.count(0), losses=signs.count(1))

    def __add__(self, other: Comparison) -> Comparison:
        """Counts of both."""
        return Comparison(self.wins + other.wins, self.ties + other.ties, self.losses + other.losses)

    def __str__(self) -> str:
        return f"{self.wins}-{self.ties}-{self.losses}"


def _order(first: float, second: float, tolerance: float) -> int:
    """-1, 0 or 1: whether the first number is smaller, level or larger."""
    # Equal first: the difference of equal infinities is no number.
    if first == second or abs(first - second) <= tolerance:
        return 0
    return -1 if first < second else 1


@dataclass(frozen=True, slots=True)
class MeanDifference:
    """A mean paired difference with its 95 % bootstrap interval.

    Args:
        mean: Mean difference.
        low: Lower end.
        high: Upper end.
    """

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.3g} ({self.low:+.2g} to {self.high:+.2g})"


def paired_bootstrap(
    a: Sequence[float] | npt.NDArray[np.float64],
    b: Sequence[float] | npt.NDArray[np.float64],
    *,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> MeanDifference:
    """Mean of `a - b` over pairs, with the percentile interval of resampled means.

    Args:
        a: One number a pair, e.g. log regrets of one method by seed.
        b: The same of the other.
        n_resamples: Bootstrap samples.
        seed: Seed of the resampling.

    Raises:
        ConfigurationError: If there is no pair, or the lengths differ.
    """
    if len(a) != len(b) or len(a) == 0:
        raise ConfigurationError(f"Expected as many numbers in a as in b, at least one, got {len(a)} and {len(b)}.")
    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    mean = float(differences.mean())
    if np.ptp(differences) == 0.0:  # one pair, or all alike: SciPy refuses the one and has no interval for the other
        return MeanDifference(mean, mean, mean)
    interval = bootstrap(
        (differences,),
        np.mean,
        n_resamples=n_resamples,
        confidence_level=_COVERAGE,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return MeanDifference(mean, float(interval.low), float(interval.high))
