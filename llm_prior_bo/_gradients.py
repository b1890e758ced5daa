"""Functions of points that come with their gradient, and torch functions, each where the other is wanted.

With tens of trials an acquisition function is a few dozen operations on tiny arrays. Torch takes longer to start one of
them, and to remember it for the gradient, than to do it. So what is evaluated at every step of a search is written in
NumPy with its gradient in closed form, and is a torch function for everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from llm_prior_bo._fast_path import is_fast
from llm_prior_bo.space import FloatArray


@runtime_checkable
class WithGradient(Protocol):
    """A function of single points that knows its gradient."""

    def value_and_gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values and gradients at points `n x d`, `n` and `n x d`."""
        ...

    def value(self, X: FloatArray) -> FloatArray:
        """Values at points `n x d`, `n`."""
        ...


def with_gradient(function: object) -> WithGradient | None:
    """A function as one that knows its gradient, `None` if it does not, or the fast path is off."""
    return function if is_fast() and isinstance(function, WithGradient) else None


def as_torch(function: WithGradient, X: Tensor) -> Tensor:
    """Evaluate a function that knows its gradient as one differentiable torch operation.

    Args:
        function: Of single points.
        X: Points, `batch_shape x d`.

    Returns:
        `batch_shape`, float64 on the device of `X`.
    """
    value: Tensor = _ClosedForm.apply(X, function)  # type: ignore[no-untyped-call]
    return value


def value_and_gradient(function: Callable[[Tensor], Tensor], X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Values of a torch function, `n x d` to `n`, at points `n x d`, and its gradients there, `n x d`, by autograd."""
    points = torch.tensor(X, requires_grad=True)
    values = function(points)
    (gradient,) = torch.autograd.grad(values.sum(), points)
    return values.detach().numpy(), gradient.numpy()


def product(first: FloatArray, second: FloatArray) -> FloatArray:
    """A matrix product by torch, whose number of threads the caller has set; NumPy's is the machine's business."""
    result: FloatArray = (torch.from_numpy(first) @ torch.from_numpy(second)).numpy()
    return result


class _ClosedForm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, X: Tensor, function: WithGradient) -> Tensor:
        points = X.detach().reshape(-1, X.shape[-1]).to("cpu", torch.float64).numpy()
        if ctx.needs_input_grad[0]:
            values, gradient = function.value_and_gradient(points)
            ctx.save_for_backward(torch.as_tensor(gradient).reshape(X.shape).to(X))
        else:
            values = function.value(points)
        return torch.as_tensor(np.ascontiguousarray(values)).reshape(X.shape[:-1]).to(X.device)

    @staticmethod
    @once_differentiable  # a second derivative would be wrong, not missing
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (own,) = ctx.saved_tensors
        return gradient.to(own).unsqueeze(-1) * own, None
