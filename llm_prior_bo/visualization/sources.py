"""What figures are drawn of: the density that a study's answers state, its trials, its incumbents."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.optimization.elicited_priors import ElicitedPrior, pooled_shares
from llm_prior_bo.optimization.study_prior import given_in_use, space_of_parts, stored_priors
from llm_prior_bo.priors import MixturePrior, OptimumPrior, UniformPrior, pool_priors
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.answer_records import load_elicitations
from llm_prior_bo.study.stored_space import stored_space

if TYPE_CHECKING:
    from collections.abc import Sequence


def stated_prior(study_or_prior: Study | OptimumPrior) -> MixturePrior:
    """The density that is drawn: the pooled one of a study's answers, half for the latest, or the one that is passed.

    A density that was given to the sampler counts as the oldest answer. Of a study, evidence is not in it: it is what
    was stated, over the parameters that its trials have asked for.

    Raises:
        ConfigurationError: If the study has no stored answers, or the density is not made of regions.
        SearchSpaceError: If neither an answer nor a finished trial says what the parameters are.
    """
    if isinstance(study_or_prior, OptimumPrior):
        return _as_mixture(study_or_prior)
    beliefs = _elicited_priors(study_or_prior)
    mixtures = [_with_origin(belief, several=len(beliefs) > 1) for belief in beliefs]
    return pool_priors(mixtures, weights=pooled_shares(len(mixtures))) if len(mixtures) > 1 else mixtures[0]


def _elicited_priors(study: Study) -> tuple[ElicitedPrior, ...]:
    """The given density and one for each question that was answered, oldest first."""
    answers, given = load_elicitations(study), given_in_use(study)
    if not answers and given is None:
        raise ConfigurationError(
            "Expected a study with stored answers, got one with none; a density that was given to the sampler is "
            "kept in the study only if it is a MixturePrior: pass the density itself."
        )
    return stored_priors(answers, space_of_parts(study, answers, given), given)


def has_stated_prior(study: Study) -> bool:
    """Whether there is an answer or a given density, and a space to draw it over."""
    answers = load_elicitations(study)
    return given_in_use(study) is not None or (bool(answers) and bool(stored_space(study, answers)))


def incumbents(study: Study) -> list[FrozenTrial]:
    """The best trial, with several objectives all of the Pareto front; none where no trial is feasible."""
    if len(study.directions) > 1:
        return study.best_trials
    try:
        return [study.best_trial]
    except ValueError:
        return []


def finished_trials(study: Study) -> list[FrozenTrial]:
    """Trials with a value."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def value_text(trial: FrozenTrial) -> str:
    """The values of a trial for people, its state where it has none."""
    if trial.state == TrialState.COMPLETE and trial.values is not None:
        return ", ".join(f"{value:.5g}" for value in trial.values)
    return trial.state.name.lower()


def bound_text(bound: float | None) -> str:
    """A factor for people."""
    if bound is None:
        return "–"
    return f"{bound:.3g}" if math.isfinite(bound) else "∞"


def check_names(space: SearchSpace, names: Sequence[str]) -> None:
    """Refuse names that are not parameters of a space.

    Raises:
        ConfigurationError: If there are such names.
    """
    unknown = [name for name in names if name not in space.names]
    if unknown:
        raise ConfigurationError(f"Expected parameters out of {list(space.names)}, got {unknown}; check the spelling.")


def _with_origin(belief: ElicitedPrior, *, several: bool) -> MixturePrior:
    """The density with labels that say where they come from, where that is not one place."""
    mixture = _as_mixture(belief.prior)
    if not several:
        return mixture
    return mixture.named(_origin_of(belief))


def _origin_of(belief: ElicitedPrior) -> str:
    return "given prior" if belief.trial_number < 0 else f"trial {belief.trial_number}"


def _as_mixture(prior: OptimumPrior) -> MixturePrior:
    if isinstance(prior, MixturePrior):
        return prior
    if isinstance(prior, UniformPrior):
        return MixturePrior(prior.space, (), (), 1.0)
    raise ConfigurationError(
        f"Expected a study, a MixturePrior or a UniformPrior, got a {type(prior).__name__}; only a density that is "
        "made of regions is drawn by region."
    )
