"""What really goes over the wire to each provider: the schema unchanged, one request, our time-out.

The bodies are captured on this machine; LiteLLM builds them as it would for the provider itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from llm_prior_bo.elicitation import CompletionError, LiteLLMClient, LLMElicitor, StudyContext, portable_schema
from tests.elicitation.fake_server import FakeServer, Reply, completion

MESSAGES = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where?"})
SCHEMA = portable_schema()


@dataclass(frozen=True)
class Provider:
    """One provider's way.

    Attributes:
        model: LiteLLM's name of a model.
        base: Path after the server's address that LiteLLM expects in `api_base`.
        path: Path of the request.
        place: Where in the body the schema is.
        json_mode: Where in the body JSON mode is switched on, and how; `None` if the provider has none.
        answer: The provider's form of a completion.
    """

    model: str
    base: str
    path: str
    place: tuple[str | int, ...]
    json_mode: tuple[tuple[str | int, ...], Any] | None
    answer: str = "openai"

    def body(self, text: str) -> bytes:
        """A completion in the provider's form."""
        forms: dict[str, Any] = {
            "anthropic": {
                "id": "1",
                "type": "message",
                "role": "assistant",
                "model": "m-1",
                "content": [{"type": "text", "text": text}],
                "stop_reason": "end_turn",
                "usage": {"input_tokens": 1000, "output_tokens": 500},
            },
            "anthropic tool": {
                "id": "1",
                "type": "message",
                "role": "assistant",
                "model": "m-1",
                "content": [{"type": "tool_use", "id": "t", "name": "json_tool_call", "input": json.loads(text)}],
                "stop_reason": "tool_use",
                "usage": {"input_tokens": 1000, "output_tokens": 500},
            },
            "gemini": {
                "candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 500, "totalTokenCount": 1500},
                "modelVersion": "m-1",
            },
            "ollama": {
                "model": "m-1",
                "created_at": "2026-01-01T00:00:00Z",
                "message": {"role": "assistant", "content": text},
                "done": True,
                "done_reason": "stop",
                "prompt_eval_count": 1000,
                "eval_count": 500,
            },
        }
        return completion(text) if self.answer == "openai" else json.dumps(forms[self.answer]).encode()


OPENAI = ("response_format", "json_schema", "schema")
OPENAI_JSON_MODE = (("response_format",), {"type": "json_object"})
GEMINI = ("generationConfig", "response_json_schema")
GEMINI_JSON_MODE = (("generationConfig", "response_mime_type"), "application/json")
PROVIDERS = [
    Provider("openai/gpt-4o", "/v1", "/v1/chat/completions", OPENAI, OPENAI_JSON_MODE),
    Provider("openai/anything", "/v1", "/v1/chat/completions", OPENAI, OPENAI_JSON_MODE),
    Provider("anthropic/claude-sonnet-4-5", "", "/v1/messages", ("output_format", "schema"), None, "anthropic"),
    # Models from before structured output: LiteLLM forces a tool whose input has the schema.
    Provider(
        "anthropic/claude-3-haiku-20240307", "", "/v1/messages", ("tools", 0, "input_schema"), None, "anthropic tool"
    ),
    Provider(
        "gemini/gemini-2.5-flash", "", "/models/gemini-2.5-flash:generateContent", GEMINI, GEMINI_JSON_MODE, "gemini"
    ),
    Provider("ollama_chat/llama3.1", "", "/api/chat", ("format",), (("format",), "json"), "ollama"),
    Provider("hosted_vllm/qwen", "/v1", "/v1/chat/completions", OPENAI, OPENAI_JSON_MODE),
    Provider("lm_studio/qwen", "/v1", "/v1/chat/completions", OPENAI, OPENAI_JSON_MODE),
]

each_provider = pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.model)


def client(provider: Provider, server: FakeServer, **options: Any) -> LiteLLMClient:
    options = {"api_base": server.root + provider.base, "api_key": "x", "timeout": 60.0, **options}
    return LiteLLMClient(provider.model, **options)


def at(body: Any, place: tuple[str | int, ...]) -> Any:
    for key in place:
        body = body[key]
    return body


