from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, get_args

import pytest

from llm_prior_bo.elicitation import NumericQuantiles, PriorAnswer, RegionReport, StudyInsights
from llm_prior_bo.elicitation.prompt.insights import RefreshReason
from llm_prior_bo.errors import ConfigurationError

REPORT = RegionReport("r", asked_at_trial=0, stated_weight=0.5, present_weight=0.5)


@pytest.mark.parametrize(
    ("present", "verdict"),
    [(0.9, "kept"), (0.25, "kept"), (0.2499, "weakened"), (0.05, "weakened"), (0.0499, "dropped"), (0.0, "dropped")],
)
def test_verdict(present: float, verdict: str) -> None:
    assert dataclasses.replace(REPORT, present_weight=present).verdict == verdict


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (30.0, "evidence 30 to 1 for"),
        (1 / 30, "evidence 30 to 1 against"),
        (2.0, "evidence 2 to 1 for"),
        (0.4, "evidence 2.5 to 1 against"),
        (9.96, "evidence 10 to 1 for"),
        (1.0, "hardly any evidence for or against"),
        (1.5, "hardly any evidence for or against"),
        (0.7, "hardly any evidence for or against"),
        (1e6, "evidence more than 1000 to 1 for"),
        (math.inf, "evidence more than 1000 to 1 for"),
        (1e-9, "evidence more than 1000 to 1 against"),
        (0.0, "evidence more than 1000 to 1 against"),
        (5e-324, "evidence more than 1000 to 1 against"),
        (math.nan, "not weighed against the trials"),
        (None, "not weighed against the trials"),
    ],
)
def test_evidence_in_words(factor: float | None, words: str) -> None:
    assert dataclasses.replace(REPORT, bayes_factor=factor).evidence() == words


def test_report_from_an_answer(answer: dict[str, Any]) -> None:
    report = RegionReport.from_answer(
        PriorAnswer.model_validate(answer), 1, asked_at_trial=3, present_weight=0.1, bayes_factor=0.5, share=0.5
    )
    assert report.label == "slow"
    assert report.stated_weight == pytest.approx(0.75 * 0.75 * 0.5)  # weight, confidence, share of the pool
    assert report.beliefs == {
        "learning_rate": NumericQuantiles(low=3e-4, median=1e-3, high=5e-3),
        "dropout": NumericQuantiles(low=0.1, median=0.2, high=0.4),
        "optimizer": {"adam": 0.5, "sgd": 0.25},
        "batch_size": {"32": 0.5},
    }
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["asked_at_trial"] == 3


def test_report_on_a_region_without_choices(answer: dict[str, Any]) -> None:
    report = RegionReport.from_answer(PriorAnswer.model_validate(answer), 2, asked_at_trial=3, present_weight=0.1)
    assert report.beliefs == {"learning_rate": NumericQuantiles(low=0.01, median=0.03, high=0.1)}


def test_no_such_region(answer: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"one of \[1, 2\], got 7"):
        RegionReport.from_answer(PriorAnswer.model_validate(answer), 7, asked_at_trial=0, present_weight=0.1)


def test_every_reason_has_a_sentence() -> None:
    sentences = {StudyInsights(0, {}, {}, (), reason).reason_sentence() for reason in get_args(RefreshReason)}
    assert len(sentences) == len(get_args(RefreshReason))
    assert all(sentence.endswith(".") for sentence in sentences)


def test_unknown_reason() -> None:
    with pytest.raises(ConfigurationError, match="'stagnation', 'search space changed', got 'whim'"):
        StudyInsights(0, {}, {}, (), "whim")  # type: ignore[arg-type]


def test_json_has_no_numbers_that_json_does_not_know() -> None:
    report = dataclasses.replace(REPORT, bayes_factor=math.inf, beliefs={"c": {"a": math.nan}})
    insights = StudyInsights(3, {"c": 1.0}, {"c": {"a": 1.0}}, (report,), "every", trials=(0, 1, 2))
    data = json.loads(json.dumps(insights.to_dict(), allow_nan=False))
    assert data["regions"][0]["bayes_factor"] == "inf"
    assert data["regions"][0]["beliefs"] == {"c": {"a": "nan"}}
    assert data["importance"] == {"c": 1.0}
    assert data["reason"] == "every"
