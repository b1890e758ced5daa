from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.harness.summary import (
    Comparison,
    MeanDifference,
    Quartiles,
    group_by_seed,
    paired_bootstrap,
    summarize,
    trust_table,
)
from llm_prior_bo.errors import ConfigurationError
from tests.benchmarks.records import record

RECORDS = [
    record("evidence", 0, [8.0, 1.0]),
    record("evidence", 1, [8.0, 2.0]),
    record("evidence", 2, [8.0, 3.0]),
    record("evidence", 3, [8.0, 4.0]),
    record("evidence", 4, [8.0, 10.0]),
    record("no-prior", 0, [9.0, 2.0]),  # worse than evidence
    record("no-prior", 1, [9.0, 2.0 + 1e-12]),  # level
    record("no-prior", 2, [7.0, 2.0]),  # better
    record("no-prior", 3, [7.0, 5.0]),  # worse
]


class TestSummary:
    def test_quartiles_by_hand(self) -> None:
        row = summarize(RECORDS, at=(1, 2))[0]
        assert (row.problem, row.prior, row.method, row.n) == ("branin", "weak", "evidence", 5)
        assert row.regret == {1: Quartiles(8.0, 8.0, 8.0), 2: Quartiles(2.0, 3.0, 4.0)}

    def test_quartiles_next_to_an_infinite_value(self) -> None:
        assert Quartiles.of([1.0, 2.0, 3.0, math.inf]) == Quartiles(2.0, 3.0, math.inf)

    def test_quartiles_as_text(self) -> None:
        quartiles = Quartiles(0.125, 2.0, 31.0)
        assert quartiles.text(".2f") == "2.00 (0.12 .. 31.00)"
        assert quartiles.text(".4g") == "2 (0.125 .. 31)"
        assert str(quartiles) == "2 (0.12 to 31)"

    def test_comparison_is_paired_by_seed(self) -> None:
        row, reference = summarize(RECORDS, at=(1, 2))
        assert row.versus == {1: Comparison(2, 0, 2), 2: Comparison(2, 1, 1)}
        assert reference.method == "no-prior"
        assert reference.versus == {}

    def test_another_reference(self) -> None:
        rows = summarize(RECORDS, at=(2,), reference="evidence")
        assert [row.versus for row in rows] == [{}, {2: Comparison(1, 1, 2)}]

    def test_late_checkpoints_are_left_out(self) -> None:
        assert list(summarize(RECORDS, at=(1, 10, 50))[0].regret) == [1]
        assert list(summarize(RECORDS)[0].regret) == [2]

    def test_failed_studies_are_left_out(self) -> None:
        broken = {**record("evidence", 5, [0.0, 0.0]), "error": "Traceback"}
        del broken["regret"]
        assert summarize([*RECORDS, broken], at=(2,)) == summarize(RECORDS, at=(2,))

    def test_methods_that_ignore_the_prior_count_for_every_kind(self) -> None:
        records = [
            record("no-prior", 0, [5.0], prior="uniform"),
            record("evidence", 0, [1.0], prior="strong"),
            record("evidence", 0, [9.0], prior="wrong-wide"),
            record("random", 0, [7.0], problem="mixed", prior="uniform"),
        ]
        rows = summarize(records, at=(1,))
        assert [(row.problem, row.prior, row.method) for row in rows] == [
            ("branin", "strong", "no-prior"),
            ("branin", "strong", "evidence"),
            ("branin", "wrong-wide", "no-prior"),
            ("branin", "wrong-wide", "evidence"),
            ("mixed", "uniform", "random"),
        ]
        assert [str(row.versus.get(1)) for row in rows] == ["None", "1-0-0", "None", "0-0-1", "None"]

    def test_different_lengths_are_refused(self) -> None:
        with pytest.raises(ConfigurationError, match=r"one length, got \[1, 2\]"):
            summarize([*RECORDS, record("evidence", 9, [1.0])])

    def test_nothing_gives_nothing(self) -> None:
        assert summarize([]) == []
        assert group_by_seed([]) == {}

    def test_cells(self) -> None:
        assert summarize(RECORDS, at=(2,))[0].cells() == {
            "problem": "branin",
            "prior": "weak",
            "method": "evidence",
            "seeds": "5",
            "regret after 2": "3 (2 to 4)",
            "2: against no-prior": "2-1-1",
        }


