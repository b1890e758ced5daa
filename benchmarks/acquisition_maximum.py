"""Does the maximisation of the acquisition function find the maximum?

    python -m benchmarks.acquisition_maximum --data FOLDER

FOLDER is that of `benchmarks.engine`. The surrogate is fitted to 20 random trials of a task; then four ordinary
searches with different seeds are compared with one that has eight times the Sobol points and six times the local
searches.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import optuna

from benchmarks.harness.arguments import new_parser
from benchmarks.harness.hpo_tasks import distributions, load_task, run_trials
from llm_prior_bo import SearchSpace, UniformPrior
from llm_prior_bo._isolation import isolated_torch
from llm_prior_bo.acquisition import optimize
from llm_prior_bo.acquisition.log_acquisition import log_acquisition
from llm_prior_bo.acquisition.optimize import start_points
from llm_prior_bo.models.surrogate import fit_surrogate
from llm_prior_bo.optimization.engine import N_INCUMBENTS
from llm_prior_bo.study.training_data import training_data_of

TASKS = ("hpobench_nn_phoneme", "rbv2_xgboost_40499", "fcnet_slice_localization")


def values(data: Path, name: str, seed: int) -> tuple[list[float], float]:
    """Log acquisition values of four ordinary searches, and of the large one."""
    task = load_task(data, name)
    space = SearchSpace(distributions(task))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    run_trials(study, task, n_trials=20)
    with isolated_torch():
        training = training_data_of(study, space)
        surrogate = fit_surrogate(training, space)
        acquisition = log_acquisition(surrogate, pending=training.pending, seed=0)
        best = surrogate.incumbents(N_INCUMBENTS)

        def search(search_seed: int) -> float:
            rng = np.random.default_rng(search_seed)
            starts = start_points(UniformPrior(space), best, space, rng)
            return optimize.optimize_acquisition(acquisition, space, starts=starts, incumbents=best[:2], rng=rng)[1]

        ordinary = [search(i) for i in range(4)]
        larger: dict[str, Any] = {"N_SOBOL": 8 * optimize.N_SOBOL, "N_LOCAL_SEARCHES": 6 * optimize.N_LOCAL_SEARCHES}
        with mock.patch.multiple(optimize, **larger):
            return ordinary, search(9)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row for each task and seed."""
    parser = new_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with suite.py")
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for name in TASKS:
        for seed in range(options.seeds):
            ordinary, large = values(options.data, name, seed)
            found = " ".join(f"{value:.4f}" for value in ordinary)
            print(f"{name:26s} seed {seed}: {found}, large search {large:.4f}, shortfall {large - min(ordinary):.1e}")


if __name__ == "__main__":
    main()
