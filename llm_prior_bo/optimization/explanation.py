"""Where one suggestion came from, in words and numbers, from what is stored in its study."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from optuna.distributions import BaseDistribution

from llm_prior_bo._isolation import isolated_torch, without_remarks
from llm_prior_bo.acquisition.log_acquisition import log_acquisition
from llm_prior_bo.elicitation.llm.secrets import printable
from llm_prior_bo.elicitation.record import Elicitation
from llm_prior_bo.errors import ConfigurationError, LLMPriorError
from llm_prior_bo.models.surrogate import fit_surrogate
from llm_prior_bo.optimization.elicited_priors import ElicitedPrior
from llm_prior_bo.optimization.engine import Engine
from llm_prior_bo.optimization.regions import region_at
from llm_prior_bo.optimization.startup import StartupDesign
from llm_prior_bo.optimization.study_prior import given_in_use, stored_priors
from llm_prior_bo.priors import MixturePrior, OptimumPrior, UniformPrior
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.answer_records import load_elicitations
from llm_prior_bo.study.snapshot import study_before
from llm_prior_bo.study.stored_space import stored_space
from llm_prior_bo.study.trial_records import AnswerPart, Suggestion, belief_name, read_suggestion

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

SAME = 1e-6
"""Largest relative difference between a stored value and one that is taken for the same, made again."""


@dataclass(frozen=True)
class RegionShare:
    """The region of an answer, or of a given prior, that a suggestion lies in.

    Attributes:
        asked_at: Number of the trial for which the answer was asked, -1 for a prior that was given.
        label: What the answer calls the region, escaped; "" outside all regions.
        probability: Probability of this region, or of none, if the optimum were at the suggested point.
    """

    asked_at: int
    label: str
    probability: float

    @property
    def name(self) -> str:
        """Whose region it is: "given prior", or the answer by the trial that it was asked for."""
        return belief_name(self.asked_at)


@dataclass(frozen=True)
class Counterfactual:
    """What the same model would have suggested without a prior.

    Attributes:
        params: The parameters, in natural units.
        log_acquisition: Log value of the acquisition function there.
        reproduced: Whether the model of then, made again, gives the stored value at the point that was suggested.
    """

    params: dict[str, Any]
    log_acquisition: float
    reproduced: bool


@dataclass(frozen=True)
class Explanation:
    """Where one suggestion came from.

    `str()` of it says the same in words.

    Attributes:
        trial_number: Number of the trial.
        suggestion: What the sampler has stored: phase, source, the terms of the score, the part of each answer.
        regions: For each answer that was known the region that the point lies in; empty if none was.
        counterfactual: What would have been suggested without the prior; `None` where nothing can be said.
        why_no_counterfactual: Why not, else "".
    """

    trial_number: int
    suggestion: Suggestion
    regions: tuple[RegionShare, ...] = ()
    counterfactual: Counterfactual | None = None
    why_no_counterfactual: str = ""

    def __str__(self) -> str:
        return "\n".join(self.sentences())

    def sentences(self) -> tuple[str, ...]:
        """The explanation in words; text of others is escaped."""
        return tuple(_sentences(self))

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values, if the parameters are such."""
        return {
            **asdict(self),
            "certificate": self.suggestion.certificate,
            "sentences": list(self.sentences()),
        }


def explain(study: Study, trial_number: int) -> Explanation:
    """Where the suggestion of a trial came from.

    Without the prior, the model is fitted anew to the trials that were known when the trial started, with the seed of
    then. Whether that gives the very model of then is checked by the stored value of the acquisition function.

    Args:
        study: A study that an `LLMPriorSampler` worked on, in this process or another.
        trial_number: Number of a trial.

    Raises:
        ConfigurationError: If there is no such trial, or the sampler suggested nothing for it.
    """
    trials = study.get_trials(deepcopy=False)
    if not 0 <= trial_number < len(trials):
        raise ConfigurationError(f"Expected the number of a trial from 0 to {len(trials) - 1}, got {trial_number}.")
    trial = trials[trial_number]
    suggestion = read_suggestion(trial)
    if suggestion is None:
        raise ConfigurationError(
            f"Expected a trial that LLMPriorSampler suggested parameters for, got trial {trial_number} without a "
            "stored suggestion: its parameters came from elsewhere, were drawn one by one, or no trial before it said "
            "what they are."
        )
    known = [answer for answer in load_elicitations(study) if answer.trial_number <= trial_number]
    space, why = _space_of(study, trial, suggestion, known)
    if space is None:
        return Explanation(trial_number, suggestion, why_no_counterfactual=why)
    regions = _regions(stored_priors(known, space, given_in_use(study, at=trial_number)), suggestion, space)
    if suggestion.phase == "startup":
        return Explanation(
            trial_number, suggestion, regions, why_no_counterfactual="A start-up point maximises nothing."
        )
    if suggestion.seed is None:
        why = "The seed of the suggestion is not stored: an earlier version made it."
        return Explanation(trial_number, suggestion, regions, why_no_counterfactual=why)
    return Explanation(trial_number, suggestion, regions, _counterfactual(study, trial, suggestion, space))


