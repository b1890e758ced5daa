from __future__ import annotations

import copy
import inspect
import math
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import botorch.acquisition
import botorch.acquisition.multi_objective
import pytest
import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.acquisition.analytic import (
    ExpectedImprovement,
    LogConstrainedExpectedImprovement,
    LogExpectedImprovement,
    LogProbabilityOfImprovement,
    PosteriorMean,
    UpperConfidenceBound,
)
from botorch.acquisition.fixed_feature import FixedFeatureAcquisitionFunction
from botorch.acquisition.knowledge_gradient import qKnowledgeGradient
from botorch.acquisition.logei import qLogExpectedImprovement, qLogNoisyExpectedImprovement
from botorch.acquisition.monte_carlo import qExpectedImprovement, qUpperConfidenceBound
from botorch.acquisition.multi_objective.hypervolume_knowledge_gradient import qHypervolumeKnowledgeGradient
from botorch.acquisition.multi_objective.logei import (
    qLogExpectedHypervolumeImprovement,
    qLogNoisyExpectedHypervolumeImprovement,
)
from botorch.acquisition.prior_guided import PriorGuidedAcquisitionFunction
from botorch.exceptions.errors import UnsupportedError
from botorch.models.gp_regression import SingleTaskGP
from botorch.models.model_list_gp_regression import ModelListGP
from botorch.optim.optimize import optimize_acqf
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.utils.multi_objective.box_decompositions import NondominatedPartitioning
from optuna.distributions import FloatDistribution
from torch import Tensor

from llm_prior_bo.acquisition.log_sum import LogSum
from llm_prior_bo.acquisition.prior_weighted import prior_weighted
from llm_prior_bo.decay import (
    BoundedLossDecay,
    ConstantDecay,
    DecaySchedule,
    ExponentialDecay,
    LinearDecay,
    PowerDecay,
)
from llm_prior_bo.errors import ConfigurationError, PriorError, UnsupportedAcquisitionError
from llm_prior_bo.priors import MixturePrior, RegionPrior, SplitNormalMarginal, UniformPrior
from llm_prior_bo.space import SearchSpace

D = 3
MODE = (0.8, 0.8, 0.8)
BOUNDS = torch.tensor([[0.0] * D, [1.0] * D], dtype=torch.double)


@dataclass(frozen=True)
class BumpPrior:
    """A Gaussian bump on a uniform floor, not normalised: `log(floor + exp(-|x - mode|² / 2 scale²))`."""

    mode: tuple[float, ...] = MODE
    scale: float = 0.1
    floor: float = 0.05

    @property
    def log_range(self) -> float:
        return math.log((self.floor + 1.0) / self.floor)

    def log_prob(self, X: Tensor) -> Tensor:
        squared_distance = (X - X.new_tensor(self.mode)).square().sum(dim=-1)
        bump = -squared_distance / (2.0 * self.scale**2)
        return torch.logaddexp(bump, torch.full_like(bump, math.log(self.floor)))


class PriorModule(torch.nn.Module):
    """The same density as BoTorch's class wants it: `batch_shape x q x d` -> `batch_shape x q`."""

    def forward(self, X: Tensor) -> Tensor:
        return BumpPrior().log_prob(X)


def no_opinion(X: Tensor) -> Tensor:
    return torch.zeros_like(X[..., 0])


def must_not_be_called(X: Tensor) -> Tensor:
    raise AssertionError(f"evaluated at {X}")


def points(*shape: int, seed: int = 1) -> Tensor:
    """Uniform points, `*shape x d`."""
    return torch.rand(*shape, D, dtype=torch.double, generator=torch.Generator().manual_seed(seed))


TRAIN_X = points(12, seed=0)


def sampler() -> SobolQMCNormalSampler:
    return SobolQMCNormalSampler(sample_shape=torch.Size([32]), seed=0)


def single_model() -> SingleTaskGP:
    """One objective with its optimum at (0.3, 0.3, 0.3), so away from the prior's mode."""
    Y = -(TRAIN_X - 0.3).square().sum(dim=-1, keepdim=True)
    return SingleTaskGP(TRAIN_X, Y).eval()


def double_model() -> SingleTaskGP:
    """Two objectives that pull apart."""
    Y = torch.stack([-(TRAIN_X - centre).square().sum(dim=-1) for centre in (0.3, 0.6)], dim=-1)
    return SingleTaskGP(TRAIN_X, Y).eval()


def log_ei() -> AcquisitionFunction:
    return LogExpectedImprovement(single_model(), best_f=-0.05)


