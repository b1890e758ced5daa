"""HTTP for one request: no redirects to other hosts, a bounded answer, and an end in time.

LiteLLM and the clients below it follow redirects with all headers but one, read answers of any size, and unpack them
first. Their time-outs are for one piece of the answer. What is set here holds for one client of our own, never for the
process: other users of these libraries see nothing of it.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llm_prior_bo._cached_property import cached_property

if TYPE_CHECKING:
    import httpx

MAX_RESPONSE_BYTES = 16_000_000
"""Most bytes of a response, unpacked. An answer has a few thousand; a long text of a reasoning model has a million."""

MAX_ERROR_BYTES = 100_000
"""Most bytes of an error, or of what is no JSON. LiteLLM searches the text of an error for keys, ten seconds for each
megabyte, in which no other thread of the process goes on."""

_PACKINGS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


class ResponseError(Exception):
    """A response was given up on while it was read."""


@dataclass
class Guard:
    """Watches the responses of one client.

    Args:
        ends_at: When reading ends, by `time.monotonic`.
        max_bytes: Most bytes of a response, unpacked; an error has `MAX_ERROR_BYTES` at most.
    """

    ends_at: float
    max_bytes: int = MAX_RESPONSE_BYTES
    problem: str = field(default="", init=False)
    """What a response was given up for: the libraries on the way say "Connection error" of everything."""
    retryable: bool = field(default=True, init=False)
    """Whether the same request may succeed later."""
    is_late: bool = field(default=False, init=False)
    """Whether it was given up because the time was over."""

    def watch(self, client: httpx.Client) -> None:
        """Watch all responses of a client from now on."""
        client.headers["accept-encoding"] = "identity"  # a model's answer is small, and what is not packed is no bomb
        client.event_hooks = {**client.event_hooks, "response": [*client.event_hooks["response"], self._check]}

    def _check(self, response: httpx.Response) -> None:
        """Called with the headers of a response, before anything of its body is read."""
        if response.has_redirect_location and not _stays(response):
            self.problem = "was redirected to another host, which is not followed; give the final address as api_base"
            self.retryable = False
            del response.headers["location"]
        packing = response.headers.get("content-encoding", "identity").strip().lower()
        if packing != "identity":
            response.headers.pop("content-encoding")
        is_answer = response.status_code < 400 and "json" in response.headers.get("content-type", "").lower()
        max_bytes = self.max_bytes if is_answer else min(self.max_bytes, MAX_ERROR_BYTES)
        response.stream = _bounded_stream(lambda chunks: self.read(chunks, packing, max_bytes), response.stream)

    def read(self, chunks: Iterator[bytes], packing: str, max_bytes: int) -> Iterator[bytes]:
        """The body, unpacked, until there is too much of it or the time is over.

        Args:
            chunks: The body as it comes.
            packing: How it is packed, as HTTP's Content-Encoding says.
            max_bytes: Most bytes of it, unpacked.

        Raises:
            ResponseError: If the rest is not read.
        """
        n_bytes = 0
        for chunk in self._unpacked(chunks, packing):
            n_bytes += len(chunk)
            if n_bytes > max_bytes:
                self._give_up(f"sent more than {max_bytes:,} bytes; no answer is as long as that")
            if time.monotonic() > self.ends_at:
                self.is_late = True
                self._give_up("did not send its answer in time")
            yield chunk

    def _unpacked(self, chunks: Iterator[bytes], packing: str) -> Iterator[bytes]:
        if packing == "identity":
            yield from chunks
            return
        if packing not in _PACKINGS:
            self._give_up(f"sent its answer packed as {packing[:20]!r}, which nobody asked for")
        unpacker = zlib.decompressobj(_PACKINGS[packing])
        for chunk in chunks:
            while chunk:
                try:
                    yield unpacker.decompress(chunk, _PIECE_BYTES)
                except zlib.error:
                    self._give_up(f"sent an answer that is not packed as {packing}, as it says")
                chunk = unpacker.unconsumed_tail

    def _give_up(self, problem: str) -> None:
        self.problem, self.retryable = problem, True
        raise ResponseError(problem)


_PIECE_BYTES = 65_536  # unpacked at a time: memory stays bounded whatever a chunk unpacks to


def _stays(response: httpx.Response) -> bool:
    """Whether a redirect leads to the same host and port, or from plain to encrypted HTTP on the usual ports."""
    try:
        here, there = response.request.url, response.request.url.join(response.headers["location"])
    except Exception:  # no address at all
        return False
    if here.host != there.host:
        return False
    is_upgrade = (here.scheme, there.scheme) == ("http", "https") and here.port is None and there.port is None
    return is_upgrade or (here.scheme, here.port) == (there.scheme, there.port)


def _bounded_stream(read: Callable[[Iterator[bytes]], Iterator[bytes]], stream: Any) -> Any:
    import httpx

    class BoundedStream(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            return read(iter(stream))

        def close(self) -> None:
            stream.close()

    return BoundedStream()


def guarded_client(handler: Any, guard: Guard, openai_options: dict[str, Any]) -> Any:
    """The `client=` of one call of LiteLLM.

    LiteLLM takes two kinds of clients, depending on the provider: its own `HTTPHandler`, or an `OpenAI`. This is the
    first, with all attributes of the second.

    Args:
        handler: A new `HTTPHandler` of LiteLLM's, nobody else's.
        guard: Watches its responses.
        openai_options: Arguments of `openai.OpenAI` but for the HTTP client.
    """
    guard.watch(handler.client)

    class GuardedClient(type(handler)):  # type: ignore[misc]  # LiteLLM is imported when a model is asked
        @cached_property
        def openai(self) -> Any:  # made when it is asked for, if at all: without a key it cannot be made
            import openai

            return openai.OpenAI(**openai_options, http_client=handler.client)

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return getattr(self.openai, name)

        def post(self, *args: Any, **options: Any) -> Any:
            # LiteLLM calls its own, and from 1.109 on OpenAI's too. Only that one takes `cast_to`, and requires it.
            send = self.openai.post if "cast_to" in options else super().post
            return send(*args, **options)

    handler.__class__ = GuardedClient
    return handler
