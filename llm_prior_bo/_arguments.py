"""Checks of what a user passes to the sampler: expected, got, what to do."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler

from llm_prior_bo.elicitation.elicitor import Elicitor
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.optimization.refresh import RefreshPolicy
from llm_prior_bo.optimization.trust import TrustGate
from llm_prior_bo.priors import OptimumPrior
from llm_prior_bo.priors.base import own_space
from llm_prior_bo.space import SearchSpace


def resolve_space(
    given: Mapping[str, BaseDistribution] | SearchSpace | None, prior: OptimumPrior | None
) -> SearchSpace | None:
    """The space of the sampler: the given one, else the prior's own; refused if they differ."""
    space = given if given is None or isinstance(given, SearchSpace) else SearchSpace(given)
    if prior is None:
        return space
    own = own_space(prior)
    space = space or own
    if space is None or space != (own or space) or len(space) != prior.dim:
        raise ConfigurationError(
            f"Expected search_space to be the {prior.dim}-column space that the prior is over"
            f"{'' if own is None else f' ({list(own.names)})'}, got {list(space.names) if space else None}; "
            "give the very space that the prior was built for."
        )
    return space


def check_exactly_one(**sources: object) -> None:
    """Exactly one source of beliefs is given."""
    given = [name for name, value in sources.items() if value is not None]
    if len(given) != 1:
        raise ConfigurationError(
            f"Expected exactly one of model=, elicitor= and prior=, got {given or 'none'}; "
            "model= asks a language model, elicitor= replays or fixes an answer, prior= takes a density by hand."
        )


_KINDS: dict[type, str] = {
    str: "the name of a model, e.g. 'gpt-4o'",
    Elicitor: "an object with a method elicit, e.g. FixedElicitor(answer)",
    OptimumPrior: "an OptimumPrior, e.g. build_prior(answer, space)",
    TrustGate: "an object with a method reweight, e.g. EvidenceTrust()",
    RefreshPolicy: "a RefreshPolicy, e.g. RefreshPolicy(every=20)",
    BaseSampler: "an Optuna sampler, e.g. RandomSampler()",
}


def check_kinds(**values: tuple[object, type]) -> None:
    """Every argument is `None` or of its kind."""
    for name, (value, kind) in values.items():
        if value is not None and not isinstance(value, kind):
            raise ConfigurationError(f"Expected {name} to be {_KINDS[kind]}, got {value!r}.")


def check_counts(*, least: int = 0, **counts: object) -> None:
    """Every argument is `None` or a whole number of at least `least`."""
    for name, value in counts.items():
        if value is not None and (not isinstance(value, int | np.integer) or value < least):
            raise ConfigurationError(f"Expected {name} to be a whole number >= {least}, got {value!r}.")


def check_numbers(**numbers: object) -> None:
    """Every argument is `None` or a number of at least 0."""
    for name, value in numbers.items():
        if value is not None and not (isinstance(value, int | float | np.number) and value >= 0):
            raise ConfigurationError(f"Expected {name} >= 0, got {value!r}.")


def check_choices(**choices: tuple[object, tuple[str, ...]]) -> None:
    """Every argument is one of the words that are allowed for it."""
    for name, (value, allowed) in choices.items():
        if value not in allowed:
            raise ConfigurationError(f"Expected {name} to be one of {list(allowed)}, got {value!r}.")


def check_shares(**shares: object) -> None:
    """Every argument is a number in [0, 1]."""
    for name, value in shares.items():
        if not (isinstance(value, int | float | np.number) and 0 <= value <= 1):
            raise ConfigurationError(f"Expected {name} in [0, 1], got {value!r}.")
