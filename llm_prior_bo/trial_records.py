"""What the sampler leaves behind in a trial: that it was here, and what it suggested and why."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from optuna.trial import FrozenTrial, TrialState

if TYPE_CHECKING:
    from optuna import Study

STARTED_KEY = "llm_prior_bo:started"
SUGGESTION_KEY = "llm_prior_bo:suggestion"

Phase = Literal["startup", "model"]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One suggestion, as published in the trial before its objective asks for a parameter.

    Other workers read `params` as a pending point; people read the rest.
    """

    params: dict[str, Any]
    """The suggested parameters in natural units, conditional ones included whether they are used or not."""
    phase: Phase
    """`startup`: drawn from the prior; `model`: maximises the prior-weighted acquisition function."""
    n: int
    """Finished trials of this study that the exponent was computed from."""
    exponent: float | None = None
    """The prior's exponent in the acquisition function, `None` in the start-up phase."""
    log_acquisition: float | None = None
    """Log value of the acquisition function at the suggested point, without the prior."""
    log_prior: float | None = None
    """Log density of the prior at the suggested point, relative to uniform, before the exponent."""
    prior_score: float | None = None
    """How much of the score at the suggested point came from the prior, in log units: through the surrogate's mean,
    and through the exponent (`exponent * log_prior`)."""
    prior_coefficients: tuple[float, ...] = ()
    """Coefficient of the prior in the surrogate's mean, one an objective; empty if it has no part there."""
    slot: int | None = None
    """Position in the start-up design, `None` after it."""
    loss_bound: float | None = None
    """The bound `C_n` on the loss factor of the weighted acquisition function; `None` where nothing is multiplied."""
    details: dict[str, Any] = field(default_factory=dict)
    """What the trust gate found: `trust`, `region_weights`, `bayes_factors`. Empty without a gate."""


def mark_started(study: Study, trial: FrozenTrial) -> None:
    """Leave a mark in a trial that this sampler starts, so that it counts as this study's own evidence."""
    study._storage.set_trial_system_attr(trial._trial_id, STARTED_KEY, True)


def abandon(study: Study, trial: FrozenTrial) -> None:
    """Fail a trial that will never run, so that no worker waits for it."""
    with contextlib.suppress(Exception):  # whatever the storage says, it is not what stopped the trial
        study._storage.set_trial_state_values(trial._trial_id, state=TrialState.FAIL)


def is_own(trial: FrozenTrial) -> bool:
    """Whether this sampler started the trial (as opposed to one added from elsewhere)."""
    return bool(trial.system_attrs.get(STARTED_KEY, False))


def publish_suggestion(study: Study, trial: FrozenTrial, suggestion: Suggestion) -> None:
    """Store a suggestion in its trial."""
    # In memory Optuna takes choices of any type; what JSON cannot hold is for people only.
    text = json.dumps(asdict(suggestion), default=repr)
    study._storage.set_trial_system_attr(trial._trial_id, SUGGESTION_KEY, text)


def read_suggestion(trial: FrozenTrial) -> Suggestion | None:
    """The stored suggestion; an unreadable record is no record (attributes are untrusted input)."""
    try:
        record = json.loads(trial.system_attrs.get(SUGGESTION_KEY, "null"))
        if not isinstance(record, Mapping) or not isinstance(record.get("params"), Mapping):
            return None
        known = {f.name for f in fields(Suggestion)}
        kept = {key: value for key, value in record.items() if key in known}
        return Suggestion(**{**kept, "prior_coefficients": tuple(kept.get("prior_coefficients", ()))})
    except (TypeError, ValueError, RecursionError):
        return None
