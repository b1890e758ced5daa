"""Any prior, believed in part."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from llm_prior_bo.errors import PriorError
from llm_prior_bo.priors.base import OptimumPrior, Points, check_count, generator_or_fresh, uniform_variates
from llm_prior_bo.priors.uniform import UniformPrior
from llm_prior_bo.space import SearchSpace


class TemperedMixture(OptimumPrior):
    """`trust * pi(x) + 1 - trust`, relative to uniform.

    A `MixturePrior` has weights of its own; this is for every other density.

    Args:
        prior: The density.
        trust: Probability that the optimum is where the density says, in [0, 1].
        uniform: Where the rest is drawn from: the prior without an opinion over the same columns.

    Raises:
        PriorError: If `trust` is not in [0, 1], or the two priors differ in dimension.
    """

    def __init__(self, prior: OptimumPrior, trust: float, *, uniform: UniformPrior) -> None:
        if not 0.0 <= trust <= 1.0:
            raise PriorError(f"Expected a trust in [0, 1], got {trust}; 0 is no opinion.")
        if prior.dim != uniform.dim:
            raise PriorError(
                f"Expected priors of one dimension, got {prior.dim} and {uniform.dim}; build both over one space."
            )
        self.prior = prior
        self.trust = float(trust)
        self.uniform = uniform

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return self.uniform.space

    @property
    def dim(self) -> int:
        """Number of columns `d`."""
        return self.prior.dim

    @property
    def is_uniform(self) -> bool:
        """Whether nothing is believed, or nothing said."""
        return self.trust == 0.0 or self.prior.is_uniform

    @property
    def log_range(self) -> float:
        """An upper bound: the largest value of the prior's density is at most `exp` of its own range."""
        if self.trust == 0.0:
            return 0.0
        if self.trust == 1.0:
            return self.prior.log_range
        # A density has mean 1, so its smallest value is at most 1 and its largest at most exp(range).
        return math.log(self.trust * math.exp(min(self.prior.log_range, 700.0)) + 1.0 - self.trust) - math.log1p(
            -self.trust
        )

    def log_prob(self, X: Points) -> Tensor:
        """Log density relative to uniform, at least `log(1 - trust)`.

        Args:
            X: Encoded points, `batch_shape x d`.

        Returns:
            `batch_shape`, float64.
        """
        if self.trust == 1.0:
            return self.prior.log_prob(X)
        rest = self.uniform.log_prob(X)
        if self.trust == 0.0:
            return rest
        return torch.logaddexp(self.prior.log_prob(X) + math.log(self.trust), rest + math.log1p(-self.trust))

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Independent draws: from the prior with probability `trust`, else uniform; `n x d`."""
        generator = generator_or_fresh(generator)
        believed = uniform_variates(check_count(n), 1, generator) < self.trust  # n x 1
        return torch.where(
            believed, self.prior.sample(n, generator=generator), self.uniform.sample(n, generator=generator)
        )

    def mode(self) -> Tensor:
        """The prior's own mode, `d`."""
        return self.prior.mode()

    def __repr__(self) -> str:
        return f"TemperedMixture({self.prior!r}, trust={self.trust:.4f})"
