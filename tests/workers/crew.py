"""A crew of workers on one study: begin together, are killed at will, and are counted at the end."""

from __future__ import annotations

import itertools
import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from llm_prior_bo import PriorAnswer, SearchSpace
from llm_prior_bo.errors import ElicitationWarning
from llm_prior_bo.study.answer_records import load_elicitations
from llm_prior_bo.study.trial_records import Suggestion, read_suggestion
from tests.elicitation.fake_server import FakeServer, Reply, completion, serving
from tests.workers.places import Place
from tests.workers.processes import CONTEXT
from tests.workers.worker import SPACE, STUDY, Job, quick, work

ANSWER = PriorAnswer.by_hand(
    numeric={"x": (0.3, 0.2, 0.5), "rate": (1e-2, 3e-3, 3e-2), "units": (64, 32, 128)},
    categorical={"kind": {"a": 0.2, "b": 0.6, "c": 0.2}},
)
NEAR = 1e-3
"""Suggestions are near if their choices are equal and no coordinate differs by more, as a share of its range."""


@contextmanager
def answering(*, after_s: float = 1.0) -> Iterator[FakeServer]:
    """A server that answers every question, each after a while: time for others to ask as well."""
    with serving() as server:
        server.always = Reply(body=completion(ANSWER.model_dump_json()), after_s=after_s)
        yield server


@dataclass
class Crew:
    """Workers of one study.

    Args:
        place: Where the study is; it is made if it is not there.
        folder: Where they write down what they saw.
        sampler: Makes the sampler of each.
    """

    place: Place
    folder: Path
    sampler: Callable[[Job], BaseSampler]
    workers: dict[str, BaseProcess] = field(default_factory=dict)

    def start(
        self,
        n_workers: int,
        *,
        n_trials: int,
        objective: Callable[[Job, optuna.Trial], float] = quick,
        together: bool = True,
    ) -> list[str]:
        """Start some more workers.

        Args:
            n_workers: How many.
            n_trials: How many trials each runs.
            objective: Their objective.
            together: Whether they begin at the same moment; else each as soon as it can.

        Returns:
            Their names.
        """
        with _quietly():
            optuna.create_study(study_name=STUDY, storage=self.place.open(), load_if_exists=True)
        n_before = len(self.workers)
        names = [f"worker-{n_before + i}" for i in range(n_workers)]
        for name in names:
            job = Job(
                name,
                self.place,
                self.folder,
                self.sampler,
                objective,
                n_trials,
                n_before + n_workers if together else 0,
            )
            self.workers[name] = CONTEXT.Process(target=work, args=(job,), daemon=True)
            self.workers[name].start()
        return names

    def wait(self, names: Sequence[str] | None = None, *, timeout: float = 300.0) -> dict[str, int | None]:
        """Wait for workers, all by default.

        Returns:
            Their exit codes.
        """
        deadline = time.monotonic() + timeout
        chosen = {name: self.workers[name] for name in names or self.workers}
        for worker in chosen.values():
            worker.join(max(0.0, deadline - time.monotonic()))
        return {name: worker.exitcode for name, worker in chosen.items()}

    def kill(self, name: str) -> None:
        """End a worker at once, without a word to the storage."""
        self.workers[name].kill()
        self.workers[name].join()

    def end(self) -> None:
        """End all workers that still run."""
        for name in self.workers:
            self.kill(name)

    def errors(self) -> str:
        """What the workers died of."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("error-*")))

    def warnings(self) -> list[tuple[str, str]]:
        """Class and text of every warning of a worker that was not killed."""
        paths = sorted(self.folder.glob("warnings-*"))
        return [(kind, text) for path in paths for kind, text in json.loads(path.read_text())]

    def finished(self) -> list[dict[str, Any]]:
        """What the workers noted of each trial that they finished."""
        paths = sorted(self.folder.glob("finished-*"))
        return [json.loads(line) for path in paths for line in path.read_text().splitlines()]

    def waited(self) -> list[float]:
        """Seconds that trials waited for their parameters, where the objective notes it."""
        return [float(line) for path in self.folder.glob("waited-*") for line in path.read_text().splitlines()]

    def used(self) -> float:
        """Seconds of processor time that all workers together have spent on their trials, if none was killed."""
        return sum(float(path.read_text()) for path in self.folder.glob("used-*"))

    def tally(self) -> Tally:
        """What became of the study."""
        with _quietly():
            study = optuna.load_study(study_name=STUDY, storage=self.place.open())
            return Tally.of(study, self.finished(), n_answers=len(load_elicitations(study)))


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warnings that workers are tested for, and that of Optuna about its proxy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ElicitationWarning)
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def wait_until(condition: Callable[[], bool], *, timeout: float = 60.0) -> None:
    """Wait for something to happen.

    Raises:
        TimeoutError: If it does not.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Expected it to happen within {timeout:g} s.")
        time.sleep(0.02)


