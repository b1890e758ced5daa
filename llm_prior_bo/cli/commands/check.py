"""`check`: does an answer that somebody has written or edited fit a search space?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llm_prior_bo.cli.inputs import SpaceOption, StorageOption, StudyOption, space_from, study_from
from llm_prior_bo.cli.output import PROBLEM, Output
from llm_prior_bo.elicitation.answer.repair import validate_answer
from llm_prior_bo.elicitation.answer.schema import PriorAnswer
from llm_prior_bo.elicitation.answer.strict import check_names_and_ranges
from llm_prior_bo.elicitation.answer_file import read_answer_file
from llm_prior_bo.errors import AnswerError


def check(
    answer: Annotated[Path, typer.Argument(metavar="ANSWER", help="File of an answer.")],
    space: SpaceOption = None,
    storage: StorageOption = None,
    study: StudyOption = None,
) -> Output:
    """Check an answer against a search space: mistakes with the nearest names, and what would be repaired."""
    parameters = space_from(space, study_from(storage, study))
    try:
        given = read_answer_file(answer).answer
        plain = given.model_dump() if isinstance(given, PriorAnswer) else dict(given)
        check_names_and_ranges(plain, parameters, exact=False)
        repaired, repairs = validate_answer(given, parameters)
    except AnswerError as error:
        return Output({"ok": False, "errors": [str(error)], "repairs": []}, [str(error)], PROBLEM)
    told = [f"Would be repaired: {repair}" for repair in repairs]
    data = {"ok": True, "errors": [], "repairs": list(repairs), "answer": repaired.model_dump()}
    return Output(data, [repaired._display(), *told, "The answer fits the search space."])
