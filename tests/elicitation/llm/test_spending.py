from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import pickle
import threading
from pathlib import Path
from typing import Any

import optuna
import pytest

from llm_prior_bo.elicitation import (
    BudgetedElicitor,
    Completion,
    CompletionError,
    Elicitation,
    FixedElicitor,
    FunctionClient,
    LLMElicitor,
    Messages,
    PriorAnswer,
    RecordingElicitor,
    ReplayElicitor,
    SpendingError,
    SpendingLimit,
    StudyContext,
    UnansweredError,
    Usage,
)
from llm_prior_bo.elicitation.llm.retry import BackOff, RateLimit
from llm_prior_bo.elicitation.llm.spending import USD_PER_MILLION_UNPRICED_TOKENS
from llm_prior_bo.errors import ConfigurationError, ElicitationError
from llm_prior_bo.study.answer_records import load_records, save_failure

Answer = dict[str, Any]
MESSAGES = ({"role": "user", "content": "x" * 100},)


class Model:
    """Answers the same every time, at a price, and counts."""

    def __init__(self, *completions: Completion | Exception) -> None:
        self.completions = completions
        self.n_asked = 0

    def __call__(self, _: Messages) -> Completion:
        completion = self.completions[min(self.n_asked, len(self.completions) - 1)]
        self.n_asked += 1
        if isinstance(completion, Exception):
            raise completion
        return completion


def elicitor(model: Model, limit: SpendingLimit | None = None, **options: Any) -> LLMElicitor:
    return LLMElicitor(client=FunctionClient(model), limit=limit, sleep=lambda _: None, **options)


class TestUsage:
    def test_of_a_request_with_all_figures(self) -> None:
        usage = Usage.of_request(MESSAGES, Completion("text", "m", 10, 20, 0.5))
        assert usage == Usage(10, 20, 0.5, n_calls=1)
        assert usage.total_tokens == 30

    def test_tokens_without_a_price(self) -> None:
        usage = Usage.of_request(MESSAGES, Completion("text", "m", 10, 20))
        assert usage == Usage(10, 20, None, n_calls=1, unpriced_tokens=30)

    def test_without_any_figure(self) -> None:
        usage = Usage.of_request(MESSAGES, Completion("y" * 50))
        assert usage == Usage(n_calls=1, unpriced_tokens=75, uncounted_tokens=75)
        assert usage.total_tokens == 75

    @pytest.mark.parametrize("odd", [-5, 10**30, math.nan, math.inf, "many", True, [1]])
    def test_odd_figures_are_unknown(self, odd: Any) -> None:
        usage = Usage.of_request(MESSAGES, Completion("y" * 50, "m", odd, odd, odd))
        assert usage == Usage(n_calls=1, unpriced_tokens=75, uncounted_tokens=75)

    def test_sum(self) -> None:
        known = Usage(1, 2, 0.5, n_calls=1, latency_s=2.0)
        unknown = Usage(None, None, None, n_calls=1, latency_s=1.0, unpriced_tokens=7, uncounted_tokens=7)
        assert known + unknown == Usage(1, 2, 0.5, 2, 3.0, 7, 7)
        assert unknown + unknown == Usage(None, None, None, 2, 2.0, 14, 14)
        assert Usage.total([known, unknown, known]).cost_usd == 1.0
        assert Usage.total([]) == Usage()


