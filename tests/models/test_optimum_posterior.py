"""Where the optimum is, against closed forms, BoTorch's own draws, and sets small enough to do by hand."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import gpytorch
import numpy as np
import pytest
import torch
from botorch.models.approximate_gp import SingleTaskVariationalGP
from botorch.models.deterministic import GenericDeterministicModel
from botorch.models.gp_regression import SingleTaskGP
from botorch.models.gp_regression_mixed import MixedSingleTaskGP
from botorch.models.map_saas import EnsembleMapSaasSingleTaskGP
from botorch.models.model import Model, ModelList
from botorch.models.model_list_gp_regression import ModelListGP
from botorch.models.multitask import KroneckerMultiTaskGP, MultiTaskGP
from botorch.models.transforms.input import Normalize
from botorch.models.transforms.outcome import Standardize
from botorch.posteriors.gpytorch import GPyTorchPosterior
from botorch.utils.multi_objective.pareto import is_non_dominated
from gpytorch.kernels import MaternKernel, RBFKernel
from scipy import stats
from torch import Tensor

from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.models import optimum_posterior as module
from llm_prior_bo.models.optimum_posterior import OptimumPosterior, optimum_posterior
from tests.gps import gp, matern
from tests.randomness import random_state_stays

DOUBLE = torch.float64
X = torch.tensor([[0.05], [0.3], [0.55], [0.9]], dtype=DOUBLE)
Y = torch.tensor([-0.5, 0.4, 0.8, -1.0], dtype=DOUBLE)
GRID = torch.linspace(0.0, 1.0, 6, dtype=DOUBLE).unsqueeze(-1)


class Plain(SingleTaskGP):
    """The same GP, but not recognised: its draws are BoTorch's own."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def where(model: Model, candidates: Tensor = GRID, *, seed: int = 0, **options: Any) -> OptimumPosterior:
    return optimum_posterior(model, candidates, generator=seeded(seed), **{"n_draws": 2000, **options})


def table(*rows: list[float]) -> GenericDeterministicModel:
    """A model without uncertainty: the outputs of candidates 0, 1, 2, ... by hand."""
    values = torch.tensor(rows, dtype=DOUBLE)
    return GenericDeterministicModel(lambda X: values[X[..., 0].long()], num_outputs=values.shape[-1])


def by_hand(*rows: list[float], n_constraints: int = 0) -> list[float]:
    model = table(*rows)
    candidates = torch.arange(len(rows), dtype=DOUBLE).unsqueeze(-1)
    result = where(model, candidates, n_draws=3, reference=model, n_constraints=n_constraints)
    assert torch.equal(result.probabilities, result.reference)
    return result.probabilities.tolist()


