from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.stats import gmean, rankdata

from llm_prior_bo.compare.metrics import StudyResult
from llm_prior_bo.compare.statistics import Comparison, Quartiles, paired_bootstrap
from llm_prior_bo.compare.summary import (
    SpeedUp,
    Studies,
    by_task,
    checkpoints,
    differences,
    overall,
    summarize,
)
from llm_prior_bo.errors import ConfigurationError
from tests.compare.records import record

Values = Mapping[str, Sequence[Sequence[float | None]]]


def studies(values: Values, *, task: str = "task", **fields: Any) -> Studies:
    """Studies by sampler, one for each seed from 0."""
    records = [
        record(name, seed, own, task=task, **fields) for name, runs in values.items() for seed, own in enumerate(runs)
    ]
    return by_task(map(StudyResult.of, records))[task]


def rows(of: Studies, **options: Any) -> dict[str, Any]:
    given = {"baseline": None, "level": None, "at": None, "random": None, **options}
    return {row.sampler: row for row in summarize(of, **given)}


def one(median: float) -> Quartiles:
    return Quartiles(median, median, median)


class TestBest:
    def test_quartiles_over_the_studies(self) -> None:
        found = rows(studies({"a": [[5.0, 1.0], [6.0, 2.0], [7.0, 3.0]]}), at=[1, 2, 9])["a"]
        assert found.best == {1: Quartiles(5.5, 6.0, 6.5), 2: Quartiles(1.5, 2.0, 2.5)}
        assert found.n_studies == 3

    def test_a_study_without_a_value_is_the_worst(self) -> None:
        runs: list[list[float | None]] = [[1.0], [2.0], [None]]
        assert rows(studies({"a": runs}))["a"].best[1] == Quartiles(2.0, 2.0, math.inf)
        assert rows(studies({"a": runs}, direction="maximize"))["a"].best[1] == Quartiles(-math.inf, 1.0, 1.0)

    def test_maximised_quartiles_are_in_order(self) -> None:
        found = rows(studies({"a": [[1.0], [2.0], [3.0]]}, direction="maximize"))["a"]
        assert found.best[1] == found.area_1 == Quartiles(1.5, 2.0, 2.5)

    @pytest.mark.parametrize(
        ("n_trials", "at"), [(1, [1]), (10, [5, 10]), (25, [5, 10, 25]), (50, [10, 20, 50]), (100, [20, 50, 100])]
    )
    def test_checkpoints(self, n_trials: int, at: list[int]) -> None:
        assert checkpoints(n_trials) == at

    def test_area_from_the_sixth_trial_needs_six(self) -> None:
        assert rows(studies({"a": [[1.0] * 5]}))["a"].area_6 is None
        assert rows(studies({"a": [[6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]]}))["a"].area_6 == one(0.5)


class TestLevel:
    BASE = ([9.0, 4.0, 4.0, 4.0], [9.0, 9.0, 9.0, 2.0], [9.0, 9.0, 3.0, 3.0])

    def test_is_what_most_of_the_baseline_reach(self) -> None:
        found = studies({"base": self.BASE})
        assert found.loss_of_level(None, baseline="base") == 3.0
        assert studies({"base": [*self.BASE, [9.0, 9.0, 9.0, 8.0]]}).loss_of_level(None, baseline="base") == 4.0
        assert found.loss_of_level(None, baseline=None) is None
        assert studies({"a": [[1.0]]}, direction="maximize").loss_of_level(5.0, baseline=None) == -5.0

    def test_the_baseline_reaches_its_own_level_and_has_no_speed_up(self) -> None:
        for runs in (self.BASE, [*self.BASE, [9.0, 9.0, 9.0, 8.0]]):
            found = rows(studies({"base": runs}), baseline="base")["base"]
            assert found.trials_to_level.median <= 4
            assert str(found.speed_up) == "1x"

    def test_a_baseline_without_values_has_no_level(self) -> None:
        runs: Values = {"base": [[None, 1.0], [None, None], [None, None]], "a": [[1.0, 1.0]]}
        found = rows(studies(runs), baseline="base")["a"]
        assert found.trials_to_level is found.speed_up is None

    def test_speed_up_is_the_ratio_of_the_medians(self) -> None:
        found = rows(studies({"base": self.BASE, "fast": [[9.0, 3.0, 3.0, 3.0]] * 3}), baseline="base")
        assert found["base"].trials_to_level == Quartiles(4.0, 4.0, math.inf)  # 3, 4 and never
        assert found["fast"].trials_to_level == one(2.0)
        assert found["fast"].speed_up == SpeedUp(2.0)

    def test_censored_speed_ups_say_so(self) -> None:
        never, slow, fast = one(math.inf), one(8.0), one(2.0)
        assert str(SpeedUp.of(fast, never, n_trials=10)) == "> 5x"
        assert str(SpeedUp.of(never, slow, n_trials=10)) == "< 0.8x"
        assert SpeedUp.of(never, never, n_trials=10) is None
        assert SpeedUp.of(None, fast, n_trials=10) is SpeedUp.of(fast, None, n_trials=10) is None

    def test_a_given_level(self) -> None:
        found = rows(studies({"a": [[9.0, 5.0], [9.0, 7.0]]}, direction="maximize"), level=8.0)["a"]
        assert found.trials_to_level == one(1.0)
        assert found.speed_up is None


