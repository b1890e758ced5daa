from __future__ import annotations

import json
import multiprocessing
import stat
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import create_trial

from llm_prior_bo import Elicitation, FixedElicitor, LLMPriorSampler, PriorAnswer
from llm_prior_bo.calibration.ledger import CalibrationLedger, LedgerAnswer, LedgerEntry, _append_line, _family
from llm_prior_bo.calibration.scoring import AnswerScore, BeliefScore, fit_coverage
from llm_prior_bo.errors import ElicitationWarning
from llm_prior_bo.study.answer_records import save_elicitation

SPACE: dict[str, BaseDistribution] = {"secret_x": FloatDistribution(0.0, 1.0)}
ANSWER = PriorAnswer.by_hand(numeric={"secret_x": (0.5, 0.25, 0.75)}, confidence=0.9)


def elicitation(model: str | None = "gpt-4o-2024-08-06", **fields: Any) -> Elicitation:
    return Elicitation(ANSWER, model=model, created_at="2026-01-01", **fields)


def study_with(
    values: Sequence[float], *elicitations: Elicitation, name: str | None = None, xs: Sequence[float] | None = None
) -> optuna.Study:
    """A study whose trials have the given values at the given places."""
    study = optuna.create_study(study_name=name)
    for value, x in zip(values, xs or [0.6] * len(values), strict=True):
        study.add_trial(create_trial(params={"secret_x": x}, distributions=SPACE, value=value))
    for one in elicitations:
        save_elicitation(study, one)
    return study


def entry(study: str, model: str | None, zs: Sequence[float], *, n_finished: int = 50, copies: int = 1) -> LedgerEntry:
    beliefs = tuple(BeliefScore(0.5, 1e-4, 1e-4, 0.5 + z * 1.2816e-4, *(0.5 + z * 1.2816e-4,) * 2) for z in zs)
    score = AnswerScore(0.9, 0.1, 1.0, 0, beliefs)
    answers = tuple(LedgerAnswer(model, 0, index, 0, score) for index in range(copies))
    return LedgerEntry(study, len(zs), n_finished, "2026-01-01T00:00:00+00:00", answers)


def write(ledger: CalibrationLedger, *entries: LedgerEntry) -> CalibrationLedger:
    for one in entries:
        _append_line(ledger.path, json.dumps(_plain(one)).encode())
    return ledger


def _plain(one: LedgerEntry) -> dict[str, Any]:
    return asdict(one)


def append_many(path: str, start: int) -> None:
    ledger = CalibrationLedger(path)
    for number in range(start, start + 40):
        write(ledger, entry(f"study {number}", "m", [0.1] * 60))


@pytest.fixture
def ledger(tmp_path: Path) -> CalibrationLedger:
    return CalibrationLedger(tmp_path / "folder" / "ledger.jsonl")