def moments(noise: float = 1e-4) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the posterior on the grid, by the textbook."""
    gain = torch.linalg.solve(matern(X, X) + noise * torch.eye(4, dtype=DOUBLE), matern(X, GRID)).T
    return gain @ Y, matern(GRID, GRID) - gain @ matern(X, GRID)


def best_of_normal(mean: Tensor, covariance: Tensor) -> list[float]:
    """Probability that each of a few normal variates is the largest: orthant probabilities of their differences."""
    shares = []
    for i in range(len(mean)):
        others = [j for j in range(len(mean)) if j != i]
        D = torch.zeros(len(others), len(mean), dtype=DOUBLE)
        D[:, i] = -1.0
        D[range(len(others)), others] = 1.0
        differences = stats.multivariate_normal((D @ mean).numpy(), (D @ covariance @ D.T).numpy(), allow_singular=True)
        shares.append(float(differences.cdf(np.zeros(len(others)))))
    return shares


def assert_frequencies(observed: Tensor, expected: list[float] | Tensor, n_draws: int) -> None:
    """Frequencies of independent draws within 4.5 standard errors."""
    p = torch.as_tensor(expected, dtype=DOUBLE)
    assert (observed - p).abs().le(4.5 * (p * (1.0 - p) / n_draws).sqrt() + 2.0 / n_draws).all(), (observed, p)


def assert_same_frequencies(first: Tensor, second: Tensor, n_draws: int) -> None:
    """Two samples of counts: a chi-square test over the candidates that were met often enough."""
    counts = torch.stack([first, second]).mul(n_draws).round()
    often = counts.sum(dim=0) >= 10
    rare = counts[:, ~often].sum(dim=-1, keepdim=True)
    kept = torch.cat([counts[:, often], rare], dim=-1)
    kept = kept[:, kept.sum(dim=0) > 0]
    assert stats.chi2_contingency(kept.numpy()).pvalue > 1e-3


class TestOneObjective:
    def test_distributions(self) -> None:
        result = where(gp(X, Y))
        for p in (result.probabilities, result.reference):
            assert p.shape == (6,)
            assert p.dtype == DOUBLE
            assert (p >= 0.0).all()
            assert float(p.sum()) == pytest.approx(1.0, abs=1e-12)
        assert result.candidates is GRID

    @pytest.mark.parametrize("kind", [SingleTaskGP, Plain])
    def test_brute_force_on_a_grid(self, kind: type[SingleTaskGP]) -> None:
        result = where(gp(X, Y, kind=kind), n_draws=20_000)
        assert_frequencies(result.probabilities, best_of_normal(*moments()), 20_000)
        assert_frequencies(result.reference, best_of_normal(torch.zeros(6, dtype=DOUBLE), matern(GRID, GRID)), 20_000)

    @pytest.mark.parametrize("noise", [1e-4, 0.3])
    def test_two_candidates_in_closed_form(self, noise: float) -> None:
        """`P(f_1 > f_2) = Phi((m_1 - m_2) / sd(f_1 - f_2))`; before the data, one half."""
        pair = [1, 5]
        mean, covariance = (tensor[pair] for tensor in moments(noise=noise))
        covariance = covariance[:, pair]
        sd = float(covariance[0, 0] + covariance[1, 1] - 2.0 * covariance[0, 1]) ** 0.5
        p = float(stats.norm.cdf(float(mean[0] - mean[1]) / sd))
        result = where(gp(X, Y, noise=noise), GRID[pair], n_draws=20_000)
        assert_frequencies(result.probabilities, [p, 1.0 - p], 20_000)
        assert_frequencies(result.reference, [0.5, 0.5], 20_000)

    def test_an_observation_lost_in_noise_changes_nothing(self) -> None:
        result = where(gp(X[:1], Y[:1], noise=1e10))
        assert torch.equal(result.probabilities, result.reference)

    def test_neither_does_none(self) -> None:
        model: Any = gp(X[:1], Y[:1])
        model.set_train_data(X[:0], Y[:0], strict=False)
        result = where(model)
        assert torch.equal(result.probabilities, result.reference)

    def test_much_data_leave_no_doubt(self) -> None:
        dense = torch.linspace(0, 1, 40, dtype=DOUBLE).unsqueeze(-1)
        model = gp(dense, -(dense[:, 0] - 0.4).square())
        result = where(model)
        assert result.probabilities.tolist() == pytest.approx([0, 0, 1, 0, 0, 0], abs=1e-3)
        assert result.reference.max() < 0.5

    def test_optima_of_the_kernel_prior_crowd_the_ends(self) -> None:
        """Which is why the reference is not uniform."""
        line = torch.linspace(0, 1, 21, dtype=DOUBLE).unsqueeze(-1)
        reference = where(gp(X, Y), line).reference
        assert float(reference[0] + reference[-1]) > 2.5 * 2 / 21
        assert (reference[1:-1] < 1.2 / 21).all()

    def test_coinciding_candidates_are_fine(self) -> None:
        twice = torch.cat([GRID, GRID, X])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = where(gp(X, Y, lengthscale=2.0), twice)
        once = where(gp(X, Y, lengthscale=2.0), torch.cat([GRID, X]))
        joined = torch.cat([result.probabilities[:6] + result.probabilities[6:12], result.probabilities[12:]])
        assert_same_frequencies(joined, once.probabilities, 2000)


class TestDraws:
    """Matheron's rule gives BoTorch's posterior and prior."""

    N_DRAWS = 20_000

    def models(self) -> list[SingleTaskGP]:
        inputs = torch.rand(12, 2, generator=seeded(3), dtype=DOUBLE)
        values = torch.sin(5.0 * inputs[:, 0]) + inputs[:, 1]
        values = (values - values.mean()) / values.std()
        bounds = torch.tensor([[-1.0, -1.0], [2.0, 3.0]], dtype=DOUBLE)
        lazy = RBFKernel(active_dims=(0,)) + MaternKernel(nu=2.5, active_dims=(1,))
        options: list[dict[str, Any]] = [
            {},
            {"input_transform": Normalize(2, bounds=bounds)},
            {"covar_module": lazy},
        ]
        return [SingleTaskGP(inputs, values.unsqueeze(-1), outcome_transform=None, **o).double() for o in options]

    def test_means_and_covariances(self) -> None:
        points = torch.rand(7, 2, generator=seeded(4), dtype=DOUBLE)
        for model in self.models():
            assert module._is_plain(model)
            with torch.no_grad():
                before, after = module._matheron_draws(model, points, self.N_DRAWS, seeded())
                for draws, prior_mode in ((before, True), (after, False)):
                    with gpytorch.settings.prior_mode(prior_mode):
                        posterior = model.posterior(points)
                    assert isinstance(posterior, GPyTorchPosterior)
                    self.check(draws, posterior.mean.squeeze(-1), posterior.distribution.covariance_matrix)

    def check(self, draws: Tensor, mean: Tensor, covariance: Tensor) -> None:
        sd = covariance.diagonal().sqrt()
        assert ((draws.mean(dim=0) - mean).abs() / sd).max() < 4.5 / math.sqrt(self.N_DRAWS)
        deviation = draws.T.cov() - covariance
        # The variance of an empirical covariance of normals: (s_ii s_jj + s_ij^2) / n.
        error = ((torch.outer(sd, sd).square() + covariance.square()) / self.N_DRAWS).sqrt()
        assert (deviation.abs() / error).max() < 5.0

    def test_the_same_argmax_as_botorchs_own_draws(self) -> None:
        line = torch.linspace(0, 1, 21, dtype=DOUBLE).unsqueeze(-1)
        own, other = where(gp(X, Y), line), where(gp(X, Y, kind=Plain), line, seed=1)
        assert_same_frequencies(own.probabilities, other.probabilities, 2000)
        assert_same_frequencies(own.reference, other.reference, 2000)

    def test_noise_cancels_in_the_ratio(self) -> None:
        """Prior and posterior share their random numbers: far from the data, their optima are the same draws."""
        far = torch.tensor([[10.0], [20.0], [30.0]], dtype=DOUBLE)
        result = where(gp(X, Y), far, n_draws=50)
        assert torch.equal(result.probabilities, result.reference)


class TestReference:
    def test_the_model_itself_is_no_evidence(self) -> None:
        for kind in (SingleTaskGP, Plain):
            result = where(gp(X, Y, kind=kind), reference=gp(X, Y, kind=kind))
            assert torch.equal(result.probabilities, result.reference)

    def test_is_the_model_before_the_evidence(self) -> None:
        before = gp(X[:2], Y[:2])
        result = where(gp(X, Y), reference=before, n_draws=20_000)
        expected = where(before, n_draws=20_000, seed=1)
        assert_same_frequencies(result.reference, expected.probabilities, 20_000)
        assert_frequencies(result.probabilities, best_of_normal(*moments()), 20_000)

    def test_starts_from_the_same_prior_draws(self) -> None:
        """However much data each of the two models has, and for every output."""
        far = torch.tensor([[10.0], [20.0], [30.0]], dtype=DOUBLE)
        for n_outputs in (1, 2):
            models = [ModelListGP(*[gp(X[:n], Y[:n])] * n_outputs) for n in (4, 3)]
            result = where(models[0], far, reference=models[1], n_draws=50)
            assert torch.equal(result.probabilities, result.reference)

    def test_of_any_kind(self) -> None:
        result = where(gp(X, Y), GRID.round(), reference=table([0.0], [1.0]))
        assert result.reference[GRID.round()[:, 0] == 0.0].sum() == 0.0

    def test_must_have_the_same_outputs(self) -> None:
        with pytest.raises(ConfigurationError, match="reference with the 1 outputs of the model, got 2"):
            where(gp(X, Y), reference=table([0.0, 0.0]))


class TestConstraints:
    def test_only_feasible_candidates_can_be_best(self) -> None:
        assert by_hand([3.0, 0.1], [2.0, -0.1], [1.0, 0.0], n_constraints=1) == [0.0, 1.0, 0.0]
        assert by_hand([3.0, -1.0, 0.1], [2.0, 0.1, -1.0], [1.0, 0.0, 0.0], n_constraints=2) == [0.0, 0.0, 1.0]

    def test_while_none_is_feasible_the_least_violation_wins(self) -> None:
        assert by_hand([3.0, 0.3], [2.0, 0.1], [1.0, 0.2], n_constraints=1) == [0.0, 1.0, 0.0]
        # Violations add up; what is satisfied does not make up for them.
        assert by_hand([3.0, 0.3, 0.0], [2.0, 0.2, 0.2], [1.0, 0.5, -9.0], n_constraints=2) == [1.0, 0.0, 0.0]

    def test_draws_of_a_model(self) -> None:
        """Best on the right, allowed on the left."""
        line = torch.linspace(0, 1, 9, dtype=DOUBLE).unsqueeze(-1)
        model = ModelListGP(gp(line, 2.0 * line[:, 0], noise=1e-6), gp(line, line[:, 0] - 0.55, noise=1e-6))
        result = where(model, line, n_constraints=1)
        assert result.probabilities.tolist() == pytest.approx([0, 0, 0, 0, 1, 0, 0, 0, 0], abs=0.01)
        assert result.probabilities[line[:, 0] > 0.6].sum() == 0.0
        assert (result.reference > 0.0).all()

    @pytest.mark.parametrize("n_constraints", [1, 2, -1])
    def test_there_must_be_an_objective(self, n_constraints: int) -> None:
        with pytest.raises(ConfigurationError, match=rf"fewer constraints than outputs, got {n_constraints} of 1"):
            where(gp(X, Y), n_constraints=n_constraints)


class TestSeveralObjectives:
    def test_the_front_shares_a_draw(self) -> None:
        front = [[3.0, 0.0], [2.0, 2.0], [0.0, 3.0]]
        assert by_hand(*front, [1.0, 1.0], [2.0, 1.9]) == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0.0, 0.0])

    def test_three_objectives(self) -> None:
        rows = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, -1.0], [0.5, 0.5, 0.5]]
        assert by_hand(*rows) == pytest.approx([0.25, 0.25, 0.25, 0.0, 0.25])

    def test_equal_points_count_once(self) -> None:
        assert by_hand([1.0, 0.0], [1.0, 0.0], [0.0, 1.0]) == [0.5, 0.0, 0.5]

    def test_among_the_feasible(self) -> None:
        rows = [[9.0, 9.0, 0.1], [2.0, 1.0, -0.1], [1.0, 2.0, 0.0], [1.0, 1.0, -1.0]]
        assert by_hand(*rows, n_constraints=1) == [0.0, 0.5, 0.5, 0.0]

    def test_while_none_is_feasible_the_least_violation_wins(self) -> None:
        rows = [[9.0, 9.0, 0.3], [-2.0, -1.0, 0.1], [-1.0, -2.0, 0.1], [-3.0, -3.0, 0.1]]
        assert by_hand(*rows, n_constraints=1) == [0.0, 0.5, 0.5, 0.0]

    @pytest.mark.parametrize("n_values", [2, 4, 40, 10**9])
    def test_the_front_of_two_is_botorchs(self, n_values: int) -> None:
        F = torch.randint(n_values, (200, 15, 2), generator=seeded(), dtype=DOUBLE)
        assert torch.equal(module._non_dominated(F), is_non_dominated(F))

    @pytest.mark.parametrize("n_objectives", [2, 3])
    def test_draws_of_a_model(self, n_objectives: int) -> None:
        """Two goals at the ends of a line: the front lies between them."""
        line = torch.linspace(0, 1, 21, dtype=DOUBLE).unsqueeze(-1)
        goals = [0.3, 0.6, 0.6][:n_objectives]
        model = ModelListGP(*[gp(line, -4.0 * (line[:, 0] - goal).square(), noise=1e-6) for goal in goals])
        result = where(model, line, n_draws=300)
        between = (line[:, 0] > 0.29) & (line[:, 0] < 0.61)
        assert result.probabilities.dtype == result.reference.dtype == DOUBLE  # whatever the default is
        assert float(result.probabilities[between].sum()) > 0.97
        assert float(result.reference[between].sum()) < 0.6
        assert float(result.probabilities.sum()) == pytest.approx(1.0, abs=1e-12)


TRAIN = torch.rand(10, 2, generator=torch.Generator().manual_seed(7), dtype=DOUBLE)
VALUES = torch.stack([TRAIN[:, 0] - TRAIN[:, 1].square(), 3.0 - 40.0 * (TRAIN[:, 0] - 0.2).square()], dim=-1)
STANDARDIZED = (VALUES - VALUES.mean(dim=0)) / VALUES.std(dim=0)


def tasks() -> tuple[Tensor, Tensor]:
    inputs = torch.cat([torch.cat([TRAIN, torch.full((10, 1), float(i), dtype=DOUBLE)], dim=-1) for i in (0, 1)])
    return inputs, STANDARDIZED.T.reshape(-1, 1)


ANY_MODEL: dict[str, Callable[[], Model]] = {
    "outcome transform": lambda: SingleTaskGP(TRAIN, VALUES[:, 1:], outcome_transform=Standardize(1)),
    "known noise": lambda: SingleTaskGP(TRAIN, STANDARDIZED[:, :1], train_Yvar=torch.full((10, 1), 0.01).double()),
    "two outputs": lambda: SingleTaskGP(TRAIN, VALUES, outcome_transform=Standardize(2)),
    "mixed": lambda: MixedSingleTaskGP(TRAIN.round(), STANDARDIZED[:, :1], cat_dims=[1]),
    "list": lambda: ModelListGP(
        SingleTaskGP(TRAIN, VALUES[:, :1], outcome_transform=Standardize(1)),
        SingleTaskGP(TRAIN, STANDARDIZED[:, 1:], outcome_transform=None),
    ),
    "plain list": lambda: ModelListGP(
        *[SingleTaskGP(TRAIN, STANDARDIZED[:, [i]], outcome_transform=None) for i in (0, 1)]
    ),
    "tasks": lambda: MultiTaskGP(*tasks(), task_feature=-1),
    "ensemble": lambda: EnsembleMapSaasSingleTaskGP(TRAIN, STANDARDIZED[:, :1]),
}

WITHOUT_PRIOR: dict[str, Callable[[], Model]] = {
    "deterministic": lambda: table([0.0], [1.0]),
    "list of other models": lambda: ModelList(table([0.0], [1.0]), table([0.0], [1.0])),
    "variational": lambda: SingleTaskVariationalGP(TRAIN, STANDARDIZED[:, :1], inducing_points=TRAIN),
    # An exact GP, but GPyTorch's switch to the prior does not reach its own way of predicting.
    "Kronecker": lambda: KroneckerMultiTaskGP(TRAIN, STANDARDIZED),
}


@pytest.mark.filterwarnings("ignore::botorch.exceptions.warnings.InputDataWarning")
class TestAnyModel:
    @pytest.mark.parametrize("name", ANY_MODEL)
    def test_prior_and_posterior_differ(self, name: str) -> None:
        points = torch.rand(12, 2, generator=seeded(1), dtype=DOUBLE)
        model = ANY_MODEL[name]()
        result = where(model, points, n_draws=200)
        for p in (result.probabilities, result.reference):
            assert p.dtype == DOUBLE
            assert float(p.sum()) == pytest.approx(1.0, abs=1e-12)
        assert not torch.equal(result.probabilities, result.reference)
        again = where(model, points, n_draws=200)
        assert torch.equal(result.probabilities, again.probabilities)
        assert torch.equal(result.reference, again.reference)

    def test_an_outcome_transform_does_not_move_the_optimum(self) -> None:
        """Standardised by hand or by BoTorch: the same GP, drawn in two ways."""
        points = torch.rand(12, 2, generator=seeded(1), dtype=DOUBLE)
        transformed = where(ANY_MODEL["outcome transform"](), points)
        plain = where(SingleTaskGP(TRAIN, STANDARDIZED[:, 1:], outcome_transform=None), points, seed=1)
        assert_same_frequencies(transformed.probabilities, plain.probabilities, 2000)
        assert_same_frequencies(transformed.reference, plain.reference, 2000)

    @pytest.mark.parametrize("name", WITHOUT_PRIOR)
    def test_without_a_prior_a_reference_is_needed(self, name: str) -> None:
        points = torch.tensor([[0.0, 0.0], [1.0, 0.5]], dtype=DOUBLE)
        model = WITHOUT_PRIOR[name]()
        with pytest.raises(ConfigurationError, match=rf"got {type(model).__name__}; give reference="):
            where(model, points)
        # Initialised by that, where it is; still its prior is not to be had.
        with pytest.raises(ConfigurationError, match="give reference="):
            where(model, points)
        result = where(model, points, reference=model)
        assert torch.equal(result.probabilities, result.reference)

    def test_members_of_an_ensemble_count_alike(self) -> None:
        points = torch.rand(6, 2, generator=seeded(1), dtype=DOUBLE)
        model = ANY_MODEL["ensemble"]()
        model.eval()
        with torch.no_grad():
            posterior = model.posterior(points)
            assert isinstance(posterior, GPyTorchPosterior)
            distribution = posterior.distribution
        members = zip(distribution.mean, distribution.covariance_matrix, strict=True)
        shares = torch.tensor([best_of_normal(mean, covariance) for mean, covariance in members])
        assert len(shares) > 1
        assert_frequencies(where(model, points).probabilities, shares.mean(dim=0), 2000)

    def test_in_single_precision(self) -> None:
        X = torch.rand(8, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        y = -(X - 0.4).square().sum(dim=-1)
        shares = []
        for dtype in (torch.float64, torch.float32):
            model = SingleTaskGP(X.to(dtype), y.to(dtype).unsqueeze(-1), outcome_transform=None)
            posterior = optimum_posterior(model, X, n_draws=256, generator=torch.Generator().manual_seed(0))
            shares.append(posterior.probabilities)
            assert posterior.probabilities.dtype == torch.float64
        assert float((shares[0] - shares[1]).abs().max()) < 0.15

    def test_coinciding_candidates_are_no_news(self) -> None:
        points = torch.cat([TRAIN, TRAIN])
        assert float(where(ANY_MODEL["list"](), points).probabilities.sum()) == pytest.approx(1.0)


class TestRandomness:
    @pytest.mark.parametrize("kind", [SingleTaskGP, Plain])
    def test_is_an_argument(self, kind: type[SingleTaskGP]) -> None:
        with random_state_stays():
            results = [where(gp(X, Y, kind=kind), seed=seed) for seed in (1, 1, 2)]
            assert torch.equal(results[0].probabilities, results[1].probabilities)
            assert torch.equal(results[0].reference, results[1].reference)
            assert not torch.equal(results[0].probabilities, results[2].probabilities)

    def test_the_generator_moves_on(self) -> None:
        generator = seeded()
        results = [optimum_posterior(gp(X, Y), GRID, n_draws=500, generator=generator) for _ in range(2)]
        assert not torch.equal(results[0].probabilities, results[1].probabilities)

    def test_inputs_are_left_alone(self) -> None:
        model, candidates = gp(X, Y), GRID.clone()
        state = {key: value.clone() for key, value in model.state_dict().items()}
        where(model, candidates)
        assert torch.equal(candidates, GRID)
        assert torch.equal(model.train_inputs[0], X)
        assert torch.equal(model.train_targets, Y)
        assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
