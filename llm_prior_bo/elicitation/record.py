"""One answer and how it came about: what is kept in a study and in a recording."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from llm_prior_bo._display import Displayed, TextTable
from llm_prior_bo.elicitation.answer.schema import PriorAnswer, describe_validation_error
from llm_prior_bo.elicitation.llm.messages import Messages
from llm_prior_bo.elicitation.llm.spending import Usage
from llm_prior_bo.elicitation.prompt.context import StudyContext
from llm_prior_bo.elicitation.prompt.render import PROMPT_VERSION, prompt_hash, shown_context
from llm_prior_bo.errors import PersistenceError

MAX_RAW_CHARACTERS = 40_000
"""A longer text of a model is cut in the record."""

EDITED_BY_HAND = ", edited by hand"
"""What follows the name of a model whose answer somebody has changed in a file."""


@dataclass(frozen=True)
class Elicitation(Displayed):
    """One answer and how it came about.

    Attributes:
        answer: The answer, repaired, fitting the search space it was asked for.
        repairs: One sentence for each repair.
        raw_text: The text as the model gave it, but for secrets.
        model: Who answered: the provider's name of the model, "fixed" for a person or a file. The name ends in
            `EDITED_BY_HAND` if a person has changed a model's answer.
        prompt_version: Version of the prompt's wording, `None` if nobody was asked.
        prompt_hash: Hash of the prompt, `None` if nobody was asked.
        prompt_tokens: Summed over all attempts; `None` where unknown, as the next two; 0 if nobody was asked.
        completion_tokens: Summed over all attempts.
        cost_usd: Summed over all attempts.
        latency_s: Seconds from the question to the usable answer, waiting included.
        trial_number: Number of the trial for which the answer was asked.
        created_at: ISO 8601 time, UTC.
        n_attempts: Number of requests; 0 if nobody was asked.
        messages: The prompt; empty if nobody was asked.
        trials_shown: Numbers of the trials that the prompt showed: they are no evidence for or against this answer.
        answer_index: 0 for the first answer to the question, 1 for a second, independent one, and so on.
        reason: Why it was asked again, a `RefreshReason`; "" for the first question of a study.
        n_finished: Trials with a value when it was asked.
        space_fingerprint: Fingerprint of the search space that was asked about; "" if unknown.
        unpriced_tokens: Tokens of requests without a known price, see `Usage`.
        uncounted_tokens: Tokens that nobody counted, estimated, see `Usage`.
        distributions: JSON text of the search space that was asked about, each parameter as Optuna writes it; "" if
            unknown.
        space_is_complete: Whether the user had given that search space, so that there are no other parameters.
        interval_coverage: Probability with which a stated 80 % interval was taken to hold the optimum's value; `None`
            if unknown.
    """

    answer: PriorAnswer
    repairs: tuple[str, ...] = ()
    raw_text: str = ""
    model: str | None = None
    prompt_version: str | None = None
    prompt_hash: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    latency_s: float = 0.0
    trial_number: int = 0
    created_at: str = ""
    n_attempts: int = 1
    messages: Messages = ()
    trials_shown: tuple[int, ...] = ()
    answer_index: int = 0
    reason: str = ""
    n_finished: int = 0
    space_fingerprint: str = ""
    unpriced_tokens: int = 0
    uncounted_tokens: int = 0
    distributions: str = ""
    space_is_complete: bool = False
    interval_coverage: float | None = None

    @property
    def usage(self) -> Usage:
        """What the answer has used up."""
        unpriced = self.unpriced_tokens
        if not unpriced and self.cost_usd is None:  # a record of an earlier version does not say
            unpriced = (self.prompt_tokens or 0) + (self.completion_tokens or 0)
        return Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cost_usd=self.cost_usd,
            n_calls=self.n_attempts,
            latency_s=self.latency_s,
            unpriced_tokens=unpriced,
            uncounted_tokens=self.uncounted_tokens,
        )

    def _display(self) -> TextTable:
        answer = self.answer._display()
        cost = "unknown" if self.cost_usd is None else f"{self.cost_usd:.4g} USD"
        took = f"Tokens: {self.usage.total_tokens:,}; cost: {cost}; {self.latency_s:.1f} s."
        repairs = [f"Repaired: {sentence}" for sentence in self.repairs]
        title = f"{self.model or 'Unknown'} for trial {self.trial_number}: {answer.title}"
        return TextTable.of(title, answer.columns, answer.rows, [*answer.lines, *repairs, took])

    def to_json(self) -> str:
        """The record as JSON text, ASCII only, the same for equal records."""
        record = asdict(replace(self, answer=None))  # type: ignore[arg-type]  # pydantic dumps the answer itself
        return json.dumps({**record, "answer": self.answer.model_dump()}, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Elicitation:
        """The record from `to_json`; fields that a later version added are ignored.

        Raises:
            PersistenceError: If the text is not such a record.
        """
        try:
            record = _RECORD.validate_json(text)
        except ValidationError as error:
            raise PersistenceError(
                f"Expected the JSON text of an elicitation, got one with faults: {describe_validation_error(error)}."
            ) from None
        numbers = (record.latency_s, record.cost_usd or 0.0)
        if not all(math.isfinite(number) for number in numbers):
            raise PersistenceError(f"Expected finite numbers in an elicitation, got {numbers}.")
        return record


_RECORD: TypeAdapter[Elicitation] = TypeAdapter(Elicitation)


def provenance(context: StudyContext, question: Messages | None) -> dict[str, Any]:
    """What every elicitation records about its question."""
    return {
        "prompt_version": None if question is None else PROMPT_VERSION,
        "prompt_hash": None if question is None else prompt_hash(question),
        "messages": question or (),
        "trials_shown": () if question is None else shown_context(context).trial_numbers,
        "trial_number": context.trial_number,
        "answer_index": context.answer_index,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
