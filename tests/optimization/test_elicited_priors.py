"""Several answers of one study: what each is weighed on, and in which shares they are pooled."""

from __future__ import annotations

import itertools

import pytest
import torch
from optuna.distributions import FloatDistribution
from torch import Tensor

from llm_prior_bo import EvidenceTrust, MixturePrior, PriorAnswer, SearchSpace, UniformPrior, build_prior
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.surrogate import Surrogate, fit_surrogate
from llm_prior_bo.optimization.elicited_priors import (
    ElicitedPrior,
    pool_elicited_priors,
    pooled_shares,
    reweight_elicited_priors,
)

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


def test_one_belief_is_weighed_as_by_the_gate_alone() -> None:
    prior = prior_at(0.3)
    alone = GATE.reweight(prior, SURROGATE, reference=SURROGATE.condition_on_subset(range(4)), seed=3)
    found = reweight_elicited_priors([ElicitedPrior(prior, frozenset(range(4)))], SURROGATE, NUMBERS, gate=GATE, seed=3)
    assert found.region_weights == alone.region_weights
    assert found.bayes_factors == alone.bayes_factors


def test_without_a_gate_they_are_pooled_as_they_are() -> None:
    beliefs = [ElicitedPrior(prior_at(0.3)), ElicitedPrior(prior_at(0.9), frozenset(range(8)))]
    found = reweight_elicited_priors(beliefs, SURROGATE, NUMBERS, gate=None, seed=0)
    assert isinstance(found.prior, MixturePrior)
    torch.testing.assert_close(found.prior.weights, torch.tensor([0.4, 0.4], dtype=torch.float64))
    assert found.trust is None


def test_an_answer_is_not_weighed_on_what_it_was_told() -> None:
    """An answer that was told everything keeps its share, right or wrong."""
    for x in (0.3, 0.9):
        beliefs = [ElicitedPrior(prior_at(0.3)), ElicitedPrior(prior_at(x), frozenset(NUMBERS), trial_number=16)]
        found = reweight_elicited_priors(beliefs, SURROGATE, NUMBERS, gate=GATE, seed=0)
        assert found.bayes_factors[1] == pytest.approx(1.0)
        assert found.region_weights[1] == pytest.approx(0.5 * prior_at(x).weights.sum().item())


def test_factors_of_an_old_answer_are_those_since_it_was_stated() -> None:
    """`(p_m / p_0) (p_n / p_m)` is `p_n / p_0`, up to the choice of the candidates."""
    first, second = ElicitedPrior(prior_at(0.3)), ElicitedPrior(prior_at(0.6), frozenset(range(8)), trial_number=8)
    (alone,) = reweight_elicited_priors([first], SURROGATE, NUMBERS, gate=GATE, seed=0).bayes_factors
    chained = reweight_elicited_priors([first, second], SURROGATE, NUMBERS, gate=GATE, seed=0).bayes_factors
    assert len(chained) == 2
    assert chained[0] == pytest.approx(alone, rel=0.35)


def test_a_new_answer_takes_the_place_of_one_that_was_found_out() -> None:
    wrong, right = ElicitedPrior(prior_at(0.9)), ElicitedPrior(prior_at(0.3), frozenset(range(8)), trial_number=8)
    found = reweight_elicited_priors([wrong, right], SURROGATE, NUMBERS, gate=GATE, seed=0)
    assert found.region_weights[0] < 0.02
    assert found.region_weights[1] > 0.35  # of 0.45: it was told of half of the trials
    alone = reweight_elicited_priors([wrong], SURROGATE, NUMBERS, gate=GATE, seed=0)
    assert (found.trust or 0.0) > 10.0 * (alone.trust or 0.0)


def test_a_later_wrong_answer_does_not_spoil_a_right_one() -> None:
    right, wrong = ElicitedPrior(prior_at(0.3)), ElicitedPrior(prior_at(0.9), frozenset(range(4)), trial_number=4)
    found = reweight_elicited_priors([right, wrong], SURROGATE, NUMBERS, gate=GATE, seed=0)
    assert found.region_weights[1] < 0.25  # of 0.45, on twelve trials
    assert found.region_weights[0] > 3.0 * found.region_weights[1]


def test_no_opinion_at_first() -> None:
    beliefs = [ElicitedPrior(UniformPrior(SPACE)), ElicitedPrior(prior_at(0.3), frozenset(range(8)), trial_number=8)]
    found = reweight_elicited_priors(beliefs, SURROGATE, NUMBERS, gate=GATE, seed=0)
    assert len(found.region_weights) == len(found.bayes_factors) == 1
    none = reweight_elicited_priors([ElicitedPrior(UniformPrior(SPACE))], SURROGATE, NUMBERS, gate=GATE, seed=0)
    assert none.prior.is_uniform
