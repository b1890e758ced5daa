from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_prior_bo.elicitation.llm.secrets import printable, redact


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


class TestPrintable:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("\x1b[31mred\x1b[0m", r"\u001b[31mred\u001b[0m"),
            ("a\nb\r\x00", r"a\nb\r\u0000"),
            ("a\u2028b\u2029c\x85", r"a\u2028b\u2029c\u0085"),
            ("\u202egnp.exe", r"\u202egnp.exe"),
            ("a\u200bb\ufeff", r"a\u200bb\ufeff"),
            ("\U000e0041", r"\udb40\udc41"),
            ("\ud800\x7f", r"\ud800\u007f"),
            ("tab\tstays", "tab\tstays"),
            ("Größe, 学习率, \u00a0, 🎉, `x`, \\n", "Größe, 学习率, \u00a0, 🎉, `x`, \\n"),
        ],
    )
    def test_characters_that_act_are_written_out(self, text: str, shown: str) -> None:
        assert printable(text) == shown

    def test_what_stays_is_up_to_the_caller(self) -> None:
        assert printable("a\tb\nc", keep="") == r"a\tb\nc"
        assert printable("a\tb\nc", keep="\n") == "a\\tb\nc"

    @given(st.text())
    def test_one_line_that_can_be_encoded(self, text: str) -> None:
        shown = printable(text)
        assert len(shown.splitlines()) <= 1
        assert printable(shown) == shown
        shown.encode("utf-8")

    @given(st.text(st.characters(exclude_categories=["Cs"])))
    def test_a_reader_of_json_gets_the_text_back(self, text: str) -> None:
        assert json.loads(printable(json.dumps(text, ensure_ascii=False), keep="")) == text
