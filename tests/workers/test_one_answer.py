"""One answer for all workers: real processes, and questions counted where they arrive."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from typing import Any

import optuna
import pytest

from llm_prior_bo import PriorAnswer, RefreshPolicy
from llm_prior_bo.study.answer_records import load_elicitations
from tests.elicitation.fake_server import FakeServer, Reply, completion
from tests.workers.conftest import Gather, Open
from tests.workers.crew import ANSWER, wait_until
from tests.workers.worker import STUDY, Asking, held

pytestmark = pytest.mark.filterwarnings("ignore:GrpcStorageProxy is experimental")

STORAGES = ["sqlite", "journal", "grpc-sqlite", "postgresql"]
ALL_STARTUP = 1000


class TestFirstAnswer:
    def test_four_processes_ask_once(self, open_place: Open, gather: Gather, server: FakeServer) -> None:
        crew = gather(open_place("journal"), Asking(server.url, n_startup_trials=ALL_STARTUP))
        crew.start(4, n_trials=2)
        assert set(crew.wait().values()) == {0}, crew.errors()
        tally = crew.tally()
        assert len(server.requests) == tally.n_answers == 1
        assert (tally.n_finished, tally.n_lost, tally.n_without_prior) == (8, 0, 0)
        assert sorted(tally.slots) == list(range(8))

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", STORAGES)
    def test_eight_processes_ask_once(self, open_place: Open, gather: Gather, server: FakeServer, kind: str) -> None:
        crew = gather(open_place(kind), Asking(server.url, n_startup_trials=ALL_STARTUP))
        crew.start(8, n_trials=2)
        assert set(crew.wait().values()) == {0}, crew.errors()
        tally = crew.tally()
        assert len(server.requests) == tally.n_answers == 1
        assert (tally.n_finished, tally.n_lost, tally.n_without_prior) == (16, 0, 0)

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", STORAGES)
    def test_a_resumed_study_does_not_ask(
        self, open_place: Open, gather: Gather, server: FakeServer, kind: str
    ) -> None:
        place = open_place(kind)
        for n_finished in (8, 16):  # new processes each time
            crew = gather(place, Asking(server.url, n_startup_trials=ALL_STARTUP))
            crew.start(4, n_trials=2)
            assert set(crew.wait().values()) == {0}, crew.errors()
            assert crew.tally().n_finished == n_finished
            assert (len(server.requests), crew.tally().n_answers, crew.tally().n_without_prior) == (1, 1, 0)

    @pytest.mark.slow
    def test_a_model_that_is_down_is_tried_by_one_worker(
        self, open_place: Open, gather: Gather, server: FakeServer
    ) -> None:
        server.always = Reply(401, b'{"error": {"message": "no such key"}}', after_s=1.0)
        crew = gather(open_place("sqlite"), Asking(server.url, n_startup_trials=ALL_STARTUP))
        crew.start(8, n_trials=2)
        assert set(crew.wait().values()) == {0}, crew.errors()
        assert len(server.requests) == 1
        assert (crew.tally().n_answers, crew.tally().n_finished) == (0, 16)
        told = [text for kind, text in crew.warnings() if kind == "ElicitationWarning"]
        assert len(told) == 8  # one each
        assert all("goes on as plain Bayesian optimisation" in text for text in told)


@pytest.mark.slow
class TestLaterAnswers:
    @pytest.mark.parametrize("kind", STORAGES)
    def test_eight_processes_ask_once_a_refresh(
        self, open_place: Open, gather: Gather, server: FakeServer, kind: str
    ) -> None:
        def another(_: dict[str, Any]) -> Reply:
            """Each answer has another best guess."""
            best = 0.2 + 0.1 * len(server.requests)
            answer = PriorAnswer.by_hand(numeric={"x": (best, best - 0.1, best + 0.1)})
            return Reply(body=completion(answer.model_dump_json()), after_s=1.0)

        server.always = another
        policy = RefreshPolicy(
            every=10, growth=1, lost_trust=None, stagnation=None, space_change=False, max_elicitations=3
        )
        place = open_place(kind)
        crew = gather(place, Asking(server.url, n_startup_trials=ALL_STARTUP, refresh=policy))
        crew.start(8, n_trials=6)
        assert set(crew.wait().values()) == {0}, crew.errors()
        tally = crew.tally()
        assert len(server.requests) == tally.n_answers == 3
        assert (tally.n_finished, tally.n_lost, tally.n_without_prior, tally.equal) == (48, 0, 0, ())
        answers = load_elicitations(optuna.load_study(study_name=STUDY, storage=place.open()))
        first, second, third = sorted(answer.n_finished for answer in answers)
        assert first == 0
        assert second >= 10
        assert third >= second + 10


@pytest.mark.slow
class TestKilled:
    @pytest.mark.parametrize("kind", STORAGES)
    def test_the_worker_that_asks(self, open_place: Open, gather: Gather, server: FakeServer, kind: str) -> None:
        server.replies.append(Reply(after_s=3600.0))  # the first question is never answered
        crew = gather(open_place(kind), Asking(server.url, n_startup_trials=ALL_STARTUP, patience=45.0))
        names = crew.start(8, n_trials=2)
        wait_until(lambda: len(server.requests) == 1, timeout=120.0)
        leader = server.requests[0]["model"]
        crew.kill(leader)
        codes = crew.wait([name for name in names if name != leader])
        assert set(codes.values()) == {0}, crew.errors()
        # The dead worker's, and one of another worker.
        assert len({request["model"] for request in server.requests}) == len(server.requests) == 2
        tally = crew.tally()
        assert (tally.n_answers, tally.n_finished, tally.n_running) == (1, 14, 1)
        assert (tally.n_lost, tally.n_without_prior, tally.equal) == (0, 0, ())
        assert 0 in tally.slots  # the best guess is tried, though the first trial is dead

    @pytest.mark.parametrize("kind", STORAGES)
    def test_one_that_evaluates(self, open_place: Open, gather: Gather, server: FakeServer, kind: str) -> None:
        crew = gather(open_place(kind), Asking(server.url, n_startup_trials=ALL_STARTUP))
        names = crew.start(8, n_trials=2, objective=held)
        wait_until(lambda: len(list(crew.folder.glob("held-*"))) == 8, timeout=120.0)
        killed = [name for name in names if name != server.requests[0]["model"]][:3]
        for name in killed:
            crew.kill(name)
        (crew.folder / "go").touch()
        assert set(crew.wait([name for name in names if name not in killed]).values()) == {0}, crew.errors()
        tally = crew.tally()
        assert (len(server.requests), tally.n_answers) == (1, 1)
        assert (tally.n_finished, tally.n_running, tally.n_lost) == (10, 3, 0)
        assert (tally.equal, tally.n_without_prior) == ((), 0)  # what the dead ones were evaluating included


class TestStored:
    @pytest.mark.parametrize(
        "kind",
        [
            "journal",
            *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("sqlite", "grpc-sqlite", "postgresql")),
        ],
    )
    def test_hostile_values_do_not_keep_workers_from_asking_once(
        self, open_place: Open, gather: Gather, server: FakeServer, kind: str
    ) -> None:
        place = open_place(kind)
        study = optuna.create_study(study_name=STUDY, storage=place.open())
        for key, value in hostile_attributes().items():
            study._storage.set_study_system_attr(study._study_id, key, value)
        crew = gather(place, Asking(server.url, n_startup_trials=ALL_STARTUP))
        crew.start(4, n_trials=1)
        assert set(crew.wait().values()) == {0}, crew.errors()
        tally = crew.tally()
        assert (len(server.requests), tally.n_answers, tally.n_finished, tally.n_without_prior) == (1, 1, 4, 0)
        told = {text for kind_, text in crew.warnings() if kind_ == "ElicitationWarning"}
        for part in ("damaged and is ignored", "cannot be used and is ignored", "format version '999'"):
            assert any(part in text for text in told), told

    def test_a_key_that_claims_many_pieces_costs_no_memory(self) -> None:
        study = optuna.create_study()
        key = "llm_prior_bo:elicitation:1:0:0123456789abcdef:0:300000"
        study._storage.set_study_system_attr(study._study_id, key, "the first of many pieces")
        tracemalloc.start()
        try:
            assert load_elicitations(study) == ()
            assert tracemalloc.get_traced_memory()[1] < 3e6  # bytes
        finally:
            tracemalloc.stop()

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", STORAGES)
    def test_a_long_answer_is_kept_in_small_pieces(
        self, open_place: Open, gather: Gather, server: FakeServer, kind: str
    ) -> None:
        """A text of 40 000 characters that JSON has to escape: no value is longer than 60 KB in the storage."""
        text = json.dumps({**json.loads(ANSWER.model_dump_json()), "notes": '\\"' * 10_000})
        server.always = Reply(body=completion(text))
        place = open_place(kind)
        crew = gather(place, Asking(server.url, n_startup_trials=ALL_STARTUP))
        crew.start(3, n_trials=1)
        assert set(crew.wait().values()) == {0}, crew.errors()
        study = optuna.load_study(study_name=STUDY, storage=place.open())
        assert len(load_elicitations(study)) == 1
        values = study._storage.get_study_system_attrs(study._study_id)
        ours = [value for key, value in values.items() if key.startswith("llm_prior_bo:")]
        assert ours
        assert all(len(json.dumps(value).encode()) < 60_000 for value in ours)
        assert crew.tally().n_without_prior == 0


def hostile_attributes() -> dict[str, Any]:
    """What somebody else may have written where answers are kept."""

    def record(text: str, number: int) -> tuple[str, str]:
        return f"llm_prior_bo:elicitation:1:{number}:{hashlib.sha256(text.encode()).hexdigest()[:16]}:0:1", text

    texts = [
        "not JSON",
        "[" * 5_000,
        "null",
        '{"answer": {"notes": 1e999}}',
        '{"answer": NaN, "trial_number": -1}',
    ]
    return {
        **dict(record(text, i) for i, text in enumerate(texts)),
        "llm_prior_bo:elicitation:1:0:0123456789abcdef:0:1": ANSWER.model_dump_json(),  # not its hash
        "llm_prior_bo:elicitation:999:0:0123456789abcdef:0:1": "from the future",
        "llm_prior_bo:elicitation:1:0:0123456789abcdef:0:99": "the first of many pieces",
        "llm_prior_bo:elicitation:1:0:fedcba9876543210:0:1": {"not": "a text"},
        "llm_prior_bo:elicitation:1::::": "",
        "llm_prior_bo:failure:1:0:0123456789abcdef:0:1": "{}",
    }
