"""Studies of every kind that Optuna has: directions, constraints, pruners, storages, workers, restarts."""

from __future__ import annotations

import copy
import math
import pickle
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import optuna
import pytest
import torch
from optuna import pruners
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import PartialFixedSampler
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.testing.storages import STORAGE_MODES_HEARTBEAT, StorageSupplier
from optuna.trial import TrialState, create_trial

from llm_prior_bo import (
    FixedElicitor,
    LLMPriorSampler,
    MixturePrior,
    NumericBelief,
    PowerDecay,
    PriorAnswer,
    Region,
    SearchSpace,
    StudyContext,
    build_prior,
)
from llm_prior_bo.elicitation.prompt.render import render_prompt
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.study.diagnostics import study_statistics
from llm_prior_bo.study.training_data import training_data_of
from llm_prior_bo.study.trial_records import Suggestion, is_own, started_here
from tests.storages import MODES, quiet_supplier

SPACE = SearchSpace({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)})
BELIEF = PriorAnswer.by_hand(numeric={"x": (0.8, 0.75, 0.85), "y": (0.2, 0.15, 0.25)})


Direction = Literal["minimize", "maximize"]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


def asked(**options: Any) -> LLMPriorSampler:
    return LLMPriorSampler(
        elicitor=FixedElicitor(BELIEF), **{"search_space": SPACE, "seed": 0, "n_startup_trials": 3, **options}
    )


def sphere(trial: optuna.Trial) -> float:
    return (trial.suggest_float("x", 0, 1) - 0.3) ** 2 + (trial.suggest_float("y", 0, 1) - 0.7) ** 2


def suggestions(study: optuna.Study) -> dict[int, Suggestion]:
    return study_statistics(study).suggestions


def points(study: optuna.Study) -> set[tuple[float, ...]]:
    return {tuple(trial.params.values()) for trial in study.trials}


class TestStorages:
    @pytest.mark.parametrize("mode", MODES)
    @quiet_supplier
    def test_a_study_its_resumption_and_its_records(self, mode: str) -> None:
        with StorageSupplier(mode) as storage:
            study = optuna.create_study(storage=storage, sampler=asked(), study_name="one")
            study.enqueue_trial({"x": 0.5})
            study.optimize(sphere, n_trials=4)
            trial = study.ask(SPACE.distributions)
            study.tell(trial, 1.0)
            resumed = optuna.load_study(storage=storage, sampler=asked(), study_name="one")
            resumed.optimize(sphere, n_trials=2)
            assert [t.state for t in resumed.trials] == [TrialState.COMPLETE] * 7
            assert len(points(resumed)) == 7
            statistics = study_statistics(resumed)
            assert len(statistics.elicitations) == 1
            assert [s.phase for s in statistics.suggestions.values()] == ["startup"] * 3 + ["model"] * 4
            assert [s.n for s in statistics.suggestions.values()] == list(range(7))
            assert all(started_here(resumed, t) for t in resumed.trials)

    def test_all_storages_suggest_alike(self) -> None:
        found = []
        for mode in ("inmemory", "sqlite", "journal"):
            with StorageSupplier(mode) as storage:
                study = optuna.create_study(storage=storage, sampler=asked(), study_name="one")
                study.optimize(sphere, n_trials=5)
                found.append([t.params for t in study.trials])
        assert found[0] == found[1] == found[2]


