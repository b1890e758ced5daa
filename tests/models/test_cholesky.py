"""Cholesky factors against PyTorch's, and of matrices that have none."""

from __future__ import annotations

import warnings

import pytest
import torch
from linear_operator.utils.errors import NanError, NotPSDError

from llm_prior_bo.models.cholesky import JITTERS, safe_cholesky

DOUBLE = torch.float64


def test_of_a_definite_matrix_it_is_pytorchs() -> None:
    A = torch.rand(5, 5, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    covariance = A @ A.T + torch.eye(5, dtype=DOUBLE)
    assert torch.equal(safe_cholesky(covariance), torch.linalg.cholesky(covariance))


@pytest.mark.parametrize("defect", [1e-9, 5e-8, 5e-7])
def test_of_a_singular_one_a_little_is_added_without_a_word(defect: float) -> None:
    covariance = torch.ones(3, 3, dtype=DOUBLE) - defect * torch.eye(3, dtype=DOUBLE)
    before = covariance.clone()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        root = safe_cholesky(covariance)
    assert float((root @ root.T - covariance).abs().max()) <= JITTERS[-1] * (1.0 + 1e-6)
    assert torch.equal(covariance, before)


def test_refusals() -> None:
    with pytest.raises(NotPSDError, match="positive definite"):
        safe_cholesky(-torch.eye(2, dtype=DOUBLE))
    with pytest.raises(NanError, match="NaN"):
        safe_cholesky(torch.full((2, 2), float("nan"), dtype=DOUBLE))
