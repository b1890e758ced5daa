"""Several objectives: the analytic acquisition function against sampling, GPSampler and TPE.

    python -m benchmarks.several_objectives --out objectives.jsonl --seeds 8 --trials 40 --workers 2

BoTorch's test functions. What counts is the volume that the front dominates above the function's reference point, as a
share of the largest known. *Ours* is the sampler without a prior; *sampled* is the same with
`qLogNoisyExpectedHypervolumeImprovement`, which it uses while trials run. Takes up an interrupted run again, and prints
its table at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
import torch
from botorch.test_functions import multi_objective
from botorch.utils.multi_objective.hypervolume import Hypervolume
from botorch.utils.multi_objective.pareto import is_non_dominated
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.study import StudyDirection

from benchmarks.harness.arguments import add_run_options, new_parser
from benchmarks.harness.sampled import NO_OPINION, SampledSampler
from llm_prior_bo import LLMPriorSampler
from llm_prior_bo.compare.markdown import markdown_table
from llm_prior_bo.compare.runner import Record, Task, finished, run_tasks
from llm_prior_bo.compare.statistics import Quartiles, paired_bootstrap

FUNCTIONS: Mapping[str, Callable[[], Any]] = {
    "BraninCurrin": lambda: multi_objective.BraninCurrin(negate=True),
    "DTLZ2, 4 inputs": lambda: multi_objective.DTLZ2(dim=4, num_objectives=2, negate=True),
    "ZDT1, 4 inputs": lambda: multi_objective.ZDT1(dim=4, num_objectives=2, negate=True),
    "VehicleSafety": lambda: multi_objective.VehicleSafety(negate=True),
}
"""Name -> function; the last one has three objectives."""

SAMPLERS: Mapping[str, Callable[[int], BaseSampler]] = {
    "ours": lambda seed: LLMPriorSampler(elicitor=NO_OPINION, seed=seed),
    "sampled": lambda seed: SampledSampler(elicitor=NO_OPINION, seed=seed),
    "GPSampler": lambda seed: GPSampler(seed=seed),
    "TPESampler": lambda seed: TPESampler(seed=seed),
}
REFERENCE = "GPSampler"
CHECKPOINTS = (20, 30, 40)


def run_study(task: Task) -> dict[str, Any]:
    """One study: the share of the largest known volume after each trial."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    function = FUNCTIONS[task.problem]().double()
    bounds = function.bounds.T.tolist()

    def objective(trial: optuna.Trial) -> list[float]:
        x = torch.tensor(
            [[trial.suggest_float(f"x{i}", low, high) for i, (low, high) in enumerate(bounds)]], dtype=torch.float64
        )
        values: list[float] = function(x).squeeze(0).tolist()
        return values

    directions = [StudyDirection.MAXIMIZE] * function.num_objectives
    study = optuna.create_study(directions=directions, sampler=SAMPLERS[task.method](task.seed))
    study.optimize(objective, n_trials=task.n_trials)
    Y = torch.tensor([trial.values for trial in study.trials], dtype=torch.float64)
    volume = Hypervolume(function.ref_point.double())
    shares = [volume.compute(_front(Y[: n + 1])) / function.max_hv for n in range(len(Y))]
    return {"share": shares}


def _front(Y: torch.Tensor) -> torch.Tensor:
    return Y[is_non_dominated(Y)]


def table(records: Sequence[Record]) -> str:
    """Median share with quartiles, and the mean difference to `REFERENCE` by seed; larger is better."""
    shares: dict[tuple[str, str], dict[int, list[float]]] = {}
    for r in records:
        shares.setdefault((r["problem"], r["method"]), {})[r["seed"]] = r["share"]
    rows = []
    for (problem, method), own in shares.items():
        other = shares.get((problem, REFERENCE), {})
        seeds = sorted(own.keys() & other.keys())
        row = {"function": problem, "method": method, "seeds": str(len(own))}
        for n in (n for n in CHECKPOINTS if all(len(share) >= n for share in own.values())):
            row[f"after {n}"] = Quartiles.of([share[n - 1] for share in own.values()]).text(".3f")
            if method != REFERENCE and seeds:
                found = paired_bootstrap([own[s][n - 1] for s in seeds], [other[s][n - 1] for s in seeds])
                row[f"after {n}, minus {REFERENCE}"] = str(found)
        rows.append(row)
    return markdown_table(rows)


def main() -> None:
    """Run what is missing and print the table."""
    parser = new_parser(__doc__)
    add_run_options(parser, seeds=8, trials=40)
    parser.add_argument("--functions", nargs="+", default=list(FUNCTIONS), choices=list(FUNCTIONS))
    options = parser.parse_args()
    tasks = [
        Task(function, "none", method, seed, options.trials)
        for seed in range(options.seeds)
        for function in options.functions
        for method in SAMPLERS
    ]
    print(table(finished(run_tasks(tasks, out=options.out, execute=run_study, n_workers=options.workers))))


if __name__ == "__main__":
    main()
