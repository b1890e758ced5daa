"""`SearchSpace`: encoding and decoding are inverses, everything decodes to something legal."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from llm_prior_bo.errors import SearchSpaceError
from llm_prior_bo.space import Column, SearchSpace, is_same_parameter
from tests.strategies import distributions, legal_values, spaces


def _same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and (
        left == right or (isinstance(left, float) and math.isclose(left, right, rel_tol=1e-12, abs_tol=1e-12))
    )


@given(st.data(), spaces())
def test_decode_inverts_encode(data: st.DataObject, space: SearchSpace) -> None:
    params = {column.name: data.draw(legal_values(column)) for column in space.columns}
    decoded = space.decode(space.encode([params])[0])
    for column in space.columns:
        if column.kind == "continuous":
            low, high = column.distribution.low, column.distribution.high  # type: ignore[attr-defined]
            assert decoded[column.name] == pytest.approx(params[column.name], rel=1e-11, abs=1e-12 * (high - low))
        else:
            assert decoded[column.name] == params[column.name]
            assert type(decoded[column.name]) is type(params[column.name])


@given(spaces(), st.integers(0, 2**32 - 1))
def test_every_point_decodes_to_a_legal_value(space: SearchSpace, seed: int) -> None:
    u = np.random.default_rng(seed).random((20, len(space))) * (space.bounds[1] + 1e-9)
    for point in u:
        params = space.decode(point)
        for column in space.columns:
            value = params[column.name]
            assert column.distribution._contains(column.distribution.to_internal_repr(value))
            expected = int if isinstance(column.distribution, IntDistribution) else float
            if not isinstance(column.distribution, CategoricalDistribution):
                assert type(value) is expected
        # A range of a few representable floats resolves its coordinates no finer than they lie.
        tolerance = np.array([max(1e-9, 4.0 * _float_spacing(column)) for column in space.columns])
        assert (np.abs(space.encode([params])[0] - space.snap(point)) <= tolerance).all()


def _float_spacing(column: Column) -> float:
    """Distance between neighbouring floats of a column's range, in its coordinate."""
    distribution = column.distribution
    if not isinstance(distribution, FloatDistribution) or distribution.single():
        return 0.0
    largest = max(abs(distribution.low), abs(distribution.high))
    if distribution.log:
        return float(np.finfo(float).eps / np.log(distribution.high / distribution.low))
    return float(np.spacing(largest) / (distribution.high - distribution.low))


@given(spaces(), st.integers(0, 2**32 - 1))
def test_snap_is_idempotent_and_in_bounds(space: SearchSpace, seed: int) -> None:
    X = np.random.default_rng(seed).normal(0.5, 1.0, (3, 4, len(space)))
    snapped = space.snap(X)
    assert snapped.shape == X.shape
    assert (snapped >= space.bounds[0]).all()
    assert (snapped <= space.bounds[1]).all()
    np.testing.assert_allclose(space.snap(snapped), snapped, atol=1e-12)


@given(distributions().map(lambda d: Column("p", d)).filter(lambda c: c.kind == "grid"))
def test_cells_partition_the_unit_interval(column: Column) -> None:
    n = column.n_values or 0
    index = np.unique(np.linspace(0, n - 1, 50).astype(int))
    lower, upper = column.cell_edges(index)
    centre = column.cell_centre(index)
    assert (lower < centre).all()
    assert (centre < upper).all()
    np.testing.assert_array_equal(column.cell_index(centre), index)
    assert float(column.cell_edges(0)[0]) == 0.0
    assert float(column.cell_edges(n - 1)[1]) == 1.0
    inner = index[index < n - 1]
    np.testing.assert_allclose(column.cell_edges(inner)[1], column.cell_edges(inner + 1)[0], atol=1e-12)