@each_provider
def test_the_schema_arrives_unchanged_and_the_answer_comes_back(server: FakeServer, provider: Provider) -> None:
    text = json.dumps({"notes": "here"})
    server.replies.append(Reply(body=provider.body(text)))
    answer = client(provider, server, temperature=0.25).complete(MESSAGES, SCHEMA)
    (body,) = server.requests
    assert server.paths == [provider.path]
    assert at(body, provider.place) == SCHEMA
    assert json.dumps(at(body, provider.place)) == json.dumps(SCHEMA)  # the order too: models answer in it
    assert '"temperature": 0.25' in json.dumps(body)
    assert "max_retries" not in body
    assert json.loads(answer.text) == {"notes": "here"}
    assert (answer.prompt_tokens, answer.completion_tokens) == (1000, 500)


def test_strict_mode_is_asked_for(server: FakeServer) -> None:
    server.replies.append(Reply(body=completion("{}")))
    client(PROVIDERS[0], server).complete(MESSAGES, SCHEMA)
    assert server.requests[0]["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "prior_answer", "strict": True, "schema": SCHEMA},
    }


def test_old_anthropic_models_are_made_to_call_the_tool(server: FakeServer) -> None:
    (provider,) = (provider for provider in PROVIDERS if provider.answer == "anthropic tool")
    server.replies.append(Reply(body=provider.body("{}")))
    client(provider, server).complete(MESSAGES, SCHEMA)
    (body,) = server.requests
    assert [tool["name"] for tool in body["tools"]] == ["json_tool_call"]
    assert body["tool_choice"] == {"type": "tool", "name": "json_tool_call"}


@each_provider
@pytest.mark.parametrize("n_steps", [1, 2])
def test_less_strict_forms_have_the_schema_in_the_prompt(server: FakeServer, provider: Provider, n_steps: int) -> None:
    server.replies.append(Reply(body=provider.body("{}")))
    client(provider, server).complete_leniently(MESSAGES, SCHEMA, n_steps=n_steps)
    (body,) = server.requests
    assert json.dumps(SCHEMA) not in json.dumps(body)  # nowhere as what a server enforces
    assert "tools" not in body
    in_words = json.dumps(json.dumps(SCHEMA, separators=(",", ":")), ensure_ascii=False)[1:-1]
    assert json.dumps(body, ensure_ascii=False).count(in_words) == 1
    if provider.json_mode is not None:
        place, value = provider.json_mode
        if n_steps == 1:
            assert at(body, place) == value
        else:
            with pytest.raises(LookupError):
                at(body, place)


@each_provider
@pytest.mark.parametrize("status", [400, 429, 500])
def test_a_failure_is_one_request(server: FakeServer, provider: Provider, status: int) -> None:
    server.always = Reply(status, b'{"error": {"message": "no", "type": "t"}}', {"retry-after": "7"})
    with pytest.raises(CompletionError) as caught:
        client(provider, server).complete(MESSAGES, SCHEMA)
    assert len(server.requests) == 1
    assert caught.value.retryable == (status != 400)
    assert caught.value.retry_after == 7.0


@each_provider
def test_the_time_out_is_kept(server: FakeServer, provider: Provider) -> None:
    server.always = Reply(body=provider.body("{}"), after_s=60.0)  # or until the test ends
    with pytest.raises(CompletionError, match=r"did not answer within 2 s") as caught:
        client(provider, server, timeout=2.0).complete(MESSAGES, SCHEMA)
    assert len(server.requests) == 1
    assert caught.value.retryable


@each_provider
def test_retries_are_ours(
    server: FakeServer, provider: Provider, context: StudyContext, answer: dict[str, Any]
) -> None:
    bad = Reply(503, b'{"error": {"message": "busy", "type": "t"}}')
    server.replies += [bad, bad, Reply(body=provider.body(json.dumps(answer)))]
    waits: list[float] = []
    options: dict[str, Any] = {"api_base": server.root + provider.base, "api_key": "x", "timeout": 60.0}
    elicitation = LLMElicitor(provider.model, sleep=waits.append, max_retries=2, **options).elicit(context)
    assert (elicitation.n_attempts, len(server.requests), len(waits)) == (3, 3, 2)
    assert elicitation.repairs == ()
