"""What does one suggestion cost, beside those of Optuna's samplers on the same history?

    python -m benchmarks.speed                                                         # all cells, all samplers
    python -m benchmarks.speed --cells 300x8 --kinds mixed --samplers ours GPSampler

Every sampler suggests for the same history of random trials in an in-memory study, its evaluation is told, and so on;
the samplers take turns in one process. The figure is processor time on one thread. "First" is the first suggestion of a
new sampler object on the history, "steady" the median of the further ones, each after one more finished trial. The last
two columns are the ratios of ours to GPSampler's.

    python -m benchmarks.speed --samplers ours "ours, start-up only" "ours, correlated"    # what multiplying costs
    python -m benchmarks.speed --tasks constrained "two objectives" --cells 20x4 100x8 --samplers ours GPSampler

All have their default settings, ours a prior by hand and the trust gate. `BoTorchSampler` needs optuna-integration.
"""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, create_trial

from benchmarks.harness.arguments import new_parser
from llm_prior_bo import (
    Correlation,
    LLMPriorSampler,
    OptimumPrior,
    PriorAnswer,
    SearchSpace,
    UniformPrior,
    build_prior,
)
from llm_prior_bo.compare.markdown import markdown_head, markdown_row
from llm_prior_bo.study.trial_records import STARTED_KEY

CELLS = ("20x4", "100x8", "300x8", "300x16", "1000x8")
KINDS = ("numeric", "mixed")
TASKS = ("plain", "constrained", "two objectives")
NOISE = 0.02
OPTIMUM = 0.3
"""Where the objective is best in every numeric column, in unit coordinates."""

Outcome = tuple[list[float], dict[str, float]]


def distributions(kind: str, d: int) -> dict[str, BaseDistribution]:
    """Floats only, or two categorical parameters, two integers and floats."""
    discrete: dict[str, BaseDistribution] = {
        "activation": CategoricalDistribution(["relu", "tanh", "gelu"]),
        "nesterov": CategoricalDistribution([True, False]),
        "depth": IntDistribution(1, 12),
        "width": IntDistribution(4, 512, log=True),
    }
    space = discrete if kind == "mixed" else {}
    floats = {f"x{i}": FloatDistribution(1e-4, 1.0, log=i % 2 == 0) for i in range(d - len(space))}
    return {**space, **floats}


def objective(params: Mapping[str, Any], space: SearchSpace, rng: np.random.Generator) -> float:
    """A smooth function, curved differently along every parameter, plus noise; to be minimised."""
    u = space.encode([params])[0] / np.maximum(space.bounds[1], 1.0)
    weights = 1.0 / (1.0 + np.arange(len(u)))
    return float(weights @ (u - OPTIMUM) ** 2 + 0.05 * (1.0 - np.cos(6.0 * (u - OPTIMUM))).sum() + NOISE * rng.normal())


def outcome(task: str, params: Mapping[str, Any], space: SearchSpace, rng: np.random.Generator) -> Outcome:
    """Objective values and constraints of a configuration.

    The constraint holds in about half of the space and not at the optimum; the second objective is best elsewhere.
    """
    u = space.encode([params])[0] / np.maximum(space.bounds[1], 1.0)
    value = objective(params, space, rng)
    if task == "constrained":
        return [value], {"sum": float(0.5 - u.mean())}
    return [value, float(np.mean((u - 1.0 + OPTIMUM) ** 2))] if task == "two objectives" else [value], {}


def history(space: SearchSpace, n: int, *, seed: int = 0, task: str = "plain") -> list[FrozenTrial]:
    """Finished random trials, marked as started by our sampler."""
    rng = np.random.default_rng(seed)
    points = UniformPrior(space).sample(n, generator=torch.Generator().manual_seed(seed))
    trials = []
    for params in map(space.decode, points):
        values, constraints = outcome(task, params, space, rng)
        trials.append(
            create_trial(
                params=params,
                distributions=space.distributions,
                values=values,
                constraints=constraints or None,
                system_attrs={STARTED_KEY: True},
            )
        )
    return trials


def prior_by_hand(space: SearchSpace, *, correlated: bool = False) -> OptimumPrior:
    """A belief about half of the parameters, roughly right; the first two numeric ones correlated on demand."""
    numeric, categorical = {}, {}
    for column in space.columns[::2]:
        if column.kind == "categorical":
            categorical[column.name] = {str(column.value(0)): 0.7}
        else:
            numeric[column.name] = tuple(float(column.from_unit(u)) for u in (0.35, 0.2, 0.6))
    answer = PriorAnswer.by_hand(numeric=numeric, categorical=categorical)
    if correlated and len(numeric) > 1:
        first, second, *_ = numeric
        row = Correlation(region=answer.regions[0].region, first=first, second=second, rho=0.5)
        answer = answer.model_copy(update={"correlations": [row]})
    return build_prior(answer, space)


