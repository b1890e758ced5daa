"""A Gaussian process with a known function of the points added to its mean.

The function sees the points as they came, before the process encodes them for its kernel. GPyTorch's mean modules see
only encoded points, so its values travel as one more encoded column, which the kernel does not see.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from botorch.models.gp_regression import SingleTaskGP
from botorch.models.transforms.input import InputTransform
from gpytorch.kernels import Kernel
from gpytorch.means import Mean
from torch import Tensor

from llm_prior_bo._gradients import WithGradient, as_torch


class Parts(NamedTuple):
    """What a process is made of, the trend apart."""

    encoding: Any
    """What its kernel sees of the points, an `InputTransform`; `None`: the points."""
    kernel: Kernel
    """Of encoded points."""
    mean: Mean
    """Of encoded points, without the trend."""
    trend: WithGradient | None
    """Added to the mean, a function of the points as they came; `None`: there is none."""


def add_trend(model: SingleTaskGP, trend: WithGradient) -> SingleTaskGP:
    """The same process plus a known function, given the same data.

    Args:
        model: Fitted; without a trend so far.
        trend: The function, of points as they came.

    Returns:
        Another model, which shares kernel and likelihood with the given one.
    """
    shared = (model.covar_module, model.likelihood, model.mean_module)
    other: Any = copy.deepcopy(model, {id(part): part for part in shared})  # they are most of what there is to copy
    other.train()  # so that the training points are as they came, untransformed
    other.input_transform = _AppendTrend(trend, getattr(other, "input_transform", None))
    other.covar_module = _WithoutTrend(other.covar_module)
    other.mean_module = _TrendMean(other.mean_module)
    other.requires_grad_(False)
    other.eval()
    extended: SingleTaskGP = other
    return extended


def parts_of(model: SingleTaskGP) -> Parts:
    """Take a process apart.

    Args:
        model: With or without a trend.
    """
    encoding = getattr(model, "input_transform", None)
    if not isinstance(encoding, _AppendTrend):
        return Parts(encoding, model.covar_module, model.mean_module, None)
    return Parts(encoding.inner, model.covar_module.base, model.mean_module.base, encoding.trend)


class _AppendTrend(InputTransform):
    """Another transform's columns, then the trend of the point as it came."""

    def __init__(self, trend: WithGradient, inner: InputTransform | None) -> None:
        super().__init__()
        self.trend = trend
        self.inner = inner
        self.transform_on_train = self.transform_on_eval = self.transform_on_fantasize = True
        self.is_one_to_many = False

    def transform(self, X: Tensor) -> Tensor:
        """`batch_shape x q x d` to `batch_shape x q x (width + 1)`."""
        columns = X if self.inner is None else self.inner(X)
        return torch.cat([columns, as_torch(self.trend, X).unsqueeze(-1)], dim=-1)


class _WithoutTrend(Kernel):  # type: ignore[misc]  # GPyTorch has no types
    """A kernel of all columns but the last."""

    def __init__(self, base: Kernel) -> None:
        super().__init__()
        self.base = base

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any) -> Tensor:
        """Covariance, as GPyTorch's kernels."""
        covariance: Tensor = self.base.forward(x1[..., :-1], x2[..., :-1], diag=diag, **params)
        return covariance


class _TrendMean(Mean):  # type: ignore[misc]
    """Another mean of all columns but the last, plus the last one."""

    def __init__(self, base: Mean) -> None:
        super().__init__()
        self.base = base

    def forward(self, x: Tensor) -> Tensor:
        """`batch_shape x n x (width + 1)` to `batch_shape x n`."""
        mean: Tensor = self.base(x[..., :-1]) + x[..., -1]
        return mean
