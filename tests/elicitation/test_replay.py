from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import optuna
import pytest
from optuna.distributions import FloatDistribution

from llm_prior_bo import LLMPriorSampler
from llm_prior_bo.elicitation import (
    Elicitor,
    FixedElicitor,
    FunctionClient,
    LLMElicitor,
    PriorAnswer,
    RecordingElicitor,
    ReplayElicitor,
    StudyContext,
    prompt_hash,
    render_prompt,
)
from llm_prior_bo.elicitation.replay import read_exchanges
from llm_prior_bo.errors import AnswerError, ConfigurationError, ElicitationError, ElicitationWarning
from llm_prior_bo.optimization.refresh import RefreshPolicy
from llm_prior_bo.study.answer_records import load_elicitations
from tests.elicitation.fake_server import serving

Answer = dict[str, Any]
Record = Callable[..., Path]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Record one answer to one context."""

    def record(context: StudyContext, text: str) -> Path:
        path = tmp_path / "recordings" / "r.json"
        RecordingElicitor(LLMElicitor(client=FunctionClient(lambda _: text, model="m")), path).elicit(context)
        return path

    return record


def text_with(answer: Answer, confidence: float) -> str:
    return json.dumps({**answer, "confidence": confidence})


def test_round_trip(context: StudyContext, answer: Answer, record: Record) -> None:
    path = record(context, f"Sure!\n{json.dumps(answer)}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        elicitation = ReplayElicitor(path, strict=True).elicit(context)
    assert elicitation.answer == PriorAnswer.model_validate(answer)
    assert elicitation.raw_text == f"Sure!\n{json.dumps(answer)}"
    assert elicitation.messages == render_prompt(context)
    assert (elicitation.model, elicitation.cost_usd, elicitation.n_attempts) == ("m", 0.0, 0)


def test_two_replays_are_equal(context: StudyContext, answer: Answer, record: Record) -> None:
    path = record(context, json.dumps(answer))
    assert ReplayElicitor(path).elicit(context) == ReplayElicitor(path).elicit(context)


def test_the_file_says_what_it_is(context: StudyContext, answer: Answer, record: Record) -> None:
    data = json.loads(record(context, json.dumps(answer)).read_text(encoding="utf-8"))
    assert data["description"] == "answer of a large language model to the prompt in this file, recorded once"
    assert data["format_version"] == 1
    assert data["prompt_hash"] == prompt_hash(render_prompt(context))
    assert data["completions"] == [json.dumps(answer)]
    assert [message["role"] for message in data["messages"]] == ["system", "user"]
    assert list(data)[-2:] == ["messages", "completions"]


def test_another_prompt_about_the_same_space(context: StudyContext, answer: Answer, record: Record) -> None:
    path = record(context, json.dumps(answer))
    other = dataclasses.replace(context, problem_description="something else")
    with pytest.raises(
        ElicitationError, match=rf"{prompt_hash(render_prompt(other))}.*{prompt_hash(render_prompt(context))}"
    ):
        ReplayElicitor(path, strict=True).elicit(other)
    replay = ReplayElicitor(path)
    with pytest.warns(ElicitationWarning, match="no answer to this very prompt"):
        elicitation = replay.elicit(other)
    assert replay.elicit(other) == elicitation  # without a second warning
    assert elicitation.answer == PriorAnswer.model_validate(answer)
    assert elicitation.trials_shown == ()


def test_order_of_the_parameters_does_not_matter(context: StudyContext, answer: Answer, record: Record) -> None:
    path = record(context, json.dumps(answer))
    turned = dataclasses.replace(context, distributions=dict(reversed(list(context.distributions.items()))))
    with pytest.warns(ElicitationWarning, match="same search space"):
        assert ReplayElicitor(path).elicit(turned).answer == PriorAnswer.model_validate(answer)


def test_other_ranges(context: StudyContext, answer: Answer, record: Record) -> None:
    path = record(context, json.dumps(answer))
    other = StudyContext(distributions={"dropout": FloatDistribution(0, 1)})
    match = r"recording about the search space .*\(dropout\).*FixedElicitor"
    with pytest.raises(ElicitationError, match=match) as caught:
        ReplayElicitor(path).elicit(other)
    assert not caught.value.retryable


@pytest.mark.parametrize("strict", [False, True])
def test_other_parameters_altogether(context: StudyContext, answer: Answer, record: Record, strict: bool) -> None:
    path = record(context, json.dumps(answer))
    other = StudyContext(distributions={"eta": FloatDistribution(0, 1)})
    with pytest.raises(AnswerError, match=r"Cannot use .*r\.json.*Expected .*'eta', got .*'learning_rate'"):
        ReplayElicitor(path, strict=strict).elicit(other)


def test_several_questions_in_one_file(context: StudyContext, answer: Answer, record: Record) -> None:
    later = dataclasses.replace(context, trial_number=20, n_finished=20)
    record(context, text_with(answer, 0.25))
    path = record(later, text_with(answer, 0.5))
    assert [exchange.trial_number for exchange in read_exchanges(path)] == [0, 20]
    replay = ReplayElicitor(path)
    assert replay.elicit(context).answer.confidence == 0.25
    assert replay.elicit(later).answer.confidence == 0.5
    # Another course of the study: the answer that had been there at the time.
    with pytest.warns(ElicitationWarning, match="used"):
        at = {n: replay.elicit(dataclasses.replace(later, trial_number=n, n_finished=99)) for n in (5, 19, 20, 30)}
    assert {n: e.answer.confidence for n, e in at.items()} == {5: 0.25, 19: 0.25, 20: 0.5, 30: 0.5}


def test_an_earlier_trial_than_any_recorded_takes_the_first(
    context: StudyContext, answer: Answer, record: Record
) -> None:
    path = record(dataclasses.replace(context, trial_number=20, n_finished=20), json.dumps(answer))
    with pytest.warns(ElicitationWarning, match="used"):
        assert ReplayElicitor(path).elicit(context).answer.confidence == 0.75


def test_several_answers_to_one_question(context: StudyContext, answer: Answer, record: Record) -> None:
    """More than there are wordings: every question is a prompt of its own all the same."""
    stated = [i / 16 for i in range(1, 10)]
    contexts = [dataclasses.replace(context, answer_index=i) for i in range(9)]
    for asked, confidence in zip(contexts, stated, strict=True):
        path = record(asked, text_with(answer, confidence))
    replay = ReplayElicitor(path, strict=True)
    assert [replay.elicit(asked).answer.confidence for asked in contexts] == stated
    # Another prompt: still one answer after the other, whichever words they were asked in.
    others = [dataclasses.replace(asked, dataset_size="2", trial_number=3) for asked in contexts]
    with pytest.warns(ElicitationWarning, match="trial 0"):
        assert {ReplayElicitor(path).elicit(other).answer.confidence for other in others} == set(stated)


def test_recording_again_replaces(context: StudyContext, answer: Answer, record: Record) -> None:
    record(context, text_with(answer, 0.25))
    path = record(context, text_with(answer, 0.5))
    (exchange,) = read_exchanges(path)
    assert exchange.completions == (text_with(answer, 0.5),)
    assert [file.name for file in path.parent.iterdir()] == ["r.json"]


def test_a_person_can_be_recorded_too(context: StudyContext, answer: Answer, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    elicitation = RecordingElicitor(FixedElicitor(answer), path).elicit(context)
    assert ReplayElicitor(path, strict=True).elicit(context).answer == elicitation.answer


def test_a_failed_question_is_not_recorded(context: StudyContext, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    with pytest.raises(ElicitationError):
        RecordingElicitor(LLMElicitor(client=FunctionClient(lambda _: "no"), max_retries=0), path).elicit(context)
    assert not path.exists()


def test_a_write_that_fails_leaves_the_old_file(
    context: StudyContext, answer: Answer, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record(context, json.dumps(answer))
    before = path.read_bytes()

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.warns(ElicitationWarning, match=r"could not be recorded in .*r\.json.*disk full.*all the same"):
        record(dataclasses.replace(context, dataset_size="2"), json.dumps(answer))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_recorded_answer_that_cannot_be_used(context: StudyContext, answer: Answer, record: Record) -> None:
    path = record(context, json.dumps(answer))
    data = json.loads(path.read_text(encoding="utf-8"))
    data["completions"] = ["not JSON"]
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(AnswerError, match=r"Cannot use the recorded answer in .*r\.json.*text without one"):
        ReplayElicitor(path).elicit(context)


EXCHANGE = {"messages": [{"role": "user", "content": "?"}], "completions": ["{}"], "prompt_hash": "0"}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "not JSON"),
        ("[]", "list is empty"),
        ("{}", "0.messages"),
        (json.dumps({"regions": [], "numeric": []}), "use FixedElicitor"),
        (json.dumps({**EXCHANGE, "completions": []}), "no completions"),
        (json.dumps({**EXCHANGE, "completions": [1]}), "completions"),
        (json.dumps([EXCHANGE, {**EXCHANGE, "format_version": 2}]), "format_version 2 is not 1"),
    ],
)
def test_not_a_recording(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text, encoding="utf-8")
    for use in (ReplayElicitor, lambda path: RecordingElicitor(FixedElicitor(PriorAnswer.by_hand()), path)):
        with pytest.raises(ConfigurationError, match=match):
            use(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"recorded exchanges, got .*r\.json.*No such file"):
        ReplayElicitor(tmp_path / "r.json")


def test_repr(context: StudyContext, answer: Answer, record: Record) -> None:
    path = record(context, json.dumps(answer))
    assert repr(ReplayElicitor(path)) == f"ReplayElicitor({str(path)!r})"


class TestLiveRun:
    """A run against a server is recorded, and repeated without one."""

    SPACE: ClassVar = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}

    def study(self, elicitor: Elicitor, n_trials: int, *, refresh: RefreshPolicy | None = None) -> optuna.Study:
        sampler = LLMPriorSampler(
            elicitor=elicitor, search_space=self.SPACE, n_startup_trials=2, refresh=refresh, seed=1
        )
        study = optuna.create_study(sampler=sampler)
        study.optimize(
            lambda t: (t.suggest_float("x", 0, 1) - 0.3) ** 2 + t.suggest_float("y", 0, 1), n_trials=n_trials
        )
        return study

    def test_same_trials_offline(self, tmp_path: Path) -> None:
        path = tmp_path / "run.json"
        refresh = RefreshPolicy(every=3, max_elicitations=2)
        with serving() as server:
            for best in (0.2, 0.4, 0.6, 0.8):
                answer = PriorAnswer.by_hand(numeric={"x": (best, best - 0.1, best + 0.1), "y": (0.1, 0.0, best)})
                server.answer(answer.model_dump_json())
            live = LLMElicitor("openai/anything", api_base=server.url, api_key="x", max_retries=0, n_answers=2)
            recorded = self.study(RecordingElicitor(live, path), 6, refresh=refresh)
            n_requests = len(server.requests)
        assert n_requests == 4  # two answers to the first question, two to a later one
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            replayed = self.study(ReplayElicitor(path, strict=True, n_answers=2), 6, refresh=refresh)
        assert [trial.params for trial in replayed.trials] == [trial.params for trial in recorded.trials]
        answers = [
            [
                (e.answer, e.trial_number, e.answer_index, e.prompt_hash, e.trials_shown)
                for e in load_elicitations(study)
            ]
            for study in (recorded, replayed)
        ]
        assert answers[0] == answers[1]
        assert len(answers[0]) == 4

    def test_another_study_is_told_so(self, tmp_path: Path) -> None:
        path = tmp_path / "run.json"
        answer = PriorAnswer.by_hand(numeric={"x": (0.2, 0.1, 0.3)}).model_dump_json()
        self.study(RecordingElicitor(LLMElicitor(client=FunctionClient(lambda _: answer), n_answers=2), path), 1)
        other = dataclasses.replace(StudyContext(distributions=self.SPACE), problem_description="something else")
        wanted = prompt_hash(render_prompt(other))
        with pytest.warns(ElicitationWarning, match=f"no answer to this very prompt .{wanted}.*asked for trial 0"):
            elicitation = ReplayElicitor(path).elicit(other)
        assert elicitation.prompt_hash != wanted  # the record does not pretend either
        assert elicitation.trials_shown == ()
        with pytest.raises(ElicitationError, match=f"Expected a recording of the prompt {wanted}.*record it again"):
            ReplayElicitor(path, strict=True).elicit(other)


def test_an_answer_that_was_cut_in_the_record_can_be_replayed(
    context: StudyContext, answer: Answer, record: Record
) -> None:
    path = record(context, json.dumps(answer) + " " * 5 + "Let me explain. " * 4_000)
    assert ReplayElicitor(path).elicit(context).answer == PriorAnswer.model_validate(answer)
