"""The answer: what a language model returns, what a person may write by hand, what a study stores.

Flat rows in natural names and units, three levels deep, every field required, no bounds, defaults, unions, tuples or
dicts: the JSON Schema that OpenAI, Anthropic, Gemini and Ollama all take unchanged. What the rows *mean* (ranges,
names, sums) is checked after parsing, in `llm_prior_bo.elicitation.answer.repair`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from llm_prior_bo._display import Displayed, TextTable
from llm_prior_bo.errors import AnswerError

MAX_REGIONS = 8
"""Largest number of regions in an answer; of more, the heaviest are kept."""

MAX_CORRELATION = 0.95
"""Stated correlations are cut to this, where an answer is repaired and where a density is built of one that was not.
Nobody's belief ties two parameters together exactly, and at 1 the density would be degenerate."""

Interval = tuple[float, float, float]
"""`(best, low, high)`: the order in which `PriorAnswer.by_hand` takes a numeric belief."""


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Region(_Row):
    """One regime in which the optimum may lie, e.g. "small learning rate, many epochs".

    Attributes:
        region: The number by which the other rows refer to this region.
        label: A few words for people.
        weight: Share of this region among all regions. Weights are relative: they are normalised to sum to one.
    """

    region: int = Field(description="number of the region, referred to by the other rows")
    label: str = Field(description="a few words that describe the region")
    weight: float = Field(description="probability of this region among the regions; all weights sum to 1")


class NumericBelief(_Row):
    """Where one numeric parameter of the optimum lies, given that the optimum is in the region.

    Attributes:
        region: Number of the region.
        parameter: Name of the parameter.
        best: The single most plausible value, in natural units (`0.001`, never its logarithm).
        low: Lower end of the interval that holds the optimum's value with probability 80 %.
        high: Upper end of that interval. It need not be symmetric about `best`.
    """

    region: int = Field(description="number of the region")
    parameter: str = Field(description="name of a numeric parameter, exactly as in the search space")
    best: float = Field(description="most plausible value, in natural units")
    low: float = Field(description="lower end of the 80 % interval, in natural units")
    high: float = Field(description="upper end of the 80 % interval, in natural units")


