"""From loosely shaped data to an answer that fits the search space.

Repaired, each time with a sentence for people, where the meaning is plain: a value outside the range, swapped bounds,
a choice in another spelling, weights that do not sum to one, an unknown name. Where it is not plain, an `AnswerError`
says what was expected in words that can be sent back to the model.

Answers from models, files, people and the study's storage all come in through `validate_answer`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo.elicitation.answer.choices import choice_texts, match_choice
from llm_prior_bo.elicitation.answer.names import NameMatcher, listing, mismatch, parameters_named
from llm_prior_bo.elicitation.answer.parsing import ANSWER_FIELDS, parse_answer
from llm_prior_bo.elicitation.answer.schema import (
    MAX_CORRELATION,
    MAX_REGIONS,
    CategoricalBelief,
    Correlation,
    NumericBelief,
    PriorAnswer,
    Region,
    choice_text,
)
from llm_prior_bo.elicitation.answer.values import as_float, as_integer, clean, json_text, normalised, shown, total_of
from llm_prior_bo.elicitation.llm.secrets import cut_off
from llm_prior_bo.errors import AnswerError
from llm_prior_bo.space import SearchSpace

_DEFAULT_CONFIDENCE = 0.5  # for an answer that says nothing usable about its confidence
_WEIGHT_TOLERANCE = 0.02  # rounding of weights is not worth a remark

MAX_ROWS = 10_000
"""Rows of one kind that are read: eight regions of a thousand parameters or choices have fewer."""

MAX_REPAIRS = 50
"""Sentences about repairs that are kept."""

MAX_SENTENCE_CHARACTERS = 600
"""A longer one is cut: names can be of any length."""

_LISTS = ("regions", "numeric", "categorical", "correlations")
_MAX_NOTES = 20_000
_MAX_LABEL = 200

_Numeric = FloatDistribution | IntDistribution
_Row = Mapping[str, Any]
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def validate_answer(
    answer: str | Mapping[str, Any] | PriorAnswer, space: SearchSpace
) -> tuple[PriorAnswer, tuple[str, ...]]:
    """Turn an answer into one that fits the space.

    Args:
        answer: A model's text, a dict, or an answer.
        space: The search space that was asked about.

    Returns:
        The answer in canonical form (weights sum to one, `low <= best <= high` within the range, names and choices
        spelled as in the space), and one sentence for each repair.

    Raises:
        AnswerError: If the meaning is not plain.
    """
    if isinstance(answer, PriorAnswer):
        data: Mapping[str, Any] = answer.model_dump()
    elif isinstance(answer, str):
        data = parse_answer(answer)
    elif isinstance(answer, Mapping):
        data = answer
    else:
        raise AnswerError(f"Expected an answer as JSON text, dict or PriorAnswer, got {type(answer).__name__}.")
    repair = _Repair(space)
    repaired = repair.run(data)
    if not isinstance(answer, PriorAnswer) or answer.numeric or answer.categorical:
        repair.require_opinion(repaired, data)  # whoever builds a PriorAnswer without rows means it
    return repaired, tuple(repair.sentences)


@dataclass
class _Repair:
    """One answer on its way through the repairs; `sentences` grows."""

    space: SearchSpace
    sentences: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._name = NameMatcher(self.space.names)

    def run(self, data: Mapping[str, Any]) -> PriorAnswer:
        lists = self._lists(data)
        regions = self._regions(lists)
        ids = [region.region for region in regions]
        numeric, chosen = self._numeric(lists["numeric"], ids)
        categorical = self._categorical([*lists["categorical"], *chosen], ids)
        correlations = self._correlations(lists["correlations"], ids)
        return PriorAnswer(
            notes=self._notes(data),
            regions=regions,
            numeric=numeric,
            categorical=categorical,
            correlations=correlations,
            confidence=self._confidence(data),
        )

    def _say(self, sentence: str) -> None:
        # A model that errs in one row errs in many: the same sentence once, and no more than anyone reads.
        if len(self.sentences) < MAX_REPAIRS and sentence not in self.sentences:
            self.sentences.append(cut_off(sentence, MAX_SENTENCE_CHARACTERS))
            if len(self.sentences) == MAX_REPAIRS:
                self.sentences[-1] = "Further repairs are not listed."

    # Shape --------------------------------------------------------------------------------------------------------

    def _lists(self, data: Mapping[str, Any]) -> dict[str, list[_Row]]:
        if not any(key in data for key in _LISTS[:3]):
            given = listing((clean(key) for key in data), limit=10) or "none"
            raise AnswerError(
                f"Expected a JSON object with the fields {', '.join(ANSWER_FIELDS)}, got the fields {given}."
            )
        extra = [clean(key) for key in data if key not in ANSWER_FIELDS]
        if extra:
            self._say(f"Fields that an answer does not have were ignored: {listing(extra, limit=5)}.")
        return {key: self._rows(data, key) for key in _LISTS}

    def _rows(self, data: Mapping[str, Any], key: str) -> list[_Row]:
        value = data.get(key)
        if value is None:
            self._say(f"The list {key!r} was missing and taken as empty.")
            return []
        if isinstance(value, Mapping):
            self._say(f"{key!r} was an object instead of a list of rows.")
            value = _rows_of_object(value)
        if not isinstance(value, list | tuple):
            raise AnswerError(f"Expected {key!r} to be a list of rows, got {shown(value)}.")
        if len(value) > MAX_ROWS:
            self._say(f"Of {len(value)} rows in {key!r} the first {MAX_ROWS} were read.")
            value = value[:MAX_ROWS]
        rows = [row for row in value if isinstance(row, Mapping)]
        if len(rows) < len(value):
            self._say(f"Entries of {key!r} that are not rows were dropped.")
        return rows

    def _notes(self, data: Mapping[str, Any]) -> str:
        notes = data.get("notes")
        if notes is None:
            return ""
        return clean(notes if isinstance(notes, str) else json_text(notes))[:_MAX_NOTES]

    def _confidence(self, data: Mapping[str, Any]) -> float:
        value = as_float(data.get("confidence"))
        if value is None:
            self._say(f"The confidence was missing or not a number and taken as {_DEFAULT_CONFIDENCE}.")
            return _DEFAULT_CONFIDENCE
        if 2.0 <= value <= 100.0:
            self._say(f"The confidence {value:g} was read as {value:g} %.")
            return value / 100.0
        clipped = min(max(value, 0.0), 1.0)
        if clipped != value:
            self._say(f"The confidence {value:g} was clipped to {clipped:g}.")
        return clipped

    # Regions ------------------------------------------------------------------------------------------------------

    def _regions(self, lists: Mapping[str, list[_Row]]) -> list[Region]:
        if not lists["regions"]:
            return [self._implied_region(lists)]
        found: dict[int, Region] = {}
        alone = len(lists["regions"]) == 1
        for position, row in enumerate(lists["regions"], start=1):
            region = self._region(row, position, alone=alone)
            if region is not None:
                self._put(found, region.region, region, f"Region {region.region} was given twice; the last was kept.")
        heaviest = sorted(found.values(), key=lambda region: -region.weight)[:MAX_REGIONS]
        if len(heaviest) < len(found):
            self._say(f"Of {len(found)} regions the {MAX_REGIONS} heaviest were kept.")
        kept = {region.region for region in heaviest}
        return self._with_normalised_weights([region for region in found.values() if region.region in kept])

    def _implied_region(self, lists: Mapping[str, list[_Row]]) -> Region:
        ids = {as_integer(row.get("region")) for key in _LISTS[1:3] for row in lists[key]} - {None}
        if len(ids) > 1:
            raise AnswerError(
                f"Expected 'regions' to list the regions and their weights, got none, but rows of {len(ids)} regions."
            )
        number = next((i for i in ids if i is not None), 1)
        self._say(f"No regions were listed; all rows were taken as one region, {number}.")
        return Region(region=number, label="", weight=1.0)

    def _region(self, row: _Row, position: int, *, alone: bool) -> Region | None:
        number = as_integer(row.get("region"))
        if number is None:
            number = position
            self._say(f"A region without a number was taken as number {position}.")
        weight = as_float(row.get("weight"))
        if weight is None or weight < 0:
            if not alone:
                self._say(f"Region {number} was dropped: its weight is not a number >= 0.")
                return None
            weight = 1.0
            self._say(f"The weight of the only region, {number}, was taken as 1.")
        return Region(region=number, label=clean(row.get("label", ""))[:_MAX_LABEL], weight=weight)

    def _with_normalised_weights(self, regions: list[Region]) -> list[Region]:
        if not regions:
            raise AnswerError("Expected at least one region with a weight, got none with a finite weight >= 0.")
        weights = normalised([region.weight for region in regions])
        if weights is None:
            self._say("All region weights were zero; the regions were taken as equally likely.")
            weights = [1.0 / len(regions)] * len(regions)
        elif abs(total_of(region.weight for region in regions) - 1.0) > _WEIGHT_TOLERANCE:
            self._say("The regions' weights did not sum to 1 and were normalised.")
        usable = [
            region.model_copy(update={"weight": weight})
            for region, weight in zip(regions, weights, strict=True)
            if weight > 0
        ]
        if len(usable) < len(regions):
            self._say("Regions of weight zero were dropped.")
        return usable

    def _region_of(self, row: _Row, ids: list[int], what: str) -> int | None:
        """The region that a belief row belongs to; `None` (and a sentence) if there is no such region."""
        number = as_integer(row.get("region"))
        if number is None and len(ids) == 1:
            return ids[0]
        if number in ids:
            return number
        self._say(f"A belief about {what} was dropped: there is no region {shown(row.get('region'))}.")
        return None

    # Beliefs ------------------------------------------------------------------------------------------------------

    def _parameter(self, text: object) -> str | None:
        name = self._name(text)
        if name is None:
            self._say(f"The unknown parameter {shown(text)} was dropped.")
        elif name != text:
            self._say(f"The parameter {shown(text)} was read as {name!r}.")
        return name

    def _placed(self, rows: list[_Row], ids: list[int]) -> Iterator[tuple[_Row, int, str]]:
        """Every belief row whose region and parameter exist, with the two."""
        for row in rows:
            name = self._parameter(row.get("parameter"))
            region = None if name is None else self._region_of(row, ids, repr(name))
            if name is not None and region is not None:
                yield row, region, name

    def _numeric(self, rows: list[_Row], ids: list[int]) -> tuple[list[NumericBelief], list[_Row]]:
        """Numeric beliefs, and rows about categorical parameters in the form that `_categorical` reads."""
        found: dict[tuple[int, str], NumericBelief] = {}
        chosen: list[_Row] = []
        for row, region, name in self._placed(rows, ids):
            distribution = self.space.distributions[name]
            if isinstance(distribution, CategoricalDistribution):
                chosen += self._as_choice(row, region, name, distribution)
                continue
            assert isinstance(distribution, _Numeric)
            interval = self._interval(row, name, distribution)
            if interval is not None:
                best, low, high = interval
                belief = NumericBelief(region=region, parameter=name, best=best, low=low, high=high)
                self._put(
                    found, (region, name), belief, f"{name!r} was given twice in region {region}; the last was kept."
                )
        return list(found.values()), chosen

    def _as_choice(
        self, row: _Row, region: int, name: str, distribution: CategoricalDistribution
    ) -> list[dict[str, Any]]:
        best = row.get("best")
        index = match_choice(clean(best), distribution.choices) if best is not None else None
        if index is None:
            self._say(f"A numeric belief about the categorical parameter {name!r} was dropped.")
            return []
        text = choice_texts(distribution.choices)[index]
        self._say(f"A numeric belief about the categorical parameter {name!r} was read as the choice {text!r}.")
        # 0.8 is the probability that the row's interval states; the other choices share the rest.
        return [{"region": region, "parameter": name, "choice": text, "weight": 0.8}]

    def _interval(self, row: _Row, name: str, distribution: _Numeric) -> tuple[float, float, float] | None:
        best, low, high = (as_float(row.get(key)) for key in ("best", "low", "high"))
        if best is None or low is None or high is None:
            self._say(f"A belief about {name!r} was dropped: best, low and high are not three finite numbers.")
            return None
        if low > high:
            self._say(f"The swapped bounds of {name!r} were put in order.")
            low, high = high, low
        if not low <= best <= high:
            self._say(f"The interval of {name!r} was extended to its best value {best:g}.")
            low, high = min(low, best), max(high, best)
        return self._within_range(name, distribution, best, low, high)

    def _within_range(
        self, name: str, distribution: _Numeric, best: float, low: float, high: float
    ) -> tuple[float, float, float] | None:
        floor, ceiling = float(distribution.low), float(distribution.high)
        if floor <= low and high <= ceiling:
            return best, low, high
        if high < floor or low > ceiling:
            moved = _moved_into_range(low, high, floor, ceiling, log=distribution.log)
            if moved is None:
                self._say(
                    f"A belief about {name!r} was dropped: {low:g} to {high:g} is far outside the range {floor:g} to "
                    f"{ceiling:g}; were natural units meant?"
                )
                return None
            low, high = moved
            best = floor if best < floor else ceiling
            self._say(f"The interval of {name!r}, outside the range, was moved to the bound {best:g}.")
            return best, low, high
        self._say(f"The belief about {name!r} was clipped to the range {floor:g} to {ceiling:g}.")
        return tuple(min(max(value, floor), ceiling) for value in (best, low, high))  # type: ignore[return-value]

    def _categorical(self, rows: list[_Row], ids: list[int]) -> list[CategoricalBelief]:
        tables: dict[tuple[int, str], dict[str, float]] = {}
        for row, region, name in self._placed(rows, ids):
            distribution = self.space.distributions[name]
            if not isinstance(distribution, CategoricalDistribution):
                self._say(f"A choice for the numeric parameter {name!r} was dropped.")
                continue
            entry = self._choice_and_weight(row, name, distribution)
            if entry is not None:
                text, weight = entry
                twice = f"Choice {text!r} of {name!r} was given twice in region {region}; the last was kept."
                self._put(tables.setdefault((region, name), {}), text, weight, twice)
        return [
            CategoricalBelief(region=region, parameter=name, choice=text, weight=weight)
            for (region, name), table in tables.items()
            for text, weight in self._normalised_table(name, table).items()
        ]

    def _choice_and_weight(
        self, row: _Row, name: str, distribution: CategoricalDistribution
    ) -> tuple[str, float] | None:
        given = row.get("choice")
        text = given if isinstance(given, str) else choice_text(given)
        index = match_choice(text, distribution.choices)
        if index is None:
            self._say(f"The unknown choice {shown(given)} of {name!r} was dropped.")
            return None
        canonical = choice_texts(distribution.choices)[index]
        if canonical != text:
            self._say(f"The choice {shown(given)} of {name!r} was read as {canonical!r}.")
        weight = as_float(row.get("weight"))
        if weight is None or weight < 0:
            self._say(f"The choice {canonical!r} of {name!r} was dropped: its weight is not a number >= 0.")
            return None
        return canonical, weight

    def _normalised_table(self, name: str, table: Mapping[str, float]) -> dict[str, float]:
        """Weights that sum to one, or to less where choices that were left out share the rest."""
        distribution = self.space.distributions[name]
        assert isinstance(distribution, CategoricalDistribution)
        total = total_of(table.values())
        weights = normalised(list(table.values()))
        if weights is None:
            self._say(f"All weights of {name!r} were zero; the belief was dropped.")
            return {}
        if total < 1.0 and len(table) < len(distribution.choices):
            return dict(table)
        if abs(total - 1.0) > _WEIGHT_TOLERANCE:
            self._say(f"The weights of the choices of {name!r} did not sum to 1 and were normalised.")
        return dict(zip(table, weights, strict=True))

    def _correlations(self, rows: list[_Row], ids: list[int]) -> list[Correlation]:
        found: dict[tuple[int, frozenset[str]], Correlation] = {}
        for row in rows:
            first, second = self._parameter(row.get("first")), self._parameter(row.get("second"))
            if first is None or second is None:
                continue
            region = self._region_of(row, ids, f"the correlation of {first!r} and {second!r}")
            rho = self._rho(row, first, second)
            if region is not None and rho is not None:
                correlation = Correlation(region=region, first=first, second=second, rho=rho)
                twice = f"The correlation of {first!r} and {second!r} was given twice; the last was kept."
                self._put(found, (region, frozenset((first, second))), correlation, twice)
        return list(found.values())

    def _rho(self, row: _Row, first: str, second: str) -> float | None:
        rho = as_float(row.get("rho"))
        numeric = all(isinstance(self.space.distributions[name], _Numeric) for name in (first, second))
        if first == second or not numeric or rho is None:
            self._say(f"A correlation of {first!r} and {second!r} was dropped: two numeric parameters are needed.")
            return None
        if abs(rho) > MAX_CORRELATION:
            self._say(f"The correlation {rho:g} of {first!r} and {second!r} was clipped to +-{MAX_CORRELATION}.")
        return min(max(rho, -MAX_CORRELATION), MAX_CORRELATION)

    def _put(self, table: dict[_Key, _Value], key: _Key, value: _Value, sentence: str) -> None:
        """The last of several wins, and takes the last place."""
        if key in table:
            self._say(sentence)
            del table[key]
        table[key] = value

    def require_opinion(self, answer: PriorAnswer, data: Mapping[str, Any]) -> None:
        """Refuse an answer of which no belief is left, unless it says with confidence 0 that it has none."""
        if answer.numeric or answer.categorical:
            return
        given = parameters_named(data, known=self._name)
        if any(name in self.space.names for name in given):
            raise AnswerError(f"Expected at least one usable belief, got none. {' '.join(self.sentences)}")
        if given:
            raise AnswerError(mismatch(self.space, given))
        if answer.confidence > 0:
            raise AnswerError(
                f"Expected beliefs about {listing(self.space.names)}, got none; if you have no opinion at all, say so "
                "with confidence 0."
            )


def _rows_of_object(value: Mapping[Any, Any]) -> list[Any]:
    """`{"lr": {"best": ...}}` and a single row without its list: two plain ways to miss the list."""
    if value and all(isinstance(row, Mapping) for row in value.values()):
        return [{"parameter": name, **row} for name, row in value.items()]
    return [value] if value else []


def _moved_into_range(
    low: float, high: float, floor: float, ceiling: float, *, log: bool
) -> tuple[float, float] | None:
    """An interval outside the range, moved to the bound at its own width; `None` if it is too far for that.

    Farther away than the range is wide: then it is a mistake of units rather than an optimum beyond the bound.
    """
    if log and low <= 0:
        return None
    a, b, lower, upper = (math.log(v) if log else v for v in (low, high, floor, ceiling))
    gap = max(lower - b, a - upper)
    if not gap <= upper - lower:
        return None
    width = min(b - a, upper - lower)
    start, end = (lower, lower + width) if b < lower else (upper - width, upper)
    low, high = (math.exp(start), math.exp(end)) if log else (start, end)
    # The bound itself is exact, whatever the logarithm rounds to.
    return (floor, min(max(high, floor), ceiling)) if b < lower else (max(min(low, ceiling), floor), ceiling)