class TestRecord:
    def test_compares_the_answer_with_the_best_trial(self, ledger: CalibrationLedger) -> None:
        assert ledger.record(study_with([3.0, 1.0, 2.0], elicitation(), xs=[0.1, 0.6, 0.9])) == 1
        (recorded,) = ledger.entries()
        assert (recorded.n_finished, recorded.n_parameters) == (3, 1)
        (answer,) = recorded.answers
        assert answer.model == "gpt-4o-2024-08-06"
        assert answer.score.confidence == 0.9
        (belief,) = answer.score.beliefs
        assert belief.z == pytest.approx(0.4)
        assert belief.inside

    def test_maximised_objectives_have_their_largest_value_as_the_best(self, ledger: CalibrationLedger) -> None:
        study = optuna.create_study(direction="maximize")
        for value, x in ((1.0, 0.1), (2.0, 0.75)):
            study.add_trial(create_trial(params={"secret_x": x}, distributions=SPACE, value=value))
        save_elicitation(study, elicitation())
        ledger.record(study)
        assert ledger.entries()[0].answers[0].score.beliefs[0].z == pytest.approx(1.0)

    def test_a_study_of_the_sampler(self, ledger: CalibrationLedger) -> None:
        sampler = LLMPriorSampler(elicitor=FixedElicitor(ANSWER), search_space=SPACE, seed=0)
        study = optuna.create_study(sampler=sampler)
        study.optimize(lambda trial: (trial.suggest_float("secret_x", 0.0, 1.0) - 0.4) ** 2, n_trials=4)
        assert ledger.record(study) == 1
        assert ledger.entries()[0].answers[0].model == "fixed"

    def test_nothing_is_written_before_the_first_record(self, ledger: CalibrationLedger) -> None:
        assert ledger.coverage("gpt-4o") == 0.5
        assert ledger.entries() == ()
        assert not ledger.path.parent.exists()

    def test_no_names_and_no_texts_unless_asked_for(self, ledger: CalibrationLedger) -> None:
        study = study_with([1.0], elicitation(raw_text="my data"), name="secret_study")
        ledger.record(study)
        text = ledger.path.read_text()
        assert "secret" not in text
        assert "my data" not in text
        ledger.record(study, keep_names=True)
        assert ledger.entries()[0].study_name == "secret_study"
        assert ledger.entries()[0].answers[0].score.beliefs[0].parameter == "secret_x"

    def test_the_file_is_the_user_s_own(self, ledger: CalibrationLedger) -> None:
        ledger.record(study_with([1.0], elicitation()))
        assert stat.S_IMODE(ledger.path.stat().st_mode) == 0o600

    def test_recording_again_replaces_the_record(self, ledger: CalibrationLedger) -> None:
        study = study_with([2.0], elicitation(), xs=[0.9])
        ledger.record(study)
        study.add_trial(create_trial(params={"secret_x": 0.5}, distributions=SPACE, value=1.0))
        ledger.record(study)
        assert len(ledger.path.read_text().splitlines()) == 2
        (recorded,) = ledger.entries()
        assert recorded.n_finished == 2
        assert recorded.answers[0].score.beliefs[0].z == pytest.approx(0.0)

    def test_a_record_with_fewer_trials_does_not_replace_one_with_more(self, ledger: CalibrationLedger) -> None:
        write(ledger, entry("s", "m", [0.1], n_finished=30), entry("s", "m", [0.2], n_finished=20))
        assert [one.n_finished for one in ledger.entries()] == [30]

    def test_two_studies_of_one_name_are_two(self, ledger: CalibrationLedger) -> None:
        other = PriorAnswer.by_hand(numeric={"secret_x": (0.4, 0.25, 0.75)})
        ledger.record(study_with([1.0], elicitation(), name="same"))
        ledger.record(study_with([1.0], replace(elicitation(), answer=other), name="same"))
        assert len(ledger.entries()) == 2

    def test_answers_that_came_after_the_best_trial_are_left_out(self, ledger: CalibrationLedger) -> None:
        early, late = elicitation(), elicitation(trial_number=2)
        assert ledger.record(study_with([3.0, 1.0, 2.0], early, late)) == 1
        assert [answer.trial_number for answer in ledger.entries()[0].answers] == [0]

    def test_answers_that_were_shown_the_best_trial_are_left_out(self, ledger: CalibrationLedger) -> None:
        study = study_with([3.0, 1.0], elicitation(trials_shown=(1,)))
        with pytest.warns(ElicitationWarning, match="later ones only"):
            assert ledger.record(study) == 0

    @pytest.mark.parametrize(
        ("study", "reason"),
        [
            (optuna.create_study(directions=["minimize", "maximize"]), "one objective, got 2"),
            (optuna.create_study(), "a finished trial"),
            (study_with([1.0]), "a study with answers"),
        ],
    )
    def test_says_why_nothing_is_recorded(self, ledger: CalibrationLedger, study: optuna.Study, reason: str) -> None:
        with pytest.warns(ElicitationWarning, match=reason):
            assert ledger.record(study) == 0
        assert not ledger.path.exists()

    def test_a_later_answer_does_not_make_it_another_study(self, ledger: CalibrationLedger) -> None:
        study = study_with([3.0, 1.0], elicitation())
        ledger.record(study)
        save_elicitation(study, elicitation(trial_number=1))
        assert ledger.record(study) == 2
        assert len(ledger.entries()) == 1

    def test_the_best_trial_satisfies_the_constraints(self, ledger: CalibrationLedger) -> None:
        study = study_with([2.0], elicitation(), xs=[0.75])
        infeasible = create_trial(params={"secret_x": 0.5}, distributions=SPACE, value=1.0, constraints={"memory": 1.0})
        study.add_trial(infeasible)
        ledger.record(study)
        assert ledger.entries()[0].answers[0].score.beliefs[0].z == pytest.approx(1.0)

    def test_an_answer_that_does_not_fit_is_left_out(self, ledger: CalibrationLedger) -> None:
        wrong = PriorAnswer.by_hand(categorical={"secret_x": {"red": 1.0}})
        study = study_with([1.0], replace(elicitation(), answer=wrong), elicitation(answer_index=1))
        with pytest.warns(ElicitationWarning, match="cannot be compared"):
            assert ledger.record(study) == 1

    def test_a_file_that_cannot_be_written_is_a_warning(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.warns(ElicitationWarning, match="not recorded"):
            assert CalibrationLedger(tmp_path / "file" / "ledger.jsonl").record(study_with([1.0], elicitation())) == 0

    def test_home_folder(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        assert CalibrationLedger("~/ledger.jsonl").path == tmp_path / "ledger.jsonl"


class TestFile:
    @pytest.mark.parametrize(
        "damage", [b'{"study": "cut of', b"\xff\xfe", b"[]", b'{"format_version": 1}', b'{"format_version": 99}', b"1"]
    )
    def test_damaged_lines_are_passed_over(self, ledger: CalibrationLedger, damage: bytes) -> None:
        write(ledger, entry("a", "m", [0.1]))
        with ledger.path.open("ab") as file:
            file.write(damage)  # without a line break, as a killed process leaves it
        write(ledger, entry("b", "m", [0.1]))
        with pytest.warns(ElicitationWarning, match="1 line"):
            assert [one.study for one in ledger.entries()] == ["a", "b"]

    @pytest.mark.parametrize(("name", "value"), [("mode", 1.5), ("left", 0.0), ("right", "NaN"), ("optimum", None)])
    def test_numbers_out_of_range_are_damage(self, ledger: CalibrationLedger, name: str, value: Any) -> None:
        plain = json.loads(json.dumps(_plain(entry("a", "m", [0.1]))))
        plain["answers"][0]["score"]["beliefs"][0][name] = value
        _append_line(ledger.path, json.dumps(plain).encode())
        with pytest.warns(ElicitationWarning, match="1 line"):
            assert ledger.entries() == ()

    def test_fields_of_later_versions_are_ignored(self, ledger: CalibrationLedger) -> None:
        _append_line(ledger.path, json.dumps({**_plain(entry("a", "m", [0.1])), "new": 1}).encode())
        assert len(ledger.entries()) == 1

    def test_what_is_recorded_is_what_is_read(self, ledger: CalibrationLedger) -> None:
        written = entry("a", None, [0.1, -2.0], copies=2)
        assert write(ledger, written).entries() == (written,)

    def test_several_processes_share_the_file(self, ledger: CalibrationLedger) -> None:
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=append_many, args=(str(ledger.path), 40 * i)) for i in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(timeout=120)
        assert sorted(int(one.study.split()[1]) for one in ledger.entries()) == list(range(80))


class TestCoverage:
    def test_a_model_with_a_long_record_is_judged_by_it(self, ledger: CalibrationLedger) -> None:
        groups = {"a": [-2.5, 2.5] * 5, "b": [-1.0, 1.0] * 5}
        studies = {m: [entry(f"{m}{i}", m, zs) for i in range(40)] for m, zs in groups.items()}
        write(ledger, *studies["a"], *studies["b"])
        for model, own in studies.items():
            alone = fit_coverage([one.answers[0].score for one in own], prior_strength=0.0)
            assert ledger.coverage(model) == pytest.approx(alone, abs=0.06)

    def test_a_model_without_record_is_judged_by_the_others(self, ledger: CalibrationLedger) -> None:
        write(ledger, *[entry(f"other {i}", "b", [-2.5, 2.5] * 5) for i in range(30)])
        assert ledger.coverage("a") == ledger.coverage() == ledger.coverage("b")
        assert ledger.coverage("a") < 0.35

    def test_few_records_of_its_own_lie_between(self, ledger: CalibrationLedger) -> None:
        write(ledger, *[entry(f"other {i}", "b", [-2.5, 2.5] * 5) for i in range(30)], entry("own", "a", [0.5] * 8))
        assert ledger.coverage("b") < ledger.coverage("a") < 0.6

    def test_of_both_stages_the_closed_form(self, ledger: CalibrationLedger) -> None:
        own, other = entry("own", "a", [0.5, 1.0]), entry("other", "b", [2.0, -3.0, 1.0])
        write(ledger, own, other)
        centre = fit_coverage([other.answers[0].score], prior_strength=7.0)
        expected = fit_coverage([own.answers[0].score], centre=centre, prior_strength=7.0)
        assert ledger.coverage("a", prior_strength=7.0) == expected

    @pytest.mark.parametrize("model", ["fixed", "openai/gpt-4o, edited by hand"])
    def test_answers_by_hand_count_where_asked_for(self, ledger: CalibrationLedger, model: str) -> None:
        write(ledger, *[entry(f"{i}", model, [-2.5, 2.5] * 5) for i in range(10)])
        assert ledger.coverage() == ledger.coverage("gpt-4o") == 0.5
        assert ledger.coverage("fixed") < 0.4

    def test_several_answers_to_one_question_count_as_one(self, ledger: CalibrationLedger, tmp_path: Path) -> None:
        write(ledger, entry("s", "a", [2.5] * 10))
        five = write(CalibrationLedger(tmp_path / "five.jsonl"), entry("s", "a", [2.5] * 10, copies=5))
        assert five.coverage("a") == ledger.coverage("a")

    def test_short_studies_are_left_out(self, ledger: CalibrationLedger) -> None:
        write(ledger, entry("s", "a", [2.5] * 10, n_finished=10))
        assert ledger.coverage("a") == 0.5
        assert ledger.coverage("a", min_trials=10) < 0.5

    def test_default(self, ledger: CalibrationLedger) -> None:
        assert ledger.coverage("a", default=0.35) == 0.35
        assert ledger.coverage("a", default=0.95) == 0.9

    @pytest.mark.parametrize(
        "name", ["gpt-4o", "openai/gpt-4o", "gpt-4o-2024-08-06", "GPT-4o", "openrouter/openai/gpt-4o-20240806"]
    )
    def test_names_with_provider_and_date_are_one_model(self, name: str) -> None:
        assert _family(name) == "gpt-4o"

    @pytest.mark.parametrize("name", ["gpt-4o-mini", "gpt-4", "ollama_chat/llama3.1:8b"])
    def test_other_models_stay_others(self, name: str) -> None:
        assert _family(name) == name.split("/")[-1] != "gpt-4o"


class TestSummary:
    def test_counts_by_model(self, ledger: CalibrationLedger) -> None:
        write(ledger, entry("1", "a", [0.5, 0.9, 2.0]), entry("2", "a-2025-01-01", [1.5]), entry("3", None, []))
        first, unknown = ledger.summary()
        assert (first.model, first.n_studies, first.n_answers, first.n_intervals) == ("a", 2, 2, 4)
        assert first.inside == 0.5
        assert first.inside_low == pytest.approx(0.15, abs=0.01)  # Wilson, 2 of 4
        assert first.inside_high == pytest.approx(0.85, abs=0.01)
        assert first.stated_share == pytest.approx(0.9)
        assert first.found_share == pytest.approx(1.0)
        assert first.coverage == ledger.coverage("a")
        assert (unknown.model, unknown.inside, unknown.inside_low) == ("unknown", None, None)
