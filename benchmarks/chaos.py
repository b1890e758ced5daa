"""Workers that are killed at random moments, on a model that is slow: is anything lost, or asked twice?

    python -m benchmarks.chaos --kills 30

Three workers run a study; at random moments one of them is killed (SIGKILL) and another one starts in its place. The
model, a server on this machine, takes some seconds for each answer and is asked again after every few trials. Prints a
table for SQLite, and for PostgreSQL where its server is installed; ends with an error if a promise of
`docs/how_to/workers.md` was broken. The workers are those of `tests/workers/`.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from benchmarks.harness.arguments import new_parser, positive
from llm_prior_bo import PriorAnswer, RefreshPolicy
from llm_prior_bo.compare.markdown import markdown_head, markdown_row
from llm_prior_bo.study.answer_records import load_elicitations
from llm_prior_bo.study.election import Election
from llm_prior_bo.study.trial_records import asker
from tests.elicitation.fake_server import FakeServer, Reply, completion, serving
from tests.workers.crew import Crew, Tally
from tests.workers.places import Database, Place
from tests.workers.postgresql import PostgreSQL, missing
from tests.workers.worker import STUDY, Asking, timed

N_WORKERS = 3
N_STARTUP = 30
EVERY = 5
"""Finished trials between two answers."""
PATIENCE = 60.0
"""Seconds; five minutes by default."""
ANSWER_SECONDS = (1.0, 8.0)
"""Between these the model takes for an answer."""
SECONDS_BETWEEN_KILLS = (0.5, 12.0)
STORED_SECONDS = 2.0
"""Longer than a worker takes from the model's reply until the answer is in the storage."""
MANY = 1_000_000
COLUMNS = ("storage", "kills", "finished", "left running", "failed", "lost", "equal")
MORE_COLUMNS = ("questions", "answers", "killed while asking", "at a time", "longest wait", "limit")


@dataclass
class SlowModel:
    """Takes a while for each answer, and gives another one each time, for that of a later one is tried at once.

    Args:
        server: The server that it answers for.
        seed: Of the times that it takes.
    """

    server: FakeServer
    seed: int
    questions: list[tuple[str, float, float]] = field(default_factory=list)
    """Worker, and when it asked and would have its answer, by `time.monotonic`."""

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng([self.seed, 1])
        self.server.always = self._reply

    def _reply(self, request: dict[str, Any]) -> Reply:
        takes = float(self._rng.uniform(*ANSWER_SECONDS))
        now = time.monotonic()
        self.questions.append((request["model"], now, now + takes))
        best = float(self._rng.uniform(0.2, 0.8))
        answer = PriorAnswer.by_hand(numeric={"x": (best, best - 0.1, best + 0.1)})
        return Reply(body=completion(answer.model_dump_json()), after_s=takes)


@dataclass(frozen=True)
class Chaos:
    """What became of a study whose workers were killed.

    Attributes:
        n_kills: Workers that were killed.
        tally: What is in the storage.
        n_twice: Trials that more than one worker noted as finished.
        n_orphans: Trials that are running though the worker that began them was not killed.
        n_questions: Questions that reached the model.
        n_killed_asking: Workers that were killed between their question and its answer's arrival in the storage.
        n_at_a_time: The most questions of living workers at a time.
        fewest_between: The fewest finished trials between two answers; `None` if there are less than two.
        waited: Seconds, the most that a trial waited for its parameters.
    """

    n_kills: int
    tally: Tally
    n_twice: int
    n_orphans: int
    n_questions: int
    n_killed_asking: int
    n_at_a_time: int
    fewest_between: int | None
    waited: float

    @property
    def limit(self) -> float:
        """Seconds that a trial may wait: for the first answer of others, then for one of its own."""
        return Election(PATIENCE).longest_wait + PATIENCE

    def problems(self) -> list[str]:
        """The promises that were broken."""
        tally = self.tally
        n_unanswered = self.n_questions - tally.n_answers
        promises = {
            f"{tally.n_lost} finished trials are lost": tally.n_lost == 0,
            f"{self.n_twice} trials were finished twice": self.n_twice == 0,
            f"{self.n_orphans} trials are running though their workers ended well": self.n_orphans == 0,
            f"{tally.n_running} trials are left running by {self.n_kills} kills": tally.n_running <= self.n_kills,
            f"{tally.n_failed} trials failed": tally.n_failed == 0,
            f"{tally.equal} are equal": not tally.equal,
            f"{self.n_at_a_time} questions were asked at a time": self.n_at_a_time <= 1,
            f"{n_unanswered} of {self.n_questions} questions brought nothing": n_unanswered <= self.n_killed_asking,
            f"{self.fewest_between} trials between two answers": (self.fewest_between or EVERY) >= EVERY,
            f"a trial waited for {self.waited:.0f} s": self.waited <= self.limit,
        }
        return [text for text, is_kept in promises.items() if not is_kept]

    def cells(self) -> list[str]:
        """A row of the table, without the storage."""
        tally = self.tally
        numbers = (self.n_kills, tally.n_finished, tally.n_running, tally.n_failed, tally.n_lost, len(tally.equal))
        asked = (self.n_questions, tally.n_answers, self.n_killed_asking, self.n_at_a_time)
        return [*map(str, (*numbers, *asked)), f"{self.waited:.1f} s", f"{self.limit:.0f} s"]


