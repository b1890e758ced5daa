"""Optuna's private names: one test each, so that a change in Optuna is one red test here and the work of one file.

Every test runs in memory, on SQLite and on a journal file, with a study as users have it and with what a pruner with
brackets passes to a sampler for it.
"""

from __future__ import annotations

import ast
import copy
import gc
import math
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.pruners import HyperbandPruner
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage, RetryHeartbeatStaleTrialCallback, get_storage
from optuna.trial import FrozenTrial, TrialState, create_trial

import llm_prior_bo
from llm_prior_bo.study.storage import (
    FIXED_PARAMS_KEY,
    METRIC_NAMES_KEY,
    RETRY_HISTORY_KEY,
    PerStudy,
    all_trials,
    enqueued_names,
    fail_trial,
    has_heartbeat,
    metric_names,
    reload_trial,
    retried_numbers,
    running_trials,
    set_study_attribute,
    set_trial_attribute,
    set_trial_user_attribute,
    study_attributes,
    study_user_attributes,
    trial_constraints,
    trial_id,
)
from tests.conftest import Open
from tests.trials import start

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture(params=["plain", "brackets"])
def seen(request: pytest.FixtureRequest, open_storage: Open) -> optuna.Study:
    """The study as a sampler is given it."""
    pruner = HyperbandPruner(min_resource=1, max_resource=9) if request.param == "brackets" else None
    whole = optuna.create_study(study_name="s", storage=open_storage(), pruner=pruner)
    whole.set_user_attr("problem_description", "a test")
    whole.set_metric_names(["loss"])
    if not isinstance(pruner, HyperbandPruner):
        return whole
    whole.optimize(lambda _: 1.0, n_trials=3)  # it makes its brackets when it first prunes
    trial = whole.ask()
    trial.report(1.0, 1)
    trial.should_prune()
    whole.tell(trial, 1.0)
    return pruner._create_bracket_study(whole, 0)


@pytest.fixture
def again(open_storage: Open) -> Callable[[], optuna.Study]:
    """The study as another worker opens it."""
    return lambda: optuna.load_study(study_name="s", storage=open_storage())


Again = Callable[[], optuna.Study]


class TestPrivateNames:
    def test_study_storage_and_study_study_id_give_all_trials(self, seen: optuna.Study, again: Again) -> None:
        """`Study._storage`, `Study._study_id`, `BaseStorage.get_all_trials(deepcopy=False, states=...)`."""
        trial = start(seen)
        assert all_trials(seen)[-1].number == trial.number
        assert [t.number for t in all_trials(seen)] == [t.number for t in again().get_trials()]
        assert {t.state for t in all_trials(seen, states=(TrialState.COMPLETE,))} <= {TrialState.COMPLETE}
        assert [t.number for t in running_trials(seen)] == [trial.number]

    def test_frozen_trial_trial_id(self, seen: optuna.Study, again: Again) -> None:
        """`FrozenTrial._trial_id`, which `BaseStorage.get_trial` takes."""
        trial = start(seen)
        assert again()._storage.get_trial(trial_id(trial)).number == trial.number

    def test_get_trial_reads_anew(self, seen: optuna.Study, again: Again) -> None:
        """`BaseStorage.get_trial`."""
        trial = start(seen)
        other = again()
        other._storage.set_trial_system_attr(trial_id(trial), "key", 1)
        assert reload_trial(seen, trial).system_attrs["key"] == 1

    def test_set_trial_system_attr(self, seen: optuna.Study, again: Again) -> None:
        """`BaseStorage.set_trial_system_attr`, read as `FrozenTrial.system_attrs`."""
        trial = start(seen)
        set_trial_attribute(seen, trial, "key", {"a": [1, None, "x"]})
        assert again().trials[trial.number].system_attrs["key"] == {"a": [1, None, "x"]}

    def test_set_trial_user_attr(self, seen: optuna.Study, again: Again) -> None:
        """`BaseStorage.set_trial_user_attr`, read as `FrozenTrial.user_attrs`; also in the object that was passed."""
        trial = start(seen)
        set_trial_user_attribute(seen, trial, "key", 0.5)
        assert again().trials[trial.number].user_attrs == trial.user_attrs == {"key": 0.5}

    def test_enqueue_trial_keeps_fixed_params(self, seen: optuna.Study) -> None:
        """The key `fixed_params` of `Study.enqueue_trial`."""
        whole = getattr(seen, "_study", seen)
        whole.enqueue_trial({"x": 0.5})
        assert enqueued_names(whole.trials[-1]) == {"x"}
        assert enqueued_names(start(optuna.create_study())) == frozenset()
        assert FIXED_PARAMS_KEY == "fixed_params"

    @pytest.mark.parametrize("value", [None, 3, "x", ["x"]])
    def test_what_others_write_in_its_place_names_nothing(self, value: object) -> None:
        assert enqueued_names(create_trial(value=1.0, system_attrs={FIXED_PARAMS_KEY: value})) == frozenset()

    def test_set_trial_state_values(self, seen: optuna.Study, again: Again) -> None:
        """`BaseStorage.set_trial_state_values` of a trial that is running."""
        trial = start(seen)
        fail_trial(seen, trial)
        assert again().trials[trial.number].state == TrialState.FAIL

    def test_get_and_set_study_system_attrs(self, seen: optuna.Study, again: Again) -> None:
        """`BaseStorage.get_study_system_attrs` and `set_study_system_attr`."""
        set_study_attribute(seen, "key", "value")
        assert study_attributes(seen)["key"] == study_attributes(again())["key"] == "value"

    def test_get_study_user_attrs(self, seen: optuna.Study) -> None:
        """`BaseStorage.get_study_user_attrs`."""
        assert study_user_attributes(seen) == {"problem_description": "a test"}

    def test_study_metric_names(self, seen: optuna.Study) -> None:
        """The key `study:metric_names` of `Study.set_metric_names`."""
        assert metric_names(seen) == ("loss",)
        assert study_attributes(seen)[METRIC_NAMES_KEY] == ["loss"]

    def test_study_thread_local_in_optimize_loop_and_is_heartbeat_enabled(self, seen: optuna.Study) -> None:
        """`Study._thread_local.in_optimize_loop`, `_BracketStudy._study`, `is_heartbeat_enabled`: none here."""
        assert not has_heartbeat(seen)