class TestDirections:
    @pytest.mark.parametrize("direction", ["minimize", "maximize"])
    def test_one_objective(self, direction: Direction) -> None:
        sign = 1.0 if direction == "minimize" else -1.0
        study = optuna.create_study(direction=direction, sampler=asked())
        study.optimize(lambda t: sign * sphere(t), n_trials=14)
        assert abs(study.best_value) < 0.02

    @pytest.mark.parametrize("n_objectives", [2, pytest.param(3, marks=pytest.mark.slow)])
    def test_several_objectives_with_constraints(self, n_objectives: int) -> None:
        def objective(trial: optuna.Trial) -> tuple[float, ...]:
            first = sphere(trial)
            x, y = trial.params["x"], trial.params["y"]
            trial.set_constraint("sum", x + y - 1.2)
            trial.set_constraint("x", 0.05 - x)
            return (first, x + y, x - y)[:n_objectives]

        directions: list[Direction] = ["minimize", "maximize", "minimize"]
        study = optuna.create_study(directions=directions[:n_objectives], sampler=asked())
        study.optimize(objective, n_trials=6)
        assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 6
        assert [s.phase for s in suggestions(study).values()][3:] == ["model"] * 3
        assert study.best_trials

    def test_a_region_for_each_objective(self) -> None:
        """Two objectives with different optima: the answer may say where each is best, and both regions stay."""
        regions = {1: ("best loss", 0.2), 2: ("best speed", 0.8)}
        answer = PriorAnswer(
            notes="",
            regions=[Region(region=i, label=label, weight=0.5) for i, (label, _) in regions.items()],
            numeric=[
                NumericBelief(region=i, parameter=name, best=at, low=at - 0.1, high=at + 0.1)
                for i, (_, at) in regions.items()
                for name in ("x", "y")
            ],
            categorical=[],
            correlations=[],
            confidence=0.9,
        )

        def objective(trial: optuna.Trial) -> tuple[float, float]:
            x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
            return (x - 0.2) ** 2 + (y - 0.2) ** 2, (x - 0.8) ** 2 + (y - 0.8) ** 2

        sampler = LLMPriorSampler(elicitor=FixedElicitor(answer), search_space=SPACE, n_startup_trials=6, seed=0)
        study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler)
        study.optimize(objective, n_trials=9)
        prior = sampler._source.current(study, SPACE)
        assert isinstance(prior, MixturePrior)
        assert [region.label for region in prior.regions] == ["best loss", "best speed"]
        first = [t.params["x"] for t in study.trials[:5]]
        assert min(first) < 0.4  # the start-up design visits both
        assert max(first) > 0.6
        for record in list(suggestions(study).values())[6:]:
            (part,) = record.answers
            assert part.trust is not None
            assert part.trust > 0.5
            assert min(part.region_weights) > 0.1

    def test_the_question_says_what_an_optimum_of_several_objectives_is(self) -> None:
        text = str(render_prompt(StudyContext(SPACE.distributions, directions=("minimize", "maximize"))))
        assert "Pareto" in text


def learning_curve(trial: optuna.Trial, n_steps: int = 4) -> float:
    value = sphere(trial)
    for step in range(1, n_steps + 1):
        trial.report(value + 1.0 / step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return value + 1.0 / n_steps


PRUNERS: dict[str, Callable[[], pruners.BasePruner]] = {
    "NopPruner": pruners.NopPruner,
    "MedianPruner": lambda: pruners.MedianPruner(n_startup_trials=2),
    "PercentilePruner": lambda: pruners.PercentilePruner(50.0, n_startup_trials=2),
    "SuccessiveHalvingPruner": pruners.SuccessiveHalvingPruner,
    "HyperbandPruner": lambda: pruners.HyperbandPruner(min_resource=1, max_resource=4, reduction_factor=2),
    "ThresholdPruner": lambda: pruners.ThresholdPruner(upper=1.2),
    "PatientPruner": lambda: pruners.PatientPruner(pruners.MedianPruner(n_startup_trials=2), patience=1),
    "WilcoxonPruner": lambda: pruners.WilcoxonPruner(p_threshold=0.3),
}


class TestPruners:
    def test_all_of_optunas_are_here(self) -> None:
        assert set(PRUNERS) == set(pruners.__all__) - {"BasePruner"}

    @pytest.mark.parametrize("name", PRUNERS)
    @pytest.mark.parametrize("pruned", ["avoid", "last_value"])
    @pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
    def test_every_pruner(self, name: str, pruned: str) -> None:
        study = optuna.create_study(sampler=asked(pruned=pruned), pruner=PRUNERS[name](), study_name="pruned")
        study.optimize(learning_curve, n_trials=8)
        assert {t.state for t in study.trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
        assert len(points(study)) == 8
        assert len(study_statistics(study).elicitations) == 1

    def test_brackets_do_not_begin_with_the_same_points(self) -> None:
        pruner = pruners.HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3)
        study = optuna.create_study(sampler=asked(), pruner=pruner, study_name="brackets")
        study.optimize(lambda t: learning_curve(t, 9), n_trials=9)
        slots = [s.slot for s in suggestions(study).values() if s.slot is not None]
        assert len(slots) > 3  # more than one bracket has started
        assert len(set(slots)) == len(slots)

    def test_a_space_found_in_one_bracket_is_that_of_all(self) -> None:
        pruner = pruners.HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3)
        study = optuna.create_study(sampler=asked(search_space=None), pruner=pruner, study_name="brackets")
        study.optimize(lambda t: learning_curve(t, 9), n_trials=7)
        assert list(suggestions(study)) == list(range(1, 7))

    def test_without_any_finished_trial(self) -> None:
        def objective(trial: optuna.Trial) -> float:
            trial.report(sphere(trial), 1)
            raise optuna.TrialPruned

        study = optuna.create_study(sampler=asked(search_space=None, pruned="last_value"))
        study.optimize(objective, n_trials=5)
        assert len(points(study)) == 5


