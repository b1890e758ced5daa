from __future__ import annotations

import inspect
import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from scipy import integrate, optimize, stats

from llm_prior_bo import NumericBelief, PriorAnswer, Region, SearchSpace, build_prior
from llm_prior_bo.calibration.scoring import (
    COVERAGE_BOUNDS,
    DEFAULT_COVERAGE,
    AnswerScore,
    BeliefScore,
    fit_coverage,
    score_answer,
)
from llm_prior_bo.errors import AnswerError, ConfigurationError

STATED_Z = stats.norm.ppf(0.9)

MIXED: Mapping[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-5, 1.0, log=True),
    "share": FloatDistribution(0.0, 1.0),
    "depth": IntDistribution(1, 12),
    "width": IntDistribution(8, 1024, log=True),
    "kind": CategoricalDistribution(["a", "b"]),
}
ANSWER = PriorAnswer(
    notes="",
    regions=[Region(region=3, label="", weight=0.6), Region(region=7, label="", weight=0.4)],
    numeric=[
        NumericBelief(region=3, parameter="rate", best=1e-3, low=1e-4, high=3e-3),
        NumericBelief(region=3, parameter="depth", best=3, low=2, high=6),
        NumericBelief(region=7, parameter="rate", best=0.3, low=0.1, high=0.9),
        NumericBelief(region=7, parameter="share", best=0.5, low=0.4, high=0.8),
        NumericBelief(region=7, parameter="width", best=64, low=32, high=256),
    ],
    categorical=[],
    correlations=[],
    confidence=0.8,
)


def normal_score(t: float, *, half_width: float = 1e-4, uniform_weight: float = 0.0) -> AnswerScore:
    """One belief with the optimum `t` half-widths above the best guess, far from the ends of the range."""
    scale, optimum = half_width / STATED_Z, 0.5 + t * half_width
    belief = BeliefScore(0.5, scale, scale, optimum, optimum, optimum)
    return AnswerScore(1.0, uniform_weight, 1.0, 0, (belief,))


def simulated(
    answer: PriorAnswer, distributions: Mapping[str, BaseDistribution], *, coverage: float, n: int, seed: int = 0
) -> list[AnswerScore]:
    """Scores of answers whose intervals hold the optimum with the probability `coverage` instead of 80 %."""
    space = SearchSpace(distributions)
    prior = build_prior(answer, space, interval_coverage=coverage)
    optima = prior.sample(n, generator=torch.Generator().manual_seed(seed))
    return [score_answer(answer, space.decode(x), distributions) for x in optima]


class TestScoreAnswer:
    def test_scores_the_region_that_explains_the_optimum(self) -> None:
        optimum = {"rate": 0.2, "share": 0.6, "depth": 9, "width": 64, "kind": "a"}
        score = score_answer(ANSWER, optimum, MIXED, keep_names=True)
        assert score.region == 1
        assert [belief.parameter for belief in score.beliefs] == ["rate", "share", "width"]

    def test_z_is_the_distance_in_half_widths_of_its_side(self) -> None:
        optimum = {"rate": 0.2, "share": 0.65, "depth": 9, "width": 64, "kind": "a"}
        rate, share, width = score_answer(ANSWER, optimum, MIXED).beliefs
        assert rate.z == pytest.approx(math.log(0.2 / 0.3) / math.log(0.3 / 0.1))
        assert share.z == pytest.approx(0.5)
        assert width.z == pytest.approx(0.0)
        assert rate.inside
        assert share.inside

    @pytest.mark.parametrize(("depth", "inside"), [(1, False), (2, True), (3, True), (6, True), (7, False)])
    def test_intervals_of_integers_hold_both_ends(self, depth: int, inside: bool) -> None:
        optimum = {"rate": 1e-3, "depth": depth}
        score = score_answer(ANSWER, optimum, {name: MIXED[name] for name in optimum}, keep_names=True)
        belief = next(belief for belief in score.beliefs if belief.parameter == "depth")
        assert belief.inside is inside
        assert (belief.lower, belief.upper) == pytest.approx(((depth - 1) / 12, depth / 12))

    def test_probability_is_the_stated_distribution_function(self) -> None:
        optimum = {"rate": 0.01, "share": 0.6}
        belief = score_answer(
            PriorAnswer.by_hand(numeric={"share": (0.4, 0.3, 0.8)}), optimum, {n: MIXED[n] for n in optimum}
        ).beliefs[0]
        left, right = 0.1 / STATED_Z, 0.4 / STATED_Z

        def kernel(u: float) -> float:
            return math.exp(-(((u - 0.4) / (left if u < 0.4 else right)) ** 2) / 2)

        below, above = (integrate.quad(kernel, *ends, points=[0.4])[0] for ends in ((0.0, 0.6), (0.0, 1.0)))
        assert belief.probability == pytest.approx(below / above, rel=1e-9)

    def test_share_of_regions_is_the_posterior_probability(self) -> None:
        optimum = {"rate": 0.01, "share": 0.6, "depth": 5, "width": 70, "kind": "b"}
        space = SearchSpace(MIXED)
        prior = build_prior(ANSWER, space)
        density = float(prior.log_prob(torch.as_tensor(space.encode([optimum])))[0].exp())
        score = score_answer(ANSWER, optimum, MIXED)
        assert score.region_share == pytest.approx(1.0 - prior.uniform_weight / density)
        assert score.uniform_weight == pytest.approx(0.2)
        assert score.confidence == 0.8

    def test_names_are_kept_on_request_only(self) -> None:
        score = score_answer(ANSWER, {"rate": 1e-3}, {"rate": MIXED["rate"]})
        assert [belief.parameter for belief in score.beliefs] == [None]

    def test_parameters_that_are_not_active_are_left_out(self) -> None:
        score = score_answer(ANSWER, {"share": 0.5}, {"share": MIXED["share"]}, keep_names=True)
        assert {belief.parameter for belief in score.beliefs} == {"share"}

    def test_intervals_without_width_state_nothing(self) -> None:
        answer = PriorAnswer.by_hand(numeric={"share": (0.4, 0.4, 0.4)})
        assert score_answer(answer, {"share": 0.5}, {"share": MIXED["share"]}).beliefs == ()

    def test_an_answer_that_does_not_fit_is_an_error(self) -> None:
        answer = PriorAnswer.by_hand(categorical={"kind": {"c": 1.0}})
        with pytest.raises(AnswerError):
            score_answer(answer, {"kind": "a"}, {"kind": MIXED["kind"]})


