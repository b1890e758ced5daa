"""The seam of the trust gate: who may change a prior when there is evidence.

A gate sees the prior and the surrogate of the current trial and returns the prior to use for this suggestion. It is
asked at every suggestion and must not remember a rejection: a prior that was distrusted early may come back.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from llm_prior_bo.priors import OptimumPrior
from llm_prior_bo.surrogate import Surrogate


@runtime_checkable
class TrustGate(Protocol):
    """Turns a prior into the one that the evidence so far supports."""

    def reweight(self, prior: OptimumPrior, surrogate: Surrogate) -> OptimumPrior:
        """Weigh a prior against the evidence.

        Args:
            prior: The elicited density.
            surrogate: The model fitted to all finished trials.

        Returns:
            The density to use for the next suggestion; `prior` itself where the evidence says nothing.
        """
        ...
