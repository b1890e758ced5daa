from __future__ import annotations

import math

import numpy as np
import pytest

from llm_prior_bo.compare.metrics import StudyResult
from llm_prior_bo.errors import ConfigurationError
from tests.compare.records import record

VALUES = [4.0, None, 6.0, 2.0, 3.0, 2.0, 1.0]


@pytest.fixture
def study() -> StudyResult:
    return StudyResult.of(record("a", 0, VALUES))


@pytest.fixture
def upwards() -> StudyResult:
    return StudyResult.of(record("a", 0, VALUES, direction="maximize"))


class TestCurves:
    def test_minimised(self, study: StudyResult) -> None:
        np.testing.assert_array_equal(study.best, [4, 4, 4, 2, 2, 2, 1])
        np.testing.assert_array_equal(study.loss, study.best)

    def test_maximised(self, upwards: StudyResult) -> None:
        np.testing.assert_array_equal(upwards.best, [4, 4, 6, 6, 6, 6, 6])
        np.testing.assert_array_equal(upwards.loss, -upwards.best)

    def test_before_the_first_value_the_loss_is_infinite(self) -> None:
        for direction in ("minimize", "maximize"):
            study = StudyResult.of(record("a", 0, [None, 1.0], direction=direction))
            assert math.isnan(study.best[0])
            assert study.loss[0] == math.inf


class TestMetrics:
    def test_trials_to_a_level(self, study: StudyResult, upwards: StudyResult) -> None:
        assert [study.trials_to(level) for level in (5.0, 4.0, 2.0, 1.0, 0.5)] == [1, 1, 4, 7, math.inf]
        assert [upwards.trials_to(-level) for level in (4.0, 6.0, 7.0)] == [1, 3, math.inf]

    def test_area(self, study: StudyResult) -> None:
        assert study.area(1) == pytest.approx((4 + 4 + 4 + 2 + 2 + 2 + 1) / 7)
        assert study.area(6) == pytest.approx((2 + 1) / 2)
        assert study.area(7) == 1.0
        assert study.area(8) is None

    def test_area_without_a_value_at_its_start(self) -> None:
        study = StudyResult.of(record("a", 0, [None, 1.0, 3.0]))
        assert study.area(1) == math.inf
        assert study.area(2) == 1.0

    def test_success_rate_counts_suggestions_only(self) -> None:
        values = [0.0, 4.0, None, 1.0, 2.0]
        assert StudyResult.of(record("a", 0, values)).success_rate(2.0) == pytest.approx(2 / 5)
        assert StudyResult.of(record("a", 0, values, n_enqueued=1)).success_rate(2.0) == pytest.approx(1 / 4)
        assert StudyResult.of(record("a", 0, values, n_enqueued=5)).success_rate(2.0) is None

    def test_success_rate_of_a_maximised_study(self, upwards: StudyResult) -> None:
        assert upwards.success_rate(-3.0) == pytest.approx(2 / 7)  # 4 and 6

    def test_test_value_of_the_earliest_best_trial(self) -> None:
        values, tests = [3.0, 1.0, 1.0, None], [0.3, 0.1, 0.7, 0.9]
        assert StudyResult.of(record("a", 0, values, test_values=tests)).test_value == 0.1
        assert StudyResult.of(record("a", 0, values, test_values=tests, direction="maximize")).test_value == 0.3
        assert StudyResult.of(record("a", 0, values, test_values=[1.0, None, 1.0, 1.0])).test_value is None
        assert StudyResult.of(record("a", 0, values)).test_value is None
        assert StudyResult.of(record("a", 0, [None, None])).test_value is None

    def test_time_for_a_suggestion(self) -> None:
        told = record("a", 0, [1.0, 1.0, 1.0], suggest_seconds=[9.0, 1.0, 2.0], n_enqueued=1)
        assert StudyResult.of(told).mean_suggest_seconds == 1.5
        assert StudyResult.of(record("a", 0, [1.0])).mean_suggest_seconds is None

    def test_trials_without_a_value(self) -> None:
        states = ["COMPLETE", "FAIL", "FAIL", "PRUNED", "INFEASIBLE", "NOT_RUN"]
        told = record("a", 0, [1.0, None, None, None, None, None], states=states)
        assert StudyResult.of(told).n_without_value == {"FAIL": 2, "PRUNED": 1, "INFEASIBLE": 1}


class TestReading:
    def test_a_benchmarks_record_with_its_prior(self) -> None:
        told = {**record("default", 3, [2.0, 1.0]), "prior": "weak", "regret": [2.0, 1.0]}
        del told["direction"], told["sampler"]
        study = StudyResult.of(told)
        assert (study.sampler, study.seed, study.direction, study.kind) == ("default (weak)", 3, "minimize", None)

    def test_a_record_without_values_is_refused(self) -> None:
        told = record("a", 0, [1.0])
        for broken in ({**told, "values": [1.0, 2.0]}, {k: v for k, v in told.items() if k != "values"}):
            with pytest.raises(ConfigurationError, match="with values, one for each of 1 trials"):
                StudyResult.of(broken)
