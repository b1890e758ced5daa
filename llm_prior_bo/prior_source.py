"""Where the prior of a study comes from: a density given by the user, or answers that are stored in the study.

Among workers the lowest-numbered trial that has not passed this point asks; the others wait for its answer. Trial
numbers are unique on every storage, so no further coordination is needed (`docs/design.md`, many workers).
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from llm_prior_bo.build_prior import build_prior
from llm_prior_bo.elicitation.context import StudyContext
from llm_prior_bo.elicitation.elicitor import Elicitation, Elicitor, Usage
from llm_prior_bo.elicitation.redact import redact
from llm_prior_bo.errors import (
    AnswerError,
    ConfigurationError,
    ElicitationError,
    ElicitationWarning,
    LLMPriorError,
    RepairedAnswerWarning,
)
from llm_prior_bo.persistence import (
    FailureRecord,
    load_elicitations,
    load_failures,
    save_elicitation,
    save_failure,
)
from llm_prior_bo.priors import MixturePrior, OptimumPrior, RegionPrior, UniformPrior, pool_priors
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.trial_records import is_own

if TYPE_CHECKING:
    from optuna import Study

POLL_SECONDS = 0.2
"""How often a worker looks whether the answer it waits for is there."""


class PriorSource(Protocol):
    """Gives the prior of a study over any space of its parameters."""

    def prepare(self, study: Study, trial: FrozenTrial, space: SearchSpace | None) -> None:
        """Called once at the start of every trial: the moment to ask, if an answer is wanted.

        Args:
            study: The study.
            trial: The trial that starts.
            space: All parameters that are known, `None` before the first trial of a study without a given space.
        """
        ...

    def current(self, study: Study, space: SearchSpace) -> OptimumPrior:
        """The prior over `space` now; uniform where nothing is known. Never asks and never raises."""
        ...

    def shown(self, study: Study) -> frozenset[int]:
        """Numbers of the trials that whoever wrote the prior had seen: they are no evidence for or against it."""
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

    def prepare(self, study: Study, trial: FrozenTrial, space: SearchSpace | None) -> None:
        """Nothing to prepare."""

    def current(self, study: Study, space: SearchSpace) -> OptimumPrior:  # noqa: ARG002 - part of the protocol
        """The given density, over some of its parameters if it is a mixture; no opinion where it is of no use."""
        if space == self.space:
            return self.prior
        return _restricted(self.prior, space) if isinstance(self.prior, MixturePrior) else UniformPrior(space)

    def shown(self, study: Study) -> frozenset[int]:  # noqa: ARG002 - part of the protocol
        """None: the density was there before the study."""
        return frozenset()


@dataclass
class _Memory:
    """What this process knows of one study."""

    answers: list[Elicitation] = field(default_factory=list)
    priors: dict[SearchSpace, OptimumPrior] = field(default_factory=dict)
    gave_up: bool = False


@dataclass
class ElicitedPrior:
    """Answers asked for once, stored in the study, and shared by all its workers.

    Args:
        elicitor: Who is asked.
        n_answers: How many answers are pooled.
        max_context_trials: How many trials of each kind the context may show.
        patience: Seconds to wait for another worker's answer before going on without one.
        budget_usd: Ask no more once the known cost of this study's questions reaches this.
        build: Turns an answer and a space into a density.
    """

    elicitor: Elicitor
    n_answers: int = 1
    max_context_trials: int = 10
    patience: float = 150.0
    budget_usd: float | None = None
    build: Callable[..., OptimumPrior] = build_prior
    # By the storage itself, not its id, which another study's storage may have later.
    _memories: WeakKeyDictionary[BaseStorage, dict[int, _Memory]] = field(default_factory=WeakKeyDictionary, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Without the memory: another process reads the study instead."""
        return {**self.__dict__, "_memories": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """With an empty memory."""
        self.__dict__.update(state, _memories=WeakKeyDictionary())

    def prepare(self, study: Study, trial: FrozenTrial, space: SearchSpace | None) -> None:
        """Ask, or wait for the worker that does, unless an answer is there or asking failed before."""
        if space is None or self._is_settled(study):
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
        answers = self._answers(study)
        priors = self._memory(study).priors
        if not answers:
            return UniformPrior(space)
        if space not in priors:
            priors[space] = self._build(answers, space)
        return priors[space]

    def shown(self, study: Study) -> frozenset[int]:
        """Numbers of the trials that one of the answers was shown."""
        return frozenset(number for answer in self._answers(study) for number in answer.trials_shown)

    def _build(self, answers: list[Elicitation], space: SearchSpace) -> OptimumPrior:
        try:
            prior = pool_priors([self.build(elicitation.answer, space) for elicitation in answers])
        except LLMPriorError as error:
            _warn(f"Expected a stored answer that fits the search space, got: {error}")
            return UniformPrior(space)
        return UniformPrior(space) if prior.is_uniform else prior

    def _memory(self, study: Study) -> _Memory:
        return self._memories.setdefault(study._storage, {}).setdefault(study._study_id, _Memory())

    def _is_settled(self, study: Study, *, fresh: bool = False) -> bool:
        return self._memory(study).gave_up or bool(self._answers(study, fresh=fresh))

    def _answers(self, study: Study, *, fresh: bool = False) -> list[Elicitation]:
        """Stored answers; read from the storage until all are there, then from memory."""
        memory = self._memory(study)
        if fresh or len(memory.answers) < self.n_answers:
            # The first ones: the order is the same for every reader, so all workers agree.
            stored = list(load_elicitations(study))[: self.n_answers]
            # Fewer than in memory: the storage did not take them.
            if len(stored) >= len(memory.answers) and stored != memory.answers:
                memory.answers, memory.priors = stored, {}
        return memory.answers

    def _is_first(self, study: Study, trial: FrozenTrial) -> bool:
        trials = study._storage.get_all_trials(study._study_id, deepcopy=False)  # of all of a pruner's brackets
        return not any(self._may_ask(other) and other.number < trial.number for other in trials)

    def _may_ask(self, trial: FrozenTrial) -> bool:
        """Whether a trial's worker may still be asking; one that started too long ago is taken for dead."""
        started = trial.datetime_start
        if trial.state != TrialState.RUNNING or is_own(trial) or started is None:
            return False
        return (datetime.now() - started).total_seconds() < self.patience

    def _wait(self, study: Study, trial: FrozenTrial, known_failures: tuple[FailureRecord, ...]) -> None:
        """Wait until another worker has an answer or none, is dead, or patience is at an end."""
        deadline = time.monotonic() + self.patience
        while True:
            # Before the records: an asker writes them before it steps aside.
            is_first = self._is_first(study, trial)
            if self._is_settled(study, fresh=True):
                return
            failures = [failure for failure in load_failures(study) if failure not in known_failures]
            if failures:
                self._memory(study).gave_up = True
                _warn(f"Another worker asked: {failures[-1].reason} {_NO_PRIOR}")
                return
            if is_first:
                return
            if time.monotonic() >= deadline:
                break
            time.sleep(POLL_SECONDS)
        _warn(
            f"Expected another worker's answer within {self.patience:g} s, got none; trial {trial.number} goes on "
            "without a prior, later ones use the answer once it is there."
        )

    def _ask(self, study: Study, trial: FrozenTrial, space: SearchSpace) -> None:
        """Ask and store; every failure ends in one warning and a study without a prior."""
        try:
            context = StudyContext.from_study(
                study, space, max_context_trials=self.max_context_trials, trial_number=trial.number
            )
            for index in range(self.n_answers):
                self._check_budget(study)
                self._keep(study, self.elicitor.elicit(replace(context, answer_index=index)))
        except (AnswerError, ConfigurationError):
            raise  # what a person supplied does not fit: that is for the person to mend, now
        except Exception as error:  # whatever else an elicitor raises must not stop a study
            self._give_up(study, trial, error)
        # Not where the answer is kept: where warnings are errors, this one must not be taken for a failure to answer.
        _warn_of_repairs(self._memory(study).answers)

    def _keep(self, study: Study, elicitation: Elicitation) -> None:
        """Store an answer, and keep it in memory for the case that the storage does not take it."""
        save_elicitation(study, elicitation)
        memory = self._memory(study)
        memory.answers, memory.priors = [*memory.answers, elicitation], {}

    def _check_budget(self, study: Study) -> None:
        costs = [elicitation.cost_usd for elicitation in load_elicitations(study) or self._memory(study).answers]
        costs += [failure.usage.cost_usd for failure in load_failures(study)]
        spent = sum(cost or 0.0 for cost in costs)
        if self.budget_usd is not None and spent >= self.budget_usd:
            raise ElicitationError(f"Expected to spend at most {self.budget_usd} USD, spent {spent} already.")

    def _give_up(self, study: Study, trial: FrozenTrial, error: Exception) -> None:
        self._memory(study).gave_up = True
        reason = str(error)
        if not isinstance(error, LLMPriorError):  # the name of a strange error says more than its text
            reason = redact(f"Expected an answer from {type(self.elicitor).__name__}, got {error!r}.")
        usage = getattr(error, "usage", None)
        save_failure(study, trial.number, reason, usage=usage if isinstance(usage, Usage) else None)
        has_some = bool(self._answers(study, fresh=True))
        _warn(f"{reason} {'The study goes on with the answers it has.' if has_some else _NO_PRIOR}")


_NO_PRIOR = "The study goes on as plain Bayesian optimisation, without a prior."
_asking = threading.RLock()


def known_space(study: Study, given: SearchSpace | None) -> SearchSpace | None:
    """All parameters to ask about: the given ones, else those of the study's finished trials, conditional ones too."""
    if given is not None:
        return given
    distributions: dict[str, BaseDistribution] = {}
    for trial in study._storage.get_all_trials(study._study_id, deepcopy=False):
        # A trial that is running, or failed, may not have suggested all of its parameters.
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
            distributions.update(trial.distributions)
    return SearchSpace(distributions) if distributions else None


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


def _warn_of_repairs(answers: Sequence[Elicitation]) -> None:
    repairs = [repair for answer in answers for repair in answer.repairs]
    if repairs:
        warnings.warn(f"The answer was repaired: {'; '.join(repairs)}", RepairedAnswerWarning, stacklevel=2)


def _warn(message: str) -> None:
    warnings.warn(message, ElicitationWarning, stacklevel=2)
