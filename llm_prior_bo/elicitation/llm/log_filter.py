"""Keys kept out of the logs of the libraries that carry a request.

At their lower levels they log addresses, headers and bodies, some of it from threads of their own after the request.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable

from llm_prior_bo.elicitation.llm.secrets import redact

LOGGERS = (
    *("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy"),
    # openai 3 sends with these where it makes its HTTP client itself, as in a `client=` of the user's own.
    *("httpx2", "httpcore2.connection", "httpcore2.http11", "httpcore2.http2", "httpcore2.proxy"),
    "openai._base_client",
    "LiteLLM",
)
"""Loggers of those libraries; a filter holds for the very logger that it is added to."""


class _SecretFilter(logging.Filter):
    """Masks the secrets of all clients of this process."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: frozenset[str] = frozenset()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, with its text masked."""
        text = record.getMessage()
        clean = redact(text, secrets=self.secrets)
        if clean != text:
            record.msg, record.args = clean, None
        if record.exc_info and record.exc_info[0] is not None:
            trace = "".join(traceback.format_exception(*record.exc_info)).rstrip()
            clean = redact(trace, secrets=self.secrets)
            if clean != trace:
                record.exc_text, record.exc_info = clean, None
        return True


_filter = _SecretFilter()


def mask_in_logs(secrets: Iterable[str]) -> None:
    """Mask secrets in the logs of the HTTP libraries from now on; nothing else about their logs changes."""
    _filter.secrets |= frozenset(secrets)
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_filter)  # once, however often it is added
