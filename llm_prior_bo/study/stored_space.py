"""The search space of a study as its answers and its trials hold it, for whoever has no sampler at hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from optuna.distributions import BaseDistribution, CategoricalDistribution, distribution_to_json, json_to_distribution

from llm_prior_bo.elicitation.record import Elicitation
from llm_prior_bo.errors import SearchSpaceError
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.inferred_space import InferredSpace

if TYPE_CHECKING:
    from optuna import Study


def distributions_text(space: SearchSpace) -> str:
    """The distributions of a space as JSON text; "" where a choice is an object that would not come back as it was."""
    distributions = space.distributions
    choices = [c for d in distributions.values() if isinstance(d, CategoricalDistribution) for c in d.choices]
    if not all(choice is None or isinstance(choice, bool | int | float | str) for choice in choices):
        return ""
    return json.dumps({name: distribution_to_json(distribution) for name, distribution in distributions.items()})


def read_distributions(text: str) -> dict[str, BaseDistribution]:
    """The distributions from `distributions_text`; none if the text is something else (records are untrusted input)."""
    try:
        return {str(name): json_to_distribution(one) for name, one in json.loads(text).items()}
    except (AttributeError, TypeError, KeyError, ValueError, RecursionError):
        return {}


def stored_space(
    study: Study, answers: Sequence[Elicitation], *, ended_by: datetime | None = None
) -> dict[str, BaseDistribution]:
    """All parameters that are known of a study, in the order in which they were asked about.

    What the user had given counts as it was given; otherwise what the trials ask for counts, and then what an answer
    was asked about.

    Args:
        study: The study.
        answers: Its stored answers, oldest first.
        ended_by: Only trials that had ended at that time count.
    """
    latest = answers[-1] if answers else None
    asked = {} if latest is None else read_distributions(latest.distributions)
    found = InferredSpace.of_study(study, ended_by=ended_by)
    known = {name: found.distributions[name] for name in found.seen}
    if latest is not None and latest.space_is_complete and asked:
        return asked
    return asked | known


def space_of_study(study: Study, answers: Sequence[Elicitation]) -> SearchSpace:
    """The same as a search space.

    Raises:
        SearchSpaceError: If neither an answer nor a finished trial says what the parameters are.
    """
    known = stored_space(study, answers)
    if not known:
        raise SearchSpaceError(
            "Expected a study whose search space is known from a stored answer or a finished trial, got one with "
            "neither; run a trial first."
        )
    return SearchSpace(known)
