"""The base acquisition function, before the prior: always in log space."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.acquisition.analytic import LogExpectedImprovement
from botorch.acquisition.logei import qLogNoisyExpectedImprovement, qLogProbabilityOfFeasibility
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.acquisition.objective import GenericMCObjective
from botorch.models.gp_regression import SingleTaskGP
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from botorch.utils.transforms import t_batch_mode_transform
from scipy.special import erfcx, ndtr
from torch import Tensor

from llm_prior_bo.gp.exact_gp import ExactPosterior, supports
from llm_prior_bo.gp.gradients import as_torch
from llm_prior_bo.space import FloatArray
from llm_prior_bo.surrogate import Surrogate

N_MC_SAMPLES = 128
MAX_PENDING = 32
"""Pending points that are integrated over; of more, the others count as evaluated with what is expected there, or the
cost of a suggestion would grow with the number of workers."""
_SMALLEST_VARIANCE = 1e-12  # BoTorch's
_FAR_BELOW = -1e4
"""Standard deviations below the best value from which on a difference of logarithms has lost too many digits."""
_LOG_ROOT_2PI = 0.5 * math.log(2.0 * math.pi)
_ROOT_HALF_PI = math.sqrt(0.5 * math.pi)
_ROOT2 = math.sqrt(2.0)


def log_acquisition(surrogate: Surrogate, *, pending: Tensor, seed: int) -> AcquisitionFunction:
    """Choose and build the acquisition function for a surrogate.

    * one objective, nothing pending, no constraint: analytic LogEI;
    * one objective otherwise: qLogNoisyExpectedImprovement, but while nothing is feasible the log probability that it
      is, for there is nothing to improve on;
    * several objectives: qLogNoisyExpectedHypervolumeImprovement (Ament et al., NeurIPS 2023, for all three).

    Args:
        surrogate: The fitted model.
        pending: Points under evaluation, `p x d`; beyond `MAX_PENDING` of them the rest is approximated.
        seed: Seed of the quasi-Monte-Carlo base samples.

    Returns:
        A log-valued acquisition function to be maximised.
    """
    m, c = surrogate.n_objectives, surrogate.constraints.shape[-1]
    if len(pending) > MAX_PENDING:
        surrogate, pending = surrogate.expecting(pending[MAX_PENDING:]), pending[:MAX_PENDING]
    if m == 1 and c == 0 and len(pending) == 0:
        if isinstance(surrogate.model, SingleTaskGP) and supports(surrogate.model):
            return LeanLogExpectedImprovement(surrogate.model, best_f=_best_value(surrogate))
        return LogExpectedImprovement(surrogate.model, best_f=_best_value(surrogate))
    sampler = SobolQMCNormalSampler(torch.Size([N_MC_SAMPLES]), seed=seed)
    constraints = _constraint_callables(m, c)
    if m == 1 and constraints is not None and not bool(surrogate.feasible.any()):
        return qLogProbabilityOfFeasibility(
            surrogate.model, constraints, sampler=sampler, X_pending=pending if len(pending) else None
        )
    if m == 1:
        with warnings.catch_warnings():
            # Points that are feasible only just may all be infeasible in one of the samples.
            warnings.filterwarnings("ignore", "When all training points are infeasible")
            return qLogNoisyExpectedImprovement(
                surrogate.model,
                X_baseline=surrogate.X,
                sampler=sampler,
                objective=GenericMCObjective(_first_output),
                X_pending=pending if len(pending) else None,
                constraints=constraints,
            )
    return qLogNoisyExpectedHypervolumeImprovement(
        surrogate.model,
        ref_point=_reference_point(surrogate),
        X_baseline=surrogate.X,
        sampler=sampler,
        objective=IdentityMCMultiOutputObjective(outcomes=list(range(m)), num_outcomes=m + c),
        X_pending=pending if len(pending) else None,
        constraints=constraints,
        prune_baseline=True,
    )


class LeanLogExpectedImprovement(LogExpectedImprovement):
    """BoTorch's `LogExpectedImprovement` of one output to be maximised, with its gradient in closed form.

    Args:
        model: As `ExactPosterior` takes it.
        best_f: The value to improve on.
    """

    def __init__(self, model: SingleTaskGP, best_f: float) -> None:
        super().__init__(model, best_f)
        self._best = best_f
        self._posterior = ExactPosterior(model)

    @t_batch_mode_transform(expected_q=1)  # type: ignore[arg-type]  # typed for functions of the base class
    def forward(self, X: Tensor) -> Tensor:
        """`b x 1 x d` to `b`."""
        return as_torch(self, X.squeeze(-2))

    def value(self, X: FloatArray) -> FloatArray:
        """Log expected improvement at points `n x d`, `n`."""
        marginals = self._posterior.marginals(X)
        return log_improvement(marginals.mean, marginals.variance, self._best)[0]

    def value_and_gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log expected improvement at points `n x d`, `n`, and its gradient, `n x d`."""
        marginals = self._posterior.marginals(X)
        value, by_mean, by_variance = log_improvement(marginals.mean, marginals.variance, self._best)
        return value, marginals.pull_back(by_mean, by_variance)


