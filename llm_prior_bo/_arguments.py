"""What a user passes to the sampler: checked (expected, got, what to do), and turned into what it works with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler

from llm_prior_bo.elicitation.answer.schema import PriorAnswer
from llm_prior_bo.elicitation.elicitor import Elicitor, answers_again
from llm_prior_bo.elicitation.options import LLMOptions, check_known, elicitor_for
from llm_prior_bo.elicitation.settings import check_count
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.optimization.prior_source import ElicitedPriorSource, GivenPrior, PriorSource
from llm_prior_bo.optimization.refresh import DEFAULT_REFRESH, RefreshPolicy
from llm_prior_bo.optimization.trust import TrustGate
from llm_prior_bo.priors import MixturePrior, OptimumPrior, UniformPrior
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
            "give the very space that the prior was built for"
            f"{', or prior.restricted(space)' if isinstance(prior, MixturePrior) else ''}."
        )
    return space


RENAMED = {
    "prior_mean": "decay=, with which the prior is multiplied into the acquisition function",
    "elicitation": "elicitor=",
    "outside_share": "uniform_startup_fraction=",
    "client": "elicitor=LLMElicitor(client=...)",
    "limit": "budget_usd= and budget_tokens=, or elicitor=LLMElicitor(model, limit=...)",
}
"""Arguments that used to be, or that belong to an elicitor, and what takes their place."""


def check_sources(
    *, model: object, elicitor: object, prior: object, options: Mapping[str, object], arguments: Iterable[str] = ()
) -> None:
    """Somebody to ask, a density or both are given, of the right kind, and no option that they do not use.

    Args:
        model: As the sampler got it.
        elicitor: As the sampler got it.
        prior: As the sampler got it.
        options: All other keywords.
        arguments: Names of the sampler's own arguments, one of which an unknown option may have been meant for.
    """
    for name in options.keys() & RENAMED.keys():
        raise ConfigurationError(f"Expected {RENAMED[name]}, got {name}=, which LLMPriorSampler does not have.")
    given = [name for name, value in (("model", model), ("elicitor", elicitor), ("prior", prior)) if value is not None]
    if not given or given[:2] == ["model", "elicitor"]:
        raise ConfigurationError(
            f"Expected exactly one of model=, elicitor= and prior=, got {given or 'none'}; "
            "model= asks a language model, elicitor= replays or fixes an answer, prior= takes a density, alone or "
            "beside one of the others."
        )
    if model is not None and not isinstance(model, str):
        raise ConfigurationError(f"Expected model to be {_KINDS[str]}, got {_shown(model)}{_other_argument(model)}.")
    check_kinds(elicitor=(elicitor, Elicitor), prior=(prior, OptimumPrior))
    if len(given) > 1 and not isinstance(prior, MixturePrior | UniformPrior):
        raise ConfigurationError(
            f"Expected prior to be a MixturePrior beside {given[0]}=, got a {type(prior).__name__}; only densities "
            "made of regions are pooled with an answer: build_prior, prior_from_study and pool_priors make such."
        )
    check_known(options, others=tuple(arguments))
    if options and model is None:
        names = ", ".join(f"{name}=" for name in options)
        them = "them" if len(options) > 1 else "it"
        instead = (
            "give it to the elicitor, e.g. LLMElicitor(model, ...)" if elicitor is not None else "nobody is asked then"
        )
        raise ConfigurationError(f"Expected {names} together with model=, got {them} beside {given[0]}=; {instead}.")


def _other_argument(value: object) -> str:
    """Where a value belongs that was given as the first argument."""
    if isinstance(value, Elicitor):
        return "; pass it as elicitor="
    if isinstance(value, OptimumPrior):
        return "; pass it as prior="
    if isinstance(value, PriorAnswer | Path):
        return "; pass it as elicitor=FixedElicitor(...)"
    if isinstance(value, SearchSpace) or _is_space(value):
        return "; pass it as search_space="
    if isinstance(value, Mapping):
        return "; pass an answer as elicitor=FixedElicitor(...), a search space as search_space="
    return ""


def _is_space(value: object) -> bool:
    return isinstance(value, Mapping) and any(isinstance(item, BaseDistribution) for item in value.values())


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


_MAX_SHOWN = 200


def prior_source(
    model: str | None,
    elicitor: Elicitor | None,
    prior: OptimumPrior | None,
    *,
    space: SearchSpace | None,
    refresh: RefreshPolicy | None,
    options: LLMOptions,
) -> PriorSource:
    """Where the prior of a study comes from, after `check_sources`.

    Args:
        model: LiteLLM's name of the model to ask.
        elicitor: Who is asked instead.
        prior: A given density, alone or beside the answers.
        space: The sampler's search space, if it is known.
        refresh: When to ask again. The default does nothing where nobody can be asked again.
        options: Options of the model.
    """
    given = None
    if prior is not None:
        assert space is not None
        given = GivenPrior(prior, space)
    if model is not None:
        elicitor = elicitor_for(model, options)
    if elicitor is not None:
        if refresh is DEFAULT_REFRESH and not answers_again(elicitor):
            refresh = None
        return ElicitedPriorSource.of(elicitor, refresh=refresh, space_is_complete=space is not None, given=given)
    if refresh is not None and refresh is not DEFAULT_REFRESH:
        raise ConfigurationError(
            "Expected refresh= together with model= or elicitor=, got it beside prior=; nobody can be asked again for "
            "a given density."
        )
    assert given is not None
    return given


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


def check_counts(**counts: object) -> None:
    """Every argument is `None` or a whole number of at least 0."""
    for name, value in counts.items():
        if value is not None:
            check_count(name, value)


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
