from __future__ import annotations

import contextlib
import copy
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo.elicitation import PriorAnswer, check_fit, choice_texts, validate_answer
from llm_prior_bo.elicitation.answer.repair import MAX_REPAIRS, MAX_ROWS, MAX_SENTENCE_CHARACTERS
from llm_prior_bo.errors import AnswerError
from llm_prior_bo.space import SearchSpace

Answer = dict[str, Any]
NAN = float("nan")
INF = float("inf")


def numeric(parameter: str, best: Any, low: Any, high: Any, *, region: Any = 1) -> Answer:
    return {"region": region, "parameter": parameter, "best": best, "low": low, "high": high}


def one_region(*rows: Answer, categorical: list[Answer] | None = None, **fields: Any) -> Answer:
    return {
        "notes": "",
        "regions": [{"region": 1, "label": "", "weight": 1.0}],
        "numeric": list(rows),
        "categorical": categorical or [],
        "correlations": [],
        "confidence": 0.5,
        **fields,
    }


def assert_fits(answer: PriorAnswer, space: SearchSpace) -> None:
    """Everything that a valid answer promises to the code that builds a density from it."""
    PriorAnswer.model_validate_json(answer.model_dump_json())
    ids = [region.region for region in answer.regions]
    assert 1 <= len(ids) <= 8
    assert len(set(ids)) == len(ids)
    assert math.fsum(region.weight for region in answer.regions) == pytest.approx(1.0)
    assert all(region.weight > 0 for region in answer.regions)
    assert 0.0 <= answer.confidence <= 1.0
    for row in answer.numeric:
        distribution = space.distributions[row.parameter]
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        assert row.region in ids
        assert distribution.low <= row.low <= row.best <= row.high <= distribution.high
    tables: dict[tuple[int, str], list[float]] = {}
    for choice in answer.categorical:
        options = space.distributions[choice.parameter]
        assert isinstance(options, CategoricalDistribution)
        assert choice.region in ids
        assert choice.choice in choice_texts(options.choices)
        assert choice.weight >= 0
        tables.setdefault((choice.region, choice.parameter), []).append(choice.weight)
    assert all(0 < math.fsum(weights) <= 1 + 1e-9 for weights in tables.values())
    for correlation in answer.correlations:
        assert correlation.region in ids
        assert correlation.first != correlation.second
        assert -1 < correlation.rho < 1
        for name in (correlation.first, correlation.second):
            assert not isinstance(space.distributions[name], CategoricalDistribution)
    for rows in (answer.numeric, answer.categorical):
        keys = [tuple(row.model_dump(include={"region", "parameter", "choice"}).values()) for row in rows]
        assert len(set(keys)) == len(keys)


class TestNothingToRepair:
    @pytest.mark.parametrize("form", [dict, json.dumps, PriorAnswer.model_validate])
    def test_a_good_answer_is_not_touched(
        self, answer: Answer, space: SearchSpace, form: Callable[[Answer], Any]
    ) -> None:
        validated, repairs = validate_answer(form(answer), space)
        assert repairs == ()
        assert validated == PriorAnswer.model_validate(answer)
        assert_fits(validated, space)

    def test_the_input_is_not_changed(self, answer: Answer, space: SearchSpace) -> None:
        answer["numeric"][0].update(best=7.0, low=8.0, high="6")
        before = copy.deepcopy(answer)
        validate_answer(answer, space)
        assert answer == before

    def test_repairing_twice_changes_nothing_more(self, space: SearchSpace) -> None:
        messy = one_region(numeric("Learning-Rate", "1e-3", 5, 1e-9), numeric("units", 4000, 2000, 9000), confidence=85)
        once, repairs = validate_answer(messy, space)
        assert repairs
        assert validate_answer(once, space) == (once, ())


