"""The command line: all commands of the folder `commands`."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import optuna
import typer

from llm_prior_bo.cli import commands
from llm_prior_bo.cli.output import as_command

HELP = """Ask a language model where the optimum is, read and check answers, explain studies, compare samplers.

Exit codes: 0 all is well, 1 a problem was found or nobody answered, 2 the command was used wrongly.
"""


def build_app() -> typer.Typer:
    """The command line with a command for each module of the folder `commands`."""
    app = typer.Typer(
        help=HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain text: no terminal changes it
    )
    app.callback()(_quiet)
    for module in iter_modules(commands.__path__):
        found = import_module(f"{commands.__name__}.{module.name}")
        app.command(module.name)(as_command(getattr(found, module.name)))
    return app


def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


app = build_app()
