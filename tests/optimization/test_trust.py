"""What the evidence leaves of a prior: Bayes factors on problems whose answer is known."""

from __future__ import annotations

import copy
import json
import math
import pickle
import warnings
from dataclasses import FrozenInstanceError, dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from botorch.models.deterministic import GenericDeterministicModel
from botorch.models.model import Model
from botorch.models.model_list_gp_regression import ModelListGP
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from llm_prior_bo._isolation import isolated_torch
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.optimum_posterior import OptimumPosterior
from llm_prior_bo.models.surrogate import Surrogate, fit_surrogate
from llm_prior_bo.optimization.trust import Evidence, EvidenceTrust, TrustGate
from llm_prior_bo.priors import MixturePrior, OptimumPrior, TemperedMixture, UniformPrior
from llm_prior_bo.space import SearchSpace
from tests.gps import gp, matern
from tests.priors.cases import MIXED, PLANE, UNIT, mixed, random_priors, region, seeded, single
from tests.randomness import random_state_stays

DOUBLE = torch.float64
OPTIMUM = (0.7, 0.3)
GATE = EvidenceTrust(n_draws=256, n_candidates=512, temperature=1.0, resolution=0.1, density_cap=20.0)
"""Whatever the defaults are."""


def standardized(y: Tensor) -> Tensor:
    return (y - y.mean()) / y.std()


def everywhere(n: int = 25, seed: int = 0) -> Tensor:
    """Points all over the plane."""
    return UniformPrior(PLANE).stratified_sample(n, generator=seeded(seed))


def bowl(X: Tensor, at: tuple[float, float] = OPTIMUM) -> Tensor:
    return -(X - torch.tensor(at, dtype=DOUBLE)).square().sum(dim=-1)


def model_of(at: tuple[float, float] = OPTIMUM, *, n: int = 25, seed: int = 0) -> Model:
    """A model that has seen a quadratic function all over the plane."""
    X = everywhere(n, seed)
    return gp(X, standardized(bowl(X, at)), lengthscale=0.4)


def ignorant() -> Model:
    """A model whose one observation is lost in noise."""
    return gp(everywhere(1), torch.ones(1, dtype=DOUBLE), noise=1e10)


def around(
    *places: tuple[float, float], scale: float = 0.08, weights: tuple[float, ...] = (), floor: float = 0.1
) -> MixturePrior:
    """A prior with one region around each place."""
    regions = [region(PLANE, {"x": (x, scale, scale), "y": (y, scale, scale)}) for x, y in places]
    return MixturePrior(PLANE, regions, weights or [1.0] * len(regions), floor)


def factors(prior: OptimumPrior, model: Model, gate: EvidenceTrust = GATE, **options: Any) -> tuple[float, ...]:
    return gate.reweight_model(prior, model, **options).bayes_factors


def surrogate_of(X: Tensor, Y: Tensor, constraints: Tensor | None = None, space: SearchSpace = PLANE) -> Surrogate:
    data = TrainingData(
        X=X,
        Y=Y.reshape(len(X), -1),
        constraints=X[:, :0] if constraints is None else constraints.reshape(len(X), -1),
        pending=X[:0],
    )
    with isolated_torch():
        return fit_surrogate(data, space)


