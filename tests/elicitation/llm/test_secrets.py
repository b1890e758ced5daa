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
        "sk-or-v1-0123456789abcdef0123456789abcdef",
        "sk-abc***********1xyz",
        "gsk_abcdefghijklmnop",
        "xai-" + "aB3" * 10,
        "hf_" + "AbCdEfGhIj" * 3,
        "ghp_" + "a1B2" * 9,
        "gho_" + "a1B2" * 9,
        "github_pat_11ABCDEFG0_" + "a1B2" * 10,
        "glpat-" + "a1B2" * 5,
        "AKIA" + "ABCD1234" * 2,
        "ASIA" + "ABCD1234" * 2,
        "xoxb-" + "123456789012-" * 2 + "abc",
        "xapp-1-A012-345-abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r",
        "npm_" + "a1B2" * 9,
        "r8_" + "a1B2" * 9,
        "pplx-" + "a1B2" * 12,
        "nvapi-" + "a1B2-" * 12,
        "AC" + "0123456789abcdef" * 2,
        "dapi" + "0123456789abcdef" * 2,
        "GOCSPX-" + "a1B2" * 7,
        "ya29." + "a1B2" * 10,
        "SG." + "a1B2" * 5 + "." + "a1B2" * 10,
        "sk-ant-oat01-" + "aB3dE5fG7h" * 8,
        "sk-proj-" + "aB3_dE5-fG" * 10,
        "sk-lf-01234567-89ab-cdef-0123-456789abcdef",
        "csk-" + "aB3dE5fG7h" * 5,
        "pa-" + "aB3dE5fG7h" * 4 + "abc",
        "tvly-dev-" + "aB3dE5fG7h" * 3,
        "lsv2_pt_" + "0123456789abcdef" * 2 + "_0123456789",
        "whsec_" + "aB3dE5fG7h" * 3,
        "sk_live_" + "aB3dE5fG7h" * 2,
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----",
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


@pytest.mark.parametrize(
    ("before", "secret", "after"),
    [
        ("api-key: ", "3f9a1c2b4d5e6f708192a3b4c5d6e7f8", ""),  # Azure
        ('{"api_key": "', "3f9a1c2b4d5e6f708192a3b4c5d6e7f8", '"}'),
        ("x-api-key: ", "aB3dE5fG7haB3dE5fG7h", "\n"),
        ("WANDB_API_KEY=", "0123456789abcdef0123456789abcdef01234567", " "),
        ("aws_secret_access_key=", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""),
        ("GET https://x.y/v1/models?key=", "AbCdEf0123456789xyz", "&alt=json"),
        ("https://x.y/v1?a=b&access_token=", "0123456789abcdefABCDEF", "&x=1"),
        ("https://acc.blob.example/c?sv=2020&sig=", "aB3dE5fG7haB3dE5fG7haB3d%3D", ""),
        ('"password": "', "s3cr3tpw-long-one", '"'),
        ("Authorization: Token ", "0123456789abcdef", ""),
    ],
)
def test_what_is_named_like_a_key_is_masked_and_the_name_stays(before: str, secret: str, after: str) -> None:
    assert redact(f"{before}{secret}{after}") == f"{before}[redacted]{after}"


@pytest.mark.parametrize(
    "text",
    [
        "monkey=banana_split_12",
        "keyboard: qwertyuiopasdfgh1",
        "max_tokens=1024",
        "key=learning_rate_schedule_1",
        "api_version=2024-10-21-preview",
        "https://x.y/a?page=2&monkey=1234567890123",
        "api_key=...",
        "password: the one that you were given",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert redact(text) == text


def test_given_secrets_are_masked() -> None:
    assert redact("key hunter2 refused", secrets=["hunter2"]) == "key [redacted] refused"


def test_user_and_password_in_an_address_are_masked() -> None:
    assert redact("postgresql://me:hunter2@db.example.org/x") == "postgresql://[redacted]@db.example.org/x"
    key = "a1B2c3D4" * 10
    assert redact(f"AccountName=a;AccountKey={key}==;x") == "AccountName=a;AccountKey=[redacted];x"
    assert redact("Basic dXNlcjpwYXNzd29yZA==") == "Basic [redacted]"


@pytest.mark.parametrize(
    "variable",
    [
        "OPENAI_API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "HF_TOKEN",
        "GITHUB_PAT",
        "DB_PASSWORD",
        "MYAPIKEY",
        "SENTRY_DSN",
        "SLACK_WEBHOOK_URL",
        "my_secret_2",
    ],
)
def test_variables_that_are_named_like_keys(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, 'correct/horse "battery" staple')
    for form in (
        'correct/horse "battery" staple',
        'correct/horse \\"battery\\" staple',
        "correct%2Fhorse%20%22battery%22%20staple",
    ):
        assert redact(f"<{form}>") == "<[redacted]>"


@pytest.mark.parametrize("variable", ["PWD", "MONKEY", "KEYBOARD_LAYOUT", "TOKENIZERS_PARALLELISM", "SECRETARY"])
def test_other_variables(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "an ordinary value")
    assert redact("an ordinary value") == "an ordinary value"


def test_names_that_are_kept_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "number_of_layers")
    names = ["sk-learn2_tree_depth_limit", "number_of_layers", "AKIA" + "A" * 16, "learning_rate"]
    text = " ".join(names)
    assert redact(text, keep=names, secrets=["learning_rate"]) == text
    assert redact(text) == "[redacted] [redacted] [redacted] learning_rate"
    # A key beside them is masked all the same.
    assert redact(f"{text} sk-abcdef1234567890", keep=names) == f"{text} [redacted]"


@pytest.mark.parametrize("n", [1_000_000])
def test_long_texts_take_no_longer_than_their_length(n: int) -> None:
    for piece in ("a", "sk-", "sk-1", "eyJ", "://a:", "key_", "-----BEGIN ", "Basic ", "Bearer ", "1234567890:", "SG."):
        redact(piece * (n // len(piece)))


@pytest.mark.parametrize(
    "text",
    [
        "task-specific-hyperparameters",
        "risk-adjusted-return-metric",
        "sk-learn",
        "1e-3",
        "key_projection_dropout",
        "hf_learning_rate_scale",
        "pk_compartment_volume",
        "sk-learn_tree_depth_limit",
        "key-value-pairs-of-text",
        "rk_order_of_the_method",
    ],
)
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
