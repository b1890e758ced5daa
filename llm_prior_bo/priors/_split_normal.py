"""Truncated split normals on [0, 1], any number of them at once.

A split normal has its own scale on each side of the mode and is continuous there::

    kernel(u) = exp(-t^2 / 2),   t = (u - mode) / left   for u < mode,   (u - mode) / right   otherwise
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from llm_prior_bo._cached_property import cached_property
from llm_prior_bo.priors._normal import SQRT_2, SQRT_HALF_PI, log_mean_kernel


@dataclass(frozen=True, eq=False)
class SplitNormals:
    """Parameters of truncated split normals; every method broadcasts against them.

    Attributes:
        mode: Modes in [0, 1], `shape`.
        left: Scales below the mode, `shape`.
        right: Scales above the mode, `shape`.
    """

    mode: Tensor
    left: Tensor
    right: Tensor

    def standardized(self, u: Tensor) -> Tensor:
        """Signed distance to the mode in scales of the side that `u` is on."""
        distance = u - self.mode
        return distance / torch.where(distance < 0, self.left, self.right)

    @cached_property
    def _side_masses(self) -> tuple[Tensor, Tensor]:
        """Integrals of the kernel over [0, mode] and [mode, 1]; `erf` keeps them exact for huge scales."""
        left = self.left * SQRT_HALF_PI * torch.erf(self.mode / (self.left * SQRT_2))
        right = self.right * SQRT_HALF_PI * torch.erf((1 - self.mode) / (self.right * SQRT_2))
        return left, right

    @cached_property
    def log_mass(self) -> Tensor:
        """Log of the kernel's integral over [0, 1], `shape`: what truncation leaves."""
        left, right = self._side_masses
        return torch.log(left + right)

    def log_density(self, u: Tensor) -> Tensor:
        """Log density on [0, 1], differentiable in `u`."""
        return -self.standardized(u).square() / 2 - self.log_mass

    def log_mean_density(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Log of the mean density over cells `[lower, upper]` of [0, 1] (which may straddle the mode)."""
        lower_left, upper_left = torch.minimum(lower, self.mode), torch.minimum(upper, self.mode)
        lower_right, upper_right = torch.maximum(lower, self.mode), torch.maximum(upper, self.mode)
        share = (upper_left - lower_left) / (upper - lower)
        below = log_mean_kernel((lower_left - self.mode) / self.left, (upper_left - self.mode) / self.left)
        above = log_mean_kernel((lower_right - self.mode) / self.right, (upper_right - self.mode) / self.right)
        return torch.logaddexp(torch.log(share) + below, torch.log1p(-share) + above) - self.log_mass

    def icdf(self, v: Tensor) -> Tensor:
        """Quantiles of the truncated distribution; not differentiable."""
        left, right = self._side_masses
        below = left / (left + right)  # P(u < mode)
        inward = torch.where(v < below, 1 - v / below.clamp_min(1e-300), (v - below) / (1 - below).clamp_min(1e-300))
        reach = torch.where(v < below, self.mode / self.left, (1 - self.mode) / self.right)
        t = SQRT_2 * torch.erfinv(inward.clamp(0, 1) * torch.erf(reach / SQRT_2))
        t = torch.minimum(t, reach)  # erfinv(1) is infinite
        return torch.where(v < below, self.mode - self.left * t, self.mode + self.right * t).clamp(0, 1)

    def cdf(self, u: Tensor) -> Tensor:
        """Distribution function of the truncated distribution, differentiable in `u`, accurate to 1e-16 absolutely."""
        left, right = self._side_masses
        scale = torch.where(u < self.mode, self.left, self.right)
        signed = scale * SQRT_HALF_PI * torch.erf((u - self.mode) / (scale * SQRT_2))  # integral from the mode
        return ((left + signed) / (left + right)).clamp(0, 1)
