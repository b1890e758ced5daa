"""A question of bounded size: what is left out first, and how much of it (`LEVELS`).

Rows are left out whole and texts say that they were cut; nothing is broken off.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from llm_prior_bo.elicitation.prompt.context import PARAMETER_ATTRIBUTES, STUDY_ATTRIBUTES, StudyContext, cut
from llm_prior_bo.elicitation.prompt.insights import RegionReport, StudyInsights

# One token each: up to five letters, a digit, a line break, any other character. Blanks join what follows them.
_PIECE = re.compile(r"[A-Z]?[a-z]{1,5}|[A-Z]{1,2}|\n|[^\sA-Za-z]")
_WIDE = re.compile(r"[\u2e80-\uffef]")  # Chinese, Japanese, Korean: up to five tokens for four
_RARE = re.compile(r"[\U00010000-\U0010ffff]")  # emoji and rare scripts: about three tokens each


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of each part of a question is shown; `None`: all of it.

    Args:
        trials: Rows of trials.
        text: Characters of each text of the user.
        choices: Choices listed from either end of a long list.
        descriptions: Characters of each parameter's description, and of its condition.
        parameters: Parameters in the insights, the most important ones.
        regions: Regions in the insights, the latest and heaviest.
    """

    trials: int | None = None
    text: int | None = None
    choices: int | None = None
    descriptions: int | None = None
    parameters: int | None = None
    regions: int | None = None

    def apply(self, context: StudyContext) -> StudyContext:
        """The context without what is beyond the limits (choices are shortened where they are written)."""
        if self.trials is not None:
            context = context.with_fewer_trials(self.trials)
        if self.text is not None:
            context = _with_short_texts(context, self.text)
        if self.descriptions is not None:
            context = _with_short_descriptions(context, self.descriptions)
        if context.insights is not None:
            context = replace(context, insights=self._apply_to_insights(context.insights))
        return context

    def _apply_to_insights(self, insights: StudyInsights) -> StudyInsights:
        names = set(ranked_parameters(insights)[: self.parameters])
        regions = _heaviest(insights.regions, self.regions)
        if self.parameters is not None:
            regions = tuple(
                replace(region, beliefs={k: v for k, v in (region.beliefs or {}).items() if k in names})
                for region in regions
            )
        return replace(
            insights,
            importance={name: share for name, share in insights.importance.items() if name in names},
            optimum={name: belief for name, belief in insights.optimum.items() if name in names},
            regions=regions,
        )


LEVELS: tuple[tuple[str, Limits], ...] = (
    ("fewer trials", Limits(trials=10)),
    ("short texts", Limits(trials=5, text=1_000, choices=20)),
    ("short lists", Limits(trials=5, text=500, choices=5, descriptions=100, parameters=20, regions=6)),
    ("essentials", Limits(trials=2, text=300, choices=1, descriptions=0, parameters=5, regions=3)),
    ("bare space", Limits(trials=0, text=100, choices=0, descriptions=0, parameters=5, regions=3)),
)
"""How a question is shortened, mildest first. Trials go first: the surrogate knows them all. What the user has written
and what the space is go last: nobody else can say them."""

_GIVEN_BACK = ("regions", "parameters", "descriptions", "choices", "text", "trials")
"""What room that is left is used for, most important first; the last two use up what there is."""


def fitting_limits(fits: Callable[[Limits], bool]) -> Limits:
    """The limits under which a question fits: none if it does anyway, those of the last level if it never does.

    Of the first level that fits, what it cuts is given back as far as there is room.

    Args:
        fits: Whether a question with such limits is small enough.
    """
    milder = Limits()
    if fits(milder):
        return milder
    for _, limits in LEVELS:
        if fits(limits):
            for name in _GIVEN_BACK:
                limits = _widened(limits, name, getattr(milder, name), fits)
            return limits
        milder = limits
    return milder


def estimated_tokens(text: str) -> int:
    """About how many tokens a text has, rather more than fewer.

    Tokenisers differ between models and none is at hand for most, so pieces are counted: up to five letters, every
    digit and sign. That is a quarter to a half above common tokenisers for prose, JSON and tables of numbers alike. A
    number of characters a token would not do: prose has four, tables of numbers have less than two.
    """
    return len(_PIECE.findall(text)) + len(_WIDE.findall(text)) // 4 + 2 * len(_RARE.findall(text))


def ranked_parameters(insights: StudyInsights) -> list[str]:
    """The parameters that something was learned about, most important first."""
    names = dict.fromkeys((*insights.importance, *insights.optimum))
    return sorted(names, key=lambda name: -insights.importance.get(name, 0.0))


def _widened(limits: Limits, name: str, most: int | None, fits: Callable[[Limits], bool]) -> Limits:
    """Limits with the widest value of one of them that fits, at most `most` (`None`: all there is)."""

    def with_value(value: int | None) -> Limits:
        return replace(limits, **{name: value})

    low: int = getattr(limits, name) or 0
    if most == getattr(limits, name):
        return limits
    if fits(with_value(most)):
        return with_value(most)
    high = max(2 * low, 1)
    while (most is None or high < most) and fits(with_value(high)):
        low, high = high, 2 * high
    high = high if most is None else min(high, most)
    while high - low > 1 + low // 20:  # to a twentieth: each try writes the whole question
        middle = (low + high) // 2
        low, high = (middle, high) if fits(with_value(middle)) else (low, middle)
    return with_value(low)


def _with_short_texts(context: StudyContext, limit: int) -> StudyContext:
    texts = {name: getattr(context, name) for name in STUDY_ATTRIBUTES}
    short = {name: cut(text, limit) for name, text in texts.items() if text is not None}
    return replace(context, **short)  # type: ignore[arg-type]  # the attributes of that list are all text


def _with_short_descriptions(context: StudyContext, limit: int) -> StudyContext:
    texts = {attribute: getattr(context, attribute) if limit else {} for attribute in PARAMETER_ATTRIBUTES}
    short = {attribute: {k: cut(text, limit) for k, text in table.items()} for attribute, table in texts.items()}
    return replace(context, **short)  # type: ignore[arg-type]  # the attributes of that list are all such tables


def _heaviest(regions: tuple[RegionReport, ...], limit: int | None) -> tuple[RegionReport, ...]:
    """The latest and heaviest regions, in the order in which they were."""
    if limit is None or len(regions) <= limit:
        return regions
    ranked = sorted(range(len(regions)), key=lambda i: (-regions[i].asked_at_trial, -regions[i].stated_weight))
    return tuple(regions[i] for i in sorted(ranked[:limit]))
