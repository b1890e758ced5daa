"""One line in the log for every region of a prior that the evidence has left with little."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna.logging import get_logger

from llm_prior_bo.elicitation.llm.secrets import printable, redact
from llm_prior_bo.priors import MixturePrior, OptimumPrior
from llm_prior_bo.study.storage import PerStudy
from llm_prior_bo.study.trial_records import AnswerPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna import Study

LOW_TRUST = 0.2
"""A region's probability of holding the optimum below which the user is told of it."""

_log = get_logger(f"optuna.{__name__}")  # below Optuna's own, whose level and handlers the user knows
_told: PerStudy[set[tuple[int, int]]] = PerStudy(set)


def tell_of_distrust(study: Study, number: int, answers: Sequence[tuple[OptimumPrior, AnswerPart]]) -> None:
    """Say of every region, once in this process, that trust in it has fallen below `LOW_TRUST`.

    Args:
        study: The study.
        number: Number of the trial for which the answers were weighed.
        answers: Each density as it was stated, and what the evidence says of it. A region that had less than
            `LOW_TRUST` to begin with has not fallen.
    """
    for prior, part in answers:
        stated = prior.weights.tolist() if isinstance(prior, MixturePrior) else [1.0] * len(part.region_weights)
        if len(stated) != len(part.region_weights):
            continue  # nothing was weighed, or by a gate of the user's own
        for k, (before, now) in enumerate(zip(stated, part.region_weights, strict=True)):
            if now < LOW_TRUST <= before and (part.asked_at, k) not in _told(study):
                _told(study).add((part.asked_at, k))
                _tell(prior, k, part, number)


def _tell(prior: OptimumPrior, k: int, part: AnswerPart, number: int) -> None:
    label = prior.regions[k].label if isinstance(prior, MixturePrior) else ""
    name = f"{k + 1} ('{printable(redact(label))}')" if label else f"{k + 1}"
    whose = f"the answer for trial {part.asked_at}" if part.asked_at > 0 else "the prior"
    if part.asked_at < 0:
        whose = "the given prior"
    _log.info(
        f"Trust in region {name} of {whose} has fallen to {part.region_weights[k]:.2f} at trial {number}: the trials "
        "speak against it."
    )
