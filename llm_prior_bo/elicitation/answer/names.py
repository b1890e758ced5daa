"""Names of parameters in an answer: which parameter is meant, and whether the answer is about this space at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from llm_prior_bo.elicitation.answer.schema import PriorAnswer
from llm_prior_bo.elicitation.answer.values import clean
from llm_prior_bo.elicitation.llm.secrets import cut_off
from llm_prior_bo.errors import AnswerError
from llm_prior_bo.space import SearchSpace

MAX_NAME_CHARACTERS = 200
"""A longer name in an answer is cut in what is said about it."""


def check_fit(answer: Mapping[str, Any] | PriorAnswer, space: SearchSpace) -> None:
    """Refuse a hand-written answer that belongs to another search space.

    Raises:
        AnswerError: If the answer has beliefs, but none about a parameter of the space.
    """
    data = answer.model_dump() if isinstance(answer, PriorAnswer) else answer
    given = parameters_named(data, known=NameMatcher(space.names))
    if given and not any(name in space.names for name in given):
        raise AnswerError(mismatch(space, given))


def parameters_named(data: Mapping[str, Any], *, known: Callable[[object], str | None]) -> list[str]:
    """Parameters in the belief rows of an answer: in the space's spelling where it knows them; no doubles."""
    names: dict[str, None] = {}
    for kind in ("numeric", "categorical"):
        for row in belief_rows(data, kind):
            if "parameter" in row:
                names[known(row["parameter"]) or clean(row["parameter"])[:MAX_NAME_CHARACTERS]] = None
    return list(names)


def belief_rows(answer: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    """The rows of one kind; what is no row is left to others."""
    rows = answer.get(kind)
    yield from (row for row in (rows if isinstance(rows, list | tuple) else ()) if isinstance(row, Mapping))


def mismatch(space: SearchSpace, given: Iterable[str]) -> str:
    """What to say of an answer that is about other parameters altogether."""
    return (
        f"Expected beliefs about parameters of this search space, {listing(space.names)}, got beliefs about "
        f"{listing(given)}; the answer fits another search space, or its names are misspelled."
    )


def listing(names: Iterable[str], limit: int = 40) -> str:
    """Names in quotes, the first `limit` of them, each of bounded length."""
    shown = [repr(cut_off(name, MAX_NAME_CHARACTERS)) for name in names]
    more = f" and {len(shown) - limit} more" if len(shown) > limit else ""
    return ", ".join(shown[:limit]) + more


class NameMatcher:
    """Finds the parameter that a text names: exactly, else without regard to case, blanks and the kind of dash."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)
        self._folded: dict[str, list[str]] = {}
        for name in names:
            self._folded.setdefault(self._fold(name), []).append(name)

    def __call__(self, text: object) -> str | None:
        """The parameter, `None` if the text names none or several."""
        if not isinstance(text, str):
            return None
        if text in self._names:
            return text
        candidates = self._folded.get(self._fold(text), [])
        return candidates[0] if len(candidates) == 1 else None

    @staticmethod
    def _fold(name: str) -> str:
        return name.strip().strip("\"'`").strip().casefold().replace("-", "_").replace(" ", "_")
