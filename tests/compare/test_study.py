from __future__ import annotations

import time
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import GridSampler, RandomSampler

from llm_prior_bo import FixedElicitor, LLMPriorSampler, PriorAnswer
from llm_prior_bo.compare.inputs import ComparisonTask
from llm_prior_bo.compare.runner import Task
from llm_prior_bo.compare.study import StudyRunner, mean_distance
from llm_prior_bo.errors import ConfigurationError
from tests.compare.objectives import SPACE, always_fails, half_fails, seeded, square

NUMBER = FloatDistribution(0.0, 2.0)
LOG = FloatDistribution(1e-4, 1.0, log=True)
CHOICE = CategoricalDistribution(["a", "b"])


def run(task: ComparisonTask, sampler: Any = RandomSampler, *, seed: int = 0, n_trials: int = 4) -> dict[str, Any]:
    return StudyRunner({"t": task}, {"s": sampler})(Task("t", "", "s", seed, n_trials))


class TestRecord:
    def test_has_all_trials(self) -> None:
        told = run(ComparisonTask(square), seed=1)
        study = optuna.create_study(sampler=RandomSampler(seed=1))
        study.optimize(square, n_trials=4)
        assert told["values"] == [trial.value for trial in study.trials]
        assert told["params"] == [trial.params for trial in study.trials]
        assert told["test_values"] == [trial.user_attrs["test_value"] for trial in study.trials]
        assert told["states"] == ["COMPLETE"] * 4
        assert (told["direction"], told["sampler"], told["n_enqueued"]) == ("minimize", "RandomSampler", 0)
        assert told["failure"] is None

    def test_objective_sees_the_seed_and_the_attributes(self) -> None:
        assert run(ComparisonTask(seeded), seed=7)["values"] == [7.0] * 4

        def described(trial: optuna.Trial) -> float:
            return len(trial.study.user_attrs["problem_description"])

        assert run(ComparisonTask(described, user_attrs={"problem_description": "four"}))["values"] == [4.0] * 4

    def test_enqueued_points_come_first(self) -> None:
        told = run(ComparisonTask(square, enqueue={"s": [{"x": 0.5}, {"x": -1.0}], "other": [{"x": 0.3}]}))
        assert [params["x"] for params in told["params"]][:2] == [0.5, -1.0]
        assert told["n_enqueued"] == 2
        suggested = [params["x"] for params in told["params"]][2:]
        assert told["diversity"] == pytest.approx(abs(suggested[0] - suggested[1]) / 2)

    def test_more_enqueued_points_than_trials(self) -> None:
        told = run(ComparisonTask(square, enqueue={"s": [{"x": x} for x in (0.1, 0.2, 0.3)]}), n_trials=2)
        assert told["n_enqueued"] == 2
        assert told["diversity"] is None

    def test_failed_pruned_and_infeasible_trials_have_no_value(self) -> None:
        def objective(trial: optuna.Trial) -> float:
            trial.suggest_float("x", -1.0, 1.0)
            trial.set_constraint("size", 1.0 if trial.number == 3 else -1.0)
            if trial.number == 1:
                raise RuntimeError("out of memory")
            if trial.number == 2:
                raise optuna.TrialPruned
            return float("nan") if trial.number == 4 else 0.5

        told = run(ComparisonTask(objective), n_trials=6)
        assert told["values"] == [0.5, None, None, None, None, 0.5]
        assert told["states"] == ["COMPLETE", "FAIL", "PRUNED", "INFEASIBLE", "FAIL", "COMPLETE"]
        assert told["failure"] == "RuntimeError: out of memory"

    def test_a_study_without_any_value_is_an_error(self) -> None:
        with pytest.raises(ConfigurationError, match="got 4 others: ValueError: trial 0 is broken"):
            run(ComparisonTask(always_fails))
        with pytest.raises(ConfigurationError, match="none returned a number"):
            run(ComparisonTask(lambda trial: float("nan")))  # noqa: ARG005

    def test_a_sampler_that_has_tried_everything_ends_its_study(self) -> None:
        told = run(ComparisonTask(square), lambda seed: GridSampler({"x": [0.0, 0.5]}, seed=seed))
        assert sorted(told["values"][:2]) == pytest.approx([0.04, 0.09])
        assert told["values"][2:] == [None, None]
        assert told["states"][2:] == ["NOT_RUN"] * 2
        assert len(told["test_values"]) == len(told["suggest_seconds"]) == 4

    def test_a_test_value_that_is_no_number_is_refused(self) -> None:
        def objective(trial: optuna.Trial) -> float:
            trial.set_user_attr("test_value", "good")
            return 1.0

        with pytest.raises(ConfigurationError, match="'test_value', got 'good'"):
            run(ComparisonTask(objective))

    @pytest.mark.parametrize("value", [1, 0.5, np.float32(0.5), np.float64(0.5)])
    def test_any_number_is_a_test_value(self, value: Any) -> None:
        def objective(trial: optuna.Trial) -> float:
            trial.set_user_attr("test_value", value)
            return 1.0

        assert run(ComparisonTask(objective), n_trials=1)["test_values"] == [float(value)]

    def test_choices_that_json_cannot_hold_are_text(self) -> None:
        def pair(trial: optuna.Trial) -> float:
            choices: list[Any] = [(1, 2)]
            return float(trial.suggest_categorical("k", choices)[0])

        with pytest.warns(UserWarning, match="Choices for a categorical distribution"):
            told = run(ComparisonTask(pair), n_trials=1)
        assert told["params"] == [{"k": "(1, 2)"}]

    def test_optuna_is_as_loud_as_before(self) -> None:
        before = optuna.logging.get_verbosity()
        run(ComparisonTask(half_fails), n_trials=6)
        assert optuna.logging.get_verbosity() == before


