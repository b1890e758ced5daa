"""What happened in a study, in numbers: answers, their cost, and the prior's part in every suggestion."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from llm_prior_bo._display import Displayed, TextTable
from llm_prior_bo.elicitation.answer.remarks import remarks
from llm_prior_bo.elicitation.llm.spending import Usage
from llm_prior_bo.elicitation.record import Elicitation
from llm_prior_bo.study.answer_records import FailureRecord, Records, load_elicitations, load_records
from llm_prior_bo.study.trial_records import Suggestion, read_suggestion

if TYPE_CHECKING:
    from optuna import Study

MAX_SHOWN_TRIALS = 10
"""Suggestions in the short table; `trace` has all of them."""


@dataclass(frozen=True, slots=True)
class StudyStatistics(Displayed):
    """Numbers of one study.

    Args:
        elicitations: The stored answers, oldest first.
        failures: Questions that nobody answered, and why.
        suggestions: Trial number -> what was suggested and what the prior had to do with it. Trials whose parameters
            all came from elsewhere (enqueued, independent) are missing.
    """

    elicitations: tuple[Elicitation, ...]
    failures: tuple[FailureRecord, ...]
    suggestions: dict[int, Suggestion]

    @property
    def usage(self) -> Usage:
        """What all questions have used up, answered or not: requests, tokens, cost, seconds; `None` where unknown."""
        return Records(self.elicitations, self.failures).usage

    @property
    def cost_usd(self) -> float | None:
        """Known cost of all questions, answered or not; `None` if nothing is known."""
        return self.usage.cost_usd

    @property
    def tokens(self) -> int | None:
        """Known prompt and completion tokens of all questions, answered or not; `None` if nothing is known."""
        known = [n for n in (self.usage.prompt_tokens, self.usage.completion_tokens) if n is not None]
        return sum(known) if known else None

    @property
    def remarks(self) -> tuple[str, ...]:
        """What whoever answered has to say to people, one text an answer; escaped, so it can be shown."""
        return tuple(remarks(elicitation.answer) for elicitation in self.elicitations)

    @property
    def certificates(self) -> dict[int, str]:
        """Trial number -> what the loss bound promises from its suggestion on."""
        return {number: suggestion.certificate for number, suggestion in sorted(self.suggestions.items())}

    @property
    def certificate(self) -> str:
        """The same of the study as a whole, as it stands after its latest suggestion that maximises a score."""
        modelled = {n: one for n, one in sorted(self.suggestions.items()) if one.phase == "model"}
        if not modelled:
            return "No certificate yet: no suggestion has maximised a score."
        latest = max(modelled)
        n_certified = sum(one.is_certified for one in modelled.values())
        return (
            f"{n_certified} of {len(modelled)} suggestions of the model are certified: at most e times the unweighted "
            f"loss bound. The latest, trial {latest}: {modelled[latest].certificate}"
        )

    def _display(self) -> TextTable:
        latest = sorted(self.suggestions.items())[-MAX_SHOWN_TRIALS:]
        rows = [
            (number, one.phase, one.exponent, one.trust, one.log_acquisition, one.prior_score, one.loss_bound)
            for number, one in latest
        ]
        cost = "unknown" if self.cost_usd is None else f"{self.cost_usd:.4g} USD"
        tokens = "unknown" if self.tokens is None else f"{self.tokens:,}"
        return TextTable.of(
            f"Answers: {len(self.elicitations)}; questions without one: {len(self.failures)}; "
            f"suggestions: {len(self.suggestions)}" + (f", the last {len(latest)}:" if latest else ""),
            ("trial", "phase", "exponent", "trust", "log acquisition", "prior", "loss bound"),
            rows,
            [f"Cost: {cost}; tokens: {tokens}.", self.certificate],
        )

    def trace(self) -> list[dict[str, Any]]:
        """What the prior did at every trial, one row each, as for a table.

        Returns:
            Rows with `trial`, `phase`, `source` (of a start-up point), `region` (the label of the one that it lies in,
            `None` outside all), `n`, `exponent`, `loss_bound` (the `C_n` of the exponent), `log_acquisition`
            (without the prior), `prior_score` (what the prior added), `log_prior`, `success_probability` (`None` before
            any trial has failed), `feasibility_score` (what that added), `trust` (in the answer that is trusted most;
            `None` where no gate spoke) and `answers`, the same for each answer with its `name`: see `AnswerPart`.
        """
        told = (
            "phase",
            "source",
            "region",
            "n",
            "exponent",
            "loss_bound",
            "log_acquisition",
            "prior_score",
            "feasibility_score",
            "log_prior",
            "success_probability",
            "trust",
        )
        return [
            {"trial": number}
            | {name: getattr(suggestion, name) for name in told}
            | {"answers": [{"name": part.name} | asdict(part) for part in suggestion.answers]}
            for number, suggestion in sorted(self.suggestions.items())
        ]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values."""
        return {
            "n_elicitations": len(self.elicitations),
            "cost_usd": self.cost_usd,
            "tokens": self.tokens,
            "n_calls": self.usage.n_calls,
            "latency_s": self.usage.latency_s,
            "remarks": list(self.remarks),
            "repairs": [repair for elicitation in self.elicitations for repair in elicitation.repairs],
            "failures": [asdict(failure) for failure in self.failures],
            "answers": [json.loads(elicitation.to_json()) for elicitation in self.elicitations],
            "certificate": self.certificate,
            "certificates": self.certificates,
            "suggestions": {number: asdict(suggestion) for number, suggestion in self.suggestions.items()},
        }


def answers_of(study: Study) -> tuple[Elicitation, ...]:
    """All answers that are stored in a study, oldest first.

    Args:
        study: Any study that an `LLMPriorSampler` worked on, in this process or another.
    """
    return load_elicitations(study)


def study_statistics(study: Study) -> StudyStatistics:
    """Read the statistics of a study from its stored records.

    Args:
        study: Any study that an `LLMPriorSampler` worked on, in this process or another.
    """
    records = load_records(study)
    suggestions = {trial.number: read_suggestion(trial) for trial in study.get_trials(deepcopy=False)}
    return StudyStatistics(
        elicitations=records.elicitations,
        failures=records.failures,
        suggestions={number: suggestion for number, suggestion in suggestions.items() if suggestion is not None},
    )
