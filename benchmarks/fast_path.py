"""What does each part of the fast path save? The same call with `LLM_PRIOR_BO_FAST` on and off, in turn.

    python -m benchmarks.fast_path
    python -m benchmarks.fast_path --cells 20x4 300x8 --pairs 9

Processor time on one thread. Every part works on the same fitted model, data and points; "suggestion" is a whole one by
the sampler with its defaults, a prior with a correlation included. The figures are the time with BoTorch, GPyTorch,
SciPy and autograd over the time with this package's own code: medians with quartiles. Both fits start at the same
point, but end by their own rules: BoTorch's is more exact. "Expected improvement" includes what is computed once for a
model; on the fast path that is a Cholesky factor and its inverse.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import optuna
import torch

from benchmarks.harness.arguments import new_parser, positive
from benchmarks.speed import distributions, history
from llm_prior_bo import EvidenceTrust, LLMPriorSampler, OptimumPrior, PriorAnswer, SearchSpace, build_prior
from llm_prior_bo._fast_path import fast_path
from llm_prior_bo._isolation import isolated_torch
from llm_prior_bo.acquisition.log_acquisition import log_acquisition
from llm_prior_bo.acquisition.log_sum import LogSum, Term
from llm_prior_bo.acquisition.optimize import optimize_acquisition
from llm_prior_bo.compare.markdown import markdown_head, markdown_row
from llm_prior_bo.compare.statistics import Quartiles
from llm_prior_bo.elicitation import Correlation
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.feasibility import fit_feasibility
from llm_prior_bo.models.surrogate import fit_surrogate
from llm_prior_bo.priors.uniform import UniformPrior
from llm_prior_bo.study.training_data import training_data_of

CELLS = ("20x4", "100x8", "300x8")
KINDS = ("numeric", "mixed")
N_SEARCHED = 12
"""Points that are evaluated together in a step of the search: its starts."""
N_CANDIDATES = 512
SHARE_FAILED = 0.2

Call = Callable[[], object]


def coupled_prior(space: SearchSpace) -> OptimumPrior:
    """A belief about all numeric parameters, the last two of which are correlated."""
    numeric = [column for column in space.columns if column.kind != "categorical"]
    rows = {column.name: tuple(float(column.from_unit(u)) for u in (0.35, 0.2, 0.6)) for column in numeric}
    answer = PriorAnswer.by_hand(numeric=rows)
    correlation = Correlation(region=1, first=numeric[-1].name, second=numeric[-2].name, rho=0.5)
    return build_prior(answer.model_copy(update={"correlations": [correlation]}), space)


def with_failures(data: TrainingData) -> TrainingData:
    """The same data with a part of the finished trials as failed ones."""
    n = int(SHARE_FAILED * data.n)
    return TrainingData(
        X=data.X[n:], Y=data.Y[n:], constraints=data.constraints[n:], pending=data.pending, failed=data.X[:n]
    )


def parts(kind: str, n: int, d: int, *, n_calls: int) -> dict[str, Call]:
    """What is timed, by name; each reads the switch when it is called, `n_calls` times at most."""
    space = SearchSpace(distributions(kind, d))
    prior = coupled_prior(space)
    # A study each: a trial that was asked for is pending from then on.
    studies = [optuna.create_study(sampler=LLMPriorSampler(prior=prior, seed=0)) for _ in range(n_calls)]
    for study in studies:
        study.add_trials(history(space, n))
    data = training_data_of(studies[0], space)
    surrogate = fit_surrogate(data, space)
    X = UniformPrior(space).sample(N_SEARCHED, generator=torch.Generator().manual_seed(0))
    many = UniformPrior(space).sample(N_CANDIDATES, generator=torch.Generator().manual_seed(1))
    failed = with_failures(data)
    feasibility = fit_feasibility(failed, space)
    assert feasibility is not None

    def value_and_gradient(terms: Sequence[Term]) -> object:
        # The base function is built for the path that is on; its terms choose for themselves.
        return LogSum(log_acquisition(surrogate, pending=data.pending, seed=0), terms).value_and_gradient(X.numpy())

    def search() -> object:
        score = LogSum(log_acquisition(surrogate, pending=data.pending, seed=0), [Term("prior", prior, 0.1)])
        return optimize_acquisition(score, space, starts=many[:32], rng=np.random.default_rng(0))

    return {
        "fit of the hyperparameters": partial(fit_surrogate, data, space),
        "expected improvement with gradient": partial(value_and_gradient, []),
        "prior with gradient": partial(Term("prior", prior).value_and_gradient, X.numpy()),
        "feasibility with gradient": partial(Term("feasibility", feasibility).value_and_gradient, X.numpy()),
        "trust gate": partial(EvidenceTrust().reweight, prior, surrogate),
        "search for the maximum": search,
        "suggestion": lambda: studies.pop().ask(space.distributions),
    }


def seconds(call: Call, *, fast: bool) -> float:
    """Processor time of one call on one path."""
    with isolated_torch(), fast_path(fast):
        started = time.process_time()
        call()
        return time.process_time() - started


def ratios(call: Call, pairs: int) -> tuple[list[float], float]:
    """Time without over time with the fast path, pair by pair, and the median time with it in milliseconds."""
    for fast in (True, False):
        seconds(call, fast=fast)  # imports, caches
    timed = [(seconds(call, fast=False), seconds(call, fast=True)) for _ in range(pairs)]
    return [slow / max(fast, 1e-6) for slow, fast in timed], 1e3 * float(np.median([fast for _, fast in timed]))


def rows(kind: str, cell: str, pairs: int) -> Mapping[str, str]:
    """A cell of the table for every part."""
    n, d = map(int, cell.split("x"))
    table = {}
    for name, call in parts(kind, n, d, n_calls=2 * (pairs + 1)).items():
        found, milliseconds = ratios(call, pairs)
        table[name] = f"{Quartiles.of(found).text('.1f')}, {milliseconds:.1f} ms"
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, row by row."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    parser = new_parser(__doc__)
    parser.add_argument("--cells", nargs="+", default=list(CELLS), help="trials x parameters")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--pairs", type=positive, default=7, help="pairs of calls a figure")
    options = parser.parse_args(arguments)
    first = True
    for kind in options.kinds:
        for cell in options.cells:
            found = rows(kind, cell, options.pairs)
            if first:
                print(*markdown_head(["trials x parameters", *found]), sep="\n")
                first = False
            print(markdown_row([f"{cell} {kind}", *found.values()]), flush=True)


if __name__ == "__main__":
    main()
