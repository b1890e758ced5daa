"""What all commands have in common: options, errors, exit codes, warnings."""

from __future__ import annotations

import json
import tomllib
import warnings
from importlib.metadata import EntryPoint

import pytest
import typer
from typer.testing import CliRunner, Result

from llm_prior_bo._display import TextTable
from llm_prior_bo.cli.output import PROBLEM, Output, as_command
from llm_prior_bo.errors import ConfigurationError, ElicitationError, SearchSpaceError
from tests.scripts import ROOT, run_python


def invoke(*arguments: str, error: Exception | None = None) -> Result:
    def command(number: int) -> Output:
        """Say a number."""
        if error is not None:
            raise error
        warnings.warn("Careful\x1b[31m", UserWarning, stacklevel=2)
        table = TextTable.of("[bold]Numbers", ("n",), [(number,)])
        return Output({"n": number, "what": {1}}, [table, "line\x1b[31m"], PROBLEM)

    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(as_command(command))
    return CliRunner().invoke(app, arguments)


def test_tables_and_lines_are_plain_text() -> None:
    result = invoke("3")
    assert result.exit_code == 1
    assert "[bold]Numbers" in result.stdout
    assert "line\\u001b[31m" in result.stdout
    assert result.stderr == "Warning: Careful\\u001b[31m\n"


def test_json_is_all_that_is_printed_and_holds_the_exit_code() -> None:
    assert json.loads(invoke("3", "--json").stdout) == {"n": 3, "what": "{1}", "exit_code": 1}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("no"), 2),
        (SearchSpaceError("no"), 2),
        (ElicitationError("no"), 1),
        (ZeroDivisionError("no"), 1),
    ],
)
def test_errors_are_one_line(error: Exception, code: int) -> None:
    result = invoke("3", error=error)
    assert result.exit_code == code
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    told = json.loads(invoke("3", "--json", error=error).stdout)
    assert (told["error"], told["exit_code"]) == (type(error).__name__, code)


def test_debug_shows_where() -> None:
    assert isinstance(invoke("3", "--debug", error=ZeroDivisionError("no")).exception, ZeroDivisionError)
    assert "--debug" in invoke("3", error=ZeroDivisionError("no")).stderr


def test_wrong_arguments_are_misuse() -> None:
    assert invoke("three").exit_code == 2


def test_a_missing_extra_is_one_line_that_says_what_to_install() -> None:
    script = """
        import sys
        sys.modules["typer"] = None
        sys.stderr = sys.stdout
        from llm_prior_bo.cli import main
        try:
            main()
        except SystemExit as end:
            print(end.code)
    """
    line, code = run_python(script).splitlines()
    assert line == "Expected the library 'typer' of the command line, got none; pip install 'llm-prior-bo[cli]'."
    assert code == "2"


def test_the_entry_point_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert callable(EntryPoint("llm-prior-bo", project["scripts"]["llm-prior-bo"], "console_scripts").load())


def test_the_package_does_without_typer() -> None:
    assert run_python("import sys, llm_prior_bo; print('typer' in sys.modules)").strip() == "False"