class TestOneRegion:
    @pytest.mark.parametrize("seed", range(3))
    def test_in_the_right_place(self, seed: int) -> None:
        evidence = GATE.reweight_model(around(OPTIMUM), model_of(seed=seed), seed=seed)
        assert evidence.bayes_factors[0] > 5.0
        assert evidence.trust is not None
        assert evidence.trust > 0.98

    @pytest.mark.parametrize("place", [(0.2, 0.8), (0.0, 1.0), (0.2, 0.3), (0.7, 0.9)])
    @pytest.mark.parametrize("seed", range(2))
    def test_in_the_wrong_place(self, place: tuple[float, float], seed: int) -> None:
        evidence = GATE.reweight_model(around(place), model_of(seed=seed), seed=seed)
        assert evidence.bayes_factors[0] < 0.03
        assert evidence.trust is not None
        assert evidence.trust < 0.1

    @pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99])
    def test_weights_are_prior_weights_times_factors(self, confidence: float) -> None:
        prior = around(OPTIMUM, weights=(confidence,), floor=1.0 - confidence)
        evidence = GATE.reweight_model(prior, model_of())
        (factor,) = evidence.bayes_factors
        odds = confidence * factor / (1.0 - confidence)
        assert evidence.trust == pytest.approx(odds / (1.0 + odds), rel=1e-12)
        assert evidence.region_weights == pytest.approx((evidence.trust,))
        assert isinstance(evidence.prior, MixturePrior)
        assert evidence.prior.weights.tolist() == pytest.approx(list(evidence.region_weights))
        assert evidence.prior.uniform_weight == pytest.approx(1.0 - sum(evidence.region_weights))
        assert evidence.prior.regions == prior.regions  # as they were, not widened

    def test_factor_is_the_ratio_of_expected_densities(self) -> None:
        """By brute force in one dimension: draws on a grid, from the textbook's posterior and from the kernel prior."""
        X = torch.tensor([[0.1], [0.4], [0.8]], dtype=DOUBLE)
        y = torch.tensor([0.3, 0.6, -0.9], dtype=DOUBLE)
        prior = single(UNIT, (0.45, 0.12, 0.2), (0.9, 0.2, 0.2))
        grid = torch.linspace(0.0, 1.0, 501, dtype=DOUBLE).unsqueeze(-1)
        nugget = 1e-8 * torch.eye(501, dtype=DOUBLE)
        gain = torch.linalg.solve(matern(X, X) + 0.01 * torch.eye(3, dtype=DOUBLE), matern(X, grid)).T
        covariance = matern(grid, grid)
        density = prior.component_log_prob(grid).exp()
        expected = []
        for mean, cov in ((gain @ y, covariance - gain @ matern(X, grid)), (torch.zeros(501).double(), covariance)):
            root = torch.linalg.cholesky(cov + nugget)
            draws = mean.unsqueeze(-1) + root @ torch.randn(501, 20_000, generator=seeded(3), dtype=DOUBLE)
            expected.append(density[draws.argmax(dim=0)].mean(dim=0))
        gate = EvidenceTrust(n_draws=4000, n_candidates=400, resolution=0.0, density_cap=math.inf)
        observed = factors(prior, gp(X, y, noise=0.01), gate)
        # Densities are at most 4 and average 1, so that 4000 draws leave a standard error of some 2 % in each mean.
        assert observed == pytest.approx((expected[0] / expected[1]).tolist(), rel=0.1)

    @pytest.mark.parametrize("scale", [1e-3, 1e-6])
    @pytest.mark.parametrize("seed", range(3))
    def test_narrow_at_the_optimum_is_not_distrusted(self, scale: float, seed: int) -> None:
        prior, model = around(OPTIMUM, scale=scale), model_of(seed=seed)
        assert factors(prior, model, seed=seed)[0] > 3.0
        # A little off, by much more than its own width, but not by more than the model can tell.
        assert factors(around((0.66, 0.34), scale=scale), model, seed=seed)[0] > 2.0

    def test_however_narrow_the_factor_is_that_of_the_resolution(self) -> None:
        model = model_of()
        wide = factors(around(OPTIMUM, scale=0.1), model)
        assert factors(around(OPTIMUM, scale=1e-3), model) == wide
        assert factors(around(OPTIMUM, scale=1e-3), model, replace(GATE, resolution=0.3)) != wide

    def test_the_kernel_priors_love_of_edges_is_no_evidence(self) -> None:
        """Nothing is known, the region is in the middle: only the uniform baseline holds that against it."""
        prior = around((0.5, 0.5), scale=0.15)
        assert factors(prior, ignorant()) == (1.0,)
        assert factors(prior, ignorant(), replace(GATE, baseline="uniform"))[0] < 0.85

    @pytest.mark.parametrize("temperature", [0.5, 2.0, 10.0, math.inf])
    @pytest.mark.parametrize("place", [OPTIMUM, (0.4, 0.5)])
    def test_temperature_is_a_root_of_the_factor(self, temperature: float, place: tuple[float, float]) -> None:
        prior, model = around(place), model_of()
        (factor,) = factors(prior, model)
        assert factors(prior, model, replace(GATE, temperature=temperature)) == pytest.approx(
            (factor ** (1.0 / temperature),)
        )

    @pytest.mark.parametrize("temperature", [1e-3, 1e-300])
    @pytest.mark.parametrize("floor", [0.0, 0.1])
    def test_temperatures_near_zero_decide(self, temperature: float, floor: float) -> None:
        gate = replace(GATE, temperature=temperature, initial_trust=1.0 - floor)
        for place, decision in ((OPTIMUM, 1.0), ((0.2, 0.8), 0.0 if floor else 1.0)):
            for prior in (around(place, floor=floor), Hill(at=place)):
                evidence = gate.reweight_model(prior, model_of())
                assert all(math.isfinite(factor) and factor > 0.0 for factor in evidence.bayes_factors)
                assert evidence.trust == pytest.approx(decision)

    @pytest.mark.parametrize("cap", [0.5, 20.0, math.inf])
    def test_densities_are_cut_at_the_cap(self, cap: float) -> None:
        """By hand, in six dimensions, where one draw at the mode would count for hundreds elsewhere."""
        space = SearchSpace({f"x{j}": UNIT for j in range(6)})
        prior = MixturePrior(space, [region(space, {name: (0.5, 0.1, 0.1) for name in space.names})], [0.9], 0.1)
        X = torch.tensor([[0.5] * 6, [0.4] * 6, [0.25] * 6], dtype=DOUBLE)
        after, before = (torch.tensor(p, dtype=DOUBLE) for p in ([0.1, 0.2, 0.7], [0.01, 0.02, 0.97]))
        gate = replace(GATE, density_cap=cap, n_draws=1000)
        exact = prior.component_log_prob(X).exp().squeeze(-1)
        assert exact[0] > 1000.0
        smooth = exact / (1.0 + exact / cap)
        expected = float((after @ smooth + 1e-6) / (before @ smooth + 1e-6))
        observed = gate._bayes_factors(gate._regions(prior), OptimumPosterior(X, after, before))
        assert observed.tolist() == pytest.approx([expected], rel=1e-9)

    def test_where_nobody_ever_was_there_is_no_evidence(self) -> None:
        prior = around((0.9, 0.9), scale=0.1)
        X = torch.tensor([[0.0, 0.0], [0.1, 0.0]], dtype=DOUBLE)
        nowhere = OptimumPosterior(X, torch.tensor([0.9, 0.1], dtype=DOUBLE), torch.tensor([0.2, 0.8], dtype=DOUBLE))
        assert GATE._bayes_factors(GATE._regions(prior), nowhere).tolist() == pytest.approx([1.0], abs=1e-6)


