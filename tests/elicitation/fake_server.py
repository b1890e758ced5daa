"""A server on this machine that speaks like OpenAI's, or misbehaves in every way that a server can."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Reply:
    """What the server does with one request.

    Attributes:
        status: HTTP status.
        body: The body as it goes over the wire.
        headers: Further headers; an empty value leaves one out.
        after_s: Seconds before anything is sent.
        drip_s: Seconds between two bytes of the body; 0 sends it at once.
        raw: Sent instead of an HTTP response.
        reset: Reset the connection instead of an answer.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    drip_s: float = 0.0
    raw: bytes | None = None
    reset: bool = False


def completion(content: str | None, *, finish_reason: str = "stop", usage: Any = None, **message: Any) -> bytes:
    """The body of a chat completion."""
    message = {"role": "assistant", "content": content, **message}
    counted = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
    body = {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m-1",
        "choices": [{"index": 0, "finish_reason": finish_reason, "message": message}],
        "usage": counted if usage is None else usage,
    }
    return json.dumps({k: v for k, v in body.items() if v != {}}).encode()


class FakeServer:
    """Hands out the replies that a test has queued, then the one it gives always; keeps the requests."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.always: Reply | Callable[[dict[str, Any]], Reply] | None = None
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.stopped = threading.Event()
        handler = type("Handler", (_Handler,), {"fake": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}"

    @property
    def url(self) -> str:
        return f"{self.root}/v1"

    def close(self) -> None:
        self.stopped.set()
        self.http.shutdown()
        self.http.server_close()

    def reply(self, status: int, body: Any, *, headers: dict[str, str] | None = None, after_s: float = 0.0) -> None:
        self.replies.append(Reply(status, json.dumps(body).encode(), headers or {}, after_s))

    def fail(self, status: int, message: str = "no", code: str | None = None, **headers: str) -> None:
        self.reply(status, {"error": {"message": message, "type": "t", "code": code}}, headers=headers)

    def answer(self, content: str | None, *, finish_reason: str = "stop", **message: Any) -> None:
        self.replies.append(Reply(body=completion(content, finish_reason=finish_reason, **message)))

    def next_reply(self, request: dict[str, Any]) -> Reply:
        if self.replies or self.always is None:
            return self.replies.pop(0)
        return self.always(request) if callable(self.always) else self.always


class _Handler(BaseHTTPRequestHandler):
    fake: FakeServer

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.fake.requests.append(request)
        self.fake.paths.append(self.path)
        self.fake.headers.append(dict(self.headers))
        reply = self.fake.next_reply(request)
        self.fake.stopped.wait(reply.after_s)
        with contextlib.suppress(OSError):  # the client may have given up
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        self.close_connection = True
        if reply.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif reply.raw is not None:
            self.wfile.write(reply.raw)
        else:
            self.send_response(reply.status)
            headers = {"content-type": "application/json", "content-length": str(len(reply.body)), **reply.headers}
            for name, value in headers.items():
                if value:
                    self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            for piece in self._pieces(reply):
                self.wfile.write(piece)
                self.wfile.flush()

    def _pieces(self, reply: Reply) -> Iterator[bytes]:
        if not reply.drip_s:
            yield reply.body
            return
        for i in range(len(reply.body)):
            if self.fake.stopped.wait(reply.drip_s):
                return
            yield reply.body[i : i + 1]

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving() -> Iterator[FakeServer]:
    """A server for the time of a test."""
    fake = FakeServer()
    try:
        yield fake
    finally:
        fake.close()


def wait_until(condition: Callable[[], bool], *, seconds: float = 60.0) -> bool:
    """Whether a condition comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
