from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.results.records import FOLDER, KINDS, keep, kept, reduced
from benchmarks.results.regrets import OURS, regrets_of
from tests.benchmarks.results.studies import record, studies


def test_regrets_of_kept_records_are_those_of_the_records(tmp_path: Path) -> None:
    records = [r | {"best_known": -0.123456789} for r in studies("svm_336", scale=1.0 / 3.0)]
    assert keep("proof", records, tmp_path) == len(records)
    (before,), (after,) = regrets_of(records), regrets_of(kept("proof", tmp_path))
    assert after.median(OURS) == pytest.approx(before.median(OURS), rel=1e-4)


def test_new_records_are_added_and_replace_older_ones(tmp_path: Path) -> None:
    old, new = studies("svm_336"), studies("svm_336", "xgb_concrete", scale=2.0)
    keep("proof", old, tmp_path)
    assert keep("proof", new, tmp_path) == len(new)
    assert kept("proof", tmp_path) == [reduced(r) for r in new]


def test_records_with_an_error_are_not_kept(tmp_path: Path) -> None:
    assert keep("proof", [record("svm_336", "default", "own", 0, []) | {"error": "out of memory"}], tmp_path) == 0
    assert kept("again", tmp_path) == []


def test_equal_records_are_equal_files(tmp_path: Path) -> None:
    files = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        keep("proof", studies("svm_336"), folder)
        files.append((folder / "proof.jsonl.gz").read_bytes())
    assert files[0] == files[1]


def test_values_are_differences_to_the_best_known() -> None:
    one = record("svm_336", "default", "own", 0, [3.0, 1.0], best_known=1.0, params=[[0.5]], seconds=2.0)
    assert reduced(one)["values"] == [2.0, 0.0]
    assert reduced(one)["best_known"] == 0.0
    assert not {"params", "seconds"} & reduced(one).keys()


def test_values_of_a_live_task_stay() -> None:
    one = reduced(record("svm_digits", "default", "own", 0, [3.0, 1.0], test_values=[4.0, 2.0]))
    assert (one["values"], one["test_values"], one["best_known"]) == ([3.0, 1.0], [4.0, 2.0], None)


def test_without_a_word_of_the_best_the_first_value_is_zero() -> None:
    one = {k: v for k, v in record("svm_336", "asked once", "own", 0, [3.0, 1.0]).items() if k != "best_known"}
    assert reduced(one)["values"] == [0.0, -2.0]


def test_only_what_tables_show_is_kept_of_a_trace() -> None:
    trace = {str(n): [0.1, 1.0, 0.8] for n in range(50)}
    assert reduced(record("svm_336", "default", "own", 0, [1.0] * 50, trace=trace))["trace"].keys() == {
        "4",
        "9",
        "19",
        "49",
    }


def test_repository_has_every_kind_and_differences_where_the_best_is_known() -> None:
    for kind in KINDS:
        records = kept(kind, FOLDER)
        assert records
        assert all(r["error"] is None for r in records)
    assert {r["best_known"] for r in kept("proof")} <= {0.0, None}
