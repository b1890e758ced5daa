"""Which region of a density a point lies in, by the label that whoever stated it gave it."""

from __future__ import annotations

from torch import Tensor

from llm_prior_bo.elicitation.llm.secrets import cut_off, printable, redact
from llm_prior_bo.priors import MixturePrior, OptimumPrior

MAX_LABEL_CHARACTERS = 80
"""A label is cut here where it is kept with every suggestion."""


def region_labels(prior: OptimumPrior) -> tuple[str, ...]:
    """Label of every region, escaped and cut, or its number; empty for a density that is not made of regions."""
    return tuple(_label(prior, k) for k in range(len(prior.regions))) if isinstance(prior, MixturePrior) else ()


def region_at(prior: OptimumPrior, x: Tensor) -> tuple[str | None, float] | None:
    """The region in which the optimum most probably lies if it is at a point.

    Args:
        prior: The density.
        x: Encoded point, `d`.

    Returns:
        Label of the region, `None` outside all of them, and its probability; `None` for a density that is not made of
        regions.
    """
    if not isinstance(prior, MixturePrior) or not prior.regions:
        return None
    shares = prior.responsibilities(x)  # K + 1
    k = int(shares.argmax())
    return None if k == len(prior.regions) else _label(prior, k), float(shares[k])


def region_label(prior: OptimumPrior, x: Tensor) -> str | None:
    """Label of the region in which a point, `d`, most probably lies; `None` outside all regions, or without any."""
    found = region_at(prior, x)
    return None if found is None else found[0]


def _label(prior: MixturePrior, k: int) -> str:
    return cut_off(printable(redact(prior.regions[k].label)), MAX_LABEL_CHARACTERS) or f"region {k + 1}"
