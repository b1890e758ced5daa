"""A study's storage, of every kind; a model on this machine; and workers, which are ended with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import optuna
import pytest
from optuna.samplers import BaseSampler

from tests.elicitation.fake_server import FakeServer
from tests.workers.crew import Crew, answering
from tests.workers.places import Database, Journal, Place, proxy_of
from tests.workers.postgresql import PostgreSQL, missing
from tests.workers.worker import Job


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """No line for every study."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A server for all tests."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with PostgreSQL() as server:
        yield server


Open = Callable[[str], Place]


@pytest.fixture
def open_place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Makes an empty storage of a kind: "sqlite", "journal", "postgresql", or "grpc-" and one of the others."""
    with ExitStack() as stack:

        def make(kind: str) -> Place:
            if kind.startswith("grpc-"):
                return stack.enter_context(proxy_of(make(kind.removeprefix("grpc-"))))
            if kind == "journal":
                return Journal(tmp_path / "study.log")
            if kind == "sqlite":
                return Database(f"sqlite:///{tmp_path}/study.db")
            server: PostgreSQL = request.getfixturevalue("postgresql")
            return Database(server.new_database(), pre_ping=True)

        yield make


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A model that takes a second for every answer."""
    with answering() as fake:
        yield fake


Gather = Callable[[Place, Callable[[Job], BaseSampler]], Crew]


@pytest.fixture
def gather(tmp_path: Path) -> Iterator[Gather]:
    """Makes crews."""
    crews: list[Crew] = []

    def make(place: Place, sampler: Callable[[Job], BaseSampler]) -> Crew:
        folder = tmp_path / f"crew-{len(crews)}"
        folder.mkdir()
        crews.append(Crew(place, folder, sampler))
        return crews[-1]

    yield make
    for crew in crews:
        crew.end()
