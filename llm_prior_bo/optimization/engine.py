"""One suggestion: trials, start-up design, surrogate, evidence, the terms of the score, and its maximum."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from llm_prior_bo._isolation import without_remarks
from llm_prior_bo.acquisition.log_acquisition import log_acquisition
from llm_prior_bo.acquisition.log_sum import LogSum, Term
from llm_prior_bo.acquisition.optimize import optimize_acquisition, start_points
from llm_prior_bo.decay import DecaySchedule, loss_bound
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.feasibility import (
    FeasibilityModel,
    add_failed_as_pending,
    fit_feasibility,
    success_probability,
)
from llm_prior_bo.models.surrogate import fit_surrogate
from llm_prior_bo.optimization.distrust import tell_of_distrust
from llm_prior_bo.optimization.elicited_priors import (
    ElicitedPrior,
    exponents,
    pool_densities,
    pool_elicited_priors,
    weigh_elicited_priors,
)
from llm_prior_bo.optimization.regions import region_label, region_labels
from llm_prior_bo.optimization.startup import StartupDesign
from llm_prior_bo.optimization.trust import Evidence, TrustGate
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.progress import evidence_trials
from llm_prior_bo.study.training_data import PrunedTrials, training_data_of
from llm_prior_bo.study.trial_records import AnswerPart, Suggestion

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

N_INCUMBENTS = 5
KEPT_APART = 1e-3
"""Suggestions at the same time differ by more in some parameter, as a share of its range."""


@dataclass(frozen=True, slots=True)
class Engine:
    """How a prior and the trials of a study become a suggestion.

    Args:
        trust: The gate that weighs the prior by the evidence; `None`: it stays as it is.
        decay: Age of an answer -> exponent with which it is multiplied into the acquisition function; `None`: not at
            all.
        startup: The trials before the surrogate takes over.
        feasibility: Whether to learn from failed trials where trials fail.
        pruned: What pruned trials are to the surrogate.
    """

    trust: TrustGate | None
    decay: DecaySchedule | None
    startup: StartupDesign
    feasibility: bool = True
    pruned: PrunedTrials = "avoid"

    def suggest(
        self,
        study: Study,
        trial: FrozenTrial,
        space: SearchSpace,
        elicited: Sequence[ElicitedPrior],
        *,
        seed_for: Callable[[str], int],
    ) -> Suggestion:
        """Choose parameters for a trial.

        Args:
            study: The study.
            trial: The trial that a suggestion is wanted for.
            space: The parameters.
            elicited: Densities over the optimum, oldest first, at least one.
            seed_for: A seed for a purpose.
        """
        data, feasibility = self.training_data(study, trial, space)
        own = evidence_trials(study)
        n = len(own)
        prior = pool_elicited_priors(elicited)
        if data.n < max(self.startup.size(prior), 1):
            seed = seed_for("feasibility")
            return self.startup.suggest(study, trial, space, prior, data, feasibility, n=n, seed=seed)
        ages = [sum(number >= answer.trial_number for number in own) for answer in elicited]
        seed = seed_for("acquisition")
        suggestion = self._maximize(space, elicited, data, feasibility, n=n, ages=ages, seed=seed)
        tell_of_distrust(study, trial.number, [(e.prior, p) for e, p in zip(elicited, suggestion.answers, strict=True)])
        return suggestion

    def training_data(
        self, study: Study, trial: FrozenTrial, space: SearchSpace
    ) -> tuple[TrainingData, FeasibilityModel | None]:
        """What the models of a suggestion for `trial` learn from, and the one of failures where trials have failed."""
        data = training_data_of(
            study, space, trial=trial, failed_as_pending=not self.feasibility, use_pruned=self.pruned
        )
        feasibility = fit_feasibility(data, space) if self.feasibility else None
        return add_failed_as_pending(data, feasibility), feasibility

    @without_remarks
    def _maximize(
        self,
        space: SearchSpace,
        elicited: Sequence[ElicitedPrior],
        data: TrainingData,
        feasibility: FeasibilityModel | None,
        *,
        n: int,
        ages: Sequence[int],
        seed: int,
    ) -> Suggestion:
        """Maximise the score: the acquisition function, a term for each answer, and that of feasibility."""
        surrogate = fit_surrogate(data, space)
        evidence = weigh_elicited_priors(elicited, surrogate, data.numbers, gate=self.trust, seed=seed)
        answers = answer_terms(evidence, exponents(self.decay, elicited, evidence, ages=ages, n=n))
        terms = [*answers, *feasibility_terms(feasibility)]
        score = LogSum(log_acquisition(surrogate, pending=data.pending, seed=seed), terms)
        rng = np.random.default_rng(seed)
        best = surrogate.incumbents(N_INCUMBENTS)
        pooled = pool_densities([one.prior for one in evidence])
        x = optimize_acquisition(
            score,
            space,
            starts=start_points(pooled, best, space, rng),
            incumbents=best[:2],
            avoid=data.taken,
            avoid_within=KEPT_APART,
            rng=rng,
        )[0]
        with torch.no_grad():
            parts = {name: float(value) for name, value in score.contributions(x.reshape(1, 1, -1)).items()}
        told = tuple(
            answer_part(belief, one, term, x, age=age, score=parts[term.name])
            for belief, one, term, age in zip(elicited, evidence, answers, ages, strict=True)
        )
        return Suggestion(
            params=space.decode(x),
            phase="model",
            n=n,
            exponent=max(part.exponent for part in told),
            log_acquisition=parts["acquisition"],
            region=region_label(pooled, x),
            log_prior=float(pooled.log_prob(x)),
            prior_score=sum(part.score for part in told),
            feasibility_score=parts.get("feasibility"),
            loss_bound=None if self.decay is None else math.prod(part.loss_bound for part in told),
            success_probability=success_probability(feasibility, x),
            answers=told,
            seed=seed,
        )


def answer_terms(evidence: Sequence[Evidence], exponents: Sequence[float]) -> list[Term]:
    """One term of the score for each answer, oldest first."""
    return [
        Term(f"answer {i + 1}", one.prior, exponent)
        for i, (one, exponent) in enumerate(zip(evidence, exponents, strict=True))
    ]


def answer_part(
    belief: ElicitedPrior, evidence: Evidence, term: Term, x: Tensor, *, age: int, score: float
) -> AnswerPart:
    """The record of what one answer had to do with a suggestion."""
    return AnswerPart(
        asked_at=belief.trial_number,
        age=age,
        exponent=term.exponent,
        log_prior=float(evidence.prior.log_prob(x)),
        score=score,
        loss_bound=loss_bound(term.exponent, evidence.prior),
        trust=evidence.trust,
        region_weights=evidence.region_weights,
        bayes_factors=evidence.bayes_factors,
        region_labels=region_labels(evidence.prior),
    )


def feasibility_terms(feasibility: FeasibilityModel | None) -> list[Term]:
    """The log probability that a trial finishes; nothing where nothing has failed."""
    return [] if feasibility is None else [Term("feasibility", feasibility)]
