"""An error is read by what it says: asked again, asked more plainly, or given up with what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from llm_prior_bo.elicitation import CompletionError, LiteLLMClient, LLMElicitor, StudyContext, portable_schema
from llm_prior_bo.errors import ElicitationWarning
from tests.elicitation.fake_server import FakeServer, Reply, completion

MESSAGES = ({"role": "system", "content": "You advise."}, {"role": "user", "content": "Where?"})
SCHEMA = portable_schema()


def client(server: FakeServer, **options: Any) -> LiteLLMClient:
    return LiteLLMClient("openai/anything", api_base=server.url, api_key="key", **{"timeout": 20.0, **options})


def refusing(status: int, body: dict[str, Any], has: Callable[[dict[str, Any]], bool]) -> Callable[[Any], Reply]:
    """A server that refuses all requests that have something."""

    def reply(request: dict[str, Any]) -> Reply:
        return Reply(status, json.dumps(body).encode()) if has(request) else Reply(body=completion("{}"))

    return reply


def openai_error(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": code, "param": None}}


FAILED_GENERATIONS = [
    (400, openai_error("The model did not produce valid JSON for this request.", "json_validate_failed")),
    (400, openai_error("Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more.")),
    (400, openai_error("Failed to validate JSON. Please adjust your prompt.", "json_validate_failed")),
    (400, openai_error("Generated JSON does not match the expected schema.", "json_validate_failed")),
    (400, openai_error("Failed to call a function.", "tool_use_failed")),
    (400, openai_error("Parsing failed. The model generated output that could not be parsed.", "output_parse_failed")),
    (422, {"detail": "Model output is not valid JSON"}),
    (400, {"message": "Failed to parse model output", "type": "bad_request"}),
    (400, openai_error("Failed to parse the model's output as JSON")),
]

OTHER_WORDINGS: list[tuple[int, str, str | None]] = [
    (400, "This model does not support tool/JSON-schema constrained decoding", None),
    (400, "messages[0].role: Input should be 'user' or 'assistant'", None),
    (400, "The first message must be from the user", None),
    (400, "Your request was flagged as unsafe by our safety checker", "content filter"),
    (400, "Output blocked by content filtering policy", "content filter"),
    (400, "Input length 9000 exceeds the maximum allowed length 4096", "prompt of this length"),
    (413, "Payload too large", "prompt of this length"),
    (413, "Request too large for model: tokens per minute (TPM): Limit 6000, Requested 9000", "prompt of this length"),
]
"""Status, what the server says, and what the user is told; `None`: nothing, for it is asked in another way."""


class TestOtherWordings:
    @pytest.mark.parametrize(("status", "message", "advice"), OTHER_WORDINGS)
    def test_mean_the_same(self, server: FakeServer, status: int, message: str, advice: str | None) -> None:
        server.replies = [Reply(status, json.dumps(openai_error(message)).encode()), Reply(body=completion("{}"))]
        if advice is None:
            assert client(server).complete(MESSAGES, SCHEMA).text == "{}"
            return
        with pytest.raises(CompletionError, match=advice) as told:
            client(server).complete(MESSAGES, SCHEMA)
        assert not told.value.retryable

    @pytest.mark.parametrize("usage", [[1], "none", {"prompt_tokens": "x", "completion_tokens": 1, "total_tokens": 1}])
    def test_a_response_of_other_types_is_no_content_filter(self, server: FakeServer, usage: object) -> None:
        """LiteLLM's text about it lists fields of a class and a traceback, with `moderation` among the words."""
        server.always = Reply(body=completion("{}", usage=usage))
        with pytest.raises(CompletionError, match="sent a response that cannot be read") as told:
            client(server).complete(MESSAGES, SCHEMA)
        assert told.value.retryable


class TestFailedGeneration:
    @pytest.mark.parametrize(("status", "body"), FAILED_GENERATIONS)
    def test_is_asked_again(
        self, server: FakeServer, context: StudyContext, answer: dict[str, Any], status: int, body: dict[str, Any]
    ) -> None:
        server.replies = [Reply(status, json.dumps(body).encode()), Reply(body=completion(json.dumps(answer)))]
        elicitor = LLMElicitor(
            "openai/anything", api_base=server.url, api_key="key", timeout=20.0, sleep=lambda _: None
        )
        assert elicitor.elicit(context).n_attempts == 2
        first, second = (request["response_format"]["type"] for request in server.requests)
        assert (first, second) == ("json_schema", "json_object")  # whose check of its own may be what fails

    def test_every_time(self, server: FakeServer) -> None:
        server.always = Reply(*_sent(FAILED_GENERATIONS[0]))
        with pytest.raises(CompletionError, match="did not finish its answer: the server reports") as caught:
            client(server).complete(MESSAGES, SCHEMA)
        assert caught.value.retryable
        assert caught.value.failed_generation


