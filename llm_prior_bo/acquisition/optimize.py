"""Maximise an acquisition function over a mixed space.

BoTorch's alternating optimiser takes no start points of the caller's, so samples of the prior could not be injected,
and it enumerates every discrete value. Hence the outer loop is ours; its gradient steps are BoTorch's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.optim.batched_lbfgs_b import fmin_l_bfgs_b_batched
from scipy.optimize import minimize
from torch import Tensor
from torch.quasirandom import SobolEngine

from llm_prior_bo._fast_path import is_fast
from llm_prior_bo.acquisition.log_sum import acquisition_and_gradient
from llm_prior_bo.priors import OptimumPrior
from llm_prior_bo.priors.base import sobol_points
from llm_prior_bo.space import Column, FloatArray, SearchSpace

N_SOBOL = 512
N_PRIOR_STARTS = 128
NEAR_SCALES = (0.02, 0.1)
"""Steps round the incumbents, as fractions of the range, at which points are placed."""
N_LOCAL_SEARCHES = 10
MAX_ROUNDS = 8
TOLERANCE = 1e-4
MAX_GRADIENT_STEPS = 50
GRADIENT_TOLERANCE = 1e-4
"""Relative gain of a step at which a search ends. Searched to 1e-8, the maxima found are higher by at most 4e-4."""
MAX_ENUMERATED = 16
"""Grids with more values are searched in doubling steps and a coarse sweep, not value by value."""
_BATCH = 512


class BatchedLoss(Protocol):
    """A loss of the points that searches from several starts have come to."""

    def __call__(self, u: FloatArray, batch_indices: Sequence[int]) -> tuple[FloatArray, FloatArray]:
        """Points of some of the starts, `b x c`, and which starts these are, to losses `b` and gradients `b x c`."""
        ...


def optimize_acquisition(
    acq_function: AcquisitionFunction,
    space: SearchSpace,
    *,
    starts: Tensor,
    incumbents: Tensor | None = None,
    avoid: Tensor | None = None,
    avoid_within: float = 1e-9,
    rng: np.random.Generator,
) -> tuple[Tensor, float]:
    """Maximise an acquisition function over the legal points of a space.

    Start points are chosen among Sobol points and `starts`, and the incumbents always are; from there, gradient steps
    on the continuous columns alternate with steps along every discrete column until nothing improves.

    Args:
        acq_function: Maps `b x 1 x d` to `b`; its values should be log values, they are compared after `exp`.
        space: The space that the columns belong to.
        starts: Further points that may be worth starting from (samples of the prior, points near good ones), `s x d`.
        incumbents: Points that a search starts from in any case, `k x d`. The best trials have next to no acquisition
            value themselves, so they would never be chosen, but what is better is often near.
        avoid: Points that are not returned while there are others, `p x d`: those under evaluation. Where hardly
            anything is left to gain, the best point may be one of them.
        avoid_within: How near, in every encoded column, is the same as one of these points; the default is rounding.
        rng: Source of all randomness, but for what the acquisition function draws itself.

    Returns:
        The best legal point found, `d`, and its acquisition value.
    """
    candidates = torch.as_tensor(space.snap(np.vstack([_sobol(space, rng), starts.detach().numpy()])))
    values = _evaluate(acq_function, candidates)
    chosen = _choose_starts(values, rng)
    X, value = candidates[chosen], values[chosen]
    if incumbents is not None and len(incumbents):
        X = torch.cat([X, incumbents])
        value = torch.cat([value, _evaluate(acq_function, incumbents)])
    active, dims = torch.arange(len(X)), _discrete_dims(space)
    for _ in range(MAX_ROUNDS):
        before = value[active].clone()
        X[active], value[active] = _continuous_step(acq_function, space, X[active], value[active])
        if not dims:
            break
        X[active], value[active] = _discrete_step(acq_function, space, dims, X[active], value[active])
        active = active[value[active] > before + TOLERANCE]
        if len(active) == 0:
            break
    best = int(value.argmax())
    if avoid is not None and bool(_is_among(X[best : best + 1], avoid, avoid_within)):
        X, value = torch.cat([X, candidates]), torch.cat([value, values])
        free = ~_is_among(X, avoid, avoid_within)
        best = int(value.masked_fill(~free, -torch.inf).argmax()) if bool(free.any()) else best
    return X[best], float(value[best])


def perturbed(X: Tensor, space: SearchSpace, *, n_each: int, scale: float, rng: np.random.Generator) -> Tensor:
    """Points near given ones: numeric columns moved by a normal step, categorical ones kept.

    Args:
        X: Encoded points, `k x d`.
        space: Their space.
        n_each: How many points near each.
        scale: Standard deviation of the step in unit coordinates.
        rng: Source of randomness.

    Returns:
        Legal encoded points, `(k * n_each) x d`.
    """
    centres = np.repeat(X.numpy(), n_each, axis=0)
    return torch.as_tensor(space.displaced(centres, rng.normal(0.0, scale, centres.shape)))


def start_points(prior: OptimumPrior, best: Tensor, space: SearchSpace, rng: np.random.Generator) -> Tensor:
    """Start points for the acquisition's maximisation: draws from the prior and points near the incumbents, `s x d`."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    draws = prior.sample(N_PRIOR_STARTS, generator=generator)
    near = [perturbed(best, space, n_each=20, scale=scale, rng=rng) for scale in NEAR_SCALES]
    return torch.cat([draws, *near])


