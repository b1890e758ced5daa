"""Three processes work on one study in an SQLite file; the language model is asked once.

    python examples/parallel_sqlite.py
    python examples/parallel_sqlite.py --storage sqlite:///my.db --workers 4      # goes on where that study stands

The processes know nothing of each other, they only open the same storage: they may as well be started by hand, on
several machines with PostgreSQL or MySQL instead of SQLite. One of them asks (a recorded answer here) and stores the
answer in the study; the others wait for it, then read it. Trials that others are running count as pending points.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import optuna
from breast_cancer import describe, objective, search_space
from optuna.study import MaxTrialsCallback
from optuna.trial import TrialState

from llm_prior_bo import LLMPriorSampler, ReplayElicitor, answers_of, study_statistics

RECORDED_ANSWER = Path(__file__).parent / "answers" / "boosted_trees.json"
STUDY = "boosted_trees"


def work(name: str, storage: str, n_trials: int) -> None:
    """What each process does: open the study, and work until it has so many trials in all."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = LLMPriorSampler(elicitor=ReplayElicitor(RECORDED_ANSWER), search_space=search_space())
    study = optuna.load_study(study_name=STUDY, storage=storage, sampler=sampler)
    enough = MaxTrialsCallback(n_trials, states=(TrialState.COMPLETE, TrialState.RUNNING))

    def named_objective(trial: optuna.Trial) -> float:
        trial.set_user_attr("worker", name)
        return objective(trial)

    study.optimize(named_objective, callbacks=[enough])


def tune(storage: str, *, n_workers: int, n_trials: int) -> optuna.Study:
    """Make the study, and start the processes."""
    study = optuna.create_study(study_name=STUDY, storage=storage, direction="minimize", load_if_exists=True)
    describe(study)
    spawn = multiprocessing.get_context("spawn")
    names = [f"worker {i}" for i in range(n_workers)]
    workers = [spawn.Process(target=work, args=(name, storage, n_trials)) for name in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return study


def show(study: optuna.Study) -> None:
    """Who did what, and how often the model was asked."""
    shares = Counter(trial.user_attrs["worker"] for trial in study.trials)
    print(*answers_of(study), sep="\n")
    print(f"\n{len(answers_of(study))} answer in the study. Trials: {dict(sorted(shares.items()))}")
    print(f"{study_statistics(study)}\n\nBest log loss {study.best_value:.4f} with {study.best_params}")


def main(arguments: Sequence[str] | None = None) -> optuna.Study:
    """Work on a study in a new file, or on the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", help="address of a storage that stays; a temporary file if left out")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--trials", type=int, default=24, help="trials in all")
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        storage = options.storage or f"sqlite:///{folder}/study.db"
        study = tune(storage, n_workers=options.workers, n_trials=options.trials)
        show(study)
        return study


if __name__ == "__main__":
    main()