def log_pi() -> AcquisitionFunction:
    return LogProbabilityOfImprovement(single_model(), best_f=-0.05)


def log_constrained_ei() -> AcquisitionFunction:
    return LogConstrainedExpectedImprovement(
        double_model(), best_f=-0.05, objective_index=0, constraints={1: (-0.5, None)}
    )


def q_log_ei(X_pending: Tensor | None = None) -> AcquisitionFunction:
    return qLogExpectedImprovement(single_model(), best_f=-0.05, sampler=sampler(), X_pending=X_pending)


@contextmanager
def seeded() -> Iterator[None]:
    """Noisy functions prune their baseline, and optimisers draw, with the global generator; put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def q_log_nei(X_pending: Tensor | None = None) -> AcquisitionFunction:
    with seeded():
        return qLogNoisyExpectedImprovement(single_model(), TRAIN_X, sampler=sampler(), X_pending=X_pending)


def q_log_ehvi(X_pending: Tensor | None = None) -> AcquisitionFunction:
    model = double_model()
    ref_point = torch.tensor([-1.0, -1.0], dtype=torch.double)
    with torch.no_grad():
        partitioning = NondominatedPartitioning(ref_point=ref_point, Y=model.posterior(TRAIN_X).mean)
    return qLogExpectedHypervolumeImprovement(
        model, ref_point=ref_point.tolist(), partitioning=partitioning, sampler=sampler(), X_pending=X_pending
    )


def q_log_nehvi(X_pending: Tensor | None = None) -> AcquisitionFunction:
    with seeded():
        return qLogNoisyExpectedHypervolumeImprovement(
            double_model(), ref_point=[-1.0, -1.0], X_baseline=TRAIN_X, sampler=sampler(), X_pending=X_pending
        )


ANALYTIC = [log_ei, log_pi, log_constrained_ei]
MONTE_CARLO = [q_log_ei, q_log_nei, q_log_ehvi, q_log_nehvi]
EVERY = [*ANALYTIC, *MONTE_CARLO]
BaseMaker = Callable[[], AcquisitionFunction]
PendingMaker = Callable[[Tensor | None], AcquisitionFunction]


class TestAgainstBoTorch:
    @pytest.mark.parametrize("make_base", [log_ei, q_log_ei, q_log_nei, q_log_ehvi, q_log_nehvi])
    @pytest.mark.parametrize("exponent", [0.0, 0.3, 1.0, 2.7])
    def test_equals_its_class_at_q_1(self, make_base: BaseMaker, exponent: float) -> None:
        X = points(200, 1)
        theirs = PriorGuidedAcquisitionFunction(make_base(), PriorModule(), log=True, prior_exponent=exponent)
        ours = prior_weighted(make_base(), BumpPrior(), exponent=exponent)
        torch.testing.assert_close(ours(X), theirs(X), rtol=1e-13, atol=1e-13)

    def test_pending_points_do_not_flatten_the_surface(self) -> None:
        """Belief and data agree, and four runs near the optimum are under way: the usual state of a parallel study."""
        Y = -(TRAIN_X - TRAIN_X.new_tensor(MODE)).square().sum(dim=-1, keepdim=True)
        model = SingleTaskGP(TRAIN_X, Y).eval()
        X, X_pending = points(500, 1), 0.75 + 0.1 * points(4, seed=2)
        with seeded():
            base = qLogNoisyExpectedImprovement(model, TRAIN_X, sampler=sampler())
        theirs = PriorGuidedAcquisitionFunction(base, PriorModule(), log=True, X_pending=X_pending)
        with torch.no_grad():
            flat = float(theirs(X).std())
            base.set_X_pending(X_pending)
            healthy = float(prior_weighted(base, BumpPrior(), exponent=1.0)(X).std())
        assert flat < 0.05
        assert healthy > 3.0


class TestValue:
    @pytest.mark.parametrize("make_base", EVERY)
    @pytest.mark.parametrize("exponent", [0.25, 3.5])
    def test_is_base_plus_weighted_log_density(self, make_base: BaseMaker, exponent: float) -> None:
        X = points(6, 1)
        by_hand = [
            value + exponent * math.log(0.05 + math.exp(-sum((x - 0.8) ** 2 for x in row) / 0.02))
            for value, row in zip(make_base()(X).tolist(), X.squeeze(-2).tolist(), strict=True)
        ]
        value = prior_weighted(make_base(), BumpPrior(), exponent=exponent)(X)
        assert value.tolist() == pytest.approx(by_hand, rel=1e-12)

    @pytest.mark.parametrize("make_base", MONTE_CARLO)
    @pytest.mark.parametrize("q", [1, 2, 4])
    @pytest.mark.parametrize("batch_shape", [(5,), (2, 3)])
    def test_sums_over_the_batch_of_new_points(
        self, make_base: BaseMaker, q: int, batch_shape: tuple[int, ...]
    ) -> None:
        X = points(*batch_shape, q)
        value = prior_weighted(make_base(), BumpPrior(), exponent=0.7)(X)
        expected = make_base()(X) + 0.7 * sum(BumpPrior().log_prob(X[..., j, :]) for j in range(q))
        assert value.shape == batch_shape
        torch.testing.assert_close(value, expected, rtol=1e-13, atol=1e-13)

    @pytest.mark.parametrize("make_base", EVERY)
    def test_exponent_zero_is_the_base_to_the_last_bit(self, make_base: BaseMaker) -> None:
        X = points(50, 1)
        assert torch.equal(prior_weighted(make_base(), must_not_be_called, exponent=0.0)(X), make_base()(X))

    @pytest.mark.parametrize("make_base", EVERY)
    def test_no_opinion_is_the_base(self, make_base: BaseMaker) -> None:
        X = points(50, 1)
        assert torch.equal(prior_weighted(make_base(), no_opinion, exponent=2.0)(X), make_base()(X))

    def test_single_batch_of_points(self) -> None:
        X = points(2)  # q x d
        acqf = prior_weighted(q_log_nei(), BumpPrior(), exponent=0.7)
        torch.testing.assert_close(acqf(X), acqf(X.unsqueeze(0)))

    def test_two_priors_multiply(self) -> None:
        X = points(10, 1)
        once = prior_weighted(log_ei(), BumpPrior(), exponent=0.75)
        twice = prior_weighted(prior_weighted(log_ei(), BumpPrior(), exponent=0.5), BumpPrior().log_prob, exponent=0.25)
        torch.testing.assert_close(twice(X), once(X))

    def test_any_object_with_a_log_prob_is_a_prior(self) -> None:
        X = points(10, 1)
        normal = torch.distributions.Normal(torch.full((D,), 0.5), 1.0)
        normal_in_d = torch.distributions.Independent(normal, 1)
        value = prior_weighted(log_ei(), normal_in_d, exponent=1.0)(X)
        by_hand = -0.5 * (X - 0.5).square() - 0.5 * math.log(2.0 * math.pi)
        torch.testing.assert_close(value, log_ei()(X) + by_hand.sum(dim=(-1, -2)))

    def test_keeps_the_precision_of_the_base(self) -> None:
        class Single(AcquisitionFunction):
            _log = True

            def forward(self, X: Tensor) -> Tensor:
                return X.float().sum(dim=(-1, -2))

        assert prior_weighted(Single(single_model()), BumpPrior(), exponent=1.0)(points(4, 1)).dtype == torch.float32

    def test_batched_models(self) -> None:
        X = TRAIN_X.expand(2, -1, -1)
        model = SingleTaskGP(X, X.sum(dim=-1, keepdim=True)).eval()
        base = LogExpectedImprovement(model, best_f=1.0)
        point = points(1, 1)
        expected = base(point) + BumpPrior().log_prob(point).squeeze(-1)  # 2, broadcast over 1
        torch.testing.assert_close(prior_weighted(base, BumpPrior(), exponent=1.0)(point), expected)

    @pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda acqf: pickle.loads(pickle.dumps(acqf))])
    def test_survives_copying(self, duplicate: Callable[[LogSum], LogSum]) -> None:
        acqf = prior_weighted(q_log_nei(), BumpPrior(), exponent=0.7)
        X = points(5, 1)
        assert torch.equal(duplicate(acqf)(X), acqf(X))


class TestGradient:
    @pytest.mark.parametrize("make_base", EVERY)
    def test_matches_finite_differences(self, make_base: BaseMaker) -> None:
        acqf = prior_weighted(make_base(), BumpPrior(scale=0.5), exponent=1.7)
        for q in (1,) if make_base in ANALYTIC else (1, 2, 4):
            assert torch.autograd.gradcheck(acqf, points(2, q).requires_grad_(), atol=1e-4, rtol=1e-3)


class TestPendingPoints:
    @pytest.mark.parametrize("make_base", MONTE_CARLO)
    def test_are_not_weighted(self, make_base: PendingMaker) -> None:
        X, X_pending = points(20, 2), points(3, seed=2)
        value = prior_weighted(make_base(X_pending), BumpPrior(), exponent=0.7)(X)
        expected = make_base(X_pending)(X) + 0.7 * BumpPrior().log_prob(X).sum(dim=-1)
        torch.testing.assert_close(value, expected, rtol=1e-13, atol=1e-13)

    @pytest.mark.parametrize("make_base", MONTE_CARLO)
    @pytest.mark.parametrize("X_pending", [points(3, seed=2), None], ids=["set", "reset"])
    def test_are_handed_to_the_base(self, make_base: PendingMaker, X_pending: Tensor | None) -> None:
        X = points(20, 1)
        base, acqf = (
            make_base(points(2, seed=3)),
            prior_weighted(make_base(points(2, seed=3)), no_opinion, exponent=1.0),
        )
        for function in (base, acqf):
            with seeded():
                function.set_X_pending(X_pending)
        torch.testing.assert_close(acqf(X), base(X))
        torch.testing.assert_close(acqf.X_pending, X_pending)

    @pytest.mark.parametrize("make_base", MONTE_CARLO)
    def test_are_seen_when_the_base_has_them(self, make_base: PendingMaker) -> None:
        X_pending = points(3, seed=2)
        torch.testing.assert_close(prior_weighted(make_base(X_pending), BumpPrior(), exponent=0.7).X_pending, X_pending)

    def test_can_be_assigned(self) -> None:
        X_pending = points(3, seed=2)
        acqf = prior_weighted(q_log_nei(), BumpPrior(), exponent=0.7)
        acqf.X_pending = X_pending  # as BoTorch's FixedFeatureAcquisitionFunction does
        torch.testing.assert_close(acqf.X_pending, X_pending)

    def test_analytic_functions_have_none(self) -> None:
        acqf = prior_weighted(log_ei(), BumpPrior(), exponent=0.7)
        assert acqf.X_pending is None
        acqf.set_X_pending(None)
        with pytest.raises(UnsupportedError):
            acqf.set_X_pending(points(1))


OPTIONS: dict[str, bool | float | int | str] = {"seed": 0, "maxiter": 40}


class TestOptimisation:
    def optimise(
        self, acqf: AcquisitionFunction, *, q: int, sequential: bool, fixed_features: dict[int, float] | None = None
    ) -> Tensor:
        """Candidates, `q x d`."""
        with seeded():
            candidates, _ = optimize_acqf(
                acqf,
                BOUNDS,
                q=q,
                num_restarts=3,
                raw_samples=64,
                options=OPTIONS,
                sequential=sequential,
                fixed_features=fixed_features,
            )
        return candidates

    @pytest.mark.parametrize("make_base", [log_ei, q_log_nei, q_log_nehvi])
    def test_a_strong_prior_decides(self, make_base: BaseMaker) -> None:
        acqf = prior_weighted(make_base(), BumpPrior(scale=0.3, floor=1e-6), exponent=1000.0)
        candidate = self.optimise(acqf, q=1, sequential=False)
        torch.testing.assert_close(candidate, torch.tensor([MODE], dtype=torch.double), atol=0.05, rtol=0.0)

    def test_sequential_batches_are_spread(self) -> None:
        acqf = prior_weighted(q_log_nei(), BumpPrior(scale=0.3), exponent=1.0)
        candidates = self.optimise(acqf, q=3, sequential=True)
        assert torch.pdist(candidates).min() > 1e-2

    @pytest.mark.parametrize("make_base", MONTE_CARLO)
    def test_joint_batches(self, make_base: BaseMaker) -> None:
        acqf = prior_weighted(make_base(), BumpPrior(scale=0.3), exponent=1.0)
        candidates = self.optimise(acqf, q=2, sequential=False)
        assert candidates.shape == (2, D)
        assert acqf(candidates) > acqf(points(100, 2)).max()

    @pytest.mark.parametrize("make_base", MONTE_CARLO)
    def test_pending_points_are_still_there_afterwards(self, make_base: PendingMaker) -> None:
        X_pending = points(2, seed=2)
        acqf = prior_weighted(make_base(X_pending), BumpPrior(), exponent=1.0)
        self.optimise(acqf, q=2, sequential=True)
        torch.testing.assert_close(acqf.X_pending, X_pending)

    def test_fixed_features(self) -> None:
        acqf = prior_weighted(q_log_nei(), BumpPrior(), exponent=1.0)
        candidates = self.optimise(acqf, q=2, sequential=True, fixed_features={1: 0.25})
        assert candidates[:, 1].tolist() == [0.25, 0.25]

    def test_fixed_features_around_the_result(self) -> None:
        acqf = prior_weighted(log_ei(), BumpPrior(), exponent=1.0)
        X = points(4, 1)
        X[..., 1] = 0.25
        fixed = FixedFeatureAcquisitionFunction(acqf, d=D, columns=[1], values=[0.25])
        torch.testing.assert_close(fixed(X[..., [0, 2]]), acqf(X))


SPACE = SearchSpace({name: FloatDistribution(0.0, 1.0) for name in ("a", "b", "c")})


def mixture() -> MixturePrior:
    """A belief about the first two parameters, none about the third."""
    marginals = {
        name: SplitNormalMarginal.from_interval(SPACE.column(name), best=0.8, low=0.7, high=0.85, coverage=0.5)
        for name in ("a", "b")
    }
    return MixturePrior(SPACE, [RegionPrior(SPACE, marginals)], weights=[0.9], uniform_weight=0.1)


class TestPriorsOfThePackage:
    @pytest.mark.parametrize("make_base", EVERY)
    def test_uniform_prior_is_the_base(self, make_base: BaseMaker) -> None:
        X = points(50, 1)
        assert torch.equal(prior_weighted(make_base(), UniformPrior(SPACE), exponent=2.0)(X), make_base()(X))

    @pytest.mark.parametrize("make_base", MONTE_CARLO)
    def test_mixture_is_summed_over_the_batch(self, make_base: BaseMaker) -> None:
        X = points(5, 2)
        value = prior_weighted(make_base(), mixture(), exponent=0.7)(X)
        log_density = mixture().log_prob(X[:, 0]) + mixture().log_prob(X[:, 1])
        torch.testing.assert_close(value, make_base()(X) + 0.7 * log_density)

    def test_gradient_matches_finite_differences(self) -> None:
        acqf = prior_weighted(q_log_nei(), mixture(), exponent=1.7)
        assert torch.autograd.gradcheck(acqf, points(2, 2).requires_grad_(), atol=1e-4, rtol=1e-3)

    @pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda acqf: pickle.loads(pickle.dumps(acqf))])
    def test_survives_copying(self, duplicate: Callable[[LogSum], LogSum]) -> None:
        acqf = prior_weighted(q_log_nei(), mixture(), exponent=0.7)
        X = points(5, 1)
        assert torch.equal(duplicate(acqf)(X), acqf(X))


class TestDecay:
    @pytest.mark.parametrize(
        "decay",
        [
            PowerDecay(10.0),
            PowerDecay(10.0, power=2.0),
            PowerDecay(10.0, cap=1.0),
            ExponentialDecay(half_life=10),
            LinearDecay(horizon=60),
            BoundedLossDecay(max_loss=2.0, from_trial=5).for_prior(BumpPrior()),
        ],
        ids=repr,
    )
    def test_influence_of_the_prior_falls(self, decay: DecaySchedule) -> None:
        base, X = log_ei(), points(200, 1)
        trials = [1, 2, 5, 10, 20, 50, 100]
        with torch.no_grad():
            shifts = [prior_weighted(base, BumpPrior(), exponent=decay(n))(X) - base(X) for n in trials]
        influence = [float(shift.max() - shift.min()) for shift in shifts]
        assert influence == sorted(influence, reverse=True)
        assert influence[-1] < 0.2 * influence[0]

    def test_constant_decay_never_lets_go(self) -> None:
        decay, base, X = ConstantDecay(0.5), log_ei(), points(20, 1)
        first, last = (prior_weighted(base, BumpPrior(), exponent=decay(n))(X) for n in (1, 1000))
        assert torch.equal(first, last)


# BoTorch warns of the numerics of plain expected improvement, which is here to be refused or transformed.
ignore_plain_ei = pytest.mark.filterwarnings("ignore::botorch.exceptions.warnings.NumericsWarning")


class TestRefusals:
    @ignore_plain_ei
    @pytest.mark.parametrize(
        ("make_base", "remedy"),
        [
            (lambda: ExpectedImprovement(single_model(), best_f=0.0), "use LogExpectedImprovement"),
            (lambda: qExpectedImprovement(single_model(), best_f=0.0), "use qLogExpectedImprovement"),
            (lambda: UpperConfidenceBound(single_model(), beta=2.0), "to_log"),
            (lambda: qUpperConfidenceBound(single_model(), beta=2.0), "to_log"),
            (lambda: PosteriorMean(single_model()), "to_log"),
        ],
    )
    def test_values_that_are_not_log_values(self, make_base: BaseMaker, remedy: str) -> None:
        base = make_base()
        with pytest.raises(UnsupportedAcquisitionError, match=rf"got {type(base).__name__}; .*{remedy}"):
            prior_weighted(base, BumpPrior(), exponent=1.0)

    def test_one_shot_functions(self) -> None:
        with pytest.raises(UnsupportedAcquisitionError, match="one-shot function qKnowledgeGradient"):
            prior_weighted(qKnowledgeGradient(single_model(), num_fantasies=2), BumpPrior(), exponent=1.0)
        ref_point = torch.tensor([-1.0, -1.0], dtype=torch.double)
        models = ModelListGP(single_model(), single_model())
        base = qHypervolumeKnowledgeGradient(models, ref_point=ref_point, num_fantasies=2)
        with pytest.raises(UnsupportedAcquisitionError, match="one-shot function qHypervolumeKnowledgeGradient"):
            prior_weighted(base, BumpPrior(), exponent=1.0)

    def test_every_log_function_of_botorch_is_marked_as_one(self) -> None:
        modules = (botorch.acquisition, botorch.acquisition.multi_objective)
        classes = {c for module in modules for name, c in inspect.getmembers(module, inspect.isclass) if "Log" in name}
        assert len(classes) >= 7
        assert [c.__name__ for c in classes if not getattr(c, "_log", False)] == []

    @pytest.mark.parametrize("exponent", [-0.1, math.nan, math.inf, None, "one"])
    def test_bad_exponents(self, exponent: object) -> None:
        with pytest.raises(ConfigurationError, match="finite exponent"):
            prior_weighted(log_ei(), BumpPrior(), exponent=exponent)  # type: ignore[arg-type]

    def test_a_schedule_is_not_an_exponent(self) -> None:
        with pytest.raises(ConfigurationError, match="call it with the number of trials"):
            prior_weighted(log_ei(), BumpPrior(), exponent=PowerDecay())  # type: ignore[arg-type]

    def test_what_is_no_prior(self) -> None:
        with pytest.raises(ConfigurationError, match="log_prob"):
            prior_weighted(log_ei(), 0.5, exponent=1.0)  # type: ignore[arg-type]

    @pytest.mark.parametrize("bad", [-math.inf, math.nan])
    def test_log_densities_that_are_not_finite(self, bad: float) -> None:
        acqf = prior_weighted(log_ei(), lambda X: no_opinion(X) + bad, exponent=1.0)
        with pytest.raises(PriorError, match=r"got (-inf|nan); mix in a uniform floor"):
            acqf(points(4, 1))

    def test_log_densities_of_another_shape(self) -> None:
        acqf = prior_weighted(log_ei(), lambda X: X, exponent=1.0)
        with pytest.raises(PriorError, match=r"shape \(4, 1\).*got shape \(4, 1, 3\)"):
            acqf(points(4, 1))


class TestToLog:
    @ignore_plain_ei
    def test_logarithm_of_a_positive_function(self) -> None:
        X = points(50, 1)
        base = ExpectedImprovement(single_model(), best_f=-0.05)
        acqf = prior_weighted(base, BumpPrior(), exponent=0.7, to_log=torch.log)
        torch.testing.assert_close(acqf(X), prior_weighted(log_ei(), BumpPrior(), exponent=0.7)(X))

    def test_transform_of_a_function_of_any_sign(self) -> None:
        X = points(50, 1)
        base = UpperConfidenceBound(single_model(), beta=2.0)
        acqf = prior_weighted(
            base, BumpPrior(), exponent=0.7, to_log=lambda value: torch.nn.functional.softplus(value).log()
        )
        expected = base(X).exp().log1p().log() + 0.7 * BumpPrior().log_prob(X.squeeze(-2))
        torch.testing.assert_close(acqf(X), expected)

    def test_values_outside_the_transform(self) -> None:
        acqf = prior_weighted(PosteriorMean(single_model()), BumpPrior(), exponent=0.7, to_log=torch.log)
        with pytest.raises(UnsupportedAcquisitionError, match=r"PosteriorMean .* got nan"):
            acqf(points(5, 1))

    def test_log_values_need_none(self) -> None:
        with pytest.raises(UnsupportedAcquisitionError, match="leave it out"):
            prior_weighted(log_ei(), BumpPrior(), exponent=0.7, to_log=torch.log)
