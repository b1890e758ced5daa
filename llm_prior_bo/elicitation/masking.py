"""Secrets kept out of what is sent, stored and recorded, and names of a search space left as they are.

An answer is read before anything of it is masked: a mask within a name would make another answer of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from optuna.distributions import BaseDistribution, CategoricalDistribution

from llm_prior_bo.elicitation.answer.choices import choice_texts
from llm_prior_bo.elicitation.answer.schema import PriorAnswer
from llm_prior_bo.elicitation.llm.messages import Messages
from llm_prior_bo.elicitation.record import MAX_RAW_CHARACTERS, Elicitation

Mask: TypeAlias = Callable[[str], str]
"""Replaces the secrets in a text."""


def names_in(distributions: Mapping[str, BaseDistribution]) -> tuple[str, ...]:
    """The parameters of a space and the texts of their choices: no secrets, whatever they look like."""
    choices = (choice_texts(d.choices) for d in distributions.values() if isinstance(d, CategoricalDistribution))
    return (*distributions, *(text for texts in choices for text in texts))


def masked_messages(messages: Messages, mask: Mask) -> Messages:
    """A chat without secrets; a new tuple."""
    return tuple({**message, "content": mask(message["content"])} for message in messages)


def masked_record(elicitation: Elicitation, mask: Mask) -> Elicitation:
    """A record without secrets, as it may be stored: in its free texts, for the rest of the answer fits the space."""
    return replace(
        elicitation,
        answer=_masked_answer(elicitation.answer, mask),
        repairs=tuple(mask(sentence) for sentence in elicitation.repairs),
        raw_text=mask(elicitation.raw_text)[:MAX_RAW_CHARACTERS],
        model=None if elicitation.model is None else mask(elicitation.model),
        messages=masked_messages(elicitation.messages, mask),
    )


def _masked_answer(answer: PriorAnswer, mask: Mask) -> PriorAnswer:
    regions = [region.model_copy(update={"label": mask(region.label)}) for region in answer.regions]
    return answer.model_copy(update={"notes": mask(answer.notes), "regions": regions})
