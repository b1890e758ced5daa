"""Mixtures: weights, responsibilities, anchors, pools."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from llm_prior_bo.errors import PriorError
from llm_prior_bo.priors import MixturePrior, OptimumPrior, UniformPrior, pool_priors
from tests.priors.cases import MIXED, PLANE, UNIT, coupled_mixed, mixed, region, seeded, single

DOUBLE = torch.float64
SCALES = (0.0, 0.01, 0.1, 1.0, 10.0)


class TestWeights:
    def test_are_normalised_together(self) -> None:
        prior = single(UNIT, (0.2, 0.1, 0.1), (0.8, 0.1, 0.1), uniform_weight=2.0)
        torch.testing.assert_close(prior.weights, torch.tensor([0.25, 0.25], dtype=DOUBLE))
        assert prior.uniform_weight == 0.5

    def test_log_prob_is_the_weighted_sum(self) -> None:
        prior = coupled_mixed()
        X = prior.sample(30, generator=seeded())
        components = prior.component_log_prob(X).exp()
        assert components.shape == (30, 2)
        for k, component in enumerate(prior.regions):
            torch.testing.assert_close(components[:, k], component.log_prob(X).exp())
        expected = (components @ prior.weights + prior.uniform_weight).log()
        torch.testing.assert_close(prior.log_prob(X), expected)

    def test_with_weights_equals_a_new_prior(self) -> None:
        prior = mixed()
        before = prior.weights, prior.uniform_weight, prior.anchors()
        other = prior.with_weights([1.0, 0.0, 3.0], 1.0)
        rebuilt = MixturePrior(MIXED, prior.regions, [1.0, 0.0, 3.0], 1.0)
        X = prior.sample(20, generator=seeded())
        assert torch.equal(other.log_prob(X), rebuilt.log_prob(X))
        assert torch.equal(other.anchors(), rebuilt.anchors())
        assert other.log_range == rebuilt.log_range
        assert torch.equal(prior.weights, before[0])
        assert prior.uniform_weight == before[1]
        assert torch.equal(prior.anchors(), before[2])

    def test_returned_tensors_are_copies(self) -> None:
        prior = mixed()
        prior.weights.zero_()
        prior.anchors().zero_()
        prior.mode().zero_()
        assert float(prior.weights.sum()) > 0.0
        assert float(prior.anchors().sum()) > 0.0
        assert float(prior.mode().sum()) > 0.0

    def test_weights_of_any_size(self) -> None:
        prior = mixed().with_weights([1e-300, 1e308, 1e308], 0.0)
        torch.testing.assert_close(prior.weights, torch.tensor([0.0, 0.5, 0.5], dtype=DOUBLE))

    def test_without_floor_nothing_is_nan(self) -> None:
        prior = single(UNIT, (0.5, 1e-9, 1e-9), (0.1, 0.1, 0.1), uniform_weight=0.0).with_weights([1.0, 0.0], 0.0)
        X = torch.tensor([[0.0], [0.5], [1.0]], dtype=DOUBLE, requires_grad=True)
        values = prior.log_prob(X)
        values.sum().backward()  # type: ignore[no-untyped-call]
        assert torch.isfinite(values).all()
        assert X.grad is not None
        assert torch.isfinite(X.grad).all()
        assert prior.log_range == math.inf

    @pytest.mark.parametrize(
        ("weights", "uniform_weight", "complaint"),
        [
            ([0.5], 0.5, "3 weights"),
            ([0.5, 0.5, -0.1], 0.1, "non-negative"),
            ([0.5, 0.5, math.nan], 0.1, "finite"),
            ([0.0, 0.0, 0.0], 0.0, "all zero"),
            ([0.5, 0.5, 0.5], math.inf, "finite"),
        ],
    )
    def test_refuses(self, weights: list[float], uniform_weight: float, complaint: str) -> None:
        with pytest.raises(PriorError, match=complaint):
            mixed().with_weights(weights, uniform_weight)

    def test_refuses_regions_of_another_space(self) -> None:
        with pytest.raises(PriorError, match="another space"):
            MixturePrior(PLANE, mixed().regions, [1.0, 1.0, 1.0], 0.1)


class TestWidened:
    def test_every_region_and_no_weight(self) -> None:
        prior = mixed()
        wide = prior.widened(0.2)
        X = prior.sample(20, generator=seeded())
        expected = torch.stack([region.widened(0.2).log_prob(X) for region in prior.regions], dim=-1)
        torch.testing.assert_close(wide.component_log_prob(X), expected)
        torch.testing.assert_close(wide.weights, prior.weights)
        assert wide.uniform_weight == pytest.approx(prior.uniform_weight)
        assert [region.label for region in wide.regions] == [region.label for region in prior.regions]

    def test_by_nothing(self) -> None:
        prior = coupled_mixed()
        X = prior.sample(20, generator=seeded())
        torch.testing.assert_close(prior.widened(0.0).log_prob(X), prior.log_prob(X), rtol=1e-13, atol=1e-13)

    def test_peaks_become_flatter_and_stay_where_they_are(self) -> None:
        prior = single(UNIT, (0.2, 1e-3, 1e-3), (0.8, 0.3, 0.3))
        heights = [
            float(prior.widened(scale).component_log_prob(torch.tensor([0.2], dtype=DOUBLE))[0]) for scale in SCALES
        ]
        assert heights == sorted(heights, reverse=True)
        assert heights[-1] == pytest.approx(0.0, abs=0.05)
        torch.testing.assert_close(prior.widened(0.1).anchors(), prior.anchors())


class TestResponsibilities:
    def test_are_posterior_probabilities(self) -> None:
        prior = mixed()
        X = prior.sample(30, generator=seeded())
        shares = prior.responsibilities(X)
        assert shares.shape == (30, 4)
        joint = torch.cat([prior.component_log_prob(X).exp() * prior.weights, torch.full((30, 1), 0.1)], dim=-1)
        torch.testing.assert_close(shares, joint / joint.sum(dim=-1, keepdim=True), check_dtype=False)

    def test_far_away_belongs_to_the_uniform(self) -> None:
        prior = single(UNIT, (0.1, 0.001, 0.001))
        assert float(prior.responsibilities(torch.tensor([0.9], dtype=DOUBLE))[-1]) == pytest.approx(1.0)


class TestAnchors:
    def test_gaps_are_filled_by_the_heaviest_region_with_an_opinion(self) -> None:
        # Weights .5, .3, .1; "two" is silent about depth, "three" about lr and act.
        anchors = mixed().anchors()
        np.testing.assert_allclose(anchors, [[0.3, 0.75, 1.0], [0.9, 0.75, 2.0], [0.3, 1 / 12, 1.0]])
        heavier = mixed().with_weights([0.1, 0.5, 0.3], 0.1).anchors()
        np.testing.assert_allclose(heavier, [[0.3, 0.75, 1.0], [0.9, 1 / 12, 2.0], [0.9, 1 / 12, 2.0]])

    def test_gaps_everywhere_are_filled_by_the_centre(self) -> None:
        prior = MixturePrior(MIXED, [region(MIXED, {"lr": (0.1, 0.1, 0.1)})], [0.9], 0.1)
        np.testing.assert_allclose(prior.anchors(), [[0.1, float(MIXED.columns[1].snap(0.5)), 0.0]])

    def test_mode_is_the_best_anchor(self) -> None:
        prior = single(UNIT, (0.2, 0.3, 0.3), (0.8, 0.01, 0.01))
        assert float(prior.mode()) == 0.8
        assert prior.anchors().shape == (2, 1)
        assert MixturePrior(MIXED, [], [], 1.0).anchors().shape == (0, 3)


class TestStratifiedSample:
    def test_components_in_proportion(self) -> None:
        prior = single(UNIT, (0.1, 1e-3, 1e-3), (0.5, 1e-3, 1e-3), uniform_weight=0.0).with_weights([0.5, 0.5], 0.0)
        for seed in range(20):
            near = prior.stratified_sample(4, generator=seeded(seed))[:, 0] < 0.3
            assert int(near.sum()) == 2

    def test_covers_more_evenly_than_independent_draws(self) -> None:
        prior = single(UNIT, (0.5, 0.2, 0.2), uniform_weight=0.0)
        marginal = prior.regions[0].marginals["x"]
        exact = float(prior.sample(200_000, generator=seeded(9)).mean())

        def error(method: str) -> float:
            draws = [getattr(prior, method)(16, generator=seeded(seed)).mean() for seed in range(50)]
            return float(np.std([float(draw) - exact for draw in draws]))

        assert marginal.mode == 0.5
        assert error("stratified_sample") < 0.3 * error("sample")


class TestLogRange:
    def test_is_exact_for_one_product(self) -> None:
        prior = single(UNIT, (0.3, 0.1, 0.2))
        spread = prior.log_prob(torch.tensor([0.3], dtype=DOUBLE)) - math.log(prior.uniform_weight)
        assert prior.log_range == pytest.approx(float(spread))

    def test_of_no_opinion(self) -> None:
        assert MixturePrior(MIXED, [], [], 1.0).log_range == 0.0
        assert MixturePrior(MIXED, [], [], 1.0).uniform_weight == 1.0


class TestPool:
    def test_is_the_mean_density(self) -> None:
        priors: list[OptimumPrior] = [mixed(), UniformPrior(MIXED), mixed().tempered(4.0)]
        X = mixed().sample(30, generator=seeded())
        for weights in (None, [3.0, 1.0, 0.0]):
            shares = np.array(weights or [1.0, 1.0, 1.0])
            expected = sum(s * p.log_prob(X).exp() for s, p in zip(shares / shares.sum(), priors, strict=True))
            assert isinstance(expected, torch.Tensor)
            torch.testing.assert_close(pool_priors(priors, weights=weights).log_prob(X).exp(), expected)

    def test_of_one_prior_is_that_prior(self) -> None:
        X = mixed().sample(10, generator=seeded())
        torch.testing.assert_close(pool_priors([mixed()]).log_prob(X), mixed().log_prob(X))

    def test_refuses(self) -> None:
        with pytest.raises(PriorError, match="at least one"):
            pool_priors([])
        with pytest.raises(PriorError, match="weights"):
            pool_priors([mixed()], weights=[1.0, 2.0])
        with pytest.raises(PriorError, match="weights"):
            pool_priors([mixed()], weights=[-1.0])
        with pytest.raises(PriorError, match="zeros"):
            pool_priors([mixed()], weights=[0.0])
        with pytest.raises(PriorError, match="one space"):
            pool_priors([mixed(), UniformPrior(PLANE)])
        with pytest.raises(PriorError, match="SomeonesPrior"):
            pool_priors([SomeonesPrior()])


class SomeonesPrior(OptimumPrior):
    """A prior that knows only what it must."""

    dim = 1
    log_range = 0.0

    def log_prob(self, X: object) -> torch.Tensor:
        return torch.zeros(len(X), dtype=DOUBLE) if isinstance(X, torch.Tensor) else torch.zeros(0)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> torch.Tensor:
        return torch.rand(n, 1, generator=generator, dtype=DOUBLE)

    def mode(self) -> torch.Tensor:
        return torch.zeros(1, dtype=DOUBLE)


def test_stratified_sample_falls_back_to_sample() -> None:
    prior = SomeonesPrior()
    assert torch.equal(prior.stratified_sample(3, generator=seeded()), prior.sample(3, generator=seeded()))


def test_the_inner_loop_is_not_over_points() -> None:
    """As many calls for 500 points as for two: how long they take is the machine's business."""
    prior = mixed()
    counts = []
    for n in (1, 2, 500):  # the first one is for what is worked out once
        X = prior.sample(n, generator=seeded())
        counts.append(n_calls(partial(prior.log_prob, X)))
    assert counts[1] == counts[2]


def n_calls(function: Callable[[], object]) -> int:
    """How many functions a function calls in all, of Python and of C."""
    events: list[str] = []

    def note(_: object, event: str, __: object) -> None:
        events.append(event)

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return events.count("call") + events.count("c_call")


class TestOpinion:
    def test_without_regions_or_words_there_is_none(self) -> None:
        silent = region(PLANE, {})
        assert MixturePrior(PLANE, [], [], 1.0).is_uniform
        assert MixturePrior(PLANE, [silent, silent], [0.5, 0.4], 0.1).is_uniform
        assert UniformPrior(PLANE).is_uniform

    def test_a_region_counts_with_its_weight(self) -> None:
        prior = mixed()
        assert not prior.is_uniform
        assert prior.with_weights([0.0] * len(prior.regions), 1.0).is_uniform
