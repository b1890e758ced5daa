"""Several answers of one study, each with a clock of its own and weighed on the trials that it had not seen.

With answers `m = 1, 2, ...` asked when `n_m` trials were known, the score is

    log α(x) + Σ_m γ_m · log π_m(x),    γ_m = γ(n - n_m)

the product form of DynaBO. `π_m` is what the evidence since the question has left of answer `m`: with `p_n` the
surrogate's distribution of the optimum now and `p_m` the one that whoever answered had been told, its regions have the
Bayes factors of `p_n` against `p_m` (`EvidenceTrust`). A new answer starts afresh and earlier ones go on fading.

The loss of the weighted strategy is at most `Π_m exp(γ_m L_m)` times the bound of the unweighted one, `L_m` the range
of `log π_m`. A `BoundedLossDecay` keeps its promise for the whole product: the sum of `γ_m L_m` is at most
`n_0 · ln c / n`, and a later answer has what the earlier ones leave of that. One that holds leaves nothing, one that
the evidence has refuted leaves it all, for its range is gone. Those with the same clock, such as a density that was
given and the first answer, come neither before nor after each other: what is left is divided in proportion to what each
would have alone. Counted in full, later answers were no better than answers to permuted results, and worse than none
where the first one held (docs/measurements.md, asking again). With any other decay a later exponent is multiplied by
`1 - trust` of each earlier answer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from llm_prior_bo.decay import BoundedLossDecay, DecaySchedule, bind_decay, exponent_at
from llm_prior_bo.models.surrogate import Surrogate
from llm_prior_bo.optimization.trust import Evidence, TrustGate
from llm_prior_bo.priors import OptimumPrior, pool_priors


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
    return pool_densities([belief.prior for belief in beliefs])


def pool_densities(priors: Sequence[OptimumPrior]) -> OptimumPrior:
    """The pooled density, half for the latest; of a single one itself, whatever its class."""
    if len(priors) == 1:
        return priors[0]
    return pool_priors(priors, weights=pooled_shares(len(priors)))


def pooled_shares(n: int) -> tuple[float, ...]:
    """Share of each of `n` beliefs before the evidence: half for the latest, and so on; they sum to one."""
    return tuple(2.0 ** -min(n - 1, n - j) for j in range(n))


def weigh_elicited_priors(
    beliefs: Sequence[ElicitedPrior], surrogate: Surrogate, numbers: Sequence[int], *, gate: TrustGate | None, seed: int
) -> list[Evidence]:
    """Weigh every belief of a study against the trials since it was stated.

    Args:
        beliefs: Oldest first.
        surrogate: Fitted to the finished trials.
        numbers: Trial number of every training point of the surrogate, `n`; empty if nobody knows them.
        gate: Who weighs; `None`: the beliefs stay as they are.
        seed: Seed of all randomness.

    Returns:
        The evidence for each, in their order.
    """
    if gate is None:
        return [Evidence(prior=belief.prior) for belief in beliefs]
    return [
        gate.reweight(belief.prior, surrogate, reference=_before(belief, surrogate, numbers), seed=seed)
        for belief in beliefs
    ]


def exponents(
    decay: DecaySchedule | None,
    beliefs: Sequence[ElicitedPrior],
    evidence: Sequence[Evidence],
    *,
    ages: Sequence[int],
    n: int,
) -> list[float]:
    """The exponent of every belief, each by its own clock, and as far as the evidence against earlier ones makes room.

    The range that bounds the loss is the larger one of the density as it was stated and as the evidence has left it:
    trust that falls then makes the prior's pull smaller, and trust that rises keeps the bound.

    Args:
        decay: Age of a belief -> exponent; `None`: nothing is multiplied.
        beliefs: As they were stated.
        evidence: What the trials have left of each.
        ages: Finished trials of this study's own since each was stated.
        n: All finished trials of this study's own.
    """
    if decay is None:
        return [0.0] * len(beliefs)
    widest = [max(belief.prior, one.prior, key=_log_range) for belief, one in zip(beliefs, evidence, strict=True)]
    own = [exponent_at(bind_decay(decay, prior), age) for prior, age in zip(widest, ages, strict=True)]
    if not isinstance(decay, BoundedLossDecay):
        return [exponent * share for exponent, share in zip(own, _shares_left(evidence, ages), strict=True)]
    limit = decay.from_trial * math.log(decay.max_loss) / max(n, 1)
    # Where nothing was weighed nothing makes room for a later one: all are treated as of one age.
    return _within(limit, own, evidence, ages if any(one.trust is not None for one in evidence) else [0] * len(ages))


def _within(limit: float, own: Sequence[float], evidence: Sequence[Evidence], ages: Sequence[int]) -> list[float]:
    """Exponents of which the sum of `γ_m L_m` is at most `limit`.

    The earlier ones come first, as it is the evidence that makes room for later ones. Those of one age share.
    """
    ranges = [one.prior.log_range for one in evidence]
    own = [0.0 if math.isinf(L) else exponent for exponent, L in zip(own, ranges, strict=True)]
    found: list[float] = []
    for group in _of_one_age(ages):
        pulls = [own[m] * ranges[m] if own[m] else 0.0 for m in group]  # the range may be infinite
        total = sum(pulls)
        given = [
            min(own[m], limit * (pull / total) / ranges[m]) if pull else own[m]
            for m, pull in zip(group, pulls, strict=True)
        ]
        found += given
        limit = max(limit - sum(g * ranges[m] for m, g in zip(group, given, strict=True) if g), 0.0)
    return found


def _of_one_age(ages: Sequence[int]) -> list[list[int]]:
    """Positions of the beliefs, oldest first, those that were stated after the same trials together."""
    return [list(group) for _, group in itertools.groupby(range(len(ages)), key=lambda m: ages[m])]


def _log_range(prior: OptimumPrior) -> float:
    return prior.log_range


def _shares_left(evidence: Sequence[Evidence], ages: Sequence[int]) -> list[float]:
    """For every belief how much trust the evidence has taken from those before it; all of it where none was weighed."""
    shares: list[float] = []
    left = 1.0
    for group in _of_one_age(ages):
        shares += [left] * len(group)
        for trust in (evidence[m].trust for m in group):
            left *= 1.0 if trust is None else 1.0 - trust
    return shares


def _before(belief: ElicitedPrior, surrogate: Surrogate, numbers: Sequence[int]) -> Surrogate | None:
    """The surrogate as it would be with the trials only that the believer knew; `None` if there were none."""
    rows = [i for i, number in enumerate(numbers) if number in belief.known]
    return surrogate.condition_on_subset(rows) if rows else None
