"""The prior of a study from what is stored in it alone, whatever sampler it was made with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llm_prior_bo._isolation import isolated_torch, without_remarks
from llm_prior_bo.elicitation.record import Elicitation
from llm_prior_bo.elicitation.settings import ElicitationSettings
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.models.surrogate import fit_surrogate
from llm_prior_bo.optimization.answer_cache import answers_by_question, elicited_prior
from llm_prior_bo.optimization.elicited_priors import (
    ElicitedPrior,
    pool_densities,
    pool_elicited_priors,
    weigh_elicited_priors,
)
from llm_prior_bo.optimization.trust import EvidenceTrust, TrustGate
from llm_prior_bo.priors import MixturePrior, OptimumPrior, UniformPrior
from llm_prior_bo.priors.build import build_prior
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.answer_records import load_elicitations
from llm_prior_bo.study.given_record import load_given
from llm_prior_bo.study.stored_space import space_of_study
from llm_prior_bo.study.training_data import training_data_of
from llm_prior_bo.study.trial_records import Suggestion, read_suggestion

if TYPE_CHECKING:
    from optuna import Study

MIN_TRIALS = 2
"""Finished trials before there is any evidence."""


@without_remarks
def prior_of(study: Study, *, trust: TrustGate | None = EvidenceTrust()) -> OptimumPrior:  # noqa: B008 - frozen
    """The density over the optimum now, as the evidence has left it, over all parameters of a study.

    The search space, the answers, a given density and how they were read come from the study itself. What no record
    holds is taken as the sampler's default: the probability of a stated interval in records of earlier versions.

    Args:
        study: A study that an `LLMPriorSampler` worked on, in this process or another.
        trust: Who weighs the answers by the evidence; `None`: they stay as they were stated.

    Returns:
        A `MixturePrior`; a `UniformPrior` if there is no answer.

    Raises:
        SearchSpaceError: If neither an answer nor a finished trial says what the parameters are.
        ConfigurationError: If the density was given to the sampler (`prior=`) and is not stored: it is no
            `MixturePrior`, or a choice is an object.
    """
    answers, given = load_elicitations(study), given_in_use(study)
    if (
        not answers
        and given is None
        and any(_had_a_given_density(trial) for trial in map(read_suggestion, study.get_trials(deepcopy=False)))
    ):
        raise ConfigurationError(
            "Expected a study with stored answers, got one whose density was given to the sampler as prior=, which is "
            "not stored; use that object."
        )
    space = space_of_parts(study, answers, given)
    elicited = stored_priors(answers, space, given)
    data = training_data_of(study, space)
    if trust is None or data.n < MIN_TRIALS or all(one.prior.is_uniform for one in elicited):
        return pool_elicited_priors(elicited)
    with isolated_torch():
        evidence = weigh_elicited_priors(elicited, fit_surrogate(data, space), data.numbers, gate=trust, seed=0)
    return pool_densities([one.prior for one in evidence])


def given_in_use(study: Study, *, at: int | None = None) -> MixturePrior | None:
    """The density that was given to the sampler, as it is stored; `None` if none is, or later suggestions had none.

    Args:
        study: The study.
        at: Number of the trial whose suggestion is asked about; the latest one if left out.
    """
    given = load_given(study, until=at)
    if given is None:
        return None
    trials = study.get_trials(deepcopy=False)[given.trial_number : None if at is None else at + 1]
    suggestions = (read_suggestion(trial) for trial in reversed(trials))
    latest = next((one for one in suggestions if one is not None and one.answers), None)
    had_one = latest is None or any(part.asked_at < 0 for part in latest.answers)
    return given.prior if had_one else None


def space_of_parts(study: Study, answers: Sequence[Elicitation], given: MixturePrior | None) -> SearchSpace:
    """The search space of a study: of a given density its own, for the sampler had no other.

    Raises:
        SearchSpaceError: If neither the density nor an answer nor a finished trial says what the parameters are.
    """
    return space_of_study(study, answers) if given is None else given.space


def stored_priors(
    answers: Sequence[Elicitation], space: SearchSpace, given: MixturePrior | None = None
) -> tuple[ElicitedPrior, ...]:
    """The given density and one for each question that was answered, oldest first; a uniform one if there is none.

    Args:
        answers: The stored answers, oldest first.
        space: The parameters; those that an answer does not speak of are uniform in it.
        given: The density that was given to the sampler, if any.
    """

    def build(answer: Elicitation) -> OptimumPrior:
        coverage = answer.interval_coverage
        coverage = ElicitationSettings().interval_coverage if coverage is None else coverage
        return build_prior(answer.answer, space, interval_coverage=coverage, lenient=True)

    parts = [] if given is None else [ElicitedPrior(given if given.space == space else given.restricted(space))]
    parts += [elicited_prior(group, space, build) for group in answers_by_question(answers)]
    return tuple(parts) or (ElicitedPrior(UniformPrior(space)),)


def _had_a_given_density(suggestion: Suggestion | None) -> bool:
    return suggestion is not None and any(part.asked_at < 0 and part.log_prior != 0.0 for part in suggestion.answers)
