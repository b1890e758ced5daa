"""Where a model believes the optimum to be: the distribution of the best point over functions drawn from it.

Functions are drawn jointly on a set of candidates, and the best candidate of each is found: an argmax for one
objective, the Pareto points for several, among the candidates that are feasible in that draw. (Villemonteix, Vazquez
and Walter, J. Global Optimization 44, 2009; Hennig and Schuler, JMLR 13, 2012.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeGuard

import gpytorch
import numpy as np
import torch
from botorch.models.gp_regression import SingleTaskGP
from botorch.models.model import Model
from botorch.models.model_list_gp_regression import ModelListGP
from botorch.sampling.get_sampler import get_sampler
from botorch.utils.multi_objective.pareto import is_non_dominated
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import Mean
from gpytorch.models import ExactGP
from torch import Tensor

from llm_prior_bo._fast_path import is_fast
from llm_prior_bo._isolation import without_remarks
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.models.cholesky import safe_cholesky
from llm_prior_bo.models.exact_gp import dense_covariance

_NUGGET = 1e-8
"""Share of the variance added to that of every candidate: some of them coincide, or nearly."""


@dataclass(frozen=True, slots=True, eq=False)
class OptimumPosterior:
    """Probability that the optimum is at a candidate, with the data and without.

    Args:
        candidates: `c x d`.
        probabilities: Given the data, `c`, sums to one. `p_n` of the theory.
        reference: The same before the data that count as evidence, `c`. `p_0`, or `p_m`.
    """

    candidates: Tensor
    probabilities: Tensor
    reference: Tensor


def optimum_posterior(
    model: Model,
    candidates: Tensor,
    *,
    n_draws: int,
    generator: torch.Generator,
    reference: Model | None = None,
    n_constraints: int = 0,
) -> OptimumPosterior:
    """Distribution of the optimum over candidates, before and after the data.

    Args:
        model: Any BoTorch model. Its last `n_constraints` outputs are constraints, feasible where `<= 0`; the others
            are objectives to be maximised.
        candidates: Points that may be the optimum, `c x d`.
        n_draws: Number of functions drawn.
        generator: Source of randomness.
        reference: The model before the evidence; `None`: the kernel prior of `model` itself, without any data.
        n_constraints: How many of the outputs are constraints.

    Returns:
        The two distributions. They come from the same random numbers, so that noise cancels in their ratio.

    Raises:
        ConfigurationError: If there is no objective, or the model has no prior to draw from and no `reference` is
            given, or one with other outputs.
    """
    n_objectives = model.num_outputs - n_constraints
    if not 1 <= n_objectives <= model.num_outputs:
        raise ConfigurationError(
            f"Expected fewer constraints than outputs, got {n_constraints} of {model.num_outputs}; count them anew."
        )
    if reference is not None and reference.num_outputs != model.num_outputs:
        raise ConfigurationError(
            f"Expected a reference with the {model.num_outputs} outputs of the model, got {reference.num_outputs}; "
            "give a model of the same kind that has not seen the evidence."
        )
    seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
    with torch.no_grad():
        before, after = _draws(model, candidates, n_draws, seed)
        if reference is not None:
            _, before = _draws(reference, candidates, n_draws, seed)
        elif before is None:
            before = _prior_draws(model, candidates, n_draws, seed, after)
    return OptimumPosterior(
        candidates=candidates,
        probabilities=_share_of_best(after, n_objectives),
        reference=_share_of_best(before, n_objectives),
    )


def _draws(model: Model, X: Tensor, n_draws: int, seed: int) -> tuple[Tensor | None, Tensor]:
    """Functions before (if they come for free) and after the data, each `n_draws x c x outputs`."""
    outputs = list(model.models) if isinstance(model, ModelListGP) else [model]
    plain = [output for output in outputs if is_fast() and _is_plain(output)]
    if len(plain) < len(outputs):
        return None, _sampled(model, X, n_draws, seed)
    # One generator an output, so that what one of them draws does not depend on how much data another one has.
    generators = [torch.Generator().manual_seed(seed + i) for i in range(len(plain))]
    pairs = [_matheron_draws(output, X, n_draws, g) for output, g in zip(plain, generators, strict=True)]
    return torch.stack([before for before, _ in pairs], dim=-1), torch.stack([after for _, after in pairs], dim=-1)


def _is_plain(model: object) -> TypeGuard[SingleTaskGP]:
    """A GP with one output and one noise level, for which Matheron's rule is a few lines."""
    return (
        type(model) is SingleTaskGP
        and model.num_outputs == 1
        and model.train_targets.dtype == torch.float64
        and model.batch_shape == torch.Size([])
        and type(model.likelihood) is GaussianLikelihood
        and getattr(model, "outcome_transform", None) is None
    )