# (belief, (best, low, high) after the repair, word in the sentence)
NUMERIC_REPAIRS = [
    (numeric("learning_rate", 1e-3, 1e-6, 1.0), (1e-3, 1e-4, 1e-1), "clipped"),
    (numeric("learning_rate", 1e-3, 0.0, 1e-2), (1e-3, 1e-4, 1e-2), "clipped"),
    (numeric("learning_rate", 1e-3, 1e-2, 5e-4), (1e-3, 5e-4, 1e-2), "order"),
    (numeric("learning_rate", 0.05, 1e-3, 1e-2), (0.05, 1e-3, 0.05), "extended"),
    (numeric("learning_rate", 7.0, 1e-3, 1e-2), (0.1, 1e-3, 0.1), "clipped"),
    (numeric("learning_rate", "1e-3", " 5e-4", "0.01"), (1e-3, 5e-4, 1e-2), None),
    (numeric("dropout", "20%", "10 %", 0.4), (0.2, 0.1, 0.4), None),
    (numeric("Learning-Rate", 1e-3, 5e-4, 1e-2), (1e-3, 5e-4, 1e-2), "'learning_rate'"),
    (numeric(" dropout ", 0.2, 0.1, 0.4), (0.2, 0.1, 0.4), "'dropout'"),
    (numeric("layers", 3.5, 2, 9), (3.5, 2, 5), "clipped"),
    (numeric("dropout", 0.2, 0.1, 0.4, region="1"), (0.2, 0.1, 0.4), None),
    (numeric("dropout", 0.2, 0.1, 0.4, region=None), (0.2, 0.1, 0.4), None),
    # Outside the range: at the bound, as wide as it was.
    (numeric("dropout", 0.7, 0.6, 0.9), (0.5, 0.2, 0.5), "moved to the bound"),
    (numeric("learning_rate", 0.4, 0.2, 2.0), (0.1, 0.01, 0.1), "moved to the bound"),
    (numeric("units", 8, 2, 15), (16, 16, 120), "moved to the bound"),
]


@pytest.mark.parametrize(("row", "interval", "word"), NUMERIC_REPAIRS)
def test_numeric_repair(
    space: SearchSpace, row: Answer, interval: tuple[float, float, float], word: str | None
) -> None:
    validated, repairs = validate_answer(one_region(row), space)
    (belief,) = validated.numeric
    assert (belief.best, belief.low, belief.high) == pytest.approx(interval)
    if word is None:
        assert repairs == ()
    else:
        assert any(word in sentence for sentence in repairs)
    assert_fits(validated, space)


# A second belief is there, so that the answer stays usable without the dropped one.
DROPPED = [
    numeric("learning_rate", NAN, 1e-3, 1e-2),
    numeric("learning_rate", 1e-3, -INF, INF),
    numeric("learning_rate", "tiny", 1e-3, 1e-2),
    numeric("learning_rate", 1e-3, None, 1e-2),
    numeric("learning_rate", True, 1e-3, 1e-2),
    numeric("learning_rate", 10**400, 1e-3, 1e-2),
    numeric("learning_rate", -3, -4, -2),  # a logarithm
    numeric("dropout", 30, 20, 50),  # percent
    numeric("weight_decay", 1e-3, 1e-4, 1e-2),
    numeric("dropout", 0.2, 0.1, 0.3, region=7),
    numeric("optimizer", 1, 0, 2),
    {"region": 1},
    {},
]


@pytest.mark.parametrize("row", DROPPED)
def test_a_belief_without_plain_meaning_is_dropped_with_a_word(space: SearchSpace, row: Answer) -> None:
    validated, repairs = validate_answer(one_region(row, numeric("layers", 3, 2, 4)), space)
    assert [belief.parameter for belief in validated.numeric] == ["layers"]
    assert len(repairs) == 1
    assert "dropped" in repairs[0]


@pytest.mark.parametrize("row", DROPPED)
def test_an_answer_with_nothing_else_is_refused(space: SearchSpace, row: Answer) -> None:
    with pytest.raises(AnswerError, match="Expected"):
        validate_answer(one_region(row), space)