class TestSeveralRegions:
    PLACES = ((0.2, 0.8), OPTIMUM, (0.1, 0.1))

    @pytest.mark.parametrize("seed", range(3))
    def test_the_wrong_ones_fade(self, seed: int) -> None:
        prior = around(*self.PLACES, weights=(0.5, 0.1, 0.1), floor=0.3)
        evidence = GATE.reweight_model(prior, model_of(seed=seed), seed=seed)
        first, right, last = evidence.region_weights
        assert max(first, last) < 0.02
        assert right > 0.6
        assert evidence.trust == pytest.approx(first + right + last)

    def test_weights_are_prior_weights_times_factors(self) -> None:
        prior = around(*self.PLACES, weights=(0.2, 0.3, 0.1), floor=0.4)
        X = everywhere(6)
        evidence = GATE.reweight_model(prior, gp(X, standardized(bowl(X)), noise=0.2))
        assert len({round(factor, 3) for factor in evidence.bayes_factors}) == 3
        products = [w * b for w, b in zip((0.2, 0.3, 0.1), evidence.bayes_factors, strict=True)]
        total = sum(products) + 0.4
        assert evidence.region_weights == pytest.approx([product / total for product in products])
        assert isinstance(evidence.prior, MixturePrior)
        assert evidence.prior.uniform_weight == pytest.approx(0.4 / total)

    def test_factors_do_not_depend_on_weights(self) -> None:
        model = model_of()
        first, second = (factors(around(*self.PLACES, weights=w), model) for w in ((1, 1, 1), (0.0, 5.0, 0.1)))
        assert first == second

    def test_a_region_without_opinion_is_neither_right_nor_wrong(self) -> None:
        prior = MixturePrior(PLANE, [region(PLANE, {}), around(OPTIMUM).regions[0]], [0.4, 0.4], 0.2)
        silent, right = factors(prior, model_of())
        assert silent == pytest.approx(1.0)
        assert right > 5.0

    def test_of_one_column_only(self) -> None:
        prior = MixturePrior(
            PLANE, [region(PLANE, {"x": (0.7, 0.05, 0.05)}), region(PLANE, {"x": (0.2, 0.05, 0.05)})], [0.4, 0.4], 0.2
        )
        right, wrong = factors(prior, model_of())
        assert right > 2.0
        assert wrong < 0.01


