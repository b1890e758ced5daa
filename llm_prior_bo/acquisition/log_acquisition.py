"""The base acquisition function, before the prior: always in log space."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.acquisition.analytic import (
    LogConstrainedExpectedImprovement,
    LogExpectedImprovement,
    LogProbabilityOfFeasibility,
)
from botorch.acquisition.logei import qLogNoisyExpectedImprovement, qLogProbabilityOfFeasibility
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.acquisition.objective import GenericMCObjective
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from torch import Tensor

from llm_prior_bo._fast_path import is_fast
from llm_prior_bo._isolation import without_remarks
from llm_prior_bo.acquisition.analytic_log_ehvi import AnalyticLogEHVI, cells_above
from llm_prior_bo.acquisition.analytic_log_ei import AnalyticLogEI
from llm_prior_bo.acquisition.constrained_log_ei import AnalyticLogFeasibility, ConstrainedLogEI, constraint_bounds
from llm_prior_bo.models.optimum_posterior import optimum_posterior
from llm_prior_bo.models.surrogate import Surrogate

N_MC_SAMPLES = 128
N_PRUNING_DRAWS = 512
"""Draws of the surrogate in which a training point must be best at least once to count as one to improve on."""
MAX_PENDING = 32
"""Pending points that are integrated over by Monte Carlo; of more, the others count as evaluated with what is expected
there, or the cost of a suggestion would grow fast with the number of workers."""

MAX_CELLS = 1000
"""Cells above a front up to which the expected hypervolume improvement is summed in closed form: enough for 500 points
on a front of two objectives, and for about 30 of three."""


@without_remarks  # points that are feasible only just may all be infeasible in one of the samples
def log_acquisition(surrogate: Surrogate, *, pending: Tensor, seed: int) -> AcquisitionFunction:
    """Choose and build the acquisition function for a surrogate.

    * one objective, no constraint: analytic LogEI, averaged over what may come out at pending points;
    * one objective with constraints: analytic LogEI on the best feasible value plus the log probability that the
      constraints hold (Gardner et al., ICML 2014), or qLogNoisyExpectedImprovement if points are pending; while nothing
      is feasible that log probability alone, for there is nothing to improve on;
    * several objectives: analytic log expected hypervolume improvement, plus the log probability that constraints
      hold; qLogNoisyExpectedHypervolumeImprovement if points are pending or there are more than `MAX_CELLS` cells above
      the front (Ament et al., NeurIPS 2023, for all).

    Args:
        surrogate: The fitted model.
        pending: Points under evaluation, `p x d`; where they are integrated over by Monte Carlo, those beyond
            `MAX_PENDING` are approximated.
        seed: Seed of the quasi-Monte-Carlo base samples.

    Returns:
        A log-valued acquisition function to be maximised.
    """
    has_constraints = surrogate.constraints.shape[-1] > 0
    if len(pending) and (has_constraints or surrogate.n_objectives > 1):
        return sampled_log_acquisition(surrogate, pending=pending, seed=seed)
    if surrogate.n_objectives > 1:
        return _hypervolume(surrogate) or sampled_log_acquisition(surrogate, pending=pending, seed=seed)
    if has_constraints:
        return _constrained(surrogate)
    if is_fast() and AnalyticLogEI.supports(surrogate.model):
        return AnalyticLogEI(surrogate.model, best_f=float(surrogate.Y.max()), pending=pending.numpy(), seed=seed)
    if len(pending):
        return sampled_log_acquisition(surrogate, pending=pending, seed=seed)
    return LogExpectedImprovement(surrogate.model, best_f=surrogate.Y.max())  # a tensor, for its dtype


def _constrained(surrogate: Surrogate) -> AcquisitionFunction:
    """Of one objective with constraints and nothing pending."""
    has_feasible = bool(surrogate.feasible.any())
    if is_fast() and all(AnalyticLogEI.supports(output) for output in surrogate.outputs):
        return ConstrainedLogEI(surrogate) if has_feasible else AnalyticLogFeasibility(surrogate)
    bounds = constraint_bounds(surrogate)
    if not has_feasible:
        return LogProbabilityOfFeasibility(surrogate.model, bounds)
    best_f = surrogate.Y[surrogate.feasible].max()
    return LogConstrainedExpectedImprovement(surrogate.model, best_f, objective_index=0, constraints=bounds)


def _hypervolume(surrogate: Surrogate) -> AcquisitionFunction | None:
    """Of several objectives with nothing pending; `None` where there is no closed form, or it would take too long."""
    if not (is_fast() and all(AnalyticLogEI.supports(output) for output in surrogate.outputs)):
        return None
    ref_point = _reference_point(surrogate)
    cells = cells_above(surrogate, ref_point)
    if cells.get_hypercell_bounds().shape[-2] > MAX_CELLS:
        return None
    return AnalyticLogEHVI(surrogate, ref_point, cells)


def sampled_log_acquisition(surrogate: Surrogate, *, pending: Tensor, seed: int) -> AcquisitionFunction:
    """The acquisition function from samples of the posterior, for any surrogate; arguments as of `log_acquisition`."""
    m, c = surrogate.n_objectives, surrogate.constraints.shape[-1]
    if len(pending) > MAX_PENDING:
        surrogate, pending = surrogate.kriging_believer(pending[MAX_PENDING:]), pending[:MAX_PENDING]
    sampler = SobolQMCNormalSampler(torch.Size([N_MC_SAMPLES]), seed=seed)
    constraints = _constraint_callables(m, c)
    if m == 1 and constraints is not None and not bool(surrogate.feasible.any()):
        return qLogProbabilityOfFeasibility(
            surrogate.model, constraints, sampler=sampler, X_pending=pending if len(pending) else None
        )
    # BoTorch's own pruning draws from PyTorch's global generator.
    baseline = _plausible_optima(surrogate, seed)
    if m == 1:
        return qLogNoisyExpectedImprovement(
            surrogate.model,
            X_baseline=baseline,
            sampler=sampler,
            objective=GenericMCObjective(_first_output),
            X_pending=pending if len(pending) else None,
            constraints=constraints,
            prune_baseline=False,
        )
    return qLogNoisyExpectedHypervolumeImprovement(
        surrogate.model,
        ref_point=_reference_point(surrogate),
        X_baseline=baseline,
        sampler=sampler,
        objective=IdentityMCMultiOutputObjective(outcomes=list(range(m)), num_outcomes=m + c),
        X_pending=pending if len(pending) else None,
        constraints=constraints,
        prune_baseline=False,
    )


def _plausible_optima(surrogate: Surrogate, seed: int) -> Tensor:
    """The training points that are an optimum, or on the front, in some draw of the surrogate, at least one.

    The others cannot be what a new point has to improve on, and each costs time in every evaluation.
    """
    generator = torch.Generator().manual_seed(seed)
    n_constraints = surrogate.constraints.shape[-1]
    posterior = optimum_posterior(
        surrogate.model, surrogate.X, n_draws=N_PRUNING_DRAWS, generator=generator, n_constraints=n_constraints
    )
    return surrogate.X[posterior.probabilities > 0.0]


def _first_output(samples: Tensor, X: Tensor | None = None) -> Tensor:  # noqa: ARG001 - BoTorch's signature
    return samples[..., 0]


def _constraint_callables(m: int, c: int) -> list[Callable[[Tensor], Tensor]] | None:
    return [partial(_output, i=i) for i in range(m, m + c)] or None


def _output(samples: Tensor, *, i: int) -> Tensor:
    return samples[..., i]


def _reference_point(surrogate: Surrogate) -> Tensor:
    """BoTorch's heuristic on the feasible points; on all points while nothing is feasible."""
    feasible = surrogate.Y[surrogate.feasible]
    return infer_reference_point(feasible if len(feasible) else surrogate.Y)