class TestPrunedValues:
    """`pruned="last_value"`: what becomes of intermediate values."""

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        return [
            self.trial(0.1, value=1.0),
            self.trial(0.2, value=3.0),
            self.trial(0.3, value=5.0),
            self.trial(0.4, reported={0: 9.0, 2: 7.0}),
            self.trial(0.5, reported={0: 0.5}),  # early and better than anything that finished
            self.trial(0.6, reported={0: 1.0, 1: math.nan}),
            self.trial(0.7),
        ]

    def trial(
        self, x: float, *, value: float | None = None, reported: dict[int, float] | None = None, **options: Any
    ) -> optuna.trial.FrozenTrial:
        return create_trial(
            params={"x": x, "y": 0.0},
            distributions=SPACE.distributions,
            value=value,
            state=TrialState.PRUNED if value is None else TrialState.COMPLETE,
            intermediate_values=reported,
            **options,
        )

    def data(self, direction: Direction = "minimize", **options: Any) -> TrainingData:
        study = optuna.create_study(direction=direction)
        study.add_trials(self.trials())
        return training_data_of(study, SPACE, **options)

    def test_are_left_out_unless_asked_for(self) -> None:
        data = self.data()
        assert data.numbers == (0, 1, 2)
        assert len(data.pending) == 4

    def test_the_last_one_counts_as_no_better_than_the_median(self) -> None:
        data = self.data(use_pruned="last_value")
        assert data.numbers == (0, 1, 2, 3, 4)
        assert data.Y.flatten().tolist() == [-1.0, -3.0, -5.0, -7.0, -3.0]
        assert data.X[:, 0].tolist() == [0.1, 0.2, 0.3, 0.4, 0.5]
        assert data.pending[:, 0].tolist() == [0.6, 0.7]

    def test_the_same_for_what_is_maximised(self) -> None:
        data = self.data(direction="maximize", use_pruned="last_value")
        assert data.Y.flatten().tolist() == [1.0, 3.0, 5.0, 3.0, 0.5]

    def test_not_before_anything_has_finished(self) -> None:
        study = optuna.create_study()
        study.add_trials(self.trials()[3:])
        assert training_data_of(study, SPACE, use_pruned="last_value").n == 0

    def test_nor_without_the_constraints_that_others_report(self) -> None:
        study = optuna.create_study()
        study.add_trial(self.trial(0.1, value=1.0, constraints={"c": -1.0}))
        study.add_trial(self.trial(0.2, reported={0: 2.0}))
        study.add_trial(self.trial(0.3, reported={0: 2.0}, constraints={"c": 1.0}))
        data = training_data_of(study, SPACE, use_pruned="last_value")
        assert data.numbers == (0, 2)
        assert data.constraints.tolist() == [[-1.0], [1.0]]

    def test_do_not_age_the_prior(self) -> None:
        study = optuna.create_study(sampler=asked(pruned="last_value"), pruner=pruners.ThresholdPruner(upper=0.0))
        study.enqueue_trial({"x": 0.5, "y": 0.5})
        study.optimize(lambda t: sphere(t) if t.number == 0 else learning_curve(t), n_trials=6)
        assert [t.state for t in study.trials] == [TrialState.COMPLETE] + [TrialState.PRUNED] * 5
        assert [s.n for s in suggestions(study).values()] == [1] * 5
        assert [s.phase for s in suggestions(study).values()] == ["startup"] * 2 + ["model"] * 3


