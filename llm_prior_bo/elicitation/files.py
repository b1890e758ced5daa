"""Files that a user names."""

from __future__ import annotations

from pathlib import Path

from llm_prior_bo.errors import ConfigurationError


def read_text_file(path: str | Path, *, what: str) -> str:
    """Text of a file that the user named.

    Args:
        path: The file.
        what: What is expected in it, for the error's text.

    Raises:
        ConfigurationError: If it cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigurationError(
            f"Expected the path of a file with {what}, got {str(path)!r}, which cannot be read ({reason})."
        ) from None