def _sobol(space: SearchSpace, rng: np.random.Generator) -> FloatArray:
    """Scrambled Sobol points over the encoded space, `N_SOBOL x d`; categorical columns get uniform indices."""
    if len(space) > SobolEngine.MAXDIM:
        unit = rng.random((N_SOBOL, len(space)))
    else:
        unit = sobol_points(N_SOBOL, len(space), seed=int(rng.integers(2**31))).numpy()
    for j in space.categorical_dims:
        unit[:, j] = np.floor(unit[:, j] * (space.bounds[1, j] + 1.0))
    return unit


def _evaluate(acq_function: AcquisitionFunction, X: Tensor) -> Tensor:
    """Acquisition values without gradient, `n x d` -> `n`."""
    with torch.no_grad():
        values = torch.cat([acq_function(block.unsqueeze(1)) for block in X.split(_BATCH)])
    return torch.nan_to_num(values, nan=-torch.inf, neginf=-1e300)


def _is_among(X: Tensor, others: Tensor, within: float) -> Tensor:
    """Which points are as near to one of others in every column: `n x d` and `p x d` -> `n` booleans."""
    return ((X.unsqueeze(1) - others).abs() < within).all(dim=-1).any(dim=-1)


def _choose_starts(values: Tensor, rng: np.random.Generator) -> list[int]:
    """The best candidate, and others drawn in proportion to exp(value), so that several modes are tried."""
    v = values.numpy()
    best = int(v.argmax())
    weights = np.exp(v - v[best])
    weights[best] = 0.0
    n_others = min(N_LOCAL_SEARCHES - 1, int((weights > 0.0).sum()))
    if n_others == 0:
        return [best]
    others = rng.choice(len(v), n_others, replace=False, p=weights / weights.sum())
    return [best, *others.tolist()]


def _discrete_dims(space: SearchSpace) -> list[int]:
    return sorted(j for j in (*space.grid_dims, *space.categorical_dims) if space.columns[j].n_values != 1)


