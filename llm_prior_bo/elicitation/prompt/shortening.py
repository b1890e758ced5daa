"""A question of bounded size: what is left out first, and how much of it.

Rows are left out whole and texts say that they were cut; nothing is broken off. The order is that of `_STEPS`: rows of
trials beyond a few, long texts of the user, long lists of choices, descriptions of parameters, insights, and then more
of each.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from llm_prior_bo.elicitation.prompt.context import STUDY_ATTRIBUTES, StudyContext, cut
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
        descriptions: Characters of each parameter's description.
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


_STEPS: tuple[tuple[str, int], ...] = (
    *(("trials", n) for n in (500, 200, 100, 50, 30, 20, 15, 10, 5)),
    *(("text", n) for n in (8_000, 4_000, 2_000, 1_000)),
    *(("choices", n) for n in (20, 5, 1)),
    *(("descriptions", n) for n in (100, 0)),
    *(("parameters", n) for n in (20, 10, 5)),
    *(("regions", n) for n in (12, 6, 3)),
    ("text", 300),
    ("choices", 0),
    *(("trials", n) for n in (2, 0)),
    ("text", 100),
)


def fitting_limits(fits: Callable[[Limits], bool]) -> Limits:
    """The limits under which a question fits: no limits if it does anyway, the tightest if it never does.

    Whatever was cut further than necessary, because it came early in the order, is given back as far as there is room:
    what was cut last first.

    Args:
        fits: Whether a question with such limits is small enough.
    """
    limits = Limits()
    if fits(limits):
        return limits
    for name, value in _STEPS:
        limits = _limited(limits, name, value)
        if fits(limits):
            return _with_room_used(limits, fits)
    return limits


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


def _with_room_used(limits: Limits, fits: Callable[[Limits], bool]) -> Limits:
    for name in dict.fromkeys(name for name, _ in reversed(_STEPS)):
        values = [None, *(value for step, value in _STEPS if step == name)]
        for value in reversed(values[: values.index(getattr(limits, name))]):
            wider = _limited(limits, name, value)
            if not fits(wider):
                break
            limits = wider
    return limits


def _limited(limits: Limits, name: str, value: int | None) -> Limits:
    return replace(limits, **{name: value})


def _with_short_texts(context: StudyContext, limit: int) -> StudyContext:
    texts = {name: getattr(context, name) for name in STUDY_ATTRIBUTES}
    short = {name: cut(text, limit) for name, text in texts.items() if text is not None}
    return replace(context, **short)  # type: ignore[arg-type]  # the attributes of that list are all text


def _with_short_descriptions(context: StudyContext, limit: int) -> StudyContext:
    texts = context.parameter_descriptions if limit else {}
    return replace(context, parameter_descriptions={name: cut(text, limit) for name, text in texts.items()})


def _heaviest(regions: tuple[RegionReport, ...], limit: int | None) -> tuple[RegionReport, ...]:
    """The latest and heaviest regions, in the order in which they were."""
    if limit is None or len(regions) <= limit:
        return regions
    ranked = sorted(range(len(regions)), key=lambda i: (-regions[i].asked_at_trial, -regions[i].stated_weight))
    return tuple(regions[i] for i in sorted(ranked[:limit]))
