"""Good trials of earlier studies as a prior."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import optuna
import pytest
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from scipy import stats

from llm_prior_bo import PriorAnswer, SearchSpace, UniformPrior, build_prior, pool_priors, prior_from_study
from llm_prior_bo.errors import ConfigurationError, PriorError
from llm_prior_bo.priors import CategoricalMarginal, RegionPrior, SplitNormalMarginal
from llm_prior_bo.study.past_studies import DEFAULT_MIN_SCALE

UNIT = FloatDistribution(0.0, 1.0)
X_ONLY = SearchSpace({"x": UNIT})


def study_of(
    rows: Sequence[tuple[Mapping[str, Any], float | Sequence[float]]],
    distributions: Mapping[str, BaseDistribution],
    *,
    directions: Sequence[Literal["minimize", "maximize"]] = ("minimize",),
    name: str | None = None,
) -> optuna.Study:
    """A study with given trials; each has the distributions of its own parameters."""
    study = optuna.create_study(directions=list(directions), study_name=name)
    for params, values in rows:
        own = {parameter: distributions[parameter] for parameter in params}
        trial = optuna.create_trial(
            params=dict(params), distributions=own, values=[values] if isinstance(values, int | float) else list(values)
        )
        study.add_trial(trial)
    return study


def line(best: float, *, n: int = 20, distribution: BaseDistribution = UNIT, **options: Any) -> optuna.Study:
    """`n` evenly spread values of `x`, the better the closer to `best`."""
    low, high = distribution.low, distribution.high  # type: ignore[attr-defined]
    values = np.linspace(low, high, n)
    return study_of([({"x": float(v)}, abs(float(v) - best)) for v in values], {"x": distribution}, **options)


def marginal(region: RegionPrior, name: str = "x") -> SplitNormalMarginal:
    found = region.marginals[name]
    assert isinstance(found, SplitNormalMarginal)
    return found


def table(region: RegionPrior, name: str) -> tuple[float, ...]:
    found = region.marginals[name]
    assert isinstance(found, CategoricalMarginal)
    return found.probabilities


class TestNumeric:
    def test_mean_and_width_of_the_best(self) -> None:
        values = [0.1, 0.2, 0.6]
        study = study_of([*(({"x": v}, 0.0) for v in values), ({"x": 0.9}, 1.0)], {"x": UNIT})
        found = marginal(prior_from_study(study, X_ONLY, top=3, min_scale=0.05).regions[0])
        # The half width of the 80 % prediction interval for a fourth value, by hand.
        half = stats.t(2).ppf(0.9) * np.std(values, ddof=1) * math.sqrt(1 + 1 / 3)
        assert found.mode_unit == pytest.approx(0.3)
        assert found.left_scale == found.right_scale == pytest.approx(math.hypot(half / stats.norm.ppf(0.9), 0.05))

    def test_is_never_narrow(self) -> None:
        study = study_of([({"x": 0.4}, 0.0)] * 50, {"x": UNIT})
        assert marginal(prior_from_study(study, X_ONLY, top=50).regions[0]).left_scale == DEFAULT_MIN_SCALE

    def test_a_single_trial(self) -> None:
        found = marginal(prior_from_study(line(0.0), X_ONLY, top=1, min_scale=0.1).regions[0])
        assert found.mode_unit == 0.0
        assert found.left_scale == pytest.approx(0.1 * math.sqrt(2.0))

    def test_the_direction(self) -> None:
        rows = [({"x": v}, v) for v in (0.0, 0.5, 1.0)]
        low, high = study_of(rows, {"x": UNIT}), study_of(rows, {"x": UNIT}, directions=["maximize"])
        assert marginal(prior_from_study(low, X_ONLY, top=1).regions[0]).mode_unit == 0.0
        assert marginal(prior_from_study(high, X_ONLY, top=1).regions[0]).mode_unit == 1.0

    def test_ties_are_all_taken(self) -> None:
        study = study_of([({"x": v}, 0.0) for v in (0.0, 0.25, 0.5)], {"x": UNIT})
        prior = prior_from_study(study, X_ONLY, top=1)
        assert marginal(prior.regions[0]).mode_unit == 0.25
        assert prior.regions[0].label.endswith("best 3 of 3 trials")

    @pytest.mark.parametrize(("top", "n"), [(5, 5), (0.15, 3), (0.01, 1), (1000, 20)])
    def test_a_share_or_a_count(self, top: float, n: int) -> None:
        prior = prior_from_study(line(0.0), X_ONLY, top=top)
        assert prior.regions[0].label.endswith(f"best {n} of 20 trials")

    def test_other_scales_and_kinds_are_read_on_the_new_one(self) -> None:
        space = SearchSpace({"x": FloatDistribution(1e-4, 1.0, log=True)})
        linear = study_of([({"x": 0.01}, 0.0)], {"x": FloatDistribution(0.0, 1.0)})
        choices = study_of([({"x": 0.01}, 0.0)], {"x": CategoricalDistribution([0.01, 0.1])})
        for study in (linear, choices):
            assert marginal(prior_from_study(study, space).regions[0]).mode_unit == pytest.approx(0.5)
        whole = study_of([({"x": 3}, 0.0)], {"x": IntDistribution(1, 5)})
        assert (
            marginal(prior_from_study(whole, SearchSpace({"x": FloatDistribution(1, 5)})).regions[0]).mode_unit == 0.5
        )
        assert prior_from_study(whole, SearchSpace({"x": IntDistribution(1, 5)})).mode().tolist() == [0.5]

    def test_values_outside_the_range_count_as_its_bound(self) -> None:
        found = marginal(prior_from_study(line(0.9), SearchSpace({"x": FloatDistribution(0.0, 0.5)})).regions[0])
        assert found.mode_unit == 1.0

    def test_an_end_that_the_best_press_against_and_that_is_none_any_more(self) -> None:
        wider = SearchSpace({"x": FloatDistribution(-2.0, 2.0)})
        at_end = marginal(prior_from_study(line(1.0), wider, top=1, min_scale=0.05).regions[0])
        assert at_end.mode_unit == 0.75
        assert at_end.right_scale == pytest.approx(0.25)
        assert at_end.left_scale == pytest.approx(0.05 * math.sqrt(2.0))
        same = study_of([({"n": 1}, 0.0)], {"n": IntDistribution(1, 4)})
        at_same_end = marginal(
            prior_from_study(same, SearchSpace({"n": IntDistribution(1, 4)}), min_scale=0.05).regions[0], "n"
        )
        assert at_same_end.left_scale == at_same_end.right_scale
        at_start = marginal(prior_from_study(line(0.0), wider, top=1, min_scale=0.05).regions[0])
        assert at_start.mode_unit == at_start.left_scale == pytest.approx(0.5)
        inside = marginal(prior_from_study(line(0.5, n=21), wider, top=1, min_scale=0.05).regions[0])
        assert inside.right_scale == inside.left_scale


class TestCategorical:
    space = SearchSpace({"c": CategoricalDistribution(["a", "b", "new"])})
    old = CategoricalDistribution(["a", "b", "gone"])

    def test_shares_and_a_choice_that_the_study_did_not_have(self) -> None:
        rows = [({"c": c}, 0.0) for c in "aaab"] + [({"c": "gone"}, 0.0)]
        p = table(prior_from_study(study_of(rows, {"c": self.old}), self.space, top=5).regions[0], "c")
        # Of the known two thirds: 1 + 2 * 3/4 and 1 + 2 * 1/4 of 4.
        assert p == pytest.approx((2 / 3 * 2.5 / 4, 2 / 3 * 1.5 / 4, 1 / 3))

    def test_few_trials_count_as_what_they_are(self) -> None:
        study = study_of([({"c": "a"}, 0.0)], {"c": CategoricalDistribution(["a", "b", "new"])})
        assert table(prior_from_study(study, self.space).regions[0], "c") == pytest.approx((2 / 4, 1 / 4, 1 / 4))

    def test_numbers_that_are_choices_now(self) -> None:
        space = SearchSpace({"c": CategoricalDistribution([16, 32, "auto"])})
        study = study_of([({"c": 32}, 0.0), ({"c": 20}, 0.0)], {"c": IntDistribution(16, 64)})
        assert table(prior_from_study(study, space, top=2).regions[0], "c") == pytest.approx((2 / 9, 4 / 9, 1 / 3))

    def test_only_choices_that_are_gone(self) -> None:
        study = study_of([({"c": "gone", "x": 0.5}, 0.0)], {"c": self.old, "x": UNIT})
        space = SearchSpace({**self.space.distributions, "x": UNIT})
        assert list(prior_from_study(study, space).regions[0].marginals) == ["x"]


class TestParameters:
    def test_what_is_missing_is_no_opinion(self) -> None:
        space = SearchSpace({"x": UNIT, "new": UNIT, "fixed": IntDistribution(1, 1)})
        study = study_of(
            [({"x": 0.5, "old": 0.5, "fixed": 1}, 0.0)], {"x": UNIT, "old": UNIT, "fixed": IntDistribution(1, 1)}
        )
        assert list(prior_from_study(study, space).regions[0].marginals) == ["x"]

    def test_conditional_ones_are_read_where_they_are(self) -> None:
        kinds = CategoricalDistribution(["a", "b"])
        rows: list[tuple[dict[str, Any], float]] = [
            ({"kind": "a", "x": 0.2}, 0.0),
            ({"kind": "b"}, 0.1),
            ({"kind": "a", "x": 0.4}, 0.2),
            ({"kind": "b"}, 9.0),
        ]
        study = study_of(rows, {"kind": kinds, "x": UNIT})
        region = prior_from_study(study, SearchSpace({"kind": kinds, "x": UNIT}), top=3).regions[0]
        assert marginal(region).mode_unit == pytest.approx(0.3)
        assert table(region, "kind") == pytest.approx(((1 + 4 / 3) / 4, (1 + 2 / 3) / 4))


class TestStudies:
    def test_one_region_a_study(self) -> None:
        prior = prior_from_study([line(0.2, name="first"), line(0.8, name="second")], X_ONLY, top=1, confidence=0.6)
        assert prior.weights.tolist() == pytest.approx([0.3, 0.3])
        assert prior.uniform_weight == pytest.approx(0.4)
        assert [region.label for region in prior.regions] == [
            "study first: best 1 of 20 trials",
            "study second: best 1 of 20 trials",
        ]

    def test_the_uniform_floor_stays(self) -> None:
        assert prior_from_study(line(0.2), X_ONLY, confidence=1.0).uniform_weight == pytest.approx(0.05)

    def test_regions_of_all_sources_pool_and_keep_their_labels(self) -> None:
        by_hand = build_prior(PriorAnswer.by_hand(numeric={"x": (0.5, 0.4, 0.6)}), X_ONLY)
        past = prior_from_study(line(0.2, name="first"), X_ONLY)
        pooled = pool_priors([by_hand, past, UniformPrior(X_ONLY)], weights=[2, 1, 1])
        assert [region.label for region in pooled.regions] == ["by hand", "study first: best 3 of 20 trials"]
        assert pooled.weights.tolist() == pytest.approx([0.8 * 2 / 4, 0.8 / 4])

    def test_several_objectives(self) -> None:
        rows = [({"x": 0.1}, (0.0, 1.0)), ({"x": 0.3}, (1.0, 0.0)), ({"x": 0.9}, (2.0, 2.0)), ({"x": 0.9}, (2.0, 2.0))]
        front = study_of(rows, {"x": UNIT}, directions=["minimize", "minimize"])
        assert marginal(prior_from_study(front, X_ONLY, top=1).regions[0]).mode_unit == pytest.approx(0.2)
        assert prior_from_study(front, X_ONLY, top=3).regions[0].label.endswith("best 4 of 4 trials")
        mixed = study_of(rows, {"x": UNIT}, directions=["maximize", "minimize"])
        assert prior_from_study(mixed, X_ONLY, top=1).regions[0].label.endswith("best 3 of 4 trials")

    def test_trials_that_do_not_count(self) -> None:
        def objective(trial: optuna.Trial) -> float:
            x = trial.suggest_float("x", 0, 1)
            trial.set_constraint("c", 1.0 if trial.number == 0 else 0.0)
            if trial.number == 1:
                raise optuna.TrialPruned
            return math.inf if trial.number == 2 else x

        study = optuna.create_study()
        for x in (0.0, 0.1, 0.2, 0.5, 0.9):
            study.enqueue_trial({"x": x})
        study.enqueue_trial({"x": 0.3})
        study.optimize(objective, n_trials=5)
        prior = prior_from_study(study, X_ONLY, top=1)
        assert marginal(prior.regions[0]).mode_unit == 0.5
        assert prior.regions[0].label.endswith("best 1 of 2 trials")


class TestCalibration:
    """Of random objectives nothing can be learned: then the prior may not cost much."""

    def test_noise_costs_little(self) -> None:
        d = 8
        space = SearchSpace({f"x{j}": UNIT for j in range(d)} | {"c": CategoricalDistribution(list("abcd"))})
        rng = np.random.default_rng(0)
        losses = []
        for _ in range(20):
            rows = [
                (
                    {f"x{j}": float(rng.random()) for j in range(d)} | {"c": str(rng.choice(list("abcd")))},
                    float(rng.random()),
                )
                for _ in range(30)
            ]
            prior = prior_from_study(study_of(rows, space.distributions), space, top=5)
            X = UniformPrior(space).sample(500, generator=torch.Generator().manual_seed(0))
            losses.append(float(prior.log_prob(X).mean()))
        assert np.mean(losses) > -0.25
        assert min(losses) > -0.5

    def test_a_related_problem_gains(self) -> None:
        space = SearchSpace({f"x{j}": UNIT for j in range(4)})
        rng = np.random.default_rng(0)
        gains = []
        for _ in range(20):
            centre = rng.random(4)
            near = np.clip(centre + rng.normal(0, 0.15, 4), 0, 1)
            rows = [
                (dict(zip(space.names, x.tolist(), strict=True)), float(np.square(x - centre).sum()))
                for x in rng.random((30, 4))
            ]
            prior = prior_from_study(study_of(rows, space.distributions), space, top=5)
            gains.append(float(prior.log_prob(near[None])[0]))
        assert np.mean(gains) > 0.5


class TestErrors:
    def test_no_study(self) -> None:
        with pytest.raises(ConfigurationError, match="at least one earlier study, got none"):
            prior_from_study([], X_ONLY)

    def test_no_finished_trial(self) -> None:
        study = optuna.create_study(study_name="empty")
        study.ask()
        with pytest.raises(ConfigurationError, match=r"'empty' with none in 1 trials; leave it out"):
            prior_from_study([line(0.2), study], X_ONLY)

    def test_no_shared_parameter(self) -> None:
        study = study_of([({"eta": 0.5}, 0.0)], {"eta": UNIT}, name="other")
        with pytest.raises(
            PriorError, match=r"shares parameters with 'x', got 'other' with 'eta'; give .* the same names"
        ):
            prior_from_study(study, X_ONLY)

    @pytest.mark.parametrize("top", [0, -1, 0.0, 1.0, 1.5, math.nan, True, "5"])
    def test_top(self, top: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"top to be a count \(an int >= 1\) or a share"):
            prior_from_study(line(0.2), X_ONLY, top=top)

    @pytest.mark.parametrize(
        "options", [{"confidence": 1.1}, {"confidence": math.nan}, {"min_scale": 0.0}, {"min_scale": math.inf}]
    )
    def test_other_options(self, options: dict[str, float]) -> None:
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            prior_from_study(line(0.2), X_ONLY, **options)
