"""A prior over the optimum, added to a BoTorch acquisition function.

    log α_n(X) + γ_n · Σ_j log π(x_j),    X = (x_1, ..., x_q)

in log space only (πBO, Hvarfner et al., ICLR 2022, with the decay `γ_n` chosen by the caller). BoTorch's own
`PriorGuidedAcquisitionFunction` computes the same at `q = 1`. For sample-reducing Monte Carlo functions it weights each
point *inside* the maximum over the batch, and weights pending points with them: one pending point at a good place then
decides the maximum, and the surface goes flat. Here the pending points stay with the base function and only the new
points are weighted, which also opens the way to `q > 1`, pending points and hypervolume functions alike.
"""

from __future__ import annotations

from collections.abc import Callable

from botorch.acquisition.acquisition import AcquisitionFunction
from torch import Tensor

from llm_prior_bo.acquisition.log_sum import HasLogProb, LogDensity, LogSum, Term


def prior_weighted(
    acq_function: AcquisitionFunction,
    prior: HasLogProb | LogDensity,
    *,
    exponent: float,
    to_log: Callable[[Tensor], Tensor] | None = None,
) -> LogSum:
    """Add a prior over the optimum to an acquisition function.

    Works with every acquisition function whose values are log values, for `q >= 1`, one or several objectives,
    constraints and pending points:

        base = qLogNoisyExpectedImprovement(model, X_baseline, X_pending=X_pending)
        acqf = prior_weighted(base, prior, exponent=PowerDecay(10.0)(n))
        candidates, value = optimize_acqf(acqf, bounds, q=4, num_restarts=4, raw_samples=128, sequential=True)

    Optimise batches with `sequential=True`, where each new point meets the earlier ones as pending points. Optimised
    jointly, nearly equal points at the prior's mode can win: the base function loses little by the repetition, and each
    of them earns the mode's density.

    To hold some coordinates fixed, use `fixed_features=` of the optimizer, or wrap the result in BoTorch's
    `FixedFeatureAcquisitionFunction`: the prior has to see all `d` coordinates.

    Args:
        acq_function: The base function. It keeps its pending points.
        prior: An `OptimumPrior`, or anything with such a `log_prob`, or a function that gives the log density of
            points `batch_shape x d` as `batch_shape`. Its values must be finite: mix in a uniform floor where a density
            would vanish.
        exponent: The weight `γ_n`, finite and at least 0, usually `decay(n)`. At 0 the result equals the base function
            exactly, and the prior is not evaluated.
        to_log: Takes the base function's values (`batch_shape`) to log space if they are not there yet, element by
            element and rising, e.g. `torch.log` for a positive function, or
            `lambda value: torch.nn.functional.softplus(value).log()` for an upper confidence bound.

    Returns:
        The weighted acquisition function; `LogSum` takes further terms.

    Raises:
        UnsupportedAcquisitionError: If the values are not log values and no `to_log` is given, or if they are and one
            is given, or if the function optimises points that are not candidates (one-shot functions).
        ConfigurationError: If the exponent is negative or not finite.
    """
    return LogSum(acq_function, [Term("prior", prior, exponent)], to_log=to_log)
