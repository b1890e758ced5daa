from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_prior_bo.elicitation.answer.readable import answer_from_readable, is_flat, readable_regions
from llm_prior_bo.elicitation.answer.schema import CategoricalBelief, Correlation, NumericBelief, PriorAnswer, Region
from llm_prior_bo.elicitation.answer.yaml_document import Document, read_yaml
from llm_prior_bo.errors import AnswerError

Answer = dict[str, Any]


def read(text: str) -> PriorAnswer:
    return answer_from_readable(read_yaml(text))


class TestOneRegion:
    def test_is_what_by_hand_writes(self) -> None:
        text = """
learning_rate: [1e-3, 1e-4, 1_0e-3]  # best, low, high
layers: [3, 2, 5]
dropout: [20 %, .1, 5e-1]
activation: {relu: .9, tanh: 10%}
warmup: {no: 1, ~: 0}
"""
        by_hand = PriorAnswer.by_hand(
            numeric={"learning_rate": (1e-3, 1e-4, 1e-2), "layers": (3, 2, 5), "dropout": (0.2, 0.1, 0.5)},
            categorical={"activation": {"relu": 0.9, "tanh": 0.1}, "warmup": {"no": 1.0, "null": 0.0}},
        )
        assert read(text) == by_hand.model_copy(update={"regions": [Region(region=1, label="", weight=1.0)]})

    def test_fields_beside_the_parameters(self) -> None:
        answer = read(
            "notes: small data\nconfidence: 60 %\nlabel: slow\nx: [1, 0, 2]\ny: [1, 0, 2]\ncorrelations: [[x, y, -.5]]"
        )
        assert (answer.notes, answer.confidence, answer.regions[0].label) == ("small data", 0.6, "slow")
        assert answer.correlations == [Correlation(region=1, first="x", second="y", rho=-0.5)]

    def test_parameters_that_are_called_like_a_field(self) -> None:
        answer = read("notes: n\nparameters: {notes: [1, 0, 2], weight: [1, 0, 2]}\nother: {a: 1}")
        assert answer.notes == "n"
        assert [row.parameter for row in answer.numeric] == ["notes", "weight"]
        assert [row.parameter for row in answer.categorical] == ["other"]


class TestRegions:
    def test_in_order(self) -> None:
        answer = read("""
regions:
  - label: small rate
    weight: 70 %
    lr: [1e-3, 1e-4, 1e-2]
  - parameters:
      lr: [.1, .05, .5]
      optimizer: {sgd: 1}
""")
        assert answer.regions == [
            Region(region=1, label="small rate", weight=0.7),
            Region(region=2, label="", weight=1),
        ]
        assert answer.numeric[1] == NumericBelief(region=2, parameter="lr", best=0.1, low=0.05, high=0.5)
        assert answer.categorical == [CategoricalBelief(region=2, parameter="optimizer", choice="sgd", weight=1)]

    def test_there_and_back(self, answer: Answer) -> None:
        given = PriorAnswer.model_validate(answer)
        data = {"notes": given.notes, "confidence": given.confidence, "regions": readable_regions(given)}
        assert answer_from_readable(Document(data)) == given

    def test_two_kinds_of_rows_about_one_parameter_are_refused(self) -> None:
        answer = PriorAnswer.by_hand(numeric={"x": (1, 0, 2)}, categorical={"x": {"1": 1.0}})
        with pytest.raises(AnswerError, match=r"'x', got both in region 1; use validate_answer"):
            readable_regions(answer)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x: [1, 0, 2]\nconfidance: 0.9", r"did you mean 'confidence'\?.*line 2, 'confidance'"),
        ("regions:\n  - wieght: 1\n    x: [1, 0, 2]", r"did you mean 'weight'\?.*line 2, 'regions\[1\]\.wieght'"),
        ("regions: []\nx: [1, 0, 2]", r"notes, confidence, regions, got 'x'; parameters belong to a region.*line 2"),
        ("regoins:\n  - x: [1, 0, 2]", r"did you mean 'regions'\?.*line 1"),
        ("x: 0.1", r"Expected \[best, low, high\] or \{choice: probability\} for 'x', got '0\.1'; see line 1, 'x'"),
        ("x: [1, 2]", r"\[best, low, high\].*line 1, 'x'"),
        ("x: [0, 1, 2]", r"low <= best <= high for parameter 'x', got \(0\.0, 1\.0, 2\.0\).*line 1, 'x'"),
        ("a: [1, 0, 2]\nx: [1, 0, 1:30]", r"Expected a number .*got '1:30'; see line 2, 'x\[3\]'"),
        ("x: [1, 0, .inf]", r"Expected a number .*'\.inf'"),
        ("x: {a: yes}", r"Expected a number .*got 'yes'; see line 1, 'x\.a'"),
        ("x: {a: -1}", r"Expected a probability for choice 'a' of parameter 'x', got -1\.0; see line 1, 'x'"),
        ("x: {}", r"\{choice: probability\} for 'x', got \{\}"),
        ("x: [1, 0, 2]\nconfidence: 80", r"probability in \[0, 1\].*got 80; see line 2, 'confidence'"),
        ("x: [1, 0, 2]\nweight: -1", r"weight >= 0, got -1"),
        ("x: [1, 0, 2]\nparameters: {x: [1, 0, 2]}", r"'x' once, got it directly and under 'parameters'"),
        ("x: [1, 0, 2]\ncorrelations: [[x, y]]", r"\[first parameter, second parameter, correlation\]"),
        ("x: [1, 0, 2]\ncorrelations: [[x, y, 2]]", r"correlation in \[-1, 1\], got 2"),
        ("x: [1, 0, 2]\ncorrelations: x", r"Expected a list of correlations, got 'x'"),
        ("regions:\n  - x", r"Expected a mapping with parameters, got 'x'; see line 2, 'regions\[1\]'"),
        ("regions: {x: [1, 0, 2]}", r"Expected a list of regions"),
        ("notes: only this", r"Expected a belief about at least one parameter, got none"),
        ("- 1", r"Expected a mapping with parameters, or with regions"),
        ("", r"Expected a mapping .*see the file"),
    ],
)
def test_mistakes_name_the_line_and_the_key(text: str, told: str) -> None:
    with pytest.raises(AnswerError, match=told):
        read(text)


scalars = st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=5), st.just("1e400"))
keys = st.sampled_from(["x", "y", "notes", "confidence", "regions", "label", "weight", "parameters", "correlations"])
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)


@given(anything | st.dictionaries(keys, anything))
def test_whatever_is_in_a_file_is_an_answer_or_an_error_of_ours(data: object) -> None:
    with contextlib.suppress(AnswerError):
        answer = answer_from_readable(Document(data))
        assert answer.numeric or answer.categorical


def test_the_form_of_the_schema_is_told_from_this_one(answer: Answer) -> None:
    assert is_flat(answer)
    assert not is_flat({"regions": [], "numeric": {"a": 1}})
    assert not is_flat([])
