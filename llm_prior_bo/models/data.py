"""What a surrogate learns from: encoded points, values, constraints, and points without a value."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from llm_prior_bo.errors import SearchSpaceError

MAX_UNSUCCESSFUL_PENDING = 30
"""How many of the latest failed and pruned trials are kept away from. Where they are integrated over by Monte Carlo,
with several objectives or constraints, a suggestion takes ten times as long with 150 of them."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What the surrogate learns from.

    Args:
        X: Encoded points of the finished trials, `n x d`.
        Y: Their objective values, all to be maximised, `n x m`; may hold infinities, never NaN.
        constraints: Their constraint values, feasible where `<= 0`, `n x c` with `c >= 0`.
        pending: Encoded points that are being evaluated, or lately failed or were pruned, `p x d`: places where a
            further evaluation teaches nothing yet.
        active: Which parameters each finished trial asked for, `n x d` booleans; all of them if `None`.
        numbers: Number of each finished trial in its study, `n`; empty if they come from elsewhere.
        failed: Encoded points of the trials that failed because of their configuration, `f x d`; none if `None`.
        pruned: Encoded points of the pruned trials, `r x d`, which did work as far as they went; none if `None`.

    Raises:
        SearchSpaceError: If the shapes do not fit each other.
    """

    X: Tensor
    Y: Tensor
    constraints: Tensor
    pending: Tensor
    active: Tensor | None = None
    numbers: tuple[int, ...] = ()
    failed: Tensor | None = None
    pruned: Tensor | None = None

    def __post_init__(self) -> None:
        n, d = self.X.shape
        active_fits = self.active is None or self.active.shape == self.X.shape
        if len(self.Y) != n or len(self.constraints) != n or self.pending.shape[-1] != d or not active_fits:
            raise SearchSpaceError(
                f"Expected X `n x d`, Y `n x m`, constraints `n x c` and pending `p x d`, got {tuple(self.X.shape)}, "
                f"{tuple(self.Y.shape)}, {tuple(self.constraints.shape)} and {tuple(self.pending.shape)}; "
                "active, if given, as X."
            )

    @property
    def taken(self) -> Tensor:
        """Points that are not suggested while there are others, `k x d`: pending ones, and then finished ones as well.

        A trial that is alone may repeat one, where there is noise and nothing else to gain. While others run there is
        more to gain from their results.
        """
        return torch.cat([self.pending, self.X]) if len(self.pending) else self.pending

    @property
    def n(self) -> int:
        """Number of finished trials."""
        return len(self.X)
