"""One objective with constraints: the analytic acquisition function against sampling, GPSampler and TPE.

    python -m benchmarks.constrained --out constrained.jsonl --seeds 8 --trials 40 --workers 2

BoTorch's constrained test functions, on which all constraints are known after a trial. *Ours* is the sampler without a
prior; *sampled* is the same with `qLogNoisyExpectedImprovement`, which it uses while trials run. A trial that violates
a constraint has no value. Takes up an interrupted run again, and prints its tables at the end.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import optuna
import torch
from botorch.test_functions import synthetic
from optuna.samplers import GPSampler, TPESampler

from benchmarks.harness.arguments import add_run_options, new_parser
from benchmarks.harness.sampled import NO_OPINION, SampledSampler
from llm_prior_bo import LLMPriorSampler, compare

FUNCTIONS = ("ConstrainedGramacy", "ConstrainedHartmann", "TensionCompressionString", "WeldedBeamSO", "PressureVessel")


def objective(trial: optuna.Trial, *, name: str) -> float:
    """The function at a trial's point; its slacks are the constraints."""
    function = getattr(synthetic, name)().double()
    bounds = function.bounds.T.tolist()
    x = torch.tensor(
        [[trial.suggest_float(f"x{i}", low, high) for i, (low, high) in enumerate(bounds)]], dtype=torch.float64
    )
    for i, slack in enumerate(function.evaluate_slack(x).squeeze(0).tolist()):
        trial.set_constraint(f"c{i}", -slack)
    return float(function.evaluate_true(x))


SAMPLERS: dict[str, Any] = {
    "ours": lambda seed: LLMPriorSampler(elicitor=NO_OPINION, seed=seed),
    "sampled": lambda seed: SampledSampler(elicitor=NO_OPINION, seed=seed),
    "GPSampler": GPSampler,
    "TPESampler": TPESampler,
}


def main() -> None:
    """Run what is missing and print the tables."""
    parser = new_parser(__doc__)
    add_run_options(parser, seeds=8, trials=40)
    parser.add_argument("--functions", nargs="+", default=FUNCTIONS, choices=FUNCTIONS)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    result = compare(
        {name: partial(objective, name=name) for name in options.functions},
        SAMPLERS,
        n_trials=options.trials,
        seeds=options.seeds,
        baseline="GPSampler",
        path=options.out,
        n_jobs=options.workers,
    )
    print(result.to_markdown())


if __name__ == "__main__":
    main()
