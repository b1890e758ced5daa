"""Marginal likelihood and posterior of a small exact GP, without the overhead of GPyTorch's lazy tensors.

With tens or hundreds of trials the matrices are tiny, and more than half of a posterior's time is spent in building and
unpacking lazy objects. What is here takes kernel, mean, noise and kernel priors from a BoTorch `SingleTaskGP` and gives
the same numbers as its own methods.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from botorch.models.gp_regression import SingleTaskGP
from botorch.models.model import Model
from gpytorch.kernels import Kernel
from gpytorch.models import ExactGP
from linear_operator.utils.cholesky import psd_safe_cholesky
from torch import Tensor


def negative_log_likelihood(model: SingleTaskGP, X: Tensor) -> Tensor:
    """Minus log marginal likelihood of the training data, minus log density of the kernel priors, per datum.

    The same as `-ExactMarginalLogLikelihood(model.likelihood, model)` of the training data, with gradient in the
    hyperparameters.

    Args:
        model: The model; its outcomes are taken as they are.
        X: Its training points as its kernel sees them (transformed), `n x width`.

    Returns:
        A scalar.

    Raises:
        linear_operator.utils.errors.NotPSDError: If the covariance is not positive definite, even with some jitter.
    """
    y = model.train_targets
    n = len(y)
    root = _root(model, X)
    residual = (y - _mean(model, X)).unsqueeze(-1)
    whitened = torch.linalg.solve_triangular(root, residual, upper=False)
    log_likelihood = -0.5 * whitened.square().sum() - root.diagonal().log().sum() - 0.5 * n * math.log(2.0 * math.pi)
    loss: Tensor = -(log_likelihood + _log_kernel_priors(model)) / n
    return loss


@dataclass(frozen=True, slots=True)
class MarginalPosterior:
    """Mean and variance of a single output at points of shape `batch_shape x q x d`."""

    mean: Tensor
    """`batch_shape x q x 1`."""
    variance: Tensor
    """`batch_shape x q x 1`, not negative."""


class ExactPosterior(Model):
    """The posterior marginals of a fitted `SingleTaskGP`, for analytic acquisition functions.

    Args:
        model: Fitted, in evaluation mode, one output, no outcome transform.
    """

    def __init__(self, model: SingleTaskGP) -> None:
        super().__init__()
        # In a tuple, so that they are not submodules: acquisition functions walk through all of them at every call.
        self._parts = (model.transform_inputs, model.mean_module, model.covar_module)
        with torch.no_grad():
            X = model.train_inputs[0]  # transformed: the model is in evaluation mode
            root = training_root(model)
            identity = torch.eye(len(X), dtype=X.dtype)
            self._inverse_root = torch.linalg.solve_triangular(root, identity, upper=False)  # n x n
            residual = model.train_targets - _mean(model, X)
            self._weights = self._inverse_root.T @ (self._inverse_root @ residual)  # n
            self._X = X

    @property
    def num_outputs(self) -> int:
        """One output."""
        return 1

    def posterior(  # type: ignore[override]  # a narrower interface than BoTorch's, all that LogEI asks for
        self,
        X: Tensor,
        output_indices: list[int] | None = None,  # noqa: ARG002
        observation_noise: bool | Tensor = False,  # noqa: ARG002
        posterior_transform: None = None,  # noqa: ARG002
    ) -> MarginalPosterior:
        """Posterior marginals of the noise-free function.

        Args:
            X: Encoded points, `batch_shape x q x d`.
            output_indices: Not used.
            observation_noise: Not used.
            posterior_transform: Not used.

        Returns:
            Mean and variance of every point, without their covariance.
        """
        transform, mean_module, kernel = self._parts
        transformed = transform(X)
        cross = _covariance(kernel, transformed, self._X)  # batch_shape x q x n
        mean = mean_module(transformed) + cross @ self._weights
        explained = (cross @ self._inverse_root.T).square().sum(dim=-1)
        variance = kernel(transformed, diag=True) - explained
        return MarginalPosterior(mean=mean.unsqueeze(-1), variance=variance.clamp_min(0.0).unsqueeze(-1))


def _log_kernel_priors(model: ExactGP) -> Tensor:
    """Log density of all hyperparameters that have a kernel prior, a scalar."""
    terms = [prior.log_prob(closure(module)).sum() for _, module, prior, closure, _ in model.named_priors()]
    return torch.stack([torch.zeros((), dtype=torch.float64), *terms]).sum()


def training_root(model: SingleTaskGP) -> Tensor:
    """Lower Cholesky factor of the covariance of the training data with noise, `n x n`.

    Args:
        model: In evaluation mode.
    """
    return _root(model, model.train_inputs[0])


def _mean(model: ExactGP, X: Tensor) -> Tensor:
    """Prior mean of transformed points, `n`."""
    mean: Tensor = model.mean_module(X)
    return mean


def _root(model: SingleTaskGP, X: Tensor) -> Tensor:
    """Lower Cholesky factor of the training covariance with noise, `n x n`."""
    covariance = _covariance(model.covar_module, X, X)
    root: Tensor = psd_safe_cholesky(covariance + model.likelihood.noise * torch.eye(len(X), dtype=X.dtype))
    return root


def _covariance(kernel: Kernel, first: Tensor, second: Tensor) -> Tensor:
    """Kernel matrix of transformed points, `batch_shape x q x n`, without the detour over a lazy one if possible."""
    if kernel.active_dims is not None:  # which `forward` leaves to `__call__`
        first, second = (points.index_select(-1, kernel.active_dims) for points in (first, second))
    covariance = kernel.forward(first, second)
    dense: Tensor = covariance if isinstance(covariance, Tensor) else covariance.to_dense()  # sums of kernels are lazy
    return dense
