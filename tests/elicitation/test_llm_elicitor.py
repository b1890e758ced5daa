from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from llm_prior_bo.elicitation import (
    Completion,
    CompletionError,
    FunctionClient,
    LLMElicitor,
    Messages,
    PriorAnswer,
    StudyContext,
    TrialSummary,
    UnansweredError,
    prompt_hash,
    render_prompt,
)
from llm_prior_bo.elicitation.llm_elicitor import MAX_COMPLAINT_CHARACTERS, MAX_MODEL_CHARACTERS
from llm_prior_bo.errors import ConfigurationError, ElicitationError

Answer = dict[str, Any]


class Script:
    """A model that says or raises one thing after another, and remembers what it was asked."""

    def __init__(self, *steps: str | Completion | Exception) -> None:
        self.steps = list(steps)
        self.asked: list[Messages] = []

    def __call__(self, messages: Messages) -> str | Completion:
        self.asked.append(messages)
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


def elicitor(
    script: Callable[[Messages], str | Completion], waits: list[float] | None = None, **options: Any
) -> LLMElicitor:
    sleep = (lambda _: None) if waits is None else waits.append
    return LLMElicitor(client=FunctionClient(script), sleep=sleep, **options)


class TestLLMElicitor:
    def test_first_answer_is_good(self, context: StudyContext, answer: Answer) -> None:
        shown = TrialSummary(2, {"dropout": 0.1}, (0.5,), "complete")
        context = dataclasses.replace(context, trial_number=3, answer_index=1, trials=(shown,), n_finished=1)
        text = json.dumps(answer)
        elicitation = elicitor(Script(Completion(text, "m", 10, 20, 0.5))).elicit(context)
        assert elicitation.answer == PriorAnswer.model_validate(answer)
        assert elicitation.raw_text == text
        assert (elicitation.model, elicitation.n_attempts) == ("m", 1)
        assert (elicitation.prompt_tokens, elicitation.completion_tokens, elicitation.cost_usd) == (10, 20, 0.5)
        assert (elicitation.trial_number, elicitation.answer_index, elicitation.trials_shown) == (3, 1, (2,))
        assert elicitation.messages == render_prompt(context)
        assert elicitation.prompt_hash == prompt_hash(elicitation.messages)
        assert elicitation.created_at.endswith("+00:00")
        assert elicitation.latency_s >= 0

    def test_repairs_are_recorded(self, context: StudyContext, answer: Answer) -> None:
        answer["confidence"] = 75
        elicitation = elicitor(Script(json.dumps(answer))).elicit(context)
        assert elicitation.repairs == ("The confidence 75 was read as 75 %.",)

    def test_asks_again_with_the_error_and_counts_everything(self, context: StudyContext, answer: Answer) -> None:
        script = Script(
            Completion("{}", "m", 10, 1, 0.25),
            Completion("", "m", 20, None, None),
            Completion(json.dumps(answer), "m", 30, 4, 0.5),
        )
        elicitation = elicitor(script).elicit(context)
        assert elicitation.n_attempts == 3
        assert (elicitation.prompt_tokens, elicitation.completion_tokens, elicitation.cost_usd) == (60, 5, 0.75)
        # The conversation grows, each turn upon the one before, and the record keeps the first question.
        assert [len(messages) for messages in script.asked] == [2, 4, 6]
        assert script.asked[2][:4] == script.asked[1]
        assert elicitation.messages == script.asked[0] == render_prompt(context)

    def test_unknown_usage_stays_unknown(self, context: StudyContext, answer: Answer) -> None:
        elicitation = elicitor(Script("no", json.dumps(answer))).elicit(context)
        assert (elicitation.prompt_tokens, elicitation.completion_tokens, elicitation.cost_usd) == (None, None, None)

    def test_gives_up_with_the_last_reason_and_the_bill(self, context: StudyContext) -> None:
        script = Script(*[Completion("nothing", "m", 10, 1, 0.25)] * 4)
        with pytest.raises(UnansweredError, match=r"4 attempts; the last time: .*text without one") as caught:
            elicitor(script).elicit(context)
        assert caught.value.n_attempts == 4
        assert caught.value.usage.cost_usd == 1.0
        assert caught.value.retryable

    def test_zero_retries_is_one_attempt(self, context: StudyContext) -> None:
        script = Script("nothing")
        with pytest.raises(UnansweredError, match="1 attempt; "):
            elicitor(script, max_retries=0).elicit(context)
        assert len(script.asked) == 1

    def test_a_failure_that_stays_is_not_repeated(self, context: StudyContext) -> None:
        script = Script(CompletionError("m has no API key; set M_API_KEY."))
        with pytest.raises(UnansweredError, match="set M_API_KEY") as caught:
            elicitor(script).elicit(context)
        assert len(script.asked) == 1
        assert not caught.value.retryable

    def test_waits_longer_each_time(self, context: StudyContext) -> None:
        waits: list[float] = []
        script = Script(*[CompletionError("busy", retryable=True)] * 9)
        with pytest.raises(UnansweredError, match="busy"):
            elicitor(script, waits, max_retries=8, retry_wait=0.5).elicit(context)
        full = [0.5, 1, 2, 4, 8, 16, 32, 60]
        assert all(most / 2 <= wait <= most for wait, most in zip(waits, full, strict=True))

    def test_pauses_are_spread_at_random_and_reproducible(self, context: StudyContext) -> None:
        def waits_of(seed: int) -> list[float]:
            waits: list[float] = []
            script = Script(*[CompletionError("busy", retryable=True)] * 4)
            with pytest.raises(UnansweredError, match="busy"):
                elicitor(script, waits, rng=random.Random(seed)).elicit(context)
            return waits

        assert waits_of(1) == waits_of(1) != waits_of(2)

    def test_does_as_the_server_says_within_reason(self, context: StudyContext, answer: Answer) -> None:
        waits: list[float] = []
        script = Script(CompletionError("busy", retryable=True, retry_after=42.0), json.dumps(answer))
        elicitor(script, waits).elicit(context)
        assert waits == [42.0]
        script = Script(CompletionError("come back tomorrow", retryable=True, retry_after=86_400.0))
        with pytest.raises(UnansweredError, match="tomorrow"):
            elicitor(script, waits).elicit(context)
        assert waits == [42.0]

    @pytest.mark.parametrize(
        ("error", "n_asked"), [(TimeoutError("slow"), 2), (ConnectionError("gone"), 2), (KeyError("x"), 1)]
    )
    def test_any_failure_of_a_client_is_an_elicitation_error(
        self, context: StudyContext, error: Exception, n_asked: int
    ) -> None:
        script = Script(error, error)
        with pytest.raises(ElicitationError, match=f"client failed with {type(error).__name__}"):
            elicitor(script, max_retries=1).elicit(context)
        assert len(script.asked) == n_asked

    def test_a_keyboard_interrupt_is_not_swallowed(self, context: StudyContext) -> None:
        def interrupt(_: Messages) -> str:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            elicitor(interrupt).elicit(context)

    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            ({}, "either model or client"),
            ({"model": "gpt-4o", "client": FunctionClient(str)}, "either model or client"),
            ({"client": FunctionClient(str), "api_base": "x"}, "only together with model, got .*api_base"),
            ({"model": "gpt-4o", "max_retries": -1}, "max_retries to be a whole number >= 0, got -1"),
            ({"model": "gpt-4o", "retry_wait": float("nan")}, "retry_wait >= 0"),
            ({"model": "gpt-4o", "timeout": 0}, "timeout > 0"),
            ({"model": " "}, "name of a model"),
        ],
    )
    def test_bad_arguments(self, arguments: dict[str, Any], match: str) -> None:
        with pytest.raises(ConfigurationError, match=match):
            LLMElicitor(**arguments)

    def test_repr_has_no_options(self) -> None:
        assert repr(LLMElicitor("gpt-4o", api_key="secret")) == "LLMElicitor(LiteLLMClient('gpt-4o'))"

    def test_sizes_are_bounded_whatever_comes_back(self, context: StudyContext) -> None:
        text = json.dumps({"notes": "", "x" * 200_000: 1, "y" * 200_000: 2})
        huge = Completion(text, model="m" * 100_000, refusal="r" * 100_000, finish_reason="f" * 100_000)
        script = Script(*[huge] * 4)
        with pytest.raises(UnansweredError) as caught:
            elicitor(script).elicit(context)
        question = sum(len(message["content"]) for message in script.asked[0])
        longest = max(sum(len(message["content"]) for message in messages) for messages in script.asked)
        assert longest < question + 3 * (8_000 + MAX_COMPLAINT_CHARACTERS + 500)
        assert len(str(caught.value)) < MAX_COMPLAINT_CHARACTERS + 200

    def test_so_is_the_record(self, context: StudyContext, answer: Answer) -> None:
        answer |= {"notes": "n" * 1_000_00, "z" * 100_000: 1}
        elicitation = elicitor(Script(Completion(json.dumps(answer), model="m" * 100_000))).elicit(context)
        assert len(elicitation.to_json()) < 120_000
        assert len(elicitation.model or "") == MAX_MODEL_CHARACTERS

    def test_a_failed_generation_is_asked_again_less_strictly(self, context: StudyContext, answer: Answer) -> None:
        steps: list[int] = []

        class Strict(FunctionClient):
            def complete_leniently(self, messages: Messages, schema: Any, *, n_steps: int) -> Completion:
                steps.append(n_steps)
                return self.complete(messages, schema)

        failed = CompletionError("m did not finish", retryable=True, failed_generation=True)
        client = Strict(Script(failed, failed, json.dumps(answer)))
        assert LLMElicitor(client=client, sleep=lambda _: None).elicit(context).n_attempts == 3
        assert steps == [1, 2]