def samplers(names: Sequence[str], space: SearchSpace) -> dict[str, BaseSampler]:
    """New sampler objects by name; one that is not installed is left out."""
    makers: dict[str, Callable[[], BaseSampler]] = {
        "ours": lambda: LLMPriorSampler(prior=prior_by_hand(space), seed=0),
        "ours, start-up only": lambda: LLMPriorSampler(prior=prior_by_hand(space), seed=0, decay=None),
        "ours, correlated": lambda: LLMPriorSampler(prior=prior_by_hand(space, correlated=True), seed=0),
        "ours, no prior": lambda: LLMPriorSampler(prior=UniformPrior(space), seed=0),
        "GPSampler": lambda: GPSampler(seed=0),
        "BoTorchSampler": _botorch_sampler,
        "TPESampler": lambda: TPESampler(seed=0),
    }
    made = {}
    for name in names:
        try:
            made[name] = makers[name]()
        except ImportError as error:
            print(f"{name} is left out: {error}")
    return made


def _botorch_sampler() -> BaseSampler:
    from optuna_integration import BoTorchSampler

    sampler: BaseSampler = BoTorchSampler(seed=0)
    return sampler


def suggestion_seconds(
    kind: str, d: int, n: int, *, names: Sequence[str], asks: int, task: str = "plain"
) -> dict[str, list[float]]:
    """Processor time of `1 + asks` suggestions in a row, by sampler."""
    space = SearchSpace(distributions(kind, d))
    trials = history(space, n, task=task)
    directions = [StudyDirection.MINIMIZE] * len(trials[0].values)
    studies = {}
    for name, sampler in samplers(names, space).items():
        studies[name] = optuna.create_study(directions=directions, sampler=sampler)
        studies[name].add_trials(trials)
    rng = np.random.default_rng(1)
    seconds: dict[str, list[float]] = {name: [] for name in studies}
    for _ in range(1 + asks):
        for name, study in studies.items():
            seconds[name].append(timed_suggestion(study, space, rng, task=task))
    return seconds


def timed_suggestion(
    study: optuna.Study, space: SearchSpace, rng: np.random.Generator, *, task: str = "plain"
) -> float:
    """Processor time of one suggestion, in seconds; its value is told after that."""
    started = time.process_time()
    trial = study.ask(space.distributions)
    seconds = time.process_time() - started
    values, constraints = outcome(task, trial.params, space, rng)
    for name, value in constraints.items():
        trial.set_constraint(name, value)
    study.tell(trial, values)
    return seconds


def row(label: str, seconds: Mapping[str, Sequence[float]]) -> str:
    """One row of the table, milliseconds."""
    first = {name: 1e3 * times[0] for name, times in seconds.items()}
    steady = {name: 1e3 * float(np.median(times[1:])) for name, times in seconds.items()}
    cells = [f"{first[name]:.0f} / {steady[name]:.0f}" for name in seconds]
    if {"ours", "GPSampler"} <= seconds.keys():
        cells += [f"{times['ours'] / times['GPSampler']:.2f}" for times in (first, steady)]
    return markdown_row([label, *cells])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, row by row."""
    parser = new_parser(__doc__)
    parser.add_argument("--cells", nargs="+", default=list(CELLS), help="trials x parameters")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--tasks", nargs="+", default=["plain"], choices=TASKS)
    parser.add_argument("--samplers", nargs="+", default=["ours", "GPSampler", "BoTorchSampler", "TPESampler"])
    parser.add_argument("--asks", type=int, default=5, help="suggestions in the steady state")
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")  # of experimental classes, and of fits that stopped early
    torch.set_num_threads(1)
    suggestion_seconds("numeric", 4, 12, names=options.samplers, asks=1)  # imports, caches of compiled code
    first = True
    for task, kind, cell in itertools.product(options.tasks, options.kinds, options.cells):
        n, d = map(int, cell.split("x"))
        seconds = suggestion_seconds(kind, d, n, names=options.samplers, asks=options.asks, task=task)
        if first:
            print(*markdown_head(["trials x parameters", *seconds, "first ratio", "steady ratio"]), sep="\n")
            first = False
        print(row(f"{cell} {kind}" if task == "plain" else f"{cell} {kind}, {task}", seconds), flush=True)


if __name__ == "__main__":
    main()
