"""Whatever the model's side does, a study finishes: real HTTP, real LiteLLM, a server of our own, no model.

Each case ends in a usable answer, after a repair or a repeated question, or in exactly one warning that says what to
do.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from llm_prior_bo import LLMElicitor, LLMPriorSampler, PriorAnswer, SearchSpace
from llm_prior_bo.errors import ElicitationWarning, LLMPriorWarning, RepairedAnswerWarning
from llm_prior_bo.study.diagnostics import StudyStatistics, study_statistics
from tests.elicitation.fake_server import FakeServer

SPACE = SearchSpace(
    {"lr": FloatDistribution(1e-4, 1.0, log=True), "act": CategoricalDistribution(["relu", "tanh", None])}
)
ANSWER = PriorAnswer.by_hand(
    numeric={"lr": (0.01, 0.001, 0.1)}, categorical={"act": {"tanh": 0.8, "relu": 0.1, None: 0.1}}
).model_dump()
MODE = {"lr": pytest.approx(0.01), "act": "tanh"}
KEY = "sk-abcdef1234567890"
NO_PRIOR = "The study goes on as plain Bayesian optimisation, without a prior."


def objective(trial: optuna.Trial) -> float:
    return trial.suggest_float("lr", 1e-4, 1.0, log=True) + len(
        str(trial.suggest_categorical("act", ["relu", "tanh", None]))
    )


class Outcome:
    """A study of four trials, two of them the surrogate's, and what was said meanwhile."""

    def __init__(self, server: FakeServer, **options: Any) -> None:
        options = {"api_base": server.url, "api_key": KEY, "timeout": 60.0, "max_retries": 2, **options}
        elicitor = LLMElicitor("openai/anything", retry_wait=0.0, sleep=lambda _: None, **options)
        sampler = LLMPriorSampler(elicitor=elicitor, search_space=SPACE, n_startup_trials=2, seed=0)
        self.study = optuna.create_study(sampler=sampler)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.study.optimize(objective, n_trials=4)
        self.warnings = [w.message for w in caught if isinstance(w.message, LLMPriorWarning)]
        self.n_requests = len(server.requests)

    @property
    def statistics(self) -> StudyStatistics:
        return study_statistics(self.study)

    @property
    def text(self) -> str:
        """What the user was told, all of it."""
        return "\n".join(str(warning) for warning in self.warnings)

    def is_finished(self) -> bool:
        return [trial.state for trial in self.study.trials] == [TrialState.COMPLETE] * 4

    def has_the_prior(self) -> bool:
        return all(s.log_prior != 0.0 for s in self.statistics.suggestions.values())

    def has_no_prior(self) -> bool:
        return all(s.log_prior == 0.0 for s in self.statistics.suggestions.values())


def edited(**changes: Any) -> str:
    return json.dumps({**ANSWER, **changes})


def with_row(key: str, **changes: Any) -> str:
    """The answer with its first row of one kind changed."""
    rows = ANSWER[key]
    return edited(**{key: [{**rows[0], **changes}, *rows[1:]]})


def test_a_good_answer(server: FakeServer) -> None:
    server.answer(json.dumps(ANSWER))
    outcome = Outcome(server)
    assert outcome.is_finished()
    assert outcome.warnings == []
    assert outcome.n_requests == 1
    assert outcome.study.trials[0].params == MODE
    assert outcome.has_the_prior()
    assert outcome.statistics.tokens == 1500