class TestTrust:
    def test_median_where_a_gate_spoke(self) -> None:
        records = [
            record("evidence", 0, [1.0] * 3, details={2: {"trust": 0.2}, 3: {"trust": 0.9}}),
            record("evidence", 1, [1.0] * 3, details={2: {"trust": 0.4}}),
            record("evidence", 2, [1.0] * 3, details={2: {"trust": 0.9}}),
            record("evidence", 3, [1.0] * 3),
            record("pibo-10", 0, [1.0] * 3),
        ]
        (row,) = trust_table(records, at=(1, 2, 3, 50))
        assert (row.method, row.n) == ("evidence", 3)
        assert row.trust == {2: 0.4, 3: 0.9}
        assert row.first_region == {}
        assert row.cells()["trust at 2"] == "0.40"

    def test_weight_of_the_right_region_of_three(self) -> None:
        details = [{10: {"trust": 0.9, "region_weights": [weight, 0.1, 0.1]}} for weight in (0.2, 0.6)]
        records = [
            record("evidence", seed, [1.0] * 10, prior=prior, details=details[seed])
            for prior in ("multimodal", "weak")
            for seed in range(2)
        ]
        several, one = trust_table(records, at=(10,))
        assert several.first_region == pytest.approx({10: 0.4})
        assert several.cells()["region 0 at 10"] == "0.40"
        assert one.first_region == {}

    def test_records_of_samplers_that_say_nothing(self) -> None:
        silent = {**record("random", 0, [1.0]), "trials": [None]}
        assert trust_table([silent], at=(1,)) == []


class TestBootstrap:
    def test_constant_difference_has_no_width(self) -> None:
        assert paired_bootstrap([1.0, 2.0, 3.0], [2.0, 3.0, 4.0], seed=0) == MeanDifference(-1.0, -1.0, -1.0)

    def test_agrees_with_resampled_means(self) -> None:
        rng = np.random.default_rng(0)
        a, b = rng.gamma(2.0, size=30), rng.gamma(2.0, size=30)
        own = paired_bootstrap(a, b, n_resamples=20_000, seed=1)
        rows = np.random.default_rng(2).integers(30, size=(20_000, 30))
        low, high = np.quantile((a - b)[rows].mean(axis=1), [0.025, 0.975])
        assert own.mean == pytest.approx((a - b).mean())
        assert (own.low, own.high) == pytest.approx((low, high), abs=0.02)

    def test_one_pair_has_no_width(self) -> None:
        assert paired_bootstrap([3.0], [1.0], seed=0) == MeanDifference(2.0, 2.0, 2.0)

    def test_width_of_a_large_sample(self) -> None:
        a = np.random.default_rng(0).standard_normal(400)
        own = paired_bootstrap(a, np.zeros(400), seed=0)
        assert own.high - own.low == pytest.approx(2 * 1.96 * a.std() / math.sqrt(400), rel=0.1)

    def test_same_seed_same_interval(self) -> None:
        a, b = [1.0, 4.0, 2.0], [0.0, 1.0, 5.0]
        assert paired_bootstrap(a, b, seed=3) == paired_bootstrap(a, b, seed=3)
        assert str(MeanDifference(0.5, -0.25, 1.0)) == "+0.5 (-0.25 to +1)"

    @pytest.mark.parametrize(("a", "b"), [([], []), ([1.0], [1.0, 2.0])])
    def test_numbers_that_are_no_pairs_are_refused(self, a: list[float], b: list[float]) -> None:
        with pytest.raises(ConfigurationError, match=f"at least one, got {len(a)} and {len(b)}"):
            paired_bootstrap(a, b, seed=0)
