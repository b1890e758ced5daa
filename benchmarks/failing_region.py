"""What is learned from failed trials: a third of the space fails, or one trial in ten wherever it is.

    python -m benchmarks.failing_region --out failing.jsonl --seeds 8 --trials 40 --workers 1

Regions are half-planes in two numeric parameters, like "too much memory":

* `border`: the optimum is at the edge of the third that fails (0.01 of a range away from it);
* `inside`: the third at the other end fails, the optimum is as far from it as that leaves room;
* `random`: one trial in ten fails, whatever it is.

Methods: this package with and without the factor; Optuna's `GPSampler` and `TPESampler`, for which failed trials do not
exist. Takes up an interrupted run again, and prints its table at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
import torch
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.trial import TrialState

from benchmarks.harness.arguments import add_run_options, new_parser
from benchmarks.harness.priors import make_prior
from benchmarks.harness.problems import Problem, get_problem
from llm_prior_bo import LLMPriorSampler, UniformPrior
from llm_prior_bo.compare.markdown import markdown_table
from llm_prior_bo.compare.runner import Record, Task, finished, run_tasks
from llm_prior_bo.compare.statistics import Quartiles

CASES = (
    "branin/inside",
    "hartmann6/inside",
    "mixed/inside",
    "hartmann3/border",
    "hartmann6/border",
    "mixed/border",
    "branin/random",
    "hartmann6/random",
    "mixed/random",
)
COLUMNS: Mapping[str, tuple[int, int]] = {"mixed": (2, 3)}
"""The two numeric columns that decide, the first two elsewhere; of `mixed`, depth and units."""

OURS: Mapping[str, Mapping[str, Any]] = {"factor": {}, "no factor": {"feasibility": False}}
THEIRS = ("GPSampler", "TPESampler")
FAILING_SHARE = 1.0 / 3.0
RANDOM_SHARE = 0.1
MARGIN = 0.01
N_STARTUP = 10
CHECKPOINTS = (20, 40)


@cache
def half_plane(name: str) -> tuple[npt.NDArray[np.float64], float, float]:
    """Direction `d` and the two limits of the load `direction @ x`: failing above the first (second: below) one.

    Above the first fail `FAILING_SHARE` of the space, with the optimum just below it; below the second as many.
    """
    problem = get_problem(name)
    columns = list(COLUMNS.get(name, (0, 1)))
    uniform = UniformPrior(problem.space).stratified_sample(8192, generator=torch.Generator().manual_seed(0)).numpy()
    optimum = problem.space.encode([problem.optimum])[0]
    angles = np.linspace(0.0, 2.0 * np.pi, 720, endpoint=False)
    directions = np.zeros((len(angles), len(problem.space)))
    directions[:, columns] = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    limits = directions @ optimum + MARGIN
    shares = (uniform @ directions.T > limits).mean(axis=0)
    best = int(np.abs(shares - FAILING_SHARE).argmin())
    low = float(np.quantile(uniform @ directions[best], FAILING_SHARE))
    return directions[best], float(limits[best]), low


def fails(case: str, params: Mapping[str, Any], *, seed: int, number: int) -> bool:
    """Whether a trial of a case fails."""
    name, region = case.split("/")
    if region == "random":
        return bool(np.random.default_rng([seed, number]).random() < RANDOM_SHARE)
    direction, high, low = half_plane(name)
    load = float(direction @ get_problem(name).space.encode([params])[0])
    return load > high if region == "border" else load < low


def make_sampler(task: Task, problem: Problem) -> BaseSampler:
    """The sampler of a task."""
    if task.method == "GPSampler":
        return GPSampler(seed=task.seed)
    if task.method == "TPESampler":
        return TPESampler(seed=task.seed)
    return LLMPriorSampler(prior=make_prior(task.prior, problem, task.seed), seed=task.seed, **OURS[task.method])


def run_study(task: Task) -> dict[str, Any]:
    """One study: which trials failed, the regret of the best so far, and the probabilities that were told."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problem = get_problem(task.problem.split("/")[0])
    sampler = make_sampler(task, problem)
    study = optuna.create_study(sampler=sampler)
    failed, regret, best = [], [], None
    for number in range(task.n_trials):
        trial = study.ask(dict(problem.distributions))
        failed.append(fails(task.problem, trial.params, seed=task.seed, number=number))
        if failed[-1]:
            study.tell(trial, state=TrialState.FAIL)
        else:
            value = problem.evaluate(trial.params)
            best = value if best is None else min(best, value)
            study.tell(trial, value)
        regret.append(None if best is None else best - problem.optimal_value)
    return {"failed": failed, "regret": regret, "probability": list(_probabilities(sampler, study))}


def _probabilities(sampler: BaseSampler, study: optuna.Study) -> Iterator[float | None]:
    told = sampler.get_statistics(study).suggestions if isinstance(sampler, LLMPriorSampler) else {}
    for number in range(len(study.trials)):
        yield told[number].success_probability if number in told else None


def table(records: Sequence[Record]) -> str:
    """Share of failed trials and regret by case, prior and method: median and quartiles."""
    rows = []
    keys = dict.fromkeys((r["problem"], r["prior"], r["method"]) for r in records)
    order = list(CASES)
    for case, prior, method in sorted(keys, key=lambda k: (order.index(k[0]), k[1])):
        own = [r for r in records if (r["problem"], r["prior"], r["method"]) == (case, prior, method)]
        failed = np.array([r["failed"] for r in own], dtype=np.float64)
        row = {"case": case, "prior": prior, "method": method, "seeds": str(len(own))}
        for title, part in {"failed, all": failed, f"failed after {N_STARTUP}": failed[:, N_STARTUP:]}.items():
            row[title] = Quartiles.of(part.mean(axis=1).tolist()).text(".0%")
        for n in CHECKPOINTS:
            # Infinite while nothing has finished.
            regret = [np.inf if r["regret"][n - 1] is None else r["regret"][n - 1] for r in own if r["n_trials"] >= n]
            row[f"regret at {n}"] = Quartiles.of(regret).text(".3g") if regret else ""
        rows.append(row)
    return markdown_table(rows)


def make_tasks(seeds: Sequence[int], priors: Sequence[str], cases: Sequence[str], n_trials: int) -> list[Task]:
    """All studies; those of samplers without a prior once."""
    return [
        Task(case, prior, method, seed, n_trials)
        for seed in seeds
        for prior in priors
        for case in cases
        for method in (*OURS, *(THEIRS if prior == "uniform" else ()))
    ]


def main() -> None:
    """Run what is missing and print the table."""
    parser = new_parser(__doc__)
    add_run_options(parser, seeds=8, trials=40)
    parser.add_argument("--priors", nargs="+", default=["uniform", "weak"])
    parser.add_argument("--cases", nargs="+", default=CASES)
    options = parser.parse_args()
    tasks = make_tasks(range(options.seeds), options.priors, options.cases, options.trials)
    records = run_tasks(tasks, out=options.out, execute=run_study, n_workers=options.workers)
    print(table(finished(records)))


if __name__ == "__main__":
    main()
