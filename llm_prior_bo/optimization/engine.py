"""One suggestion after the start-up: surrogate, evidence, the prior's part, acquisition function, its maximum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from torch import Tensor

from llm_prior_bo.acquisition.log_acquisition import log_acquisition
from llm_prior_bo.acquisition.optimize import optimize_acquisition, perturbed, value_at
from llm_prior_bo.acquisition.prior_weighted import prior_weighted
from llm_prior_bo.decay import DecaySchedule, bind_decay, exponent_at, loss_bound
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.feasibility import FeasibilityModel, success_probability
from llm_prior_bo.models.prior_mean import PriorMean
from llm_prior_bo.models.surrogate import Surrogate, fit_surrogate
from llm_prior_bo.optimization.elicited_priors import ElicitedPrior, reweight_elicited_priors
from llm_prior_bo.optimization.trust import NEAR_SCALES, Evidence, TrustGate, incumbents
from llm_prior_bo.priors import OptimumPrior
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.trial_records import Suggestion

N_PRIOR_STARTS = 128
N_INCUMBENTS = 5
N_OPTIMA = 32
KEPT_APART = 1e-3
"""Suggestions at the same time differ by more in some parameter, as a share of its range."""


@dataclass(frozen=True, slots=True)
class Engine:
    """How a prior and the trials of a study become a suggestion.

    Args:
        trust: The gate that weighs the prior by the evidence; `None`: it stays as it is.
        prior_mean: How the prior enters the surrogate's mean; `None`: not at all.
        decay: Age of the prior -> exponent with which it is multiplied into the acquisition function; `None`: not at
            all.
    """

    trust: TrustGate | None
    prior_mean: PriorMean | None
    decay: DecaySchedule | None

    def suggest(
        self,
        space: SearchSpace,
        beliefs: Sequence[ElicitedPrior],
        data: TrainingData,
        feasibility: FeasibilityModel | None,
        *,
        n: int,
        age: int,
        seed: int,
    ) -> Suggestion:
        """Maximise the acquisition function.

        Args:
            space: The parameters.
            beliefs: What was believed about the optimum, oldest first.
            data: The trials, at least one of them finished.
            feasibility: How probable it is that a trial finishes; `None` where nothing has failed.
            n: Finished trials of the study, for the record.
            age: Finished trials that the beliefs have seen pass, for the decay.
            seed: Seed of all randomness.
        """
        surrogate = fit_surrogate(data, space)
        evidence = reweight_elicited_priors(beliefs, surrogate, data.numbers, gate=self.trust, seed=seed)
        prior = evidence.prior
        believing, coefficients = self._with_prior_mean(surrogate, evidence, age)
        exponent = 0.0 if self.decay is None else exponent_at(bind_decay(self.decay, prior), age)
        base = with_feasibility(log_acquisition(believing, pending=data.pending, seed=seed), feasibility)
        acquisition = prior_weighted(base, prior, exponent=exponent) if exponent else base
        rng = np.random.default_rng(seed)
        best = incumbents(surrogate, N_INCUMBENTS)
        starts = torch.cat([acquisition_starts(prior, best, space, rng), evidence.optima[:N_OPTIMA]])
        x, value = optimize_acquisition(
            acquisition,
            space,
            starts=starts,
            incumbents=best[:2],
            avoid=_taken(data),
            avoid_within=KEPT_APART,
            rng=rng,
        )
        log_prior = float(prior.log_prob(x))
        without_prior = value - exponent * log_prior
        if any(coefficients):
            plain = with_feasibility(log_acquisition(surrogate, pending=data.pending, seed=seed), feasibility)
            without_prior = value_at(plain, x)
        return Suggestion(
            params=space.decode(x),
            phase="model",
            n=n,
            exponent=exponent,
            log_acquisition=without_prior,
            log_prior=log_prior,
            prior_score=value - without_prior,
            prior_coefficients=coefficients,
            loss_bound=None if self.decay is None else loss_bound(exponent, prior),
            success_probability=success_probability(feasibility, x),
            details=evidence.details(),
        )

    def _with_prior_mean(self, surrogate: Surrogate, evidence: Evidence, n: int) -> tuple[Surrogate, tuple[float, ...]]:
        """The surrogate that expects less of implausible places, and how much less."""
        if self.prior_mean is None:
            return surrogate, ()
        return self.prior_mean.apply(surrogate, evidence.prior, trust=evidence.trust_ratio, n=n)


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


def with_feasibility(base: AcquisitionFunction, feasibility: FeasibilityModel | None) -> AcquisitionFunction:
    """The acquisition function times the probability that a trial finishes: log α(X) + Σ_j log p(x_j)."""
    return base if feasibility is None else prior_weighted(base, feasibility, exponent=1.0)
