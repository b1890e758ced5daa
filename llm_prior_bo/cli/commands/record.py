"""`record`: ask a model, and write a recording that `ReplayElicitor` replays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llm_prior_bo._display import TextTable
from llm_prior_bo.cli.output import OK, PROBLEM, Output
from llm_prior_bo.cli.question import Inquiry, answer_data, asks, bound_lines
from llm_prior_bo.elicitation.replay import RecordingElicitor, read_exchanges


@asks
def record(
    inquiry: Inquiry,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The recording; an exchange is added to it.")],
) -> Output:
    """Ask a model and record the exchange for ReplayElicitor."""
    elicitation = RecordingElicitor(inquiry.elicitor, out).elicit(inquiry.context)
    recorded = [exchange.prompt_hash for exchange in read_exchanges(out)] if out.exists() else []
    is_there = elicitation.prompt_hash in recorded  # where it could not be written, a warning has said why
    told = f"Recorded in {out}, {len(recorded)} in all." if is_there else f"Not recorded in {out}."
    data = {**answer_data(elicitation), "out": str(out), "recorded": is_there}
    lines: list[TextTable | str] = [elicitation._display(), *bound_lines(elicitation, inquiry.space), told]
    return Output(data, lines, OK if is_there else PROBLEM)
