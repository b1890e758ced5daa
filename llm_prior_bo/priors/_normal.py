r"""Normal integrals that stay accurate for narrow intervals and in far tails.

The naive `log(Phi(b) - Phi(a))` is `-inf` in a tail and loses all digits for a narrow interval. Everything here works
with the *mean* of the kernel `exp(-t^2/2)` over an interval: it has no cancellation for a narrow one (a point is an
interval of width zero) and the widths cancel on paper from every ratio that the densities need.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
SQRT_2 = math.sqrt(2.0)
SQRT_HALF_PI = math.sqrt(math.pi / 2.0)

# Gauss-Legendre with 8 nodes, as 4 symmetric pairs. For h * (1 + |mid|) <= 1 its error is below 1e-18.
NODES, WEIGHTS = (torch.from_numpy(values[4:].copy()) for values in np.polynomial.legendre.leggauss(8))


def log_mean_kernel(lower: Tensor, upper: Tensor) -> Tensor:
    r"""Log of the mean of `exp(-t^2 / 2)` over `[lower, upper]`, differentiable and finite for any finite interval.

    Args:
        lower: Lower ends, `batch_shape`.
        upper: Upper ends, `batch_shape`, not below `lower`; equal ends give the kernel at the point.

    Returns:
        `batch_shape`. The log of `Phi(upper) - Phi(lower)` is this plus `log(upper - lower) - log(sqrt(2 pi))`.
    """
    flip = lower + upper > 0  # the kernel is even; in the lower half no difference of numbers near 1 is taken
    a, b = torch.where(flip, -upper, lower), torch.where(flip, -lower, upper)
    width, middle = b - a, (a + b) / 2
    narrow = width * (1 + middle.abs()) <= 1
    if bool(narrow.all()):
        return _log_mean_narrow(middle, width / 2)
    if not bool(narrow.any()):
        return _log_mean_wide(a, b)
    # Both branches get harmless arguments where the other one is used: 0 * inf in a backward pass would be NaN.
    quadrature = _log_mean_narrow(torch.where(narrow, middle, 0.0), torch.where(narrow, width, 0.0) / 2)
    difference = _log_mean_wide(torch.where(narrow, -1.0, a), torch.where(narrow, 1.0, b))
    return torch.where(narrow, quadrature, difference)


def _log_mean_narrow(middle: Tensor, half_width: Tensor) -> Tensor:
    # mean_t exp(-(m + t)^2 / 2) = exp(-m^2 / 2) * sum_i w_i cosh(m t_i) exp(-t_i^2 / 2): positive terms only.
    t = half_width.unsqueeze(-1) * NODES  # batch_shape x 4
    terms = torch.cosh(middle.unsqueeze(-1) * t) * torch.exp(t.square() / -2)
    return torch.log(terms @ WEIGHTS) - middle.square() / 2


def _log_mean_wide(a: Tensor, b: Tensor) -> Tensor:
    log_upper = torch.special.log_ndtr(b)
    log_mass = log_upper + torch.log1p(-torch.exp(torch.special.log_ndtr(a) - log_upper))
    result: Tensor = log_mass + LOG_SQRT_2PI - torch.log(b - a)
    return result


def mills_ratio(z: Tensor) -> Tensor:
    """`Phi(z) / phi(z)`, accurate in the lower tail where both vanish."""
    ratio: Tensor = SQRT_HALF_PI * torch.special.erfcx(-z / SQRT_2)
    return ratio


def ndtri_exp(log_p: Tensor) -> Tensor:
    """The inverse of `torch.special.log_ndtr`, also where `exp(log_p)` underflows. Not differentiable."""
    lower = torch.special.ndtri(torch.exp(log_p))
    z = torch.where(log_p > -0.5, -torch.special.ndtri(-torch.expm1(log_p)), lower)  # no digits are lost near p = 1
    far = log_p < -200.0
    if not bool(far.any()):
        return z
    target = log_p[far]
    root = -torch.sqrt(-2.0 * target)
    for _ in range(4):  # Newton on a concave function, from a start that is right to 1 %: quadratic
        root = root - (torch.special.log_ndtr(root) - target) * mills_ratio(root)
    z = z.clone()
    z[far] = root
    return z


def truncated_normal_icdf(v: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """Quantiles of a standard normal truncated to `[lower, upper]`. Not differentiable.

    Args:
        v: Probabilities in [0, 1], `batch_shape`.
        lower: Lower ends of the intervals, `batch_shape`.
        upper: Upper ends of the intervals, `batch_shape`.

    Returns:
        Quantiles within the intervals, `batch_shape`.
    """
    flip = lower + upper > 0
    a, b = torch.where(flip, -upper, lower), torch.where(flip, -lower, upper)
    p = torch.where(flip, 1 - v, v)
    # Phi(z) = (1 - p) Phi(a) + p Phi(b)
    log_p = torch.logaddexp(
        torch.log1p(-p) + torch.special.log_ndtr(a), torch.log(p) + torch.special.log_ndtr(b)
    )  # batch_shape
    width, middle = b - a, (a + b) / 2
    # Over a very narrow interval log_p cannot resolve the position; there the density is linear to 1e-12.
    linear = a + width * (p + middle * width * (p - 1) * p / 2)
    z = torch.where(width * (1 + middle.abs()) < 1e-6, linear, ndtri_exp(log_p))
    z = torch.minimum(torch.maximum(z, a), b)
    return torch.where(flip, -z, z)