class TestWorkers:
    def test_two_threads(self) -> None:
        study = optuna.create_study(sampler=asked(search_space=None))
        study.optimize(sphere, n_trials=8, n_jobs=2)
        assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 8
        assert len(points(study)) == 8
        assert len(study_statistics(study).elicitations) == 1

    @pytest.mark.parametrize("given", [True, False], ids=["stated", "found"])
    def test_batches_that_are_asked_before_they_are_told(self, given: bool) -> None:
        study = optuna.create_study(sampler=asked(search_space=SPACE if given else None))
        for _ in range(3):
            batch = [study.ask(SPACE.distributions) for _ in range(4)]
            assert len({tuple(trial.params.values()) for trial in batch}) == 4
            for trial in batch:
                study.tell(trial, sum(trial.params.values()))
        assert len(points(study)) == 12

    def test_what_is_known_is_not_tried_again_while_others_run(self) -> None:
        """However good it is: the best place is a corner, found at once."""
        study = optuna.create_study(sampler=asked())
        study.enqueue_trial({"x": 0.0, "y": 0.0})
        asked_first = [study.ask(SPACE.distributions) for _ in range(2)]
        study.tell(asked_first[0], 0.0)
        for _ in range(10):  # the second one runs on
            trial = study.ask(SPACE.distributions)
            study.tell(trial, sum(trial.params.values()))
        assert len(points(study)) == 12

    def test_asked_one_parameter_at_a_time(self) -> None:
        study = optuna.create_study(sampler=asked())
        trials = [study.ask() for _ in range(3)]
        for trial in reversed(trials):
            study.tell(trial, sphere(trial))
        assert len(points(study)) == 3

    def test_a_trial_that_started_before_anything_was_known(self) -> None:
        """Its parameters are independent, and no warning says so: there was no other way."""
        study = optuna.create_study(sampler=asked(search_space=None))
        first, second = study.ask(), study.ask()
        first.suggest_float("x", 0.0, 1.0)
        study.tell(second, sphere(second))
        first.suggest_float("y", 0.0, 1.0)

    def test_told_failed_and_pruned(self) -> None:
        study = optuna.create_study(sampler=asked())
        for state in (TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE):
            trial = study.ask(SPACE.distributions)
            study.tell(trial, 1.0 if state == TrialState.COMPLETE else None, state=state)
        assert [s.n for s in suggestions(study).values()] == [0, 0, 0, 1, 1]
        assert len(points(study)) == 5


