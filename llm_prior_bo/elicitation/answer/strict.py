"""A person's mistakes in an answer: told with the nearest names, where a language model's would be repaired.

A model is asked again, or what it got wrong is dropped, for the study must go on. A person is there to mend it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo.elicitation.answer.choices import choice_texts, match_choice
from llm_prior_bo.elicitation.answer.names import NameMatcher, belief_rows, listing
from llm_prior_bo.elicitation.answer.schema import choice_text
from llm_prior_bo.elicitation.answer.values import as_float, shown
from llm_prior_bo.errors import AnswerError
from llm_prior_bo.space import SearchSpace

MAX_MISTAKES = 5
"""Mistakes that are told at once."""


def check_names_and_ranges(
    answer: Mapping[str, Any], space: SearchSpace, *, exact: bool = True, is_complete: bool = True
) -> None:
    """Refuse an answer with names, choices or intervals that do not fit the space.

    Args:
        answer: The answer as a dict; rows of another shape are left to others.
        space: The search space.
        exact: Whether names must be spelled exactly, or another case and other dashes will do.
        is_complete: Whether `space` has all parameters. If not, an unknown name is refused only if it is close to the
            name of a parameter that the answer does not have, for it may be that of a conditional one, and ranges are
            not looked at, for they may be others in the next trial.

    Raises:
        AnswerError: With the first mistakes, the nearest names and what is legal.
    """
    names = NameMatcher(space.names)
    rows = [(kind, row) for kind in ("numeric", "categorical") for row in belief_rows(answer, kind)]
    given = {name for _, row in rows if (name := names(row.get("parameter"))) is not None}
    mistakes: dict[str, None] = {}
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
    if match_choice(text, distribution.choices) is None:
        texts = choice_texts(distribution.choices)
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
