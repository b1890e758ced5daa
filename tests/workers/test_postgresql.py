"""A server that goes away in the middle of a study and comes back."""

from __future__ import annotations

import pytest

from tests.elicitation.fake_server import FakeServer
from tests.workers.conftest import Gather
from tests.workers.crew import wait_until
from tests.workers.places import Database
from tests.workers.postgresql import PostgreSQL
from tests.workers.worker import Asking, held

pytestmark = pytest.mark.slow
ALL_STARTUP = 1000


def test_restarted_while_objectives_run(postgresql: PostgreSQL, gather: Gather, server: FakeServer) -> None:
    """With `pool_pre_ping` the workers notice nothing."""
    crew = gather(Database(postgresql.new_database(), pre_ping=True), Asking(server.url, n_startup_trials=ALL_STARTUP))
    crew.start(8, n_trials=3, objective=held)
    wait_until(lambda: len(list(crew.folder.glob("held-*"))) == 8, timeout=120.0)
    postgresql.stop()
    postgresql.start()
    (crew.folder / "go").touch()
    assert set(crew.wait().values()) == {0}, crew.errors()
    tally = crew.tally()
    assert (len(server.requests), tally.n_answers) == (1, 1)
    assert (tally.n_finished, tally.n_running, tally.n_failed, tally.n_lost) == (24, 0, 0, 0)
    assert (tally.equal, tally.n_without_prior) == ((), 0)


def test_without_the_ping_workers_end_and_a_resumed_study_goes_on(
    postgresql: PostgreSQL, gather: Gather, server: FakeServer
) -> None:
    """Optuna's own calls raise then; nothing that was finished is lost, and nobody asks again."""
    place = Database(postgresql.new_database())
    crew = gather(place, Asking(server.url, n_startup_trials=ALL_STARTUP))
    crew.start(4, n_trials=3, objective=held)
    wait_until(lambda: len(list(crew.folder.glob("held-*"))) == 4, timeout=120.0)
    postgresql.stop()
    postgresql.start()
    (crew.folder / "go").touch()
    assert set(crew.wait().values()) == {1}
    assert "server closed the connection" in crew.errors() or "terminating connection" in crew.errors()
    crew.start(4, n_trials=2)
    assert set(crew.wait([f"worker-{i}" for i in range(4, 8)]).values()) == {0}, crew.errors()
    tally = crew.tally()
    assert (len(server.requests), tally.n_answers, tally.n_lost) == (1, 1, 0)
    assert tally.n_finished == 8
    assert tally.equal == ()