@pytest.mark.parametrize(
    ("distribution", "value", "coordinate"),
    [
        # Optuna's own padding: half a step on both sides, then the logarithm.
        (FloatDistribution(0.0, 2.0), 0.5, 0.25),
        (FloatDistribution(1e-4, 1.0, log=True), 1e-2, 0.5),
        (FloatDistribution(0.0, 1.0, step=0.25), 0.5, 0.5),
        (FloatDistribution(0.0, 1.0, step=0.25), 0.0, 0.1),
        (IntDistribution(1, 4), 2, 0.375),
        (IntDistribution(0, 8, step=4), 4, 0.5),
        (IntDistribution(1, 2, log=True), 1, (math.log(1.5) - math.log(0.5)) / (math.log(2.5) - math.log(0.5)) / 2),
        (CategoricalDistribution(["a", "b", "c"]), "c", 2.0),
        (FloatDistribution(3.0, 3.0), 3.0, 0.5),
        (IntDistribution(7, 7), 7, 0.5),
        (CategoricalDistribution([None]), None, 0.0),
    ],
)
def test_coordinates_by_hand(distribution: BaseDistribution, value: Any, coordinate: float) -> None:
    space = SearchSpace({"p": distribution})
    assert space.encode([{"p": value}])[0, 0] == pytest.approx(coordinate)
    assert _same(space.decode([coordinate])["p"], value)


def test_equal_choices_of_different_types_are_told_apart() -> None:
    space = SearchSpace({"p": CategoricalDistribution([1, True, 1.0, "1", None])})
    for index, choice in enumerate([1, True, 1.0, "1", None]):
        assert space.encode([{"p": choice}])[0, 0] == index
        assert type(space.decode([index])["p"]) is type(choice)


def test_log_cells_have_the_mass_that_optuna_gives_them() -> None:
    column = Column("p", IntDistribution(1, 100, log=True))
    lower, upper = column.cell_edges(np.arange(100))
    k = np.arange(1, 101)
    np.testing.assert_allclose(upper - lower, (np.log(k + 0.5) - np.log(k - 0.5)) / (np.log(100.5) - np.log(0.5)))
    assert float((upper - lower).sum()) == pytest.approx(1.0)


WIDE = [
    IntDistribution(0, 2**53),
    IntDistribution(0, 2**53 + 1),
    IntDistribution(0, 2**63 - 1),
    IntDistribution(-(2**63), 2**63 - 1),
    IntDistribution(-(2**70) - 1, 12345),
    IntDistribution(1, 10**18, log=True),
    IntDistribution(1, 2**63 - 1, log=True),
    IntDistribution(3, 10**25),
    IntDistribution(1, 10**25, log=True),
    IntDistribution(2**53 + 1, 2**80 + 1, log=True),
    IntDistribution(0, 7 * 2**60, step=7),
    IntDistribution(0, 10**300, step=1000),
    IntDistribution(5, 5 + 7 * 10**24, step=7),
    IntDistribution(-(10**20) + 2, -(10**20) + 2 + 6 * 10**19, step=6),
    FloatDistribution(0.0, 1e18, step=1.0),
    FloatDistribution(0.0, 1e20, step=0.5),
]


@pytest.mark.parametrize("distribution", WIDE, ids=repr)
def test_grids_too_large_for_cells_decode_to_values_that_optuna_can_store(distribution: Any) -> None:
    column = Column("n", distribution)
    u = np.concatenate([[0.0, 1.0], np.random.default_rng(0).random(500)])
    values = [column.decode(x) for x in u]
    stored = [distribution.to_external_repr(distribution.to_internal_repr(value)) for value in values]
    assert stored == values
    assert all(distribution.low <= value <= distribution.high for value in values)
    if isinstance(distribution, IntDistribution):
        assert all((value - distribution.low) % distribution.step == 0 for value in values)
    assert {type(value) for value in values} == {type(distribution.low)}
    assert len(set(values)) > 400
    np.testing.assert_allclose([column.encode(value) for value in values], column.snap(u), atol=1e-9)
    assert column.kind == "continuous"
    assert column.n_values is None


def test_small_integers_of_a_wide_log_range_keep_their_cells() -> None:
    column = Column("n", IntDistribution(1, 10**18, log=True))
    edge = math.log(3) / math.log(2 * (10**18 + 0.5))  # between 1 and 2: 1.5 on the scale that starts at 0.5
    assert [column.decode(u) for u in (0.0, edge - 1e-6, edge + 1e-6)] == [1, 1, 2]
    assert column.snap(0.0) == column.snap(edge - 1e-6) == column.encode(1)
    np.testing.assert_allclose(column.snap(column.snap([0.01, 0.3, 0.9])), column.snap([0.01, 0.3, 0.9]), atol=1e-12)


