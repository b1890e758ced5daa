from __future__ import annotations

import pytest

from benchmarks.harness.summary import group_by_seed, summarize, trust_table
from llm_prior_bo.compare.statistics import Comparison, Quartiles
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
