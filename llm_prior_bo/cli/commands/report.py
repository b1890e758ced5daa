"""`report`: one page about a study, to open in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llm_prior_bo.cli.inputs import StorageOption, StudyOption, required_study
from llm_prior_bo.cli.output import Output
from llm_prior_bo.visualization.report import save_report


def report(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The page to write, e.g. report.html.")],
    storage: StorageOption = None,
    study: StudyOption = None,
) -> Output:
    """Write one page about a study: belief, evidence, questions, cost, and what the prior changed."""
    save_report(required_study(storage, study), out)
    return Output({"written": str(out)}, [f"Written: {out}"])
