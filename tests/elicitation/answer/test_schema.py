from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from llm_prior_bo.elicitation import CategoricalBelief, PriorAnswer, portable_schema
from llm_prior_bo.errors import AnswerError


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "type" in node:
            yield node
        for value in node.values():
            yield from _objects(value)


class TestPortableSchema:
    def test_uses_only_what_every_strict_mode_takes(self) -> None:
        allowed = {"type", "description", "items", "properties", "required", "additionalProperties"}
        for node in _objects(portable_schema()):
            assert set(node) <= allowed
            assert node["type"] in ("object", "array", "string", "number", "integer")

    def test_objects_are_closed_and_all_fields_are_required(self) -> None:
        objects = [node for node in _objects(portable_schema()) if node["type"] == "object"]
        assert len(objects) == 5
        for node in objects:
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])

    def test_asks_for_the_reasoning_first(self) -> None:
        assert list(portable_schema()["properties"]) == [
            "notes",
            "regions",
            "numeric",
            "categorical",
            "correlations",
            "confidence",
        ]

    def test_is_self_contained_and_small(self) -> None:
        text = json.dumps(portable_schema())
        assert "$ref" not in text
        assert len(text) < 4_000

    def test_is_a_new_dict_each_time(self) -> None:
        portable_schema()["properties"].clear()
        assert portable_schema()["properties"]


class TestPriorAnswer:
    def test_round_trip(self, answer: dict[str, Any]) -> None:
        parsed = PriorAnswer.model_validate(answer)
        assert PriorAnswer.model_validate_json(parsed.model_dump_json()) == parsed

    @pytest.mark.parametrize("key", ["notes", "regions", "numeric", "categorical", "correlations", "confidence"])
    def test_every_field_is_required(self, answer: dict[str, Any], key: str) -> None:
        del answer[key]
        with pytest.raises(ValidationError, match=key):
            PriorAnswer.model_validate(answer)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_refuses_numbers_that_are_not_finite(self, answer: dict[str, Any], value: float) -> None:
        answer["numeric"][0]["best"] = value
        with pytest.raises(ValidationError, match="finite"):
            PriorAnswer.model_validate(answer)

    @pytest.mark.parametrize(("choice", "text"), [(None, "None"), (True, "True"), (32, "32"), (0.5, "0.5")])
    def test_choices_of_other_types_become_text(self, choice: Any, text: str) -> None:
        row = CategoricalBelief.model_validate({"region": 1, "parameter": "p", "choice": choice, "weight": 1.0})
        assert row.choice == text


class TestByHand:
    def test_one_region(self) -> None:
        answer = PriorAnswer.by_hand(
            numeric={"lr": (1e-3, 1e-4, 1e-2)}, categorical={"warmup": {None: 0.25, True: 0.75}}, confidence=0.5
        )
        assert [region.weight for region in answer.regions] == [1.0]
        assert answer.numeric[0].model_dump() == {
            "region": 1,
            "parameter": "lr",
            "best": 1e-3,
            "low": 1e-4,
            "high": 1e-2,
        }
        assert [(row.choice, row.weight) for row in answer.categorical] == [("None", 0.25), ("True", 0.75)]
        assert answer.confidence == 0.5

    @pytest.mark.parametrize(
        "interval",
        [(1e-4, 1e-3, 1e-2), (1.0, 2.0), (1.0, float("nan"), 2.0), ("a", 0, 1), 3.0, (0.0, 0.0, float("inf"))],
    )
    def test_bad_interval_names_parameter_and_form(self, interval: Any) -> None:
        with pytest.raises(AnswerError, match=r"\(best, low, high\).*'lr'"):
            PriorAnswer.by_hand(numeric={"lr": interval})

    @pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf"), "much"])
    def test_bad_probability_names_choice(self, weight: Any) -> None:
        with pytest.raises(AnswerError, match=r"'adam'.*'optimizer'"):
            PriorAnswer.by_hand(categorical={"optimizer": {"adam": weight}})

    @pytest.mark.parametrize("confidence", [-0.1, 1.1, 80, float("nan")])
    def test_bad_confidence(self, confidence: float) -> None:
        with pytest.raises(AnswerError, match="probability in"):
            PriorAnswer.by_hand(confidence=confidence)
