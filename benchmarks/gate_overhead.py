"""What does the trust gate add to the time of a suggestion?

    python -m benchmarks.gate_overhead --pairs 9

Processor time of `EvidenceTrust.reweight` over that of a whole suggestion without a gate, on the same history, in turn.
The first suggestion, which fits without a warm start, is left out. Two whole suggestions are not compared: another
density makes another acquisition function, whose maximisation takes longer or shorter for reasons of its own.
"""

from __future__ import annotations

import time

import optuna
from optuna.trial import FrozenTrial

from benchmarks.harness.arguments import new_parser, positive
from benchmarks.harness.priors import make_prior
from benchmarks.harness.problems import Problem, get_problem
from benchmarks.harness.study import run_trials
from llm_prior_bo import EvidenceTrust, LLMPriorSampler, OptimumPrior, SearchSpace
from llm_prior_bo._isolation import isolated_torch
from llm_prior_bo.compare.markdown import markdown_head, markdown_row
from llm_prior_bo.compare.statistics import Quartiles
from llm_prior_bo.models.surrogate import Surrogate, fit_surrogate
from llm_prior_bo.study.training_data import training_data_of

CASES = (
    ("branin", 20),
    ("hartmann6", 20),
    ("hartmann6", 50),
    ("mixed", 20),
    ("mixed", 50),
    ("hartmann6", 100),
    ("hartmann6", 300),
)


def history(problem: Problem, n: int) -> list[FrozenTrial]:
    """Finished random trials."""
    return run_trials(problem, optuna.samplers.RandomSampler(seed=0), n_trials=n).trials


def suggestion_seconds(sampler: LLMPriorSampler, problem: Problem, trials: list[FrozenTrial]) -> float:
    """Processor time of one suggestion in a fresh study with these trials."""
    study = optuna.create_study(sampler=sampler)
    study.add_trials(trials)
    started = time.process_time()
    study.ask(dict(problem.distributions))
    return time.process_time() - started


def gate_seconds(prior: OptimumPrior, surrogate: Surrogate) -> float:
    """Processor time of one weighing."""
    with isolated_torch():
        started = time.process_time()
        EvidenceTrust().reweight(prior, surrogate)
        return time.process_time() - started


def shares(problem: Problem, n: int, pairs: int) -> list[float]:
    """Time of the gate over that of a suggestion without it, pair by pair."""
    trials = history(problem, n)
    prior = make_prior("multimodal", problem, 0)
    sampler = LLMPriorSampler(prior=prior, trust=None, seed=0)
    study = optuna.create_study(sampler=sampler)
    study.add_trials(trials)
    space = SearchSpace(problem.distributions)
    with isolated_torch():
        surrogate = fit_surrogate(training_data_of(study, space), space)
    suggestion_seconds(sampler, problem, trials)
    gate_seconds(prior, surrogate)
    return [gate_seconds(prior, surrogate) / suggestion_seconds(sampler, problem, trials) for _ in range(pairs)]


def main() -> None:
    """Print one line a case."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    parser = new_parser(__doc__)
    parser.add_argument("--pairs", type=positive, default=9, help="pairs of suggestions a case")
    options = parser.parse_args()
    titles = ["problem", "trials", "time of the gate / of a suggestion without it: median (quartiles)"]
    print(*markdown_head(titles), sep="\n")
    for name, n in CASES:
        share = Quartiles.of(shares(get_problem(name), n, options.pairs))
        print(markdown_row([name, str(n), share.text(".2f")]), flush=True)


if __name__ == "__main__":
    main()