def run(place: Place, folder: Path, *, n_kills: int, seed: int) -> Chaos:
    """A study whose workers are killed.

    Args:
        place: An empty storage.
        folder: Where the workers write down what they saw.
        n_kills: How many are killed, one after the other.
        seed: Of the moments and of the workers.

    Raises:
        RuntimeError: If a worker that was not killed ended badly.
    """
    rng = np.random.default_rng([seed, 0])
    policy = RefreshPolicy(every=EVERY, lost_trust=None, stagnation=None, space_change=False, max_elicitations=1000)
    with serving() as server:
        model = SlowModel(server, seed)
        crew = Crew(place, folder, Asking(server.url, N_STARTUP, PATIENCE, policy))
        try:
            crew.start(N_WORKERS, n_trials=MANY, objective=timed)
            killed = _kill(crew, rng, n_kills)
            (folder / "stop").touch()
            living = [name for name in crew.workers if name not in killed]
            codes = crew.wait(living, timeout=300.0)
        finally:
            crew.end()
    if set(codes.values()) != {0}:
        raise RuntimeError(crew.errors() or f"Expected all workers to end, got {codes}.")
    return _chaos(crew, model, killed)


def _kill(crew: Crew, rng: np.random.Generator, n_kills: int) -> dict[str, float]:
    """Kill workers one after the other, each replaced at once; when, by name."""
    killed: dict[str, float] = {}
    for _ in range(n_kills):
        time.sleep(float(rng.uniform(*SECONDS_BETWEEN_KILLS)))
        name = str(rng.choice([name for name in crew.workers if name not in killed]))
        crew.kill(name)
        killed[name] = time.monotonic()
        crew.start(1, n_trials=MANY, objective=timed, together=False)
    return killed


def _chaos(crew: Crew, model: SlowModel, killed: dict[str, float]) -> Chaos:
    study = optuna.load_study(study_name=STUDY, storage=crew.place.open())
    killed_processes = {crew.workers[name].pid for name in killed}
    marks = [asker(trial) for trial in study.get_trials(states=(TrialState.RUNNING,))]
    numbers = [noted["number"] for noted in crew.finished()]
    answered = sorted(elicitation.n_finished for elicitation in load_elicitations(study))
    # A question ends with its answer, or with the worker that has put it.
    spans = [(since, min(until, killed.get(name, until))) for name, since, until in model.questions]
    return Chaos(
        n_kills=len(killed),
        tally=crew.tally(),
        n_twice=len(numbers) - len(set(numbers)),
        n_orphans=sum(mark is not None and mark.pid not in killed_processes for mark in marks),
        n_questions=len(model.questions),
        n_killed_asking=sum(
            killed.get(name, float("inf")) < until + STORED_SECONDS for name, _, until in model.questions
        ),
        n_at_a_time=max((sum(a <= since < b for a, b in spans) for since, _ in spans), default=0),
        fewest_between=min((b - a for a, b in itertools.pairwise(answered)), default=None),
        waited=max(crew.waited(), default=0.0),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both storages and print the table."""
    parser = new_parser(__doc__)
    parser.add_argument("--kills", type=positive, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problems: list[str] = []
    print(*markdown_head([*COLUMNS, *MORE_COLUMNS]), sep="\n", flush=True)
    for storage in ("SQLite", *(() if missing() else ("PostgreSQL",))):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            is_postgresql = storage == "PostgreSQL"
            url = stack.enter_context(PostgreSQL()).url if is_postgresql else f"sqlite:///{folder}/study.db"
            chaos = run(Database(url), folder, n_kills=options.kills, seed=options.seed)
            print(markdown_row([storage, *chaos.cells()]), flush=True)
            problems += [f"{storage}: {problem}" for problem in chaos.problems()]
    if problems:
        raise SystemExit("\n".join(problems))


if __name__ == "__main__":
    main()
