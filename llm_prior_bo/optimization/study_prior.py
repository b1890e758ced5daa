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
from llm_prior_bo.priors import OptimumPrior, UniformPrior
from llm_prior_bo.priors.build import build_prior
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.answer_records import load_elicitations
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

    The search space, the answers and how they were read come from the study itself. What no record holds is taken as
    the sampler's default: the probability of a stated interval in records of earlier versions.

    Args:
        study: A study that an `LLMPriorSampler` worked on, in this process or another.
        trust: Who weighs the answers by the evidence; `None`: they stay as they were stated.

    Returns:
        A `MixturePrior`; a `UniformPrior` if there is no answer.

    Raises:
        SearchSpaceError: If neither an answer nor a finished trial says what the parameters are.
        ConfigurationError: If the density was given to the sampler (`prior=`): it is not stored.
    """
    answers = load_elicitations(study)
    if not answers and any(
        _had_a_given_density(trial) for trial in map(read_suggestion, study.get_trials(deepcopy=False))
    ):
        raise ConfigurationError(
            "Expected a study with stored answers, got one whose density was given to the sampler as prior=, which is "
            "not stored; use that object."
        )
    space = space_of_study(study, answers)
    elicited = stored_priors(answers, space)
    data = training_data_of(study, space)
    if trust is None or data.n < MIN_TRIALS or all(one.prior.is_uniform for one in elicited):
        return pool_elicited_priors(elicited)
    with isolated_torch():
        evidence = weigh_elicited_priors(elicited, fit_surrogate(data, space), data.numbers, gate=trust, seed=0)
    return pool_densities([one.prior for one in evidence])


def stored_priors(answers: Sequence[Elicitation], space: SearchSpace) -> tuple[ElicitedPrior, ...]:
    """One density for each question that was answered, oldest first; a uniform one if there is none.

    Args:
        answers: The stored answers, oldest first.
        space: The parameters; those that an answer does not speak of are uniform in it.
    """

    def build(answer: Elicitation) -> OptimumPrior:
        coverage = answer.interval_coverage
        coverage = ElicitationSettings().interval_coverage if coverage is None else coverage
        return build_prior(answer.answer, space, interval_coverage=coverage, lenient=True)

    questions = answers_by_question(answers)
    return tuple(elicited_prior(group, space, build) for group in questions) or (ElicitedPrior(UniformPrior(space)),)


def _had_a_given_density(suggestion: Suggestion | None) -> bool:
    return suggestion is not None and any(part.asked_at < 0 and part.log_prior != 0.0 for part in suggestion.answers)
