"""Make text fit to be shown, logged, sent or stored: without secrets, and without characters that act."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from llm_prior_bo._text import printable as printable

MASK = "[redacted]"
"""What stands for a secret."""

# A shorter value of such a variable ("disabled", "dummy") is hardly a secret, but is a word that texts contain.
_MIN_SECRET_LENGTH = 12
# The same for what is passed as a key: "ollama", "dummy", "EMPTY" are what local servers are given.
_MIN_GIVEN_LENGTH = 8
_SECRET_OPTION = re.compile(r"key|token|secret|passw|credential|auth|cookie|session|signature", re.IGNORECASE)
_HARMLESS_OPTION = re.compile(r"^max_|tokens$|^token_", re.IGNORECASE)
_SECRET_VARIABLE = re.compile(
    r"(?:^|_)(?:API_?)?(?:KEYS?|TOKENS?|SECRETS?|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|PAT|DSN|WEBHOOK)(?:_|$)"
    r"|(?:APIKEY|TOKEN|SECRET|PASSWORD)$",
    re.IGNORECASE,
)
# Of formats that providers publish. Each has digits or a length that names of parameters do not have.
_SECRET_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?<![\w\-])sk-(?=[A-Za-z_\-]{0,200}[0-9*])[A-Za-z0-9_*\-]{12,}",  # OpenAI, Anthropic, OpenRouter, DeepSeek
        r"\b[prs]k_(?:live|test)_[A-Za-z0-9]{10,}",  # Stripe
        r"\bgsk_[A-Za-z0-9]{16,}",  # Groq
        r"\bxai-[A-Za-z0-9]{20,}",
        r"\bhf_[A-Za-z0-9]{20,}",  # Hugging Face
        r"\bnvapi-[A-Za-z0-9_\-]{20,}",
        r"\bpplx-[A-Za-z0-9]{20,}",
        r"\br8_[A-Za-z0-9]{20,}",  # Replicate
        r"\btgp_v1_[A-Za-z0-9_\-]{20,}",  # Together
        r"\bfw_[A-Za-z0-9]{20,}",  # Fireworks
        r"\bkey-[0-9a-f]{32}\b",  # Mailgun
        r"\bAIza[A-Za-z0-9_\-]{16,}",  # Google
        r"\bya29\.[A-Za-z0-9_\-]{20,}",
        r"\bGOCSPX-[A-Za-z0-9_\-]{20,}",
        r"\bgh[oprsu]_[A-Za-z0-9]{20,}",  # GitHub
        r"\bgithub_pat_[A-Za-z0-9_]{20,}",
        r"\bgl(?:pat|ptt|dt|rt|cbt)-[A-Za-z0-9_\-]{16,}",  # GitLab
        r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",  # AWS
        r"\bxox[abeoprs]-[A-Za-z0-9\-]{10,}",  # Slack
        r"\bxapp-[A-Za-z0-9\-]{10,}",
        r"(?<=hooks\.slack\.com/services/)[A-Za-z0-9/]{20,}",
        r"\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*)?",  # JSON web tokens
        r"\bnpm_[A-Za-z0-9]{30,}",
        r"\bpypi-[A-Za-z0-9_\-]{30,}",
        r"\bdapi[0-9a-f]{32}",  # Databricks
        r"\bcsk-[A-Za-z0-9]{40,}",  # Cerebras
        r"\bpa-[A-Za-z0-9_\-]{40,}",  # Voyage
        r"\btvly-(?:dev-|prod-)?[A-Za-z0-9]{20,}",  # Tavily
        r"\blsv2_[a-z]{2}_[0-9a-f]{32}(?:_[0-9a-f]{10})?",  # LangSmith
        r"\bwhsec_[A-Za-z0-9]{24,}",  # Stripe
        r"\bdop_v1_[0-9a-f]{40,}",  # DigitalOcean
        r"\bSG\.[A-Za-z0-9_\-]{16,}\.[A-Za-z0-9_\-]{16,}",  # SendGrid
        r"\b(?:SK|AC)[0-9a-f]{32}\b",  # Twilio
        r"\b[0-9]{8,10}:[A-Za-z0-9_\-]{35}\b",  # Telegram
        r"(?i:(?<=AccountKey=)|(?<=SharedAccessKey=))[A-Za-z0-9+/]{20,}={0,2}",  # Azure
        r"(?i:(?<=Bearer ))[A-Za-z0-9._~+/*\-]{8,}=*",
        r"(?i:(?<=Basic ))(?=[A-Za-z+/]*[0-9])[A-Za-z0-9+/]{16,}=*",
        r"(?<=://)[^\s/@:]{1,200}:[^\s/@]{1,200}(?=@)",  # user and password in an address
        # What is named like a key, of any form (Azure's are 32 hexadecimal digits): the name stays.
        r"(?i:((?:api|access|secret|subscription|account)[\-_]?key[\"']?\s{0,3}[:=]\s{0,3}[\"']?))"
        r"(?=[^\s\"'&]{0,200}[0-9])[A-Za-z0-9+/_.~%\-]{12,}=*",
        r"(?i:((?:(?:access|auth|refresh|session)[\-_]?token|client[\-_]?secret|password|passwd)"
        r"[\"']?\s{0,3}[:=]\s{0,3}[\"']?))"
        r"(?=[^\s\"'&]{0,200}[0-9])[^\s\"'&,;]{8,}",
        r"(?i:([?&](?:key|sig|signature|token)=))(?=[^\s&]{0,200}[0-9])[A-Za-z0-9+/_.~%\-]{12,}=*",
        r"(?i:(authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:token|apikey|key)\s))[A-Za-z0-9+/_.~\-]{8,}=*",
        r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[A-Za-z0-9+/=\s]{0,10000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?",
    )
)


def redact(text: str, *, secrets: Iterable[str] = (), keep: Iterable[str] = ()) -> str:
    """Replace secrets in `text` by a mask.

    Masked are the given `secrets`, the values of environment variables that are named like those of keys, and whatever
    has the form of a key of a known provider.

    Args:
        text: Any text.
        secrets: What is known to be one.
        keep: Names that stay as they are, whatever they look like: those of a search space.
    """
    # By the characters around them too: a name that holds another word's letters must not save a key.
    kept = {name for name in keep if len(name) >= _MIN_GIVEN_LENGTH}

    def masked(found: re.Match[str]) -> str:
        if any(found[0] in name and name in text for name in kept):
            return found[0]
        return f"{found[1]}{MASK}" if found.re.groups else MASK  # a name before a secret stays

    # Longest first: a secret may contain another one.
    for secret in sorted({*secrets, *_environment_secrets()}, key=lambda s: (-len(s), s)):
        if secret in text and not any(secret in name for name in kept):
            text = text.replace(secret, MASK)
    for pattern in _SECRET_PATTERNS:
        text = pattern.sub(masked, text)
    return text


def encodable(text: str) -> str:
    """Text without halves of characters, which no encoding holds."""
    return text.encode("utf-8", "replace").decode("utf-8")


def cut_off(text: str, limit: int) -> str:
    """The beginning of a text that is longer than `limit` characters."""
    return text if len(text) <= limit else text[:limit] + "..."


def secrets_in(options: Mapping[str, Any]) -> tuple[str, ...]:
    """What must never be shown of the options of a client: keys, headers, and what an address carries.

    Args:
        options: As passed to LiteLLM: `api_key`, `extra_headers`, `api_base` and so on, nested as they are.
    """
    found: dict[str, None] = {}
    for secret in _secret_values(options, within_secret=False):
        found |= dict.fromkeys(form for form in _forms(secret) if len(form) >= _MIN_GIVEN_LENGTH)
    return tuple(found)


def _forms(secret: str) -> tuple[str, ...]:
    """A secret as it may stand in an address or within JSON."""
    plain = unquote(secret)
    return secret, plain, quote(plain, safe=""), quote_plus(plain), json.dumps(plain)[1:-1]


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


def _environment_secrets() -> list[str]:
    values = [value for name, value in os.environ.items() if _SECRET_VARIABLE.search(name)]
    return [form for value in values if len(value) >= _MIN_SECRET_LENGTH for form in _forms(value)]
