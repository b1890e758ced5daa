"""A person's mistakes in an answer: told with the nearest names, where a language model's would be repaired.

A model is asked again, or what it got wrong is dropped, for the study must go on. A person is there to mend it.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import BaseModel

from llm_prior_bo.elicitation.answer.choices import choice_texts, match_choice
from llm_prior_bo.elicitation.answer.names import NameMatcher, belief_rows, listing
from llm_prior_bo.elicitation.answer.schema import (
    CategoricalBelief,
    Correlation,
    NumericBelief,
    PriorAnswer,
    Region,
    choice_text,
)
from llm_prior_bo.elicitation.answer.values import as_float, as_integer, shown
from llm_prior_bo.errors import AnswerError
from llm_prior_bo.space import SearchSpace

MAX_MISTAKES = 5
"""Mistakes that are told at once."""


def check_names_and_ranges(
    answer: Mapping[str, Any], space: SearchSpace, *, exact: bool = True, is_complete: bool = True
) -> None:
    """Refuse an answer with names, choices or intervals that do not fit the space, or with rows that say nothing.

    Args:
        answer: The answer as a dict; rows of another shape are left to others.
        space: The search space.
        exact: Whether names must be spelled exactly and all else is a `PriorAnswer` for `build_prior`, or another case
            and other dashes will do and every field was written by hand.
        is_complete: Whether `space` has all parameters. If not, an unknown name is refused only if it is close to the
            name of a parameter that the answer does not have, for it may be that of a conditional one, and ranges are
            not looked at, for they may be others in the next trial.

    Raises:
        AnswerError: With the first mistakes, the nearest names and what is legal.
    """
    names = NameMatcher(space.names)
    rows = [(kind, row) for kind in ("numeric", "categorical") for row in belief_rows(answer, kind)]
    given = {name for _, row in rows if (name := names(row.get("parameter"))) is not None}
    mistakes: dict[str, None] = dict.fromkeys(_zero_weights(answer, space))
    if not exact:  # a `PriorAnswer`, which is of the right shape, has them ordered and clipped as `build_prior` says
        mistakes |= dict.fromkeys(_slips(answer, space, names, is_complete=is_complete))
    for kind, row in rows:
        text = row.get("parameter")
        name = names(text)
        if name is None or (exact and name != text):
            candidates = space.names if is_complete else [other for other in space.names if other not in given]
            near = nearest(text, candidates)
            if is_complete or near:
                mistakes[f"no parameter {shown(text)}{_meant(near)}"] = None
        else:
            mistakes |= dict.fromkeys(_mistakes_in(kind, row, name, space, ranges=is_complete))
    if mistakes:
        told = "; ".join(list(mistakes)[:MAX_MISTAKES])
        more = f"; and {len(mistakes) - MAX_MISTAKES} more" if len(mistakes) > MAX_MISTAKES else ""
        raise AnswerError(
            f"Expected an answer about the search space with the parameters {listing(space.names)}, got one that does "
            f"not fit it: {told}{more}."
        )


def nearest(text: object, names: Iterable[str]) -> list[str]:
    """Up to three of the names that a text may have been meant for, the nearest first."""
    by_folded = {name.casefold(): name for name in names}
    return [by_folded[name] for name in difflib.get_close_matches(str(text)[:200].casefold(), by_folded, n=3)]


def _meant(near: list[str]) -> str:
    return f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""


def _zero_weights(answer: Mapping[str, Any], space: SearchSpace) -> Iterator[str]:
    """Weights that leave nothing of the regions, or of a parameter's choices."""
    regions = list(belief_rows(answer, "regions"))
    if regions and all(as_float(row.get("weight")) == 0.0 for row in regions):
        yield "the weights of all regions are 0: give at least one a positive weight"
    tables: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in belief_rows(answer, "categorical"):
        tables.setdefault((shown(row.get("region")), str(row.get("parameter"))), []).append(row)
    for (region, name), rows in tables.items():
        distribution = space.distributions.get(name)
        known = len(distribution.choices) if isinstance(distribution, CategoricalDistribution) else math.inf
        # Of choices that are left out, which share the rest, there is something left.
        if len(rows) >= known and all(as_float(row.get("weight")) == 0.0 for row in rows):
            yield f"the weights of all choices of {name!r} in region {region} are 0: give one a positive weight"


