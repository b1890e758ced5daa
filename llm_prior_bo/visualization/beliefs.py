"""Answers and the certificate of a study in words."""

from __future__ import annotations

from llm_prior_bo.elicitation.answer.schema import PriorAnswer
from llm_prior_bo.elicitation.llm.secrets import printable
from llm_prior_bo.study.diagnostics import StudyStatistics
from llm_prior_bo.study.trial_records import Suggestion


def latest_scored(statistics: StudyStatistics) -> Suggestion | None:
    """The latest suggestion that has a loss bound: what is certified from there on; `None` if there is none yet."""
    scored = [number for number, suggestion in statistics.suggestions.items() if suggestion.loss_bound is not None]
    return statistics.suggestions[max(scored)] if scored else None


def beliefs_in_words(answer: PriorAnswer) -> list[tuple[str, list[str]]]:
    """An answer as sentences: for each region its label with its weight, and one sentence for each parameter."""
    total = sum(region.weight for region in answer.regions) or 1.0
    told = []
    for region in answer.regions:
        sentences = [
            f"{printable(row.parameter)}: about {row.best:.4g}, with 80 % between {row.low:.4g} and {row.high:.4g}"
            for row in answer.numeric
            if row.region == region.region
        ]
        own = [row for row in answer.categorical if row.region == region.region]
        for name in dict.fromkeys(row.parameter for row in own):
            choices = sorted((row for row in own if row.parameter == name), key=lambda row: -row.weight)
            sentences.append(
                f"{printable(name)}: " + ", ".join(f"{printable(row.choice)} {row.weight:.0%}" for row in choices)
            )
        sentences += [
            f"{printable(row.first)} and {printable(row.second)} go together with correlation {row.rho:+.2g}"
            for row in answer.correlations
            if row.region == region.region
        ]
        told.append(
            (f"{printable(region.label) or f'region {region.region}'} ({region.weight / total:.0%})", sentences)
        )
    return told