def _space_of(
    study: Study, trial: FrozenTrial, suggestion: Suggestion, answers: Sequence[Elicitation]
) -> tuple[SearchSpace | None, str]:
    """The space of a suggestion, its columns in the order of then; or why it is not known."""
    known: dict[str, BaseDistribution] = {
        **trial.distributions,
        **stored_space(study, answers, ended_by=trial.datetime_start),
    }
    missing = [name for name in suggestion.params if name not in known]
    if missing:
        return None, f"No trial or answer says what these parameters are: {', '.join(map(printable, missing))}."
    space = SearchSpace({name: known[name] for name in suggestion.params})
    try:
        space.encode([suggestion.params])
    except LLMPriorError as error:
        return None, f"The suggested point is none of the search space that is stored: {printable(str(error))}"
    return space, ""


def _regions(elicited: Sequence[ElicitedPrior], suggestion: Suggestion, space: SearchSpace) -> tuple[RegionShare, ...]:
    """The region that a suggestion lies in, by answer; with the weights of then where they are stored."""
    x = torch.as_tensor(space.encode([suggestion.params])[0])
    parts = {part.asked_at: part for part in suggestion.answers}
    shares = []
    for belief in elicited:
        found = region_at(_as_weighed(belief.prior, parts.get(belief.trial_number)), x)
        if found is not None:
            label, probability = found
            shares.append(RegionShare(belief.trial_number, label or "", probability))
    return tuple(shares)


def _as_weighed(prior: OptimumPrior, part: AnswerPart | None) -> OptimumPrior:
    """A density with the weights that the evidence had left of its regions."""
    weights = () if part is None else part.region_weights
    if not isinstance(prior, MixturePrior) or not weights or len(weights) != len(prior.regions):
        return prior
    return prior.with_weights(list(weights), max(1.0 - sum(weights), 0.0))


@without_remarks
def _counterfactual(study: Study, trial: FrozenTrial, suggestion: Suggestion, space: SearchSpace) -> Counterfactual:
    """The maximum of the same acquisition function without any answer."""
    seed = suggestion.seed
    assert seed is not None
    before = study_before(study, trial)
    startup = StartupDesign(n_trials=0, uniform_fraction=0.0, seed=0)
    engine = Engine(trust=None, decay=None, startup=startup, feasibility=True)
    with isolated_torch():
        nobody = (ElicitedPrior(UniformPrior(space)),)
        without = engine.suggest(before, trial, space, nobody, seed_for=lambda _: seed)
        data, _ = engine.training_data(before, trial, space)
        x = torch.as_tensor(space.encode([suggestion.params]))
        with torch.no_grad():
            again = float(log_acquisition(fit_surrogate(data, space), pending=data.pending, seed=seed)(x.unsqueeze(0)))
    same = math.isclose(again, suggestion.log_acquisition or 0.0, rel_tol=SAME, abs_tol=SAME)
    reproduced = same and (suggestion.feasibility_score is None) == (without.feasibility_score is None)
    return Counterfactual(without.params, without.log_acquisition or 0.0, reproduced)


# Words ---------------------------------------------------------------------------------------------------------------


def _sentences(explanation: Explanation) -> Iterator[str]:
    suggestion = explanation.suggestion
    yield f"Trial {explanation.trial_number}: {params_text(suggestion.params)}."
    if suggestion.phase == "startup":
        yield f"{suggestion.origin}."
    else:
        yield from _score_sentences(suggestion)
    for share in explanation.regions:
        where = f'in region "{share.label}"' if share.label else "outside all regions"
        yield f"By the {share.name} it lies {where} (probability {share.probability:.2f})."
    for part in suggestion.answers:
        yield _answer_sentence(part)
    yield suggestion.certificate
    yield from _counterfactual_sentences(explanation)


def _score_sentences(suggestion: Suggestion) -> Iterator[str]:
    terms = [f"acquisition {suggestion.log_acquisition or 0.0:.3f}", f"prior {suggestion.prior_score or 0.0:+.3f}"]
    if suggestion.feasibility_score is not None:
        terms.append(f"feasibility {suggestion.feasibility_score:+.3f}")
    yield f"Model: it maximises the score after {suggestion.n} finished trials; log score: {', '.join(terms)}."


def _answer_sentence(part: AnswerPart) -> str:
    who = part.name.capitalize()
    trust = "not weighed" if part.trust is None else f"trust {part.trust:.2f}"
    bound = f"at most {part.loss_bound:.3g} times the unweighted loss bound from here on"
    return f"{who}: {trust}, exponent {part.exponent:.3g}, adds {part.score:+.3f}; {bound}."


def _counterfactual_sentences(explanation: Explanation) -> Iterator[str]:
    without = explanation.counterfactual
    if without is None:
        yield f"Without the prior: unknown. {explanation.why_no_counterfactual}"
        return
    made = f"log acquisition {without.log_acquisition:.3f}"
    yield f"Without the prior the model would have suggested: {params_text(without.params)} ({made})."
    if not without.reproduced:
        yield (
            "The model of then could not be reproduced exactly (other workers' trials, other settings of the sampler "
            "or another version), so this is what a model of the same trials with default settings suggests."
        )


def params_text(params: Mapping[str, Any]) -> str:
    """Parameters on one line, escaped."""
    return ", ".join(
        printable(f"{name} = {value:.4g}" if isinstance(value, float) else f"{name} = {value}")
        for name, value in params.items()
    )
