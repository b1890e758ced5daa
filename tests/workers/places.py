"""Storages that several processes can open: what is passed to a worker is where the storage is, not the storage."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from optuna.storages import BaseStorage, GrpcStorageProxy, JournalStorage, RDBStorage, get_storage
from optuna.storages._grpc.server import make_server
from optuna.storages.journal import JournalFileBackend

from tests.workers.processes import CONTEXT

READY_TIMEOUT = 60.0


class Place(Protocol):
    """Where a storage is."""

    def open(self) -> BaseStorage:
        """A connection of its own."""
        ...


@dataclass(frozen=True)
class Database:
    """A relational database.

    Args:
        url: SQLAlchemy's URL of it.
        pre_ping: Whether a connection is tried before it is used, so that a restart of the server goes unnoticed.
    """

    url: str
    pre_ping: bool = False

    def open(self) -> BaseStorage:
        # Writers of SQLite wait for each other; with its default of five seconds sixteen of them can fail on two cores.
        arguments = {"timeout": 60} if self.url.startswith("sqlite") else {}
        storage = RDBStorage(self.url, engine_kwargs={"connect_args": arguments, "pool_pre_ping": self.pre_ping})
        return get_storage(storage)  # with a cache, as by name


@dataclass(frozen=True)
class Journal:
    """A journal file."""

    path: Path

    def open(self) -> BaseStorage:
        return JournalStorage(JournalFileBackend(str(self.path)))


@dataclass(frozen=True)
class Proxy:
    """A gRPC server on this machine."""

    port: int

    def open(self) -> BaseStorage:
        proxy = GrpcStorageProxy(host="127.0.0.1", port=self.port)
        proxy.wait_server_ready(timeout=READY_TIMEOUT)
        return proxy


@contextmanager
def proxy_of(place: Place) -> Iterator[Proxy]:
    """A gRPC server in a process of its own, in front of another storage."""
    proxy = Proxy(free_port())
    place.open()  # makes the tables
    server = CONTEXT.Process(target=_serve, args=(place, proxy.port), daemon=True)
    server.start()
    try:
        yield proxy
    finally:
        server.kill()
        server.join()


def _serve(place: Place, port: int) -> None:
    server = make_server(place.open(), "127.0.0.1", port)
    server.start()
    server.wait_for_termination()


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
