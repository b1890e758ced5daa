"""Several answers of one study, each weighed on the trials that it had not seen.

A later answer was given by somebody who had been told about the trials so far, so they are no evidence for it. The
answers are taken one after the other: what the evidence up to a question has left of the earlier ones is pooled with
the new one in equal shares, and both are weighed on what came after. In symbols, with `p_m` the surrogate's
distribution of the optimum at the question and `p_n` the one now, the factor of an old region is
`(p_m / p_0) (p_n / p_m)`, that of a new one `p_n / p_m`. So a new answer replaces one that the data have refuted, and
joins one that they support.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from llm_prior_bo.models.surrogate import Surrogate
from llm_prior_bo.optimization.trust import Evidence, TrustGate
from llm_prior_bo.priors import MixturePrior, OptimumPrior, UniformPrior, pool_priors


@dataclass(frozen=True, slots=True)
class ElicitedPrior:
    """What somebody believed about the optimum at one moment of a study.

    Args:
        prior: The density over the optimum.
        known: Numbers of the trials whose results the believer knew.
        trial_number: Number of the trial for which the question was asked, -1 if nobody was.
    """

    prior: OptimumPrior
    known: frozenset[int] = frozenset()
    trial_number: int = -1


def pool_elicited_priors(beliefs: Sequence[ElicitedPrior]) -> OptimumPrior:
    """All beliefs, half for the latest one, without regard to evidence: for as long as there is none.

    Args:
        beliefs: Oldest first, at least one, over one space; several of them must be mixtures or uniform.
    """
    if len(beliefs) == 1:
        return beliefs[0].prior
    return pool_priors([belief.prior for belief in beliefs], weights=pooled_shares(len(beliefs)))


def pooled_shares(n: int) -> tuple[float, ...]:
    """Share of each of `n` beliefs before the evidence: half for the latest, and so on; they sum to one."""
    return tuple(2.0 ** -min(n - 1, n - j) for j in range(n))


def reweight_elicited_priors(
    beliefs: Sequence[ElicitedPrior], surrogate: Surrogate, numbers: Sequence[int], *, gate: TrustGate | None, seed: int
) -> Evidence:
    """Weigh the beliefs of a study against its trials.

    Args:
        beliefs: Oldest first, at least one.
        surrogate: Fitted to the finished trials.
        numbers: Trial number of every training point of the surrogate, `n`; empty if nobody knows them.
        gate: Who weighs; `None`: the beliefs are pooled as they are.
        seed: Seed of all randomness.

    Returns:
        The evidence now, with the Bayes factors since each belief was stated, in the order of the beliefs' regions.
    """
    if gate is None:
        return Evidence(prior=pool_elicited_priors(beliefs))
    prior, reference = beliefs[0].prior, _before(beliefs[0], surrogate, numbers)
    factors: tuple[float, ...] = ()
    for later in beliefs[1:]:
        then = _before(later, surrogate, numbers)
        if then is not None:
            earlier = gate.reweight(prior, then, reference=reference, seed=seed)
            prior, factors = earlier.prior, _product(factors, earlier, prior)
            reference = then
        prior = pool_elicited_priors([ElicitedPrior(prior), later])
    evidence = gate.reweight(prior, surrogate, reference=reference, seed=seed)
    return replace(evidence, bayes_factors=_product(factors, evidence, prior)) if factors else evidence


def _before(belief: ElicitedPrior, surrogate: Surrogate, numbers: Sequence[int]) -> Surrogate | None:
    """The surrogate as it would be with the trials only that the believer knew; `None` if there were none."""
    rows = [i for i, number in enumerate(numbers) if number in belief.known]
    return surrogate.condition_on_subset(rows) if rows else None


def _product(earlier: tuple[float, ...], evidence: Evidence, prior: OptimumPrior) -> tuple[float, ...]:
    """Factors of all regions so far; regions that are new have none from before, nor has a gate that saw nothing."""
    factors = evidence.bayes_factors or (1.0,) * n_regions(prior)
    return tuple(f * (earlier[i] if i < len(earlier) else 1.0) for i, f in enumerate(factors))


def n_regions(prior: OptimumPrior) -> int:
    """How many regions a gate weighs one by one."""
    if isinstance(prior, MixturePrior):
        return len(prior.regions)
    return 0 if isinstance(prior, UniformPrior) else 1
