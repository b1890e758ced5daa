"""Trials of a study as points and values: what counts, what is pending, what is left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import optuna
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import HyperbandPruner
from optuna.trial import FrozenTrial, TrialState, create_trial

from llm_prior_bo import SearchSpace
from llm_prior_bo.errors import SearchSpaceError
from llm_prior_bo.models.data import MAX_UNSUCCESSFUL_PENDING, TrainingData
from llm_prior_bo.study.encoding_cache import encode_trial
from llm_prior_bo.study.training_data import training_data_of
from llm_prior_bo.study.trial_records import SUGGESTION_KEY, Suggestion, publish_suggestion
from tests.strategies import legal_values, spaces
from tests.trials import start

SPACE = SearchSpace(
    {"x": FloatDistribution(0, 10), "k": IntDistribution(1, 4), "c": CategoricalDistribution(["a", "b", None])}
)
FULL = {"x": 2.5, "k": 2, "c": "b"}
FULL_POINT = [0.25, 0.375, 1.0]


def trial_of(
    params: dict[str, Any], *values: float, state: TrialState = TrialState.COMPLETE, **options: Any
) -> FrozenTrial:
    distributions: dict[str, BaseDistribution] = {name: SPACE.distributions[name] for name in params}
    return create_trial(params=params, distributions=distributions, values=list(values) or None, state=state, **options)


Direction = Literal["minimize", "maximize"]


def study_with(*trials: FrozenTrial, directions: Sequence[Direction] = ("minimize",)) -> optuna.Study:
    study = optuna.create_study(directions=directions)
    study.add_trials(trials)
    return study


class TestStates:
    def test_an_empty_study(self) -> None:
        data = training_data_of(study_with(), SPACE)
        assert data.n == 0
        assert [tuple(t.shape) for t in (data.X, data.Y, data.constraints, data.pending)] == [
            (0, 3),
            (0, 1),
            (0, 0),
            (0, 3),
        ]
        assert data.X.dtype == data.Y.dtype == data.constraints.dtype == data.pending.dtype == torch.float64

    def test_finished_trials_are_data_and_minimised_values_turned_round(self) -> None:
        data = training_data_of(study_with(trial_of(FULL, 3.0), trial_of({**FULL, "k": 4}, -1.0)), SPACE)
        assert data.X.tolist() == [FULL_POINT, [0.25, 0.875, 1.0]]
        assert data.Y.tolist() == [[-3.0], [1.0]]

    @pytest.mark.parametrize("state", [TrialState.FAIL, TrialState.PRUNED])
    def test_trials_without_a_value_are_places_not_to_go_again(self, state: TrialState) -> None:
        data = training_data_of(study_with(trial_of(FULL, state=state), trial_of(FULL, state=state)), SPACE)
        assert data.n == 0
        assert data.pending.tolist() == [FULL_POINT]  # once

    def test_only_the_latest_of_them(self) -> None:
        pruned = [trial_of({"x": i / 10}, state=TrialState.PRUNED) for i in range(MAX_UNSUCCESSFUL_PENDING + 5)]
        pending = training_data_of(study_with(*pruned), SPACE).pending
        assert pending[:, 0].min() == pytest.approx(0.05)
        assert len(pending) == MAX_UNSUCCESSFUL_PENDING

    def test_running_trials_are_pending(self) -> None:
        study = study_with(trial_of(FULL, 1.0))
        trial = study.ask({"x": SPACE.distributions["x"]})
        data = training_data_of(study, SPACE)
        assert data.n == 1
        # The parameters that it has not suggested yet are neutral.
        assert data.pending.tolist() == [[trial.params["x"] / 10, 0.5, 0.0]]

    def test_published_parameters_of_running_trials(self) -> None:
        study = study_with()
        other = start(study)
        publish_suggestion(study, other, Suggestion(params=FULL, phase="model", n=0))
        assert training_data_of(study, SPACE).pending.tolist() == [FULL_POINT]
        # What the trial was really given goes before what was suggested: it may have been enqueued.
        study._storage.set_trial_param(other._trial_id, "k", 4, SPACE.distributions["k"])
        assert training_data_of(study, SPACE).pending.tolist() == [[0.25, 0.875, 1.0]]

    def test_the_suggestion_of_a_finished_trial_does_not_count(self) -> None:
        published = {SUGGESTION_KEY: '{"params": {"k": 4}, "phase": "model", "n": 0}'}
        data = training_data_of(study_with(trial_of({"x": 2.5}, 1.0, system_attrs=published)), SPACE)
        assert data.X.tolist() == [[0.25, 0.5, 0.0]]

    def test_the_trial_in_question_is_not_pending(self) -> None:
        study = study_with()
        own, other = start(study), start(study)
        for trial, k in ((own, 1), (other, 4)):
            publish_suggestion(study, trial, Suggestion(params={**FULL, "k": k}, phase="model", n=0))
        assert training_data_of(study, SPACE, trial=own).pending.tolist() == [[0.25, 0.875, 1.0]]
        assert len(training_data_of(study, SPACE).pending) == 2

    def test_waiting_and_running_trials_without_parameters_are_ignored(self) -> None:
        study = study_with()
        study.enqueue_trial(FULL)
        start(study)
        assert len(training_data_of(study, SPACE).pending) == 0


class TestNumbers:
    """Which trial of the study each row is."""

    def test_are_those_of_the_finished_trials(self) -> None:
        study = study_with(
            trial_of(FULL, 1.0),
            trial_of(FULL, state=TrialState.FAIL),
            trial_of({**FULL, "k": 4}, 2.0),
            trial_of(FULL, state=TrialState.PRUNED),
            trial_of({**FULL, "k": 1}, 3.0),
        )
        start(study)
        data = training_data_of(study, SPACE)
        assert data.numbers == (0, 2, 4)
        assert [study.trials[number].params["k"] for number in data.numbers] == [2, 4, 1]

    def test_trials_left_out_leave_no_gap(self) -> None:
        foreign = create_trial(params={"x": 11.0}, distributions={"x": FloatDistribution(0, 20)}, value=1.0)
        assert training_data_of(study_with(foreign, trial_of(FULL, 2.0)), SPACE).numbers == (1,)

    def test_there_are_none_without_a_study(self) -> None:
        X = torch.zeros(2, 3)
        assert TrainingData(X=X, Y=X[:, :1], constraints=X[:, :0], pending=X[:0]).numbers == ()
        assert training_data_of(study_with(), SPACE).numbers == ()


class TestParameters:
    def test_a_parameter_that_was_not_active_is_neutral(self) -> None:
        assert SPACE.neutral_point.tolist() == [0.5, 0.5, 0.0]
        data = training_data_of(study_with(trial_of({"k": 2}, 1.0), trial_of(FULL, 1.0)), SPACE)
        assert data.X[0].tolist() == [0.5, 0.375, 0.0]
        assert data.active is not None
        assert data.active.tolist() == [[False, True, False], [True, True, True]]

    def test_a_trial_with_none_of_the_parameters_is_left_out(self) -> None:
        other = create_trial(params={"z": 1.0}, distributions={"z": FloatDistribution(0, 1)}, value=1.0)
        assert training_data_of(study_with(other), SPACE).n == 0

    @pytest.mark.parametrize(
        ("name", "value", "distribution"),
        [
            ("x", 11.0, FloatDistribution(0, 20)),
            ("k", 5, IntDistribution(1, 9)),
            ("c", "d", CategoricalDistribution(["d"])),
            ("x", "a", CategoricalDistribution(["a"])),
        ],
    )
    def test_a_value_outside_the_space_leaves_the_trial_out(
        self, name: str, value: Any, distribution: BaseDistribution
    ) -> None:
        foreign = create_trial(params={name: value}, distributions={name: distribution}, value=1.0)
        failed = create_trial(params={name: value}, distributions={name: distribution}, state=TrialState.FAIL)
        data = training_data_of(study_with(foreign, failed, trial_of(FULL, 2.0)), SPACE)
        assert data.X.tolist() == [FULL_POINT]
        assert len(data.pending) == 0

    @pytest.mark.parametrize("value", [math.nan, math.inf, "a", None, [1], {"a": 1}, True, 10**400])
    def test_nonsense_that_was_published_is_left_out(self, value: object) -> None:
        study = study_with()
        trial = start(study)
        publish_suggestion(study, trial, Suggestion(params={"x": value, "c": "a"}, phase="model", n=0))
        assert len(training_data_of(study, SPACE).pending) == 0

    def test_none_is_a_choice_like_others(self) -> None:
        assert training_data_of(study_with(trial_of({"c": None}, 1.0)), SPACE).X[0, 2] == 2.0

    @given(data=st.data())
    def test_any_legal_trial_is_encoded_as_the_space_encodes_it(self, data: st.DataObject) -> None:
        space = data.draw(spaces())
        params = {column.name: data.draw(legal_values(column)) for column in space.columns}
        trial = create_trial(params=params, distributions=space.distributions, value=0.0)
        point = encode_trial(trial, space)
        assert point is not None
        assert np.array_equal(point, space.encode([params])[0])


class TestValues:
    def test_every_direction_is_maximised(self) -> None:
        study = study_with(trial_of(FULL, 1.0, 2.0, -3.0), directions=("minimize", "maximize", "minimize"))
        assert training_data_of(study, SPACE).Y.tolist() == [[-1.0, 2.0, 3.0]]

    def test_infinities_stay(self) -> None:
        study = study_with(trial_of(FULL, math.inf), trial_of(FULL, -math.inf))
        assert training_data_of(study, SPACE).Y.tolist() == [[-math.inf], [math.inf]]

    def test_no_value_is_nan(self) -> None:
        study = optuna.create_study()
        study.optimize(lambda t: t.suggest_float("x", 0, 10) * math.nan, n_trials=2)
        data = training_data_of(study, SPACE)
        assert data.n == 0
        assert len(data.pending) == 2

    def test_constraints_as_trials_set_them(self) -> None:
        def objective(trial: optuna.Trial) -> float:
            x = trial.suggest_float("x", 0, 10)
            trial.set_constraint("b", x - 1)
            trial.set_constraint("a", -x)
            return x

        study = optuna.create_study()
        study.enqueue_trial({"x": 3.0})
        study.optimize(objective, n_trials=1)
        assert training_data_of(study, SPACE).constraints.tolist() == [[-3.0, 2.0]]

    def test_constraints_go_by_name_and_one_that_is_not_set_is_satisfied(self) -> None:
        study = study_with(
            trial_of(FULL, 1.0, constraints={"a": -1.0}),
            trial_of(FULL, 1.0, constraints={"a": 3.0, "b": 0.0}),
            trial_of(FULL, 1.0, system_attrs={"constraints:a": math.nan}),
            trial_of(FULL, 1.0),
        )
        assert training_data_of(study, SPACE).constraints.tolist() == [
            [-1.0, -1.0],
            [3.0, 0.0],
            [math.inf, -1.0],
            [-2.0, -1.0],
        ]

    def test_a_pruned_trial_need_not_set_what_only_some_finished_ones_set(self) -> None:
        study = study_with(
            trial_of(FULL, 1.0, constraints={"a": -1.0}),
            trial_of(FULL, 1.0),
            trial_of(FULL, state=TrialState.PRUNED, intermediate_values={0: 2.0}),
        )
        assert training_data_of(study, SPACE, use_pruned="last_value").n == 3

    @pytest.mark.parametrize("value", [5, "x", [None], {"a": {}}])
    def test_constraints_that_are_none(self, value: Any) -> None:
        study = study_with(trial_of(FULL, 1.0, system_attrs={"constraints": value}), trial_of(FULL, 2.0))
        assert tuple(training_data_of(study, SPACE).constraints.shape) == (2, 0)


def test_a_bracket_sees_its_own_trials() -> None:
    pruner = HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3)
    study = optuna.create_study(study_name="brackets", pruner=pruner)  # the brackets are drawn from the name
    seen = []

    def objective(trial: optuna.Trial) -> float:
        value = trial.suggest_float("x", 0, 10)
        trial.report(value, 1)
        trial.should_prune()  # the pruner makes its brackets when it is asked first
        bracket = optuna.pruners._filter_study(study, study._storage.get_trial(trial._trial_id))
        seen.append(training_data_of(bracket, SPACE).n)
        return value

    study.optimize(objective, n_trials=8)
    assert training_data_of(study, SPACE).n == 8
    assert seen != list(range(8))  # fewer: the trials of the other brackets are not in it


@pytest.mark.parametrize(
    "shapes", [((2, 3), (1, 1), (2, 0), (0, 3)), ((2, 3), (2, 1), (1, 1), (0, 3)), ((2, 3), (2, 1), (2, 0), (1, 2))]
)
def test_shapes_that_do_not_fit(shapes: tuple[tuple[int, int], ...]) -> None:
    X, Y, constraints, pending = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(SearchSpaceError, match="Expected X `n x d`"):
        TrainingData(X=X, Y=Y, constraints=constraints, pending=pending)