def _continuous_step(
    acq_function: AcquisitionFunction, space: SearchSpace, X: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradient ascent on the continuous columns of every point at once."""
    if not space.continuous_dims:
        return X, value
    # Grids stay fixed even where they are fine: the prior is constant within their cells, and a line search that the
    # gradient misleads costs more than the steps along the column.
    dims = list(space.continuous_dims)

    def loss(u: FloatArray, batch_indices: Sequence[int]) -> tuple[FloatArray, FloatArray]:
        points = X[batch_indices].numpy()
        points[:, dims] = u  # b x continuous columns
        values, gradient = acquisition_and_gradient(acq_function, points)
        # Where the value or the gradient is not a number the search from this start ends; the others go on.
        return np.nan_to_num(-values, nan=np.inf), np.nan_to_num(-gradient[:, dims], posinf=0, neginf=0)

    search = _minimize_together if is_fast() else _minimize_one_by_one
    moved = X.clone()
    moved[:, dims] = torch.as_tensor(search(loss, X[:, dims].numpy()))
    moved = torch.as_tensor(space.snap(moved.numpy()))
    return _keep_better(X, value, moved, _evaluate(acq_function, moved))


def _minimize_together(loss: BatchedLoss, starts: FloatArray) -> FloatArray:
    """L-BFGS-B in the unit cube from all starts, `b x c`, the loss evaluated for all of them at once.

    BoTorch's function uses internals of SciPy; `tests/acquisition/test_optimize.py` compares it with SciPy's own.
    """
    u: FloatArray = fmin_l_bfgs_b_batched(
        loss,
        starts,
        bounds=[(0.0, 1.0)] * starts.shape[1],
        maxiter=MAX_GRADIENT_STEPS,
        ftol=GRADIENT_TOLERANCE,
        factr=None,
        pass_batch_indices=True,
    )[0]
    return u


def _minimize_one_by_one(loss: BatchedLoss, starts: FloatArray) -> FloatArray:
    """The same by SciPy's public function; it takes five times as long for ten starts."""

    def search(i: int) -> FloatArray:
        def loss_of_one(u: FloatArray) -> tuple[float, FloatArray]:
            values, gradient = loss(u[None], [i])
            return float(values[0]), gradient[0]

        found = minimize(
            loss_of_one,
            starts[i],
            jac=True,
            method="L-BFGS-B",
            bounds=[(0.0, 1.0)] * starts.shape[1],
            options={"maxiter": MAX_GRADIENT_STEPS, "ftol": GRADIENT_TOLERANCE},
        )
        return np.asarray(found.x)

    return np.stack([search(i) for i in range(len(starts))])


def _discrete_step(
    acq_function: AcquisitionFunction, space: SearchSpace, dims: Sequence[int], X: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    """The best moves along the discrete columns, for every point at once.

    All moves along single columns are evaluated together; then every column makes its best move, if that is better
    than the best one alone.
    """
    moves = [_other_coordinates(space.columns[j], u) for j in dims for u in X[:, j].tolist()]  # of dims x b
    sizes = [len(m) for m in moves]
    neighbours = X.repeat(len(dims), 1).repeat_interleave(torch.tensor(sizes), dim=0)
    columns = torch.tensor(dims).repeat_interleave(len(X)).repeat_interleave(torch.tensor(sizes))
    neighbours[torch.arange(len(neighbours)), columns] = torch.as_tensor(np.concatenate(moves))
    blocks = _evaluate(acq_function, neighbours).split(sizes)
    best = torch.stack([block.argmax() for block in blocks]) + torch.tensor(np.cumsum([0, *sizes[:-1]]))
    best_move = neighbours[best].reshape(len(dims), *X.shape)
    best_value = torch.stack([block.max() for block in blocks]).reshape(len(dims), len(X))
    together = X.clone()
    for i, j in enumerate(dims):
        together[:, j] = torch.where(best_value[i] > value, best_move[i, :, j], X[:, j])
    single, order = best_value.max(dim=0)
    X, value = _keep_better(X, value, best_move[order, torch.arange(len(X))], single)
    return _keep_better(X, value, together, _evaluate(acq_function, together))


@lru_cache(maxsize=4096)
def _other_coordinates(column: Column, u: float) -> FloatArray:
    """Legal coordinates to try instead of `u`: all; on a large grid those 1, 2, 4, ... cells away and a sweep."""
    n = column.n_values or 1
    index = int(column.cell_index(u))
    others: Sequence[int]
    if column.kind == "categorical" or n <= MAX_ENUMERATED:
        others = [i for i in range(n) if i != index]
    else:
        near = [index + sign * 2**power for power in range(n.bit_length()) for sign in (-1, 1)]
        coarse = column.cell_index(np.linspace(0.0, 1.0, MAX_ENUMERATED)).tolist()
        others = sorted({min(max(i, 0), n - 1) for i in (*near, *coarse)} - {index})
    indices = np.array(others)
    return indices.astype(np.float64) if column.kind == "categorical" else column.cell_centre(indices)


def _keep_better(X: Tensor, value: Tensor, moved: Tensor, moved_value: Tensor) -> tuple[Tensor, Tensor]:
    better = moved_value > value
    return torch.where(better.unsqueeze(-1), moved, X), torch.where(better, moved_value, value)