class TestChoices:
    def weights(self, space: SearchSpace, *rows: tuple[str, Any, Any]) -> tuple[dict[str, float], tuple[str, ...]]:
        categorical = [{"region": 1, "parameter": p, "choice": c, "weight": w} for p, c, w in rows]
        validated, repairs = validate_answer(one_region(numeric("layers", 3, 2, 4), categorical=categorical), space)
        assert_fits(validated, space)
        return {row.choice: row.weight for row in validated.categorical}, repairs

    def test_spelling(self, space: SearchSpace) -> None:
        weights, repairs = self.weights(
            space, ("optimizer", " ADAM", 0.5), ("warmup", None, 0.5), ("batch_size", 32, 1)
        )
        assert weights == {"adam": 0.5, "None": 0.5, "32": 1.0}
        assert any("'adam'" in sentence for sentence in repairs)

    def test_unknown_choice_is_dropped(self, space: SearchSpace) -> None:
        weights, repairs = self.weights(space, ("optimizer", "lion", 0.5), ("optimizer", "sgd", 0.5))
        assert weights == {"sgd": 0.5}
        assert any("'lion'" in sentence for sentence in repairs)

    def test_percentages_are_normalised(self, space: SearchSpace) -> None:
        weights, repairs = self.weights(space, ("optimizer", "adam", 60), ("optimizer", "sgd", 20))
        assert weights == {"adam": 0.75, "sgd": 0.25}
        assert any("normalised" in sentence for sentence in repairs)

    def test_a_full_table_is_normalised(self, space: SearchSpace) -> None:
        weights, _ = self.weights(space, *(("optimizer", choice, 0.2) for choice in ("adam", "sgd", "rmsprop")))
        assert list(weights.values()) == pytest.approx([1 / 3] * 3)

    def test_choices_left_out_keep_their_share(self, space: SearchSpace) -> None:
        weights, repairs = self.weights(space, ("optimizer", "adam", 0.6))
        assert weights == {"adam": 0.6}
        assert repairs == ()

    def test_the_last_of_two_wins(self, space: SearchSpace) -> None:
        weights, repairs = self.weights(space, ("optimizer", "adam", 0.6), ("optimizer", "Adam", 0.3))
        assert weights == {"adam": 0.3}
        assert any("twice" in sentence for sentence in repairs)

    @pytest.mark.parametrize("weight", [NAN, INF, -0.5, "often", None])
    def test_a_weight_without_meaning_drops_the_row(self, space: SearchSpace, weight: Any) -> None:
        weights, repairs = self.weights(space, ("optimizer", "adam", weight))
        assert weights == {}
        assert any("dropped" in sentence for sentence in repairs)

    def test_zeros_only_are_no_belief(self, space: SearchSpace) -> None:
        weights, repairs = self.weights(space, ("optimizer", "adam", 0.0), ("optimizer", "sgd", 0))
        assert weights == {}
        assert any("zero" in sentence for sentence in repairs)

    def test_a_choice_for_a_numeric_parameter_is_dropped(self, space: SearchSpace) -> None:
        weights, repairs = self.weights(space, ("layers", "3", 0.6))
        assert weights == {}
        assert any("'layers'" in sentence for sentence in repairs)

    def test_a_number_for_a_numeric_choice_is_read(self, space: SearchSpace) -> None:
        validated, repairs = validate_answer(one_region(numeric("batch_size", 32, 16, 64)), space)
        assert [(row.choice, row.weight) for row in validated.categorical] == [("32", 0.8)]
        assert any("read as the choice" in sentence for sentence in repairs)


