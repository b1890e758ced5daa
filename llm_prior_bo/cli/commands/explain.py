"""`explain`: where the suggestion of a trial came from."""

from __future__ import annotations

from typing import Annotated

import typer

from llm_prior_bo.cli.inputs import StorageOption, StudyOption, required_study
from llm_prior_bo.cli.output import Output
from llm_prior_bo.optimization import explanation


def explain(
    trial: Annotated[int, typer.Argument(metavar="TRIAL", help="Number of the trial.")],
    storage: StorageOption = None,
    study: StudyOption = None,
) -> Output:
    """Explain where a trial's parameters came from, and what would have been suggested without the prior."""
    told = explanation.explain(required_study(storage, study), trial)
    return Output(told.to_dict(), list(told.sentences()))
