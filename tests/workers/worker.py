"""What one worker does, in its own process: run trials of the study, and note what it saw.

Imported before the workers are forked, with all that they need: that is what makes sixteen of them cheap.
"""

from __future__ import annotations

import json
import os
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from llm_prior_bo import LLMElicitor, LLMPriorSampler, PriorAnswer, RefreshPolicy, SearchSpace, build_prior
from llm_prior_bo.compare.runner import end_with_parent
from llm_prior_bo.elicitation import LiteLLMClient
from llm_prior_bo.optimization.prior_source import ElicitedPriorSource
from llm_prior_bo.study.suggestion_lock import SWITCH
from llm_prior_bo.study.trial_records import read_suggestion
from tests.workers.places import Place

torch.set_num_threads(1)

STUDY = "s"
SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(0.0, 1.0),
    "rate": FloatDistribution(1e-4, 1e-1, log=True),
    "units": IntDistribution(16, 512, log=True),
    "kind": CategoricalDistribution(["a", "b", "c"]),
}
START_TIMEOUT = 120.0


@dataclass(frozen=True)
class Job:
    """What one worker has to do.

    Args:
        name: Its name, which the server sees in its questions.
        place: Where the study is.
        folder: Where it writes down what it saw.
        sampler: Makes its sampler from the job.
        objective: Its objective; called with the job and the trial.
        n_trials: How many trials it runs.
        together: How many workers begin at the same moment.
    """

    name: str
    place: Place
    folder: Path
    sampler: Callable[[Job], BaseSampler]
    objective: Callable[[Job, optuna.Trial], float]
    n_trials: int
    together: int = 1

    def path(self, kind: str) -> Path:
        """The file of one kind that this worker writes."""
        return self.folder / f"{kind}-{self.name}"


@dataclass(frozen=True)
class Asking:
    """Makes samplers that ask a server on this machine.

    Args:
        url: The server's.
        n_startup_trials: As the sampler's.
        patience: Seconds after which a worker that asks is taken for dead.
        refresh: When to ask again; asked once unless a test is about that, so that questions can be counted.
    """

    url: str
    n_startup_trials: int | None = None
    patience: float = 600.0
    refresh: RefreshPolicy | None = None

    def __call__(self, job: Job) -> BaseSampler:
        # The name of the model is all of a worker that the server sees.
        client = LiteLLMClient(f"openai/{job.name}", timeout=120.0, api_base=self.url, api_key="x")
        sampler = LLMPriorSampler(
            elicitor=LLMElicitor(client=client),
            search_space=SPACE,
            n_startup_trials=self.n_startup_trials,
            refresh=self.refresh,
        )
        assert isinstance(sampler._source, ElicitedPriorSource)
        sampler._source.election.patience = self.patience  # at least a minute by the sampler's own arguments
        return sampler


@dataclass(frozen=True)
class Given:
    """Makes samplers with a density over the optimum: nobody is asked.

    Args:
        answer: What the density is made of.
        lock: Whether the worker's suggestions wait for those of other workers.
    """

    answer: PriorAnswer
    lock: bool = True

    def __call__(self, job: Job) -> BaseSampler:  # noqa: ARG002 - makes a worker's sampler
        os.environ[SWITCH] = str(int(self.lock))  # in a process of its own
        return LLMPriorSampler(prior=build_prior(self.answer, SearchSpace(SPACE)), seed=0)


def suggest(trial: optuna.Trial) -> float:
    """Ask for all parameters; a bowl with its minimum at the prior's mode."""
    x = trial.suggest_float("x", 0.0, 1.0)
    rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    units = trial.suggest_int("units", 16, 512, log=True)
    kind = trial.suggest_categorical("kind", ["a", "b", "c"])
    return float((x - 0.3) ** 2 + abs(rate - 1e-2) + abs(units - 64) / 512 + (kind != "b"))


def quick(job: Job, trial: optuna.Trial) -> float:  # noqa: ARG001 - an objective
    """Takes no time."""
    return suggest(trial)


def held(job: Job, trial: optuna.Trial) -> float:
    """Takes until somebody makes the file "go" in the job's folder."""
    value = suggest(trial)
    job.path("held").write_text(str(trial.number))
    while not (job.folder / "go").exists():
        time.sleep(0.02)
    return value


def timed(job: Job, trial: optuna.Trial) -> float:
    """Takes up to half a second, and notes how long its parameters took; the last one once there is a file "stop"."""
    value = suggest(trial)
    assert trial.datetime_start is not None
    with job.path("waited").open("a") as file:
        file.write(f"{time.time() - trial.datetime_start.timestamp()}\n")
    time.sleep(float(np.random.default_rng(trial.number).uniform(0.0, 0.5)))
    if (job.folder / "stop").exists():
        trial.study.stop()
    return value


def work(job: Job) -> None:
    """Run the job; what it finished, its warnings and its error are left in files."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                _run(job)
            finally:
                told = [[type(w.message).__name__, str(w.message)] for w in caught]
                job.path("warnings").write_text(json.dumps(told))
    except BaseException:
        job.path("error").write_text(traceback.format_exc())
        raise


def _run(job: Job) -> None:
    study = optuna.load_study(study_name=STUDY, storage=job.place.open(), sampler=job.sampler(job))
    job.path("ready").touch()
    deadline = time.monotonic() + START_TIMEOUT
    while len(list(job.folder.glob("ready-*"))) < job.together:
        if time.monotonic() > deadline:
            raise TimeoutError(f"Expected {job.together} workers within {START_TIMEOUT:g} s.")
        time.sleep(0.01)

    def note(_: optuna.Study, trial: FrozenTrial) -> None:
        suggestion = read_suggestion(trial)
        line = {"number": trial.number, "params": trial.params, "values": trial.values}
        published = suggestion is not None and suggestion.params == trial.params
        with job.path("finished").open("a") as file:
            file.write(json.dumps({**line, "published": published}) + "\n")

    used = time.process_time()
    study.optimize(lambda trial: job.objective(job, trial), n_trials=job.n_trials, callbacks=[note])
    job.path("used").write_text(str(time.process_time() - used))