class TestFixedParameters:
    def test_enqueued_whole_and_in_part(self) -> None:
        study = optuna.create_study(sampler=asked())
        study.enqueue_trial({"x": 0.1, "y": 0.2})
        study.enqueue_trial({"y": 0.9})
        study.optimize(sphere, n_trials=5)
        assert study.trials[0].params == {"x": 0.1, "y": 0.2}
        assert study.trials[1].params == {"x": pytest.approx(0.8), "y": 0.9}  # the rest from the prior's mode
        assert [s.slot for s in suggestions(study).values()] == [0, 1, None, None]
        assert [s.n for s in suggestions(study).values()] == [1, 2, 3, 4]  # evaluated here: evidence

    def test_partially_fixed_sampler_in_every_phase(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            sampler = PartialFixedSampler({"y": 0.9}, asked(search_space=None))
        study = optuna.create_study(sampler=sampler)
        study.optimize(sphere, n_trials=7)
        assert all(t.params["y"] == 0.9 for t in study.trials)
        assert [s.phase for s in suggestions(study).values()] == ["startup"] * 2 + ["model"] * 4
        assert study.trials[1].params["x"] == pytest.approx(0.8)


class TestHeartbeat:
    @pytest.mark.parametrize("mode", STORAGE_MODES_HEARTBEAT)
    @pytest.mark.filterwarnings(
        "ignore::optuna.exceptions.ExperimentalWarning",
        "ignore:Heartbeat of storage is supposed to be used with Study.optimize:UserWarning",  # how a trial dies here
    )
    def test_a_trial_whose_worker_died_is_retried(self, mode: str) -> None:
        retry = RetryHeartbeatStaleTrialCallback(max_retry=1)
        options = {"heartbeat_interval": 1, "grace_period": 1, "heartbeat_stale_trial_callback": retry}
        with StorageSupplier(mode, **options) as storage:
            study = optuna.create_study(storage=storage, sampler=asked())
            study.optimize(sphere, n_trials=1)
            dead = study.ask()
            x = dead.suggest_float("x", 0, 1)  # it dies before it asks for y
            assert isinstance(storage, BaseHeartbeat)
            storage.record_heartbeat(dead._trial_id)
            time.sleep(2.1)
            study.optimize(sphere, n_trials=5)
            trials = study.trials
            assert [t.state for t in trials].count(TrialState.FAIL) == 1
            (retried,) = [t for t in trials if RetryHeartbeatStaleTrialCallback.retried_trial_number(t) is not None]
            assert (retried.state, retried.params["x"]) == (TrialState.COMPLETE, x)
            slots = [s.slot for s in suggestions(study).values() if s.slot is not None]
            assert len(slots) == len(set(slots))
            n_finished = sum(t.state == TrialState.COMPLETE for t in trials)
            assert n_finished == 6
            assert max(s.n for s in suggestions(study).values()) == n_finished - 1  # the retried one counts once
            assert sum(started_here(study, t) for t in trials if t.state == TrialState.COMPLETE) == 6


class TestTermination:
    @pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::optuna.exceptions.ExperimentalWarning")
    def test_terminators_stop_a_study(self) -> None:
        from optuna import terminator as t

        evaluators: list[Any] = [
            t.RegretBoundEvaluator(min_n_trials=4),
            t.BestValueStagnationEvaluator(max_stagnation_trials=1),
            t.EMMREvaluator(min_n_trials=4),
        ]
        for evaluator in evaluators:
            stop = t.Terminator(evaluator, t.StaticErrorEvaluator(1e9), min_n_trials=5)
            study = optuna.create_study(sampler=asked())
            study.optimize(sphere, n_trials=9, callbacks=[t.TerminatorCallback(stop)])
            assert 5 <= len(study.trials) < 9

    def test_stop_callbacks_and_timeout(self) -> None:
        numbers: list[int] = []

        def callback(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            numbers.append(trial.number)
            if trial.number == 4:
                study.stop()

        study = optuna.create_study(sampler=asked())
        study.optimize(sphere, n_trials=9, callbacks=[callback])
        assert numbers == [0, 1, 2, 3, 4]
        study.optimize(sphere, n_trials=3, timeout=0.0)
        assert len(study.trials) <= 6

    def test_errors_that_are_caught_and_others(self) -> None:
        def objective(trial: optuna.Trial) -> float:
            value = sphere(trial)
            if trial.number in (1, 4):
                raise ValueError("diverged")
            return value

        study = optuna.create_study(sampler=asked())
        study.optimize(objective, n_trials=6, catch=(ValueError,))
        assert [t.state for t in study.trials].count(TrialState.FAIL) == 2
        with pytest.raises(ZeroDivisionError):
            study.optimize(lambda t: sphere(t) / 0, n_trials=1)
        study.optimize(sphere, n_trials=1)
        assert len(points(study)) == 8


class TestCopies:
    @pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda sampler: pickle.loads(pickle.dumps(sampler))])
    @pytest.mark.parametrize("given", [True, False], ids=["stated", "found"])
    def test_in_mid_study(self, duplicate: Callable[[LLMPriorSampler], LLMPriorSampler], given: bool) -> None:
        sampler = asked(search_space=SPACE if given else None)
        study = optuna.create_study(sampler=sampler)
        study.optimize(sphere, n_trials=4)
        study.sampler = duplicate(sampler)
        study.optimize(sphere, n_trials=2)
        assert [s.phase for s in suggestions(study).values()][-2:] == ["model"] * 2
        assert len(study_statistics(study).elicitations) == 1

    def test_a_pickled_study(self) -> None:
        study = optuna.create_study(sampler=asked())
        study.optimize(sphere, n_trials=4)
        other = pickle.loads(pickle.dumps(study))
        for one in (study, other):
            one.optimize(sphere, n_trials=2)
        assert [t.params for t in study.trials] == [t.params for t in other.trials]