class TestNoAnswer:
    """One warning, one stored failure, plain Bayesian optimisation."""

    def check(self, outcome: Outcome, n_requests: int, advice: str) -> None:
        assert outcome.is_finished()
        assert outcome.has_no_prior()
        assert outcome.n_requests == n_requests
        (warning,) = outcome.warnings
        assert isinstance(warning, ElicitationWarning)
        assert str(warning).endswith(NO_PRIOR)
        assert re.search(advice, str(warning))
        assert KEY not in outcome.text
        (failure,) = outcome.statistics.failures
        assert str(warning).startswith(failure.reason)
        assert [s.phase for s in outcome.statistics.suggestions.values()] == ["startup"] * 2 + ["model"] * 2

    def test_no_key(self, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        self.check(Outcome(server, api_key=None), 0, "has no API key; set OPENAI_API_KEY")

    def test_refused_connection(self, server: FakeServer) -> None:
        self.check(Outcome(server, api_base="http://127.0.0.1:9/v1"), 0, "cannot be reached")

    def test_time_out(self, server: FakeServer) -> None:
        for _ in range(2):
            server.reply(200, {}, after_s=60.0)  # or until the test ends
        # Long enough for both requests to arrive on a busy machine, where they are counted.
        self.check(Outcome(server, timeout=2.0, max_retries=1), 2, r"did not answer within 2 s.*attempt 2")

    @pytest.mark.parametrize(
        ("status", "n_requests", "advice"),
        [
            (401, 1, "key that the provider refuses"),
            (404, 1, "not known under this name"),
            (429, 3, r"too many requests \(429\)"),
            (500, 3, "fault on the server's side"),
            (503, 3, "fault on the server's side"),
        ],
    )
    def test_status(self, server: FakeServer, status: int, n_requests: int, advice: str) -> None:
        for _ in range(n_requests):
            server.fail(status, f"the key {KEY} has a problem")
        self.check(Outcome(server), n_requests, advice)

    @pytest.mark.parametrize(
        ("content", "options", "advice"),
        [
            ("", {}, "No usable answer in 3 attempts"),
            (None, {}, "No usable answer in 3 attempts"),
            ("I think that 0.01 is a good learning rate.", {}, "No usable answer in 3 attempts"),
            (json.dumps(ANSWER)[:-80], {"finish_reason": "length"}, "broken off"),
            ("[]", {}, "No usable answer"),
            ("{}", {}, "No usable answer"),
            ('{"lr": 0.01}', {}, "No usable answer"),
            (edited(regions="everywhere"), {}, "No usable answer"),
            (edited(numeric=[], categorical=[]), {}, "No usable answer"),
            (
                edited(numeric=[{"region": 1, "parameter": "eta", "best": 1, "low": 0, "high": 2}], categorical=[]),
                {},
                "'eta'",
            ),
            (None, {"refusal": "I cannot help with that."}, "refusal.*cannot help"),
        ],
        ids=[
            "empty",
            "null",
            "prose",
            "truncated",
            "list",
            "empty object",
            "another shape",
            "regions are text",
            "no opinion",
            "unknown names only",
            "refusal",
        ],
    )
    def test_content(self, server: FakeServer, content: str | None, options: dict[str, Any], advice: str) -> None:
        for _ in range(3):
            server.answer(content, **options)
        outcome = Outcome(server)
        self.check(outcome, 3, advice)
        # Asked in vain, but paid for.
        assert outcome.statistics.tokens == 4500

    @pytest.mark.parametrize("body", [None, [], "text", {}, {"choices": []}, {"choices": [{}]}, {"error": "odd"}])
    def test_a_body_that_is_no_completion(self, server: FakeServer, body: Any) -> None:
        for _ in range(3):
            server.reply(200, body)
        outcome = Outcome(server)
        assert outcome.is_finished()
        assert outcome.has_no_prior()
        assert len(outcome.warnings) == 1
        assert str(outcome.warnings[0]).endswith(NO_PRIOR)


class TestRepeatedQuestion:
    """A good answer in the end: no warning, and the prior is used."""

    @pytest.mark.parametrize(
        "fault",
        [
            lambda s: s.fail(429, Retry_After="0"),
            lambda s: s.fail(500),
            lambda s: s.answer(""),
            lambda s: s.answer("Let me think about it."),
            lambda s: s.answer(json.dumps(ANSWER)[:100], finish_reason="length"),
            lambda s: s.answer(edited(numeric=[], categorical=[])),
            lambda s: s.answer(None, refusal="No."),
            lambda s: s.reply(200, {"choices": []}),
        ],
        ids=["429", "500", "empty", "prose", "truncated", "no opinion", "refusal", "no choices"],
    )
    def test_second_time(self, server: FakeServer, fault: Callable[[FakeServer], None]) -> None:
        fault(server)
        server.answer(json.dumps(ANSWER))
        outcome = Outcome(server)
        assert outcome.is_finished()
        assert outcome.warnings == []
        assert outcome.n_requests == 2
        assert outcome.study.trials[0].params == MODE
        assert outcome.statistics.elicitations[0].n_attempts == 2

    def test_what_was_wrong_is_sent_back(self, server: FakeServer) -> None:
        server.answer("Let me think about it.")
        server.answer(json.dumps(ANSWER))
        Outcome(server)
        assert [message["role"] for message in server.requests[1]["messages"]] == [
            "system",
            "user",
            "assistant",
            "user",
        ]
        assert server.requests[1]["messages"][2]["content"] == "Let me think about it."


class TestRepair:
    """An answer whose meaning is plain is used; the user hears of the repair once."""

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (with_row("numeric", high=50.0), "'lr' was clipped"),
            (with_row("numeric", low=0.1, high=0.001), "lr"),
            (with_row("numeric", parameter="LR"), "lr"),
            (with_row("categorical", choice="Tanh"), "anh"),
            (edited(confidence=80), "80 %"),
            (
                edited(numeric=[*ANSWER["numeric"], {"region": 1, "parameter": "eta", "best": 1, "low": 0, "high": 2}]),
                "eta",
            ),
            (
                edited(
                    categorical=[
                        *ANSWER["categorical"],
                        {"region": 1, "parameter": "act", "choice": "swish", "weight": 0.1},
                    ]
                ),
                "swish",
            ),
            (
                edited(
                    numeric=[*ANSWER["numeric"], {"region": 7, "parameter": "lr", "best": 1, "low": 0.5, "high": 1}]
                ),
                "7",
            ),
        ],
        ids=[
            "out of range",
            "bounds swapped",
            "name in capitals",
            "choice in capitals",
            "per cent",
            "unknown name",
            "unknown choice",
            "unknown region",
        ],
    )
    def test_repaired(self, server: FakeServer, content: str, told: str) -> None:
        server.answer(content)
        outcome = Outcome(server)
        assert outcome.is_finished()
        assert outcome.n_requests == 1
        assert outcome.has_the_prior()
        assert all(isinstance(warning, RepairedAnswerWarning) for warning in outcome.warnings)
        (elicitation,) = outcome.statistics.elicitations
        assert any(told in repair for repair in elicitation.repairs)
        assert len(outcome.warnings) == 1
        assert told in outcome.text

    @pytest.mark.parametrize("text", ["```json\n{}\n```", "Sure! Here it is:\n{}\nGood luck.", "\ufeff{}"])
    def test_wrapped_in_words(self, server: FakeServer, text: str) -> None:
        server.answer(text.replace("{}", json.dumps(ANSWER)))
        outcome = Outcome(server)
        assert outcome.study.trials[0].params == MODE
        assert outcome.n_requests == 1

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "null"])
    def test_numbers_that_are_none(self, server: FakeServer, number: str) -> None:
        """The belief about `lr` is of no use; the one about `act` is."""
        broken = json.dumps(ANSWER).replace('"best": 0.01', f'"best": {number}')
        assert broken != json.dumps(ANSWER)
        server.answer(broken)
        outcome = Outcome(server)
        assert outcome.is_finished()
        assert outcome.n_requests == 1
        assert len(outcome.warnings) == 1
        assert "'lr' was dropped" in outcome.text
        assert outcome.study.trials[0].params["act"] == "tanh"
        assert outcome.has_the_prior()

    def test_only_numbers_that_are_none(self, server: FakeServer) -> None:
        for _ in range(3):
            server.answer(with_row("numeric", best=float("nan")).replace(json.dumps(ANSWER["categorical"]), "[]"))
        outcome = Outcome(server)
        assert outcome.is_finished()
        assert outcome.has_no_prior()
        assert (outcome.n_requests, len(outcome.warnings)) == (3, 1)


def test_any_part_of_an_answer_leaves_a_study_that_finishes(server: FakeServer) -> None:
    """The answer broken off after every so many characters."""
    text = json.dumps(ANSWER)
    for end in range(0, len(text), len(text) // 12):
        server.replies.clear()
        server.answer(text[:end])
        assert Outcome(server, max_retries=0).is_finished()
