"""What a user sees of a question: one line when it is put, at each retry, and when the answer is there; or an error."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from llm_prior_bo import FixedElicitor, LLMElicitor, LLMPriorSampler, PriorAnswer, RefreshPolicy, ReplayElicitor
from llm_prior_bo.elicitation import (
    BlindedElicitor,
    Completion,
    CompletionError,
    Elicitation,
    ElicitationSettings,
    FunctionClient,
    RecordingElicitor,
    StudyContext,
)
from llm_prior_bo.errors import ElicitationError, ElicitationWarning
from llm_prior_bo.optimization.prior_source import MIN_PATIENCE, ElicitedPriorSource
from llm_prior_bo.study import election
from llm_prior_bo.study.answer_records import load_failures, save_failure
from llm_prior_bo.study.trial_records import mark_arrived
from tests.elicitation.fake_server import FakeServer
from tests.trials import start

SPACE = {"x": FloatDistribution(0.0, 1.0)}
ANSWER = PriorAnswer.by_hand(numeric={"x": (0.25, 0.2, 0.3)})
KEY = "sk-abcdef1234567890"


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What the package says in Optuna's log."""
    handler, logger = Lines(), logging.getLogger("optuna.llm_prior_bo")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler.texts
    logger.setLevel(level)
    logger.removeHandler(handler)


def objective(trial: optuna.Trial) -> float:
    return trial.suggest_float("x", 0.0, 1.0)


def run(elicitor: Any, *, n_trials: int = 1, **options: Any) -> optuna.Study:
    sampler = LLMPriorSampler(elicitor=elicitor, search_space=SPACE, seed=0, **options)
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=n_trials)
    return study


@dataclass
class Own:
    """A user's elicitor."""

    outcome: PriorAnswer | Exception = ANSWER
    settings: ElicitationSettings = field(default_factory=ElicitationSettings)

    def elicit(self, context: StudyContext) -> Elicitation:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return Elicitation(self.outcome, trial_number=context.trial_number)


class TestLines:
    def test_a_question_and_its_answer(self, server: FakeServer, lines: list[str]) -> None:
        server.answer(ANSWER.model_dump_json())
        run(LLMElicitor("openai/m-1", api_base=server.url, api_key=KEY, timeout=120.0, max_retries=1))
        put, answered = lines
        assert put.startswith("openai/m-1 is asked for a prior, for trial 0: about ")
        assert put.endswith(" tokens, up to 304 s.")  # two requests of 120 + 2 s, and a pause of at most 60 s
        assert answered.startswith("m-1 answered for trial 0 with 1 region: ")
        assert answered.endswith(" s, 1,500 tokens, cost unknown.")

    def test_retries(self, server: FakeServer, lines: list[str]) -> None:
        server.fail(429, f"slow down, {KEY}\x1b[2J")
        server.answer("Let me think.")
        server.answer(ANSWER.model_dump_json())
        waits: list[float] = []
        run(LLMElicitor("openai/m-1", api_base=server.url, api_key=KEY, timeout=120.0, sleep=waits.append))
        _, first, second, _ = lines
        assert first.startswith(f"openai/m-1 is asked again in {waits[0]:.1f} s (attempt 2 of 4): ")
        assert "too many requests" in first
        assert second.startswith("openai/m-1 is asked again at once (attempt 3 of 4): Expected one JSON object")
        assert KEY not in "".join(lines)
        assert "\x1b" not in "".join(lines)

    def test_a_known_cost_and_several_answers(self, lines: list[str]) -> None:
        client = FunctionClient(lambda _: Completion(ANSWER.model_dump_json(), cost_usd=0.25))
        run(LLMElicitor(client=client, n_answers=2, max_retries=0, timeout=8.0))
        put, *answered = lines
        assert put.startswith("FunctionClient is asked 2 times for a prior")
        assert put.endswith("up to 20 s.")
        assert len(answered) == 2
        assert all(line.endswith(" tokens, 0.25 USD.") and " s, about " in line for line in answered)

    def test_nobody_is_waited_for(self, lines: list[str]) -> None:
        run(FixedElicitor(ANSWER))
        assert len(lines) == 1
        assert lines[0].startswith("fixed answered for trial 0")

    def test_a_name_with_a_secret_or_a_control_character(self, lines: list[str]) -> None:
        elicitor: Any = Own()
        elicitor.name = f"mine {KEY} \x1b[2J"
        run(elicitor)
        assert lines[0].startswith("mine [redacted] \\u001b[2J is asked")