class TestNoEvidence:
    PRIOR = around((0.2, 0.8), OPTIMUM, weights=(0.3, 0.5), floor=0.2)

    def test_a_model_that_has_learned_nothing(self) -> None:
        evidence = GATE.reweight_model(self.PRIOR, ignorant())
        assert evidence.bayes_factors == pytest.approx((1.0, 1.0), abs=1e-6)
        assert evidence.region_weights == pytest.approx((0.3, 0.5), abs=1e-6)

    def test_a_reference_that_knew_it_all(self) -> None:
        assert factors(self.PRIOR, model_of(), reference=model_of()) == (1.0, 1.0)

    def test_only_what_came_after_the_reference_counts(self) -> None:
        X = everywhere(30)
        surrogate = surrogate_of(X, bowl(X))
        none = GATE.reweight(self.PRIOR, surrogate)
        some = GATE.reweight(self.PRIOR, surrogate, reference=surrogate.condition_on_subset(range(4)))
        most = GATE.reweight(self.PRIOR, surrogate, reference=surrogate.condition_on_subset(range(29)))
        everything = GATE.reweight(self.PRIOR, surrogate, reference=surrogate.condition_on_subset(range(30)))
        assert everything.bayes_factors == (1.0, 1.0)
        assert most.bayes_factors[1] == pytest.approx(1.0, abs=0.5)
        assert none.bayes_factors[1] > some.bayes_factors[1] > most.bayes_factors[1]
        assert none.bayes_factors[0] < 0.05

    def test_random_data_do_not_decide(self) -> None:
        """Values that have nothing to do with the place: on average over many data sets, odds stay what they were."""
        log_factors = []
        for seed in range(30):
            X = everywhere(8, seed)
            # The model's own prior, so that its posterior is calibrated.
            covariance = matern(X, X) + 1e-4 * torch.eye(8, dtype=DOUBLE)
            y = torch.linalg.cholesky(covariance) @ torch.randn(8, generator=seeded(seed), dtype=DOUBLE)
            log_factors.append(factors(around((0.5, 0.5), scale=0.15), gp(X, y), seed=seed)[0])
        # E[B_k] = 1 under the kernel prior: the expectation of a posterior probability is the prior one.
        mean, error = float(np.mean(log_factors)), float(np.std(log_factors)) / math.sqrt(30)
        assert abs(mean - 1.0) < 4.0 * error


def two_peaks(X: Tensor) -> Tensor:
    """A broad hill of height 0.5 at (0.2, 0.8), and a narrower one of height 1 at the optimum."""
    hill = torch.exp(bowl(X, (0.2, 0.8)) / (2 * 0.3**2))
    peak = torch.exp(bowl(X) / (2 * 0.12**2))
    return 0.5 * hill + peak


class TestNoMemory:
    def test_a_region_comes_back_when_later_data_support_it(self) -> None:
        gate, prior = copy.deepcopy(GATE), around(OPTIMUM)
        early = everywhere(25)
        early = early[(early - torch.tensor(OPTIMUM)).norm(dim=-1) > 0.25]  # all round the peak, none of it
        late = torch.cat([early, torch.tensor([[0.72, 0.31], [0.68, 0.27], [0.75, 0.25]], dtype=DOUBLE)])
        models = [gp(X, 2.0 * two_peaks(X) - 1.0, lengthscale=0.8) for X in (early, late)]
        trusts = [gate.reweight_model(prior, model).trust or 0.0 for model in (*models, *models)]
        assert trusts[0] < 0.2
        assert trusts[1] > 0.95
        assert trusts[2:] == trusts[:2]
        assert gate == GATE

    def test_the_prior_is_left_alone(self) -> None:
        prior = around((0.2, 0.8))
        weights, X = prior.weights, everywhere()
        before = prior.log_prob(X)
        GATE.reweight_model(prior, model_of())
        assert torch.equal(prior.weights, weights)
        assert torch.equal(prior.log_prob(X), before)


