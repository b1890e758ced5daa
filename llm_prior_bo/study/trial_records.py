"""What the sampler leaves behind in a trial: that it was here, and what it suggested and why."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from optuna.trial import FrozenTrial, TrialState
from pydantic import TypeAdapter, ValidationError

from llm_prior_bo.study.process import ProcessMark, this_process
from llm_prior_bo.study.storage import fail_trial, has_heartbeat, set_trial_attribute

if TYPE_CHECKING:
    from optuna import Study

STARTED_KEY = "llm_prior_bo:started"
SUGGESTION_KEY = "llm_prior_bo:suggestion"
ASKING_KEY = "llm_prior_bo:asking"
CHOOSING_KEY = "llm_prior_bo:choosing"
FAILED_KEY = "llm_prior_bo:failed"
ARRIVED_KEY = "llm_prior_bo:arrived"
HEARTBEAT_KEY = "llm_prior_bo:heartbeat"

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


def mark_arrived(study: Study, trial: FrozenTrial) -> None:
    """Say in a trial that starts that its worker uses this sampler, and may be the one that asks the language model."""
    set_trial_attribute(study, trial, ARRIVED_KEY, this_process().to_json())


def mark_started(study: Study, trial: FrozenTrial) -> None:
    """Leave a mark in a trial that this sampler starts, so that it counts as this study's own evidence.

    The mark names the study, for it is copied with the trial when the trial is added to another one.
    """
    set_trial_attribute(study, trial, STARTED_KEY, study.study_name or True)
    if has_heartbeat(study):
        set_trial_attribute(study, trial, HEARTBEAT_KEY, True)


def mark_failed(study: Study, trial: FrozenTrial) -> None:
    """Leave a mark in a trial whose own worker reports its failure: a worker that died leaves none."""
    set_trial_attribute(study, trial, FAILED_KEY, True)


def failed_by_itself(trial: FrozenTrial) -> bool:
    """Whether a trial failed, as far as can be told, because of its configuration.

    Optuna marks a trial as failed too when the heartbeat of its worker has stopped. Only a worker that is alive calls
    `after_trial`, which leaves a mark; a trial with a heartbeat that has none was lost with its worker. Any other
    failed trial is taken at its word: without heartbeats somebody must have said that it failed, if not its own worker
    then another process.
    """
    attributes = trial.system_attrs
    return trial.state == TrialState.FAIL and bool(attributes.get(FAILED_KEY) or not attributes.get(HEARTBEAT_KEY))


def mark_asking(study: Study, trial: FrozenTrial) -> None:
    """Leave a mark in a trial whose worker asks the language model again, so that no other one does."""
    set_trial_attribute(study, trial, ASKING_KEY, this_process().to_json())


def is_asking(trial: FrozenTrial) -> bool:
    """Whether the trial's worker has begun to ask the language model again."""
    return bool(trial.system_attrs.get(ASKING_KEY, False))


def asker(trial: FrozenTrial) -> ProcessMark | None:
    """The process that asks, or may ask, for a trial; `None` where none has said so."""
    attributes = trial.system_attrs
    return ProcessMark.read(attributes.get(ASKING_KEY)) or ProcessMark.read(attributes.get(ARRIVED_KEY))


def mark_choosing(study: Study, trial: FrozenTrial, choosing: bool) -> None:
    """Say in a trial whether its worker is about to choose a suggestion."""
    set_trial_attribute(study, trial, CHOOSING_KEY, this_process().to_json() if choosing else False)


def is_choosing(trial: FrozenTrial, *, max_age: float) -> bool:
    """Whether the trial's worker has said so, has published no suggestion since, and may still be there.

    Args:
        trial: A trial.
        max_age: Seconds after which a worker on another host is taken for dead.
    """
    value = trial.system_attrs.get(CHOOSING_KEY)
    if SUGGESTION_KEY in trial.system_attrs or trial.state != TrialState.RUNNING:
        return False
    mark = ProcessMark.read(value)
    if mark is None:
        return value is True  # from a worker with an older version
    return not mark.is_dead() and mark.age() < max_age


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
    text = trial.system_attrs.get(SUGGESTION_KEY)
    if not isinstance(text, str):
        return None
    try:
        suggestion = _SUGGESTION.validate_python(json.loads(text))
    except (ValidationError, ValueError, RecursionError):
        return None
    return replace(suggestion, details=_readable_details(suggestion.details))


_SUGGESTION: TypeAdapter[Suggestion] = TypeAdapter(Suggestion)


def _readable_details(details: Mapping[str, Any]) -> dict[str, Any]:
    """What a trust gate found; of its own entries only those that are what it writes, others as they are."""
    return {name: value for name, value in details.items() if name not in _DETAILS or _is_detail(name, value)}


_DETAILS: dict[str, TypeAdapter[Any]] = {
    "trust": TypeAdapter(float | None),
    "region_weights": TypeAdapter(list[float]),
    "bayes_factors": TypeAdapter(list[float]),
}


def _is_detail(name: str, value: object) -> bool:
    try:
        read = _DETAILS[name].validate_python(value, strict=True)
    except ValidationError:
        return False
    return name != "region_weights" or (all(share >= 0 for share in read) and sum(read) <= 1.0 + 1e-6)