@pytest.mark.parametrize("value", [5, None, "loss", {}, True])
def test_odd_metric_names_are_none(value: Any) -> None:
    study = optuna.create_study()
    set_study_attribute(study, METRIC_NAMES_KEY, value)
    assert metric_names(study) == ()


class TestHeartbeats:
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[BaseStorage]:
        rdb = RDBStorage(
            f"sqlite:///{tmp_path}/study.db",
            heartbeat_interval=60,
            failed_trial_callback=RetryHeartbeatStaleTrialCallback(),
        )
        yield get_storage(rdb)
        rdb.engine.dispose()

    pytestmark = pytest.mark.filterwarnings("ignore:.*failed_trial")

    @pytest.mark.parametrize(
        "pruner", [None, HyperbandPruner(min_resource=1, max_resource=9)], ids=["plain", "bracket"]
    )
    def test_a_trial_that_optimize_runs_has_one(self, storage: BaseStorage, pruner: Any) -> None:
        """`_heartbeat.is_heartbeat_enabled`, `Study._thread_local.in_optimize_loop`, `_BracketStudy._study`."""
        found = []

        class Looking(optuna.samplers.RandomSampler):
            def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:  # noqa: ARG002
                found.append(has_heartbeat(study))

        def objective(trial: optuna.Trial) -> float:
            trial.report(0.0, 1)
            trial.should_prune()  # a pruner with brackets makes them when it first prunes
            return 0.0

        study = optuna.create_study(storage=storage, sampler=Looking(), pruner=pruner)
        study.optimize(objective, n_trials=3)
        assert found == [True] * 3

    @pytest.mark.filterwarnings("ignore:Heartbeat of storage is supposed")
    def test_one_that_is_asked_for_has_none(self, storage: BaseStorage) -> None:
        """`Study._thread_local.in_optimize_loop`."""
        study = optuna.create_study(storage=storage)
        study.ask()
        assert not has_heartbeat(study)

    def test_retry_history(self, storage: BaseStorage) -> None:
        """The key `retry_history` of `RetryHeartbeatStaleTrialCallback`."""
        study = optuna.create_study(storage=storage)
        study.optimize(lambda _: 0.0, n_trials=2)
        RetryHeartbeatStaleTrialCallback()(study, study.trials[1])
        assert study.trials[2].system_attrs[RETRY_HISTORY_KEY] == [1]
        assert retried_numbers(study.trials) == {1}


@pytest.mark.parametrize("value", [5, None, "12", {"1": 2}, [[1]], [None, "x", {}], True, [1.5]])
def test_odd_retry_histories_are_none(value: Any) -> None:
    trials = [create_trial(value=0.0, system_attrs={RETRY_HISTORY_KEY: value}), create_trial(value=0.0)]
    assert retried_numbers(trials) == frozenset()
    assert retried_numbers([*trials, create_trial(value=0.0, system_attrs={RETRY_HISTORY_KEY: [3, "x"]})]) == {3}


