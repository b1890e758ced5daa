"""What an answer says to people: its notes, and best guesses at a bound of their range.

Nothing acts on it. A belief that presses against a bound is a hint that the range is too narrow, and only a person can
say whether it may be wider.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optuna.distributions import FloatDistribution, IntDistribution

from llm_prior_bo.elicitation.answer.schema import PriorAnswer
from llm_prior_bo.elicitation.llm.secrets import printable

if TYPE_CHECKING:
    from llm_prior_bo.space import SearchSpace

MAX_NOTES_CHARACTERS = 600
AT_A_BOUND = 0.01
"""Share of the range, on its own scale, within which a best guess counts as being at the bound."""


def remarks(answer: PriorAnswer) -> str:
    """The notes of an answer, shortened and escaped, fit to be shown."""
    notes = " ".join(printable(answer.notes, keep="\n\t").split())
    return notes if len(notes) <= MAX_NOTES_CHARACTERS else f"{notes[:MAX_NOTES_CHARACTERS].rstrip()} ..."


def guesses_at_bounds(answer: PriorAnswer, space: SearchSpace) -> tuple[str, ...]:
    """Which best guesses are at a bound of their range, as "learning_rate at its upper bound 0.1".

    Args:
        answer: The answer.
        space: The space that it was asked for.
    """
    found = []
    for row in answer.numeric:
        if row.parameter not in space.names or not math.isfinite(row.best):
            continue
        distribution = space.column(row.parameter).distribution
        if not isinstance(distribution, FloatDistribution | IntDistribution) or distribution.single():
            continue
        low, high, best = float(distribution.low), float(distribution.high), row.best
        if distribution.log:
            low, high, best = math.log(low), math.log(high), math.log(max(best, float(distribution.low)))
        position = (best - low) / (high - low)
        side = "lower" if position <= AT_A_BOUND else "upper" if position >= 1.0 - AT_A_BOUND else None
        if side is not None:
            bound = distribution.low if side == "lower" else distribution.high
            found.append(f"{printable(row.parameter)} at its {side} bound {bound:g}")
    return tuple(dict.fromkeys(found))