class TestSeveralOutputs:
    def test_the_front_of_two_objectives(self) -> None:
        """Two goals at the ends of a segment: all of it is optimal, nothing else is."""
        X = everywhere(30)
        goals = ((0.5, 0.3), (0.9, 0.3))
        model = ModelListGP(*[gp(X, standardized(bowl(X, goal)), lengthscale=0.5) for goal in goals])
        middle, end, off, far = factors(around((0.7, 0.3), (0.9, 0.3), (0.7, 0.8), (0.1, 0.9)), model)
        assert min(middle, end) > 2.0
        assert max(off, far) < 0.05

    def test_a_constraint_moves_the_optimum(self) -> None:
        X = everywhere(30)
        model = ModelListGP(
            gp(X, standardized(X[:, 0] - 0.1 * (X[:, 1] - 0.5).square()), lengthscale=0.7),
            gp(X, X[:, 0] - 0.5, lengthscale=0.7, noise=1e-6),
        )
        prior = around((0.46, 0.5), (0.95, 0.5), (0.05, 0.5))
        at_the_border, beyond, inside = factors(prior, model, n_constraints=1)
        assert at_the_border > 1.5
        assert max(beyond, inside) < 0.05
        free = factors(prior, ModelListGP(*model.models[:1]))
        assert free[0] < 0.05 < 1.0 < free[1]

    def test_a_surrogate_says_which_outputs_are_constraints(self) -> None:
        X = everywhere(30)
        surrogate = surrogate_of(X, X[:, 0], X[:, 0] - 0.5)
        at_the_border, beyond = GATE.reweight(around((0.46, 0.5), (0.95, 0.5), scale=0.1), surrogate).bayes_factors
        assert at_the_border > 1.5
        assert beyond < 0.05

    def test_two_objectives_of_a_surrogate(self) -> None:
        X = everywhere(30)
        surrogate = surrogate_of(X, torch.stack([bowl(X, (0.5, 0.3)), bowl(X, (0.9, 0.3))], dim=-1))
        between, off = GATE.reweight(around((0.7, 0.3), (0.1, 0.9)), surrogate).bayes_factors
        assert between > 1.5
        assert off < 0.1

    @pytest.mark.parametrize("n_constraints", [1, -1])
    def test_there_must_be_an_objective(self, n_constraints: int) -> None:
        with pytest.raises(ConfigurationError, match="fewer constraints than outputs"):
            GATE.reweight_model(around(OPTIMUM), model_of(), n_constraints=n_constraints)


class TestMixedSpaces:
    def test_the_right_choice_gains(self) -> None:
        X = UniformPrior(MIXED).stratified_sample(40, generator=seeded())
        good = (X[:, 2] == 1.0).double()
        surrogate = surrogate_of(X, good - (X[:, 0] - 0.3).square() + 0.1 * X[:, 1], space=MIXED)
        regions = [region(MIXED, {"act": table}) for table in ((0.05, 0.9, 0.05), (0.9, 0.05, 0.05))]
        right, wrong = GATE.reweight(MixturePrior(MIXED, regions, [0.4, 0.4], 0.2), surrogate).bayes_factors
        # Nearly all of p_n at the right choice, a third of p_0: the gate's resolution spreads a tenth over all choices.
        assert right == pytest.approx(3 * (0.9 * 0.9 + 0.1 / 3), rel=0.2)
        assert wrong == pytest.approx(3 * (0.9 * 0.05 + 0.1 / 3), rel=0.3)

    @settings(max_examples=40)
    @given(prior=random_priors(max_size=3), seed=st.integers(0, 2**32 - 1), n=st.integers(1, 6))
    def test_any_prior_over_any_space(self, prior: MixturePrior, seed: int, n: int) -> None:
        gate = EvidenceTrust(n_draws=16, n_candidates=24)
        space, generator = prior.space, seeded(seed)
        X = UniformPrior(space).sample(n, generator=generator)
        model = gp(X, torch.randn(n, generator=generator, dtype=DOUBLE), noise=0.01)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            evidence = gate.reweight_model(prior, model, incumbents=X[:2], seed=seed)
        if prior.is_uniform:
            assert evidence.prior is prior
            assert evidence.trust is None
            return
        assert len(evidence.bayes_factors) == len(evidence.region_weights) == len(prior.regions)
        assert all(math.isfinite(factor) and factor > 0.0 for factor in evidence.bayes_factors)
        assert evidence.trust == pytest.approx(sum(evidence.region_weights))
        candidates = gate._candidates(gate._regions(prior), space, X[:2], generator)
        assert candidates.shape == (24, len(space))
        assert np.array_equal(candidates.numpy(), space.snap(candidates.numpy()))


@dataclass
class Hill(OptimumPrior):
    """A density of the user's own, over the unit square unless told otherwise."""

    at: tuple[float, ...] = OPTIMUM
    asked: list[Tensor] = field(default_factory=list)

    @property
    def dim(self) -> int:
        return len(self.at)

    @property
    def log_range(self) -> float:
        return 100.0

    def log_prob(self, X: Any) -> Tensor:
        X = torch.as_tensor(X, dtype=DOUBLE)
        self.asked.append(X)
        values: Tensor = 2.0 - 50.0 * (X - torch.tensor(self.at, dtype=DOUBLE)).square().sum(dim=-1)
        return values

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        noise = torch.randn(n, self.dim, generator=generator, dtype=DOUBLE)
        return (torch.tensor(self.at, dtype=DOUBLE) + 0.1 * noise).clamp(0.0, 1.0)

    def mode(self) -> Tensor:
        return torch.tensor(self.at, dtype=DOUBLE)


