"""A question without names: how much of a belief is knowledge of the problem, and how much is memory of it?

The same search space under neutral names, with the same ranges, scales and results but without a description, is asked
about; what is answered is translated back. If such answers are as good as others, the names were not needed. If they
are much worse, the belief hangs on them, for example on published results for a well-known data set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from llm_prior_bo.elicitation.answer.choices import choice_texts
from llm_prior_bo.elicitation.answer.schema import CategoricalBelief, PriorAnswer
from llm_prior_bo.elicitation.elicitor import elicit_within
from llm_prior_bo.elicitation.llm.spending import Usage
from llm_prior_bo.elicitation.prompt.context import STUDY_ATTRIBUTES, StudyContext, TrialSummary
from llm_prior_bo.elicitation.prompt.insights import NumericQuantiles, ParameterSummary, StudyInsights
from llm_prior_bo.elicitation.record import Elicitation
from llm_prior_bo.elicitation.wrapper import ElicitorWrapper

_PARAMETER = re.compile(r"'(p\d+)'")
_CHOICE = re.compile(r"'(c\d+)'")


@dataclass(frozen=True)
class Blinding:
    """Which neutral name stands for what.

    Args:
        parameters: Names of parameters by their neutral names, `p1` and so on.
        choices: Texts of choices by their neutral names, `c1` and so on, by the neutral names of the parameters.
    """

    parameters: Mapping[str, str]
    choices: Mapping[str, Mapping[str, str]]

    def reveal(self, answer: PriorAnswer) -> PriorAnswer:
        """The answer with the names and choices of the study; unknown ones and free text stay as they are."""
        return answer.model_copy(
            update={
                "numeric": [row.model_copy(update={"parameter": self._name(row.parameter)}) for row in answer.numeric],
                "categorical": [self._reveal_choice(row) for row in answer.categorical],
                "correlations": [
                    row.model_copy(update={"first": self._name(row.first), "second": self._name(row.second)})
                    for row in answer.correlations
                ],
            }
        )

    def reveal_text(self, sentence: str) -> str:
        """A sentence about an answer (a repair) with the names of the study, where neutral ones stand in quotes."""
        named = set(_PARAMETER.findall(sentence))
        # The choices of several parameters have the same neutral names.
        choices = self.choices.get(named.pop(), {}) if len(named) == 1 else {}
        sentence = _CHOICE.sub(lambda found: repr(choices.get(found[1], found[1])), sentence)
        return _PARAMETER.sub(lambda found: repr(self._name(found[1])), sentence)

    def _name(self, neutral: str) -> str:
        return self.parameters.get(neutral, neutral)

    def _reveal_choice(self, row: CategoricalBelief) -> CategoricalBelief:
        choice = self.choices.get(row.parameter, {}).get(row.choice, row.choice)
        return row.model_copy(update={"parameter": self._name(row.parameter), "choice": choice})


class BlindedElicitor(ElicitorWrapper):
    """Asks another elicitor without telling it what is tuned.

    The answer and its repairs are kept in the study's names; prompt and raw text are kept as they were sent and as they
    came. To record such an exchange, record inside: `BlindedElicitor(RecordingElicitor(elicitor, path))`, replayed by
    `BlindedElicitor(ReplayElicitor(path))`.

    Args:
        elicitor: The one who answers, e.g. `LLMElicitor("gpt-4o")`.
    """

    def elicit(self, context: StudyContext, *, spent: Usage | None = None) -> Elicitation:
        """Pass the question on without names and translate the answer.

        Args:
            context: What to ask about.
            spent: What this study's questions have used up so far.

        Raises:
            ElicitationError: As the other elicitor.
            AnswerError: As the other elicitor.
        """
        blinded, blinding = blind(context)
        elicitation = elicit_within(self._elicitor, blinded, spent)
        return replace(
            elicitation,
            answer=blinding.reveal(elicitation.answer),
            repairs=tuple(blinding.reveal_text(sentence) for sentence in elicitation.repairs),
        )


def blind(context: StudyContext) -> tuple[StudyContext, Blinding]:
    """A context under neutral names, and what they stand for.

    Ranges, scales, steps, directions, counts, budget and results stay. Names of parameters and choices become neutral
    (choices that are numbers too); descriptions, names of objectives and labels of regions are left out.

    Args:
        context: The context to hide.
    """
    neutral = {name: f"p{i}" for i, name in enumerate(context.distributions, start=1)}
    distributions = {neutral[name]: _blind_distribution(d) for name, d in context.distributions.items()}
    blinded = replace(
        context,
        **dict.fromkeys(STUDY_ATTRIBUTES),  # type: ignore[arg-type]  # the attributes of that list may all be None
        distributions=distributions,
        metric_names=(),
        parameter_descriptions={},
        conditions={},
        trials=tuple(_blind_trial(trial, context.distributions, neutral) for trial in context.trials),
        insights=None if context.insights is None else _blind_insights(context, context.insights, neutral),
    )
    choices = {neutral[name]: _neutral_choices(d) for name, d in context.distributions.items()}
    return blinded, Blinding(
        parameters={short: name for name, short in neutral.items()},
        choices={name: {short: text for text, short in table.items()} for name, table in choices.items() if table},
    )


def _neutral_choices(distribution: BaseDistribution) -> dict[str, str]:
    """Neutral names by the texts of the choices; empty for a numeric parameter."""
    if not isinstance(distribution, CategoricalDistribution):
        return {}
    return {text: f"c{i}" for i, text in enumerate(choice_texts(distribution.choices), start=1)}


def _blind_distribution(distribution: BaseDistribution) -> BaseDistribution:
    names = _neutral_choices(distribution)
    return CategoricalDistribution(list(names.values())) if names else distribution


def _blind_trial(
    trial: TrialSummary, distributions: Mapping[str, BaseDistribution], neutral: Mapping[str, str]
) -> TrialSummary:
    values = {neutral[k]: _blind_value(v, distributions[k]) for k, v in trial.params.items() if k in neutral}
    return replace(trial, params={name: value for name, value in values.items() if value is not None})


def _blind_value(value: Any, distribution: BaseDistribution) -> Any:
    """The neutral name of a choice, a number as it is; `None` for what is no choice (any more)."""
    if not isinstance(distribution, CategoricalDistribution):
        return value if isinstance(value, int | float) else None
    try:
        return f"c{int(distribution.to_internal_repr(value)) + 1}"
    except ValueError:
        return None


def _blind_insights(context: StudyContext, insights: StudyInsights, neutral: Mapping[str, str]) -> StudyInsights:
    choices = {name: _neutral_choices(distribution) for name, distribution in context.distributions.items()}

    def beliefs(table: Mapping[str, ParameterSummary]) -> dict[str, ParameterSummary]:
        return {
            neutral[name]: _blind_belief(belief, choices[name]) for name, belief in table.items() if name in neutral
        }

    return replace(
        insights,
        importance={neutral[name]: share for name, share in insights.importance.items() if name in neutral},
        optimum=beliefs(insights.optimum),
        regions=tuple(
            # A label is what somebody wrote who may have known the names.
            replace(region, label=f"region {number}", beliefs=beliefs(region.beliefs or {}))
            for number, region in enumerate(insights.regions, start=1)
        ),
    )


def _blind_belief(belief: ParameterSummary, choices: Mapping[str, str]) -> ParameterSummary:
    if isinstance(belief, NumericQuantiles):
        return belief
    return {choices[text]: weight for text, weight in belief.items() if text in choices}
