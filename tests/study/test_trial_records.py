"""What the sampler leaves in a trial, and what it makes of what others left there."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from llm_prior_bo import FixedElicitor, LLMPriorSampler, PriorAnswer, SearchSpace, UniformPrior
from llm_prior_bo.study.training_data import training_data_of
from llm_prior_bo.study.trial_records import (
    ARRIVED_KEY,
    ASKING_KEY,
    CHOOSING_KEY,
    FAILED_KEY,
    HEARTBEAT_KEY,
    STARTED_KEY,
    SUGGESTION_KEY,
    AnswerPart,
    Suggestion,
    abandon,
    asker,
    failed_by_itself,
    is_asking,
    is_choosing,
    is_own,
    mark_arrived,
    mark_asking,
    mark_choosing,
    mark_started,
    publish_suggestion,
    read_suggestion,
)
from tests.conftest import Open
from tests.trials import start

SUGGESTION = Suggestion(
    params={"lr": 1e-3, "layers": 2, "act": "relu", "decay": None, "bias": True},
    phase="model",
    n=7,
    exponent=0.5,
    log_acquisition=-3.25,
    log_prior=1.5,
    loss_bound=4.25,
    answers=(
        AnswerPart(0, 7, 0.5, 1.5, 0.75, 4.25, trust=0.75, region_weights=(0.5, 0.25), bayes_factors=(1.5, 1e-6)),
        AnswerPart(5, 2, 0.25, -0.5, -0.125, 1.5),
    ),
)


def again(study: optuna.Study, trial: FrozenTrial) -> FrozenTrial:
    return study._storage.get_trial(trial._trial_id)


def with_record(record: Any) -> FrozenTrial:
    return create_trial(value=0.0, system_attrs={SUGGESTION_KEY: record})


@pytest.fixture(params=["memory", "sqlite", "journal"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> BaseStorage:
    if request.param == "memory":
        return InMemoryStorage()
    if request.param == "sqlite":
        return RDBStorage(f"sqlite:///{tmp_path}/study.db")
    return JournalStorage(JournalFileBackend(str(tmp_path / "study.log")))


def test_round_trip(storage: BaseStorage) -> None:
    study = optuna.create_study(storage=storage)
    trial = start(study)
    assert read_suggestion(trial) is None
    publish_suggestion(study, trial, SUGGESTION)
    assert read_suggestion(again(study, trial)) == SUGGESTION
    assert not is_own(again(study, trial))
    mark_started(study, trial)
    assert is_own(again(study, trial))
    if isinstance(storage, RDBStorage):
        storage.engine.dispose()


def test_infinite_numbers_survive() -> None:
    study = optuna.create_study()
    trial = start(study)
    infinity = float("inf")
    suggestion = Suggestion(params={"x": 1.0}, phase="model", n=1, log_acquisition=-infinity, loss_bound=infinity)
    publish_suggestion(study, trial, suggestion)
    assert read_suggestion(again(study, trial)) == suggestion


def test_choices_that_json_does_not_hold_are_published_as_text() -> None:
    study = optuna.create_study()
    trial = start(study)
    publish_suggestion(study, trial, Suggestion(params={"shape": (3, 4), "kind": int}, phase="startup", n=0, slot=0))
    record = read_suggestion(again(study, trial))
    assert record is not None
    assert record.params == {"shape": [3, 4], "kind": "<class 'int'>"}


def test_a_trial_added_from_elsewhere_is_not_own() -> None:
    assert not is_own(create_trial(value=1.0))
    assert is_own(create_trial(value=1.0, system_attrs={STARTED_KEY: True}))


@pytest.mark.parametrize(
    "record",
    [
        None,
        1,
        [],
        "",
        "null",
        "[]",
        "{",
        "{}",
        '{"params": 1, "phase": "model", "n": 0}',
        '{"params": {"x": 1}}',
        "[" * 100_000,
    ],
)
def test_an_unreadable_record_is_no_record(record: object) -> None:
    assert read_suggestion(with_record(record)) is None


def test_a_record_of_before_there_were_gates() -> None:
    record = read_suggestion(with_record('{"params": {"x": 1}, "phase": "model", "n": 3, "exponent": 0.5}'))
    assert record is not None
    assert record.exponent == 0.5
    assert record.loss_bound is None
    assert record.answers == ()
    assert record.trust is None


def test_fields_of_a_later_version_are_ignored() -> None:
    suggestion = read_suggestion(with_record('{"params": {"x": 1}, "phase": "model", "n": 0, "mood": "good"}'))
    assert suggestion == Suggestion(params={"x": 1}, phase="model", n=0)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["params", "phase", "n", "slot", "x"]), inner, max_size=4)
        ),
    )
)
def test_no_record_raises(record: Any) -> None:
    read_suggestion(with_record(record))
    read_suggestion(with_record(json.dumps(record)))


def test_an_abandoned_trial_has_failed() -> None:
    study = optuna.create_study()
    trial = start(study)
    abandon(study, trial)
    assert study.trials[0].state == TrialState.FAIL
    abandon(study, trial)  # finished already: no error


ODD: list[Any] = [
    None,
    5,
    -1.5,
    True,
    "x",
    "",
    [],
    [1],
    [[1]],
    {},
    {"a": 1},
    "null",
    "[]",
    '{"params": {}}',
    "[" * 5000,
]
"""What anybody may have written where something else belongs."""


@pytest.mark.parametrize("name", ["exponent", "log_prior", "slot", "answers", "success_probability", "loss_bound"])
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_a_readable_record_has_fields_of_their_kinds(name: str, value: Any) -> None:
    record = read_suggestion(with_record(json.dumps({"params": {"x": 1}, "phase": "model", "n": 3, name: value})))
    if record is not None:
        read = getattr(record, name)
        kinds: dict[str, Any] = {"answers": tuple, "slot": int | None}
        assert isinstance(read, kinds.get(name, float | int | None))


@pytest.mark.parametrize("name", ["trust", "region_weights", "bayes_factors", "age", "exponent", "asked_at"])
@pytest.mark.parametrize("value", [*ODD, [-1.0], [0.9, 0.9], [float("nan")], 1.5], ids=repr)
def test_the_part_of_an_answer_is_what_a_sampler_writes(name: str, value: Any) -> None:
    """Else there is none, and the rest of the record can be read."""
    part = {**asdict(SUGGESTION.answers[0]), name: value}
    record = read_suggestion(with_record(json.dumps({"params": {}, "phase": "model", "n": 3, "answers": [part]})))
    assert record is not None
    for read in record.answers:
        assert read.trust is None or 0.0 <= read.trust <= 1.0
        assert all(weight >= 0.0 for weight in read.region_weights)
        assert sum(read.region_weights) <= 1.0 + 1e-6
        assert all(isinstance(factor, float) for factor in read.bayes_factors)
        assert isinstance(read.age, int)


def test_trust_is_that_in_the_answer_that_is_trusted_most() -> None:
    parts = tuple(replace(SUGGESTION.answers[0], trust=trust) for trust in (0.2, None, 0.6))
    assert replace(SUGGESTION, answers=parts).trust == 0.6
    assert replace(SUGGESTION, answers=parts[1:2]).trust is None


KEYS = [
    STARTED_KEY,
    SUGGESTION_KEY,
    ASKING_KEY,
    ARRIVED_KEY,
    CHOOSING_KEY,
    FAILED_KEY,
    HEARTBEAT_KEY,
    "retry_history",
    "failed_trial",
    "constraints",
    "constraints:memory",
]


@pytest.mark.filterwarnings("ignore::llm_prior_bo.errors.LLMPriorWarning")
@pytest.mark.parametrize("key", KEYS)
def test_odd_attributes_of_trials_are_passed_over(key: str) -> None:
    """In trials of all states, before there is an answer and after, in the start-up design and with the surrogate."""
    space = {"x": optuna.distributions.FloatDistribution(0, 1)}
    elicitor = FixedElicitor(PriorAnswer.by_hand(numeric={"x": (0.5, 0.2, 0.8)}))
    study = optuna.create_study()
    states = itertools.cycle([TrialState.FAIL, TrialState.PRUNED, TrialState.RUNNING, TrialState.COMPLETE])
    # Optuna's own search for the best trial takes every constraint for a number.
    values = [value for value in ODD if not key.startswith("constraints") or isinstance(value, float | int)]
    for value, state in zip([*values, *values[::-1]], states, strict=False):
        trial = start(study)
        study._storage.set_trial_param(trial._trial_id, "x", 0.25, space["x"])
        study._storage.set_trial_system_attr(trial._trial_id, key, value if key != "constraints" else [value])
        if state != TrialState.RUNNING:
            study._storage.set_trial_state_values(trial._trial_id, state, [0.5] * (state == TrialState.COMPLETE))
        assert isinstance(study._storage, InMemoryStorage)
        study._storage._get_trial(trial._trial_id).datetime_start = datetime(2024, 1, 1)
    study.sampler = LLMPriorSampler(elicitor=elicitor, search_space=space, n_startup_trials=9, seed=0)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=4)
    study.sampler.get_statistics(study).trace()
    study.sampler.get_statistics(study).to_dict()
    assert [trial.state for trial in study.trials[-4:]] == [TrialState.COMPLETE] * 4


class TestFailures:
    def test_of_its_own_worker_or_told_by_another_process(self) -> None:
        study = optuna.create_study()
        for attributes in ({}, {STARTED_KEY: "s"}, {STARTED_KEY: "s", FAILED_KEY: True}):
            study.add_trial(create_trial(state=TrialState.FAIL, system_attrs=attributes))
        assert [failed_by_itself(trial) for trial in study.trials] == [True] * 3

    def test_of_a_worker_that_died_while_its_trial_had_a_heartbeat(self) -> None:
        attributes: dict[str, Any] = {STARTED_KEY: "s", HEARTBEAT_KEY: True}
        assert not failed_by_itself(create_trial(state=TrialState.FAIL, system_attrs=attributes))
        attributes[FAILED_KEY] = True
        assert failed_by_itself(create_trial(state=TrialState.FAIL, system_attrs=attributes))

    def test_only_failed_trials_have_failed(self) -> None:
        assert not failed_by_itself(create_trial(state=TrialState.PRUNED, system_attrs={FAILED_KEY: True}))

    @pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning", "ignore:Heartbeat of storage is")
    def test_with_heartbeats_only_trials_that_optimize_runs_can_die(self, tmp_path: Path) -> None:
        rdb = RDBStorage(f"sqlite:///{tmp_path}/study.db", heartbeat_interval=60)
        sampler = LLMPriorSampler(prior=UniformPrior(SearchSpace({"x": optuna.distributions.FloatDistribution(0, 1)})))
        study = optuna.create_study(storage=rdb, study_name="s", sampler=sampler)
        asked = study.ask()
        optuna.load_study(storage=rdb, study_name="s").tell(asked.number, state=TrialState.FAIL)
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
        assert failed_by_itself(study.trials[0])
        assert [bool(trial.system_attrs.get(HEARTBEAT_KEY)) for trial in study.trials] == [False, True]
        rdb.engine.dispose()

    def test_that_another_process_tells_teach_where_trials_fail(self, open_storage: Open) -> None:
        space: dict[str, optuna.distributions.BaseDistribution] = {"x": optuna.distributions.FloatDistribution(0, 1)}
        sampler = LLMPriorSampler(prior=UniformPrior(SearchSpace(space)), seed=0)
        study = optuna.create_study(storage=open_storage(), study_name="s", sampler=sampler)
        other = optuna.load_study(storage=open_storage(), study_name="s")
        for _ in range(4):
            trial = study.ask(space)
            other.tell(trial.number, state=TrialState.FAIL)
        data = training_data_of(study, SearchSpace(space))
        assert data.failed is not None
        assert len(data.failed) == 4


def test_flags_and_marks() -> None:
    study = optuna.create_study()
    trial = start(study)
    assert asker(again(study, trial)) is None
    mark_arrived(study, trial)
    arrived = asker(again(study, trial))
    mark_asking(study, trial)
    assert arrived is not None
    assert asker(again(study, trial)) != arrived
    assert is_asking(again(study, trial))
    mark_choosing(study, trial, True)
    assert is_choosing(again(study, trial), max_age=60.0)
    assert not is_choosing(again(study, trial), max_age=-60.0)
    mark_choosing(study, trial, False)
    assert not is_choosing(again(study, trial), max_age=60.0)
    mark_choosing(study, trial, True)
    publish_suggestion(study, trial, SUGGESTION)
    assert not is_choosing(again(study, trial), max_age=60.0)