class TestPriorsOfOnesOwn:
    @pytest.mark.parametrize("initial_trust", [0.0, 0.5, 0.9, 1.0])
    def test_are_discounted(self, initial_trust: float) -> None:
        prior = Hill()
        gate = replace(GATE, initial_trust=initial_trust)
        evidence = gate.reweight_model(prior, model_of())
        (factor,) = evidence.bayes_factors
        assert factor > 3.0
        odds = initial_trust * factor
        assert evidence.trust == pytest.approx(odds / (odds + 1.0 - initial_trust))
        assert evidence.region_weights == (evidence.trust,)
        assert isinstance(evidence.prior, TemperedMixture)
        assert evidence.prior.prior is prior
        assert evidence.prior.trust == evidence.trust

    def test_in_the_wrong_place_they_fade(self) -> None:
        evidence = GATE.reweight_model(Hill(at=(0.2, 0.8)), model_of())
        assert evidence.trust is not None
        assert evidence.trust < 0.1
        X = everywhere()
        assert evidence.prior.log_prob(X).abs().max() < 0.5

    def test_without_a_space_they_are_over_the_unit_cube(self) -> None:
        evidence = GATE.reweight_model(Hill(), model_of())
        assert isinstance(evidence.prior, TemperedMixture)
        assert len(evidence.prior.space) == 2

    def test_over_a_space_they_meet_legal_points_only(self) -> None:
        prior = Hill(at=(0.7, 0.3, 1.0))
        X = UniformPrior(MIXED).sample(10, generator=seeded())
        model = gp(X, X[:, 0])
        evidence = GATE.reweight_model(prior, model, space=MIXED, incumbents=X[:3])
        assert isinstance(evidence.prior, TemperedMixture)
        assert evidence.prior.space == MIXED
        (candidates,) = prior.asked
        others = torch.cat([candidates[:256], candidates[384:]]).numpy()  # all but the prior's own draws
        assert np.array_equal(others, MIXED.snap(others))
        assert set(others[:, 2]) == {0.0, 1.0, 2.0}

    def test_a_discounted_prior_is_one_too(self) -> None:
        prior = TemperedMixture(mixed(), 0.5, uniform=UniformPrior(MIXED))
        X = UniformPrior(MIXED).sample(10, generator=seeded())
        evidence = GATE.reweight_model(prior, gp(X, X[:, 0]))
        assert isinstance(evidence.prior, TemperedMixture)
        assert evidence.prior.space == MIXED


class TestNothingToWeigh:
    @pytest.mark.parametrize("prior", [UniformPrior(MIXED), MixturePrior(MIXED, [], [], 1.0)], ids=["uniform", "empty"])
    def test_comes_back_untouched(self, prior: OptimumPrior) -> None:
        def refuse(X: Tensor) -> Tensor:  # noqa: ARG001
            raise AssertionError("nobody need ask the model")

        evidence = GATE.reweight_model(prior, GenericDeterministicModel(refuse))
        assert evidence.prior is prior
        assert evidence.trust is None
        assert evidence.region_weights == evidence.bayes_factors == ()
        assert evidence.details() == {}

    @pytest.mark.parametrize("n", [1, 6])
    def test_while_all_trials_came_out_alike(self, n: int) -> None:
        X, prior = everywhere(n), around(OPTIMUM)
        evidence = GATE.reweight(prior, surrogate_of(X, torch.full((n,), 3.0, dtype=DOUBLE)))
        assert evidence.prior is prior
        assert (evidence.trust, evidence.trust_ratio) == (None, 1.0)

    def test_constraints_are_evidence_even_then(self) -> None:
        X = everywhere(30)
        surrogate = surrogate_of(X, torch.zeros(30, dtype=DOUBLE), X[:, 0] - 0.5)
        allowed, forbidden = GATE.reweight(around((0.2, 0.5), (0.85, 0.5)), surrogate).bayes_factors
        assert allowed > 1.0
        assert forbidden < 0.1


