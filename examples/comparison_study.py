"""Compare samplers on the digits of the quickstart, offline: the language model's answer is a recorded one.

    python examples/comparison_study.py                                           # a first look, under a minute
    python examples/comparison_study.py --full --seeds 10 --trials 25 --jobs 2    # for conclusions; --out keeps them

Two controls tell what the answer is worth: TPE that starts from the usual defaults, and random search; `GPSampler` and
TPE are told nothing. Every seed has its own split of the data, and the error on its test rows is looked at beside the
search. Without `--full` a configuration is one network that is trained for 10 epochs; the model was asked about two
networks and 30 epochs, the task of the quickstart.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import optuna
from digits import (
    EPOCHS,
    N_NETWORKS,
    USUAL_DEFAULTS,
    DigitsTask,
    describe,
    error_rate,
    fit_network,
    search_space,
    suggest,
    use_one_thread,
)

from llm_prior_bo import ComparisonResult, LLMPriorSampler, ReplayElicitor, compare
from llm_prior_bo.errors import RepairedAnswerWarning

RECORDED_ANSWER = Path(__file__).parent / "answers" / "quickstart.json"


@cache
def task_of(seed: int) -> DigitsTask:
    """The split of the data of a seed."""
    use_one_thread()
    return DigitsTask.load(seed=seed)


def objective(trial: optuna.Trial, *, epochs: int, n_networks: int) -> float:
    """Mean validation error of networks, and their test error as the held-out quality."""
    task, config = task_of(trial.study.user_attrs["seed"]), suggest(trial)
    seeds = range(task.seed * n_networks, (task.seed + 1) * n_networks)
    networks = [fit_network(config, task.train, seed=seed, epochs=epochs) for seed in seeds]
    trial.set_user_attr("test_value", sum(error_rate(network, task.test) for network in networks) / n_networks)
    return sum(error_rate(network, task.validation) for network in networks) / n_networks


def llm_prior(seed: int) -> LLMPriorSampler:
    """The sampler under test; one recorded answer serves all studies, so a model would have been asked once."""
    warnings.simplefilter("ignore", RepairedAnswerWarning)  # one interval is extended to its best value
    return LLMPriorSampler(elicitor=ReplayElicitor(RECORDED_ANSWER), search_space=search_space(), seed=seed)


def description() -> dict[str, Any]:
    """What a study is told of the task."""
    study = optuna.create_study()
    describe(study)
    return study.user_attrs


def run(*, trials: int, seeds: int, jobs: int, full: bool, out: Path | None) -> ComparisonResult:
    """The comparison."""
    epochs, n_networks = (EPOCHS, N_NETWORKS) if full else (10, 1)
    samplers: dict[str, Callable[..., optuna.samplers.BaseSampler]] = {
        "LLM prior": llm_prior,
        "GPSampler": optuna.samplers.GPSampler,
        "TPE": optuna.samplers.TPESampler,
        "TPE, defaults first": optuna.samplers.TPESampler,
        "random": optuna.samplers.RandomSampler,
    }
    return compare(
        {"digits": partial(objective, epochs=epochs, n_networks=n_networks)},
        samplers,
        n_trials=trials,
        seeds=seeds,
        n_jobs=jobs,
        baseline="TPE",
        path=out,
        user_attrs=description(),
        enqueue={"TPE, defaults first": [USUAL_DEFAULTS]},
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare, print the tables, save the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=12, help="trials of a study (default: 12)")
    parser.add_argument("--seeds", type=int, default=2, help="number of seeds (default: 2)")
    parser.add_argument("--jobs", type=int, default=1, help="studies at a time (default: 1)")
    parser.add_argument("--full", action="store_true", help="train as in the quickstart, six times as long")
    parser.add_argument("--out", type=Path, help="file of results, JSON lines; continued if it exists")
    parser.add_argument("--figure", type=Path, default=Path("comparison.html"), help="(default: comparison.html)")
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    result = run(trials=options.trials, seeds=options.seeds, jobs=options.jobs, full=options.full, out=options.out)
    print(result)
    result.plot().write_html(options.figure)
    print(f"\nFigure: {options.figure}")


if __name__ == "__main__":
    main()
