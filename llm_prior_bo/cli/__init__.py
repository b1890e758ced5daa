"""The command line `llm-prior-bo`; it needs the extra `cli`."""

from __future__ import annotations

import sys


def _missing(name: str | None) -> int:
    """Say what to install; the exit code."""
    print(
        f"Expected the library {name!r} of the command line, got none; pip install 'llm-prior-bo[cli]'.",
        file=sys.stderr,
    )
    return 2


def main() -> None:
    """Run the command line with the arguments of the process."""
    try:
        import rich  # noqa: F401 - to see whether it is there
        import typer  # noqa: F401
    except ImportError as error:
        sys.exit(_missing(error.name))
    from llm_prior_bo.cli.app import app

    app()