@dataclass(frozen=True)
class Tally:
    """What became of a study.

    Args:
        n_answers: Answers kept in the study.
        n_finished: Trials that are finished in the storage.
        n_running: Trials that never ended.
        n_failed: Trials that failed.
        n_lost: Trials that a worker finished and that are not in the storage as it saw them.
        n_unpublished: Trials whose parameters are not those that were published.
        n_without_prior: Suggestions that were made without the answer.
        equal: Pairs of trials with equal suggestions.
        near: Pairs of trials that ran at the same time with suggestions closer than `NEAR`, equal ones too. That the
            search comes back to a place once its value is known is no mishap.
        slots: Positions of the start-up design, in the order of the trials.
    """

    n_answers: int
    n_finished: int
    n_running: int
    n_failed: int
    n_lost: int
    n_unpublished: int
    n_without_prior: int
    equal: tuple[tuple[int, int], ...]
    near: tuple[tuple[int, int], ...]
    slots: tuple[int, ...]

    @classmethod
    def of(cls, study: optuna.Study, finished: list[dict[str, Any]], *, n_answers: int) -> Tally:
        """Count.

        Args:
            study: The study.
            finished: What the workers noted.
            n_answers: Answers kept in the study.
        """
        trials = study.get_trials(deepcopy=False)
        states = [trial.state for trial in trials]
        suggestions = {t.number: s for t in trials if (s := read_suggestion(t)) is not None}
        equal, near = close_pairs(suggestions)
        return cls(
            n_answers=n_answers,
            n_finished=states.count(TrialState.COMPLETE),
            n_running=states.count(TrialState.RUNNING),
            n_failed=states.count(TrialState.FAIL),
            n_lost=sum(not _is_kept(noted, trials) for noted in finished),
            n_unpublished=sum(not noted["published"] for noted in finished),
            n_without_prior=sum(not suggestion.log_prior for suggestion in suggestions.values()),
            equal=equal,
            near=tuple((i, j) for i, j in near if _overlap(trials[i], trials[j])),
            slots=tuple(s.slot for s in suggestions.values() if s.slot is not None),
        )


def close_pairs(
    suggestions: dict[int, Suggestion],
) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """Numbers of the trials whose suggestions are equal, and of those whose suggestions are near each other."""
    space = SearchSpace(SPACE)
    points = {number: space.encode([suggestion.params])[0] for number, suggestion in suggestions.items()}
    pairs = list(itertools.combinations(points, 2))
    distances = {(i, j): float(np.abs(points[i] - points[j]).max()) for i, j in pairs}
    equal = tuple(pair for pair in pairs if suggestions[pair[0]].params == suggestions[pair[1]].params)
    return equal, tuple(pair for pair in pairs if distances[pair] < NEAR)


def _overlap(first: FrozenTrial, second: FrozenTrial) -> bool:
    """Whether two trials, in the order of their numbers, ran at the same time."""
    started, ended = second.datetime_start, first.datetime_complete
    return started is None or ended is None or started < ended


def _is_kept(noted: dict[str, Any], trials: Sequence[FrozenTrial]) -> bool:
    kept = trials[noted["number"]] if noted["number"] < len(trials) else None
    return (
        kept is not None
        and kept.state == TrialState.COMPLETE
        and (kept.params, kept.values) == (noted["params"], noted["values"])
    )
