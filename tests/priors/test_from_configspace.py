"""Priors that are written as a ConfigSpace, against the densities of ConfigSpace itself where it is installed."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo import MixturePrior, SearchSpace, prior_from_configspace
from llm_prior_bo.errors import ConfigurationError, PriorError
from llm_prior_bo.priors import CategoricalMarginal, SplitNormalMarginal

LOG = FloatDistribution(1e-4, 1.0, log=True)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ConfigSpace", None)
    something: Any = object()
    with pytest.raises(ConfigurationError, match="ConfigSpace, which is not installed"):
        prior_from_configspace(something, SearchSpace({"x": LOG}))


class TestWithThePackage:
    @pytest.fixture
    def cs(self) -> Any:
        return pytest.importorskip("ConfigSpace")

    def prior(self, cs: Any, distribution: BaseDistribution, *parameters: Any, **options: Any) -> MixturePrior:
        configspace = cs.ConfigurationSpace(name="mine", space=list(parameters))
        return prior_from_configspace(configspace, SearchSpace({"x": distribution}), **options)

    def normal(self, cs: Any, distribution: BaseDistribution, parameter: Any, **options: Any) -> SplitNormalMarginal:
        marginal = self.prior(cs, distribution, parameter, **options).regions[0].marginals["x"]
        assert isinstance(marginal, SplitNormalMarginal)
        return marginal

    @pytest.mark.parametrize(
        ("log", "low", "high", "mu", "sigma"),
        [(False, -1, 3, 0.5, 0.7), (True, 1e-4, 1, 0.01, 5), (True, 1, 1000, 20, 2)],
    )
    def test_a_normal_is_the_same(self, cs: Any, log: bool, low: float, high: float, mu: float, sigma: float) -> None:
        parameter = cs.NormalFloatHyperparameter("x", mu=mu, sigma=sigma, lower=low, upper=high, log=log)
        marginal = self.normal(cs, FloatDistribution(low, high, log=log), parameter)
        values = marginal.column.from_unit(np.linspace(0.05, 0.95, 7))
        ours = np.exp([float(marginal.log_prob(_tensor(marginal.column.to_unit(v)))) for v in values])
        # ConfigSpace's density is in its own unit coordinate as well.
        np.testing.assert_allclose(ours, parameter.pdf_vector(parameter.to_vector(values)), rtol=1e-6)

    def test_a_normal_over_integers_is_nearly_the_same(self, cs: Any) -> None:
        parameter = cs.NormalIntegerHyperparameter("x", mu=5, sigma=2, lower=1, upper=20)
        marginal = self.normal(cs, IntDistribution(1, 20), parameter)
        assert marginal.table is not None
        theirs = parameter.pdf_values(list(range(1, 21)))
        np.testing.assert_allclose(marginal.table.exp().numpy() / 20, theirs / theirs.sum(), atol=0.01)

    def test_another_range(self, cs: Any) -> None:
        parameter = cs.NormalFloatHyperparameter("x", mu=1, sigma=1, lower=0, upper=2)
        marginal = self.normal(cs, FloatDistribution(0, 10), parameter)
        assert marginal.mode_unit == marginal.left_scale == pytest.approx(0.1)

    @pytest.mark.parametrize(("alpha", "beta"), [(3, 5), (8, 2.5), (1, 4), (4, 1)])
    def test_a_beta_has_its_mode_and_is_as_wide(self, cs: Any, alpha: float, beta: float) -> None:
        parameter = cs.BetaFloatHyperparameter("x", alpha=alpha, beta=beta, lower=0, upper=2)
        marginal = self.normal(cs, FloatDistribution(0, 2), parameter)
        assert marginal.mode_unit == pytest.approx((alpha - 1) / (alpha + beta - 2))
        u = np.linspace(0.0005, 0.9995, 1000)
        theirs = parameter.pdf_vector(u)
        ours = marginal.log_prob(_tensor(u)).exp().numpy()
        assert np.abs(np.cumsum(ours) - np.cumsum(theirs)).max() / 1000 < 0.06  # distribution functions

    def test_a_beta_on_the_log_scale(self, cs: Any) -> None:
        parameter = cs.BetaFloatHyperparameter("x", alpha=3, beta=3, lower=1e-4, upper=1, log=True)
        marginal = self.normal(cs, LOG, parameter)
        assert marginal.mode_unit == pytest.approx(0.5)
        assert marginal.left_scale == pytest.approx(marginal.right_scale)

    def test_a_flat_beta_is_no_prior(self, cs: Any) -> None:
        with pytest.raises(PriorError, match=r"without any, with \['x'\]"):
            self.prior(cs, LOG, cs.BetaFloatHyperparameter("x", alpha=1, beta=1, lower=1e-4, upper=1, log=True))

    def test_weights_of_choices(self, cs: Any) -> None:
        parameter = cs.CategoricalHyperparameter("x", ["a", "b", "gone"], weights=[1, 3, 4])
        prior = self.prior(cs, CategoricalDistribution(["a", "b", "new"]), parameter)
        marginal = prior.regions[0].marginals["x"]
        assert isinstance(marginal, CategoricalMarginal)
        assert marginal.probabilities == pytest.approx((2 / 3 / 4, 2 / 3 * 3 / 4, 1 / 3))

    def test_defaults_where_asked_for(self, cs: Any) -> None:
        configspace = cs.ConfigurationSpace(
            space=[
                cs.UniformFloatHyperparameter("x", 1e-4, 1, default_value=1e-3, log=True),
                cs.UniformIntegerHyperparameter("n", 1, 9, default_value=3),
                cs.CategoricalHyperparameter("c", ["a", "b"], default_value="b"),
                cs.OrdinalHyperparameter("o", ["low", "high"], default_value="high"),
                cs.Constant("k", 1),
            ]
        )
        space = SearchSpace(
            {
                "x": LOG,
                "n": IntDistribution(1, 9),
                "c": CategoricalDistribution(["a", "b"]),
                "o": CategoricalDistribution(["low", "high"]),
                "k": FloatDistribution(0, 2),
                "other": FloatDistribution(0, 2),
            }
        )
        with pytest.raises(PriorError, match=r"default_scale=0\.25"):
            prior_from_configspace(configspace, space)
        region = prior_from_configspace(configspace, space, default_scale=0.25).regions[0]
        assert list(region.marginals) == ["x", "n", "c", "o"]
        found = region.marginals["x"]
        assert isinstance(found, SplitNormalMarginal)
        assert found.left_scale == 0.25
        assert found.mode_unit == pytest.approx(0.25)
        for name in ("c", "o"):
            table = region.marginals[name]
            assert isinstance(table, CategoricalMarginal)
            assert table.probabilities == pytest.approx((1 / 3, 2 / 3))

    def test_kinds_that_do_not_go_together_are_no_opinion(self, cs: Any) -> None:
        number = cs.NormalFloatHyperparameter("x", mu=1, sigma=1, lower=0, upper=2)
        choice = cs.CategoricalHyperparameter("x", ["a", "b"], weights=[1, 2])
        for distribution, parameter in ((CategoricalDistribution([1, 2]), number), (FloatDistribution(0, 2), choice)):
            with pytest.raises(PriorError, match="without any"):
                self.prior(cs, distribution, parameter)

    def test_choices_none_of_which_is_there_any_more(self, cs: Any) -> None:
        with pytest.raises(PriorError, match="without any"):
            self.prior(
                cs, CategoricalDistribution(["c"]), cs.CategoricalHyperparameter("x", ["a", "b"], weights=[1, 2])
            )
        with pytest.raises(PriorError, match="without any"):
            self.prior(
                cs, CategoricalDistribution(["c", "d"]), cs.CategoricalHyperparameter("x", ["a", "b"], weights=[1, 2])
            )

    def test_another_scale(self, cs: Any) -> None:
        default = cs.UniformFloatHyperparameter("x", 1e-4, 1, default_value=0.01)
        assert self.normal(cs, LOG, default, default_scale=0.2).mode_unit == pytest.approx(0.5)
        with pytest.raises(PriorError, match="got it linear in the ConfigSpace only"):
            self.prior(cs, LOG, cs.NormalFloatHyperparameter("x", mu=0.5, sigma=0.1, lower=1e-4, upper=1))

    def test_weights_and_label(self, cs: Any) -> None:
        parameter = cs.NormalFloatHyperparameter("x", mu=1, sigma=1, lower=0, upper=2)
        prior = self.prior(cs, FloatDistribution(0, 2), parameter, confidence=1.0)
        assert prior.weights.tolist() == pytest.approx([0.95])
        assert prior.regions[0].label == "ConfigSpace mine"

    @pytest.mark.parametrize("options", [{"confidence": 1.5}, {"default_scale": 0.0}])
    def test_options(self, cs: Any, options: dict[str, float]) -> None:
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            self.prior(cs, LOG, **options)

    def test_something_else(self, cs: Any) -> None:  # noqa: ARG002 - the package has to be there
        something: Any = {"x": (0, 1)}
        with pytest.raises(ConfigurationError, match=r"Expected a ConfigSpace\.ConfigurationSpace"):
            prior_from_configspace(something, SearchSpace({"x": LOG}))


def _tensor(values: Any) -> Any:
    import torch

    return torch.as_tensor(values, dtype=torch.float64)
