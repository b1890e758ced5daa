"""Gaussian processes with given hyperparameters, so that what they believe is known."""

from __future__ import annotations

import warnings
from typing import Any

from botorch.exceptions.warnings import InputDataWarning
from botorch.models.gp_regression import SingleTaskGP
from gpytorch.constraints import Positive
from gpytorch.kernels import MaternKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import ZeroMean
from torch import Tensor


def gp(
    X: Tensor, y: Tensor, *, lengthscale: float = 0.3, noise: float = 1e-4, kind: type[SingleTaskGP] = SingleTaskGP
) -> SingleTaskGP:
    """A zero-mean GP with a Matern-5/2 kernel of variance one, not fitted, without kernel priors.

    Args:
        X: Training points, `n x d`.
        y: Their values, `n`, taken as they are.
        lengthscale: The same for every column.
        noise: Variance of the noise.
        kind: A subclass is not what the package takes for a plain GP.
    """
    kernel: Any = ScaleKernel(MaternKernel(nu=2.5, ard_num_dims=X.shape[-1]))
    likelihood: Any = GaussianLikelihood(noise_constraint=Positive())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputDataWarning)  # the values are not standardised
        model = kind(
            X,
            y.unsqueeze(-1),
            likelihood=likelihood,
            covar_module=kernel,
            mean_module=ZeroMean(),
            outcome_transform=None,
        )
    model.double()  # first: values set in single precision stay rounded
    kernel.outputscale, kernel.base_kernel.lengthscale, likelihood.noise = 1.0, lengthscale, noise
    return model.requires_grad_(False)


def matern(first: Tensor, second: Tensor, lengthscale: float = 0.3) -> Tensor:
    """The kernel of `gp` by its formula, `n x d` and `m x d` to `n x m`."""
    r = 5.0**0.5 * (first.unsqueeze(1) - second).square().sum(dim=-1).sqrt() / lengthscale
    covariance: Tensor = (1.0 + r + r.square() / 3.0) * (-r).exp()
    return covariance
