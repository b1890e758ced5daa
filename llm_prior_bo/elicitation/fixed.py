"""An answer that is known already."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_prior_bo.elicitation.answer.names import check_fit
from llm_prior_bo.elicitation.answer.parsing import parse_answer
from llm_prior_bo.elicitation.answer.repair import validate_answer
from llm_prior_bo.elicitation.answer.schema import PriorAnswer
from llm_prior_bo.elicitation.answer.strict import check_names_and_ranges
from llm_prior_bo.elicitation.answer_file import AnswerFile, read_answer_file
from llm_prior_bo.elicitation.prompt.context import StudyContext
from llm_prior_bo.elicitation.record import MAX_RAW_CHARACTERS, Elicitation, provenance
from llm_prior_bo.elicitation.settings import ElicitationSettings
from llm_prior_bo.errors import AnswerError


class FixedElicitor:
    """An answer that is known already: written by a person, taken from a file. Nobody is asked.

    Args:
        answer: A `PriorAnswer`, the same as a dict or JSON text, or the path of a YAML or JSON file (`load_answer`).
        interval_coverage: Probability with which a stated interval holds the optimum's value (`ElicitationSettings`).

    Raises:
        ConfigurationError: If there is no such file.
        AnswerError: If it holds no answer.
    """

    longest_seconds = 0.0
    """Nobody is asked, so there is nothing to wait for."""
    answers_again = False
    """The answer is the same at every trial."""

    def __init__(self, answer: PriorAnswer | Mapping[str, Any] | str | Path, *, interval_coverage: float = 0.5) -> None:
        self.settings = ElicitationSettings(interval_coverage=interval_coverage)
        supplied = _supplied_answer(answer)
        self._answer, self._origin = supplied.answer, supplied.origin

    def elicit(self, context: StudyContext) -> Elicitation:
        """The answer, put into canonical form; one that `save_answer` wrote keeps where it came from.

        Raises:
            AnswerError: If the answer does not fit the search space: a parameter, a choice or an interval is none of
                it. Whoever wrote it can mend it.
        """
        check_fit(self._answer, context.space)
        is_complete = context.space_is_complete
        check_names_and_ranges(_plain(self._answer), context.space, exact=False, is_complete=is_complete)
        answer, repairs = validate_answer(self._answer, context.space)
        return Elicitation(
            answer=answer,
            repairs=repairs,
            raw_text=json.dumps(_plain(self._answer), default=str)[:MAX_RAW_CHARACTERS],
            model="fixed" if self._origin is None else self._origin.author,
            prompt_tokens=0,
            completion_tokens=0,
            cost_usd=0.0,
            n_attempts=0,
            **(provenance(context, None) | self._known_origin()),
        )

    def _known_origin(self) -> dict[str, str | None]:
        """What a file says of the question, in the place of `provenance`'s nothing."""
        origin = self._origin
        if origin is None:
            return {}
        known = {"prompt_version": origin.prompt_version, "prompt_hash": origin.prompt_hash}
        return known | ({"created_at": origin.created_at} if origin.created_at else {})


def _supplied_answer(answer: PriorAnswer | Mapping[str, Any] | str | Path) -> AnswerFile:
    if isinstance(answer, PriorAnswer | Mapping):
        return AnswerFile(answer)
    if not isinstance(answer, str | Path):
        raise AnswerError(
            f"Expected a PriorAnswer, a dict, JSON text or the path of a file, got a {type(answer).__name__}; write "
            "PriorAnswer.by_hand(numeric={name: (best, low, high)})."
        )
    if isinstance(answer, str) and answer.lstrip().startswith("{"):
        return AnswerFile(parse_answer(answer))
    return read_answer_file(answer)


def _plain(answer: PriorAnswer | Mapping[str, Any]) -> dict[str, Any]:
    return answer.model_dump() if isinstance(answer, PriorAnswer) else dict(answer)
