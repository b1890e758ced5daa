from __future__ import annotations

from llm_prior_bo.elicitation import (
    Completion,
    FunctionClient,
    portable_schema,
)
from tests.elicitation.fake_server import FakeServer as FakeServer

MESSAGES = ({"role": "user", "content": "Where?"},)
SCHEMA = portable_schema()


class TestFunctionClient:
    def test_text(self) -> None:
        client = FunctionClient(lambda messages: messages[0]["content"].upper(), model="me")
        assert client.complete(MESSAGES, SCHEMA) == Completion(text="WHERE?", model="me")

    def test_completion(self) -> None:
        completion = Completion(text="here", cost_usd=0.1)
        assert FunctionClient(lambda _: completion).complete(MESSAGES, SCHEMA) is completion
