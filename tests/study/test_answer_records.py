from __future__ import annotations

import dataclasses
import json
import string
import warnings
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.storages import BaseStorage

from llm_prior_bo.elicitation import (
    Elicitation,
    FunctionClient,
    LLMElicitor,
    Messages,
    PriorAnswer,
    UnansweredError,
    Usage,
)
from llm_prior_bo.errors import ElicitationWarning
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.answer_records import (
    MAX_VALUE_CHARACTERS,
    load_elicitations,
    load_failures,
    load_records,
    save_elicitation,
    save_failure,
)
from llm_prior_bo.study.context import study_context
from tests.conftest import Open

SPACE = SearchSpace({"x": FloatDistribution(0.0, 1.0)})
ANSWER = PriorAnswer.by_hand(numeric={"x": (0.5, 0.25, 0.75)}, notes="first")


def study_in(storage: BaseStorage | None = None) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name="s", load_if_exists=True)


def elicitation(
    trial_number: int = 0, *, notes: str = "first", created_at: str = "2026-01-01", index: int = 0
) -> Elicitation:
    answer = ANSWER.model_copy(update={"notes": notes})
    return Elicitation(answer, trial_number=trial_number, created_at=created_at, answer_index=index)


def write(study: optuna.Study, key: str, value: Any) -> None:
    study._storage.set_study_system_attr(study._study_id, key, value)


def attributes(study: optuna.Study) -> dict[str, Any]:
    return study._storage.get_study_system_attrs(study._study_id)


