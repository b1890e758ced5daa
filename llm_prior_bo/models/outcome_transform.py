"""Objective and constraint values on a scale that a Gaussian process can model."""

from __future__ import annotations

import torch
from torch import Tensor

KNEE = 2.0
"""Spreads below the median from which on a bad value is compressed."""

_TINY = 1e-12


def standardize_outcome(y: Tensor) -> Tensor:
    """Objective values to mean 0 and standard deviation 1, bad outliers compressed.

    Let `s` be the distance of the best value to the median. Values stay linear in `(y - median) / s` down to `KNEE`
    spreads below the median; beyond, the distance grows with its logarithm only. So one diverged run (2.0 among values
    near 0.98) does not flatten the differences that matter, and no value is thrown away or tied with another.

    Args:
        y: Values of one objective, to be maximised, `n`; infinities take the worst (best) finite value.

    Returns:
        Transformed values, `n`; monotone in `y`; all zero if all values are equal.
    """
    y = _finite(y)
    median = y.quantile(0.5)
    spread = (y.max() - median).clamp_min(_TINY)
    distance = (y - median) / spread
    z = torch.where(distance >= -KNEE, distance, -KNEE - torch.log1p((-KNEE - distance).clamp_min(0.0)))
    deviation = z.std(correction=0)
    return (z - z.mean()) / deviation if float(deviation) > _TINY else torch.zeros_like(z)


def scale_constraint(c: Tensor) -> Tensor:
    """Constraint values divided by their spread and limited to 5 spreads; the sign (feasible where `<= 0`) is kept.

    Args:
        c: Values of one constraint, `n`.

    Returns:
        Scaled values, `n`.
    """
    finite = c[c.isfinite()]
    spread = finite.abs().quantile(0.75) if len(finite) else c.new_tensor(0.0)
    return torch.nan_to_num(c / spread.clamp_min(_TINY), nan=5.0).clamp(-5.0, 5.0)


def _finite(y: Tensor) -> Tensor:
    finite = y[y.isfinite()]
    if len(finite) == 0:
        return torch.zeros_like(y)
    return torch.nan_to_num(y, nan=float(finite.min())).clamp(float(finite.min()), float(finite.max()))
