"""What the sampler leaves behind in a trial: that it was here, and what it suggested and why."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import asdict, dataclass, replace
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

HARMLESS_LOSS_BOUND = math.e
"""Largest factor on the unweighted loss bound that is called harmless: what the sampler's default decay promises."""

Phase = Literal["startup", "model"]
Source = Literal["mode", "region", "draw", "uniform"]
"""Where a start-up point comes from: the prior's mode, the best point of another region, a draw from the prior, or a
uniform draw."""

_ORIGINS: dict[Source, str] = {
    "mode": "the most probable point of the prior",
    "region": "the best point of one of the prior's other regions",
    "draw": "a draw from the prior",
    "uniform": "a uniform draw, to compare the prior with",
}


def belief_name(asked_at: int) -> str:
    """What a belief is called: by the trial that it was asked for, "given prior" if nobody was asked (-1)."""
    return "given prior" if asked_at < 0 else f"answer of trial {asked_at}"


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """The part of one answer in a suggestion that maximises a score. Every answer has a clock of its own."""

    asked_at: int
    """Number of the trial for which it was asked, -1 for a density that was given."""
    age: int
    """Finished trials of this study's own since it was asked; what its decay is a function of."""
    exponent: float
    """Its exponent in the score."""
    log_prior: float
    """Log density of what the evidence has left of it at the suggested point, relative to uniform."""
    score: float
    """What it added to the score: `exponent * log_prior`."""
    loss_bound: float
    """The factor `exp(exponent * L)` by which it can raise the bound on the loss, `L` the range of its log density."""
    trust: float | None = None
    """Probability that the optimum is in one of its regions, given the evidence since it was asked; `None` without a
    trust gate, or before there is any evidence."""
    region_weights: tuple[float, ...] = ()
    """The same for each of its regions, `K`; they sum to `trust`."""
    bayes_factors: tuple[float, ...] = ()
    """Bayes factor of each region against uniform since it was asked, `K`."""
    region_labels: tuple[str, ...] = ()
    """Label of each region, `K`, escaped and cut; empty where nobody weighed it, or in records of earlier versions."""

    @property
    def name(self) -> str:
        """What it is called: "given prior", "no prior" where nobody has said anything, or by the trial asked for."""
        is_stated = self.asked_at >= 0 or self.loss_bound > 1.0 or self.bayes_factors or self.log_prior
        return belief_name(self.asked_at) if is_stated else "no prior"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One suggestion, as published in the trial before its objective asks for a parameter.

    Other workers read `params` as a pending point; people read the rest.
    """

    params: dict[str, Any]
    """The suggested parameters in natural units, conditional ones included whether they are used or not."""
    phase: Phase
    """`startup`: drawn from the prior; `model`: maximises the score."""
    n: int
    """Finished trials of this study's own."""
    exponent: float | None = None
    """The prior's exponent in the score, of several answers the largest; `None` in the start-up phase."""
    log_acquisition: float | None = None
    """Log value of the base acquisition function at the suggested point, without the other terms of the score."""
    log_prior: float | None = None
    """Log density of the prior at the suggested point, relative to uniform, before the exponent; of several answers the
    pooled one."""
    prior_score: float | None = None
    """How much of the score came from the prior, in log units: the sum of what the answers added."""
    feasibility_score: float | None = None
    """How much of the score came from the probability that the trial finishes; `None` before any trial has failed."""
    slot: int | None = None
    """Position in the start-up design, `None` after it."""
    source: Source | None = None
    """Where a start-up point comes from, `None` after the start-up."""
    region: str | None = None
    """Label of the region in which the point most probably lies, given the weights of the moment, escaped; `None`
    outside all regions, and for a density that is not made of regions."""
    loss_bound: float | None = None
    """From here on the loss is at most this many times the bound of the unweighted acquisition function: the product
    over all answers (Hvarfner et al., πBO, ICLR 2022, theorem 1). `None` where nothing is multiplied."""
    success_probability: float | None = None
    """How probable it was that the trial would finish, `None` before any trial has failed."""
    answers: tuple[AnswerPart, ...] = ()
    """The part of each answer, oldest first; empty in the start-up phase."""
    seed: int | None = None
    """Seed of the model's draws and of the search for the maximum; `None` in the start-up phase."""

    @property
    def origin(self) -> str:
        """Where the point comes from, in words."""
        if self.phase == "model":
            return "Best score"
        return f"Start-up: {_ORIGINS[self.source] if self.source else 'a point of the design'}"

    @property
    def trust(self) -> float | None:
        """Trust in the answer that is trusted most; `None` where none was weighed."""
        return max((part.trust for part in self.answers if part.trust is not None), default=None)

    @property
    def certificate(self) -> str:
        """What the loss bound promises from this suggestion on, as a sentence."""
        if self.phase == "startup":
            return "No certificate: a start-up point is drawn, nothing is maximised."
        if self.loss_bound is None or not self.exponent:
            return "Certified: the prior was not multiplied in."
        if not math.isfinite(self.loss_bound):
            return "No certificate: the density has no lower bound."
        bound = f"at most {self.loss_bound:.3g} times the unweighted loss bound from here on"
        return f"Certified: {bound}." if self.is_certified else f"Not yet certified: {bound}."

    @property
    def is_certified(self) -> bool:
        """Whether the loss is at most `HARMLESS_LOSS_BOUND` times the unweighted bound from this suggestion on."""
        if self.phase == "startup":
            return False
        bound = self.loss_bound if self.exponent else None
        return bound is None or bound <= HARMLESS_LOSS_BOUND * (1.0 + 1e-9)


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
        record = json.loads(text)
        answers = record.pop("answers", ()) if isinstance(record, dict) else ()
        return replace(_SUGGESTION.validate_python(record), answers=_readable_parts(answers))
    except (ValidationError, ValueError, RecursionError):
        return None


_SUGGESTION: TypeAdapter[Suggestion] = TypeAdapter(Suggestion)
_PARTS: TypeAdapter[tuple[AnswerPart, ...]] = TypeAdapter(tuple[AnswerPart, ...])


def _readable_parts(record: object) -> tuple[AnswerPart, ...]:
    """The parts of the answers, none where one of them is not what a sampler writes."""
    try:
        parts = _PARTS.validate_python(record)
    except ValidationError:
        return ()
    return parts if all(_is_share(weight) for part in parts for weight in _shares(part)) else ()


def _shares(part: AnswerPart) -> list[float]:
    return [*part.region_weights, sum(part.region_weights), *(() if part.trust is None else (part.trust,))]


def _is_share(value: float) -> bool:
    return 0.0 <= value <= 1.0 + 1e-6