class TestEvidence:
    @pytest.mark.parametrize("floor", [0.0, 0.1, 0.9])
    def test_share_kept(self, floor: float) -> None:
        """Of the trust before the evidence: all of it in the right place, nearly nothing in the wrong one."""
        gate = replace(GATE, initial_trust=1.0 - floor)
        for prior in (around(OPTIMUM, weights=(1.0 - floor,), floor=floor), Hill()):
            assert gate.reweight_model(prior, model_of()).trust_ratio == 1.0
        for prior in (around((0.2, 0.8), weights=(1.0 - floor,), floor=floor), Hill(at=(0.2, 0.8))):
            evidence = gate.reweight_model(prior, model_of())
            assert evidence.trust_ratio == pytest.approx((evidence.trust or 0.0) / (1.0 - floor))
            assert evidence.trust_ratio < 0.1 or floor == 0.0

    def test_of_no_trust_all_is_kept(self) -> None:
        nothing = around(OPTIMUM, weights=(0.0,), floor=1.0)
        for gate, prior in ((GATE, nothing), (replace(GATE, initial_trust=0.0), Hill())):
            evidence = gate.reweight_model(prior, model_of())
            assert (evidence.trust or 0.0, evidence.trust_ratio) == (0.0, 1.0)
        assert Evidence(UniformPrior(MIXED)).trust_ratio == 1.0

    def test_details_are_for_json(self) -> None:
        evidence = GATE.reweight_model(around(OPTIMUM, (0.2, 0.8)), model_of())
        details = json.loads(json.dumps(evidence.details(), allow_nan=False))
        assert set(details) == {"trust", "region_weights", "bayes_factors"}
        assert details["trust"] == evidence.trust
        assert tuple(details["region_weights"]) == evidence.region_weights
        assert tuple(details["bayes_factors"]) == evidence.bayes_factors

    def test_is_frozen_and_equal_by_its_numbers(self) -> None:
        prior = around(OPTIMUM)
        first, second = (Evidence(prior, 0.5, (0.5,), (1.0,)) for _ in range(2))
        assert first == second
        assert first != Evidence(prior, 0.6, (0.5,), (1.0,))
        with pytest.raises(FrozenInstanceError):
            first.trust = 1.0  # type: ignore[misc]

    def test_survives_pickling(self) -> None:
        evidence = GATE.reweight_model(around(OPTIMUM), model_of())
        other = pickle.loads(pickle.dumps(evidence))
        assert other.details() == evidence.details()


