"""Where the prior of a study comes from: a density given by the user, or answers that are stored in the study.

Among workers the lowest-numbered trial that has not passed this point asks. For the first answer the others wait; when
it is asked again they go on with what they have. Trial numbers are unique on every storage, so no further coordination
is needed (`docs/design.md`, many workers).
"""

from __future__ import annotations

import itertools
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

from optuna.logging import get_logger
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from llm_prior_bo.beliefs import Belief, pool_beliefs
from llm_prior_bo.build_prior import build_prior
from llm_prior_bo.elicitation.context import DEFAULT_MAX_PROMPT_TOKENS, StudyContext
from llm_prior_bo.elicitation.elicitor import Elicitation, Elicitor, elicit_within
from llm_prior_bo.elicitation.insights import StudyInsights
from llm_prior_bo.elicitation.redact import printable, redact
from llm_prior_bo.elicitation.remarks import guesses_at_bounds, remarks
from llm_prior_bo.elicitation.spending import SpendingLimit, Usage
from llm_prior_bo.errors import (
    AnswerError,
    ConfigurationError,
    ElicitationWarning,
    LLMPriorError,
    RepairedAnswerWarning,
)
from llm_prior_bo.persistence import (
    FailureRecord,
    Records,
    load_failures,
    load_records,
    save_elicitation,
    save_failure,
)
from llm_prior_bo.priors import MixturePrior, OptimumPrior, RegionPrior, UniformPrior, pool_priors
from llm_prior_bo.refresh import RefreshPolicy, RefreshReason
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study_progress import study_progress
from llm_prior_bo.trials.found_space import FoundSpace
from llm_prior_bo.trials.trial_records import is_asking, is_own, mark_asking

if TYPE_CHECKING:
    from optuna import Study

LearnInsights = Callable[[RefreshReason, Sequence[Belief], Sequence[Sequence[Elicitation]]], StudyInsights | None]
"""What the surrogate has learned: from the reason to ask again, the beliefs so far and the answers behind each."""

POLL_SECONDS = 0.2
"""How often a worker looks whether the answer it waits for is there."""

MAX_IN_VAIN = 2
"""How many workers one waits for before it goes on without an answer."""


class PriorSource(Protocol):
    """Gives the prior of a study over any space of its parameters."""

    def prepare(
        self, study: Study, trial: FrozenTrial, space: SearchSpace | None, *, learn: LearnInsights | None = None
    ) -> None:
        """Called once at the start of every trial: the moment to ask, if an answer is wanted.

        Args:
            study: The study.
            trial: The trial that starts.
            space: All parameters that are known, `None` before the first trial of a study without a given space.
            learn: Tells a later question what the surrogate has learned; called only if one is asked.
        """
        ...

    def current(self, study: Study, space: SearchSpace) -> OptimumPrior:
        """The prior over `space` now; uniform where nothing is known. Never asks and never raises."""
        ...

    def beliefs(self, study: Study, space: SearchSpace) -> tuple[Belief, ...]:
        """The same as one belief for each time somebody was asked, oldest first; at least one."""
        ...


@dataclass(frozen=True)
class GivenPrior:
    """A density that the user wrote.

    Args:
        prior: The density.
        space: The space it is over.
    """

    prior: OptimumPrior
    space: SearchSpace

    def prepare(
        self, study: Study, trial: FrozenTrial, space: SearchSpace | None, *, learn: LearnInsights | None = None
    ) -> None:
        """Nothing to prepare."""

    def current(self, study: Study, space: SearchSpace) -> OptimumPrior:  # noqa: ARG002 - part of the protocol
        """The given density, over some of its parameters if it is a mixture; no opinion where it is of no use."""
        if space == self.space:
            return self.prior
        return _restricted(self.prior, space) if isinstance(self.prior, MixturePrior) else UniformPrior(space)

    def beliefs(self, study: Study, space: SearchSpace) -> tuple[Belief, ...]:
        """One: the density was there before the study."""
        return (Belief(self.current(study, space)),)


@dataclass
class _Memory:
    """What this process knows of one study."""

    answers: list[Elicitation] = field(default_factory=list)
    beliefs: dict[SearchSpace, tuple[Belief, ...]] = field(default_factory=dict)
    gave_up: bool = False
    dead: set[int] = field(default_factory=set)
    """Identifiers of trials whose workers were waited for in vain."""