class TestPatience:
    """A worker waits for another one's answer as long as that may take: through every wrapper."""

    @pytest.mark.parametrize("form", ["attribute", "property"])
    def test_of_what_is_wrapped(self, form: str, tmp_path: Path, lines: list[str]) -> None:
        def answer(messages: Any) -> str:
            text = ANSWER.model_dump_json()
            return text.replace('"x"', '"p1"') if "p1" in messages[-1]["content"] else text  # blinded

        inner = LLMElicitor(client=FunctionClient(answer), timeout=500.0, n_answers=2)

        class Attribute(Own):
            longest_seconds = inner.longest_seconds
            settings = inner.settings

        class Property(Own):
            settings = inner.settings

            @property
            def longest_seconds(self) -> float:
                return inner.longest_seconds

        users: Own = Attribute(settings=inner.settings) if form == "attribute" else Property(settings=inner.settings)
        expected = 2 * (4 * 502.0 + 3 * 60.0)
        recording = RecordingElicitor(inner, tmp_path / "recording.json")
        elicitors: list[Any] = [inner, users, recording, BlindedElicitor(inner), BlindedElicitor(recording)]
        for elicitor in elicitors:
            sampler = LLMPriorSampler(elicitor=elicitor, search_space=SPACE, seed=0)
            source = sampler._source
            assert isinstance(source, ElicitedPriorSource)
            assert source.election.patience == expected
            del lines[:]
            optuna.create_study(sampler=sampler).optimize(objective, n_trials=1)
            assert lines[0].endswith(f"up to {expected:g} s.")

    def test_what_the_documentation_says(self) -> None:
        text = (Path(__file__).parents[2] / "docs" / "how_to" / "failures.md").read_text(encoding="utf-8")
        elicitor = LLMElicitor("gpt-4o")
        source = ElicitedPriorSource.of(elicitor)
        assert elicitor.longest_seconds == 308.0
        assert source.election.longest_wait == 618.0
        assert election.ARRIVAL_SECONDS == 2.0
        assert ElicitedPriorSource.of(FixedElicitor(ANSWER)).election.longest_wait == 2 * MIN_PATIENCE + 2.0 == 122.0
        for said in ("| 308 s |", "| 618 s |", "| 122 s |"):
            assert said in text