class TestRegions:
    ROW = numeric("layers", 3, 2, 4)

    def test_weights_are_normalised(self, space: SearchSpace) -> None:
        regions = [{"region": i, "label": "", "weight": w} for i, w in ((1, 60), (2, 20))]
        validated, repairs = validate_answer(one_region(self.ROW, regions=regions), space)
        assert [region.weight for region in validated.regions] == [0.75, 0.25]
        assert any("normalised" in sentence for sentence in repairs)

    def test_the_heaviest_eight_are_kept(self, space: SearchSpace) -> None:
        regions = [{"region": i, "label": "", "weight": 1 + i % 10} for i in range(1, 11)]
        rows = [numeric("layers", 3, 2, 4, region=i) for i in range(1, 11)]
        validated, repairs = validate_answer(one_region(*rows, regions=regions), space)
        assert [region.region for region in validated.regions] == [2, 3, 4, 5, 6, 7, 8, 9]
        assert [row.region for row in validated.numeric] == [2, 3, 4, 5, 6, 7, 8, 9]
        assert any("8 heaviest" in sentence for sentence in repairs)

    @pytest.mark.parametrize("regions", [None, [], {}])
    def test_rows_of_one_region_imply_it(self, space: SearchSpace, regions: Any) -> None:
        validated, repairs = validate_answer(one_region(numeric("layers", 3, 2, 4, region=4), regions=regions), space)
        assert [(region.region, region.weight) for region in validated.regions] == [(4, 1.0)]
        assert any("one region" in sentence for sentence in repairs)

    def test_rows_of_several_regions_do_not(self, space: SearchSpace) -> None:
        rows = [numeric("layers", 3, 2, 4, region=i) for i in (1, 2)]
        with pytest.raises(AnswerError, match="'regions' to list the regions"):
            validate_answer(one_region(*rows, regions=[]), space)

    def test_a_region_without_weight_is_dropped(self, space: SearchSpace) -> None:
        regions = [{"region": 1, "weight": 0.5}, {"region": 2, "weight": NAN}, {"region": 3, "weight": 0}]
        validated, _ = validate_answer(one_region(self.ROW, regions=regions), space)
        assert [region.region for region in validated.regions] == [1]

    def test_the_weight_of_the_only_region_does_not_matter(self, space: SearchSpace) -> None:
        validated, _ = validate_answer(one_region(self.ROW, regions=[{"region": 1, "weight": None}]), space)
        assert [region.weight for region in validated.regions] == [1.0]

    def test_zero_weights_are_equal_weights(self, space: SearchSpace) -> None:
        regions = [{"region": i, "weight": 0} for i in (1, 2)]
        validated, repairs = validate_answer(one_region(self.ROW, regions=regions), space)
        assert [region.weight for region in validated.regions] == [0.5, 0.5]
        assert any("zero" in sentence for sentence in repairs)

    def test_no_usable_region(self, space: SearchSpace) -> None:
        regions = [{"region": i, "weight": NAN} for i in (1, 2)]
        with pytest.raises(AnswerError, match="at least one region"):
            validate_answer(one_region(self.ROW, regions=regions), space)

    def test_numbers_are_given_where_missing(self, space: SearchSpace) -> None:
        regions = [{"label": "a", "weight": 0.5}, {"region": "2", "label": 5, "weight": "50%"}]
        validated, _ = validate_answer(one_region(self.ROW, regions=regions), space)
        assert [(region.region, region.label) for region in validated.regions] == [(1, "a"), (2, "5")]


