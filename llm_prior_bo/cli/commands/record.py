"""`record`: ask a model, and write a recording that `ReplayElicitor` replays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llm_prior_bo.cli.inputs import SpaceOption, StorageOption, StudyOption, space_from, study_from
from llm_prior_bo.cli.output import OK, PROBLEM, Output
from llm_prior_bo.cli.question import (
    ApiBaseOption,
    ContextOption,
    DescriptionOption,
    DirectionOption,
    ModelOption,
    RetriesOption,
    TimeoutOption,
    answer_data,
    bound_lines,
    elicitor,
    question,
)
from llm_prior_bo.elicitation.replay import RecordingElicitor, read_exchanges


def record(
    model: ModelOption,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The recording; an exchange is added to it.")],
    space: SpaceOption = None,
    storage: StorageOption = None,
    study: StudyOption = None,
    context: ContextOption = None,
    description: DescriptionOption = None,
    direction: DirectionOption = "minimize",
    api_base: ApiBaseOption = None,
    timeout: TimeoutOption = 30.0,
    max_retries: RetriesOption = 3,
) -> Output:
    """Ask a model and record the exchange for ReplayElicitor."""
    stored = study_from(storage, study)
    parameters = space_from(space, stored)
    asked = question(parameters, stored, file=context, description=description, direction=direction)
    who = elicitor(model, api_base=api_base, timeout=timeout, max_retries=max_retries)
    elicitation = RecordingElicitor(who, out).elicit(asked)
    recorded = [exchange.prompt_hash for exchange in read_exchanges(out)] if out.exists() else []
    is_there = elicitation.prompt_hash in recorded  # where it could not be written, a warning has said why
    told = f"Recorded in {out}, {len(recorded)} in all." if is_there else f"Not recorded in {out}."
    data = {**answer_data(elicitation), "out": str(out), "recorded": is_there}
    return Output(
        data, [elicitation._display(), *bound_lines(elicitation, parameters), told], OK if is_there else PROBLEM
    )
