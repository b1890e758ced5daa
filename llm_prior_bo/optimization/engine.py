"""One suggestion after the start-up: surrogate, evidence, the terms of the score, and its maximum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from llm_prior_bo.acquisition.log_acquisition import log_acquisition
from llm_prior_bo.acquisition.log_sum import LogSum, Term
from llm_prior_bo.acquisition.optimize import optimize_acquisition, perturbed
from llm_prior_bo.decay import DecaySchedule, bind_decay, exponent_at, loss_bound
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.feasibility import FeasibilityModel, success_probability
from llm_prior_bo.models.surrogate import fit_surrogate
from llm_prior_bo.optimization.elicited_priors import ElicitedPrior, reweight_elicited_priors
from llm_prior_bo.optimization.trust import NEAR_SCALES, Evidence, TrustGate, incumbents
from llm_prior_bo.priors import OptimumPrior
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.trial_records import Suggestion

N_PRIOR_STARTS = 128
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
    """

    trust: TrustGate | None
    decay: DecaySchedule | None

    def suggest(
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
        """Maximise the score.

        Args:
            space: The parameters.
            elicited: Densities over the optimum, oldest first.
            data: The trials, at least one of them finished.
            feasibility: How probable it is that a trial finishes; `None` where nothing has failed.
            n: Finished trials of the study, for the record.
            age: Finished trials since the densities were elicited, for the decay.
            seed: Seed of all randomness.
        """
        surrogate = fit_surrogate(data, space)
        evidence = reweight_elicited_priors(elicited, surrogate, data.numbers, gate=self.trust, seed=seed)
        terms = [self._prior_term(evidence.prior, age), *feasibility_terms(feasibility)]
        score = LogSum(log_acquisition(surrogate, pending=data.pending, seed=seed), terms)
        rng = np.random.default_rng(seed)
        best = incumbents(surrogate, N_INCUMBENTS)
        x = optimize_acquisition(
            score,
            space,
            starts=acquisition_starts(evidence.prior, best, space, rng),
            incumbents=best[:2],
            avoid=_taken(data),
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


def feasibility_terms(feasibility: FeasibilityModel | None) -> list[Term]:
    """The log probability that a trial finishes; nothing where nothing has failed."""
    return [] if feasibility is None else [Term("feasibility", feasibility)]


def acquisition_starts(prior: OptimumPrior, best: Tensor, space: SearchSpace, rng: np.random.Generator) -> Tensor:
    """Start points for the acquisition's maximisation: draws from the prior and points near the incumbents, `s x d`."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    draws = prior.sample(N_PRIOR_STARTS, generator=generator)
    near = [perturbed(best, space, n_each=20, scale=scale, rng=rng) for scale in NEAR_SCALES]
    return torch.cat([draws, *near])


def _taken(data: TrainingData) -> Tensor:
    """Points that are not suggested while there are others, `k x d`: pending ones, and then finished ones as well.

    A trial that is alone may repeat one, where there is noise and nothing else to gain. While others run there is more
    to gain from their results.
    """
    return torch.cat([data.pending, data.X]) if len(data.pending) else data.pending
