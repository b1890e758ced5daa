"""What do the settings of the trust gate, of the start-up and of the exponent do?

    python -m benchmarks.trust_ablation settings --out settings.jsonl --seeds 10 --workers 2
    python -m benchmarks.trust_ablation studies --out studies.jsonl --seeds 10 --workers 2

`settings` runs one study a problem, prior and seed with the gate as it is, and weighs the same trials anew under other
settings: median trust in right and wrong priors after 6, 10, 15 and 20 trials. `studies` runs whole studies with other
shares of the start-up outside the prior and other exponents, and reports regret and trust. Both take up an interrupted
run again, and print their table at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna

from benchmarks.harness.arguments import add_run_options, new_parser
from benchmarks.harness.priors import make_prior
from benchmarks.harness.problems import get_problem
from benchmarks.harness.study import run_trials
from llm_prior_bo import EvidenceTrust, LLMPriorSampler, PowerDecay, SearchSpace
from llm_prior_bo._isolation import isolated_torch
from llm_prior_bo.compare.markdown import markdown_table
from llm_prior_bo.compare.runner import Record, Task, finished, run_tasks
from llm_prior_bo.compare.statistics import Quartiles
from llm_prior_bo.models.surrogate import fit_surrogate
from llm_prior_bo.study.training_data import training_data_of

CHECKPOINTS = (6, 10, 15, 20)
RIGHT, WRONG = ("strong", "weak"), ("wrong-narrow", "wrong-wide")
SETTINGS: Mapping[str, EvidenceTrust] = {
    "as shipped": EvidenceTrust(),
    "not divided by p_0": EvidenceTrust(baseline="uniform"),
    "temperature 2": EvidenceTrust(temperature=2.0),
    "temperature 4": EvidenceTrust(temperature=4.0),
    "64 draws": EvidenceTrust(n_draws=64),
    "1024 draws": EvidenceTrust(n_draws=1024),
    "resolution 0": EvidenceTrust(resolution=0.0),
    "resolution 0.2": EvidenceTrust(resolution=0.2),
    "density cut at 2": EvidenceTrust(density_cap=2.0),
    "density not cut": EvidenceTrust(density_cap=1e12),
}
STUDIES: Mapping[str, Mapping[str, Any]] = {
    "as in 'evidence'": {},
    "no start-up outside": {"uniform_startup_fraction": 0.0},
    "two of five outside": {"uniform_startup_fraction": 0.4},
    "beta 10, at most 1": {"decay": PowerDecay(10.0, cap=1.0)},
}
SETTINGS_PROBLEMS = ("branin", "hartmann6", "levy4", "mixed")
STUDY_PROBLEMS = ("branin", "hartmann6", "rosenbrock4")


def _sampler(task: Task, options: Mapping[str, Any]) -> LLMPriorSampler:
    problem = get_problem(task.problem)
    given = {"decay": PowerDecay(10.0), **options}
    return LLMPriorSampler(prior=make_prior(task.prior, problem, task.seed), seed=task.seed, **given)


def weigh_settings(task: Task) -> dict[str, Any]:
    """Trust under every setting after some of the trials of one study."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problem = get_problem(task.problem)
    prior = make_prior(task.prior, problem, task.seed)
    trials = run_trials(problem, _sampler(task, {}), n_trials=task.n_trials).trials
    space = SearchSpace(problem.distributions)
    trust: dict[str, list[float | None]] = {name: [] for name in SETTINGS}
    for n in CHECKPOINTS:
        study = optuna.create_study()
        study.add_trials(trials[:n])
        with isolated_torch():
            surrogate = fit_surrogate(training_data_of(study, space), space)
            for name, gate in SETTINGS.items():
                trust[name].append(gate.reweight(prior, surrogate, seed=task.seed).trust)
    return {"trust": trust}


def run_study(task: Task) -> dict[str, Any]:
    """Regret after every trial and trust at every trial of one study."""
    sampler = _sampler(task, STUDIES[task.method])
    problem = get_problem(task.problem)
    study = run_trials(problem, sampler, n_trials=task.n_trials)
    values = [float(trial.values[0]) for trial in study.trials]
    told = sampler.get_statistics(study).suggestions
    trust = [told[n].trust if n in told else None for n in range(task.n_trials)]
    regret = np.minimum.accumulate(values) - problem.optimal_value
    return {"regret": regret.tolist(), "trust": trust}


def settings_table(records: Sequence[Record]) -> str:
    """Median trust by setting, right and wrong priors apart."""
    rows = []
    for name in SETTINGS:
        rows.append({"setting": name})
        for title, kinds in {"right": RIGHT, "wrong": WRONG}.items():
            trust = np.array([r["trust"][name] for r in records if r["prior"] in kinds], dtype=np.float64)
            for n, column in zip(CHECKPOINTS, trust.T, strict=True):
                rows[-1][f"{title} after {n}"] = Quartiles.of(column.tolist()).text(".2f")
    return markdown_table(rows)


def studies_table(records: Sequence[Record]) -> str:
    """Regret over that of the first method, paired by seed, and trust, by kind of prior."""
    rows = []
    by_key = {(r["problem"], r["prior"], r["method"], r["seed"]): r for r in records}
    first = next(iter(STUDIES))
    for prior in ("weak", "wrong-wide"):
        for method in STUDIES:
            own = {(p, s): r for (p, k, m, s), r in by_key.items() if (k, m) == (prior, method)}
            if not own:
                continue
            rows.append({"method": method, "prior": prior})
            for n in (10, 20, 30):
                logs = [
                    np.log(max(r["regret"][n - 1], 1e-9) / max(by_key[p, prior, first, s]["regret"][n - 1], 1e-9))
                    for (p, s), r in own.items()
                    if (p, prior, first, s) in by_key
                ]
                ratio = f"{np.exp(np.median(logs)):.2f} ({np.exp(np.mean(logs)):.2f} on average)"
                rows[-1][f"regret / that of the first row after {n}"] = ratio
            for n in (10, 20):
                told = [r["trust"][n] for r in own.values() if r["trust"][n] is not None]
                rows[-1][f"trust at {n}"] = Quartiles.of(told).text(".2f") if told else ""
    return markdown_table(rows)


def main() -> None:
    """Run what is missing and print the table."""
    parser = new_parser(__doc__)
    parser.add_argument("part", choices=("settings", "studies"))
    add_run_options(parser, seeds=10)
    options = parser.parse_args()
    seeds = range(options.seeds)
    if options.part == "settings":
        tasks = [Task(p, k, "settings", s, 20) for s in seeds for p in SETTINGS_PROBLEMS for k in (*RIGHT, *WRONG)]
        records = run_tasks(tasks, out=options.out, execute=weigh_settings, n_workers=options.workers)
        print(settings_table(finished(records)))
    else:
        tasks = [
            Task(p, k, m, s, 30) for s in seeds for p in STUDY_PROBLEMS for k in ("weak", "wrong-wide") for m in STUDIES
        ]
        records = run_tasks(tasks, out=options.out, execute=run_study, n_workers=options.workers)
        print(studies_table(finished(records)))


if __name__ == "__main__":
    main()