class TestCorrelations:
    def kept(self, space: SearchSpace, *rows: Answer) -> tuple[list[float], tuple[str, ...]]:
        validated, repairs = validate_answer(
            one_region(numeric("layers", 3, 2, 4), correlations=[{"region": 1, **row} for row in rows]), space
        )
        assert_fits(validated, space)
        return [row.rho for row in validated.correlations], repairs

    @pytest.mark.parametrize(("rho", "kept"), [(-0.4, -0.4), (1.0, 0.95), (-7, -0.95), ("0.5", 0.5)])
    def test_clipped(self, space: SearchSpace, rho: Any, kept: float) -> None:
        assert self.kept(space, {"first": "layers", "second": "units", "rho": rho})[0] == [kept]

    @pytest.mark.parametrize(
        "row",
        [
            {"first": "layers", "second": "layers", "rho": 0.5},
            {"first": "layers", "second": "optimizer", "rho": 0.5},
            {"first": "layers", "second": "units", "rho": NAN},
            {"first": "layers", "second": "width", "rho": 0.5},
            {"first": "layers", "second": "units", "rho": 0.5, "region": 9},
            {"first": 1, "second": ["units"], "rho": 0.5},
        ],
    )
    def test_dropped(self, space: SearchSpace, row: Answer) -> None:
        kept, repairs = self.kept(space, row)
        assert kept == []
        assert any("dropped" in sentence for sentence in repairs)

    def test_a_pair_counts_once_in_either_order(self, space: SearchSpace) -> None:
        kept, repairs = self.kept(
            space,
            {"first": "layers", "second": "units", "rho": 0.5},
            {"first": "units", "second": "layers", "rho": 0.2},
        )
        assert kept == [0.2]
        assert any("twice" in sentence for sentence in repairs)


@pytest.mark.parametrize(
    ("given", "kept"),
    [(0.85, 0.85), (85, 0.85), ("85 %", 0.85), (1.0, 1.0), (1.2, 1.0), (500, 1.0), (-1, 0.0), (None, 0.5), (NAN, 0.5)],
)
def test_confidence(space: SearchSpace, given: Any, kept: float) -> None:
    validated, _ = validate_answer(one_region(numeric("layers", 3, 2, 4), confidence=given), space)
    assert validated.confidence == kept


class TestShape:
    def test_missing_lists_are_empty(self, space: SearchSpace) -> None:
        validated, repairs = validate_answer({"numeric": [numeric("layers", 3, 2, 4)]}, space)
        assert_fits(validated, space)
        assert sum("missing" in sentence for sentence in repairs) == 4

    def test_an_object_by_name_is_read_as_rows(self, space: SearchSpace) -> None:
        by_name = {"layers": {"best": 3, "low": 2, "high": 4}, "dropout": {"best": 0.2, "low": 0.1, "high": 0.3}}
        validated, _ = validate_answer(one_region(numeric=by_name), space)
        assert [row.parameter for row in validated.numeric] == ["layers", "dropout"]

    def test_a_row_without_its_list(self, space: SearchSpace) -> None:
        validated, _ = validate_answer(one_region(numeric=numeric("layers", 3, 2, 4)), space)
        assert [row.parameter for row in validated.numeric] == ["layers"]

    def test_the_last_of_two_rows_wins(self, space: SearchSpace) -> None:
        validated, repairs = validate_answer(one_region(numeric("layers", 3, 2, 4), numeric("layers", 2, 1, 3)), space)
        assert [row.best for row in validated.numeric] == [2.0]
        assert any("twice" in sentence for sentence in repairs)

    def test_extra_fields_and_entries_are_dropped(self, space: SearchSpace) -> None:
        rows = [numeric("layers", 3, 2, 4), "and so on", None]
        validated, repairs = validate_answer(one_region(numeric=rows, notes=["a"], mood="good"), space)
        assert validated.notes == '["a"]'
        assert any("'mood'" in sentence for sentence in repairs)
        assert any("not rows" in sentence for sentence in repairs)

    @pytest.mark.parametrize("value", ["none", 3, True])
    def test_a_list_that_is_none(self, space: SearchSpace, value: Any) -> None:
        with pytest.raises(AnswerError, match="Expected 'numeric' to be a list of rows"):
            validate_answer(one_region(numeric=value), space)

    @pytest.mark.parametrize("data", [{}, {"notes": "x", "confidence": 1}, {"learning_rate": 0.1}])
    def test_another_object(self, space: SearchSpace, data: Answer) -> None:
        with pytest.raises(AnswerError, match="with the fields notes, regions, numeric"):
            validate_answer(data, space)

    def test_something_else_altogether(self, space: SearchSpace) -> None:
        with pytest.raises(AnswerError, match="got list"):
            validate_answer([1], space)  # type: ignore[arg-type]

    def test_data_that_is_not_json(self, space: SearchSpace) -> None:
        loop: list[Any] = []
        loop.append(loop)
        validated, _ = validate_answer(one_region(numeric("layers", 3, 2, 4), notes=loop), space)
        assert validated.notes == "<list>"

    def test_a_sentence_is_said_once(self, space: SearchSpace) -> None:
        rows = [numeric("width", 3, 2, 4)] * 20
        _, repairs = validate_answer(one_region(*rows, numeric("layers", 3, 2, 4)), space)
        assert len(repairs) == 1