def _slips(answer: Mapping[str, Any], space: SearchSpace, names: NameMatcher, *, is_complete: bool) -> Iterator[str]:
    """What a language model's answer would lose, or keep in another sense than was meant."""
    yield from _unknown_regions(answer)
    for kind, model in _ROWS.items():
        for row in belief_rows(answer, kind):
            yield from _wrong_numbers(row, model)
    for row in belief_rows(answer, "numeric"):
        yield from _outside_interval(row)
    confidence = as_float(answer.get("confidence"))
    if confidence is not None and not (0.0 <= confidence <= 1.0 or 2.0 <= confidence <= 100.0):  # a percentage is plain
        yield f"confidence is {confidence:g}, no probability; write a number from 0 to 1, e.g. 0.8"
    for key in (key for key in answer if key not in PriorAnswer.model_fields):
        near = nearest(key, (name for name in PriorAnswer.model_fields if name not in answer))
        yield from [f"no field {shown(key)}{_meant(near)}"] if near else []
    for text in (row.get(key) for row in belief_rows(answer, "correlations") for key in ("first", "second")):
        near = nearest(text, space.names)
        if names(text) is None and (is_complete or near):
            yield f"no parameter {shown(text)} in a correlation{_meant(near)}"


def _unknown_regions(answer: Mapping[str, Any]) -> Iterator[str]:
    numbers = [as_integer(row.get("region")) for row in belief_rows(answer, "regions")]
    if not numbers or None in numbers:
        return
    for kind in ("numeric", "categorical", "correlations"):
        for number in (row.get("region") for row in belief_rows(answer, kind)):
            if number is not None and as_integer(number) not in numbers:
                yield f"a row of region {shown(number)}: the regions are {', '.join(map(str, numbers))}"


def _wrong_numbers(row: Mapping[str, Any], model: type[BaseModel]) -> Iterator[str]:
    """Units in a text, a misspelled field, a negative weight."""
    whose = shown(row["parameter"]) if "parameter" in row else f"region {shown(row.get('region'))}"
    for field in (name for name, known in model.model_fields.items() if known.annotation is float):
        value, number = row.get(field), as_float(row.get(field))
        if field not in row:
            near = nearest(field, (str(key) for key in row if key not in model.model_fields))
            yield from [f"{field} of {whose} is missing; is it {' or '.join(map(repr, near))}?"] if near else []
        elif number is None and value is not None:
            yield f"{field} of {whose} is {shown(value)}, no finite number; write it without a unit"
        elif number is not None and field == "weight" and number < 0.0:
            yield f"{field} of {whose} is {number:g}; write a number >= 0"


def _outside_interval(row: Mapping[str, Any]) -> Iterator[str]:
    best, low, high = (as_float(row.get(key)) for key in ("best", "low", "high"))
    if best is None or low is None or high is None:
        return
    low, high = min(low, high), max(low, high)
    if not low <= best <= high:
        yield f"best of {shown(row.get('parameter'))} is {best:g}, not between its low {low:g} and high {high:g}"


_ROWS: Mapping[str, type[BaseModel]] = {
    "regions": Region,
    "numeric": NumericBelief,
    "categorical": CategoricalBelief,
    "correlations": Correlation,
}


def _mistakes_in(kind: str, row: Mapping[str, Any], name: str, space: SearchSpace, *, ranges: bool) -> Iterator[str]:
    distribution = space.distributions[name]
    if isinstance(distribution, CategoricalDistribution):
        if kind == "categorical":
            yield from _wrong_choice(row.get("choice"), name, distribution)
    elif kind == "numeric" and ranges:
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        yield from _outside(row, name, float(distribution.low), float(distribution.high))


def _wrong_choice(choice: object, name: str, distribution: CategoricalDistribution) -> Iterator[str]:
    text = choice if isinstance(choice, str) else choice_text(choice)
    texts = choice_texts(distribution.choices)
    if text != text.strip() and text not in texts and text.strip() in texts:
        yield f"the choice {shown(choice)} of {name!r} has blanks around it; write {text.strip()!r}"
    elif match_choice(text, distribution.choices) is None:
        yield (
            f"no choice {shown(choice)} of {name!r}{_meant(nearest(text, texts))}, its choices are {listing(texts, 20)}"
        )


def _outside(row: Mapping[str, Any], name: str, floor: float, ceiling: float) -> Iterator[str]:
    """An interval may reach beyond the range, for it is one of belief; its best value may not."""
    best, low, high = (as_float(row.get(key)) for key in ("best", "low", "high"))
    if best is None or low is None or high is None:
        return
    if not floor <= best <= ceiling or max(low, high) < floor or min(low, high) > ceiling:
        yield f"{name!r} with best {best:g} and {low:g} to {high:g} is outside its range {floor:g} to {ceiling:g}"