class TestTime:
    def test_is_the_samplers_own(self) -> None:
        class Slow(RandomSampler):
            def sample_independent(self, *arguments: Any) -> Any:
                time.sleep(0.05)
                return super().sample_independent(*arguments)

        def objective(trial: optuna.Trial) -> float:
            time.sleep(0.4)
            return square(trial)

        told = run(ComparisonTask(objective), lambda seed: Slow(seed=seed), n_trials=2)
        assert all(0.05 <= seconds < 0.4 for seconds in told["suggest_seconds"])
        assert told["seconds"] >= 0.9

    def test_a_sampler_suggests_what_it_would_suggest_alone(self) -> None:
        answer = PriorAnswer.by_hand(numeric={"x": (0.3, 0.1, 0.5)})

        def factory(seed: int) -> LLMPriorSampler:
            return LLMPriorSampler(elicitor=FixedElicitor(answer), search_space=SPACE, seed=seed)

        study = optuna.create_study(sampler=factory(2))
        study.optimize(square, n_trials=7)
        assert run(ComparisonTask(square), factory, seed=2, n_trials=7)["params"] == [t.params for t in study.trials]


class TestMeanDistance:
    def test_of_numbers(self) -> None:
        # Coordinates 0, 1/2 and 1: distances 1/2, 1/2 and 1.
        assert mean_distance([{"x": 0.0}, {"x": 1.0}, {"x": 2.0}], {"x": NUMBER}) == pytest.approx(2 / 3)

    def test_on_a_logarithmic_range(self) -> None:
        assert mean_distance([{"r": 1e-4}, {"r": 1e-2}], {"r": LOG}) == pytest.approx(0.5)

    def test_of_choices(self) -> None:
        rows = [{"k": "a"}, {"k": "b"}, {"k": "a"}]
        assert mean_distance(rows, {"k": CHOICE}) == pytest.approx(2 / 3)

    def test_is_the_mean_over_the_parameters(self) -> None:
        rows = [{"x": 0.0, "k": "a"}, {"x": 1.0, "k": "b"}]
        assert mean_distance(rows, {"x": NUMBER, "k": CHOICE}) == pytest.approx((0.5 + 1.0) / 2)

    def test_of_conditional_parameters(self) -> None:
        # First and second: x differs by 1/2, only one has k. First and third: neither has k.
        rows: list[dict[str, Any]] = [{"x": 0.0}, {"x": 1.0, "k": "a"}, {"x": 2.0}]
        expected = np.mean([(0.5 + 1.0) / 2, 1.0, (0.5 + 1.0) / 2])
        assert mean_distance(rows, {"x": NUMBER, "k": CHOICE}) == pytest.approx(expected)

    def test_of_uniform_points_is_a_third(self) -> None:
        u = np.random.default_rng(0).uniform(0.0, 2.0, size=400)
        assert mean_distance([{"x": float(x)} for x in u], {"x": NUMBER}) == pytest.approx(1 / 3, abs=0.02)

    @pytest.mark.parametrize("rows", [[], [{"x": 1.0}], [{}, {}]])
    def test_of_nothing(self, rows: list[dict[str, Any]]) -> None:
        assert mean_distance(rows, {"x": NUMBER}) is None
