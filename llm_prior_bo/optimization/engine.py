"""One suggestion: trials, start-up design, surrogate, evidence, the terms of the score, and its maximum."""

from __future__ import annotations

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
from llm_prior_bo.decay import DecaySchedule, bind_decay, exponent_at, loss_bound
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.feasibility import (
    FeasibilityModel,
    add_failed_as_pending,
    fit_feasibility,
    success_probability,
)
from llm_prior_bo.models.surrogate import fit_surrogate
from llm_prior_bo.optimization.distrust import tell_of_distrust
from llm_prior_bo.optimization.elicited_priors import ElicitedPrior, pool_elicited_priors, reweight_elicited_priors
from llm_prior_bo.optimization.startup import StartupDesign
from llm_prior_bo.optimization.trust import Evidence, TrustGate
from llm_prior_bo.priors import OptimumPrior
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.progress import age_of_answers, n_evidence
from llm_prior_bo.study.training_data import PrunedTrials, training_data_of
from llm_prior_bo.study.trial_records import Suggestion

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
        decay: Age of the prior -> exponent with which it is multiplied into the acquisition function; `None`: not at
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
        data = training_data_of(
            study, space, trial=trial, failed_as_pending=not self.feasibility, use_pruned=self.pruned
        )
        n = n_evidence(study)
        prior = pool_elicited_priors(elicited)
        feasibility = fit_feasibility(data, space) if self.feasibility else None
        data = add_failed_as_pending(data, feasibility)
        if data.n < max(self.startup.size(prior), 1):
            seed = seed_for("feasibility")
            return self.startup.suggest(study, trial, space, prior, feasibility, n=n, seed=seed)
        if elicited[-1].trial_number == trial.number and _is_new(elicited[-1].prior.mode(), data):
            return _best_guess(space, elicited[-1].prior, n=n)
        age = age_of_answers(study, [answer.trial_number for answer in elicited], n=n)
        seed = seed_for("acquisition")
        suggestion = self._maximize(space, elicited, data, feasibility, n=n, age=age, seed=seed)
        tell_of_distrust(study, trial.number, prior, suggestion.details.get("region_weights", ()))
        return suggestion

    @without_remarks
    def _maximize(
        self,
        space: SearchSpace,
        elicited: Sequence[ElicitedPrior],
        data: TrainingData,
        feasibility: FeasibilityModel | None,
        *,
        n: int,
        age: int,
        seed: int,
    ) -> Suggestion:
        """Maximise the score: the acquisition function, the prior's term and that of feasibility."""
        surrogate = fit_surrogate(data, space)
        evidence = reweight_elicited_priors(elicited, surrogate, data.numbers, gate=self.trust, seed=seed)
        terms = [self._prior_term(evidence.prior, age), *feasibility_terms(feasibility)]
        score = LogSum(log_acquisition(surrogate, pending=data.pending, seed=seed), terms)
        rng = np.random.default_rng(seed)
        best = surrogate.incumbents(N_INCUMBENTS)
        x = optimize_acquisition(
            score,
            space,
            starts=start_points(evidence.prior, best, space, rng),
            incumbents=best[:2],
            avoid=data.taken,
            avoid_within=KEPT_APART,
            rng=rng,
        )[0]
        return self._suggestion(space, x, score, evidence, feasibility, n=n)

    def _prior_term(self, prior: OptimumPrior, age: int) -> Term:
        exponent = 0.0 if self.decay is None else exponent_at(bind_decay(self.decay, prior), age)
        return Term("prior", prior, exponent)

    def _suggestion(
        self,
        space: SearchSpace,
        x: Tensor,
        score: LogSum,
        evidence: Evidence,
        feasibility: FeasibilityModel | None,
        *,
        n: int,
    ) -> Suggestion:
        """The record of a suggestion: the point, and what every term of the score contributed there."""
        with torch.no_grad():
            parts = {name: float(value) for name, value in score.contributions(x.reshape(1, 1, -1)).items()}
        exponent = score.terms[0].exponent
        return Suggestion(
            params=space.decode(x),
            phase="model",
            n=n,
            exponent=exponent,
            log_acquisition=parts["acquisition"],
            log_prior=float(evidence.prior.log_prob(x)),
            prior_score=parts["prior"],
            feasibility_score=parts.get("feasibility"),
            loss_bound=None if self.decay is None else loss_bound(exponent, evidence.prior),
            success_probability=success_probability(feasibility, x),
            details=evidence.details(),
        )


def _best_guess(space: SearchSpace, prior: OptimumPrior, *, n: int) -> Suggestion:
    """The best guess of an answer that has just come: an answer is worth most at once."""
    x = prior.mode()
    return Suggestion(params=space.decode(x), phase="refresh", n=n, log_prior=float(prior.log_prob(x)))


def _is_new(x: Tensor, data: TrainingData) -> bool:
    """Whether a point is neither evaluated nor under evaluation."""
    return not bool((torch.cat([data.X, data.pending]) == x).all(dim=-1).any())


def feasibility_terms(feasibility: FeasibilityModel | None) -> list[Term]:
    """The log probability that a trial finishes; nothing where nothing has failed."""
    return [] if feasibility is None else [Term("feasibility", feasibility)]
