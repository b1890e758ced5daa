"""One region: products, couplings, best points."""

from __future__ import annotations

import pytest
import torch
from optuna.distributions import FloatDistribution

from llm_prior_bo.errors import PriorError
from llm_prior_bo.priors import RegionPrior, SplitNormalMarginal
from llm_prior_bo.space import Column, SearchSpace
from tests.priors.cases import MIXED, PLANE, UNIT, coupled, mixed, region, seeded

DOUBLE = torch.float64


def test_is_the_product_of_its_marginals() -> None:
    one = mixed().regions[0]
    X = one.sample(20, generator=seeded())
    expected = sum((one.marginals[name].log_prob(X[:, j]) for j, name in enumerate(MIXED.names)), torch.zeros(20))
    torch.testing.assert_close(one.log_prob(X), expected.to(DOUBLE))
    assert one.max_log_prob == pytest.approx(sum(m.max_log_prob for m in one.marginals.values()))
    assert repr(one).startswith("RegionPrior('one', ['lr', 'depth', 'act']")


def test_silence_is_uniform() -> None:
    silent = region(MIXED, {})
    X = silent.sample(300, generator=seeded())
    assert torch.equal(silent.log_prob(X), torch.zeros(300, dtype=DOUBLE))
    assert silent.max_log_prob == 0.0
    assert set(X[:, 2].tolist()) == {0.0, 1.0, 2.0}


def test_only_correlated_columns_enter_the_copula() -> None:
    space = SearchSpace({name: UNIT for name in "abc"})
    beliefs = {name: (0.5, 0.1, 0.1) for name in "abc"}
    one = region(space, beliefs, {("c", "a"): 0.5})
    assert one.coupled == ("a", "c")
    assert one.copula is not None
    assert one.copula.correlation[0, 1] == 0.5
    V = torch.rand(50, 3, generator=seeded(), dtype=DOUBLE)
    assert torch.equal(one.transport(V)[:, 1], one.marginals["b"].icdf(V[:, 1]))


def test_tempering_keeps_correlations() -> None:
    one = coupled((0.4, 0.05, 0.1), (0.5, 0.1, 0.1), rho=0.7).regions[0]
    X = one.sample(10, generator=seeded())
    assert torch.equal(one.tempered(1.0).log_prob(X), one.log_prob(X))
    flat = one.tempered(9.0)
    assert flat.correlations == one.correlations
    marginal = flat.marginals["x"]
    assert isinstance(marginal, SplitNormalMarginal)
    assert marginal.left_scale == pytest.approx(0.15)
    with pytest.raises(PriorError, match="temperature"):
        one.tempered(0.0)


def test_widening_keeps_modes_correlations_and_silence() -> None:
    one = coupled((0.4, 0.05, 0.3), (0.5, 0.1, 0.1), rho=0.7).regions[0]
    wide = one.widened(0.2)
    assert (wide.correlations, wide.label, set(wide.marginals)) == (one.correlations, one.label, {"x", "y"})
    expected = {name: marginal.widened(0.2) for name, marginal in one.marginals.items()}
    assert wide.marginals == expected
    X = one.sample(10, generator=seeded())
    assert torch.equal(one.widened(0.0).log_prob(X), one.log_prob(X))
    silent = region(MIXED, {"lr": (0.3, 0.01, 0.01)}).widened(0.1)
    assert set(silent.marginals) == {"lr"}


class TestBest:
    def test_is_the_stated_best_guess(self) -> None:
        assert mixed().regions[0].best == pytest.approx({"lr": 0.3, "depth": 0.75, "act": 1.0})
        assert coupled((0.4, 0.05, 0.06), (0.5, 0.1, 0.1), rho=0.7).regions[0].best == {"x": 0.4, "y": 0.5}

    def test_gives_way_to_contradicting_correlations(self) -> None:
        # "Both at opposite ends" and "they rise together" cannot both hold.
        one = coupled((0.0, 0.3, 0.3), (1.0, 0.3, 0.3), rho=0.95).regions[0]
        best = torch.tensor([one.best["x"], one.best["y"]], dtype=DOUBLE)
        stated = torch.tensor([0.0, 1.0], dtype=DOUBLE)
        assert float(one.log_prob(best)) > float(one.log_prob(stated)) + 1.0


class TestRefuses:
    def test_unknown_names(self) -> None:
        marginal = SplitNormalMarginal(Column("z", UNIT), 0.5, 0.1, 0.1)
        with pytest.raises(PriorError, match="'z'"):
            RegionPrior(PLANE, {"z": marginal})

    def test_marginals_of_other_columns(self) -> None:
        marginal = SplitNormalMarginal(Column("x", FloatDistribution(0.0, 2.0)), 0.5, 0.1, 0.1)
        with pytest.raises(PriorError, match="column"):
            RegionPrior(PLANE, {"x": marginal})

    @pytest.mark.parametrize("pair", [("x", "y"), ("x", "z")])
    def test_correlations_without_a_marginal(self, pair: tuple[str, str]) -> None:
        with pytest.raises(PriorError, match="marginal"):
            region(PLANE, {"x": (0.5, 0.1, 0.1)}, {pair: 0.5})

    def test_impossible_correlations(self) -> None:
        beliefs = {"x": (0.5, 0.1, 0.1), "y": (0.5, 0.1, 0.1)}
        with pytest.raises(PriorError, match=r"\[-1, 1\]"):
            region(PLANE, beliefs, {("x", "y"): 1.5})
        with pytest.raises(PriorError, match="itself"):
            region(PLANE, beliefs, {("x", "x"): 0.5})

    def test_points_of_another_dimension(self) -> None:
        with pytest.raises(PriorError, match="batch_shape x 2"):
            region(PLANE, {"x": (0.5, 0.1, 0.1)}).log_prob(torch.zeros(3, 3))
