"""A sampler goes along into other processes, however they are made: it does not hang there, and suggests the same."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from llm_prior_bo import FixedElicitor, LLMPriorSampler, PriorAnswer
from tests.scripts import run_python

SPACE: dict[str, BaseDistribution] = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}
METHODS = ["fork", *(pytest.param(method, marks=pytest.mark.slow) for method in ("spawn", "forkserver"))]
TIME_LIMIT = 240.0
"""Seconds after which a process is taken to hang: many times what it takes."""


def new_study(path: Path) -> optuna.Study:
    belief = PriorAnswer.by_hand(numeric={"x": (0.4, 0.3, 0.5)})
    sampler = LLMPriorSampler(elicitor=FixedElicitor(belief), search_space=SPACE, n_startup_trials=2, seed=0)
    return optuna.create_study(storage=JournalStorage(JournalFileBackend(str(path))), sampler=sampler)


def evaluate(trial: optuna.Trial) -> float:
    return (trial.suggest_float("x", 0.0, 1.0) - 0.3) ** 2 + abs(trial.suggest_float("y", 0.0, 1.0) - 0.6)


def go_on(study: optuna.Study) -> None:
    study.optimize(evaluate, n_trials=3)


@pytest.mark.parametrize("n_before", [0, 1, 4], ids=["unused", "after the first", "after the surrogate's first"])
@pytest.mark.parametrize("method", METHODS)
def test_a_study_goes_on_in_a_child_and_back(tmp_path: Path, method: str, n_before: int) -> None:
    study, alone = new_study(tmp_path / "study.log"), new_study(tmp_path / "alone.log")
    study.optimize(evaluate, n_trials=n_before)
    context: Any = multiprocessing.get_context(method)
    child = context.Process(target=go_on, args=(study,), daemon=True)
    child.start()
    child.join(TIME_LIMIT)
    code = child.exitcode
    child.kill()
    assert code == 0
    study.optimize(evaluate, n_trials=1)
    alone.optimize(evaluate, n_trials=n_before + 4)
    assert [trial.params for trial in study.trials] == [trial.params for trial in alone.trials]


@pytest.mark.slow
def test_loky_and_cloudpickle() -> None:
    """With a decay and an objective that only cloudpickle can pickle."""
    joblib = pytest.importorskip("joblib")
    prior = FixedElicitor(PriorAnswer.by_hand(numeric={"x": (0.4, 0.3, 0.5)}))
    sampler = LLMPriorSampler(elicitor=prior, search_space=SPACE, n_startup_trials=2, seed=0, decay=lambda n: 1.0 / n)

    def run(n_trials: int) -> list[dict[str, float]]:
        study = optuna.create_study(sampler=sampler)
        study.optimize(lambda trial: evaluate(trial) * n_trials, n_trials=n_trials)
        return [trial.params for trial in study.trials]

    here = [run(4), run(5)]
    parallel = joblib.Parallel(n_jobs=2, backend="loky", timeout=TIME_LIMIT)
    assert parallel(joblib.delayed(run)(n) for n in (4, 5)) == here


FORKING = """
    import json, os, signal, sys, threading, time
    import optuna, torch
    from llm_prior_bo import FixedElicitor, LLMElicitor, LLMPriorSampler, PriorAnswer
    from tests.elicitation.fake_server import Reply, completion, serving
    from tests.test_child_processes import SPACE, evaluate

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    belief = PriorAnswer.by_hand(numeric={"x": (0.4, 0.3, 0.5)})
    is_asked, moments = sys.argv[1] == "asking", json.loads(sys.argv[2])
    with serving() as server:
        server.always = Reply(body=completion(belief.model_dump_json()), after_s=0.3)

        def work():
            asked = LLMElicitor("openai/m", api_base=server.url, api_key="none", timeout=60.0)
            elicitor = asked if is_asked else FixedElicitor(belief)
            sampler = LLMPriorSampler(elicitor=elicitor, search_space=SPACE, n_startup_trials=1, seed=0)
            optuna.create_study(sampler=sampler).optimize(evaluate, n_trials=4)

        def work_on():
            while True:
                work()

        # As training code leaves it: OpenMP has had several threads, which a child has not.
        torch.set_num_threads(2)
        (torch.ones(600, 600) @ torch.ones(600, 600)).exp().sum()
        threading.Thread(target=work_on, daemon=True).start()
        since, statuses = time.monotonic(), []
        for moment in moments:
            time.sleep(max(0.0, since + moment - time.monotonic()))
            child = os.fork()
            if child == 0:
                signal.alarm(120)  # one that hangs is ended by it
                work()
                os._exit(0)
            statuses.append(os.waitpid(child, 0)[1])
        print(json.dumps(statuses), flush=True)
        os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("doing", "moments"), [("choosing", [0.05, 0.3, 1.0, 2.0, 3.5]), ("asking", [0.5])])
def test_a_child_that_is_forked_while_another_thread_suggests(doing: str, moments: list[float]) -> None:
    """From the first moment on; where it asks, while it imports LiteLLM."""
    assert json.loads(run_python(FORKING, doing, json.dumps(moments))) == [0] * len(moments)
