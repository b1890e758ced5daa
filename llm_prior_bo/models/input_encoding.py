"""What the surrogate's kernel sees of an encoded point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from botorch.models.transforms.input import InputTransform
from torch import Tensor

from llm_prior_bo.models.conditional_parameters import Condition, NeutralInactive
from llm_prior_bo.space import FloatArray, SearchSpace

_ONE_HOT = 1.0 / math.sqrt(2.0)
"""The entry of a one-hot column: two different choices are at distance 1, as far as the ends of a range."""


class InputEncoding(InputTransform):
    """Columns that do not count are made neutral, choices become one-hot columns; single ones stay as they are.

    Args:
        space: The space that the points are encoded in.
        conditions: When which column does not count.
    """

    def __init__(self, space: SearchSpace, conditions: Sequence[Condition]) -> None:
        super().__init__()
        self.transform_on_train = self.transform_on_eval = self.transform_on_fantasize = True
        self.is_one_to_many = False
        self._conditions = tuple(conditions)
        self._neutral = NeutralInactive(conditions, torch.as_tensor(space.neutral_point)) if conditions else None
        sizes = _choice_columns(space)
        wide = [(j, choice) for j in range(len(space)) for choice in (range(sizes[j]) if j in sizes else [-1])]
        self._source = np.array([j for j, _ in wide])  # the column that each of the wide ones comes from
        choices = np.array([choice for _, choice in wide])
        self._one_hot, self._as_is = np.flatnonzero(choices >= 0), np.flatnonzero(choices < 0)
        self._choices = choices[self._one_hot]

    @classmethod
    def of(cls, space: SearchSpace, conditions: Sequence[Condition]) -> InputEncoding | None:
        """The transform, or `None` where the kernel sees points as they are."""
        return cls(space, conditions) if conditions or _choice_columns(space) else None

    @property
    def width(self) -> int:
        """How many columns the kernel sees."""
        return len(self._source)

    def transform(self, X: Tensor) -> Tensor:
        """`batch_shape x n x d` to `batch_shape x n x width`; no gradient reaches choices and what does not count."""
        encoded: Tensor = _Encoded.apply(X, self)  # type: ignore[no-untyped-call]
        return encoded

    def encode(self, X: FloatArray) -> FloatArray:
        """Points `n x d` as the kernel sees them, `n x width`."""
        encoded = self.neutral(X)[:, self._source]
        encoded[:, self._one_hot] = _ONE_HOT * (np.abs(encoded[:, self._one_hot] - self._choices) < 0.5)
        return encoded

    def neutral(self, X: FloatArray) -> FloatArray:
        """Points `n x d` with columns that do not count made neutral."""
        if self._neutral is None:
            return X
        points: FloatArray = self._neutral.transform(torch.from_numpy(X)).numpy()
        return points

    def pull_back(self, X: FloatArray, gradient: FloatArray) -> FloatArray:
        """Gradients in what the kernel sees, `n x width`, as gradients in the points, `n x d`; 0 in choices."""
        pulled = np.zeros_like(X)
        pulled[:, self._source[self._as_is]] = gradient[:, self._as_is]
        return self.where_it_counts(X, pulled)

    def where_it_counts(self, X: FloatArray, gradient: FloatArray) -> FloatArray:
        """Gradients, `n x d`, with 0 in the columns that do not count."""
        for condition in self._conditions:
            inactive = condition.holds(torch.from_numpy(X[:, condition.parent])).numpy()
            gradient[inactive, condition.column] = 0.0
        return gradient


class _Encoded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, X: Tensor, transform: InputEncoding) -> Tensor:
        points = X.detach().reshape(-1, X.shape[-1]).numpy()
        ctx.points, ctx.transform = points, transform
        return torch.from_numpy(transform.encode(points)).reshape(*X.shape[:-1], transform.width)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        wide = gradient.reshape(-1, gradient.shape[-1]).numpy()
        pulled = torch.from_numpy(ctx.transform.pull_back(ctx.points, wide))
        return pulled.reshape(*gradient.shape[:-1], -1), None


def _choice_columns(space: SearchSpace) -> dict[int, int]:
    """Number of choices of every categorical column that has more than one."""
    return {j: n for j in space.categorical_dims if (n := space.columns[j].n_values or 1) > 1}
