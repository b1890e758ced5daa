from __future__ import annotations

import numpy as np
import pytest

from benchmarks.harness.live_tasks import LIVE_TASKS
from benchmarks.results.regrets import (
    EXTRAPOLATED,
    FUNCTIONS,
    GP,
    LIVE,
    OURS,
    REMEMBERED,
    STARTUP,
    TABLES,
    Way,
    family_of,
    left_out,
    regrets_of,
)
from tests.benchmarks.results.studies import N_SEEDS, N_TRIALS, record, studies


def test_regrets_are_in_units_of_what_ten_random_trials_leave() -> None:
    for scale in (1.0, 100.0):
        (task,) = regrets_of(studies("svm_336", scale=scale))
        assert task.median(GP)[[0, 9, 19, 29]] == pytest.approx([1.0, 1.0, 0.25, 0.25])
        assert task.median(OURS)[[0, 1, 9]] == pytest.approx([0.5, 0.25, 0.0])
        assert len(task.of(OURS)) == N_SEEDS
        assert task.of(Way("NePS", "own")) == {}


def test_another_unit() -> None:
    (task,) = regrets_of(studies("svm_336"), unit=STARTUP)
    assert task.median(OURS)[0] == 1.0  # the control has 2 left at trial 5


def test_a_known_optimum_counts_if_it_is_lower() -> None:
    records = [r | {"best_known": -4.0} for r in studies("svm_336")]
    (task,) = regrets_of(records)
    assert task.median(GP)[0] == 1.0
    assert task.median(OURS)[-1] == 0.5
    (task,) = regrets_of([r | {"best_known": 3.0} for r in studies("svm_336")])
    assert task.median(OURS)[-1] == 0.0


def test_seeds_of_a_live_task_are_different_data() -> None:
    name = next(iter(LIVE_TASKS))
    shifted = [r | {"values": [value + 10.0 * r["seed"] for value in r["values"]]} for r in studies(name)]
    (live,) = regrets_of(shifted)
    np.testing.assert_allclose(live.of(OURS)[5], live.of(OURS)[0])
    (table,) = regrets_of([r | {"problem": "svm_336"} for r in shifted])
    assert table.of(OURS)[5][0] > table.of(OURS)[0][0]


def test_tasks_without_a_unit_are_left_out_and_told() -> None:
    records = [
        *studies("svm_336"),
        *studies("svm_146595", scale=0.0),
        record("xgb_concrete", "default", "own", 0, [1.0] * N_TRIALS),
        *studies(next(iter(REMEMBERED))),
        record("svm_336", "default", "own", 99, []) | {"error": "out of memory"},
    ]
    kept = regrets_of(records)
    assert [task.task for task in kept] == ["svm_336"]
    assert left_out(records, kept) == ["svm_146595", "xgb_concrete"]
    assert 99 not in kept[0].of(OURS)


def test_longer_studies_count_with_their_first_trials() -> None:
    (task,) = regrets_of(studies("svm_336"), n_trials=12)
    assert len(task.median(OURS)) == 12


def test_families() -> None:
    names = ("svm_336", "opda_convnext", "lcbench_126026", "rbv2_rpart_14", "svm_digits", "branin")
    assert [family_of(name) for name in names] == [TABLES, TABLES, EXTRAPOLATED, EXTRAPOLATED, LIVE, FUNCTIONS]


def test_a_way_names_beliefs_that_are_not_the_usual() -> None:
    assert [str(way) for way in (OURS, GP, Way("default", "mirrored"))] == [
        "default",
        "GPSampler",
        "default, mirrored belief",
    ]
