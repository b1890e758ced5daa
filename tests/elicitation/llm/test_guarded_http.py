"""What a server may do to a client that reads everything and goes everywhere."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from typing import Any

import httpx
import pytest

from llm_prior_bo.elicitation import CompletionError, LiteLLMClient, portable_schema
from llm_prior_bo.elicitation.llm.guarded_http import MAX_ERROR_BYTES, MAX_RESPONSE_BYTES, Guard, ResponseError
from tests.elicitation.fake_server import FakeServer, Reply, completion, serving

MESSAGES = ({"role": "user", "content": "Where?"},)
MODELS = ["openai/anything", "anthropic/anything", "ollama_chat/anything", "groq/anything", "mistral/anything"]
BODY = completion("text")


def ask(server: FakeServer, model: str = "openai/anything", **options: Any) -> Any:
    base = server.url if model.split("/")[0] in ("openai", "groq", "mistral") else server.root
    client = LiteLLMClient(model, api_base=base, api_key="key", timeout=20.0, **options)
    return client.complete(MESSAGES, portable_schema())


class TestRedirects:
    @pytest.mark.parametrize("model", MODELS)
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_to_another_host_are_not_followed(self, server: FakeServer, model: str, status: int) -> None:
        with serving() as other:
            other.always = Reply(body=BODY)
            for address in (other.root, other.root.replace("127.0.0.1", "localhost")):
                server.always = Reply(status, b"{}", {"location": f"{address}/v1/chat/completions"})
                with pytest.raises(CompletionError, match=r"redirected to another host.*give the final address") as e:
                    ask(server, model, extra_headers={"X-Gateway-Key": "planted-secret"})
                assert not e.value.retryable
            assert other.requests == []
            assert other.headers == []

    def test_within_a_host_are(self, server: FakeServer) -> None:
        server.replies = [Reply(307, b"{}", {"location": "/elsewhere"}), Reply(body=BODY)]
        assert ask(server).text == "text"
        assert server.paths == ["/v1/chat/completions", "/elsewhere"]

    @pytest.mark.parametrize(
        "location", ["", "//", "http://[", "http://", "javascript:0", "\x00", "https://127.0.0.1/"]
    )
    def test_to_nowhere(self, server: FakeServer, location: str) -> None:
        server.always = Reply(302, b"{}", {"location": location})
        with pytest.raises(CompletionError):
            ask(server)


class TestSize:
    @pytest.mark.parametrize("model", MODELS)
    def test_too_large_a_response_is_given_up(self, server: FakeServer, model: str) -> None:
        server.always = Reply(body=completion("0" * (MAX_RESPONSE_BYTES + 1)))
        with pytest.raises(CompletionError, match=f"sent more than {MAX_RESPONSE_BYTES:,} bytes") as caught:
            ask(server, model)
        assert caught.value.retryable

    @pytest.mark.parametrize("status", [200, 400, 500])
    def test_a_bomb_is_not_unpacked(self, server: FakeServer, status: int) -> None:
        bomb = gzip.compress(b"0" * 300_000_000)  # of 300 kB
        server.always = Reply(status, bomb, {"content-encoding": "gzip"})
        with pytest.raises(CompletionError, match="sent more than"):
            ask(server)

    @pytest.mark.parametrize("model", MODELS)
    @pytest.mark.parametrize(
        ("status", "content_type"),
        [(400, "application/json"), (503, "text/html"), (200, "text/html"), (200, ""), (200, "text/plain")],
    )
    def test_a_long_complaint_is_given_up(self, server: FakeServer, model: str, status: int, content_type: str) -> None:
        """LiteLLM takes ten seconds for each megabyte of one, and holds up all threads meanwhile."""
        server.always = Reply(status, b"0" * (MAX_ERROR_BYTES + 1), {"content-type": content_type})
        with pytest.raises(CompletionError, match=f"sent more than {MAX_ERROR_BYTES:,} bytes"):
            ask(server, model)

    @pytest.mark.parametrize(
        ("packing", "body"),
        [("gzip", gzip.compress(BODY)), ("deflate", zlib.compress(BODY)), ("X-GZIP", gzip.compress(BODY))],
    )
    def test_packed_answers_are_read(self, server: FakeServer, packing: str, body: bytes) -> None:
        server.always = Reply(body=body, headers={"content-encoding": packing})
        assert ask(server).text == "text"
        headers = {name.lower(): value for name, value in server.headers[0].items()}
        assert headers["accept-encoding"] == "identity"  # though nobody asked for one

    @pytest.mark.parametrize("packing", ["br", "zstd", "gzip, gzip", "gzip", "x" * 500])
    def test_what_cannot_be_unpacked(self, server: FakeServer, packing: str) -> None:
        server.always = Reply(body=BODY, headers={"content-encoding": packing})
        with pytest.raises(CompletionError, match="packed as") as caught:
            ask(server)
        assert len(str(caught.value)) < 300


class TestGuard:
    def test_memory_stays_bounded_whatever_a_chunk_unpacks_to(self) -> None:
        guard = Guard(ends_at=time.monotonic() + 60.0, max_bytes=1_000_000)
        pieces = guard.read(iter([gzip.compress(b"0" * 100_000_000)]), "gzip", guard.max_bytes)
        sizes: list[int] = []
        with pytest.raises(ResponseError):
            sizes.extend(len(piece) for piece in pieces)
        assert max(sizes) <= 65_536

    def test_reading_ends_with_the_time(self) -> None:
        guard = Guard(ends_at=time.monotonic() - 1.0)
        with pytest.raises(ResponseError, match="in time"):
            list(guard.read(iter([b"{"]), "identity", guard.max_bytes))
        assert guard.problem == "did not send its answer in time"

    def test_other_clients_are_left_alone(self) -> None:
        watched, other = httpx.Client(), httpx.Client()
        Guard(ends_at=0.0).watch(watched)
        assert len(watched.event_hooks["response"]) == 1
        assert other.event_hooks == httpx.Client().event_hooks
        assert other.headers == httpx.Client().headers


def test_a_client_can_be_pickled_after_a_request(server: FakeServer) -> None:
    import pickle

    server.always = Reply(body=BODY)
    client = LiteLLMClient("openai/anything", api_base=server.url, api_key="key", timeout=20.0)
    client.complete(MESSAGES, portable_schema())
    assert pickle.loads(pickle.dumps(client)).complete(MESSAGES, portable_schema()).text == "text"


def test_a_client_of_the_users_own_is_taken(server: FakeServer) -> None:
    import openai

    server.always = Reply(body=BODY)
    own = openai.OpenAI(api_key="key", base_url=server.url)
    assert ask(server, client=own).text == "text"
    assert json.dumps(server.requests[0])
    own.close()