@dataclass
class ElicitedPrior:
    """Answers stored in the study and shared by all its workers: asked for once, and again where a policy says so.

    Args:
        elicitor: Who is asked.
        n_answers: How many answers are pooled.
        max_context_trials: How many trials of each kind the context may show.
        patience: Seconds to wait for another worker's answer before going on without one.
        max_prompt_tokens: Size that a question is shortened to if it is longer.
        limit: Hard limits of what this study's questions may use up; `None`: none.
        refresh: When to ask again; `None`: never.
        build: Turns an answer and a space into a density.
    """

    elicitor: Elicitor
    n_answers: int = 1
    max_context_trials: int = 10
    patience: float = 150.0
    max_prompt_tokens: int = DEFAULT_MAX_PROMPT_TOKENS
    limit: SpendingLimit | None = None
    refresh: RefreshPolicy | None = None
    build: Callable[..., OptimumPrior] = build_prior
    # By the storage itself, not its id, which another study's storage may have later.
    _memories: WeakKeyDictionary[BaseStorage, dict[int, _Memory]] = field(default_factory=WeakKeyDictionary, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Without the memory: another process reads the study instead."""
        return {**self.__dict__, "_memories": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """With an empty memory."""
        self.__dict__.update(state, _memories=WeakKeyDictionary())

    def prepare(
        self, study: Study, trial: FrozenTrial, space: SearchSpace | None, *, learn: LearnInsights | None = None
    ) -> None:
        """Ask, or wait for the worker that does, unless that has been done before; ask again if it is due."""
        if space is None:
            return
        if self._is_settled(study):
            self._ask_again_if_due(study, trial, space, learn)
            return
        known_failures = load_failures(study)
        if not self._is_first(study, trial):
            self._wait(study, trial, known_failures)
        if self._is_first(study, trial):
            with _asking:  # threads of one process share this object
                if not self._is_settled(study, fresh=True):
                    self._ask(study, trial, space)

    def current(self, study: Study, space: SearchSpace) -> OptimumPrior:
        """The pooled density of the stored answers over `space`, uniform if there is none."""
        return pool_beliefs(self.beliefs(study, space))

    def beliefs(self, study: Study, space: SearchSpace) -> tuple[Belief, ...]:
        """One belief for each question that was answered; a uniform one if there is none."""
        questions = self._questions(self._answers(study))
        if not questions:
            return (Belief(UniformPrior(space)),)
        beliefs = self._memory(study).beliefs
        if space not in beliefs:
            beliefs[space] = tuple(self._belief(answers, space) for answers in questions)
        return beliefs[space]

    def _ask_again_if_due(
        self, study: Study, trial: FrozenTrial, space: SearchSpace, learn: LearnInsights | None
    ) -> None:
        """Ask again without making anyone wait: the other workers go on with the answers that they have."""
        if self.refresh is None or self._due(study, space) is None:
            return
        # In this order: a worker stores its answer before it steps aside, so it is either seen here or there.
        if not self._is_first(study, trial) or self._somebody_asks(study, trial):
            return
        with _asking:
            reason = self._due(study, space)
            if reason is None:
                return
            mark_asking(study, trial)
            # Once more: one of the two that began at the same moment sees the other's mark.
            if not self._somebody_asks(study, trial):
                self._ask(study, trial, space, reason=reason, learn=learn)

    def _due(self, study: Study, space: SearchSpace) -> RefreshReason | None:
        assert self.refresh is not None
        records = load_records(study)
        answers, failures = self._remembered(study, records), records.failures
        asked_for = {answer.trial_number for answer in answers} | {failure.trial_number for failure in failures}
        if len(asked_for) >= self.refresh.max_elicitations:
            return None  # before the trials are looked at, for there may be thousands
        return self.refresh.due(study_progress(study, answers, failures, space))

    def _questions(self, answers: Sequence[Elicitation]) -> list[list[Elicitation]]:
        """The answers by question. A first question that two workers asked by mishap counts once."""
        groups = [list(group) for _, group in itertools.groupby(answers, key=lambda answer: answer.trial_number)]
        return [group[: self.n_answers] for i, group in enumerate(groups) if i == 0 or group[0].reason]

    def _belief(self, answers: Sequence[Elicitation], space: SearchSpace) -> Belief:
        prior: OptimumPrior
        try:
            prior = pool_priors([self.build(answer.answer, space) for answer in answers])
        except LLMPriorError as error:
            _warn(f"Expected a stored answer that fits the search space, got: {error}")
            prior = UniformPrior(space)
        return Belief(
            prior=UniformPrior(space) if prior.is_uniform else prior,
            known=frozenset(number for answer in answers for number in answer.trials_shown),
            trial_number=answers[0].trial_number,
        )

    def _memory(self, study: Study) -> _Memory:
        return self._memories.setdefault(study._storage, {}).setdefault(study._study_id, _Memory())

    def _is_settled(self, study: Study, *, fresh: bool = False) -> bool:
        return self._memory(study).gave_up or bool(self._answers(study, fresh=fresh))

    def _answers(self, study: Study, *, fresh: bool = False) -> list[Elicitation]:
        """Stored answers; read from the storage until all are there, then from memory."""
        memory = self._memory(study)
        if fresh or len(memory.answers) < self.n_answers:
            return self._remembered(study, load_records(study))
        return memory.answers

    def _remembered(self, study: Study, records: Records) -> list[Elicitation]:
        """The answers of a study, now that its records have been read."""
        memory = self._memory(study)
        stored = list(records.elicitations)  # in the same order for every reader, so all workers agree
        # Fewer than in memory: the storage did not take them.
        if len(stored) >= len(memory.answers) and stored != memory.answers:
            memory.answers, memory.beliefs = stored, {}
        return memory.answers

    def _is_first(self, study: Study, trial: FrozenTrial) -> bool:
        return self._first(study, trial).number == trial.number

    def _first(self, study: Study, trial: FrozenTrial) -> FrozenTrial:
        """The trial whose turn it is to ask: the lowest-numbered one that may be asking, else this one."""
        trials = study._storage.get_all_trials(study._study_id, deepcopy=False)  # of all of a pruner's brackets
        before = [other for other in trials if other.number < trial.number and self._may_ask(study, other, trial)]
        return min(before, key=lambda other: other.number, default=trial)

    def _may_ask(self, study: Study, other: FrozenTrial, trial: FrozenTrial) -> bool:
        """Whether another trial's worker may be asking; one that began long before this trial is taken for dead.

        Not one that began long ago: of trials that began together none may outlive the others in anyone's eyes, or all
        that wait would take their turn at once.
        """
        if other.state != TrialState.RUNNING or is_own(other) or other._trial_id in self._memory(study).dead:
            return False
        if other.datetime_start is None or trial.datetime_start is None:
            return other.datetime_start is not None
        return (trial.datetime_start - other.datetime_start).total_seconds() < self.patience

    def _somebody_asks(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the worker of a later trial is asking: this one may have been enqueued long before it started."""
        trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
        others = (other for other in trials if other.number != trial.number and is_asking(other))
        return any(self._may_ask(study, other, trial) for other in others)

    def _wait(self, study: Study, trial: FrozenTrial, known_failures: tuple[FailureRecord, ...]) -> None:
        """Wait until another worker has an answer or none, or it is this one's turn, or two have kept it waiting."""
        awaited, since, n_in_vain = -1, time.monotonic(), 0
        while True:
            # Before the records: an asker writes them before it steps aside.
            first = self._first(study, trial)
            records = load_records(study)
            if self._memory(study).gave_up or self._remembered(study, records):
                return
            failures = [failure for failure in records.failures if failure not in known_failures]
            if failures:
                self._memory(study).gave_up = True
                _warn(f"Another worker asked: {failures[-1].reason} {_NO_PRIOR}")
                return
            if first.number == trial.number:
                return
            if n_in_vain >= MAX_IN_VAIN:
                break
            if first.number != awaited:
                awaited, since = first.number, time.monotonic()
            if time.monotonic() - since >= self.patience:
                # By this worker's own clock, from when it was the other one's turn: the next one has its time as well.
                self._memory(study).dead.add(first._trial_id)
                n_in_vain += 1
                continue
            time.sleep(POLL_SECONDS)
        waited = MAX_IN_VAIN * self.patience
        _warn(
            f"Expected another worker's answer within {waited:g} s, got none; trial {trial.number} goes on "
            "without a prior, later ones use the answer once it is there."
        )

    def _ask(
        self,
        study: Study,
        trial: FrozenTrial,
        space: SearchSpace,
        *,
        reason: RefreshReason | None = None,
        learn: LearnInsights | None = None,
    ) -> None:
        """Ask and store; every failure ends in one warning and a study that goes on with what it has."""
        n_finished, answered = 0, []
        try:
            insights = self._insights(study, space, reason, learn)
            context = StudyContext.from_study(
                study,
                space,
                max_context_trials=self.max_context_trials,
                trial_number=trial.number,
                insights=insights,
                max_prompt_tokens=self.max_prompt_tokens,
            )
            n_finished = context.n_finished
            for index in range(self.n_answers):
                answer = self._elicit(study, replace(context, answer_index=index))
                answered.append(
                    replace(answer, reason=reason or "", n_finished=n_finished, space_fingerprint=space.fingerprint)
                )
                self._keep(study, answered[-1])
        except Exception as error:
            if reason is None and isinstance(error, AnswerError | ConfigurationError):
                raise  # what a person supplied does not fit: that is for the person to mend, now
            self._give_up(study, trial, error, n_finished)  # whatever else an elicitor raises must not stop a study
        for answer in answered:
            _announce(answer, space)
        # Not where the answer is kept: where warnings are errors, this one must not be taken for a failure to answer.
        _warn_of_repairs(answered)

    def _insights(
        self, study: Study, space: SearchSpace, reason: RefreshReason | None, learn: LearnInsights | None
    ) -> StudyInsights | None:
        if reason is None or learn is None:
            return None
        return learn(reason, self.beliefs(study, space), self._questions(self._answers(study)))

    def _keep(self, study: Study, elicitation: Elicitation) -> None:
        """Store an answer, and keep it in memory for the case that the storage does not take it."""
        save_elicitation(study, elicitation)
        memory = self._memory(study)
        memory.answers, memory.beliefs = [*memory.answers, elicitation], {}

    def _elicit(self, study: Study, context: StudyContext) -> Elicitation:
        """One answer, if what the study's questions have used up so far allows it, in whatever process."""
        records = load_records(study)
        # What this process knows, where the storage did not take it.
        spent = replace(records, elicitations=records.elicitations or tuple(self._memory(study).answers)).usage
        if self.limit is not None:
            self.limit.check(spent)
        return elicit_within(self.elicitor, context, spent)

    def _give_up(self, study: Study, trial: FrozenTrial, error: Exception, n_finished: int) -> None:
        self._memory(study).gave_up = True
        reason = str(error)
        if not isinstance(error, LLMPriorError):  # the name of a strange error says more than its text
            reason = redact(f"Expected an answer from {type(self.elicitor).__name__}, got {error!r}.")
        usage = getattr(error, "usage", None)
        known = usage if isinstance(usage, Usage) else None
        save_failure(study, trial.number, reason, usage=known, n_finished=n_finished)
        has_some = bool(self._answers(study, fresh=True))
        _warn(f"{reason} {'The study goes on with the answers it has.' if has_some else _NO_PRIOR}")


_NO_PRIOR = "The study goes on as plain Bayesian optimisation, without a prior."
_asking = threading.RLock()
_log = get_logger(f"optuna.{__name__}")  # below Optuna's own, whose level and handlers the user knows


def known_space(study: Study, given: SearchSpace | None) -> SearchSpace | None:
    """All parameters to ask about: the given ones, else those of the study's finished trials, conditional ones too."""
    if given is not None:
        return given
    found = FoundSpace.of(study._storage.get_all_trials(study._study_id, deepcopy=False))
    # In the order in which the objective asks: a question reads better so.
    return SearchSpace({name: found.distributions[name] for name in found.seen}) if found.seen else None


def _restricted(prior: MixturePrior, space: SearchSpace) -> OptimumPrior:
    """A mixture's density of some of its parameters, the others integrated out."""
    regions = []
    for region in prior.regions:
        kept = {
            name: marginal
            for name, marginal in region.marginals.items()
            if name in space.names and marginal.column == space.column(name)
        }
        pairs = {pair: rho for pair, rho in region.correlations.items() if set(pair) <= kept.keys()}
        regions.append(RegionPrior(space, kept, correlations=pairs, label=region.label))
    if not any(region.marginals for region in regions):
        return UniformPrior(space)
    return MixturePrior(space, regions, prior.weights, prior.uniform_weight)


def _announce(answer: Elicitation, space: SearchSpace) -> None:
    """Tell the user in Optuna's log that there is an answer, and what it says to people."""
    at_bounds = guesses_at_bounds(answer.answer, space)
    hint = f" Best guesses at a bound, where a wider range may be better: {', '.join(at_bounds)}." if at_bounds else ""
    notes = remarks(answer.answer)
    _log.info(
        f"{printable(answer.model or 'The elicitor')} answered for trial {answer.trial_number} with "
        f"{len(answer.answer.regions)} region{'s' if len(answer.answer.regions) > 1 else ''}.{hint}"
        f"{f' It remarks: {notes}' if notes else ''}"
    )


def _warn_of_repairs(answers: Sequence[Elicitation]) -> None:
    repairs = [repair for answer in answers for repair in answer.repairs]
    if repairs:
        text = printable(f"The answer was repaired: {'; '.join(repairs)}")
        warnings.warn(text, RepairedAnswerWarning, stacklevel=2)


def _warn(message: str) -> None:
    warnings.warn(printable(message), ElicitationWarning, stacklevel=2)
