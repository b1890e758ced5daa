"""From answers to priors."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo.elicitation.answer.schema import (
    MAX_CORRELATION,
    CategoricalBelief,
    Correlation,
    NumericBelief,
    PriorAnswer,
    Region,
)
from llm_prior_bo.errors import AnswerError, ConfigurationError
from llm_prior_bo.priors import CategoricalMarginal, Marginal, MixturePrior, SplitNormalMarginal
from llm_prior_bo.priors.build import UNNAMED_MASS, build_prior
from llm_prior_bo.space import SearchSpace
from tests.strategies import spaces

SPACE = SearchSpace(
    {
        "lr": FloatDistribution(1e-5, 1.0, log=True),
        "depth": IntDistribution(1, 8),
        "act": CategoricalDistribution(["relu", "tanh", "gelu"]),
        "batch": CategoricalDistribution([64, 16, 32, 128]),
    }
)


def answer(
    *,
    numeric: list[tuple[int, str, float, float, float]] = (),  # type: ignore[assignment]
    categorical: list[tuple[int, str, Any, float]] = (),  # type: ignore[assignment]
    correlations: list[tuple[int, str, str, float]] = (),  # type: ignore[assignment]
    weights: tuple[float, ...] = (1.0,),
    confidence: float = 0.8,
) -> PriorAnswer:
    """An answer from tuples; regions are numbered from 1."""
    return PriorAnswer(
        notes="",
        regions=[Region(region=k, label=f"region {k}", weight=w) for k, w in enumerate(weights, start=1)],
        numeric=[NumericBelief(region=r, parameter=p, best=b, low=lo, high=hi) for r, p, b, lo, hi in numeric],
        categorical=[CategoricalBelief(region=r, parameter=p, choice=c, weight=w) for r, p, c, w in categorical],
        correlations=[Correlation(region=r, first=a, second=b, rho=rho) for r, a, b, rho in correlations],
        confidence=confidence,
    )


def only_marginal(prior: MixturePrior) -> Marginal:
    (marginal,) = prior.regions[0].marginals.values()
    return marginal


def table(prior: MixturePrior) -> tuple[float, ...]:
    marginal = only_marginal(prior)
    assert isinstance(marginal, CategoricalMarginal)
    return marginal.probabilities


class TestWeights:
    def test_confidence_and_region_weights(self) -> None:
        rows = [(1, "lr", 1e-3, 1e-4, 1e-2), (2, "lr", 0.1, 0.05, 0.5)]
        prior = build_prior(answer(numeric=rows, weights=(1.0, 3.0), confidence=0.8), SPACE)
        torch.testing.assert_close(prior.weights, torch.tensor([0.2, 0.6], dtype=torch.float64))
        assert prior.uniform_weight == pytest.approx(0.2)
        assert [region.label for region in prior.regions] == ["region 1", "region 2"]

    @pytest.mark.parametrize(
        ("confidence", "floor", "expected"),
        [(1.0, 0.05, 0.05), (0.5, 0.05, 0.5), (7.0, 0.1, 0.1), (-1.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.9, 1.0, 1.0)],
    )
    def test_floor(self, confidence: float, floor: float, expected: float) -> None:
        stated = answer(numeric=[(1, "lr", 1e-3, 1e-4, 1e-2)], confidence=confidence)
        assert build_prior(stated, SPACE, min_uniform_weight=floor).uniform_weight == pytest.approx(expected)

    def test_weights_that_are_all_zero_are_equal(self) -> None:
        rows = [(1, "lr", 1e-3, 1e-4, 1e-2), (2, "lr", 0.1, 0.05, 0.5)]
        prior = build_prior(answer(numeric=rows, weights=(0.0, 0.0)), SPACE, lenient=True)
        torch.testing.assert_close(prior.weights, torch.tensor([0.4, 0.4], dtype=torch.float64))

    def test_silent_regions_are_uniform(self) -> None:
        rows = [(1, "lr", 1e-3, 1e-4, 1e-2), (2, "conditional", 0.1, 0.05, 0.5)]
        prior = build_prior(answer(numeric=rows, weights=(0.5, 0.5)), SPACE, lenient=True)
        assert [region.label for region in prior.regions] == ["region 1", "region 2"]
        assert prior.regions[1].marginals == {}
        assert prior.uniform_weight == pytest.approx(0.2)

    def test_nothing_about_this_space_is_no_opinion(self) -> None:
        prior = build_prior(answer(numeric=[(1, "conditional", 0.1, 0.05, 0.5)]), SPACE, lenient=True)
        X = torch.as_tensor(SPACE.snap(SPACE.bounds))
        torch.testing.assert_close(prior.log_prob(X), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-15)


class TestNumeric:
    def test_interval_on_the_parameters_scale(self) -> None:
        prior = build_prior(answer(numeric=[(1, "lr", 1e-3, 1e-4, 1e-2)]), SPACE, interval_coverage=0.5)
        expected = SplitNormalMarginal.from_interval(SPACE.column("lr"), best=1e-3, low=1e-4, high=1e-2, coverage=0.5)
        assert only_marginal(prior) == expected
        assert SPACE.decode(prior.mode())["lr"] == pytest.approx(1e-3)

    def test_lower_coverage_is_wider(self) -> None:
        stated = answer(numeric=[(1, "lr", 1e-3, 1e-4, 1e-2)])
        wide, narrow = (only_marginal(build_prior(stated, SPACE, interval_coverage=c)) for c in (0.3, 0.9))
        assert wide.max_log_prob < narrow.max_log_prob

    @pytest.mark.parametrize("row", [(1e-3, 1e-2, 1e-4), (1e-4, 1e-3, 1e-2), (1e-2, 1e-4, 1e-3)])
    def test_ends_are_put_in_order(self, row: tuple[float, float, float]) -> None:
        marginal = only_marginal(build_prior(answer(numeric=[(1, "lr", *row)]), SPACE))
        expected = SplitNormalMarginal.from_interval(SPACE.column("lr"), best=row[0], low=1e-4, high=1e-2, coverage=0.5)
        assert marginal == expected

    def test_outside_the_range_is_clipped(self) -> None:
        prior = build_prior(answer(numeric=[(1, "lr", 5.0, 0.1, 100.0), (1, "depth", -3, -5, 2)]), SPACE, lenient=True)
        assert SPACE.decode(prior.mode()) == {"lr": 1.0, "depth": 1, "act": "relu", "batch": 64}

    def test_last_row_counts(self) -> None:
        prior = build_prior(answer(numeric=[(1, "depth", 1, 1, 2), (1, "depth", 5, 4, 6)]), SPACE)
        assert SPACE.decode(prior.mode())["depth"] == 5

    def test_choices_of_a_numeric_parameter(self) -> None:
        rows = [(1, "depth", "3", 0.6), (1, "depth", "5", 0.3), (1, "depth", 8, 0.0)]
        marginal = only_marginal(build_prior(answer(categorical=rows), SPACE))
        assert marginal == SplitNormalMarginal.from_interval(SPACE.column("depth"), best=3, low=3, high=5, coverage=0.5)
        assert build_prior(answer(categorical=[(1, "depth", "3", 0.0)]), SPACE).regions[0].marginals == {}
        with pytest.raises(AnswerError, match="'deep'"):
            build_prior(answer(categorical=[(1, "depth", "deep", 1.0)]), SPACE)

    def test_single_values_are_not_worth_a_belief(self) -> None:
        space = SearchSpace({"n": IntDistribution(3, 3), "only": CategoricalDistribution(["a"])})
        stated = answer(numeric=[(1, "n", 3, 3, 3)], categorical=[(1, "only", "a", 1.0)])
        assert build_prior(stated, space).regions[0].marginals == {}


class TestCategorical:
    def test_named_weights_are_normalised(self) -> None:
        p = table(
            build_prior(
                answer(
                    categorical=[(1, "act", c, w) for c, w in zip(["relu", "tanh", "gelu"], [2, 1, 1], strict=True)]
                ),
                SPACE,
            )
        )
        assert p == pytest.approx(np.array([0.5, 0.25, 0.25]) * 0.97 + 0.01)

    def test_unnamed_choices_share_a_small_mass(self) -> None:
        p = table(build_prior(answer(categorical=[(1, "act", "tanh", 5.0)]), SPACE))
        assert p == pytest.approx(np.array([UNNAMED_MASS / 2, 1 - UNNAMED_MASS, UNNAMED_MASS / 2]) * 0.97 + 0.01)

    def test_unnamed_choices_share_what_the_named_ones_leave(self) -> None:
        p = table(build_prior(answer(categorical=[(1, "act", "tanh", 0.4)]), SPACE))
        assert p == pytest.approx(np.array([0.3, 0.4, 0.3]) * 0.97 + 0.01)

    def test_no_choice_is_impossible(self) -> None:
        p = table(
            build_prior(
                answer(categorical=[(1, "act", c, w) for c, w in [("relu", 1), ("tanh", 0), ("gelu", 0)]]), SPACE
            )
        )
        assert min(p) == pytest.approx(0.01)
        many = SearchSpace({"c": CategoricalDistribution([f"c{i}" for i in range(200)])})
        assert min(table(build_prior(answer(categorical=[(1, "c", "c7", 1.0)]), many))) >= 0.1 / 200

    def test_weights_that_are_all_zero_are_no_opinion(self) -> None:
        rows = [(1, "act", choice, 0.0) for choice in ("relu", "tanh", "gelu")]
        assert build_prior(answer(categorical=rows), SPACE, lenient=True).regions[0].marginals == {}
        # ... unless choices are left out, which then have it all.
        p = table(build_prior(answer(categorical=rows[:1]), SPACE))
        assert p == pytest.approx([0.01, 0.495, 0.495])

    @pytest.mark.parametrize(
        ("text", "index"),
        [
            ("None", 0),
            ("null", 0),
            ("True", 1),
            ("true", 1),
            ("TRUE", 1),
            ("False", 2),
            ("1", 3),
            ("2.5", 4),
            ("x", 5),
            (" X ", 5),
            ("'x'", 5),
            ('"x"', 5),
            ("1.0", 3),
            ("a\nb", 6),
            ("1e2", 7),
        ],
    )
    def test_choices_are_matched_by_their_text(self, text: str, index: int) -> None:
        space = SearchSpace({"c": CategoricalDistribution([None, True, False, 1, 2.5, "x", "a\nb", 100])})
        p = table(build_prior(answer(categorical=[(1, "c", text, 1.0)]), space))
        assert int(np.argmax(p)) == index

    def test_number_and_its_text_can_be_told_apart(self) -> None:
        space = SearchSpace({"c": CategoricalDistribution(["1", 1])})
        assert int(np.argmax(table(build_prior(answer(categorical=[(1, "c", "1", 1.0)]), space)))) == 1
        assert int(np.argmax(table(build_prior(answer(categorical=[(1, "c", "'1'", 1.0)]), space)))) == 0

    @pytest.mark.parametrize("text", ["swish", "nan", "0.5", ""])
    def test_unknown_choices_are_refused(self, text: str) -> None:
        with pytest.raises(AnswerError, match="relu"):
            build_prior(answer(categorical=[(1, "act", text, 1.0)]), SPACE)

    def test_interval_over_numeric_choices(self) -> None:
        p = table(build_prior(answer(numeric=[(1, "batch", 32, 16, 64)]), SPACE))
        by_size = [p[1], p[2], p[0], p[3]]  # 16, 32, 64, 128
        assert int(np.argmax(by_size)) == 1
        assert by_size[0] == pytest.approx(by_size[2])
        assert by_size[3] < by_size[2]
        assert sum(by_size[:3]) > 0.5

    def test_interval_over_other_choices_is_refused(self) -> None:
        with pytest.raises(AnswerError, match="'act'"):
            build_prior(answer(numeric=[(1, "act", 1, 0, 2)]), SPACE)
        flags = SearchSpace({"flag": CategoricalDistribution([True, False])})
        with pytest.raises(AnswerError, match="'flag'"):
            build_prior(answer(numeric=[(1, "flag", 1, 0, 1)]), flags)

    def test_rows_of_the_right_kind_go_first(self) -> None:
        stated = answer(numeric=[(1, "batch", 16, 16, 16)], categorical=[(1, "batch", 128, 1.0)])
        assert int(np.argmax(table(build_prior(stated, SPACE)))) == 3


class TestCorrelations:
    NUMERIC = ((1, "lr", 1e-3, 1e-4, 1e-2), (1, "depth", 3, 2, 5))

    @pytest.mark.parametrize(("rho", "expected"), [(0.5, 0.5), (1.0, MAX_CORRELATION), (-3.0, -MAX_CORRELATION)])
    def test_are_kept(self, rho: float, expected: float) -> None:
        prior = build_prior(answer(numeric=list(self.NUMERIC), correlations=[(1, "depth", "lr", rho)]), SPACE)
        assert dict(prior.regions[0].correlations) == {("lr", "depth"): expected}

    def test_last_row_counts(self) -> None:
        rows = [(1, "depth", "lr", 0.5), (1, "lr", "depth", -0.2)]
        prior = build_prior(answer(numeric=list(self.NUMERIC), correlations=rows), SPACE)
        assert dict(prior.regions[0].correlations) == {("lr", "depth"): -0.2}

    @pytest.mark.parametrize(
        "row", [(1, "lr", "lr", 0.5), (1, "lr", "act", 0.5), (1, "lr", "elsewhere", 0.5), (1, "lr", "depth", 0.0)]
    )
    def test_without_meaning_are_dropped(self, row: tuple[int, str, str, float]) -> None:
        stated = answer(numeric=list(self.NUMERIC), categorical=[(1, "act", "relu", 1.0)], correlations=[row])
        assert build_prior(stated, SPACE).regions[0].copula is None

    def test_belong_to_their_region(self) -> None:
        rows = [*self.NUMERIC, *((2, *row[1:]) for row in self.NUMERIC)]
        stated = answer(numeric=rows, weights=(1.0, 1.0), correlations=[(2, "lr", "depth", 0.5)])
        first, second = build_prior(stated, SPACE).regions
        assert first.copula is None
        assert second.copula is not None


class TestRefuses:
    @pytest.mark.parametrize("coverage", [0.0, 1.0, -1.0, math.nan])
    def test_coverage(self, coverage: float) -> None:
        with pytest.raises(ConfigurationError, match="interval_coverage"):
            build_prior(answer(), SPACE, interval_coverage=coverage)

    @pytest.mark.parametrize("floor", [-0.1, 1.1, math.nan])
    def test_floor(self, floor: float) -> None:
        with pytest.raises(ConfigurationError, match="min_uniform_weight"):
            build_prior(answer(), SPACE, min_uniform_weight=floor)

    def test_answers_without_regions(self) -> None:
        with pytest.raises(AnswerError, match="at least one region"):
            build_prior(answer(weights=()), SPACE)

    def test_undefined_and_repeated_regions(self) -> None:
        with pytest.raises(AnswerError, match=r"\[7\]"):
            build_prior(answer(numeric=[(7, "lr", 1e-3, 1e-4, 1e-2)]), SPACE)
        twice = answer().model_copy(update={"regions": [Region(region=1, label="", weight=1.0)] * 2})
        with pytest.raises(AnswerError, match="number of its own"):
            build_prior(twice, SPACE)

    @pytest.mark.parametrize("weight", [-1.0])
    def test_negative_weights(self, weight: float) -> None:
        with pytest.raises(AnswerError, match="weight"):
            build_prior(answer(weights=(weight,)), SPACE)
        with pytest.raises(AnswerError, match="weight"):
            build_prior(answer(categorical=[(1, "act", "relu", weight)]), SPACE)

    def test_numbers_that_are_not_finite(self) -> None:
        # The schema refuses them, but an answer can be constructed without validation.
        numeric = NumericBelief.model_construct(region=1, parameter="lr", best=math.nan, low=0.0, high=1.0)
        correlation = Correlation.model_construct(region=1, first="lr", second="depth", rho=math.inf)
        region = Region.model_construct(region=1, label="", weight=math.nan)
        broken: dict[str, object] = {
            "numeric": [numeric],
            "correlations": [correlation],
            "regions": [region],
            "confidence": math.nan,
        }
        for field, value in broken.items():
            with pytest.raises(AnswerError, match="Expected"):
                build_prior(answer().model_copy(update={field: value}), SPACE)


def random_numbers(distribution: BaseDistribution) -> st.SearchStrategy[float]:
    if isinstance(distribution, FloatDistribution | IntDistribution):
        width = distribution.high - distribution.low
        inside = st.floats(distribution.low - width, distribution.high + width)
        return st.one_of(inside, st.just(float(distribution.low)), st.floats(-1e300, 1e300))
    return st.floats(-10, 100)


@st.composite
def spaces_and_answers(draw: st.DrawFn) -> tuple[SearchSpace, PriorAnswer]:
    """Answers of the right kind with values of any size."""
    space = draw(spaces(max_size=4))
    n_regions = draw(st.integers(1, 3))
    numeric, categorical, correlations = [], [], []
    for number in range(1, n_regions + 1):
        for column in space.columns:
            if column.kind == "categorical":
                choice = draw(st.integers(0, (column.n_values or 1) - 1))
                categorical.append((number, column.name, str(column.value(choice)), draw(st.floats(0, 1e300))))
            elif draw(st.booleans()):
                values = [draw(random_numbers(column.distribution)) for _ in range(3)]
                numeric.append((number, column.name, values[0], values[1], values[2]))
        pair = draw(st.sampled_from(space.names)), draw(st.sampled_from(space.names))
        correlations.append((number, *pair, draw(st.floats(-2, 2))))
    weights = tuple(draw(st.lists(st.floats(0, 1e300), min_size=n_regions, max_size=n_regions)))
    stated = answer(
        numeric=numeric,
        categorical=categorical,
        correlations=correlations,
        weights=weights,
        confidence=draw(st.floats(-1, 2)),
    )
    return space, stated


@settings(max_examples=80)
@given(case=spaces_and_answers())
def test_any_answer_gives_a_usable_prior(case: tuple[SearchSpace, PriorAnswer]) -> None:
    space, stated = case
    prior = build_prior(stated, space, lenient=True)
    X = torch.cat([prior.sample(4, generator=torch.Generator().manual_seed(0)), prior.mode().unsqueeze(0)])
    assert np.array_equal(X.numpy(), space.snap(X.numpy()))
    for x in X:
        space.decode(x)
    values = prior.log_prob(torch.cat([X, torch.as_tensor(space.snap(space.bounds))]))
    assert torch.isfinite(values).all()
    assert prior.uniform_weight >= 0.05 - 1e-12
    assert float(values.min()) >= math.log(prior.uniform_weight) - 1e-9
    assert math.isfinite(prior.log_range)


def test_from_json_text() -> None:
    text = json.dumps(answer(numeric=[(1, "lr", 1e-3, 1e-4, 1e-2)]).model_dump())
    prior = build_prior(PriorAnswer.model_validate_json(text), SPACE)
    assert prior.log_prob(SPACE.encode([{"lr": 1e-3, "depth": 1, "act": "relu", "batch": 16}])) > 0.0
