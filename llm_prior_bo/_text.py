"""Text of others made fit to be shown: without characters that act."""

from __future__ import annotations

import json
import unicodedata

_ACTING_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")


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
