"""What a command has found, and how every command shows it: as tables or JSON, with an exit code, without traceback."""

from __future__ import annotations

import inspect
import json
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from llm_prior_bo._display import TextTable
from llm_prior_bo.elicitation.llm.secrets import printable, redact
from llm_prior_bo.errors import ConfigurationError, LLMPriorError, SearchSpaceError

OK, PROBLEM, MISUSE = 0, 1, 2
"""Exit codes: all is well; something was found to be wrong, or nobody answered; the command was used wrongly."""


@dataclass(frozen=True)
class Output:
    """What a command has found.

    Args:
        data: For `--json`: JSON-able, other values as their text.
        shown: For people: tables, and lines of text, which are escaped.
        code: The exit code.
    """

    data: Mapping[str, Any]
    shown: Sequence[TextTable | str] = field(default_factory=tuple)
    code: int = OK


_Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
_Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def as_command(function: Callable[..., Output]) -> Callable[..., None]:
    """The command of a function: with the options that all commands have, its output shown, its errors in one line."""

    def command(*, as_json: bool, debug: bool, **arguments: Any) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            output = _run(function, arguments, as_json=as_json, debug=debug)
        for warning in caught:
            typer.echo(f"Warning: {_clean(str(warning.message))}", err=True)
        _show(output, as_json=as_json)
        raise typer.Exit(output.code)

    signature = inspect.signature(function, eval_str=True)
    kind, empty = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.empty
    own = [parameter.replace(kind=kind) for parameter in signature.parameters.values()]
    common = [
        inspect.Parameter(name, kind, default=False, annotation=annotation)
        for name, annotation in (("as_json", _Json), ("debug", _Debug))
    ]
    command.__doc__ = function.__doc__
    command.__annotations__ = {p.name: p.annotation for p in (*own, *common) if p.annotation is not empty}
    command.__signature__ = signature.replace(parameters=[*own, *common], return_annotation=None)  # type: ignore[attr-defined]
    return command


def _run(function: Callable[..., Output], arguments: Mapping[str, Any], *, as_json: bool, debug: bool) -> Output:
    try:
        return function(**arguments)
    except Exception as error:
        if debug:
            raise
        known = isinstance(error, LLMPriorError)
        text = _clean(str(error) if known else f"{type(error).__name__}: {error}")
        if not as_json:
            typer.echo(f"Error: {text}{'' if known else ' (--debug shows where)'}", err=True)
        is_misuse = isinstance(error, ConfigurationError | SearchSpaceError)
        return Output({"error": type(error).__name__, "message": text}, code=MISUSE if is_misuse else PROBLEM)


def _show(output: Output, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**output.data, "exit_code": output.code}, indent=2, default=str))
        return
    console = Console(file=sys.stdout, highlight=False)
    for part in output.shown:
        if isinstance(part, TextTable):
            console.print(part.to_rich())
        else:
            console.print(Text(_clean(part)))


def _clean(text: str) -> str:
    return printable(redact(text), keep="\n\t")
