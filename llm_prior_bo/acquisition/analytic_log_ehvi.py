"""Analytic log expected hypervolume improvement of independent objectives, with its gradient."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from botorch.acquisition.multi_objective.analytic import ExpectedHypervolumeImprovement
from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
from botorch.utils.transforms import t_batch_mode_transform
from torch import Tensor

from llm_prior_bo._gradients import as_torch
from llm_prior_bo.acquisition.analytic_log_ei import log_improvement
from llm_prior_bo.acquisition.log_feasibility import LogFeasibility
from llm_prior_bo.models.exact_gp import ExactPosterior, Marginals
from llm_prior_bo.models.surrogate import Surrogate
from llm_prior_bo.space import FloatArray

_SMALLEST_SHARE = 1e-15
"""Share of its lower bound's improvement that a cell has at least: below it, differences have no digits."""

_Indices: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.intp]]


class AnalyticLogEHVI(ExpectedHypervolumeImprovement):
    """Log expected hypervolume improvement, and the log probability that constraints hold.

    The space above the front is cut into `k` cells (Yang et al., "Efficient computation of expected hypervolume
    improvement using box decomposition algorithms", 2019). In each the expected volume is a product over the
    objectives, of differences of expected improvements on the cell's lower and upper bound; the logs of all are added
    as Ament et al. (NeurIPS 2023) add those of samples. BoTorch's class is the same without the log, so it has no
    digits left where little is expected.

    Args:
        surrogate: With several objectives; `AnalyticLogEI.supports` must hold for each of its outputs.
        ref_point: What counts as no volume, `m`, in the surrogate's units.
        partitioning: The cells above the front, see `cells_above`.
    """

    _log = True

    def __init__(self, surrogate: Surrogate, ref_point: Tensor, partitioning: FastNondominatedPartitioning) -> None:
        super().__init__(surrogate.model, ref_point.tolist(), partitioning)  # type: ignore[arg-type]  # only cells count
        m = surrogate.n_objectives
        self._posteriors = [ExactPosterior(output) for output in surrogate.outputs[:m]]
        self._feasibility = LogFeasibility(surrogate.outputs[m:])
        lower, upper = partitioning.get_hypercell_bounds().numpy()  # k x m each
        self._bounds = [_Bounds(lower[:, j], upper[:, j]) for j in range(m)]

    @t_batch_mode_transform(expected_q=1)  # type: ignore[arg-type]  # typed for functions of the base class
    def forward(self, X: Tensor) -> Tensor:
        """`b x 1 x d` to `b`."""
        return as_torch(self, X.squeeze(-2))

    def value(self, X: FloatArray) -> FloatArray:
        """The function at points `n x d`, `n`."""
        logs = sum(b.log_length(p.marginals(X))[0] for p, b in zip(self._posteriors, self._bounds, strict=True))
        return np.logaddexp.reduce(logs, axis=1) + self._feasibility.value(X)  # type: ignore[no-any-return]

    def value_and_gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The function at points `n x d`, `n`, and its gradient, `n x d`."""
        marginals = [posterior.marginals(X) for posterior in self._posteriors]
        parts = [bounds.log_length(own) for bounds, own in zip(self._bounds, marginals, strict=True)]
        logs = sum(log_length for log_length, _, _ in parts)  # n x k
        improvement = np.logaddexp.reduce(logs, axis=1)
        shares = np.exp(logs - improvement[:, None])
        value, gradient = self._feasibility.value_and_gradient(X)
        for own, (_, by_mean, by_variance) in zip(marginals, parts, strict=True):
            gradient += own.pull_back((shares * by_mean).sum(axis=1)[:, None], (shares * by_variance).sum(axis=1))
        return improvement + value, gradient


def cells_above(surrogate: Surrogate, ref_point: Tensor) -> FastNondominatedPartitioning:
    """The cells above the front of the feasible training points, which is empty while there are none."""
    return FastNondominatedPartitioning(ref_point, Y=surrogate.Y[surrogate.feasible])


class _Bounds:
    """Lower and upper bounds of `k` cells along one objective.

    Args:
        lower: Finite, `k`.
        upper: Some infinite, `k`.
    """

    def __init__(self, lower: FloatArray, upper: FloatArray) -> None:
        # Many cells share a bound, and its expected improvement.
        thresholds, places = np.unique(np.concatenate([lower, upper]), return_inverse=True)
        self._lower: _Indices = places[: len(lower)]
        self._upper: _Indices = places[len(lower) :]
        self._is_open = np.isposinf(upper)
        self._thresholds: FloatArray = np.where(np.isfinite(thresholds), thresholds, 0.0)

    def log_length(self, marginals: Marginals) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Log of the expected length within each cell, and its derivatives by mean and variance, each `n x k`."""
        found = log_improvement(marginals.mean, marginals.variance[:, None], self._thresholds)
        low, low_by_mean, low_by_variance = (part[:, self._lower] for part in found)
        high, high_by_mean, high_by_variance = (part[:, self._upper] for part in found)
        ratio = np.where(self._is_open, 0.0, np.exp(np.minimum(high - low, 0.0)))
        rest = np.maximum(1.0 - ratio, _SMALLEST_SHARE)
        by_mean = (low_by_mean - ratio * high_by_mean) / rest
        by_variance = (low_by_variance - ratio * high_by_variance) / rest
        return low + np.log(rest), by_mean, by_variance