class TestSuccess:
    def test_is_better_than_the_median_of_random_search(self) -> None:
        # Of 1, 2, 3, 4, 5 and no value at all the median is 4: that next to an infinite one.
        runs: Values = {"random": [[1.0, 2.0, 3.0], [4.0, 5.0, None]], "a": [[0.0, 3.4, 3.6], [9.0, 9.0, None]]}
        found = rows(studies(runs))
        assert found["a"].success_rate == Quartiles(0.25, 0.5, 0.75)  # 3 of 3 and 0 of 3

    def test_without_random_search_there_is_none(self) -> None:
        assert rows(studies({"a": [[1.0]]}))["a"].success_rate is None

    def test_random_search_is_found_by_its_class_or_named(self) -> None:
        runs = {"uniform": [[1.0, 2.0, 3.0]], "a": [[0.0, 1.0, 5.0]]}
        kind = {"sampler": "RandomSampler"}
        records = [record("uniform", 0, runs["uniform"][0], **kind), record("a", 0, runs["a"][0])]
        assert rows(by_task(map(StudyResult.of, records))["task"])["a"].success_rate == one(2 / 3)
        assert rows(studies(runs), random="uniform")["a"].success_rate == one(2 / 3)
        assert rows(studies(runs))["a"].success_rate is None
        # Two of this class and no name: which one is meant is not known.
        two = [record(name, 0, [1.0, 2.0], **kind) for name in ("u", "v")]
        assert rows(by_task(map(StudyResult.of, two))["task"])["u"].success_rate is None