class TestSpendingLimit:
    def test_no_limit(self) -> None:
        SpendingLimit().check(Usage(10**9, 10**9, 1e9))

    @pytest.mark.parametrize(
        ("limit", "spent", "last", "allowed"),
        [
            (SpendingLimit(1.0), Usage(), None, True),
            (SpendingLimit(0.0), Usage(), None, False),
            (SpendingLimit(1.0), Usage(cost_usd=0.5, n_calls=1), None, True),
            (SpendingLimit(1.0), Usage(cost_usd=0.75, n_calls=1), None, False),
            (SpendingLimit(1.0), Usage(cost_usd=0.75, n_calls=3), None, True),
            (SpendingLimit(1.0), Usage(cost_usd=0.75, n_calls=3), Usage(cost_usd=0.5, n_calls=1), False),
            (SpendingLimit(1.0), Usage(cost_usd=1.0, n_calls=100), None, False),
            (SpendingLimit(budget_tokens=100), Usage(40, 10, 9.9, n_calls=1), None, True),
            (SpendingLimit(budget_tokens=100), Usage(40, 11, None, n_calls=1), None, False),
            (SpendingLimit(budget_tokens=100), Usage(n_calls=1, uncounted_tokens=60), None, False),
            # A free model: known, and nothing.
            (SpendingLimit(1.0), Usage(10**9, 10**9, 0.0, n_calls=1), None, True),
        ],
    )
    def test_check(self, limit: SpendingLimit, spent: Usage, last: Usage | None, allowed: bool) -> None:
        if allowed:
            limit.check(spent, last=last)
        else:
            with pytest.raises(SpendingError, match="Expected to spend at most") as caught:
                limit.check(spent, last=last)
            assert not caught.value.retryable

    def test_tokens_without_a_price_are_taken_to_be_dear(self) -> None:
        limit = SpendingLimit(budget_usd=1.0)
        per_dollar = int(1e6 / USD_PER_MILLION_UNPRICED_TOKENS)
        limit.check(Usage(n_calls=2, unpriced_tokens=per_dollar // 2))
        with pytest.raises(SpendingError, match=r"at most 1.0 USD, spent 1 already, of which 10,000 tokens have no"):
            limit.check(Usage(n_calls=2, unpriced_tokens=per_dollar))
        # A budget of tokens is there for them instead.
        SpendingLimit(budget_usd=1.0, budget_tokens=10**9).check(Usage(n_calls=2, unpriced_tokens=per_dollar))

    @pytest.mark.parametrize("arguments", [{"budget_usd": -1}, {"budget_usd": math.nan}, {"budget_tokens": -1}])
    def test_bad_arguments(self, arguments: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError, match="Expected budget"):
            SpendingLimit(**arguments)


class TestLimitedElicitor:
    def test_retries_end_at_the_limit(self, context: StudyContext) -> None:
        model = Model(Completion("no JSON", "m", 10, 10, 0.25))
        with pytest.raises(SpendingError, match=r"at most 0.6 USD, spent 0.5 already.*could not be used") as caught:
            elicitor(model, SpendingLimit(0.6), max_retries=9).elicit(context)
        assert model.n_asked == 2
        assert (caught.value.usage.cost_usd, caught.value.usage.n_calls) == (0.5, 2)
        assert isinstance(caught.value, ElicitationError)

    def test_what_the_study_has_spent_counts(self, context: StudyContext, answer: Answer) -> None:
        model = Model(Completion(json.dumps(answer), "m", 10, 10, 0.25))
        asker = elicitor(model, SpendingLimit(1.0))
        spent, answers = Usage(), []
        for _ in range(4):
            answers.append(asker.elicit(context, spent=spent))
            spent += answers[-1].usage
        with pytest.raises(SpendingError) as caught:
            asker.elicit(context, spent=spent)
        assert (model.n_asked, spent.cost_usd, spent.n_calls) == (4, 1.0, 4)
        assert caught.value.usage == dataclasses.replace(Usage(), latency_s=caught.value.usage.latency_s)

    def test_nothing_is_asked_with_nothing_to_spend(self, context: StudyContext) -> None:
        model = Model(Completion("{}"))
        with pytest.raises(SpendingError):
            elicitor(model, SpendingLimit(budget_usd=0.0)).elicit(context)
        assert model.n_asked == 0

    def test_an_unknown_price_ends_too(self, context: StudyContext) -> None:
        model = Model(Completion("no JSON", "m", 4000, 1000))
        with pytest.raises(SpendingError, match="no known price"):
            elicitor(model, SpendingLimit(budget_usd=1.2), max_retries=99).elicit(context)
        assert model.n_asked == 2  # 5,000 tokens each, 0.5 USD

    def test_a_client_that_counts_nothing_ends_too(self, context: StudyContext) -> None:
        model = Model(Completion("no JSON"))
        with pytest.raises(SpendingError):
            elicitor(model, SpendingLimit(budget_tokens=20_000), max_retries=99).elicit(context)
        assert 1 <= model.n_asked < 20

    def test_the_bill(self, context: StudyContext, answer: Answer) -> None:
        good = Completion(json.dumps(answer), "m", 30, 4)
        model = Model(CompletionError("busy", retryable=True), Completion("no", "m", 10, 1, 0.5), good)
        elicitation = elicitor(model).elicit(context)
        usage = elicitation.usage
        assert usage == Usage(40, 5, 0.5, 3, elicitation.latency_s, unpriced_tokens=34)
        assert elicitation.n_attempts == 3
        assert Elicitation.from_json(elicitation.to_json()).usage == usage
        with pytest.raises(UnansweredError) as caught:
            elicitor(Model(Completion("no", "m", 10, 1, 0.5)), max_retries=2).elicit(context)
        assert (caught.value.usage.n_calls, caught.value.usage.cost_usd) == (3, 1.5)
        assert caught.value.usage.latency_s > 0

    def test_records_of_earlier_versions(self) -> None:
        record = json.loads(Elicitation(PriorAnswer.by_hand(), prompt_tokens=10, completion_tokens=5).to_json())
        for later in ("unpriced_tokens", "uncounted_tokens", "reason", "n_finished", "space_fingerprint"):
            del record[later]
        usage = Elicitation.from_json(json.dumps(record)).usage
        assert usage == Usage(10, 5, None, n_calls=1, unpriced_tokens=15)

    def test_nobody_asked_is_no_call(self, context: StudyContext, answer: Answer) -> None:
        assert FixedElicitor(answer).elicit(context).usage == Usage(0, 0, 0.0)

    def test_who_keeps_a_budget(self, tmp_path: Path, answer: Answer, context: StudyContext) -> None:
        limit = SpendingLimit(1.0)
        model = Model(Completion(json.dumps(answer), "m", 1, 1, 0.75))
        recorder = RecordingElicitor(elicitor(model, limit), tmp_path / "r.json")
        assert isinstance(recorder, BudgetedElicitor)
        assert recorder.limit == limit
        spent = recorder.elicit(context, spent=Usage()).usage
        with pytest.raises(SpendingError):
            recorder.elicit(context, spent=spent)
        assert not isinstance(FixedElicitor(answer), BudgetedElicitor)
        assert not isinstance(ReplayElicitor(tmp_path / "r.json"), BudgetedElicitor)
        assert RecordingElicitor(FixedElicitor(answer), tmp_path / "f.json").limit is None

    def test_pickle(self, context: StudyContext) -> None:
        asker = LLMElicitor("gpt-4o", limit=SpendingLimit(0.0), requests_per_minute=6.0)
        copy = pickle.loads(pickle.dumps(asker))
        assert copy.limit == asker.limit
        with pytest.raises(SpendingError):
            copy.elicit(context)


class TestRateLimit:
    def test_requests_are_spread(self, context: StudyContext, answer: Answer) -> None:
        now, waits = [100.0], []

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            now[0] += seconds

        model = Model(*[Completion("no")] * 2, Completion(json.dumps(answer)))
        asker = LLMElicitor(
            client=FunctionClient(model), requests_per_minute=6.0, sleep=sleep, clock=lambda: now[0], max_retries=2
        )
        asker.elicit(context)
        assert waits == [10.0, 10.0]
        now[0] += 3.0
        asker.elicit(context)
        assert waits == [10.0, 10.0, 7.0]
        now[0] += 1000.0
        asker.elicit(context)
        assert len(waits) == 3  # what was not used is not saved up, and nobody waits for nothing

    def test_threads_take_turns(self) -> None:
        waits: list[float] = []
        rate = RateLimit(60.0, sleep=waits.append, clock=lambda: 0.0)
        threads = [threading.Thread(target=rate.wait) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(waits) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]

    def test_no_limit(self) -> None:
        waits: list[float] = []
        rate = RateLimit(sleep=waits.append)
        for _ in range(3):
            rate.wait()
        assert waits == []

    def test_another_process_has_its_own(self) -> None:
        rate = RateLimit(1.0)
        rate.wait()
        pickle.loads(pickle.dumps(rate)).wait()  # at once

    @pytest.mark.parametrize("per_minute", [0.0, -1.0, math.nan])
    def test_bad_arguments(self, per_minute: float) -> None:
        with pytest.raises(ConfigurationError, match="requests_per_minute > 0"):
            LLMElicitor("gpt-4o", requests_per_minute=per_minute)


def test_how_long_one_answer_may_take() -> None:
    asker = LLMElicitor("gpt-4o", timeout=30.0, max_retries=3, requests_per_minute=30.0)
    assert asker.longest_seconds == 4 * (30.0 + 2.0 + 2.0) + 3 * 60.0


def test_many_attempts_do_not_overflow() -> None:
    assert 30.0 <= (BackOff().seconds(5_000) or 0.0) <= 60.0


class TestStoredUsage:
    """Whoever can write to the storage can write a record; none of them is a credit."""

    @pytest.mark.parametrize(
        "value", [-1, -(10**12), 10**30, True, "5", "many", None, 0.5, float("nan"), float("inf"), -float("inf"), []]
    )
    def test_what_is_no_count_is_unknown(self, value: Any) -> None:
        usage = Usage(value, value, None, n_calls=value, unpriced_tokens=value, uncounted_tokens=value)
        assert usage == Usage()

    @pytest.mark.parametrize("value", [-1e9, float("nan"), float("inf"), 1e300, "3", True, [], 10**400])
    def test_what_is_no_price_is_unknown(self, value: Any) -> None:
        assert Usage(cost_usd=value, latency_s=value) == Usage()
        with pytest.raises(SpendingError):
            SpendingLimit(2.5).check(Usage(cost_usd=value) + Usage(cost_usd=3.0, n_calls=1))

    @pytest.mark.parametrize(
        "change",
        [
            {"cost_usd": -1e9},
            {"prompt_tokens": -(10**9), "completion_tokens": -(10**9)},
            {"unpriced_tokens": -(10**9), "uncounted_tokens": -(10**9)},
            {"n_attempts": -5},
            {"n_attempts": 10**30, "cost_usd": -1.0},
            {"cost_usd": "-5"},
        ],
    )
    def test_no_record_lifts_a_budget(self, change: dict[str, Any]) -> None:
        record = json.loads(Elicitation(PriorAnswer.by_hand()).to_json())
        stored = Elicitation.from_json(json.dumps({**record, **change})).usage
        spent = stored + Usage(600, 400, 3.0, n_calls=1)
        for limit in (SpendingLimit(2.5), SpendingLimit(None, 900)):
            with pytest.raises(SpendingError):
                limit.check(spent)

    def test_nor_does_a_note_of_a_failure(self) -> None:
        study = optuna.create_study()
        save_failure(study, 0, "r", usage=Usage(10, 10, 3.0, n_calls=1))
        attributes = study._storage.get_study_system_attrs(study._study_id)
        ((key, text),) = ((k, v) for k, v in attributes.items() if k.startswith("llm_prior_bo:failure"))
        for cost in ("-1e9", "NaN", '"-7"', "1e300"):
            changed = text.replace('"cost_usd": 3.0', f'"cost_usd": {cost}')
            digest = hashlib.sha256(changed.encode()).hexdigest()[:16]
            parts = key.split(":")
            parts[4] = digest
            study._storage.set_study_system_attr(study._study_id, ":".join(parts), changed)
        usage = load_records(study).usage
        assert usage.cost_usd == 3.0
        with pytest.raises(SpendingError):
            SpendingLimit(2.5).check(usage)
