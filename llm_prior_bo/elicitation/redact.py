"""Take secrets out of text before it is shown, logged, sent or stored."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

_MASK = "[redacted]"
# A shorter value of such a variable ("disabled", "dummy") is hardly a secret, but is a word that texts contain.
_MIN_SECRET_LENGTH = 12
_SECRET_VARIABLE = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS)$", re.IGNORECASE)
_SECRET_PATTERNS = (
    re.compile(r"\b(?:sk|pk|rk|gsk|xai|hf|key)[-_][A-Za-z0-9_*\-]{12,}"),
    re.compile(r"\bAIza[A-Za-z0-9_\-]{16,}"),
    re.compile(r"(?<=Bearer )[A-Za-z0-9._~+/*\-]{8,}=*", re.IGNORECASE),
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


def _environment_secrets() -> list[str]:
    return [
        value
        for name, value in os.environ.items()
        if _SECRET_VARIABLE.search(name) and len(value) >= _MIN_SECRET_LENGTH
    ]
