"""Locks and memories after a fork."""

from __future__ import annotations

import copy
import os
import pickle
import threading
from collections.abc import Callable

import optuna
import pytest

from llm_prior_bo import LLMPriorSampler, SearchSpace, UniformPrior
from llm_prior_bo.study import encoding_cache, independent
from llm_prior_bo.study.locks import ForkSafeLock
from llm_prior_bo.study.storage import PerStudy

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

SPACE = SearchSpace({"x": optuna.distributions.FloatDistribution(0, 1)})


def in_a_child(action: Callable[[], bool], *, seconds: int = 30) -> int:
    """Run something in a forked child, which ends itself if that takes too long. Returns its exit status."""
    import signal

    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)
        os._exit(0 if action() else 1)
    return os.waitpid(pid, 0)[1]


def held_by_another_thread(lock: ForkSafeLock) -> Callable[[], None]:
    """Have another thread hold a lock; call what is returned to have it released."""
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()

    def end() -> None:
        release.set()
        thread.join()

    return end


def is_free(lock: ForkSafeLock) -> bool:
    with lock:
        return True


@needs_fork
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
class TestForks:
    def test_a_lock_is_free_in_the_child_and_held_in_the_parent(self) -> None:
        lock = ForkSafeLock()
        end = held_by_another_thread(lock)
        assert in_a_child(lambda: is_free(lock)) == 0
        assert not lock._lock.acquire(blocking=False)
        end()

    @pytest.mark.parametrize("lock", [encoding_cache._lock, encoding_cache._memory._lock, independent._lock])
    def test_the_locks_of_the_package(self, lock: ForkSafeLock) -> None:
        end = held_by_another_thread(lock)
        assert in_a_child(lambda: is_free(lock)) == 0
        end()

    def test_a_child_remembers_nothing(self) -> None:
        study, memory = optuna.create_study(), PerStudy[list[int]](list)
        memory(study).append(1)
        assert in_a_child(lambda: memory(study) == []) == 0
        assert memory(study) == [1]

    def test_a_childs_own_study_while_the_parent_holds_all_locks(self) -> None:
        def work() -> bool:
            study = optuna.create_study(sampler=LLMPriorSampler(prior=UniformPrior(SPACE), n_startup_trials=3, seed=0))
            study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
            return len(study.trials) == 2

        ends = [held_by_another_thread(lock) for lock in (encoding_cache._lock, encoding_cache._memory._lock)]
        assert in_a_child(work, seconds=120) == 0
        for end in ends:
            end()


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda lock: pickle.loads(pickle.dumps(lock))])
def test_a_copy_is_a_lock_of_its_own(duplicate: Callable[[ForkSafeLock], ForkSafeLock]) -> None:
    lock = ForkSafeLock()
    end = held_by_another_thread(lock)
    assert is_free(duplicate(lock))
    end()


def test_a_thread_may_take_it_twice() -> None:
    lock = ForkSafeLock()
    with lock:
        assert is_free(lock)
