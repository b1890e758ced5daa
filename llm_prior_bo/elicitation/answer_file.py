"""Answers as files that people read and edit, and where such an answer came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import ValidationError

from llm_prior_bo.elicitation.answer.choices import choice_texts
from llm_prior_bo.elicitation.answer.parsing import parse_answer
from llm_prior_bo.elicitation.answer.readable import answer_from_readable, is_flat, readable_regions
from llm_prior_bo.elicitation.answer.schema import PriorAnswer, describe_validation_error
from llm_prior_bo.elicitation.answer.yaml_document import Document, read_yaml, yaml_block, yaml_number, yaml_text
from llm_prior_bo.elicitation.files import read_text_file
from llm_prior_bo.elicitation.llm.secrets import printable
from llm_prior_bo.elicitation.record import EDITED_BY_HAND, Elicitation
from llm_prior_bo.errors import AnswerError, ConfigurationError
from llm_prior_bo.space import SearchSpace

ORIGIN_FIELD = "from"
"""Key of an answer's file under which it says where the answer came from."""

YAML_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Origin:
    """Where the answer in a file came from.

    Args:
        model: Who answered, as in `Elicitation`.
        created_at: ISO 8601 time, UTC.
        prompt_version: Version of the prompt's wording.
        prompt_hash: Hash of the prompt.
        answer_hash: Hash of the answer as it was written to the file.
        edited: Whether the answer is another one now.
    """

    model: str | None = None
    created_at: str = ""
    prompt_version: str | None = None
    prompt_hash: str | None = None
    answer_hash: str = ""
    edited: bool = False

    @property
    def author(self) -> str:
        """Who answered, for a record: the model, and that somebody has edited its answer."""
        return f"{self.model or 'unknown'}{EDITED_BY_HAND if self.edited else ''}"


@dataclass(frozen=True)
class AnswerFile:
    """What a file says.

    Args:
        answer: The answer; one that has the schema's flat rows is as it stands there, and may need repair.
        origin: Where it came from; `None` if the file does not say so: a person wrote it.
    """

    answer: PriorAnswer | Mapping[str, Any]
    origin: Origin | None = None


def load_answer(path: str | Path) -> PriorAnswer:
    """Read an answer from a YAML or JSON file: by hand, by `save_answer`, or in the form of the schema.

    Names and ranges are checked by whoever uses the answer (`build_prior`, `FixedElicitor`): only there is the search
    space known.

    Args:
        path: A file `.yaml` or `.yml`; any other is read as JSON.

    Raises:
        ConfigurationError: If the file cannot be read.
        AnswerError: If it holds no answer; with the line, or the key.
    """
    answer = read_answer_file(path).answer
    if isinstance(answer, PriorAnswer):
        return answer
    empty = {"notes": "", "regions": [], "numeric": [], "categorical": [], "correlations": []}
    try:
        return PriorAnswer.model_validate({**empty, **answer})
    except ValidationError as error:
        raise AnswerError(f"Cannot use the file {str(path)!r}. {describe_validation_error(error)}") from None