def test_integers_at_a_large_offset_are_read_as_they_are_stored() -> None:
    distribution = IntDistribution(2**60 + 1, 2**60 + 10)
    column = Column("n", distribution)
    for value in (distribution.low, distribution.high):
        assert 0.0 <= column.encode(int(float(value))) <= 1.0
    column = Column("n", IntDistribution(2**62, 2**62 + 5000))  # where floats are 1024 apart
    values = [column.decode(u) for u in np.linspace(0, 1, 101)]
    assert set(values) == {2**62 + 1024 * i for i in range(5)}
    np.testing.assert_allclose(
        [column.to_unit(value) for value in values], column.snap(np.linspace(0, 1, 101)), atol=0.2
    )


def test_legal_values_are_those_of_optuna() -> None:
    for distribution, values in (
        (IntDistribution(2, 20, step=3), (1, 2, 5, 6, 20, 21, 5.0, 5.5)),
        (IntDistribution(1, 2**40, log=True), (0, 1, 2**40, 2**40 + 1)),
        (FloatDistribution(0.0, 1.0, step=0.1), (0.30000000000000004, 0.35, 1.0, 1.1, -0.1)),
        (FloatDistribution(1e-5, 1.0, log=True), (1e-6, 1e-5, 1.0, 2)),
    ):
        column = Column("p", distribution)
        for value in values:
            assert column.contains(value) == distribution._contains(float(value)), (distribution, value)
    assert not Column("p", IntDistribution(0, 9)).contains(10**400)


class Unhashable:
    """Equal by content, as many configuration objects are, and hence without a hash."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unhashable) and self.size == other.size

    __hash__ = None  # type: ignore[assignment]


class Incomparable:
    """Refuses to be compared."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not comparable")

    __hash__ = None  # type: ignore[assignment]


CHOICES: list[list[Any]] = [
    [[64], [64, 64], [128, 64]],
    [{"depth": 2}, {"depth": 3, "kinds": ["a"]}],
    [(1, 2), (3, 4), "none", None],
    [{1: "a"}, {2: "b"}],
    [Unhashable(1), Unhashable(2)],
    [Incomparable(), Incomparable()],
    [np.zeros(2), np.ones(2)],
    [{(1, 2): "a"}, {(3, 4): "b"}],
    [{1, 2}, frozenset({3})],
]


@pytest.mark.filterwarnings("ignore:Choices for a categorical distribution")
@pytest.mark.parametrize("choices", CHOICES, ids=lambda choices: type(choices[0]).__name__)
def test_choices_of_any_type(choices: list[Any]) -> None:
    space = SearchSpace({"p": CategoricalDistribution(choices), "x": FloatDistribution(0, 1)})
    again = SearchSpace({"p": CategoricalDistribution(list(choices)), "x": FloatDistribution(0, 1)})
    assert space == again
    assert hash(space) == hash(again)
    assert space.fingerprint == again.fingerprint
    for index, choice in enumerate(choices):
        assert space.encode([{"p": choice, "x": 0.5}])[0, 0] == index
        assert space.decode([index, 0.5])["p"] is choice
    assert not space.column("p").contains("something else")


@pytest.mark.filterwarnings("ignore:Choices for a categorical distribution")
def test_choices_are_known_by_what_a_storage_gives_back_of_them() -> None:
    choices: list[Any] = [(1, 2), {"sizes": (3, 4)}, {5: "five"}, None]
    column = Column("p", CategoricalDistribution(choices))
    stored: list[Any] = [[1, 2], {"sizes": [3, 4]}, {"5": "five"}, None]
    assert [column.encode(choice) for choice in stored] == [0, 1, 2, 3]
    assert column == Column("p", CategoricalDistribution(stored))
    assert is_same_parameter(CategoricalDistribution(choices), CategoricalDistribution(stored))


def test_distributions_of_one_parameter_are_of_one_kind() -> None:
    assert is_same_parameter(FloatDistribution(0, 1), FloatDistribution(0, 2, step=0.5))
    assert not is_same_parameter(FloatDistribution(0, 1), IntDistribution(0, 1))
    assert not is_same_parameter(FloatDistribution(1, 2), FloatDistribution(1, 2, log=True))
    assert not is_same_parameter(CategoricalDistribution("ab"), CategoricalDistribution("ac"))


def test_huge_ranges_are_not_enumerated() -> None:
    space = SearchSpace({"a": IntDistribution(0, 10**12), "b": FloatDistribution(-1e308, 1e308)})
    params = {"a": 123_456_789_012, "b": 1e307}
    decoded = space.decode(space.encode([params])[0])
    assert decoded["a"] == params["a"]
    assert decoded["b"] == pytest.approx(1e307)


