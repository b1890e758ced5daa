"""LiteLLM against a server of our own on this machine: real HTTP, real LiteLLM, no model."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from llm_prior_bo.elicitation import (
    Completion,
    CompletionError,
    LiteLLMClient,
    LLMElicitor,
    PriorAnswer,
    StudyContext,
    UnansweredError,
    portable_schema,
    render_prompt,
)
from llm_prior_bo.elicitation.llm.litellm_client import GRACE_SECONDS
from llm_prior_bo.errors import ConfigurationError
from tests.elicitation.fake_server import FakeServer, Reply, completion, wait_until

MESSAGES = ({"role": "user", "content": "Where?"},)
SCHEMA = portable_schema()
KEY = "sk-abcdef1234567890"

Client = Callable[..., LiteLLMClient]


@pytest.fixture
def client(server: FakeServer) -> Client:
    def make(model: str = "openai/anything", **options: Any) -> LiteLLMClient:
        return LiteLLMClient(model, **{"timeout": 60.0, "api_base": server.url, "api_key": "x", **options})

    return make


class TestRequest:
    def test_asks_for_structured_output_once(self, server: FakeServer, client: Client) -> None:
        server.answer("{}")
        client(temperature=0.25).complete(MESSAGES, SCHEMA)
        (request,) = server.requests
        assert request["messages"] == list(MESSAGES)
        assert request["temperature"] == 0.25
        assert request["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "prior_answer", "strict": True, "schema": SCHEMA},
        }

    def test_leaves_its_arguments_alone(self, server: FakeServer, client: Client) -> None:
        server.answer("{}")
        messages, schema = ({"role": "user", "content": "Where?"},), portable_schema()
        client().complete(messages, schema)
        assert messages == MESSAGES
        assert schema == SCHEMA

    def test_drops_the_schema_where_it_is_refused_and_remembers(self, server: FakeServer, client: Client) -> None:
        server.fail(400, "'response_format' of type json_schema is not supported")
        server.fail(400, "json_object mode is not supported")
        server.answer("{}")
        server.answer("{}")
        model = client()
        model.complete(MESSAGES, SCHEMA)
        model.complete(MESSAGES, SCHEMA)
        formats = [request.get("response_format", {}).get("type") for request in server.requests]
        assert formats == ["json_schema", "json_object", None, None]
        words = json.dumps(SCHEMA, separators=(",", ":"))
        assert [request["messages"][-1]["content"].endswith(words) for request in server.requests] == [False] + [
            True
        ] * 3
        assert all(request["messages"][-1]["content"].startswith("Where?") for request in server.requests)

    def test_drops_the_temperature_where_it_is_refused(self, server: FakeServer, client: Client) -> None:
        server.fail(400, "Unsupported value: 'temperature' does not support 0.3, only the default (1)")
        server.answer("{}")
        client().complete(MESSAGES, SCHEMA)
        assert [request.get("temperature") for request in server.requests] == [0.3, None]
        assert all("response_format" in request for request in server.requests)

    def test_gives_up_when_there_is_nothing_to_drop(self, server: FakeServer, client: Client) -> None:
        for _ in range(3):
            server.fail(400, "response_format is wrong")
        with pytest.raises(CompletionError, match="refused the request as malformed"):
            client().complete(MESSAGES, SCHEMA)
        assert len(server.requests) == 3


class TestCompletion:
    def test_fields(self, server: FakeServer, client: Client) -> None:
        server.answer("text", finish_reason="length")
        assert client().complete(MESSAGES, SCHEMA) == Completion(
            text="text", model="m-1", prompt_tokens=1000, completion_tokens=500, cost_usd=None, finish_reason="length"
        )

    def test_cost_of_a_model_with_a_known_price(self, server: FakeServer, client: Client) -> None:
        server.answer("text")
        completion = client("openai/gpt-4o-mini").complete(MESSAGES, SCHEMA)
        assert completion.cost_usd == pytest.approx(0.00045)

    def test_refusal(self, server: FakeServer, client: Client) -> None:
        server.answer(None, refusal="I cannot help with that.")
        completion = client().complete(MESSAGES, SCHEMA)
        assert (completion.text, completion.refusal) == ("", "I cannot help with that.")

    def test_response_without_choices(self, server: FakeServer, client: Client) -> None:
        server.reply(200, {"id": "1", "object": "chat.completion", "created": 1, "model": "m-1", "choices": []})
        with pytest.raises(CompletionError):
            client().complete(MESSAGES, SCHEMA)


FAILURES = [
    (429, "slow down", None, True, "too many requests"),
    (429, "You exceeded your current quota", "insufficient_quota", False, "billing"),
    (500, "boom", None, True, "server's side"),
    (503, "overloaded", None, True, "server's side"),
    (401, f"Incorrect API key provided: {KEY}", None, False, "check the value of the key"),
    (403, "forbidden", None, False, "check the value of the key"),
    (402, "pay", None, False, "billing"),
    (404, "model does not exist", None, False, "'provider/model'"),
    (408, "slow", None, True, "raise timeout"),
    (400, "maximum context length is 4096 tokens", None, False, "max_context_trials"),
    (400, "no", None, False, "malformed"),
]


class TestFailure:
    @pytest.mark.parametrize(("status", "message", "code", "retryable", "advice"), FAILURES)
    def test_says_what_to_do(
        self, server: FakeServer, client: Client, status: int, message: str, code: str, retryable: bool, advice: str
    ) -> None:
        server.fail(status, message, code)
        with pytest.raises(CompletionError, match=f"openai/anything .*{advice}") as caught:
            client().complete(MESSAGES, SCHEMA)
        assert caught.value.retryable is retryable
        assert caught.value.retry_after is None
        # Whoever walks the chain would find the unredacted original.
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        assert len(server.requests) == 1
        assert KEY not in str(caught.value)

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            ("2", 2.0),
            ("0.5", 0.5),
            ("Wed, 21 Oct 2026 07:28:30 GMT", 30.0),
            ("Wed, 21 Oct 2026 07:27:00 GMT", 0.0),
            ("Wednesday", None),
            ("-1", None),
            ("inf", None),
        ],
    )
    def test_retry_after(self, server: FakeServer, client: Client, header: str, seconds: float | None) -> None:
        body = b'{"error": {"message": "slow down"}}'
        date = "Wed, 21 Oct 2026 07:28:00 GMT"
        # Without the server's own remark of the time, of which there may be one only.
        lines = [f"retry-after: {header}", f"date: {date}", "content-type: application/json", "connection: close"]
        head = "\r\n".join(["HTTP/1.1 429 Too Many Requests", *lines, f"content-length: {len(body)}", "", ""])
        server.replies.append(Reply(raw=head.encode() + body))
        with pytest.raises(CompletionError) as caught:
            client().complete(MESSAGES, SCHEMA)
        assert caught.value.retry_after == seconds

    def test_retry_after_by_this_machines_clock(self, server: FakeServer, client: Client) -> None:
        body = b"{}"
        lines = ["retry-after: Wed, 21 Oct 2015 07:28:30 GMT", "connection: close", f"content-length: {len(body)}"]
        head = "\r\n".join(["HTTP/1.1 503 Busy", *lines, "", ""])
        server.replies.append(Reply(raw=head.encode() + body))
        with pytest.raises(CompletionError) as caught:
            client().complete(MESSAGES, SCHEMA)
        assert caught.value.retry_after == 0.0

    def test_an_answer_bit_by_bit_is_given_up(self, server: FakeServer, client: Client) -> None:
        server.replies.append(Reply(body=completion("{}" * 1000), drip_s=0.05))
        started = time.monotonic()
        with pytest.raises(CompletionError, match=r"did not answer within 0\.3 s") as caught:
            client(timeout=0.3).complete(MESSAGES, SCHEMA)
        assert caught.value.retryable
        assert time.monotonic() - started < 0.3 + GRACE_SECONDS + 60.0  # two minutes, if it were read to its end
        assert wait_until(lambda: all(t.name != "llm_prior_bo-request" for t in threading.enumerate()))

    def test_time_out(self, server: FakeServer, client: Client) -> None:
        server.reply(200, {}, after_s=60.0)  # or until the test ends
        with pytest.raises(CompletionError, match=r"within 0.2 s; raise timeout") as caught:
            client(timeout=0.2).complete(MESSAGES, SCHEMA)
        assert caught.value.retryable

    @pytest.mark.parametrize("model", ["openai/anything", "ollama_chat/llama3.1"])
    def test_refused_connection(self, client: Client, model: str) -> None:
        with pytest.raises(CompletionError, match=r"cannot be reached; .*api_base") as caught:
            client(model, api_base="http://127.0.0.1:9").complete(MESSAGES, SCHEMA)
        assert caught.value.retryable

    @pytest.mark.parametrize(
        ("model", "variable"),
        [
            ("gpt-4o", "OPENAI_API_KEY"),
            ("anthropic/claude-sonnet-4-5", "ANTHROPIC_API_KEY"),
            ("gemini/gemini-2.5-flash", "GEMINI_API_KEY"),
        ],
    )
    def test_missing_key(self, monkeypatch: pytest.MonkeyPatch, model: str, variable: str) -> None:
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(CompletionError, match=f"{model} has no API key; set .*{variable}") as caught:
            LiteLLMClient(model, timeout=60.0).complete(MESSAGES, SCHEMA)
        assert not caught.value.retryable

    def test_missing_key_of_an_unknown_provider(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def completion(**_: Any) -> None:
            raise ValueError("The api_key client option must be set")

        monkeypatch.setitem(sys.modules, "litellm", SimpleNamespace(completion=completion))  # without its tables
        with pytest.raises(CompletionError, match=r"set the provider's key variable \(e\.g\. OPENAI_API_KEY\)"):
            LiteLLMClient("new/model").complete(MESSAGES, SCHEMA)

    def test_unknown_provider(self) -> None:
        with pytest.raises(CompletionError, match="nonsense is not known under this name"):
            LiteLLMClient("nonsense").complete(MESSAGES, SCHEMA)

    def test_litellm_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "litellm", None)
        with pytest.raises(CompletionError, match=r"pip install 'litellm>=1\.100'") as caught:
            LiteLLMClient("gpt-4o").complete(MESSAGES, SCHEMA)
        assert not caught.value.retryable

    def test_an_unexpected_exception_is_not_retried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def completion(**_: Any) -> None:
            raise TypeError("strange " * 1_000)

        monkeypatch.setitem(sys.modules, "litellm", SimpleNamespace(completion=completion))
        with pytest.raises(CompletionError, match=r"gpt-4o failed with TypeError.*strange") as caught:
            LiteLLMClient("gpt-4o").complete(MESSAGES, SCHEMA)
        assert not caught.value.retryable
        assert len(str(caught.value)) < 1_000

    def test_a_given_key_is_masked_whatever_its_form(self, server: FakeServer, client: Client) -> None:
        server.fail(401, "the key correct-horse is wrong")
        model = client(api_key="correct-horse")
        with pytest.raises(CompletionError, match=r"the key \[redacted\] is wrong") as caught:
            model.complete(MESSAGES, SCHEMA)
        assert "correct-horse" not in repr(model) + str(caught.value)

    def test_nothing_is_printed(
        self, server: FakeServer, client: Client, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        server.fail(401, f"Incorrect API key provided: {KEY}")
        with pytest.raises(CompletionError):
            client().complete(MESSAGES, SCHEMA)
        out, err = capfd.readouterr()
        assert out == ""
        assert KEY not in err + caplog.text


@pytest.mark.parametrize(("model", "timeout"), [("", 30.0), ("  ", 30.0), ("gpt-4o", 0.0), ("gpt-4o", float("nan"))])
def test_bad_arguments(model: str, timeout: float) -> None:
    with pytest.raises(ConfigurationError, match="Expected"):
        LiteLLMClient(model, timeout=timeout)


class TestElicitorOverHTTP:
    """From a study's context to a usable answer, through everything that a server may do."""

    def elicitor(self, server: FakeServer, waits: list[float], **options: Any) -> LLMElicitor:
        options = {"api_base": server.url, "api_key": "x", "timeout": 60.0, "sleep": waits.append, **options}
        return LLMElicitor("openai/anything", **options)

    def test_rate_limit_then_success(self, server: FakeServer, context: StudyContext, answer: dict[str, Any]) -> None:
        server.fail(429, "slow down", retry_after="7")
        server.fail(503, "overloaded")
        server.answer(json.dumps(answer))
        waits: list[float] = []
        elicitation = self.elicitor(server, waits).elicit(context)
        assert waits[0] == 7.0
        assert 1.0 <= waits[1] <= 2.0
        assert elicitation.n_attempts == 3
        assert (elicitation.prompt_tokens, elicitation.completion_tokens, elicitation.cost_usd) == (1000, 500, None)
        assert elicitation.model == "m-1"
        assert elicitation.repairs == ()

    @pytest.mark.parametrize(
        ("bad", "finish_reason", "complaint"),
        [
            (None, "stop", "empty"),
            ("", "stop", "empty"),
            ("I think that 0.01 is good.", "stop", "text without one"),
            ('{"notes": "", "regions": [{"region": 1,', "length", "broken off because it was too long"),
            ('{"learning_rate": 0.01, "dropout": 0.1}', "stop", "fields dropout, learning_rate"),
            ('{"numeric": "high"}', "stop", "'numeric' to be a list"),
            (
                '{"regions": [{"region": 1, "label": "", "weight": 1}], "numeric": [{"region": 1, '
                '"parameter": "dropout", "best": NaN, "low": NaN, "high": NaN}], "confidence": NaN}',
                "stop",
                "three finite numbers",
            ),
            (
                '{"numeric": [{"region": 1, "parameter": "eta", "best": 1, "low": 0, "high": 2}]}',
                "stop",
                "got beliefs about 'eta'",
            ),
        ],
    )
    def test_bad_answer_is_sent_back(
        self,
        server: FakeServer,
        context: StudyContext,
        answer: dict[str, Any],
        bad: str | None,
        finish_reason: str,
        complaint: str,
    ) -> None:
        server.answer(bad, finish_reason=finish_reason)
        server.answer(f"```json\n{json.dumps(answer)}\n```")
        elicitation = self.elicitor(server, []).elicit(context)
        assert elicitation.n_attempts == 2
        assert (elicitation.prompt_tokens, elicitation.completion_tokens) == (2000, 1000)
        first, second = (request["messages"] for request in server.requests)
        assert second[: len(first)] == first
        assert [message["role"] for message in second[len(first) :]] == ["assistant", "user"]
        assert complaint in second[-1]["content"]

    def test_refusals_only(self, server: FakeServer, context: StudyContext) -> None:
        for _ in range(2):
            server.answer(None, refusal="I cannot help with that.")
        with pytest.raises(UnansweredError, match=r"2 attempts.*refusal: I cannot help") as caught:
            self.elicitor(server, [], max_retries=1).elicit(context)
        assert caught.value.usage.prompt_tokens == 2000

    def test_time_outs_only(self, server: FakeServer, context: StudyContext) -> None:
        for _ in range(2):
            server.reply(200, {}, after_s=60.0)  # or until the test ends
        waits: list[float] = []
        with pytest.raises(UnansweredError, match=r"0.1 s.*attempt 2"):
            self.elicitor(server, waits, max_retries=1, timeout=0.1).elicit(context)
        assert len(waits) == 1
        assert 0.5 <= waits[0] <= 1.0

    @pytest.mark.parametrize(
        ("first", "finish_reason", "second_format"),
        [
            ("Let me think about it.", "stop", "json_object"),
            ('{"learning_rate": 0.01}', "stop", "json_object"),
            ("", "stop", "json_object"),
            # The schema was kept, or would have been: no reason to give it up.
            ('{"notes": "", "regions": [{"region": 1,', "length", "json_schema"),
            (PriorAnswer.by_hand(numeric={"eta": (1, 0, 2)}).model_dump_json(), "stop", "json_schema"),
        ],
    )
    def test_a_server_that_ignores_the_schema_is_asked_in_words(
        self,
        server: FakeServer,
        context: StudyContext,
        answer: dict[str, Any],
        first: str,
        finish_reason: str,
        second_format: str,
    ) -> None:
        server.answer(first, finish_reason=finish_reason)
        server.answer(json.dumps(answer))
        elicitation = self.elicitor(server, []).elicit(context)
        assert [request["response_format"]["type"] for request in server.requests] == ["json_schema", second_format]
        in_words = json.dumps(SCHEMA, separators=(",", ":")) in server.requests[1]["messages"][-1]["content"]
        assert in_words == (second_format == "json_object")
        assert elicitation.messages == render_prompt(context)

    def test_down_to_plain_text_and_back_for_the_next_question(
        self, server: FakeServer, context: StudyContext, answer: dict[str, Any]
    ) -> None:
        for content in ("no", "no", "no", json.dumps(answer), json.dumps(answer)):
            server.answer(content)
        elicitor = self.elicitor(server, [])
        elicitor.elicit(context)
        elicitor.elicit(context)
        formats = [request.get("response_format", {}).get("type") for request in server.requests]
        assert formats == ["json_schema", "json_object", None, None, "json_schema"]