class TestWarmStart:
    def source(self) -> optuna.Study:
        study = optuna.create_study(sampler=asked())
        study.optimize(sphere, n_trials=4)
        return study

    @pytest.mark.parametrize("marked", [False, True], ids=["trials by hand", "trials of another study of ours"])
    def test_is_data_and_does_not_age_the_prior(self, marked: bool) -> None:
        added = [
            t if marked else create_trial(params=t.params, distributions=t.distributions, value=t.value)
            for t in self.source().trials
        ]
        study = optuna.create_study(sampler=asked(decay=PowerDecay(10.0)))
        study.add_trials(added)
        study.optimize(sphere, n_trials=2)
        assert [is_own(t) for t in study.trials[:4]] == [marked] * 4
        assert [started_here(study, t) for t in study.trials] == [False] * 4 + [True] * 2
        records = [suggestions(study)[i] for i in (4, 5)]
        assert [s.slot for s in records] == [None, None]  # there is data enough for a model
        assert [s.n for s in records] == [0, 1]
        assert (records[1].phase, records[1].exponent) == ("model", 10.0)

    def test_does_not_take_positions_of_the_design(self) -> None:
        study = optuna.create_study(sampler=asked(n_startup_trials=6))
        study.add_trials(self.source().trials[:2])
        study.optimize(sphere, n_trials=1)
        assert suggestions(study)[2].slot == 0
        assert study.trials[2].params == {"x": pytest.approx(0.8), "y": pytest.approx(0.2)}

    def test_a_copy_of_a_study_goes_on_where_it_was(self) -> None:
        with StorageSupplier("sqlite") as first, StorageSupplier("sqlite") as second:
            study = optuna.create_study(storage=first, sampler=asked(), study_name="one")
            study.optimize(sphere, n_trials=4)
            optuna.copy_study(from_study_name="one", from_storage=first, to_storage=second)
            copied = optuna.load_study(study_name="one", storage=second, sampler=asked())
            copied.optimize(sphere, n_trials=1)
            assert suggestions(copied)[4].n == 4
            assert len(study_statistics(copied).elicitations) == 1

    def test_marks_without_a_name_are_from_older_versions(self) -> None:
        study = optuna.create_study()
        assert started_here(study, create_trial(value=1.0, system_attrs={"llm_prior_bo:started": True}))
        assert not started_here(study, create_trial(value=1.0))


PRIOR = build_prior(BELIEF, SPACE)


class TestPrunedArgument:
    @pytest.mark.parametrize("value", ["ignore", None, True])
    def test_is_checked(self, value: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"pruned to be one of \['avoid', 'last_value'\], got"):
            LLMPriorSampler(prior=PRIOR, pruned=value)


@pytest.mark.slow
def test_everything_at_once() -> None:
    """A branch, two objectives, a constraint, pruned-like failures, enqueued trials, warm start and two threads."""

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        x = trial.suggest_float("x", 0, 1)
        kind = trial.suggest_categorical("kind", ["a", "b"])
        z = trial.suggest_int(f"z_{kind}", 1, 5)
        trial.set_constraint("c", x - 0.9)
        if trial.number == 5:
            raise RuntimeError
        return x, float(z)

    distributions: dict[str, BaseDistribution] = {"x": FloatDistribution(0, 1)}
    answer = PriorAnswer.by_hand(numeric={"x": (0.8, 0.75, 0.85)})
    sampler = LLMPriorSampler(
        elicitor=FixedElicitor(answer), n_startup_trials=4, seed=0, warn_independent_sampling=False
    )
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    study.add_trial(create_trial(params={"x": 0.5}, distributions=distributions, values=[0.5, 1.0]))
    study.enqueue_trial({"kind": "b"})
    study.optimize(objective, n_trials=9, n_jobs=2, catch=(RuntimeError,))
    assert [t.state for t in study.trials].count(TrialState.COMPLETE) == 9
    assert any(s.phase == "model" for s in suggestions(study).values())
    assert np.isfinite([t.values for t in study.trials if t.values]).all()
    assert torch.get_default_dtype() == torch.float32