def test_ranges_that_the_step_does_not_divide() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        space = SearchSpace({"p": FloatDistribution(0.0, 1.0, step=0.3)})
    assert space.columns[0].n_values == 4
    assert space.decode([1.0])["p"] == pytest.approx(0.9)


def test_to_unit_and_from_unit_are_inverse_and_clipped() -> None:
    column = Column("p", FloatDistribution(1e-5, 1e-1, log=True))
    np.testing.assert_allclose(column.to_unit([1e-5, 1e-3, 1e-1, 7.0, 0.0]), [0.0, 0.5, 1.0, 1.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(column.from_unit(column.to_unit([2e-4, 3e-2])), [2e-4, 3e-2])


@given(spaces(), st.integers(0, 2**32 - 1))
def test_displaced_points_are_legal_and_keep_choices(space: SearchSpace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = space.snap(rng.random((2, 5, len(space))) * space.bounds[1])
    steps = rng.normal(0.0, 1.0, X.shape)
    before = X.copy(), steps.copy()
    moved = space.displaced(X, steps)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(steps, before[1])
    np.testing.assert_allclose(space.snap(moved), moved, atol=1e-12)
    for j, column in enumerate(space.columns):
        end = X[..., j] if column.kind == "categorical" else np.clip(X[..., j] + steps[..., j], 0.0, 1.0)
        np.testing.assert_array_equal(moved[..., j], column.snap(end))


def test_fingerprint_ignores_order_and_sees_changes() -> None:
    a, b = FloatDistribution(0, 1), IntDistribution(1, 3)
    assert SearchSpace({"a": a, "b": b}).fingerprint == SearchSpace({"b": b, "a": a}).fingerprint
    assert SearchSpace({"a": a, "b": b}).fingerprint != SearchSpace({"a": a, "b": IntDistribution(1, 4)}).fingerprint
    assert SearchSpace({"a": a, "b": b}) != SearchSpace({"b": b, "a": a})
    assert hash(SearchSpace({"a": a})) == hash(SearchSpace({"a": a}))
    assert "FloatDistribution" in repr(SearchSpace({"a": a}))


def test_dims_by_kind() -> None:
    space = SearchSpace({"c": CategoricalDistribution("ab"), "f": FloatDistribution(0, 1), "i": IntDistribution(0, 3)})
    assert (space.categorical_dims, space.continuous_dims, space.grid_dims) == ((0,), (1,), (2,))
    np.testing.assert_array_equal(space.bounds, [[0, 0, 0], [1, 1, 1]])
    assert len(space) == 3
    assert space.column("f").name == "f"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SearchSpace({}), "at least one parameter"),
        (lambda: SearchSpace({"a": IntDistribution(1, 10**400)}), "that a float can hold"),
        (lambda: SearchSpace({"a": "0..1"}), "FloatDistribution"),  # type: ignore[dict-item]
        (lambda: SearchSpace({"a": IntDistribution(1, 3)}).encode([{}]), "got none for"),
        (lambda: SearchSpace({"a": IntDistribution(1, 3)}).encode([{"a": 4}]), "got 4"),
        (lambda: SearchSpace({"a": IntDistribution(1, 3)}).encode([{"a": "2"}]), "got '2'"),
        (lambda: SearchSpace({"a": FloatDistribution(1, 3)}).encode([{"a": math.nan}]), "got nan"),
        (lambda: SearchSpace({"a": FloatDistribution(1, 3)}).encode([{"a": True}]), "got True"),
        (lambda: SearchSpace({"a": CategoricalDistribution("xy")}).encode([{"a": "z"}]), "got 'z'"),
        (lambda: SearchSpace({"a": IntDistribution(1, 3)}).encode({"a": 1}), "list of dicts"),  # type: ignore[dict-item]
        (lambda: SearchSpace({"a": IntDistribution(1, 3)}).decode([0.1, 0.2]), "one point of shape"),
        (lambda: SearchSpace({"a": IntDistribution(1, 3)}).decode([math.nan]), "finite"),
        (lambda: SearchSpace({"a": IntDistribution(1, 3)}).column("b"), "got 'b'"),
        (lambda: Column("c", CategoricalDistribution("xy")).to_unit(1.0), "numeric column"),
        (lambda: Column("f", FloatDistribution(0, 1)).cell_index(0.5), "grid or categorical"),
    ],
)
def test_errors_say_what_came(call: Any, message: str) -> None:
    with pytest.raises(SearchSpaceError, match=message):
        call()
