"""Make text fit to be shown, logged, sent or stored: without secrets, and without characters that act."""

from __future__ import annotations

import base64
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

_MASK = "[redacted]"
_ACTING_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
# A shorter value of such a variable ("disabled", "dummy") is hardly a secret, but is a word that texts contain.
_MIN_SECRET_LENGTH = 12
# The same for what is passed as a key: "ollama", "dummy", "EMPTY" are what local servers are given.
_MIN_GIVEN_LENGTH = 8
_SECRET_OPTION = re.compile(r"key|token|secret|passw|credential|auth|cookie|session|signature", re.IGNORECASE)
_HARMLESS_OPTION = re.compile(r"^max_|tokens$|^token_", re.IGNORECASE)
_SECRET_VARIABLE = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS)$", re.IGNORECASE)
_SECRET_PATTERNS = (
    re.compile(r"\b(?:sk|pk|rk|gsk|xai|hf|key)[-_][A-Za-z0-9_*\-]{12,}"),
    re.compile(r"\bAIza[A-Za-z0-9_\-]{16,}"),
    re.compile(r"(?<=Bearer )[A-Za-z0-9._~+/*\-]{8,}=*", re.IGNORECASE),
    re.compile(r"(?<=://)[^\s/@:]+:[^\s/@]+(?=@)"),  # user and password in an address
)


def redact(text: str, *, secrets: Iterable[str] = ()) -> str:
    """Replace API keys in `text` by a mask.

    Masked are the given `secrets`, the values of environment variables whose names end like those of keys, and whatever
    looks like a key of a known provider.
    """
    # Longest first: a secret may contain another one.
    for secret in sorted({*secrets, *_environment_secrets()}, key=lambda s: (-len(s), s)):
        text = text.replace(secret, _MASK)
    for pattern in _SECRET_PATTERNS:
        text = pattern.sub(_MASK, text)
    return text


def secrets_in(options: Mapping[str, Any]) -> tuple[str, ...]:
    """What must never be shown of the options of a client: keys, headers, and what an address carries.

    Args:
        options: As passed to LiteLLM: `api_key`, `extra_headers`, `api_base` and so on, nested as they are.
    """
    found: dict[str, None] = {}
    for secret in _secret_values(options, within_secret=False):
        plain = unquote(secret)
        for form in (secret, plain, quote(plain, safe=""), quote_plus(plain), json.dumps(plain)[1:-1]):
            if len(form) >= _MIN_GIVEN_LENGTH:
                found[form] = None
    return tuple(found)


def _secret_values(value: object, *, within_secret: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            text = str(name)
            named = bool(_SECRET_OPTION.search(text)) and not _HARMLESS_OPTION.search(text)
            yield from _secret_values(item, within_secret=within_secret or named)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _secret_values(item, within_secret=within_secret)
    elif isinstance(value, str):
        if within_secret:
            yield value
            yield from value.split()  # "Bearer ..."
        elif "://" in value:
            yield from _secrets_of_address(value)


def _secrets_of_address(address: str) -> Iterator[str]:
    try:
        parts = urlsplit(address)
        password, user = parts.password, parts.username
    except ValueError:  # not an address after all
        return
    if password:
        yield password
        # As HTTP's basic authentication sends them.
        yield base64.b64encode(f"{unquote(user or '')}:{unquote(password)}".encode()).decode()
    elif user:
        yield user
    yield from (value for name, value in parse_qsl(parts.query) if "version" not in name)


def printable(text: str, *, keep: str = "\t") -> str:
    r"""Text that only says something, and does nothing where it is shown.

    Control characters (line breaks and the start of a terminal's escape sequences among them), characters that change
    the direction of writing or have no width, line and paragraph separators and lone surrogates are written as JSON
    escapes: `\u001b`, `\n`, `\u202e`. A reader of JSON takes them for the characters they are. Everything else stays,
    also what this Python's Unicode tables do not know yet: the text must not depend on their version.

    Args:
        text: Any text.
        keep: Characters that stay although they act.
    """
    return "".join(
        json.dumps(c)[1:-1] if unicodedata.category(c) in _ACTING_CATEGORIES and c not in keep else c for c in text
    )


def _environment_secrets() -> list[str]:
    return [
        value
        for name, value in os.environ.items()
        if _SECRET_VARIABLE.search(name) and len(value) >= _MIN_SECRET_LENGTH
    ]
