"""What a study has learned since the model was asked: numbers and names for a later question.

The numbers are computed elsewhere, from the surrogate and the evidence; here is only their form, free of torch, and
what they mean in words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from llm_prior_bo.elicitation.answer.schema import PriorAnswer
from llm_prior_bo.errors import ConfigurationError

Verdict = Literal["kept", "weakened", "dropped"]
"""How a region has fared."""

_REASON_SENTENCES: Mapping[str, str] = {
    "every": "A new belief is asked for at regular intervals, and one is due.",
    "lost trust": "The results contradict the earlier belief: the optimiser has lost its trust in it.",
    "stagnation": "The search has not found anything better for a while.",
    "search space changed": "The search space has changed since the earlier belief was stated.",
}
_DROPPED_BELOW = 0.1  # of the stated weight
_WEAKENED_BELOW = 0.5
_HARDLY_ANY = 1.5  # Bayes factors up to this and down to its inverse say next to nothing
_OVERWHELMING = 1000.0


RefreshReason = Literal["every", "lost trust", "stagnation", "search space changed"]
"""Why a question is asked again."""


@dataclass(frozen=True, slots=True)
class NumericQuantiles:
    """Where a numeric parameter of the optimum lies, in natural units.

    Args:
        low: 10 % quantile.
        median: 50 % quantile, or a best guess.
        high: 90 % quantile.
    """

    low: float
    median: float
    high: float


ParameterSummary = NumericQuantiles | Mapping[str, float]
"""About a numeric parameter its quantiles, about a categorical one the probabilities of its choices, by their text."""


@dataclass(frozen=True)
class RegionReport:
    """How one region of an earlier answer has fared.

    Args:
        label: The region's label, in the words of whoever answered.
        asked_at_trial: Number of the trial for which the answer was asked.
        stated_weight: Probability that the optimum is in the region as it was stated.
        present_weight: The same given all evidence since.
        bayes_factor: Evidence for the region against "no opinion" since it was stated; `None` if not weighed.
        beliefs: What the region says, by parameter: best guess and 80 % interval, or weights of choices.
    """

    label: str
    asked_at_trial: int
    stated_weight: float
    present_weight: float
    bayes_factor: float | None = None
    beliefs: Mapping[str, ParameterSummary] | None = None

    @classmethod
    def from_answer(
        cls,
        answer: PriorAnswer,
        region: int,
        *,
        asked_at_trial: int,
        present_weight: float,
        bayes_factor: float | None = None,
        share: float = 1.0,
    ) -> RegionReport:
        """The report on a region of an answer; its stated weight is weight times confidence times `share`.

        Args:
            answer: The answer, in canonical form.
            region: Number of the region in it.
            asked_at_trial: Number of the trial for which the answer was asked.
            present_weight: Probability of the region given all evidence since.
            bayes_factor: Evidence for the region.
            share: Share of the answer among those that were pooled, so that both weights are of the same pool.

        Raises:
            ConfigurationError: If the answer has no such region.
        """
        found = next((row for row in answer.regions if row.region == region), None)
        if found is None:
            numbers = [row.region for row in answer.regions]
            raise ConfigurationError(f"Expected the number of a region of the answer, one of {numbers}, got {region}.")
        return cls(
            label=found.label,
            asked_at_trial=asked_at_trial,
            stated_weight=found.weight * answer.confidence * share,
            present_weight=present_weight,
            bayes_factor=bayes_factor,
            beliefs=_beliefs(answer, region),
        )

    @property
    def verdict(self) -> Verdict:
        """Dropped below a tenth of the stated weight, weakened below a half of it, else kept."""
        if self.present_weight < _DROPPED_BELOW * self.stated_weight:
            return "dropped"
        return "weakened" if self.present_weight < _WEAKENED_BELOW * self.stated_weight else "kept"

    def evidence(self) -> str:
        """The Bayes factor in words: "evidence 30 to 1 against"."""
        factor = self.bayes_factor
        if factor is None or math.isnan(factor):
            return "not weighed against the trials"
        side = "for" if factor > 1.0 else "against"
        odds = max(factor, 1.0 / factor) if factor > 0.0 else math.inf
        if odds <= _HARDLY_ANY:
            return "hardly any evidence for or against"
        if odds > _OVERWHELMING:
            return f"evidence more than {_OVERWHELMING:.0f} to 1 {side}"
        return f"evidence {odds:.2g} to 1 {side}" if odds < 10 else f"evidence {odds:.0f} to 1 {side}"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-safe dict."""
        return {
            "label": self.label,
            "asked_at_trial": self.asked_at_trial,
            "stated_weight": _json_number(self.stated_weight),
            "present_weight": _json_number(self.present_weight),
            "bayes_factor": None if self.bayes_factor is None else _json_number(self.bayes_factor),
            "beliefs": {name: _belief_dict(belief) for name, belief in (self.beliefs or {}).items()},
        }


@dataclass(frozen=True)
class StudyInsights:
    """What the surrogate of a study has learned, and how the earlier answers have fared.

    Args:
        n_trials: Number of trials that this rests on.
        importance: How much each parameter matters; shares that sum to 1. Parameters may be absent.
        optimum: Where the surrogate expects the optimum, by parameter, in natural units. Parameters may be absent.
        regions: The regions of the earlier answers.
        reason: Why the model is asked again.
        trials: Numbers of the trials that this rests on: a reader knows their results.

    Raises:
        ConfigurationError: If there is no such reason.
    """

    n_trials: int
    importance: Mapping[str, float]
    optimum: Mapping[str, ParameterSummary]
    regions: tuple[RegionReport, ...]
    reason: RefreshReason
    trials: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.reason not in get_args(RefreshReason):
            raise ConfigurationError(
                f"Expected a reason among {', '.join(map(repr, get_args(RefreshReason)))}, got {self.reason!r}."
            )

    def reason_sentence(self) -> str:
        """The reason as a sentence."""
        return _REASON_SENTENCES[self.reason]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-safe dict."""
        return {
            "n_trials": self.n_trials,
            "importance": {name: _json_number(share) for name, share in self.importance.items()},
            "optimum": {name: _belief_dict(belief) for name, belief in self.optimum.items()},
            "regions": [region.to_dict() for region in self.regions],
            "reason": self.reason,
            "trials": list(self.trials),
        }


def _beliefs(answer: PriorAnswer, region: int) -> dict[str, ParameterSummary]:
    beliefs: dict[str, ParameterSummary] = {
        row.parameter: NumericQuantiles(low=row.low, median=row.best, high=row.high)
        for row in answer.numeric
        if row.region == region
    }
    tables: dict[str, dict[str, float]] = {}
    for row in answer.categorical:
        if row.region == region:
            tables.setdefault(row.parameter, {})[row.choice] = row.weight
    return {**beliefs, **tables}


def _belief_dict(belief: ParameterSummary) -> dict[str, Any]:
    if isinstance(belief, NumericQuantiles):
        quantiles = {"low": belief.low, "median": belief.median, "high": belief.high}
    else:
        quantiles = dict(belief)
    return {name: _json_number(value) for name, value in quantiles.items()}


def _json_number(value: float) -> float | str:
    """A number, or the name of one that JSON does not know."""
    return float(value) if math.isfinite(value) else str(float(value))
