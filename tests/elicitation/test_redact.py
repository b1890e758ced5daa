from __future__ import annotations

import pytest

from llm_prior_bo.elicitation.redact import redact


@pytest.mark.parametrize(
    "secret",
    [
        "sk-abcdef1234567890",
        "sk-proj-Abc_def-1234567890",
        "sk-ant-api03-abcdefghijkl",
        "AIzaSyA1234567890abcdefg",
        "gsk_abcdefghijklmnop",
    ],
)
def test_keys_of_known_form_are_masked(secret: str) -> None:
    text = redact(f"Incorrect API key provided: {secret}. See the docs.")
    assert text == "Incorrect API key provided: [redacted]. See the docs."


def test_bearer_tokens_are_masked() -> None:
    assert redact("Authorization: Bearer abc.def-12345==") == "Authorization: Bearer [redacted]"


def test_values_of_the_environment_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PROVIDER_API_KEY", "correcthorsebattery")
    monkeypatch.setenv("OTHER_API_KEY", "correcthorsebatterystaple")
    monkeypatch.setenv("SHORT_TOKEN", "dummy")
    monkeypatch.setenv("ORDINARY_SETTING", "an ordinary value")
    text = redact("correcthorsebatterystaple correcthorsebattery dummy, an ordinary value")
    assert text == "[redacted] [redacted] dummy, an ordinary value"


def test_given_secrets_are_masked() -> None:
    assert redact("key hunter2 refused", secrets=["hunter2"]) == "key [redacted] refused"


@pytest.mark.parametrize("text", ["task-specific-hyperparameters", "risk-adjusted-return-metric", "sk-learn", "1e-3"])
def test_ordinary_words_stay(text: str) -> None:
    assert redact(text) == text