class TestDifferences:
    A, B = [1.0, 2.0, 3.0, 4.0, 5.0, 9.0], [3.0, 4.0, 4.0, 6.0, 8.0, 9.0]

    def of(self, **fields: Any) -> list[Any]:
        runs = {"base": [[9.0] * 5 + [b] for b in self.B], "a": [[9.0] * 5 + [a] for a in self.A]}
        return differences(studies(runs, **fields), "base")

    def test_are_paired_by_seed(self) -> None:
        best, area = self.of()
        assert (best.metric, area.metric, best.n_pairs) == ("best value", "area from trial 6", 6)
        assert best.difference == paired_bootstrap(self.A, self.B)
        assert best.difference.mean == pytest.approx(np.subtract(self.A, self.B).mean())
        assert best.comparison == Comparison(5, 1, 0)
        assert best.verdict == "better"

    def test_to_maximise_larger_is_better(self) -> None:
        runs = {"base": [[b] for b in self.B], "a": [[a] for a in self.A]}
        (best,) = differences(studies(runs, direction="maximize"), "base")
        assert best.difference == paired_bootstrap(self.A, self.B)
        assert best.comparison == Comparison(0, 1, 5)
        assert best.verdict == "worse"

    def test_an_interval_around_zero_is_no_clear_difference(self) -> None:
        runs = {"base": [[0.0]] * 6, "a": [[-1.0], [1.0], [-2.0], [2.0], [-3.0], [2.9]]}
        (best,) = differences(studies(runs), "base")
        assert best.verdict == "no clear difference"
        equal = {"base": [[1.0]] * 6, "a": [[1.0]] * 6}
        assert differences(studies(equal), "base")[0].verdict == "no clear difference"

    def test_few_seeds_have_no_verdict(self) -> None:
        runs = {"base": [[2.0]] * 5, "a": [[1.0]] * 5}
        assert differences(studies(runs), "base")[0].verdict == "too few seeds"

    def test_only_seeds_of_both_count(self) -> None:
        records = [record("base", 0, [1.0]), record("base", 1, [5.0]), record("a", 1, [4.0]), record("a", 2, [0.0])]
        (best,) = differences(by_task(map(StudyResult.of, records))["task"], "base")
        assert (best.n_pairs, best.difference) == (1, paired_bootstrap([4.0], [5.0]))

    def test_without_a_value_there_is_no_mean_but_a_loss(self) -> None:
        runs: Values = {"base": [[1.0], [None]], "a": [[None], [None]]}
        (best,) = differences(studies(runs), "base")
        assert best.difference is None
        assert best.comparison == Comparison(0, 1, 1)

    def test_test_values_where_both_have_one(self) -> None:
        tests: dict[str, list[float | None]] = {"base": [1.0, 2.0], "a": [3.0, None]}
        records = [
            record(name, seed, [1.0], test_values=[value], direction="maximize")
            for name, values in tests.items()
            for seed, value in enumerate(values)
        ]
        found = differences(by_task(map(StudyResult.of, records))["task"], "base")
        assert [row.metric for row in found] == ["best value", "test value"]
        assert (found[1].n_pairs, found[1].comparison) == (1, Comparison(1, 0, 0))

    def test_against_a_baseline_that_has_no_study_of_the_task(self) -> None:
        assert differences(studies({"a": [[1.0]]}), "base") == []


class TestOverall:
    def test_over_two_tasks(self) -> None:
        first = studies({"base": [[9.0, 2.0]] * 6, "a": [[9.0, 1.0]] * 6, "b": [[2.0, 2.0]] * 6}, task="first")
        second = studies({"base": [[9.0, 1.0]] * 6, "a": [[1.0, 1.0]] * 6}, task="second")
        tasks = [first, second]
        summaries = [row for of in tasks for row in rows(of, baseline="base").values()]
        found = {
            row.sampler: row for row in overall(tasks, summaries, [d for of in tasks for d in differences(of, "base")])
        }
        ranks = rankdata([2.0, 1.0, 2.0])  # 2.5, 1 and 2.5; 1.5 and 1.5 on the second
        assert found["base"].mean_rank == (ranks[0] + 1.5) / 2
        assert found["a"].mean_rank == (ranks[1] + 1.5) / 2
        assert found["b"].mean_rank == ranks[2]
        assert [found[name].n_tasks for name in ("base", "a", "b")] == [2, 2, 1]
        assert found["a"].tasks == Comparison(1, 1, 0)
        assert found["a"].studies == Comparison(6, 6, 0)
        assert found["a"].speed_up is not None
        assert found["a"].speed_up[0] == pytest.approx(float(gmean([1.0, 2.0])))
        assert found["a"].speed_up[1] == 2

    def test_ranks_need_seeds_that_all_have(self) -> None:
        records = [record("a", 0, [1.0]), record("b", 1, [1.0])]
        of = by_task(map(StudyResult.of, records))["task"]
        assert [row.mean_rank for row in overall([of], list(rows(of).values()), [])] == [None, None]


class TestStudies:
    @pytest.mark.parametrize(
        ("other", "told"),
        [
            ({"values": [1.0, 2.0], "n_trials": 2}, r"n_trials, got \[1, 2\]"),
            ({"direction": "maximize"}, "one direction"),
        ],
    )
    def test_of_one_task_are_alike(self, other: dict[str, Any], told: str) -> None:
        records = [record("a", 0, [1.0]), {**record("b", 0, [1.0]), **other}]
        with pytest.raises(ConfigurationError, match=told):
            by_task(map(StudyResult.of, records))