class TestConstraints:
    def test_as_a_trial_sets_them(self, open_storage: Open) -> None:
        """`FrozenTrial.constraints`, which reads the key `constraints` and those that begin with `constraints:`."""
        study = optuna.create_study(storage=open_storage())
        trial = study.ask()
        trial.set_constraint("memory", 1.5)
        study.tell(trial, 0.0)
        assert trial_constraints(study.trials[0]) == {"memory": 1.5}

    def test_of_the_older_kind(self) -> None:
        assert trial_constraints(create_trial(value=0.0, system_attrs={"constraints": [1.0, -1]})) == {"0": 1, "1": -1}

    @pytest.mark.parametrize("value", [5, "x", [None], ["x"], [[1]], {"a": 1}, {"a": {}}, True])
    def test_odd_ones_are_none(self, value: Any) -> None:
        assert trial_constraints(create_trial(value=0.0, system_attrs={"constraints": value})) == {}

    def test_numbers_of_any_kind(self) -> None:
        given = {"constraints:a": np.float32(0.5), "constraints:b": math.nan, "constraints:c": -math.inf}
        found = trial_constraints(create_trial(value=0.0, system_attrs=given))
        assert found == {"a": 0.5, "b": math.inf, "c": -math.inf}  # what is no number is not satisfied


class TestPerStudy:
    def test_one_value_a_study_of_a_storage(self, open_storage: Open) -> None:
        storage = open_storage()
        memory = PerStudy[list[int]](list)
        first, second = (optuna.create_study(storage=storage, study_name=name) for name in "ab")
        memory(first).append(1)
        assert memory(optuna.load_study(storage=first._storage, study_name="a")) == [1]
        assert memory(second) == []

    def test_studies_of_one_number_in_two_storages(self) -> None:
        memory = PerStudy[list[int]](list)
        first, second = optuna.create_study(), optuna.create_study()
        assert first._study_id == second._study_id
        memory(first).append(1)
        assert memory(second) == []

    def test_it_lives_as_long_as_the_storage(self) -> None:
        memory = PerStudy[list[int]](list)
        study = optuna.create_study()
        memory(study)
        assert len(memory._values) == 1
        del study
        gc.collect()
        assert len(memory._values) == 0

    def test_of_too_many_studies_those_used_last_are_kept(self) -> None:
        storage = InMemoryStorage()
        memory = PerStudy[list[int]](list, max_studies=2)
        studies = [optuna.create_study(storage=storage, study_name=name) for name in "abc"]
        for study in (studies[0], studies[1], studies[0], studies[2]):
            memory(study).append(1)
        assert [len(memory(study)) for study in (studies[0], studies[2], studies[1])] == [2, 1, 0]

    @pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda memory: pickle.loads(pickle.dumps(memory))])
    def test_a_copy_is_empty(self, duplicate: Callable[[PerStudy[list[int]]], PerStudy[list[int]]]) -> None:
        study, memory = optuna.create_study(), PerStudy[list[int]](list, max_studies=3)
        memory(study).append(1)
        twin = duplicate(memory)
        assert twin(study) == []
        assert twin._max_studies == 3
        twin(study).append(2)
        assert memory(study) == [1]

    def test_threads_share_one_value(self) -> None:
        study, memory, made = optuna.create_study(), PerStudy[object](object), []
        threads = [threading.Thread(target=lambda: made.append(memory(study))) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(map(id, made))) == 1


PRIVATE = {
    "_storage",
    "_study_id",
    "_trial_id",
    "_thread_local",
    "_study",
    "_contains",
    "_directions",
    "_cached_frozen_trial",
    "_get_latest_trial",
    "_is_relative_param",
    "_filter_study",
}
METHODS = {
    "set_trial_system_attr",
    "set_study_system_attr",
    "get_study_system_attrs",
    "get_study_user_attrs",
    "set_trial_state_values",
    "set_trial_param",
    "create_new_trial",
    "get_all_trials",
}
"""Methods of storages: public names, but of an object that only `Study._storage` gives."""


def modules() -> list[Path]:
    root = Path(llm_prior_bo.__file__).parent
    return [path for path in sorted(root.rglob("*.py")) if path != root / "study" / "storage.py"]


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_no_other_module_uses_private_names_of_optuna(path: Path) -> None:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in PRIVATE | METHODS:
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            found += [] if own else [node.attr]
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("optuna"):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            found += [name for name in names if name.startswith("_")]
        if isinstance(node, ast.Constant) and node.value in (METRIC_NAMES_KEY, RETRY_HISTORY_KEY):
            found.append(node.value)
    assert found == []
