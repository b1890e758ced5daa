from __future__ import annotations

import numpy as np
import pytest

from benchmarks.results.regrets import GP, NO_LLM, OURS, Way, regrets_of
from benchmarks.results.versus import Versus, after, area, speed_up, trials_to
from tests.benchmarks.results.studies import record, studies

TASKS = regrets_of(studies("svm_336", "xgb_concrete", scale=10.0))


def test_metrics() -> None:
    regret = np.array([4.0, 2.0, 1.0, 1.0])
    assert after(2)(regret) == 2.0
    assert area(1)(regret) == 2.0
    assert area(2, 3)(regret) == 1.5
    assert trials_to(regret, 2.0) == 2.0
    assert trials_to(regret, 0.5) == np.inf


def test_differences_are_paired_by_seed() -> None:
    versus = Versus.of(TASKS, OURS, NO_LLM, after(1))
    assert versus.by_task["svm_336"].mean == pytest.approx(-0.25)
    assert versus.n_pairs == {"svm_336": 6, "xgb_concrete": 6}
    assert str(versus.verdicts) == "2-0-0"
    assert versus.overall.mean == pytest.approx(-0.25)
    assert versus.worst[1] == pytest.approx(-0.25)


def test_few_seeds_give_no_verdict() -> None:
    few = regrets_of([r for r in studies("svm_336") if r["seed"] < 5])
    assert str(Versus.of(few, OURS, NO_LLM, after(1)).verdicts) == "0-1-0"


def test_a_way_that_was_not_run_has_no_difference() -> None:
    assert Versus.of(TASKS, OURS, Way("NePS", "own"), after(1)).by_task == {}
    assert speed_up(TASKS[0], Way("NePS", "own"), GP) is None


def test_speed_up_counts_trials_to_what_the_baseline_reaches() -> None:
    found = [speed_up(TASKS[0], way, GP) for way in (OURS, NO_LLM, Way("TPESampler"))]
    assert found == [10.0, 2.0, 0.0]


def test_a_level_is_one_that_most_studies_of_the_baseline_reach() -> None:
    # Of two studies one ends at 1 and one at 2: both reach 2, so the level is 2, which is there at once.
    two = [record("svm_336", "GPSampler", "none", seed, [4.0] * 10 + [float(2 - seed)] * 2) for seed in (0, 1)]
    (task,) = regrets_of([*two, record("svm_336", "default", "own", 0, [2.0] + [0.0] * 11)])
    assert speed_up(task, OURS, GP) == 11.0
