from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import pytest
import torch
from botorch.models.model import Model
from optuna.distributions import CategoricalDistribution, FloatDistribution
from torch import Tensor

from benchmarks.harness.dynabo import AcceptanceTest, DecayFromArrival
from llm_prior_bo import MixturePrior, OptimumPrior, SearchSpace, TrustGate, UniformPrior
from llm_prior_bo.errors import ConfigurationError, PriorError
from llm_prior_bo.models.surrogate import Surrogate
from llm_prior_bo.optimization.trust import Evidence
from llm_prior_bo.priors import CategoricalMarginal, RegionPrior, SplitNormalMarginal

SPACE = SearchSpace({"x": FloatDistribution(0.0, 1.0)})
NOTHING = UniformPrior(SPACE)
CHOICES = SearchSpace({"c": CategoricalDistribution(["a", "b", "c"])})


@dataclass
class Moments:
    mean: Tensor
    variance: Tensor


@dataclass
class Given:
    """A model whose posterior moments are given functions of the first column."""

    mean: Callable[[Tensor], Tensor]
    deviation: Callable[[Tensor], Tensor]

    def posterior(self, X: Tensor) -> Moments:
        return Moments(self.mean(X[:, :1]), self.deviation(X[:, :1]) ** 2)


def surrogate(
    incumbent: float,
    *,
    mean: Callable[[Tensor], Tensor] = lambda x: x,
    deviation: Callable[[Tensor], Tensor] = torch.zeros_like,
    n_objectives: int = 1,
) -> Surrogate:
    """Two trials; the second one is the incumbent."""
    X = torch.tensor([[0.0], [incumbent]], dtype=torch.float64)
    Y = torch.tensor([[-1.0], [1.0]], dtype=torch.float64).repeat(1, n_objectives)
    model = cast(Model, Given(mean, deviation))
    return Surrogate(model=model, X=X, Y=Y, constraints=torch.zeros(2, 0, dtype=torch.float64))


def prior_at(*modes: float, scale: float = 1e-6) -> MixturePrior:
    column = SPACE.column("x")
    regions = [RegionPrior(SPACE, {"x": SplitNormalMarginal(column, mode, scale, scale)}) for mode in modes]
    return MixturePrior(SPACE, regions, [0.9] * len(modes), 0.1)


def decided(gate: AcceptanceTest, model: Surrogate) -> Evidence:
    """What the gate says when the sampler, which has no prior, asks."""
    return gate.reweight(UniformPrior(SPACE), model)


def difference(gate: AcceptanceTest, model: Surrogate) -> float:
    decided(gate, model)
    assert gate.difference is not None
    return gate.difference


def test_is_a_trust_gate() -> None:
    assert isinstance(AcceptanceTest(prior_at(0.5), 0), TrustGate)


class TestDecision:
    @pytest.mark.parametrize(
        ("prior", "incumbent", "accepted"),
        [(0.9, 0.2, True), (0.2, 0.9, False), (0.5, 0.6, True), (0.5, 0.7, False)],
    )
    def test_larger_values_are_better_and_a_little_worse_passes(
        self, prior: float, incumbent: float, accepted: bool
    ) -> None:
        gate = AcceptanceTest(prior_at(prior), 0)
        decided(gate, surrogate(incumbent))
        assert gate.accepted is accepted
        assert gate.difference == pytest.approx(prior - incumbent, abs=1e-5)

    def test_uncertain_places_count_as_promising(self) -> None:
        # The mean is 0.2 worse, the standard deviation 0.25 larger; b = 2 log(1 * 2²) with one column and two trials.
        model = surrogate(0.7, deviation=lambda x: torch.where(x < 0.6, 0.25, 0.0))
        expected = -0.2 + math.sqrt(2.0 * math.log(4.0)) * 0.25
        assert difference(AcceptanceTest(prior_at(0.5), 0), model) == pytest.approx(expected, abs=1e-5)

    def test_the_density_round_the_incumbent_is_as_wide_as_the_prior(self) -> None:
        # E|x - 0.5| of a normal with scale s is s * sqrt(2 / pi), on both sides of the comparison.
        model = surrogate(0.5, mean=lambda x: (x - 0.5).abs())
        gate = AcceptanceTest(prior_at(0.5, scale=0.05), 0, n_draws=20_000)
        assert difference(gate, model) == pytest.approx(0.0, abs=2e-3)

    def test_all_regions_are_moved_to_the_incumbent(self) -> None:
        gate = AcceptanceTest(prior_at(0.2, 0.8), 0, n_draws=2_000)
        assert difference(gate, surrogate(0.4)) == pytest.approx(0.5 - 0.4, abs=0.03)

    def test_uniform_part_is_not_drawn_from(self) -> None:
        gate = AcceptanceTest(prior_at(0.9).with_weights([0.1], 0.9), 0)
        assert difference(gate, surrogate(0.2)) == pytest.approx(0.7, abs=1e-5)

    def test_the_incumbents_choice_takes_the_favourites_probability(self) -> None:
        marginal = CategoricalMarginal(CHOICES.column("c"), (0.7, 0.2, 0.1))
        prior = MixturePrior(CHOICES, [RegionPrior(CHOICES, {"c": marginal})], [1.0], 0.05)
        model = surrogate(2.0, mean=lambda x: (x == 2.0).double())
        gate = AcceptanceTest(prior, 0, n_draws=20_000)
        assert difference(gate, model) == pytest.approx(0.1 - 0.7, abs=0.02)

    def test_threshold_is_an_argument(self) -> None:
        gate = AcceptanceTest(prior_at(0.5), 0, threshold=-0.25)
        assert decided(gate, surrogate(0.7)).trust == 1.0