def log_improvement(mean: FloatArray, variance: FloatArray, best: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Log expected improvement on a value, with its derivatives (Ament et al., NeurIPS 2023, section 4.1).

        log EI = log σ + log h(u),    u = (μ - best) / σ,    h = φ + u Φ

    where `EI' = Φ` in `μ` and `φ` in `σ`. Below the best value `h` vanishes faster than its parts, so that it is taken
    as `φ (1 + u Φ/φ)`, with the quotient from `erfcx`; far below it, where the bracket vanishes too, as its series.

    Args:
        mean: Posterior means, `n`.
        variance: Posterior variances, `n`; below 1e-12 they count as that, and constant.
        best: The value to improve on.

    Returns:
        The value, its derivative by the mean, and by the variance, `n` each.
    """
    sigma = np.sqrt(np.maximum(variance, _SMALLEST_VARIANCE))
    u = (mean - best) / sigma
    above, far = u > -1.0, u < _FAR_BELOW
    log_density = -0.5 * np.square(u) - _LOG_ROOT_2PI  # log φ
    # Every branch is evaluated everywhere, at arguments that it can take.
    upper = np.maximum(u, -1.0)
    density, probability = np.exp(np.where(above, log_density, 0.0)), ndtr(upper)
    h = density + upper * probability
    lower = np.clip(u, _FAR_BELOW, -1.0)
    ratio = _ROOT_HALF_PI * erfcx(-lower / _ROOT2)  # Φ/φ
    bracket = 1.0 + lower * ratio
    tail = np.maximum(-u, 1.0)
    log_h = np.where(above, np.log(h), log_density + np.where(far, -2.0 * np.log(tail), np.log(bracket)))
    by_mean = np.where(above, probability / h, np.where(far, tail + 2.0 / tail, ratio / bracket)) / sigma
    by_sigma = np.where(above, density / h, np.where(far, np.square(tail) + 3.0, 1.0 / bracket)) / sigma
    return np.log(sigma) + log_h, by_mean, np.where(variance > _SMALLEST_VARIANCE, 0.5 * by_sigma / sigma, 0.0)


def _first_output(samples: Tensor, X: Tensor | None = None) -> Tensor:  # noqa: ARG001 - BoTorch's signature
    return samples[..., 0]


def _best_value(surrogate: Surrogate) -> float:
    return float(surrogate.Y.max())


def _constraint_callables(m: int, c: int) -> list[Callable[[Tensor], Tensor]] | None:
    return [partial(_output, i=i) for i in range(m, m + c)] or None


def _output(samples: Tensor, *, i: int) -> Tensor:
    return samples[..., i]


def _reference_point(surrogate: Surrogate) -> Tensor:
    """BoTorch's heuristic on the feasible points; on all points while nothing is feasible."""
    feasible = surrogate.Y[surrogate.feasible]
    return infer_reference_point(feasible if len(feasible) else surrogate.Y)
