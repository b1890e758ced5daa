"""A prior over the optimum in a BoTorch loop of one's own; Optuna and language models play no part.

    python examples/botorch_only.py
    python examples/botorch_only.py --seeds 10

Hartmann's function in six dimensions is maximised in batches of two. `prior_weighted` multiplies a density into the
acquisition function, and `EvidenceTrust` weighs it against the model at every step. The loop runs without a prior, with
one that is roughly right (the known optimum, rounded to one digit, give or take 0.2) and with one that is wrong (the
opposite corner, just as sure of itself), always from the same Sobol points.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.optim.optimize import optimize_acqf
from botorch.test_functions.synthetic import Hartmann
from botorch.utils.sampling import draw_sobol_samples
from gpytorch.mlls import ExactMarginalLogLikelihood
from optuna.distributions import FloatDistribution
from torch import Tensor

from llm_prior_bo import (
    BoundedLossDecay,
    EvidenceTrust,
    OptimumPrior,
    PriorAnswer,
    SearchSpace,
    UniformPrior,
    build_prior,
    prior_weighted,
)

N_START, Q = 6, 2
SPACE = SearchSpace({f"x{i}": FloatDistribution(0.0, 1.0) for i in range(1, 7)})
HARTMANN = Hartmann(dim=6, negate=True, dtype=torch.float64)  # its largest value is 3.322

ROUGHLY_RIGHT = (0.2, 0.2, 0.5, 0.3, 0.3, 0.7)


def belief(centre: Sequence[float]) -> OptimumPrior:
    """A density about a point: each coordinate within 0.2 of it, with a probability of 80 % as far as one knows."""
    intervals = {
        name: (best, max(best - 0.2, 0.0), min(best + 0.2, 1.0)) for name, best in zip(SPACE.names, centre, strict=True)
    }
    return build_prior(PriorAnswer.by_hand(numeric=intervals, confidence=0.9), SPACE)


def priors() -> dict[str, OptimumPrior]:
    """What the loops believe."""
    return {
        "no prior": UniformPrior(SPACE),
        "roughly right": belief(ROUGHLY_RIGHT),
        "wrong": belief([1.0 - x for x in ROUGHLY_RIGHT]),
    }


def suggest(X: Tensor, Y: Tensor, prior: OptimumPrior) -> tuple[Tensor, float | None]:
    """The next batch, `Q x 6`, and the trust in the prior. This is all that changes in a BoTorch loop."""
    model = SingleTaskGP(X, Y)
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    evidence = EvidenceTrust().reweight_model(prior, model, incumbents=X[Y.argmax(dim=0)])
    decay = BoundedLossDecay(max_loss=np.e, from_trial=20).for_prior(prior)
    base = qLogNoisyExpectedImprovement(model, X, prune_baseline=True)
    acqf = prior_weighted(base, evidence.prior, exponent=decay(len(X)))
    candidates, _ = optimize_acqf(
        acqf, torch.as_tensor(SPACE.bounds), q=Q, num_restarts=4, raw_samples=128, sequential=True
    )
    return candidates, evidence.trust


def maximise(prior: OptimumPrior, *, n_batches: int, seed: int) -> tuple[list[float], list[float]]:
    """Best value after the start and after each batch, and the trust in the prior at each of them."""
    torch.manual_seed(seed)
    X = draw_sobol_samples(torch.as_tensor(SPACE.bounds), n=N_START, q=1, seed=seed).squeeze(1)  # N_START x 6
    Y = HARTMANN(X).unsqueeze(-1)
    best, trusts = [float(Y.max())], []
    for _ in range(n_batches):
        candidates, trust = suggest(X, Y, prior)
        X, Y = torch.cat([X, candidates]), torch.cat([Y, HARTMANN(candidates).unsqueeze(-1)])
        best.append(float(Y.max()))
        trusts.append(0.0 if trust is None else trust)
    return best, trusts


def main(arguments: Sequence[str] | None = None) -> dict[str, list[list[float]]]:
    """Run the loop with each prior and several seeds; gives the best values."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=6, help=f"batches of {Q} points after {N_START} Sobol points")
    options = parser.parse_args(arguments)
    n_points = [N_START + Q * i for i in range(options.batches + 1)]
    print(f"Best value (the largest there is: {HARTMANN.optimal_value:.3f}), median of {options.seeds} seeds")
    print(f"{'after':<32}" + "".join(f"{n:>7}" for n in n_points) + " points")
    results = {}
    for name, prior in priors().items():
        loops = [maximise(prior, n_batches=options.batches, seed=seed) for seed in range(options.seeds)]
        results[name] = [best for best, _ in loops]
        print(f"{name:<32}" + "".join(f"{value:7.2f}" for value in np.median(results[name], axis=0)))
        if not prior.is_uniform:
            trusts = np.median([trust for _, trust in loops], axis=0)
            print(f"{'  trust in it, stated 0.90':<32}" + "".join(f"{trust:7.2f}" for trust in trusts))
    return results


if __name__ == "__main__":
    main()
