"""Several answers of one study: what each is weighed on, and in which shares they are pooled."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from torch import Tensor

from llm_prior_bo import (
    BoundedLossDecay,
    EvidenceTrust,
    MixturePrior,
    PowerDecay,
    PriorAnswer,
    SearchSpace,
    UniformPrior,
    build_prior,
)
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.surrogate import Surrogate, fit_surrogate
from llm_prior_bo.optimization.elicited_priors import (
    ElicitedPrior,
    exponents,
    pool_elicited_priors,
    pooled_shares,
    weigh_elicited_priors,
)
from llm_prior_bo.optimization.trust import Evidence, TrustGate

SPACE = SearchSpace({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)})
GATE = EvidenceTrust()


def prior_at(x: float) -> MixturePrior:
    return build_prior(PriorAnswer.by_hand(numeric={"x": (x, max(x - 0.1, 0.0), min(x + 0.1, 1.0))}), SPACE)


def fitted(n: int) -> Surrogate:
    """A bowl with its optimum at x = 0.3, seen at `n` scrambled Sobol points."""
    X: Tensor = UniformPrior(SPACE).stratified_sample(n, generator=torch.Generator().manual_seed(0))
    Y = -(X[:, :1] - 0.3).square() - 0.1 * (X[:, 1:] - 0.5).square()
    none = torch.empty(n, 0, dtype=torch.float64)
    return fit_surrogate(TrainingData(X=X, Y=Y, constraints=none, pending=X[:0]), SPACE)


NUMBERS = tuple(range(16))
SURROGATE = fitted(16)


@pytest.mark.parametrize("n", range(1, 6))
def test_shares(n: int) -> None:
    shares = pooled_shares(n)
    assert len(shares) == n
    assert sum(shares) == 1.0
    assert all(later >= earlier for earlier, later in itertools.pairwise(shares))


def test_shares_are_those_of_pooling_one_after_the_other() -> None:
    beliefs = [ElicitedPrior(prior_at(x)) for x in (0.2, 0.5, 0.8)]
    stepwise = pool_elicited_priors([ElicitedPrior(pool_elicited_priors(beliefs[:2])), beliefs[2]])
    pooled = pool_elicited_priors(beliefs)
    assert isinstance(stepwise, MixturePrior)
    assert isinstance(pooled, MixturePrior)
    torch.testing.assert_close(stepwise.weights, pooled.weights)
    assert stepwise.uniform_weight == pytest.approx(pooled.uniform_weight)


def weigh(*beliefs: ElicitedPrior, gate: TrustGate | None = GATE, seed: int = 0) -> list[Evidence]:
    return weigh_elicited_priors(beliefs, SURROGATE, NUMBERS, gate=gate, seed=seed)


def test_each_is_weighed_as_by_the_gate_alone_on_what_it_had_not_seen() -> None:
    first, second = ElicitedPrior(prior_at(0.5)), ElicitedPrior(prior_at(0.3), frozenset(range(4)), trial_number=4)
    found = weigh(first, second, seed=3)
    reference = SURROGATE.condition_on_subset(range(4))
    alone = (
        GATE.reweight(first.prior, SURROGATE, seed=3),
        GATE.reweight(second.prior, SURROGATE, reference=reference, seed=3),
    )
    assert [one.details() for one in found] == [one.details() for one in alone]


def test_without_a_gate_they_stay_as_they_are() -> None:
    beliefs = [ElicitedPrior(prior_at(0.3)), ElicitedPrior(prior_at(0.9), frozenset(range(8)))]
    assert [one.prior for one in weigh(*beliefs, gate=None)] == [belief.prior for belief in beliefs]
    assert [one.trust for one in weigh(*beliefs, gate=None)] == [None, None]


def test_an_answer_is_not_weighed_on_what_it_was_told() -> None:
    """An answer that was told everything keeps its weight, right or wrong."""
    for x in (0.3, 0.9):
        (found,) = weigh(ElicitedPrior(prior_at(x), frozenset(NUMBERS), trial_number=16))
        assert list(found.bayes_factors) == pytest.approx([1.0])
        assert found.trust == pytest.approx(float(prior_at(x).weights.sum()))


def test_a_later_wrong_answer_loses_its_weight_by_the_same_factor_as_any_other() -> None:
    wrong = ElicitedPrior(prior_at(0.9), frozenset(range(4)), trial_number=4)
    before, after = weigh(wrong)[0], weigh(ElicitedPrior(prior_at(0.3)), wrong)[1]
    assert after.details() == before.details()
    assert (after.trust or 0.0) < 0.6  # of 0.8 as stated, on twelve trials


def test_no_opinion_at_first() -> None:
    none, later = weigh(ElicitedPrior(UniformPrior(SPACE)), ElicitedPrior(prior_at(0.3), frozenset(range(8))))
    assert none.prior.is_uniform
    assert none.trust is None
    assert len(later.region_weights) == 1


DECAYS = [
    BoundedLossDecay(max_loss=math.e, from_trial=20),
    BoundedLossDecay(max_loss=2.0, from_trial=5),
    BoundedLossDecay(max_loss=1.1, from_trial=40, log_range=3.0),
]


@given(
    asked_at=st.lists(st.integers(0, 60), min_size=1, max_size=4).map(sorted),
    n=st.integers(0, 80),
    decay=st.sampled_from(DECAYS),
    trusts=st.lists(st.floats(0.0, 1.0), min_size=5, max_size=5),
    weighed=st.booleans(),
    given_beside=st.booleans(),
)
def test_the_loss_bound_holds_for_the_sum_of_the_terms(
    asked_at: list[int], n: int, decay: BoundedLossDecay, trusts: list[float], weighed: bool, given_beside: bool
) -> None:
    """`Σ_m γ_m L_m <= n_0 ln c / n`, recomputed, whatever the evidence has left of a given prior and the answers."""
    asked_at = [-1, *asked_at] if given_beside else asked_at
    beliefs = [ElicitedPrior(prior_at(0.2 + 0.1 * i), trial_number=at) for i, at in enumerate(asked_at)]
    left = [
        Evidence(prior=one.prior.with_weights([t], 1.05 - t), trust=t if weighed else None)
        for one, t in zip(beliefs, trusts, strict=False)
        if isinstance(one.prior, MixturePrior)
    ]
    found = exponents(decay, beliefs, left, ages=[max(n - max(at, 0), 0) for at in asked_at], n=n)
    total = sum(gamma * one.prior.log_range for gamma, one in zip(found, left, strict=True))
    assert total <= decay.from_trial * math.log(decay.max_loss) / max(n, 1) + 1e-9
    assert all(0.0 <= gamma <= 1.0 for gamma in found)


def test_a_single_answer_has_the_schedule_that_it_was_given() -> None:
    belief = ElicitedPrior(prior_at(0.3))
    evidence = [Evidence(prior=belief.prior)]
    decay = BoundedLossDecay(max_loss=math.e, from_trial=20)
    expected = decay.for_prior(belief.prior)(7)
    assert exponents(decay, [belief], evidence, ages=[7], n=7) == [pytest.approx(expected)]
    assert exponents(PowerDecay(10.0), [belief], evidence, ages=[7], n=7) == [pytest.approx(10.0 / 7)]
    assert exponents(None, [belief], evidence, ages=[7], n=7) == [0.0]


def test_trust_that_falls_makes_the_pull_smaller() -> None:
    """With the range of what is left alone, a refuted prior would get a larger exponent for its smaller range."""
    belief = ElicitedPrior(prior_at(0.3))
    assert isinstance(belief.prior, MixturePrior)
    decay = BoundedLossDecay(max_loss=math.e, from_trial=20)
    left = [belief.prior.with_weights([weight], 1.0 - weight) for weight in (0.9, 0.5, 0.1, 0.01)]
    pulls = [
        exponents(decay, [belief], [Evidence(prior=prior)], ages=[20], n=20)[0] * prior.log_range for prior in left
    ]
    assert pulls == sorted(pulls, reverse=True)
    assert pulls[0] == pytest.approx(1.0)
    assert pulls[-1] < 0.1


def test_every_answer_has_its_own_clock() -> None:
    """A new answer starts afresh and sets no earlier one back."""
    beliefs = [ElicitedPrior(prior_at(x), trial_number=at) for x, at in ((0.3, 0), (0.6, 10))]
    evidence = [Evidence(prior=belief.prior) for belief in beliefs]
    assert exponents(PowerDecay(10.0), beliefs, evidence, ages=[12, 2], n=12) == pytest.approx([10.0 / 12, 5.0])


def test_those_of_one_age_share_the_bound_as_it_would_be_without_each_other() -> None:
    """A given prior and the first answer: twice the range, twice the pull alone, and neither goes first."""
    beliefs = [ElicitedPrior(prior_at(0.3)), ElicitedPrior(prior_at(0.6), trial_number=0)]
    beliefs.append(ElicitedPrior(prior_at(0.9), trial_number=30))
    decay = BoundedLossDecay(max_loss=math.e, from_trial=20, log_range=3.0)
    evidence = [
        Evidence(prior=one.prior.with_weights([t], 1.0 - t), trust=t)
        for one, t in zip(beliefs, (0.9, 0.6, 0.9), strict=True)
        if isinstance(one.prior, MixturePrior)
    ]
    ranges = [one.prior.log_range for one in evidence]
    found = exponents(decay, beliefs, evidence, ages=[40, 40, 10], n=40)
    pulls = [exponent * L for exponent, L in zip(found, ranges, strict=True)]
    assert sum(pulls) == pytest.approx(20.0 / 40)
    assert pulls[0] / pulls[1] == pytest.approx(ranges[0] / ranges[1])  # of one own exponent
    assert pulls[2] == 0.0
    # One that the evidence has refuted leaves its share to the other.
    alone = [Evidence(prior=beliefs[0].prior.with_weights([1e-9], 1.0), trust=1e-9), evidence[1]]  # type: ignore[attr-defined]
    left = exponents(decay, beliefs[:2], alone, ages=[40, 40], n=40)
    assert left[1] == pytest.approx(exponents(decay, beliefs[1:2], evidence[1:2], ages=[40], n=40)[0], rel=1e-6)


def test_with_another_decay_those_of_one_age_leave_each_other_alone() -> None:
    beliefs = [ElicitedPrior(prior_at(x), trial_number=at) for x, at in ((0.3, -1), (0.6, 0), (0.9, 10))]
    evidence = [Evidence(prior=belief.prior, trust=0.5) for belief in beliefs]
    found = exponents(PowerDecay(10.0), beliefs, evidence, ages=[20, 20, 10], n=20)
    assert found == pytest.approx([0.5, 0.5, 0.25])


@pytest.mark.parametrize("trust", [0.0, 0.3, 1.0])
def test_a_later_answer_counts_as_far_as_the_earlier_ones_have_lost_trust(trust: float) -> None:
    beliefs = [ElicitedPrior(prior_at(x), trial_number=at) for x, at in ((0.3, 0), (0.6, 10), (0.9, 15))]
    evidence = [Evidence(prior=belief.prior, trust=trust) for belief in beliefs]
    expected = [10.0 / 20, (1.0 - trust) * 10.0 / 10, (1.0 - trust) ** 2 * 10.0 / 5]
    assert exponents(PowerDecay(10.0), beliefs, evidence, ages=[20, 10, 5], n=20) == pytest.approx(expected)


def test_a_later_answer_has_what_the_earlier_ones_leave_of_the_bound() -> None:
    """Nothing of it while the first one holds, nearly all of it once the evidence has refuted that."""
    beliefs = [ElicitedPrior(prior_at(x), trial_number=at) for x, at in ((0.3, 0), (0.6, 10))]
    decay = BoundedLossDecay(max_loss=math.e, from_trial=20)
    first = beliefs[0].prior
    assert isinstance(first, MixturePrior)
    shares = []
    for trust in (0.95, 0.8, 0.3, 0.001):
        prior = first.with_weights([trust], 1.0 - trust)
        evidence = [Evidence(prior=prior, trust=trust), Evidence(prior=beliefs[1].prior, trust=0.8)]
        found = exponents(decay, beliefs, evidence, ages=[15, 5], n=15)
        pulls = [exponent * one.prior.log_range for exponent, one in zip(found, evidence, strict=True)]
        assert sum(pulls) <= 20.0 / 15 + 1e-9
        assert found[0] == exponents(decay, beliefs[:1], evidence[:1], ages=[15], n=15)[0]
        shares.append(pulls[1] / (20.0 / 15))
    assert shares[:2] == pytest.approx([0.0, 0.0], abs=1e-9)
    assert 0.1 < shares[2] < shares[3]
    assert shares[3] > 0.9
