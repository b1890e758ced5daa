"""Cholesky factors of covariance matrices that may be singular to rounding."""

from __future__ import annotations

import torch
from linear_operator.utils.errors import NanError, NotPSDError
from torch import Tensor

JITTERS = (1e-8, 1e-7, 1e-6)
"""Added to the diagonal until there is a factor: those of `linear_operator.utils.cholesky.psd_safe_cholesky`."""


def safe_cholesky(covariance: Tensor) -> Tensor:
    """Lower Cholesky factor; where there is none, that of the matrix with a small multiple of the identity added.

    As `linear_operator.utils.cholesky.psd_safe_cholesky`, without its warning: points that nearly coincide are usual in
    a search, and Python's warning filters are the user's.

    Args:
        covariance: `n x n`, symmetric, float64.

    Returns:
        `n x n`.

    Raises:
        NanError: If an entry is not a number.
        NotPSDError: If there is no factor with the largest of `JITTERS` either.
    """
    root: Tensor
    root, failed = torch.linalg.cholesky_ex(covariance)
    if not bool(failed):
        return root
    if bool(torch.isnan(covariance).any()):
        raise NanError("Expected a covariance matrix of numbers, got one with NaN in it.")
    for jitter in JITTERS:
        root, failed = torch.linalg.cholesky_ex(
            covariance + jitter * torch.eye(len(covariance), dtype=covariance.dtype)
        )
        if not bool(failed):
            return root
    raise NotPSDError(f"Expected a positive definite matrix, got none after adding {JITTERS[-1]:g} to its diagonal.")
