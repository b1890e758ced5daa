"""From a model's text to a JSON object: plain, fenced, or with words around it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from llm_prior_bo.elicitation.answer.schema import PriorAnswer
from llm_prior_bo.elicitation.llm.secrets import cut_off
from llm_prior_bo.errors import AnswerError

ANSWER_FIELDS = tuple(PriorAnswer.model_fields)
"""The fields of an answer, in order."""

# Any of these marks an object as an answer; an inner row or a stray object in the model's reasoning has none of them.
_MARKS = ("regions", "numeric", "categorical")
_LANGUAGE = re.compile(r"[a-zA-Z]*")
_MAX_CHARACTERS = 500_000
# Brackets are tried until so many characters have been read without success.
_MAX_WORK = 4 * _MAX_CHARACTERS
_COST_OF_FAILURE = 1_000  # in characters: each error counts the lines of the text before it
_COST_OF_DEPTH = 10_000  # a text that is nested too deeply was read as far as the recursion went


def parse_answer(text: str) -> dict[str, Any]:
    """The JSON object in a model's text.

    Several objects that look like an answer: the last one, since models think first.

    Raises:
        AnswerError: With a text that is good to send back to the model.
    """
    if not text.strip():
        raise AnswerError("Expected one JSON object, got an empty answer.")
    if len(text) > _MAX_CHARACTERS:
        raise AnswerError(f"Expected a short JSON object, got {len(text):,} characters; give fewer rows.")
    for candidate in _candidates(text):
        found = _answer_object(_load(candidate))
        if found is not None:
            return found
    embedded = [found for value in _embedded_objects(text) if (found := _answer_object(value)) is not None]
    if embedded:
        return embedded[-1]
    raise AnswerError(_diagnosis(text))


def follows_schema(text: str) -> bool:
    """Whether a text is the JSON of an answer as the schema has it, whatever its rows say: some server enforced it."""
    try:
        PriorAnswer.model_validate_json(text[:_MAX_CHARACTERS])
    except ValidationError:
        return False
    return True


def _candidates(text: str) -> Iterator[str]:
    yield text.strip().lstrip("\ufeff")
    yield from reversed(_fenced(text))


def _fenced(text: str) -> list[str]:
    """What stands between pairs of fences, in time that is linear in the length of the text."""
    parts = text.split("```")
    inner = parts[1 : len(parts) - 1 : 2]  # the last part has no fence behind it
    return [part[_LANGUAGE.match(part).end() :] for part in inner]  # type: ignore[union-attr]  # matches anything


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # not JSON, an integer of thousands of digits, too deep a nesting
        return None


def _answer_object(value: Any, depth: int = 0) -> dict[str, Any] | None:
    """The answer in a JSON value: itself, or the one thing that is wrapped in a list, an object or a string."""
    if depth > 2:
        return None
    if isinstance(value, dict):
        if any(mark in value for mark in _MARKS):
            return value
        return _answer_object(next(iter(value.values())), depth + 1) if len(value) == 1 else None
    if isinstance(value, list):
        return _answer_object(value[0], depth + 1) if len(value) == 1 else None
    return _answer_object(_load(value), depth + 1) if isinstance(value, str) else None


def _embedded_objects(text: str) -> Iterator[Any]:
    """Every JSON object in a text, outermost ones only."""
    decoder = json.JSONDecoder()
    position = text.find("{")
    work = 0  # each bracket may be read to the far end for nothing: a hostile text must not take its length squared
    while position >= 0 and work < _MAX_WORK:
        try:
            value, end = decoder.raw_decode(text, position)
            yield value
        except json.JSONDecodeError as error:
            work += error.pos - position + _COST_OF_FAILURE
            end = position + 1
        except (ValueError, RecursionError):
            work += _COST_OF_DEPTH
            end = position + 1
        position = text.find("{", end)


def _diagnosis(text: str) -> str:
    """Why there is no answer in a text, for the model to read."""
    value = _load(_unfenced(text))
    if isinstance(value, dict):
        given = ", ".join(cut_off(str(name), 50) for name in sorted(map(str, value))[:10]) or "none"
        return f"Expected a JSON object with the fields {', '.join(ANSWER_FIELDS)}, got one with the fields {given}."
    if value is not None:
        return f"Expected one JSON object, got a JSON {type(value).__name__}."
    if any(f'"{mark}"' in text for mark in _MARKS):
        return f"Expected one complete JSON object, got JSON that breaks off or has an error: {_json_error(text)}."
    return "Expected one JSON object, got text without one."


def _unfenced(text: str) -> str:
    blocks = _fenced(text)
    return blocks[-1] if blocks else text


def _json_error(text: str) -> str:
    try:
        json.loads(text[text.find("{") :])
    except json.JSONDecodeError as error:
        return f"{error.msg} at character {error.pos} of {len(text)}"
    except (ValueError, RecursionError) as error:
        return type(error).__name__
    return "it is not where it should be"  # pragma: no cover - such a text would have been read
