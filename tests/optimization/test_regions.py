"""The region that a point lies in, by its label."""

from __future__ import annotations

import math

import pytest
from optuna.distributions import FloatDistribution
from torch import Tensor

from llm_prior_bo import MixturePrior, PriorAnswer, Region, SearchSpace, UniformPrior, build_prior
from llm_prior_bo.optimization.regions import region_at, region_label

SPACE = SearchSpace({"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)})


class TestRegionOfAPoint:
    """A belief about x with 80 % in [0.2, 0.4], of which y = 1/2 says nothing."""

    @pytest.mark.parametrize(("x", "label"), [(0.3, "low rate"), (0.05, "low rate"), (0.95, None)])
    def test_the_one_with_the_largest_share_of_the_density(self, x: float, label: str | None) -> None:
        prior, point = labelled("low rate"), Tensor([x, 0.5]).double()
        share = float(prior.weights[0]) * math.exp(float(prior.regions[0].log_prob(point)))
        assert (share > prior.uniform_weight) == (label is not None)
        assert region_label(prior, point) == label
        found = region_at(prior, point)
        assert found is not None
        assert found[0] == label
        assert found[1] == pytest.approx(max(share, prior.uniform_weight) / (share + prior.uniform_weight))

    @pytest.mark.parametrize(("label", "shown"), [("", "region 1"), ("a\x1b[31m", "a\\u001b[31m")])
    def test_a_label_is_escaped_and_never_empty(self, label: str, shown: str) -> None:
        assert region_label(labelled(label), Tensor([0.3, 0.5]).double()) == shown

    def test_a_density_without_regions(self) -> None:
        assert region_label(UniformPrior(SPACE), Tensor([0.3, 0.5]).double()) is None
        assert region_label(MixturePrior(SPACE, (), (), 1.0), Tensor([0.3, 0.5]).double()) is None


def labelled(label: str) -> MixturePrior:
    answer = PriorAnswer.by_hand(numeric={"x": (0.3, 0.2, 0.4)})
    return build_prior(answer.model_copy(update={"regions": [Region(region=1, label=label, weight=1.0)]}), SPACE)