class TestGate:
    def test_is_a_gate(self) -> None:
        assert isinstance(GATE, TrustGate)
        assert not isinstance(0.5, TrustGate)

    @pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda gate: pickle.loads(pickle.dumps(gate))])
    def test_is_a_frozen_value(self, duplicate: Any) -> None:
        gate = EvidenceTrust(n_draws=64, temperature=2.0)
        assert duplicate(gate) == gate == EvidenceTrust(n_draws=64, temperature=2.0)
        assert gate != EvidenceTrust()
        assert hash(gate) == hash(duplicate(gate))
        assert eval(repr(gate)) == gate
        with pytest.raises(FrozenInstanceError):
            gate.n_draws = 1  # type: ignore[misc]

    @pytest.mark.parametrize(
        ("name", "value", "complaint"),
        [
            ("n_draws", 0, "n_draws to be a whole number >= 1, got 0"),
            ("n_draws", 2.5, "n_draws to be a whole number >= 1, got 2.5"),
            ("n_candidates", 7, "n_candidates to be a whole number >= 8, got 7"),
            ("temperature", 0.0, "temperature > 0, got 0.0"),
            ("temperature", math.nan, "temperature > 0, got nan"),
            ("density_cap", -1.0, "density_cap > 0, got -1.0"),
            ("resolution", -0.1, "finite resolution >= 0, got -0.1"),
            ("resolution", math.inf, "finite resolution >= 0, got inf"),
            ("resolution", math.nan, "finite resolution >= 0, got nan"),
            ("initial_trust", 1.1, r"initial_trust in \[0, 1\], got 1.1"),
            ("initial_trust", math.nan, r"initial_trust in \[0, 1\], got nan"),
            ("baseline", "prior", "baseline 'model' or 'uniform', got 'prior'"),
        ],
    )
    def test_refuses(self, name: str, value: Any, complaint: str) -> None:
        with pytest.raises(ConfigurationError, match=complaint):
            replace(GATE, **{name: value})

    def test_a_model_without_a_prior_needs_a_reference(self) -> None:
        def values(X: Tensor) -> Tensor:
            return bowl(X).unsqueeze(-1)

        model = GenericDeterministicModel(values)
        with pytest.raises(ConfigurationError, match="give reference="):
            GATE.reweight_model(around(OPTIMUM), model)
        right, wrong = factors(around(OPTIMUM, (0.2, 0.8)), model, reference=ignorant())
        assert right > 3.0
        assert wrong < 0.01

    def test_the_fewest_draws_and_candidates(self) -> None:
        gate = EvidenceTrust(n_draws=1, n_candidates=8)
        for near in (None, everywhere(5), everywhere(1)):
            evidence = gate.reweight_model(around(OPTIMUM), model_of(), incumbents=near)
            assert len(evidence.region_weights) == 1

    @pytest.mark.parametrize("n_candidates", [8, 9, 10, 11, 513])
    @pytest.mark.parametrize("n_near", [0, 1, 3, 200])
    def test_candidates(self, n_candidates: int, n_near: int) -> None:
        """Half of them uniform, a quarter from the regions, a quarter near the incumbents, those first."""
        gate = EvidenceTrust(n_candidates=n_candidates)
        near, prior = everywhere(n_near, seed=5), around(OPTIMUM, scale=0.01)
        candidates = gate._candidates(gate._regions(prior), PLANE, near if n_near else None, seeded())
        quarter = n_candidates // 4
        assert candidates.shape == (n_candidates, 2)
        n_uniform = n_candidates - quarter * (2 if n_near else 1)
        assert n_uniform >= n_candidates // 2
        uniform = UniformPrior(PLANE).stratified_sample(n_uniform, generator=seeded())
        assert torch.equal(candidates[:n_uniform], uniform)
        if n_near:
            kept = min(n_near, quarter)
            assert torch.equal(candidates[-quarter:][:kept], near[:kept])
        if n_candidates > 100:
            inside = candidates[n_uniform : n_uniform + quarter]
            assert (inside - torch.tensor(OPTIMUM)).norm(dim=-1).median() < 0.2
        if n_near == 3 and n_candidates > 100:
            distances = torch.cdist(candidates[-quarter:], near).min(dim=-1).values
            assert distances[3:].min() > 0.0
            assert distances.median() < 0.1
            assert distances.max() < 0.6

    def test_randomness_is_an_argument(self) -> None:
        with random_state_stays():
            X = everywhere(5)
            model, prior = gp(X, standardized(bowl(X)), noise=0.1), around((0.5, 0.5))
            first, second, other = (GATE.reweight_model(prior, model, seed=seed) for seed in (1, 1, 2))
            assert first.details() == second.details()
            assert first.details() != other.details()

    def test_weighs_what_it_is_shown_of_a_study(self) -> None:
        X = everywhere(25)
        surrogate, prior = surrogate_of(X, bowl(X)), around(OPTIMUM, (0.2, 0.8))
        evidence = GATE.reweight(prior, surrogate, seed=4)
        expected = GATE.reweight_model(prior, surrogate.model, incumbents=surrogate.incumbents(5), seed=4)
        assert evidence.details() == expected.details()
        right, wrong = evidence.bayes_factors
        assert right > 3.0
        assert wrong < 0.05


class TestIncumbents:
    X = torch.tensor([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3], [0.2, 0.2], [0.4, 0.4]], dtype=DOUBLE)

    def best(self, Y: list[list[float]], n: int, constraints: list[list[float]] | None = None) -> list[float]:
        limits = torch.tensor(constraints, dtype=DOUBLE) if constraints else self.X[:, :0]
        surrogate = Surrogate(ignorant(), self.X, torch.tensor(Y, dtype=DOUBLE), limits)
        result = surrogate.incumbents(n)
        assert result.shape[-1] == 2
        return result[:, 0].tolist()

    def test_best_first_and_each_point_once(self) -> None:
        Y = [[0.0], [3.0], [1.0], [2.5], [2.0]]
        assert self.best(Y, 3) == [0.2, 0.4, 0.3]
        assert self.best(Y, 1) == [0.2]
        assert self.best(Y, 99) == [0.2, 0.4, 0.3, 0.1]

    def test_by_the_sum_of_the_objectives(self) -> None:
        assert self.best([[3.0, 0.0], [1.0, 1.0], [2.0, 2.0], [0.0, 0.0], [0.0, 3.5]], 3) == [0.3, 0.4, 0.1]

    def test_feasible_ones_first_then_the_least_violation(self) -> None:
        Y = [[0.0], [3.0], [1.0], [2.5], [2.0]]
        assert self.best(Y, 4, [[-1.0], [0.5], [0.0], [0.6], [0.1]]) == [0.3, 0.1, 0.4, 0.2]
