"""The base acquisition function, before the prior: always in log space."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.acquisition.analytic import LogExpectedImprovement, _log_ei_helper
from botorch.acquisition.logei import qLogNoisyExpectedImprovement, qLogProbabilityOfFeasibility
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.acquisition.objective import GenericMCObjective
from botorch.models.gp_regression import SingleTaskGP
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from botorch.utils.transforms import t_batch_mode_transform
from torch import Tensor

from llm_prior_bo.exact_gp import ExactPosterior
from llm_prior_bo.surrogate import Surrogate

N_MC_SAMPLES = 128
MAX_PENDING = 32
"""Pending points that are integrated over; of more, the others count as evaluated with what is expected there, or the
cost of a suggestion would grow with the number of workers."""
_SMALLEST_VARIANCE = 1e-12  # BoTorch's
_FAR_BELOW = -1e4
"""Standard deviations below the best value from which on a difference of logarithms has lost too many digits."""
_LOG_ROOT_2PI = 0.5 * math.log(2.0 * math.pi)


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
        if isinstance(surrogate.model, SingleTaskGP):
            return LeanLogExpectedImprovement(ExactPosterior(surrogate.model), best_f=_best_value(surrogate))
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
    """BoTorch's `LogExpectedImprovement` of one output to be maximised, with its gradient in closed form."""

    @t_batch_mode_transform(expected_q=1)  # type: ignore[arg-type]  # typed for functions of the base class
    def forward(self, X: Tensor) -> Tensor:
        """`b x 1 x d` to `b`."""
        posterior: Any = self.model.posterior(X)  # of whatever kind, it has these two
        return log_improvement(posterior.mean[..., 0, 0], posterior.variance[..., 0, 0], torch.as_tensor(self.best_f))


def log_improvement(mean: Tensor, variance: Tensor, best: Tensor) -> Tensor:
    """Log expected improvement on a value, differentiable.

    Args:
        mean: Posterior means, `b`.
        variance: Posterior variances, `b`; below 1e-12 they count as that.
        best: The value to improve on, a scalar.

    Returns:
        `b`.
    """
    value: Tensor = _LogImprovement.apply(mean, variance, best)
    return value


class _LogImprovement(torch.autograd.Function):
    """`log EI = log σ + log h(u)`, `u = (μ - best) / σ`, `h = φ + u Φ`, where `EI' = Φ` in `μ` and `φ` in `σ`."""

    @staticmethod
    def forward(ctx: Any, mean: Tensor, variance: Tensor, best: Tensor) -> Tensor:
        """Mean and variance, `b` each, and the value to improve on, to `b`."""
        sigma = variance.clamp_min(_SMALLEST_VARIANCE).sqrt()
        u = (mean - best) / sigma
        log_h = _log_ei_helper(u)
        ctx.save_for_backward(u, sigma, log_h, variance > _SMALLEST_VARIANCE)
        return sigma.log() + log_h

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        """Quotients of values that underflow far below the best one: of their logarithms, then by their series."""
        u, sigma, log_h, is_positive = ctx.saved_tensors
        scaled = gradient / sigma
        far, magnitude = u < _FAR_BELOW, u.abs().clamp_min(1.0)
        by_mean = torch.exp(torch.special.log_ndtr(u) - log_h)
        by_mean = scaled * torch.where(far, magnitude + 2.0 / magnitude, by_mean)
        by_sigma = torch.exp(-0.5 * u.square() - _LOG_ROOT_2PI - log_h)
        by_sigma = scaled * torch.where(far, magnitude.square() + 3.0, by_sigma)
        return by_mean, (0.5 * by_sigma / sigma) * is_positive, None


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
