"""One line in the log for every region of a prior that the evidence has left with little."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna.logging import get_logger

from llm_prior_bo.elicitation.llm.secrets import printable, redact
from llm_prior_bo.priors import MixturePrior, OptimumPrior
from llm_prior_bo.study.storage import PerStudy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna import Study

LOW_TRUST = 0.2
"""A region's probability of holding the optimum below which the user is told of it."""

_log = get_logger(f"optuna.{__name__}")  # below Optuna's own, whose level and handlers the user knows
_told: PerStudy[set[int]] = PerStudy(set)


def tell_of_distrust(study: Study, number: int, prior: OptimumPrior, weights: Sequence[float]) -> None:
    """Say of every region, once in this process, that trust in it has fallen below `LOW_TRUST`.

    Args:
        study: The study.
        number: Number of the trial for which the prior was weighed.
        prior: The density as it was stated; a region that had less than `LOW_TRUST` to begin with has not fallen.
        weights: Weights of its regions given the evidence, `K`; empty if nothing was weighed.
    """
    stated = prior.weights.tolist() if isinstance(prior, MixturePrior) else [1.0] * len(weights)
    if len(stated) != len(weights):
        return  # a gate of the user's own
    told = _told(study)
    for k, (before, now) in enumerate(zip(stated, weights, strict=True)):
        if now < LOW_TRUST <= before and k not in told:
            told.add(k)
            label = prior.regions[k].label if isinstance(prior, MixturePrior) else ""
            name = f"{k + 1} ('{printable(redact(label))}')" if label else f"{k + 1}"
            _log.info(
                f"Trust in region {name} of the prior has fallen to {now:.2f} at trial {number}: the trials "
                "speak against it."
            )