class TestOnFailure:
    @pytest.mark.parametrize(
        ("status", "message", "advice"),
        [
            (401, "bad key", "check the value of the key"),
            (404, "no such model", "is not known under this name"),
            (402, "pay", "check the provider's billing page"),
            (500, "down", "fault on the server's side"),
        ],
    )
    def test_the_first_question(self, server: FakeServer, status: int, message: str, advice: str) -> None:
        for _ in range(2):
            server.fail(status, f"{message} {KEY}")
        sampler = LLMPriorSampler(
            "openai/m-1",
            search_space=SPACE,
            api_base=server.url,
            api_key=KEY,
            timeout=120.0,
            max_retries=1,
            retry_wait=0.0,
            on_failure="raise",
        )
        study = optuna.create_study(sampler=sampler)
        with pytest.raises(ElicitationError, match=advice) as raised:
            study.optimize(objective, n_trials=3)
        assert KEY not in str(raised.value)
        assert raised.value.__context__ is None
        assert [trial.state for trial in study.trials] == [TrialState.FAIL]
        (failure,) = load_failures(study)
        assert failure.reason == str(raised.value)

    def test_a_missing_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        study = optuna.create_study(sampler=LLMPriorSampler("gpt-4o", search_space=SPACE, on_failure="raise"))
        with pytest.raises(ElicitationError, match="OPENAI_API_KEY"):
            study.optimize(objective, n_trials=3)

    def test_once_mended_the_same_sampler_asks_again(self) -> None:
        elicitor = Own(ElicitationError("no key", retryable=False), ElicitationSettings(on_failure="raise"))
        study = optuna.create_study(sampler=LLMPriorSampler(elicitor=elicitor, search_space=SPACE, seed=0))
        with pytest.raises(ElicitationError, match="no key"):
            study.optimize(objective, n_trials=3)
        elicitor.outcome = ANSWER
        study.optimize(objective, n_trials=1)
        assert study.trials[-1].params["x"] == pytest.approx(0.25)

    def test_foreign_errors_lead_to_nothing(self) -> None:
        with pytest.raises(ElicitationError, match=r"an answer from Own, got ValueError\('\[redacted\]'\)") as raised:
            run(Own(ValueError(KEY), ElicitationSettings(on_failure="raise")))
        assert raised.value.__context__ is None
        assert raised.value.__cause__ is None

    def test_through_wrappers_and_replay(self, tmp_path: Path) -> None:
        def fails(_: object) -> str:
            raise CompletionError("no credit", retryable=False)

        inner = LLMElicitor(client=FunctionClient(fails), on_failure="raise")
        for elicitor in (inner, BlindedElicitor(inner), RecordingElicitor(inner, tmp_path / "new.json")):
            with pytest.raises(ElicitationError, match="no credit"):
                run(elicitor)
        path = tmp_path / "recording.json"
        run(RecordingElicitor(LLMElicitor(client=FunctionClient(lambda _: ANSWER.model_dump_json())), path))
        exchange = json.loads(path.read_text())
        path.write_text(json.dumps({**exchange, "prompt_hash": "another"}))
        with pytest.raises(ElicitationError, match="Expected a recording of the prompt"):
            run(ReplayElicitor(path, strict=True, on_failure="raise"))

    def test_later_questions_only_warn(self) -> None:
        elicitor = Own(settings=ElicitationSettings(on_failure="raise"))
        sampler = LLMPriorSampler(elicitor=elicitor, search_space=SPACE, seed=0, refresh=RefreshPolicy(every=2))
        study = optuna.create_study(sampler=sampler)
        study.optimize(objective, n_trials=1)
        elicitor.outcome = ElicitationError("no credit left")
        with pytest.warns(ElicitationWarning, match="no credit left The study goes on with the answers it has"):
            study.optimize(objective, n_trials=9)
        assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 10

    def test_one_of_two_answers_is_enough(self) -> None:
        class Second(Own):
            def elicit(self, context: StudyContext) -> Elicitation:
                if context.answer_index:
                    raise ElicitationError("no credit left")
                return super().elicit(context)

        with pytest.warns(ElicitationWarning, match="no credit left"):
            study = run(Second(settings=ElicitationSettings(n_answers=2, on_failure="raise")))
        assert study.trials[0].params["x"] == pytest.approx(0.25)

    @pytest.mark.parametrize("on_failure", ["warn", "raise"])
    def test_a_worker_that_waited(self, on_failure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another worker's failure is recorded while this one waits: it does as its own setting says."""
        study = optuna.create_study()

        def arrived() -> Any:
            trial = start(study)
            mark_arrived(study, trial)
            return trial

        other, trial = arrived(), arrived()
        source = ElicitedPriorSource.of(Own(settings=ElicitationSettings(on_failure=on_failure)))
        space = LLMPriorSampler(elicitor=FixedElicitor(ANSWER), search_space=SPACE)._search_space
        looks = iter(range(100))

        def sleep(_: float) -> None:  # in place of time: the failure is there at the second look
            if next(looks) == 0:
                save_failure(study, other.number, "no credit left.")

        monkeypatch.setattr("llm_prior_bo.study.election.time.sleep", sleep)
        if on_failure == "raise":
            with pytest.raises(ElicitationError, match="Another worker asked: no credit left"):
                source.prepare(study, trial, space)
        else:
            with pytest.warns(ElicitationWarning, match="Another worker asked: no credit left"):
                source.prepare(study, trial, space)
        assert len(load_failures(study)) == 1  # nobody asked once more

    def test_warn_is_the_default(self) -> None:
        assert ElicitationSettings().on_failure == LLMElicitor("gpt-4o").settings.on_failure == "warn"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run(Own(ElicitationError("no key")), n_trials=2)
        assert len(caught) == 1