class TestRoundTrip:
    def test_seen_by_another_worker(self, open_storage: Open) -> None:
        record = elicitation(3, notes='"Grüße" 🦙 \x00 \\')
        assert save_elicitation(study_in(open_storage()), record)
        assert load_elicitations(study_in(open_storage())) == (record,)

    @pytest.mark.parametrize("length", [3_000, 2 * MAX_VALUE_CHARACTERS, 100_000])
    def test_long_records(self, open_storage: Open, length: int) -> None:
        record = elicitation(notes='"ä' * (length // 2))
        study = study_in(open_storage())
        assert save_elicitation(study, record)
        assert load_elicitations(study_in(open_storage())) == (record,)
        # What the storage keeps is JSON of these values, and MySQL's TEXT column ends at 65,535 bytes.
        assert all(len(json.dumps(value)) < 60_000 for value in attributes(study).values())

    def test_an_ordinary_record_is_one_value(self, open_storage: Open) -> None:
        study = study_in(open_storage())
        save_elicitation(study, elicitation(notes="x" * 10_000))
        assert len(attributes(study)) == 1

    def test_the_same_record_twice_is_one(self) -> None:
        study = study_in()
        save_elicitation(study, elicitation())
        save_elicitation(study, elicitation())
        assert len(attributes(study)) == 1

    def test_all_records_of_one_moment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        study = study_in()
        save_elicitation(study, elicitation())
        save_failure(study, 4, "the server is down", usage=Usage(5, 0, 0.1))
        read, calls = study._storage.get_study_system_attrs, []

        def counted(study_id: int) -> dict[str, Any]:
            calls.append(study_id)
            return read(study_id)

        monkeypatch.setattr(study._storage, "get_study_system_attrs", counted)
        records = load_records(study)
        assert calls == [study._study_id]
        assert records.elicitations == load_elicitations(study)
        assert records.failures == load_failures(study)
        assert records.usage == Usage.total([elicitation().usage, Usage(5, 0, 0.1)])

    def test_failures(self, open_storage: Open) -> None:
        study = study_in(open_storage())
        assert save_failure(study, 4, "the server is down", usage=Usage(10, 2, 0.5))
        assert save_failure(study, 2, "the key sk-abcdef1234567890 is wrong " + "x" * 10_000)
        first, second = load_failures(study_in(open_storage()))
        assert (first.trial_number, second.trial_number, second.reason) == (2, 4, "the server is down")
        assert first.reason.startswith("the key [redacted] is wrong")
        assert len(first.reason) <= 2_000
        assert second.created_at.endswith("+00:00")
        assert (first.usage, second.usage) == (Usage(), Usage(10, 2, 0.5))

    def test_nothing_is_nothing(self, open_storage: Open) -> None:
        study = study_in(open_storage())
        assert load_elicitations(study) == ()
        assert load_failures(study) == ()

    def test_kinds_do_not_mix(self) -> None:
        study = study_in()
        save_failure(study, 0, "no")
        save_elicitation(study, elicitation())
        write(study, "llm_prior_bo:else", 1)
        write(study, "dashboard:note", "x")
        assert len(load_elicitations(study)) == len(load_failures(study)) == 1


class TestTwoWriters:
    # The same question, answered twice: by trial number, then time, then text.
    PAIRS = (
        (elicitation(1), elicitation(2, created_at="2025-01-01")),
        (elicitation(1), elicitation(1, created_at="2026-01-02", notes="a")),
        (elicitation(1, notes="a"), elicitation(1, notes="b")),
    )

    @pytest.mark.parametrize(("first", "second"), PAIRS)
    def test_all_readers_agree(self, open_storage: Open, first: Elicitation, second: Elicitation) -> None:
        one, other = study_in(open_storage()), study_in(open_storage())
        save_elicitation(other, second)
        save_elicitation(one, first)
        assert load_elicitations(one) == load_elicitations(other)
        assert load_elicitations(one)[0] == first

    def test_one_answer_for_each_question(self) -> None:
        study = study_in()
        records = [elicitation(t, index=i, notes=n) for t in (0, 7) for i in (0, 1) for n in "ab"]
        for record in reversed(records):
            save_elicitation(study, record)
        found = load_elicitations(study)
        assert [(e.trial_number, e.answer_index, e.answer.notes) for e in found] == [
            (0, 0, "a"),
            (0, 1, "a"),
            (7, 0, "a"),
            (7, 1, "a"),
        ]

    def test_a_record_that_is_being_written_is_not_there_yet(self) -> None:
        study, half = study_in(), optuna.create_study()
        record = elicitation(notes="x" * 60_000)
        save_elicitation(study, record)
        parts = attributes(study)
        assert len(parts) == 3
        for key in reversed(sorted(parts)):
            assert load_elicitations(half) == ()
            write(half, key, parts[key])
        assert load_elicitations(half) == (record,)


class TestUntrustedInput:
    def only_key(self, study: optuna.Study) -> str:
        (key,) = attributes(study)
        return key

    def test_an_unknown_version_is_ignored_with_a_warning(self) -> None:
        study = study_in()
        save_elicitation(study, elicitation())
        write(study, self.only_key(study).replace(":elicitation:1:", ":elicitation:2:"), "{}")
        with pytest.warns(ElicitationWarning, match="format version '2', this package reads 1"):
            assert len(load_elicitations(study)) == 1

    def test_a_changed_record_is_ignored_with_a_warning(self) -> None:
        study = study_in()
        save_elicitation(study, elicitation())
        key = self.only_key(study)
        write(study, key, attributes(study)[key].replace("0.5", "0.6"))
        with pytest.warns(ElicitationWarning, match="damaged"):
            assert load_elicitations(study) == ()

    @pytest.mark.parametrize("value", [None, 1, ["x"], {"answer": 1}])
    def test_values_of_another_type_are_not_ours(self, value: Any) -> None:
        study = study_in()
        save_elicitation(study, elicitation())
        write(study, self.only_key(study), value)
        assert load_elicitations(study) == ()

    @pytest.mark.parametrize("key", ["llm_prior_bo:elicitation:1", "llm_prior_bo:elicitation:1:0:abc:x:1"])
    def test_keys_of_another_form_are_not_ours(self, key: str) -> None:
        study = study_in()
        write(study, key, "{}")
        assert load_elicitations(study) == ()

    @pytest.mark.parametrize("text", ["", "{}", "[" * 100_000, '{"answer": {"regions": 1}}', "NaN"])
    def test_a_foreign_record_with_a_right_hash(self, text: str) -> None:
        from llm_prior_bo.study import answer_records

        study = study_in()
        for kind in ("elicitation", "failure"):
            answer_records.write_record(study, kind, 0, text or " ")
        with pytest.warns(ElicitationWarning, match="kept in the study"):
            assert load_elicitations(study) == ()
        with pytest.warns(ElicitationWarning, match="kept in the study"):
            assert load_failures(study) == ()

    def test_answers_are_validated_against_the_space(self) -> None:
        study = study_in()
        save_elicitation(study, elicitation(0))
        save_elicitation(study, Elicitation(PriorAnswer.by_hand(numeric={"y": (1, 0, 2)}), trial_number=1))
        narrow = SearchSpace({"x": FloatDistribution(0.0, 0.6)})
        with pytest.warns(ElicitationWarning, match=r"got beliefs about 'y'"):
            (found,) = load_elicitations(study, space=narrow)
        assert found.answer.numeric[0].high == 0.6
        assert found.repairs == ("The belief about 'x' was clipped to the range 0 to 0.6.",)

    def test_validation_changes_nothing_that_fits(self) -> None:
        study = study_in()
        save_elicitation(study, elicitation())
        assert load_elicitations(study, space=SPACE) == (elicitation(),)


class TestStorageFailure:
    def test_a_write_that_fails_is_a_warning(self, monkeypatch: pytest.MonkeyPatch) -> None:
        study = study_in()

        def fail(*_: Any) -> None:
            raise optuna.exceptions.StorageInternalError("Record has changed, password sk-abcdef1234567890")

        monkeypatch.setattr(study._storage, "set_study_system_attr", fail)
        with pytest.warns(ElicitationWarning, match=r"did not take a record \(StorageInternalError.*\[redacted\]"):
            assert not save_elicitation(study, elicitation())
        with pytest.warns(ElicitationWarning, match="the study goes on"):
            assert not save_failure(study, 0, "x")

    def test_a_read_that_fails_is_a_warning(self, monkeypatch: pytest.MonkeyPatch) -> None:
        study = study_in()

        def fail(*_: Any) -> None:
            raise OSError("gone")

        monkeypatch.setattr(study._storage, "get_study_system_attrs", fail)
        with pytest.warns(ElicitationWarning, match=r"could not be read \(OSError: gone\)"):
            assert load_elicitations(study) == ()


def test_under_a_pruner_with_brackets() -> None:
    seen: list[int] = []

    class Keeping(optuna.samplers.RandomSampler):
        def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            assert type(study).__name__ == "_BracketStudy"
            save_elicitation(study, elicitation(trial.number))
            save_failure(study, trial.number, "none")
            seen.append(len(load_elicitations(study)) + len(load_failures(study)))

    study = optuna.create_study(sampler=Keeping(seed=0), pruner=optuna.pruners.HyperbandPruner(max_resource=9))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    assert seen == [2, 4, 6]
    assert len(load_elicitations(study)) == 3


@given(st.text(alphabet=string.ascii_letters + string.digits, min_size=16, max_size=60))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_key_of_the_environment_is_stored_or_shown(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("ANY_PROVIDER_API_KEY", key)
    study = optuna.create_study()
    study.set_user_attr("domain_knowledge", f"my key is {key}")
    asked: list[Messages] = []

    def echoing(messages: Messages) -> str:
        asked.append(messages)
        if len(asked) == 3:
            raise TimeoutError(f"key {key} timed out")
        good = ANSWER.model_copy(update={"notes": key}).model_dump_json()
        return good if len(asked) == 4 else f"no answer for {key}"

    context = study_context(study, SPACE)
    client = FunctionClient(echoing)
    record = LLMElicitor(client=client, sleep=lambda _: None).elicit(context)
    save_elicitation(study, record)
    asked.clear()
    with pytest.raises(UnansweredError) as caught:
        LLMElicitor(client=client, max_retries=1).elicit(context)
    save_failure(study, 0, f"{caught.value} {key}")
    assert key not in json.dumps([attributes(study), asked, str(caught.value), context.to_json()])
    assert record.answer.notes == "[redacted]"
    assert load_elicitations(study)[0].raw_text.count("[redacted]") == 1


def test_records_do_not_depend_on_the_reader(open_storage: Open) -> None:
    study = study_in(open_storage())
    record = dataclasses.replace(elicitation(), messages=({"role": "user", "content": "?"},), trials_shown=(1, 2))
    save_elicitation(study, record)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (found,) = load_elicitations(study)
    assert found == record
    assert isinstance(found.messages, tuple)
    assert isinstance(found.trials_shown, tuple)
