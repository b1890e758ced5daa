from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llm_prior_bo.elicitation import (
    BlindedElicitor,
    Elicitation,
    ElicitationSettings,
    Elicitor,
    FixedElicitor,
    FunctionClient,
    LLMElicitor,
    PriorAnswer,
    RecordingElicitor,
    ReplayElicitor,
    SpendingLimit,
    StudyContext,
    settings_of,
)
from llm_prior_bo.elicitation.elicitor import UNKNOWN_LONGEST_SECONDS, limit_of, longest_seconds_of
from llm_prior_bo.errors import ConfigurationError

SETTINGS: dict[str, Any] = {
    "n_answers": 3,
    "max_context_trials": 4,
    "max_prompt_tokens": 500,
    "interval_coverage": 0.25,
    "on_failure": "raise",
}


class Own:
    """A user's elicitor, which knows nothing of settings."""

    def elicit(self, context: StudyContext) -> Elicitation:
        raise NotImplementedError


@pytest.fixture
def recording(tmp_path: Path, context: StudyContext, answer: dict[str, Any]) -> Path:
    path = tmp_path / "recording.json"
    RecordingElicitor(LLMElicitor(client=FunctionClient(lambda _: json.dumps(answer))), path).elicit(context)
    return path


def test_every_elicitor_carries_its_own(recording: Path) -> None:
    expected = ElicitationSettings(**SETTINGS)
    asker = LLMElicitor("gpt-4o", budget_usd=1.0, **SETTINGS)
    elicitors: list[Elicitor] = [asker, ReplayElicitor(recording, **SETTINGS)]
    for elicitor in elicitors:
        for wrapped in (elicitor, BlindedElicitor(elicitor), RecordingElicitor(elicitor, recording)):
            assert settings_of(wrapped) == expected
            assert limit_of(wrapped) == limit_of(elicitor)
            assert longest_seconds_of(wrapped) == longest_seconds_of(elicitor)
    assert limit_of(asker) == SpendingLimit(1.0)
    assert longest_seconds_of(asker) == asker.longest_seconds > UNKNOWN_LONGEST_SECONDS
    fixed = FixedElicitor(PriorAnswer.by_hand(), interval_coverage=0.25)
    assert settings_of(fixed) == ElicitationSettings(interval_coverage=0.25)


def test_whoever_has_none_has_the_defaults() -> None:
    own = Own()
    assert settings_of(own) == ElicitationSettings() == LLMElicitor("gpt-4o").settings
    assert (limit_of(own), longest_seconds_of(own)) == (None, UNKNOWN_LONGEST_SECONDS)


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("n_answers", 0, "n_answers to be a whole number >= 1, got 0"),
        ("n_answers", 1.5, "whole number"),
        ("n_answers", True, "whole number"),
        ("max_context_trials", -1, "max_context_trials to be a whole number >= 0, got -1"),
        ("max_prompt_tokens", 0, "max_prompt_tokens to be a whole number >= 1, got 0"),
        ("interval_coverage", 1.0, r"interval_coverage in \(0, 1\), got 1.0"),
        ("interval_coverage", float("nan"), r"interval_coverage in \(0, 1\), got nan"),
        ("on_failure", "ignore", "on_failure to be 'warn' or 'raise', got 'ignore'"),
        ("interval_coverage", "0.5", r"interval_coverage in \(0, 1\), got '0.5'"),
    ],
)
def test_values_out_of_range(name: str, value: Any, match: str) -> None:
    for make in (ElicitationSettings, lambda **settings: LLMElicitor("gpt-4o", **settings)):
        with pytest.raises(ConfigurationError, match=match):
            make(**{name: value})


def test_limits_are_given_once() -> None:
    assert LLMElicitor("gpt-4o", budget_usd=0.5, budget_tokens=9).limit == SpendingLimit(0.5, 9)
    assert LLMElicitor("gpt-4o").limit is None
    with pytest.raises(ConfigurationError, match="either limit= or budget_usd="):
        LLMElicitor("gpt-4o", limit=SpendingLimit(1.0), budget_tokens=9)


def test_blinding_is_a_wrapper() -> None:
    with pytest.raises(ConfigurationError, match=r"BlindedElicitor\(LLMElicitor"):
        LLMElicitor("gpt-4o", blinded=True)