class TestNoOpinion:
    def test_must_be_said_outright_by_a_model(self, space: SearchSpace) -> None:
        with pytest.raises(AnswerError, match="confidence 0"):
            validate_answer(one_region(), space)
        validated, _ = validate_answer(one_region(confidence=0), space)
        assert validated.confidence == 0

    def test_is_taken_from_whoever_builds_it(self, space: SearchSpace) -> None:
        empty = PriorAnswer.by_hand()
        check_fit(empty, space)
        assert validate_answer(empty, space) == (empty, ())


class TestAnotherSpace:
    def test_names_expected_and_given(self, space: SearchSpace) -> None:
        other = PriorAnswer.by_hand(numeric={"eta": (0.1, 0.01, 0.3)}, categorical={"booster": {"dart": 1.0}})
        for refuse in (check_fit, validate_answer):
            with pytest.raises(AnswerError, match=r"'learning_rate', .*got beliefs about 'eta', 'booster'"):
                refuse(other, space)

    def test_one_shared_parameter_is_enough(self, space: SearchSpace) -> None:
        partly = PriorAnswer.by_hand(numeric={"eta": (0.1, 0.01, 0.3), "Dropout": (0.1, 0.0, 0.3)})
        check_fit(partly, space)
        validated, repairs = validate_answer(partly, space)
        assert [row.parameter for row in validated.numeric] == ["dropout"]
        assert any("'eta'" in sentence for sentence in repairs)


# Any JSON-like data: loosely answer-shaped, so that the repairs are reached, and not at all.

SPACE = SearchSpace(
    {
        "lr": FloatDistribution(1e-5, 1.0, log=True),
        "x": FloatDistribution(-1e300, 1e300),
        "one": IntDistribution(3, 3),
        "units": IntDistribution(1, 1000, log=True),
        "kind": CategoricalDistribution(["a", "A", "None", None, 1, "1", True]),
    }
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.floats(-2, 2),
    st.text(max_size=5),
    st.sampled_from(["1e-3", "50%", "NaN", 10**400, -(10**400), 1e308, 5e-324]),
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner), max_leaves=8)


def mostly(usual: st.SearchStrategy[Any], other: st.SearchStrategy[Any] = SCALARS) -> st.SearchStrategy[Any]:
    """The usual thing, with rare exceptions: one fault in an answer is enough to hide what comes after it."""
    return st.integers(0, 19).flatmap(lambda i: other if i == 13 else usual)