class CategoricalBelief(_Row):
    """How plausible one choice of a categorical parameter is, given that the optimum is in the region.

    Rows of one parameter in one region belong together. If they sum to one or more, they are relative weights of the
    choices listed; if they sum to less than one and leave choices out, the rest of the probability is shared equally
    by the choices left out.

    Attributes:
        region: Number of the region.
        parameter: Name of the parameter.
        choice: The choice as text: `"adam"`, `"32"`, `"True"`, `"None"`. A value that is not text is turned into it.
        weight: Probability of the choice.
    """

    region: int = Field(description="number of the region")
    parameter: str = Field(description="name of a categorical parameter, exactly as in the search space")
    choice: str = Field(description="one of the parameter's choices, as text")
    weight: float = Field(description="probability of this choice in this region")

    @field_validator("choice", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        # Optuna's choices may be None, bool, int or float; text is the one type that all strict JSON modes take.
        return choice_text(value) if value is None or isinstance(value, bool | int | float) else value


class Correlation(_Row):
    """How two numeric parameters of the optimum go together, given that the optimum is in the region.

    Attributes:
        region: Number of the region.
        first: Name of a numeric parameter.
        second: Name of another numeric parameter.
        rho: Correlation in (-1, 1), of the values on their scale (log scale for log parameters).
    """

    region: int = Field(description="number of the region")
    first: str = Field(description="name of a numeric parameter")
    second: str = Field(description="name of another numeric parameter")
    rho: float = Field(description="correlation between -1 and 1; on the log scale for log-scale parameters")


class PriorAnswer(Displayed, _Row):
    """A belief about where the optimum is, as a density.

    A parameter without a row in a region is "no opinion" there. `PriorAnswer.by_hand` writes the common case of one
    region in one line.

    Attributes:
        notes: Reasoning in free text, e.g. "the optimum may lie above learning_rate's upper bound".
        regions: One to eight regimes in which the optimum may lie.
        numeric: Beliefs about numeric parameters.
        categorical: Beliefs about categorical parameters.
        correlations: Dependences between numeric parameters; may be empty.
        confidence: Probability that the optimum lies in these regions at all.
    """

    notes: str = Field(description="your reasoning, and anything that does not fit the rows")
    regions: list[Region] = Field(description="1 to 8 regions that could hold the optimum, usually 1 to 4")
    numeric: list[NumericBelief] = Field(description="one row per region and numeric parameter with an opinion")
    categorical: list[CategoricalBelief] = Field(description="one row per region and choice with an opinion")
    correlations: list[Correlation] = Field(description="dependences between numeric parameters; may be empty")
    confidence: float = Field(description="probability, 0 to 1, that the optimum lies in these regions at all")

    def _display(self) -> TextTable:
        n = len(self.regions)
        notes = " ".join(self.notes.split())
        return TextTable.of(
            f"Answer with {n} region{'' if n == 1 else 's'}, confidence {self.confidence:.3g}",
            ("region", "weight", "parameter", "belief"),
            [row for region in self.regions for row in self._rows_of(region)],
            [f"Notes: {notes}"] if notes else [],
        )

    def _rows_of(self, region: Region) -> list[tuple[object, ...]]:
        """What is believed in one region, a row a parameter; the region's name stands in the first."""
        beliefs = [
            (row.parameter, f"{row.best:g} ({row.low:g} to {row.high:g})")
            for row in self.numeric
            if row.region == region.region
        ]
        chosen: dict[str, list[str]] = {}
        for choice in self.categorical:
            if choice.region == region.region:
                chosen.setdefault(choice.parameter, []).append(f"{choice.choice} {choice.weight:.3g}")
        beliefs += [(name, ", ".join(choices)) for name, choices in chosen.items()]
        first, *others = beliefs or [("", "no opinion")]
        return [(region.label, region.weight, *first), *(("", "", *belief) for belief in others)]

    @classmethod
    def by_hand(
        cls,
        *,
        numeric: Mapping[str, Sequence[float]] | None = None,
        categorical: Mapping[str, Mapping[Any, float]] | None = None,
        confidence: float = 0.8,
        notes: str = "",
    ) -> PriorAnswer:
        """Write an answer with one region.

        Args:
            numeric: `{name: (best, low, high)}` in natural units; low..high is the 80 % interval.
            categorical: `{name: {choice: probability}}`.
            confidence: Probability that the belief holds at all.
            notes: Free text.

        Raises:
            AnswerError: If a list stands where a dict belongs, an interval is not three finite numbers with
                `low <= best <= high`, a probability is not a finite number >= 0, or `confidence` is not in [0, 1].

        Examples:
            >>> answer = PriorAnswer.by_hand(numeric={"lr": (1e-3, 1e-4, 1e-2)}, categorical={"act": {"relu": 0.7}})
            >>> answer.numeric[0].best
            0.001
        """
        if not 0.0 <= confidence <= 1.0:
            raise AnswerError(f"Expected confidence to be a probability in [0, 1], got {confidence!r}.")
        _check_mapping("numeric", numeric, "{name: (best, low, high)}")
        _check_mapping("categorical", categorical, "{name: {choice: probability}}")
        for name, table in (categorical or {}).items():
            _check_mapping(f"categorical[{name!r}]", table, "{choice: probability}")
        intervals = {name: _checked_interval(name, values) for name, values in (numeric or {}).items()}
        rows = [NumericBelief(region=1, parameter=k, best=b, low=lo, high=hi) for k, (b, lo, hi) in intervals.items()]
        choices = [
            CategoricalBelief(
                region=1, parameter=name, choice=choice_text(choice), weight=_checked_weight(name, choice, weight)
            )
            for name, table in (categorical or {}).items()
            for choice, weight in table.items()
        ]
        region = Region(region=1, label="by hand", weight=1.0)
        return cls(
            notes=notes, regions=[region], numeric=rows, categorical=choices, correlations=[], confidence=confidence
        )


def choice_text(choice: object) -> str:
    """Text that stands for a categorical choice in an answer: `"adam"`, `"32"`, `"True"`, `"None"`."""
    return str(choice)


def portable_schema() -> dict[str, Any]:
    """JSON Schema of `PriorAnswer` that every strict structured-output mode accepts unchanged.

    `$ref`s are inlined; titles, defaults and bounds are absent; every property is required and no others are allowed.
    A new dict at every call.
    """
    schema = PriorAnswer.model_json_schema()
    definitions = schema.pop("$defs", {})
    return _portable(schema, definitions)


_KEPT_KEYWORDS = ("type", "description", "items", "properties", "required", "additionalProperties")


def _portable(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        return _portable(definitions[node["$ref"].rsplit("/", 1)[-1]], definitions)
    kept = {key: node[key] for key in _KEPT_KEYWORDS if key in node}
    if "items" in kept:
        kept["items"] = _portable(kept["items"], definitions)
    if "properties" in kept:
        kept.pop("description", None)  # a model's docstring addresses programmers, its fields' descriptions the model
        kept["properties"] = {name: _portable(value, definitions) for name, value in kept["properties"].items()}
        kept["required"] = list(kept["properties"])
        kept["additionalProperties"] = False
    return kept


def _check_mapping(name: str, value: object, form: str) -> None:
    if value is not None and not isinstance(value, Mapping):
        raise AnswerError(f"Expected {name} to be a dict {form}, got {value!r:.200}.")


def _checked_interval(name: str, values: Sequence[float]) -> Interval:
    try:
        best, low, high = (float(value) for value in values)
    except (TypeError, ValueError):
        raise AnswerError(
            f"Expected three numbers (best, low, high) for parameter {name!r}, got {values!r}; "
            "beliefs about choices go into categorical={name: {choice: probability}}."
        ) from None
    if not (math.isfinite(low) and math.isfinite(high) and low <= best <= high):
        raise AnswerError(
            f"Expected (best, low, high) with low <= best <= high for parameter {name!r}, got {tuple(values)!r}."
        )
    return best, low, high


def _checked_weight(name: str, choice: object, weight: float) -> float:
    try:
        probability = float(weight)
    except (TypeError, ValueError):
        probability = math.nan
    if not 0.0 <= probability < math.inf:
        raise AnswerError(f"Expected a probability for choice {choice!r} of parameter {name!r}, got {weight!r}.")
    return probability


def describe_validation_error(error: ValidationError, *, limit: int = 5) -> str:
    """The first few complaints of pydantic in one line each, without URLs or input dumps."""
    lines = [
        f"{'.'.join(str(part) for part in item['loc']) or 'answer'}: {item['msg']}"
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    more = f" (and {len(lines) - limit} more)" if len(lines) > limit else ""
    return "; ".join(lines[:limit]) + more