def _sent(fault: tuple[int, dict[str, Any]]) -> tuple[int, bytes]:
    return fault[0], json.dumps(fault[1]).encode()


NO_SYSTEM_ROLE = [
    (400, {"object": "error", "message": "System role is not supported by this model's template"}),
    (400, {"object": "error", "message": "System role not supported", "type": "BadRequestError", "code": 400}),
    (400, openai_error("Developer instruction is not enabled for models/gemma-3-27b-it")),
    (400, openai_error("Conversation roles must alternate user/assistant/user/assistant/...")),
    (400, openai_error("Only user and assistant roles are supported!")),
    (400, openai_error("Unsupported value: 'messages[0].role' does not support 'system' with this model.")),
    (400, openai_error("This model doesn't support system messages. Try again without system messages.")),
    (422, {"detail": [{"loc": ["body", "messages", 0, "role"], "msg": "unexpected value; system is not permitted"}]}),
    (500, openai_error("Jinja Exception: System role not supported")),
]


@pytest.mark.parametrize("fault", NO_SYSTEM_ROLE)
def test_without_a_system_role_its_text_goes_before_the_users(
    server: FakeServer, fault: tuple[int, dict[str, Any]]
) -> None:
    server.always = refusing(*fault, lambda request: any(m["role"] == "system" for m in request["messages"]))
    model = client(server)
    for _ in range(2):
        model.complete(MESSAGES, SCHEMA)
    assert len(server.requests) <= 4  # remembered for the second; LiteLLM puts one request twice of its own accord
    assert server.requests[-1]["messages"] == [{"role": "user", "content": "You advise.\n\nWhere?"}]
    assert server.requests[-1]["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize(
    ("field", "options", "message"),
    [
        ("temperature", {}, "Unsupported value: 'temperature' does not support 0.3 with this model."),
        ("temperature", {}, "`temperature` is deprecated for this model."),
        ("temperature", {}, "property 'temperature' is unsupported"),
        ("temperature", {}, "temperature: Extra inputs are not permitted"),
        ("response_format", {}, "Unrecognized request argument supplied: response_format"),
        ("response_format", {}, "'response_format' of type json_schema is not supported"),
        ("response_format", {}, "Unknown field: response_format"),
        ("response_format", {}, "body.response_format: extra fields not permitted"),
        ("response_format", {}, "This model does not support structured outputs."),
        ("response_format", {}, "Invalid schema for response_format: 'additionalProperties' is not supported"),
        ("response_format", {}, "strict is not a valid property"),
        ("response_format", {}, "Extra inputs are not permitted"),  # whichever that is
        ("top_p", {"top_p": 0.5}, "Unknown parameter: 'top_p'."),
        ("top_p", {"top_p": 0.5}, "temperatures and `top_p` cannot both be specified, top_p is invalid"),
        ("seed", {"seed": 3}, "property 'seed' is unsupported"),
        ("frequency_penalty", {"frequency_penalty": 0.1}, "frequency_penalty is not supported by this model"),
        ("max_tokens", {"max_tokens": 900}, "'max_tokens' is not supported. Use 'max_completion_tokens' instead."),
        ("mood", {"extra_body": {"mood": "good", "rest": 1}}, "Unrecognized request argument supplied: mood"),
    ],
)
@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.filterwarnings("ignore:openai/anything does not take the option")
def test_a_field_that_is_refused_is_dropped(
    server: FakeServer, field: str, options: dict[str, Any], message: str, status: int
) -> None:
    server.always = refusing(status, openai_error(message), lambda request: field in request)
    model = client(server, **options)
    for _ in range(2):
        model.complete(MESSAGES, SCHEMA)
    last = server.requests[-1]
    assert field not in last
    assert len(server.requests) <= 5
    assert [m["content"].split("\n")[0] for m in last["messages"]] == ["You advise.", "Where?"]
    if field == "max_tokens":
        assert last["max_completion_tokens"] == 900
    if field == "mood":
        assert last["rest"] == 1