def rows(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    row = mostly(st.fixed_dictionaries(fields), st.fixed_dictionaries({}, optional=fields) | JSON)
    return mostly(st.lists(row, min_size=1, max_size=8), JSON)


NAMES = mostly(st.sampled_from([*SPACE.names, "LR", " lr"]), st.sampled_from(["unknown", "\ud800"]) | SCALARS)
CHOICES = mostly(st.sampled_from(["a", "A", "none", None, 1, "1", True, "true"]))
IDS = mostly(st.integers(1, 3))
NUMBERS = mostly(st.floats(1e-3, 1e3) | st.floats(-2, 2) | st.sampled_from(["1e-3", "50%", 1e308, -1e308, 5e-324]))
ANSWERS = st.fixed_dictionaries(
    {
        "regions": rows(region=IDS, label=JSON, weight=NUMBERS),
        "numeric": rows(region=IDS, parameter=NAMES, best=NUMBERS, low=NUMBERS, high=NUMBERS),
        "categorical": rows(region=IDS, parameter=NAMES, choice=CHOICES, weight=NUMBERS),
        "correlations": rows(region=IDS, first=NAMES, second=NAMES, rho=NUMBERS),
    },
    optional={"notes": JSON, "confidence": SCALARS, "extra": JSON},
)


# Which examples are made depends on what else is loaded, so there must be enough of them for the guard below.
MANY = settings(max_examples=500)


def assert_valid_or_refused(data: Any) -> None:
    try:
        validated, repairs = validate_answer(data, SPACE)
    except AnswerError as error:
        str(error).encode()
        return
    assert_fits(validated, SPACE)
    assert all(sentence.endswith((".", "?")) and len(sentence) < 1_000 for sentence in repairs)
    again, _ = validate_answer(validated, SPACE)
    assert_fits(again, SPACE)


def test_the_examples_reach_the_repairs() -> None:
    """Guards the tests below: an answer that is refused early shows nothing about what comes later."""
    seen: list[PriorAnswer] = []

    @MANY
    @given(ANSWERS)
    def collect(data: Answer) -> None:
        with contextlib.suppress(AnswerError):
            seen.append(validate_answer(data, SPACE)[0])

    collect()
    assert len(seen) > 30
    for kind in ("numeric", "categorical", "correlations"):
        assert sum(bool(getattr(answer, kind)) for answer in seen) > 5


@MANY
@given(ANSWERS)
def test_any_answer_shaped_data_is_valid_or_refused(data: Answer) -> None:
    assert_valid_or_refused(data)


@MANY
@given(ANSWERS)
def test_any_answer_shaped_text_is_valid_or_refused(data: Answer) -> None:
    assert_valid_or_refused(json.dumps(data))


@given(st.dictionaries(st.text(max_size=5), JSON) | JSON)
def test_any_data_is_valid_or_refused(data: Any) -> None:
    assert_valid_or_refused(data)


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["lr", "x", "one", "units"]),
)
def test_any_interval_is_put_into_the_range_or_refused(best: float, low: float, high: float, name: str) -> None:
    assert_valid_or_refused(one_region(numeric(name, best, low, high)))


class TestSizes:
    """Whatever an answer holds, what is said about it stays short."""

    def test_repairs(self, space: SearchSpace) -> None:
        rows = [numeric("layers", 3, 2, 4)] + [numeric(f"{i}" + "x" * 5_000, 1, 0, 2) for i in range(500)]
        _, repairs = validate_answer({**one_region(*rows), "y" * 200_000: 1, "z" * 200_000: 2}, space)
        assert len(repairs) == MAX_REPAIRS
        assert repairs[-1] == "Further repairs are not listed."
        assert max(map(len, repairs)) <= MAX_SENTENCE_CHARACTERS + 3

    @pytest.mark.parametrize(
        "answer",
        [
            {"notes": "", "x" * 200_000: 1},
            {f"{i}" * 300: 1 for i in range(1_000)},
            {"numeric": [{"parameter": f"{i}" * 300, "best": 1, "low": 0, "high": 2} for i in range(1_000)]},
            {"numeric": "x" * 100_000},
        ],
    )
    def test_complaints(self, space: SearchSpace, answer: Answer) -> None:
        for form in (answer, json.dumps(answer)):
            with pytest.raises(AnswerError) as caught:
                validate_answer(form, space)
            assert len(str(caught.value)) < 15_000

    def test_a_great_many_rows(self, space: SearchSpace) -> None:
        rows = [numeric("layers", 3, 2, 4) for _ in range(MAX_ROWS + 5)]
        validated, repairs = validate_answer(one_region(*rows), space)
        assert len(validated.numeric) == 1
        assert f"Of {MAX_ROWS + 5} rows in 'numeric' the first {MAX_ROWS} were read." in repairs