class TestFitCoverage:
    def test_the_default_is_that_of_the_prior(self) -> None:
        assert inspect.signature(build_prior).parameters["interval_coverage"].default == DEFAULT_COVERAGE

    @pytest.mark.parametrize(("centre", "expected"), [(0.5, 0.5), (0.35, 0.35), (0.01, 0.1), (0.99, 0.9)])
    def test_without_scores_the_assumption_stands(self, centre: float, expected: float) -> None:
        assert fit_coverage([], centre=centre) == expected

    @settings(max_examples=40)
    @given(
        st.lists(st.floats(-4.0, 4.0), min_size=1, max_size=30),
        st.floats(0.3, 0.8),
        st.floats(1.0, 50.0),
    )
    def test_closed_form_without_truncation_and_floor(
        self, scores: list[float], centre: float, strength: float
    ) -> None:
        assumed = 1.0 / stats.norm.ppf((1.0 + centre) / 2.0) ** 2
        precision = (strength + len(scores)) / (strength * assumed + sum(t * t for t in scores))
        expected = np.clip(2.0 * stats.norm.cdf(math.sqrt(precision)) - 1.0, *COVERAGE_BOUNDS)
        fitted = fit_coverage([normal_score(t) for t in scores], centre=centre, prior_strength=strength)
        assert fitted == pytest.approx(expected, abs=0.0011)

    def test_the_assumption_is_an_inverse_gamma_density(self) -> None:
        """With one belief the maximum is that of SciPy's densities: inverse gamma times normal."""
        strength, t = 6.0, 2.5
        assumed = 1.0 / stats.norm.ppf(0.75) ** 2

        def loss(log_variance: float) -> float:
            variance = math.exp(log_variance)
            # Density of log(variance), which has its maximum where the density of log(s) has its own.
            prior = stats.invgamma(strength / 2, scale=strength * assumed / 2).logpdf(variance) + log_variance
            return -float(prior + stats.norm(0.0, math.sqrt(variance)).logpdf(t))

        variance = math.exp(float(optimize.minimize_scalar(loss, bounds=(-3.0, 5.0), method="bounded").x))
        expected = 2.0 * stats.norm.cdf(1.0 / math.sqrt(variance)) - 1.0
        assert fit_coverage([normal_score(t)], prior_strength=strength) == pytest.approx(expected, abs=0.002)

    @pytest.mark.parametrize("coverage", [0.2, 0.35, 0.5, 0.65, 0.8])
    def test_recovers_the_coverage_of_over_confident_answers(self, coverage: float) -> None:
        # Narrow against the range: what wide intervals hide by truncation takes many more answers to see.
        answer = PriorAnswer.by_hand(
            numeric={"rate": (1e-3, 6e-4, 2e-3), "share": (0.3, 0.25, 0.4), "width": (64, 50, 90)}
        )
        scores = simulated(answer, MIXED, coverage=coverage, n=300)
        assert fit_coverage(scores, prior_strength=0.0) == pytest.approx(coverage, abs=0.05)

    def test_truncation_is_not_taken_for_confidence(self) -> None:
        """Optima cannot leave the range: the mean square of the scores alone would say "more sure than this"."""
        half_width, scale = 0.3, 0.78
        optima = stats.truncnorm(-0.5 / scale, 0.5 / scale, 0.5, scale).rvs(400, random_state=0)

        def coverage_of(scale: float) -> float:
            return 2.0 * float(stats.norm.cdf(half_width / scale)) - 1.0

        def loss(scale: float) -> float:
            return -float(stats.truncnorm(-0.5 / scale, 0.5 / scale, 0.5, scale).logpdf(optima).sum())

        stated = half_width / STATED_Z
        beliefs = tuple(BeliefScore(0.5, stated, stated, u, u, u) for u in optima.tolist())
        fitted = fit_coverage([AnswerScore(1.0, 0.0, 1.0, 0, beliefs)], prior_strength=0.0)
        likeliest = optimize.minimize_scalar(loss, bounds=(0.1, 10.0), method="bounded").x
        assert fitted == pytest.approx(np.clip(coverage_of(likeliest), *COVERAGE_BOUNDS), abs=0.002)
        assert fitted < coverage_of(float(np.sqrt(np.mean((optima - 0.5) ** 2)))) - 0.3

    def test_share_of_regions_matches_right_confidences(self) -> None:
        scores = simulated(ANSWER, MIXED, coverage=DEFAULT_COVERAGE, n=600)
        assert np.mean([score.region_share for score in scores]) == pytest.approx(0.8, abs=0.04)

    def test_an_optimum_far_outside_counts_as_a_wrong_region(self) -> None:
        near = [normal_score(t) for t in (-0.5, 0.5) * 20]
        far = normal_score(4000.0, uniform_weight=0.05)
        assert fit_coverage([*near, far]) == pytest.approx(fit_coverage(near), abs=0.01)

    def test_shrinks_towards_the_assumption(self) -> None:
        sure = [normal_score(t) for t in (-0.4, 0.4, -0.2, 0.2)]
        fits = [fit_coverage(sure, prior_strength=strength) for strength in (0.0, 4.0, 40.0, 4000.0)]
        assert fits == sorted(fits, reverse=True)
        assert fits[0] == 0.9
        assert fits[-1] == pytest.approx(0.5, abs=0.01)

    def test_weights_count_as_repetitions(self) -> None:
        scores = [normal_score(t) for t in (0.3, 2.0)]
        weighted = fit_coverage(scores, weights=[1.0, 3.0])
        assert weighted == fit_coverage([scores[0], *[scores[1]] * 3])

    def test_one_score_on_a_grid_is_the_mass_of_its_cell(self) -> None:
        """The maximum found by SciPy over the masses of `build_prior`'s own marginal."""
        answer = PriorAnswer.by_hand(numeric={"depth": (4, 3, 6)}, confidence=0.95)
        only = {"depth": MIXED["depth"]}
        values = [2, 4, 4, 5, 7, 8]
        space = SearchSpace(only)
        X = torch.as_tensor(space.encode([{"depth": value} for value in values]))

        def loss(coverage: float) -> float:
            return -float(build_prior(answer, space, interval_coverage=coverage).log_prob(X).sum())

        expected = optimize.minimize_scalar(loss, bounds=COVERAGE_BOUNDS, method="bounded").x
        scores = [score_answer(answer, {"depth": value}, only) for value in values]
        assert fit_coverage(scores, prior_strength=0.0) == pytest.approx(expected, abs=0.003)

    @pytest.mark.parametrize(
        "options",
        [
            {"centre": 0.0},
            {"centre": math.nan},
            {"prior_strength": -1.0},
            {"prior_strength": math.inf},
            {"weights": [1.0, 1.0]},
            {"weights": [-1.0]},
            {"weights": [math.nan]},
        ],
    )
    def test_refuses_numbers_out_of_range(self, options: dict[str, object]) -> None:
        with pytest.raises(ConfigurationError, match="Expected"):
            fit_coverage([normal_score(1.0)], **options)  # type: ignore[arg-type]
