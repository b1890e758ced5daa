"""Categorical choices and the text that stands for them in prompts and answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence

from llm_prior_bo.elicitation.answer.schema import choice_text


def choice_texts(choices: Sequence[object]) -> tuple[str, ...]:
    """One text per choice, all different.

    `str(choice)`, or `repr(choice)` where two choices share a text (`1` and `"1"`), so that an answer names one.
    """
    plain = [choice_text(choice) for choice in choices]
    times = Counter(plain)
    texts = [repr(c) if times[text] > 1 else text for text, c in zip(plain, choices, strict=True)]
    # Only choices of exotic types can still be alike, e.g. 1 and a number whose repr is "1".
    times = Counter(texts)
    return tuple(text if times[text] == 1 else f"{text} [{i}]" for i, text in enumerate(texts))


def match_choice(text: str, choices: Sequence[object]) -> int | None:
    """Index in `choices` of the one that `text` names, `None` if it names none or several.

    From strict to lenient: the exact text; the text without blanks, quotes and case (`" Adam "`, `"'adam'"`); JSON
    spellings (`null`, `true`); an equal number (`"32.0"` for `32`).
    """
    texts = choice_texts(choices)
    readings: tuple[Callable[[], list[int]], ...] = (
        lambda: [i for i, known in enumerate(texts) if known == text],
        lambda: [i for i, known in enumerate(texts) if _folded(known) == _folded(text)],
        lambda: [i for i, choice in enumerate(choices) if _json_spelling(choice) == _folded(text)],
        lambda: [i for i, choice in enumerate(choices) if _same_number(choice, text)],
    )
    for reading in readings:
        hits = reading()
        if len(hits) == 1:
            return hits[0]
    return None


def _folded(text: str) -> str:
    return text.strip().strip("\"'`").strip().casefold()


def _json_spelling(choice: object) -> str | None:
    return json.dumps(choice) if choice is None or isinstance(choice, bool) else None


def _same_number(choice: object, text: str) -> bool:
    if isinstance(choice, bool) or not isinstance(choice, int | float):
        return False
    try:
        return float(_folded(text)) == choice
    except ValueError:
        return False
