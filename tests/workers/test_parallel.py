"""Workers that evaluate at the same time: nothing lost, nothing done twice, each knows what the others are at."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import optuna
import pytest

from llm_prior_bo import LLMPriorSampler, MixturePrior, SearchSpace, build_prior
from llm_prior_bo.study import suggestion_lock
from llm_prior_bo.study.trial_records import Suggestion, mark_choosing, publish_suggestion, read_suggestion
from tests.elicitation.fake_server import FakeServer
from tests.workers.conftest import Gather, Open
from tests.workers.crew import ANSWER, close_pairs
from tests.workers.places import Place
from tests.workers.worker import SPACE, STUDY, Asking, Job, quick, suggest

pytestmark = pytest.mark.filterwarnings("ignore:GrpcStorageProxy is experimental")

STORAGES = ["sqlite", "journal", "grpc-sqlite", "postgresql", "grpc-postgresql"]


def given(job: Job | None = None, **options: Any) -> LLMPriorSampler:  # noqa: ARG001 - makes a worker's sampler
    """A sampler with a prior of its own: nobody is asked."""
    prior = build_prior(ANSWER, SearchSpace(SPACE))
    assert isinstance(prior, MixturePrior)
    return LLMPriorSampler(prior=prior, search_space=SPACE, **options)


def study_at(place: Place, **options: Any) -> optuna.Study:
    return optuna.create_study(study_name=STUDY, storage=place.open(), load_if_exists=True, **options)


@pytest.mark.parametrize(
    "kind",
    ["sqlite", "journal", "postgresql", *(pytest.param(k, marks=pytest.mark.slow) for k in STORAGES if "grpc" in k)],
)
class TestPublished:
    def test_before_the_objective_reads_the_first_parameter(self, open_place: Open, kind: str) -> None:
        place = open_place(kind)
        seen = []

        def objective(trial: optuna.Trial) -> float:
            trial.suggest_float("x", 0.0, 1.0)
            elsewhere = place.open()  # another worker's connection
            seen.append(read_suggestion(elsewhere.get_trial(trial._trial_id)))
            return suggest(trial)

        study = study_at(place, sampler=given(n_startup_trials=2))
        study.optimize(objective, n_trials=4)
        assert [suggestion.params for suggestion in seen if suggestion is not None] == [t.params for t in study.trials]
        assert [suggestion.phase for suggestion in seen if suggestion is not None] == ["startup"] * 2 + ["model"] * 2


class TestAtTheSameMoment:
    """Both workers look before either has published: what no test of one after the other would see."""

    @pytest.mark.parametrize("n_finished", [0, 2, 6], ids=["first", "startup", "model"])
    def test_two_suggestions_differ(self, open_place: Open, monkeypatch: pytest.MonkeyPatch, n_finished: int) -> None:
        place = open_place("journal")
        study_at(place, sampler=given(n_startup_trials=5, seed=0)).optimize(suggest, n_trials=n_finished)
        looked = threading.Barrier(2)

        def late(*arguments: Any) -> None:
            """Publish when the other one has looked too, or is kept from looking."""
            with contextlib.suppress(threading.BrokenBarrierError):
                looked.wait(timeout=1.0)
            publish_suggestion(*arguments)

        monkeypatch.setattr("llm_prior_bo.sampler.publish_suggestion", late)
        studies = [study_at(place, sampler=given(n_startup_trials=5, seed=0)) for _ in range(2)]
        workers = [threading.Thread(target=study.ask, args=(SPACE,)) for study in studies]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(600.0)
        suggestions = {t.number: s for t in studies[0].trials if (s := read_suggestion(t)) is not None}
        assert len(suggestions) == n_finished + 2
        assert close_pairs(suggestions) == ((), ())


class TestTurn:
    def test_a_dead_worker_is_not_waited_for_for_ever(self, open_place: Open, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(suggestion_lock, "MAX_SECONDS", 0.3)
        study = study_at(open_place("journal"))
        dead, *living = [study.ask() for _ in range(3)]
        mark_choosing(study, frozen(study, dead), True)
        for trial in living:
            with suggestion_lock.suggestion_lock(study, frozen(study, trial)):
                publish(study, trial)
        assert suggestion_lock._dead(study) == {dead.number}

    def test_a_worker_that_fails_to_choose_holds_nobody_up(
        self, open_place: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(suggestion_lock, "MAX_SECONDS", 3600.0)
        study = study_at(open_place("journal"))
        first, second = study.ask(), study.ask()
        with pytest.raises(RuntimeError, match="broken"), suggestion_lock.suggestion_lock(study, frozen(study, first)):
            raise RuntimeError("broken")
        with suggestion_lock.suggestion_lock(study, frozen(study, second)):
            pass

    @pytest.mark.parametrize("kind", ["sqlite", "journal"])
    def test_one_at_a_time(self, open_place: Open, kind: str) -> None:
        place = open_place(kind)
        study = study_at(place)
        trials = [study.ask() for _ in range(6)]
        inside, most = [], []

        def choose(trial: optuna.Trial) -> None:
            own = study_at(place)
            with suggestion_lock.suggestion_lock(own, frozen(own, trial)):
                inside.append(trial.number)
                most.append(len(inside))
                inside.remove(trial.number)
                publish(own, trial)

        workers = [threading.Thread(target=choose, args=(trial,)) for trial in trials]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(600.0)
        assert most == [1] * 6


def publish(study: optuna.Study, trial: optuna.Trial) -> None:
    publish_suggestion(study, frozen(study, trial), Suggestion(params={}, phase="startup", n=0))


def frozen(study: optuna.Study, trial: optuna.Trial) -> Any:
    return study._storage.get_trial(trial._trial_id)


@pytest.mark.slow
@pytest.mark.parametrize("kind", STORAGES)
class TestSixteen:
    def test_five_trials_each(self, open_place: Open, gather: Gather, server: FakeServer, kind: str) -> None:
        """Some sixty trials of the start-up design, then the surrogate's."""
        crew = gather(open_place(kind), Asking(server.url, n_startup_trials=60))
        crew.start(16, n_trials=5, objective=quick)
        assert set(crew.wait(timeout=900.0).values()) == {0}, crew.errors()
        tally = crew.tally()
        assert len(server.requests) == tally.n_answers == 1
        assert (tally.n_finished, tally.n_running, tally.n_failed, tally.n_lost) == (80, 0, 0, 0)
        assert (tally.n_unpublished, tally.n_without_prior) == (0, 0)
        assert (tally.equal, tally.near) == ((), ())
        assert 60 <= len(tally.slots) < 80
        assert len(set(tally.slots)) == len(tally.slots)