def _matheron_draws(model: SingleTaskGP, X: Tensor, n_draws: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draws of the prior, and the same draws conditioned on the data (Wilson et al., JMLR 22, 2021), `n_draws x c`.

    One Cholesky factor gives both, and their common randomness cancels from what is computed of the two. The candidates
    come first, so that models of different data with the same kernel and generator start from the same prior draws.
    """
    if model.training:  # a walk through all modules
        model.eval()
    mean_module: Mean = model.mean_module
    seen, targets = model.train_inputs[0], model.train_targets  # transformed in evaluation mode
    c, n = len(X), len(seen)
    points = torch.cat([model.transform_inputs(X), seen])  # (c + n) x width
    covariance = dense_covariance(model.covar_module, points)
    noise = float(model.likelihood.noise)
    training_covariance, cross = covariance[c:, c:].clone(), covariance[:c, c:].clone()
    covariance.diagonal().add_(_NUGGET * float(covariance.diagonal().mean()))
    training_covariance.diagonal().add_(noise)
    root = safe_cholesky(covariance).float()
    gain = torch.cholesky_solve(cross.T, safe_cholesky(training_covariance))  # n x c
    # Single precision is enough for the draws and takes half the time: it is as if the data had a little more noise.
    of_candidates, of_data, of_noise = (
        torch.randn(size, n_draws, generator=generator, dtype=torch.float32).T for size in (c, n, n)
    )
    before = (of_candidates @ root[:c, :c].T).double() + mean_module(points[:c])  # n_draws x c
    seen_before = of_candidates @ root[c:, :c].T + of_data @ root[c:, c:].T + math.sqrt(noise) * of_noise
    residual = targets - mean_module(seen) - seen_before.double()  # n_draws x n
    return before, before + residual @ gain


@without_remarks  # candidates may coincide
def _sampled(model: Model, X: Tensor, n_draws: int, seed: int) -> Tensor:
    """Draws of any model; those of an ensemble's members count alike, `(n_draws * members) x c x outputs`."""
    model.eval()
    dtype = next((parameter.dtype for parameter in model.parameters()), X.dtype)  # a model may be in single precision
    posterior: Any = model.posterior(X.to(dtype))
    draws: Tensor = get_sampler(posterior, torch.Size([n_draws]), seed=seed)(posterior).double()
    return draws.reshape(-1, *draws.shape[-2:])


def _prior_draws(model: Model, X: Tensor, n_draws: int, seed: int, after: Tensor) -> Tensor:
    """Draws of the kernel prior through GPyTorch's switch, which not every model heeds: then they equal `after`."""
    outputs = list(model.models) if isinstance(model, ModelListGP) else [model]
    if all(isinstance(output, ExactGP) for output in outputs):
        with gpytorch.settings.prior_mode(True):
            before = _sampled(model, X, n_draws, seed)
        if not torch.equal(before, after):
            return before
    raise ConfigurationError(
        f"Expected an exact GP, whose prior can be drawn from, got {type(model).__name__}; give reference=, a model of "
        "the same kind that has not seen the evidence."
    )


def _share_of_best(F: Tensor, n_objectives: int) -> Tensor:
    """How often each candidate is best, `n_draws x c x outputs` to `c`; a front's points share their draw."""
    if n_objectives == F.shape[-1] == 1:
        return _frequencies(F[..., 0])
    violation = F[..., n_objectives:].clamp_min(0.0).sum(dim=-1)  # n_draws x c
    # Where nothing is feasible in a draw, the least violation counts as feasible.
    feasible = violation <= violation.amin(dim=-1, keepdim=True)
    if n_objectives == 1:
        return _frequencies(F[..., 0].masked_fill(~feasible, -torch.inf))
    objectives = F[..., :n_objectives]
    worst = objectives.amin(dim=(0, 1)) - 1.0
    front = _non_dominated(torch.where(feasible.unsqueeze(-1), objectives, worst)) & feasible
    shares = front.double()
    return (shares / shares.sum(dim=-1, keepdim=True)).mean(dim=0)


def _frequencies(values: Tensor) -> Tensor:
    """How often each candidate has the largest value, `n_draws x c` to `c`."""
    best = values.numpy().argmax(axis=-1)  # torch's takes ten times as long
    return torch.as_tensor(np.bincount(best, minlength=values.shape[1]) / len(values))


def _non_dominated(Y: Tensor) -> Tensor:
    """Which points no other one dominates, the first of equal ones, `n_draws x c x m` to `n_draws x c`."""
    if Y.shape[-1] != 2:
        return is_non_dominated(Y)
    # Two objectives need no comparison of all pairs: sorted by the first, a point must beat those before it in the
    # second.
    order = Y[..., 1].argsort(dim=-1, descending=True, stable=True)
    order = order.gather(-1, Y[..., 0].gather(-1, order).argsort(dim=-1, descending=True, stable=True))
    second = Y[..., 1].gather(-1, order)
    before = torch.full_like(second[:, :1], -torch.inf)
    front = second > torch.cat([before, second.cummax(dim=-1).values[:, :-1]], dim=-1)
    return torch.zeros_like(front).scatter(-1, order, front)
