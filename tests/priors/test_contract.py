"""What every prior over the optimum promises, run over many of them."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from llm_prior_bo._gradients import WithGradient, value_and_gradient
from llm_prior_bo.errors import PriorError
from llm_prior_bo.priors import MixturePrior, OptimumPrior
from llm_prior_bo.space import SearchSpace
from tests.priors.cases import CASES, integral, quadrature, quadrature_axes, random_priors, seeded, space_of
from tests.randomness import random_state_stays


@pytest.fixture(params=CASES)
def prior(request: pytest.FixtureRequest) -> OptimumPrior:
    return CASES[request.param]()


def corners(space: SearchSpace) -> torch.Tensor:
    low, high = space.bounds
    draws = torch.randint(0, 2, (64, len(space)), generator=seeded(), dtype=torch.float64).numpy()
    return torch.as_tensor(space.snap(low + draws * (high - low)))


def chi_square_p_value(prior: OptimumPrior, draws: torch.Tensor) -> float:
    """Draws against the density: about four bins a column, with probabilities by quadrature."""
    nodes, weights = quadrature(prior)
    mass = weights * prior.log_prob(nodes).exp().numpy()
    node_bins, draw_bins = np.zeros(len(nodes), dtype=int), np.zeros(len(draws), dtype=int)
    for j, axis in enumerate(quadrature_axes(prior)):
        panels = np.histogram(nodes[:, j], bins=axis.edges, weights=mass)[0].cumsum()
        ends = axis.edges[1:][np.searchsorted(panels, [0.25, 0.5, 0.75])]  # no panel is cut in two
        node_bins = 4 * node_bins + np.searchsorted(ends, nodes[:, j])
        draw_bins = 4 * draw_bins + np.searchsorted(ends, draws[:, j].numpy())
    expected = np.bincount(node_bins, weights=mass, minlength=4 ** len(prior.mode())) * len(draws)
    observed = np.bincount(draw_bins, minlength=len(expected)).astype(float)
    order = np.argsort(-expected)
    kept = max(int((expected >= 5.0).sum()), 1)
    expected, observed = (np.append(x[order][: kept - 1], x[order][kept - 1 :].sum()) for x in (expected, observed))
    return float(stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue) if kept > 1 else 1.0


class TestFastPath:
    def test_is_the_density_and_its_gradient(self, prior: OptimumPrior) -> None:
        if not isinstance(prior, WithGradient):
            pytest.skip("differentiated by PyTorch")
        space = space_of(prior)
        X = torch.cat([prior.sample(50, generator=seeded()), corners(space)]).numpy()
        expected, gradient = value_and_gradient(prior.log_prob, X)
        value, own = prior.value_and_gradient(X)
        np.testing.assert_allclose(value, expected, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(own, gradient, rtol=1e-8, atol=1e-9 * max(1.0, float(np.abs(gradient).max())))
        assert np.array_equal(prior.value(X), value)

    @given(random_priors(), st.integers(0, 2**32 - 1))
    @settings(max_examples=60, deadline=None)
    def test_of_random_answers(self, prior: MixturePrior, seed: int) -> None:
        X = prior.space.snap(np.random.default_rng(seed).random((20, len(prior.space))))
        expected, gradient = value_and_gradient(prior.log_prob, X)
        value, own = prior.value_and_gradient(X)
        np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(own, gradient, rtol=1e-7, atol=1e-8 * max(1.0, float(np.abs(gradient).max())))

    def test_points_of_another_dimension(self) -> None:
        prior = CASES["mixed"]()
        assert isinstance(prior, WithGradient)
        with pytest.raises(PriorError, match="batch_shape x 3"):
            prior.value_and_gradient(np.zeros((4, 2)))


class TestDensity:
    def test_integrates_to_one(self, prior: OptimumPrior) -> None:
        # The quadrature takes a huge grid for continuous, which is right to the width of a cell.
        huge = any((column.n_values or 0) > 1000 for column in space_of(prior).columns)
        assert integral(prior) == pytest.approx(1.0, abs=1e-8 if huge else 1e-11)

    @pytest.mark.parametrize("batch_shape", [(), (1,), (0,), (3,), (2, 3), (2, 1, 4)])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_batch_shapes(self, prior: OptimumPrior, batch_shape: tuple[int, ...], dtype: torch.dtype) -> None:
        count = math.prod(batch_shape)
        X = prior.sample(count, generator=seeded()).reshape(*batch_shape, prior.dim).to(dtype)
        result = prior.log_prob(X)
        assert result.shape == batch_shape
        assert result.dtype == torch.float64
        if count > 0:
            rows = torch.stack([prior.log_prob(x) for x in X.reshape(-1, prior.dim)])
            torch.testing.assert_close(result.reshape(-1), rows, rtol=1e-13, atol=1e-13)

    def test_arrays_and_tensors_agree(self, prior: OptimumPrior) -> None:
        X = prior.sample(5, generator=seeded())
        assert torch.equal(prior.log_prob(X), prior.log_prob(X.numpy()))

    def test_wrong_dimension_is_refused(self, prior: OptimumPrior) -> None:
        with pytest.raises(PriorError, match=f"batch_shape x {prior.dim}"):
            prior.log_prob(torch.zeros(3, prior.dim + 1))
        with pytest.raises(PriorError, match="batch_shape"):
            prior.log_prob(torch.tensor(0.5))

    def test_tails_are_finite_and_above_the_floor(self, prior: OptimumPrior) -> None:
        X = torch.cat([corners(space_of(prior)), prior.sample(50, generator=seeded())])
        values = prior.log_prob(X)
        assert torch.isfinite(values).all()
        if isinstance(prior, MixturePrior):
            assert torch.isfinite(prior.component_log_prob(X)).all()
            if prior.uniform_weight > 0.0:
                assert values.min() >= math.log(prior.uniform_weight) - 1e-12

    def test_gradient_in_the_continuous_columns(self, prior: OptimumPrior) -> None:
        space = space_of(prior)
        dims = list(space.continuous_dims)
        if not dims or any(_is_extreme(component) for component in getattr(prior, "regions", ())):
            pytest.skip("nothing to differentiate, or steeper than finite differences can see")
        X = torch.cat([prior.sample(4, generator=seeded(1)), prior.sample(4, generator=seeded(2))])
        X[:, dims] = 0.02 + 0.96 * X[:, dims]  # off the ends of the range

        def log_prob(U: torch.Tensor) -> torch.Tensor:
            points = X.clone()
            points[:, dims] = U
            return prior.log_prob(points)

        assert torch.autograd.gradcheck(log_prob, X[:, dims].clone().requires_grad_(), eps=1e-7, rtol=1e-4)

    def test_gradient_is_finite_everywhere(self, prior: OptimumPrior) -> None:
        X = torch.cat([corners(space_of(prior)), prior.mode().unsqueeze(0), prior.sample(20, generator=seeded())])
        X.requires_grad_()
        prior.log_prob(X).sum().backward()  # type: ignore[no-untyped-call]
        assert X.grad is not None
        assert torch.isfinite(X.grad).all()

    def test_inputs_are_left_alone(self, prior: OptimumPrior) -> None:
        X = prior.sample(5, generator=seeded())
        before = X.clone()
        prior.log_prob(X)
        assert torch.equal(X, before)

    def test_log_range_covers_what_is_seen(self, prior: OptimumPrior) -> None:
        nodes, _ = quadrature(prior)
        values = prior.log_prob(nodes)
        if isinstance(prior, MixturePrior) and prior.regions and prior.uniform_weight == 0.0:
            assert prior.log_range == math.inf
            return
        assert math.isfinite(prior.log_range)
        # A correlated region's largest density is looked for, not known: see RegionPrior.max_log_prob.
        assert float(values.max() - values.min()) <= prior.log_range + 0.05


def _is_extreme(component: object) -> bool:
    scales = [
        scale
        for marginal in getattr(component, "marginals", {}).values()
        for scale in (getattr(marginal, "left_scale", 1.0), getattr(marginal, "right_scale", 1.0))
    ]
    return min(scales, default=1.0) < 1e-3


class TestDraws:
    @pytest.mark.parametrize("method", ["sample", "stratified_sample"])
    @pytest.mark.parametrize("n", [0, 1, 7])
    def test_legal_points(self, prior: OptimumPrior, method: str, n: int) -> None:
        X = getattr(prior, method)(n, generator=seeded())
        space = space_of(prior)
        assert X.shape == (n, len(space))
        assert X.dtype == torch.float64
        assert np.array_equal(X.numpy(), space.snap(X.numpy()))

    @pytest.mark.parametrize("method", ["sample", "stratified_sample"])
    def test_randomness_is_an_argument(self, prior: OptimumPrior, method: str) -> None:
        with random_state_stays():
            draw = getattr(prior, method)
            assert torch.equal(draw(9, generator=seeded(3)), draw(9, generator=seeded(3)))
            first, second = draw(200), draw(200)
            if space_of(prior).continuous_dims:
                assert not torch.equal(first, second)
            assert torch.isfinite(prior.log_prob(prior.mode()))
            assert prior.log_range >= 0.0

    def test_draws_follow_the_density(self, prior: OptimumPrior) -> None:
        assert chi_square_p_value(prior, prior.sample(4000, generator=seeded(11))) > 1e-3

    def test_single_stratified_draws_follow_the_density(self, prior: OptimumPrior) -> None:
        generator = seeded(12)
        draws = torch.cat([prior.stratified_sample(4, generator=generator)[:1] for _ in range(150)])
        assert chi_square_p_value(prior, draws) > 1e-3

    def test_negative_number_of_draws_is_refused(self, prior: OptimumPrior) -> None:
        with pytest.raises(PriorError, match="-1"):
            prior.sample(-1)

    def test_mode_is_legal_and_beats_the_average(self, prior: OptimumPrior) -> None:
        mode, space = prior.mode(), space_of(prior)
        assert mode.shape == (len(space),)
        assert np.array_equal(mode.numpy(), space.snap(mode.numpy()))
        space.decode(mode)
        assert float(prior.log_prob(mode)) >= -1e-12

    def test_survives_pickling_and_copying(self, prior: OptimumPrior) -> None:
        X = prior.sample(5, generator=seeded())
        assert torch.equal(pickle.loads(pickle.dumps(prior)).log_prob(X), prior.log_prob(X))
        assert torch.equal(copy.deepcopy(prior).log_prob(X), prior.log_prob(X))
        assert type(prior).__name__ in repr(prior)


class TestAnyPrior:
    @settings(max_examples=60)
    @given(prior=random_priors())
    def test_draws_are_legal_and_the_density_finite(self, prior: MixturePrior) -> None:
        X = torch.cat([prior.sample(5, generator=seeded()), prior.stratified_sample(5, generator=seeded())])
        assert np.array_equal(X.numpy(), prior.space.snap(X.numpy()))
        points = torch.cat([X, corners(prior.space), prior.mode().unsqueeze(0), prior.anchors()]).requires_grad_()
        values = prior.log_prob(points)
        assert torch.isfinite(values).all()
        assert values.min() >= math.log(prior.uniform_weight) - 1e-9
        values.sum().backward()  # type: ignore[no-untyped-call]
        assert points.grad is not None
        assert torch.isfinite(points.grad).all()
        torch.testing.assert_close(
            prior.responsibilities(X).sum(dim=-1), torch.ones(len(X), dtype=torch.float64), rtol=0, atol=1e-12
        )

    @settings(max_examples=40)
    @given(prior=random_priors(max_size=2), temperature=st.floats(0.1, 10))
    def test_mean_density_under_the_uniform_is_one(self, prior: MixturePrior, temperature: float) -> None:
        if any(_is_extreme(component) for component in prior.regions):
            return  # ridges that no tensor grid of moderate size resolves
        tempered = prior.tempered(temperature)
        nodes, _ = quadrature(tempered)
        if len(nodes) <= 200_000:
            # Grids of more than 1000 cells are integrated as if they were continuous: off by up to a cell at each step.
            huge = (c.n_values for c in prior.space.columns if c.kind == "grid" and (c.n_values or 1) > 1000)
            assert integral(tempered) == pytest.approx(1.0, abs=1e-6 + sum(1 / (n or 1) for n in huge))
