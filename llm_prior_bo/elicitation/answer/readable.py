"""An answer in the form that a person reads and writes, region by region, instead of flat rows.

One region may stand at the top; several are a list::

    learning_rate: [1e-3, 1e-4, 1e-2]     # best, low, high          regions:
    activation: {relu: 0.9, tanh: 0.1}                                 - label: small rate
    confidence: 0.8                                                      weight: 0.7
                                                                         parameters: {learning_rate: [1e-3, 1e-4, 1e-2]}

Parameters stand under `parameters`, or directly in the region where none is called like one of its fields. A mistake is
an `AnswerError` that names the line and the key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from llm_prior_bo.elicitation.answer.schema import (
    CategoricalBelief,
    Correlation,
    NumericBelief,
    PriorAnswer,
    Region,
)
from llm_prior_bo.elicitation.answer.strict import nearest
from llm_prior_bo.elicitation.answer.values import as_float, clean, shown
from llm_prior_bo.elicitation.answer.yaml_document import Document, KeyPath
from llm_prior_bo.errors import AnswerError

DEFAULT_CONFIDENCE = 0.8
"""For a file that states none, as in `PriorAnswer.by_hand`."""

REGION_FIELDS = ("label", "weight", "parameters", "correlations")
TOP_FIELDS = ("notes", "confidence", "regions")


def is_flat(data: object) -> bool:
    """Whether data have the fields of `PriorAnswer` itself."""
    return isinstance(data, Mapping) and any(isinstance(data.get(key), list) for key in ("numeric", "categorical"))


def answer_from_readable(document: Document) -> PriorAnswer:
    """Read the form above.

    Args:
        document: The data and, for the errors, its lines.

    Raises:
        AnswerError: If a field is none, a value is not what its key asks for, or nothing is said of any parameter.
    """
    return _Reader(document).answer()


def readable_regions(answer: PriorAnswer) -> list[dict[str, Any]]:
    """The regions of an answer, in order, each with `REGION_FIELDS`.

    Returns:
        Dicts whose `parameters` are `{name: [best, low, high]}` and `{name: {choice: weight}}`, and whose
        `correlations` are `[first, second, rho]`. Of several rows about the same thing the last one counts.

    Raises:
        AnswerError: If a region has numeric and categorical rows about one parameter.
    """
    return [_readable_region(answer, region) for region in answer.regions]


def _readable_region(answer: PriorAnswer, region: Region) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for row in answer.numeric:
        if row.region == region.region:
            parameters[row.parameter] = [row.best, row.low, row.high]
    for choice in answer.categorical:
        if choice.region == region.region:
            table = parameters.setdefault(choice.parameter, {})
            if not isinstance(table, dict):
                raise AnswerError(
                    f"Expected an interval or choices for {choice.parameter!r}, got both in region {region.region}; "
                    "use validate_answer(answer, space) first."
                )
            table[choice.choice] = choice.weight
    correlations = [[row.first, row.second, row.rho] for row in answer.correlations if row.region == region.region]
    return {
        "label": region.label,
        "weight": region.weight,
        "parameters": parameters,
        "correlations": correlations,
    }


@dataclass(frozen=True)
class _Reader:
    document: Document

    def answer(self) -> PriorAnswer:
        data = self.mapping((), self.document.data, "parameters, or with regions")
        if "regions" in data:
            self.refuse_others((), data, TOP_FIELDS)
            bodies = self.sequence(("regions",), data["regions"], "regions")
            placed: list[tuple[KeyPath, Any]] = [(("regions", i), body) for i, body in enumerate(bodies)]
        else:
            placed = [((), {key: value for key, value in data.items() if key not in TOP_FIELDS})]
        parts = [self.region(path, body, number) for number, (path, body) in enumerate(placed, start=1)]
        if not any(part.numeric or part.categorical for part in parts):
            self.fail((), "Expected a belief about at least one parameter, got none")
        return PriorAnswer(
            notes=clean(data.get("notes", "")),
            regions=[region for part in parts for region in part.regions],
            numeric=[row for part in parts for row in part.numeric],
            categorical=[row for part in parts for row in part.categorical],
            correlations=[row for part in parts for row in part.correlations],
            confidence=self.confidence(data),
        )

    def confidence(self, data: Mapping[str, Any]) -> float:
        if "confidence" not in data:
            return DEFAULT_CONFIDENCE
        value = self.number(("confidence",), data["confidence"])
        if not 0.0 <= value <= 1.0:
            self.fail(("confidence",), f"Expected a probability in [0, 1] (or a text like '80 %'), got {value:g}")
        return value

    def region(self, path: KeyPath, data: Any, number: int) -> PriorAnswer:
        body = self.mapping(path, data, "parameters")
        weight = self.number((*path, "weight"), body["weight"]) if "weight" in body else 1.0
        if weight < 0.0:
            self.fail((*path, "weight"), f"Expected a weight >= 0, got {weight:g}")
        numeric: list[NumericBelief] = []
        categorical: list[CategoricalBelief] = []
        for at, value in self.parameters(path, body):
            belief = self.belief(at, value)
            numeric += [row.model_copy(update={"region": number}) for row in belief.numeric]
            categorical += [row.model_copy(update={"region": number}) for row in belief.categorical]
        at_correlations = (*path, "correlations")
        rows = self.sequence(at_correlations, body.get("correlations", []), "correlations")
        return PriorAnswer(
            notes="",
            regions=[Region(region=number, label=clean(body.get("label", "")), weight=weight)],
            numeric=numeric,
            categorical=categorical,
            correlations=[self.correlation((*at_correlations, i), row, number) for i, row in enumerate(rows)],
            confidence=1.0,
        )

    def parameters(self, path: KeyPath, body: Mapping[str, Any]) -> list[tuple[KeyPath, Any]]:
        """Path and value of every parameter of a region."""
        direct = [((*path, name), value) for name, value in body.items() if name not in REGION_FIELDS]
        at = (*path, "parameters")
        nested = self.mapping(at, body.get("parameters", {}), "parameters")
        for name in nested.keys() & {str(place[-1]) for place, _ in direct}:
            self.fail((*path, name), f"Expected {name!r} once, got it directly and under 'parameters'")
        return direct + [((*at, name), value) for name, value in nested.items()]

    def belief(self, path: KeyPath, value: Any) -> PriorAnswer:
        """One parameter: `[best, low, high]` or `{choice: weight}`."""
        name = str(path[-1])
        if isinstance(value, Mapping) and value:
            weights = {choice: self.number((*path, choice), weight) for choice, weight in value.items()}
            return self.checked(path, categorical={name: weights})
        if isinstance(value, list) and len(value) == 3:
            interval = [self.number((*path, i), item) for i, item in enumerate(value)]
            return self.checked(path, numeric={name: interval})
        fields = (*REGION_FIELDS, *TOP_FIELDS) if "parameters" not in path else ()
        self.fail(
            path,
            f"Expected [best, low, high] or {{choice: probability}} for {name!r}, got {shown(value)}",
            near=nearest(name, fields),
        )

    def checked(self, path: KeyPath, **beliefs: Any) -> PriorAnswer:
        try:
            return PriorAnswer.by_hand(**beliefs)
        except AnswerError as error:
            self.fail(path, str(error).removesuffix("."))

    def correlation(self, path: KeyPath, row: Any, number: int) -> Correlation:
        if not isinstance(row, list) or len(row) != 3:
            self.fail(path, f"Expected [first parameter, second parameter, correlation], got {shown(row)}")
        rho = self.number((*path, 2), row[2])
        if not -1.0 <= rho <= 1.0:
            self.fail(path, f"Expected a correlation in [-1, 1], got {rho:g}")
        return Correlation(region=number, first=clean(row[0]), second=clean(row[1]), rho=rho)

    def number(self, path: KeyPath, value: Any) -> float:
        number = as_float(value)
        if number is None:
            self.fail(path, f"Expected a number in natural units like 0.001 or 1e-3, got {shown(value)}")
        return number

    def mapping(self, path: KeyPath, value: Any, of: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            self.fail(path, f"Expected a mapping with {of}, got {shown(value)}")
        return value

    def sequence(self, path: KeyPath, value: Any, of: str) -> Sequence[Any]:
        if not isinstance(value, list):
            self.fail(path, f"Expected a list of {of}, got {shown(value)}")
        return value

    def refuse_others(self, path: KeyPath, data: Mapping[str, Any], fields: Iterable[str]) -> None:
        for key in data:
            if key not in fields:
                self.fail(
                    (*path, key),
                    f"Expected the fields {', '.join(fields)}, got {shown(key)}; parameters belong to a region here",
                    near=nearest(key, fields),
                )

    def fail(self, path: KeyPath, message: str, *, near: Sequence[str] = ()) -> NoReturn:
        meant = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
        raise AnswerError(f"{message}{meant}; see {self.document.place(path)}.") from None