def save_answer(
    answer: PriorAnswer | Elicitation, path: str | Path, *, space: SearchSpace | None = None, overwrite: bool = False
) -> None:
    """Write an answer to a file that a person can read and edit; `load_answer` and `FixedElicitor` read it.

    Of an `Elicitation` the file also says who answered when to which prompt, and, as comments, what was repaired. When
    it is read, an answer that differs from the one that was written counts as edited by hand.

    Args:
        answer: An answer, or one with its record.
        path: A file `.yaml` or `.yml` (with comments), or `.json`.
        space: With it, ranges, scales and choices of the parameters stand in the file as comments.
        overwrite: Whether a file that is there may be replaced, with whatever somebody has edited in it.

    Raises:
        ConfigurationError: If the name of the file ends in something else, it is there already, or cannot be written.
        AnswerError: If the answer has numeric and categorical rows about one parameter in a region.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (*YAML_SUFFIXES, ".json"):
        raise ConfigurationError(f"Expected a file that ends in .yaml, .yml or .json, got {str(path)!r}.")
    record = answer if isinstance(answer, Elicitation) else None
    content = record.answer if record is not None else answer
    assert isinstance(content, PriorAnswer)
    data = _readable(content, _origin_of(record))
    repairs = record.repairs if record is not None else ()
    text = json.dumps(data, indent=2) if suffix == ".json" else "\n".join(_yaml(data, repairs, space))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if overwrite else "x", encoding="utf-8", newline="\n") as file:
            file.write(f"{text}\n")
    except OSError as error:
        if isinstance(error, FileExistsError) and path.exists():
            raise ConfigurationError(
                f"Expected a new file, got {str(path)!r}, which is there and may have been edited; give overwrite=True "
                "to replace it."
            ) from None
        raise ConfigurationError(f"Cannot write {str(path)!r}: {error.strerror}; give another path.") from None


# Reading -------------------------------------------------------------------------------------------------------------


def read_answer_file(path: str | Path) -> AnswerFile:
    """The answer in a file, and where it came from.

    Args:
        path: As for `load_answer`.

    Raises:
        ConfigurationError: If the file cannot be read.
        AnswerError: If it holds no answer.
    """
    text = read_text_file(path, what="an answer")
    try:
        document = read_yaml(text) if Path(path).suffix.lower() in YAML_SUFFIXES else _read_json(text)
        return _answer_file(document)
    except AnswerError as error:
        hint = " It looks like a recording: use ReplayElicitor." if '"completions"' in text else ""
        raise AnswerError(f"Cannot use the file {str(path)!r}. {error}{hint}") from None


def _read_json(text: str) -> Document:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    # A model's text with words around its JSON is read as well, and what is neither is told there.
    return Document(data if isinstance(data, dict) and data and not is_flat(data) else parse_answer(text))


def _answer_file(document: Document) -> AnswerFile:
    data = document.data
    origin = data.get(ORIGIN_FIELD) if isinstance(data, Mapping) else None
    if isinstance(data, Mapping) and _is_origin(origin):
        document = replace(document, data={key: value for key, value in data.items() if key != ORIGIN_FIELD})
    else:
        origin = None
    if is_flat(document.data):
        return AnswerFile(document.data)
    answer = answer_from_readable(document)
    return AnswerFile(answer, None if origin is None else _read_origin(origin, answer))


def _is_origin(value: object) -> bool:
    return isinstance(value, Mapping) and "answer" in value and "model" in value


def _read_origin(data: Mapping[str, Any], answer: PriorAnswer) -> Origin:
    known = {key: str(data[key]) for key in ("model", "time", "prompt_version", "prompt_hash", "answer") if key in data}
    return Origin(
        model=known.get("model"),
        created_at=known.get("time", ""),
        prompt_version=known.get("prompt_version"),
        prompt_hash=known.get("prompt_hash"),
        answer_hash=known["answer"],
        edited=_hash(_readable(answer, None)) != known["answer"],
    )


# Writing -------------------------------------------------------------------------------------------------------------


def _origin_of(record: Elicitation | None) -> Origin | None:
    if record is None:
        return None
    return Origin(record.model, record.created_at, record.prompt_version, record.prompt_hash)


def _readable(answer: PriorAnswer, origin: Origin | None) -> dict[str, Any]:
    data: dict[str, Any] = {
        "notes": answer.notes,
        "confidence": answer.confidence,
        "regions": readable_regions(answer),
    }
    if origin is None:
        return data
    told = {
        "model": origin.model or "unknown",
        "time": origin.created_at,
        "prompt_version": origin.prompt_version,
        "prompt_hash": origin.prompt_hash,
        "answer": _hash(data),
    }
    return {ORIGIN_FIELD: {key: value for key, value in told.items() if value}, **data}


def _hash(data: Mapping[str, Any]) -> str:
    """Hash of an answer in its readable form; notes do not count, nor does the order of parameters."""
    text = json.dumps({key: data[key] for key in ("confidence", "regions")}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _yaml(data: Mapping[str, Any], repairs: tuple[str, ...], space: SearchSpace | None) -> Iterator[str]:
    if ORIGIN_FIELD in data:
        yield f"{ORIGIN_FIELD}:  # where this answer came from; leave it as it is, edits are noticed"
        yield from (f"  {key}: {yaml_text(value)}" for key, value in data[ORIGIN_FIELD].items())
    for sentence in repairs:
        yield f"# Repaired: {printable(sentence)}"
    yield f"notes: {yaml_block(data['notes'])}"
    yield f"confidence: {yaml_number(data['confidence'])}  # probability that the optimum is in these regions at all"
    yield "regions:"
    for region in data["regions"]:
        yield f"  - label: {yaml_text(region['label'])}"
        yield f"    weight: {yaml_number(region['weight'])}  # among the regions"
        yield "    parameters:" if region["parameters"] else "    parameters: {}"
        for name, belief in region["parameters"].items():
            yield f"      {yaml_text(name)}: {_yaml_belief(belief)}  # {_comment(name, belief, space)}"
        if region["correlations"]:
            yield "    correlations:"
        for first, second, rho in region["correlations"]:
            yield f"      - [{yaml_text(first)}, {yaml_text(second)}, {yaml_number(rho)}]"


def _yaml_belief(belief: list[float] | dict[str, float]) -> str:
    if isinstance(belief, list):
        return f"[{', '.join(map(yaml_number, belief))}]"
    return "{" + ", ".join(f"{yaml_text(choice)}: {yaml_number(weight)}" for choice, weight in belief.items()) + "}"


def _comment(name: str, belief: list[float] | dict[str, float], space: SearchSpace | None) -> str:
    what = "best, low, high" if isinstance(belief, list) else "probabilities"
    distribution = space.distributions[name] if space is not None and name in space.names else None
    if isinstance(distribution, CategoricalDistribution):
        return printable(f"{what}; of {', '.join(choice_texts(distribution.choices))}")
    if isinstance(distribution, FloatDistribution | IntDistribution):
        step = f", step {distribution.step:g}" if distribution.step not in (None, 1) else ""
        kind = "integer, " if isinstance(distribution, IntDistribution) else ""
        scale = ", log scale" if distribution.log else ""
        return f"{what}; {kind}{distribution.low:g} to {distribution.high:g}{step}{scale}"
    return what