class TestEvidence:
    def test_of_an_accepted_prior_is_that_prior(self) -> None:
        prior = prior_at(0.2, 0.8).with_weights([0.6, 0.3], 0.1)
        evidence = decided(AcceptanceTest(prior, 0), surrogate(0.1))
        assert evidence.prior is prior
        assert evidence.trust == 1.0
        assert evidence.region_weights == pytest.approx((2 / 3, 1 / 3))

    def test_of_a_dropped_prior_is_no_opinion(self) -> None:
        evidence = decided(AcceptanceTest(prior_at(0.1, 0.2), 0), surrogate(0.9))
        assert isinstance(evidence.prior, UniformPrior)
        assert evidence.prior.space == SPACE
        assert evidence.details() == {"trust": 0.0, "region_weights": [0.0, 0.0], "bayes_factors": []}

    @pytest.mark.parametrize(
        "none", [NOTHING, MixturePrior(SPACE, (), (), 1.0), prior_at(0.5).with_weights([0.0], 1.0)]
    )
    def test_without_an_opinion_nothing_is_decided(self, none: OptimumPrior) -> None:
        gate = AcceptanceTest(none, 0)
        evidence = gate.reweight(prior_at(0.5), surrogate(0.9))
        assert evidence.prior is none
        assert evidence.trust is None
        assert evidence.details() == {}
        assert gate.accepted is gate.difference is None

    def test_the_samplers_prior_is_not_looked_at(self) -> None:
        injected = prior_at(0.9)
        gate = AcceptanceTest(injected, 0)
        assert gate.reweight(prior_at(0.1), surrogate(0.5)).prior is injected


class TestMemory:
    @pytest.mark.parametrize(("first", "trust"), [(0.9, 0.0), (0.1, 1.0)])
    def test_the_first_decision_stays(self, first: float, trust: float) -> None:
        gate = AcceptanceTest(prior_at(0.5), 0)
        assert decided(gate, surrogate(first)).trust == trust
        assert decided(gate, surrogate(1.0 - first)).trust == trust
        assert gate.difference == pytest.approx(0.5 - first, abs=1e-5)

    def test_same_seed_same_draws(self) -> None:
        wide = prior_at(0.5, scale=0.2)
        first, second, other = (difference(AcceptanceTest(wide, seed), surrogate(0.5)) for seed in (1, 1, 2))
        assert first == second != other

    def test_the_samplers_seed_changes_nothing(self) -> None:
        gates = [AcceptanceTest(prior_at(0.5, scale=0.2), 1) for _ in range(2)]
        for seed, gate in enumerate(gates):
            gate.reweight(NOTHING, surrogate(0.5), reference=surrogate(0.1), seed=seed)
        assert gates[0].difference == gates[1].difference


class TestRefusals:
    def test_several_objectives(self) -> None:
        with pytest.raises(ConfigurationError, match="Expected one objective, got 2"):
            decided(AcceptanceTest(prior_at(0.5), 0), surrogate(0.5, n_objectives=2))

    def test_other_densities(self) -> None:
        with pytest.raises(PriorError, match="Expected a MixturePrior or a UniformPrior, got str"):
            AcceptanceTest(cast(OptimumPrior, "prior"), 0)

    def test_no_draws(self) -> None:
        with pytest.raises(ConfigurationError, match="n_draws=0"):
            AcceptanceTest(prior_at(0.5), 0, n_draws=0)


class TestDecay:
    @pytest.mark.parametrize(
        ("n", "exponent"), [(10, 10.0), (11, 10.0 / 4), (12, 10.0 / 9), (19, 10.0 / 100), (0, 10.0)]
    )
    def test_counts_from_the_priors_arrival(self, n: int, exponent: float) -> None:
        assert DecayFromArrival(10)(n) == pytest.approx(exponent)

    def test_other_powers(self) -> None:
        assert DecayFromArrival(5, beta=3.0, power=1.0)(6) == pytest.approx(1.5)

    def test_refuses_what_is_out_of_range(self) -> None:
        with pytest.raises(ConfigurationError, match="Expected n_arrival >= 0, got -1"):
            DecayFromArrival(-1)
        with pytest.raises(ConfigurationError, match="beta"):
            DecayFromArrival(10, beta=-1.0)
