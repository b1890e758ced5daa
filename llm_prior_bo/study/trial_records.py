"""What the sampler leaves behind in a trial: that it was here, and what it suggested and why."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from optuna.trial import FrozenTrial, TrialState

from llm_prior_bo.study.storage import fail_trial, set_trial_attribute

if TYPE_CHECKING:
    from optuna import Study

STARTED_KEY = "llm_prior_bo:started"
SUGGESTION_KEY = "llm_prior_bo:suggestion"
ASKING_KEY = "llm_prior_bo:asking"
CHOOSING_KEY = "llm_prior_bo:choosing"
FAILED_KEY = "llm_prior_bo:failed"

Phase = Literal["startup", "refresh", "model"]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One suggestion, as published in the trial before its objective asks for a parameter.

    Other workers read `params` as a pending point; people read the rest.
    """

    params: dict[str, Any]
    """The suggested parameters in natural units, conditional ones included whether they are used or not."""
    phase: Phase
    """`startup`: drawn from the prior; `refresh`: the best guess of an answer that has just come; `model`: maximises
    the acquisition function."""
    n: int
    """Finished trials of this study that the exponent was computed from."""
    exponent: float | None = None
    """The prior's exponent in the acquisition function, `None` in the start-up phase."""
    log_acquisition: float | None = None
    """Log value of the base acquisition function at the suggested point, without the other terms of the score."""
    log_prior: float | None = None
    """Log density of the prior at the suggested point, relative to uniform, before the exponent."""
    prior_score: float | None = None
    """How much of the score came from the prior, in log units: `exponent * log_prior`."""
    feasibility_score: float | None = None
    """How much of the score came from the probability that the trial finishes; `None` before any trial has failed."""
    slot: int | None = None
    """Position in the start-up design, `None` after it."""
    loss_bound: float | None = None
    """The bound `C_n` on the loss factor of the weighted acquisition function; `None` where nothing is multiplied."""
    success_probability: float | None = None
    """How probable it was that the trial would finish, `None` before any trial has failed."""
    details: dict[str, Any] = field(default_factory=dict)
    """What the trust gate found: `trust`, `region_weights`, `bayes_factors`. Empty without a gate."""


def mark_started(study: Study, trial: FrozenTrial) -> None:
    """Leave a mark in a trial that this sampler starts, so that it counts as this study's own evidence.

    The mark names the study, for it is copied with the trial when the trial is added to another one.
    """
    set_trial_attribute(study, trial, STARTED_KEY, study.study_name or True)


def mark_failed(study: Study, trial: FrozenTrial) -> None:
    """Leave a mark in a trial whose own worker reports its failure: a worker that died leaves none."""
    set_trial_attribute(study, trial, FAILED_KEY, True)


def failed_by_itself(trial: FrozenTrial) -> bool:
    """Whether a trial failed, as far as can be told, because of its configuration.

    Optuna marks a trial as failed too when the heartbeat of its worker has stopped. Only a worker that is alive calls
    `after_trial`, which leaves a mark; a trial of this sampler that has none was lost with its worker. A failed trial
    that others started, or that was added by hand, is taken at its word.
    """
    return trial.state == TrialState.FAIL and (not is_own(trial) or bool(trial.system_attrs.get(FAILED_KEY, False)))


def mark_asking(study: Study, trial: FrozenTrial) -> None:
    """Leave a mark in a trial whose worker asks the language model again, so that no other one does."""
    set_trial_attribute(study, trial, ASKING_KEY, True)


def is_asking(trial: FrozenTrial) -> bool:
    """Whether the trial's worker has begun to ask the language model again."""
    return bool(trial.system_attrs.get(ASKING_KEY, False))


def mark_choosing(study: Study, trial: FrozenTrial, choosing: bool) -> None:
    """Say in a trial whether its worker is about to choose a suggestion."""
    set_trial_attribute(study, trial, CHOOSING_KEY, choosing)


def is_choosing(trial: FrozenTrial) -> bool:
    """Whether the trial's worker has said so and has published no suggestion since."""
    return trial.system_attrs.get(CHOOSING_KEY) is True and SUGGESTION_KEY not in trial.system_attrs


def abandon(study: Study, trial: FrozenTrial) -> None:
    """Fail a trial that will never run, so that no worker waits for it."""
    with contextlib.suppress(Exception):  # whatever the storage says, it is not what stopped the trial
        fail_trial(study, trial)


def is_own(trial: FrozenTrial) -> bool:
    """Whether this sampler started the trial (as opposed to one added from elsewhere)."""
    return bool(trial.system_attrs.get(STARTED_KEY, False))


def started_here(study: Study, trial: FrozenTrial) -> bool:
    """Whether this sampler started the trial in this very study; marks without a name are from older versions."""
    return trial.system_attrs.get(STARTED_KEY) in (True, study.study_name)


def publish_suggestion(study: Study, trial: FrozenTrial, suggestion: Suggestion) -> None:
    """Store a suggestion in its trial."""
    # In memory Optuna takes choices of any type; what JSON cannot hold is for people only.
    text = json.dumps(asdict(suggestion), default=repr)
    set_trial_attribute(study, trial, SUGGESTION_KEY, text)


def read_suggestion(trial: FrozenTrial) -> Suggestion | None:
    """The stored suggestion; an unreadable record is no record (attributes are untrusted input)."""
    try:
        record = json.loads(trial.system_attrs.get(SUGGESTION_KEY, "null"))
        if not isinstance(record, Mapping) or not isinstance(record.get("params"), Mapping):
            return None
        known = {f.name for f in fields(Suggestion)}
        kept = {key: value for key, value in record.items() if key in known}
        return Suggestion(**kept)
    except (TypeError, ValueError, RecursionError):
        return None