def test_an_option_of_the_users_is_not_dropped_in_silence(server: FakeServer) -> None:
    server.always = refusing(400, openai_error("Unknown parameter: 'top_p'."), lambda request: "top_p" in request)
    with pytest.warns(ElicitationWarning, match="does not take the option top_p=; it is asked without it"):
        client(server, top_p=0.5).complete(MESSAGES, SCHEMA)


def test_everything_that_can_be_dropped_is_dropped_before_it_ends(server: FakeServer) -> None:
    server.always = Reply(400, json.dumps(openai_error("Unknown field.")).encode())
    with pytest.raises(CompletionError, match="malformed"):
        client(server).complete(MESSAGES, SCHEMA)
    asked = [(request.get("response_format", {}).get("type"), "temperature" in request) for request in server.requests]
    assert asked == [("json_schema", True), ("json_object", True), (None, True), (None, False)]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, openai_error("The response was filtered", "content_filter")),
        (400, openai_error("triggering Azure OpenAI's content management policy. Please modify your prompt")),
        (400, openai_error("Input data may contain inappropriate content.", "data_inspection_failed")),
        (400, openai_error("Your request was rejected as a result of our safety system.")),
        (400, openai_error("Invalid prompt: flagged as potentially violating our usage policy.", "invalid_prompt")),
        (403, openai_error("blocked by content policy")),
        (422, {"detail": "PROHIBITED_CONTENT"}),
    ],
)
def test_a_content_filter_is_called_by_its_name(server: FakeServer, status: int, body: dict[str, Any]) -> None:
    server.always = Reply(status, json.dumps(body).encode())
    with pytest.raises(CompletionError, match=r"because of the provider's content filter; word .* differently") as e:
        client(server).complete(MESSAGES, SCHEMA)
    assert not e.value.retryable
    assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b"{}", b'{"choices": []}', b'{"choices": null}'])
def test_a_response_without_choices_is_no_content_filter(server: FakeServer, body: bytes) -> None:
    server.always = Reply(body=body)
    with pytest.raises(CompletionError) as caught:
        client(server).complete(MESSAGES, SCHEMA)
    assert "content filter" not in str(caught.value)
    assert caught.value.retryable


def test_a_content_filter_that_leaves_nothing_of_an_answer(server: FakeServer, context: StudyContext) -> None:
    server.always = Reply(body=completion(None, finish_reason="content_filter"))
    elicitor = LLMElicitor("openai/anything", api_base=server.url, api_key="key", timeout=20.0, max_retries=0)
    with pytest.raises(Exception, match="content filter withheld it"):
        elicitor.elicit(context)


@pytest.mark.parametrize(
    ("status", "message", "told", "retryable"),
    [
        (400, "API key not valid. Please pass a valid API key.", "a key that the provider refuses", False),
        (400, "The model `x` does not exist", "malformed", False),
        (400, "model_not_found", "not known under this name", False),
        (400, "prompt is too long: 210000 tokens > 200000 maximum", "cannot take a prompt of this length", False),
        (400, "Your credit balance is too low", "no credit left", False),
        (400, "The engine is currently overloaded, please try again later", "fault on the server's side", True),
        (400, "something else", "malformed", False),
        (418, "teapot", "openai/anything", False),
    ],
)
def test_other_words(server: FakeServer, status: int, message: str, told: str, retryable: bool) -> None:
    server.always = Reply(status, json.dumps(openai_error(message)).encode())
    with pytest.raises(CompletionError, match=told) as caught:
        client(server).complete(MESSAGES, SCHEMA)
    assert caught.value.retryable is retryable
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 404, 418, 422, 500, 503])
@pytest.mark.parametrize(
    "body", [b'{"detail": "the gate is shut"}', b'{"error": "the gate is shut"}', b"the gate is shut"]
)
def test_what_a_server_says_in_a_form_of_its_own_is_told(server: FakeServer, status: int, body: bytes) -> None:
    server.always = Reply(status, body)
    with pytest.raises(CompletionError, match="the gate is shut"):
        client(server).complete(MESSAGES, SCHEMA)


def test_an_error_of_any_length_is_told_in_short(server: FakeServer) -> None:
    server.always = Reply(400, json.dumps(openai_error("no " * 1_000_000)).encode())
    with pytest.raises(CompletionError) as caught:
        client(server).complete(MESSAGES, SCHEMA)
    assert len(str(caught.value)) < 1_000
