"""`ask`: ask a model, show what it believes, write its answer to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llm_prior_bo.cli.output import Output
from llm_prior_bo.cli.question import Inquiry, answer_data, asks, bound_lines
from llm_prior_bo.elicitation.answer_file import YAML_SUFFIXES, save_answer
from llm_prior_bo.errors import ConfigurationError


@asks
def ask(
    inquiry: Inquiry,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the answer to a .yaml, .yml or .json file.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")] = False,
) -> Output:
    """Ask a model where the optimum is. A stored study is read, not written to."""
    _check_out(out, overwrite=overwrite)
    elicitation = inquiry.elicitor.elicit(inquiry.context)
    written = []
    if out is not None:
        save_answer(elicitation, out, space=inquiry.space, overwrite=overwrite)
        written = [f"Written to {out}."]
    data = {**answer_data(elicitation), "out": None if out is None else str(out)}
    return Output(data, [elicitation._display(), *bound_lines(elicitation, inquiry.space), *written])


def _check_out(out: Path | None, *, overwrite: bool) -> None:
    """Refuse before anything is paid for."""
    if out is not None and out.suffix.lower() not in (*YAML_SUFFIXES, ".json"):
        raise ConfigurationError(f"Expected --out to end in .yaml, .yml or .json, got {str(out)!r}.")
    if out is not None and out.exists() and not overwrite:
        raise ConfigurationError(f"Expected a new file, got {str(out)!r}, which is there; give --overwrite.")
