"""Where the prior of a study comes from: a density given by the user, or answers that are stored in the study.

Among workers the lowest-numbered trial that has not passed this point asks; the others wait for its answer. Trial
numbers are unique on every storage, so no further coordination is needed (`docs/design.md`, many workers).
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from llm_prior_bo.build_prior import build_prior
from llm_prior_bo.elicitation.context import StudyContext
from llm_prior_bo.elicitation.elicitor import Elicitation, Elicitor
from llm_prior_bo.errors import (
    AnswerError,
    ConfigurationError,
    ElicitationError,
    ElicitationWarning,
    LLMPriorError,
    RepairedAnswerWarning,
)
from llm_prior_bo.persistence import load_elicitations, load_failures, save_elicitation, save_failure
from llm_prior_bo.priors import OptimumPrior, UniformPrior, pool_priors
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.trial_records import is_own

if TYPE_CHECKING:
    from optuna import Study

StudyKey = tuple[int, int]


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
        """The given density, if it is over this very space, else no opinion."""
        return self.prior if space == self.space else UniformPrior(space)


@dataclass
class ElicitedPrior:
    """Answers asked for once, stored in the study, and shared by all its workers.

    Args:
        elicitor: Who is asked.
        n_answers: How many answers are pooled.
        max_context_trials: How many trials of each kind the context may show.
        patience: Seconds to wait for another worker's answer before going on without one.
        budget_usd: Ask no more once the known cost of this study's answers reaches this.
        build: Turns an answer and a space into a density.
    """

    elicitor: Elicitor
    n_answers: int = 1
    max_context_trials: int = 10
    patience: float = 150.0
    budget_usd: float | None = None
    build: Callable[..., OptimumPrior] = build_prior
    _gave_up: set[StudyKey] = field(default_factory=set, repr=False)
    _cache: dict[StudyKey, tuple[list[Elicitation], dict[SearchSpace, OptimumPrior]]] = field(
        default_factory=dict, repr=False
    )

    def __getstate__(self) -> dict[str, Any]:
        """Without the caches: another process reads the study instead."""
        return {**self.__dict__, "_cache": {}, "_gave_up": set()}

    def prepare(self, study: Study, trial: FrozenTrial, space: SearchSpace | None) -> None:
        """Ask, or wait for the worker that does, unless an answer is there or asking failed before."""
        if space is None or _key(study) in self._gave_up or self._answers(study):
            return
        if self._is_first(study, trial):
            with _asking:  # threads of one process share this object
                if not self._answers(study, fresh=True) and _key(study) not in self._gave_up:
                    self._ask(study, trial, space)
        else:
            self._wait(study, trial)

    def current(self, study: Study, space: SearchSpace) -> OptimumPrior:
        """The pooled density of the stored answers over `space`, uniform if there is none."""
        answers = self._answers(study)
        if not answers:
            return UniformPrior(space)
        priors = self._cache[_key(study)][1]
        if space not in priors:
            priors[space] = self._build(answers, space)
        return priors[space]

    def _build(self, answers: list[Elicitation], space: SearchSpace) -> OptimumPrior:
        try:
            prior = pool_priors([self.build(elicitation.answer, space) for elicitation in answers])
        except LLMPriorError as error:
            _warn(f"Expected a stored answer that fits the search space, got: {error}")
            return UniformPrior(space)
        return prior if any(region.marginals for region in prior.regions) else UniformPrior(space)

    def _answers(self, study: Study, *, fresh: bool = False) -> list[Elicitation]:
        """Stored answers; read from the storage until there are some, then from memory."""
        cached = self._cache.get(_key(study))
        if cached is not None and not fresh:
            return cached[0]
        # The first ones: the order is the same for every reader, so all workers agree.
        answers = list(load_elicitations(study))[: self.n_answers]
        if answers:
            self._cache[_key(study)] = (answers, {})
        return answers or (cached[0] if cached is not None else [])

    def _is_first(self, study: Study, trial: FrozenTrial) -> bool:
        trials = study.get_trials(deepcopy=False)
        return not any(self._may_ask(other) and other.number < trial.number for other in trials)

    def _may_ask(self, trial: FrozenTrial) -> bool:
        """Whether a trial's worker may still be asking; one that started too long ago is taken for dead."""
        started = trial.datetime_start
        if trial.state != TrialState.RUNNING or is_own(trial) or started is None:
            return False
        return (datetime.now() - started).total_seconds() < self.patience

    def _wait(self, study: Study, trial: FrozenTrial) -> None:
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            if self._answers(study, fresh=True) or load_failures(study) or self._is_first(study, trial):
                return
            time.sleep(0.2)

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

    def _keep(self, study: Study, elicitation: Elicitation) -> None:
        """Store an answer, and keep it in memory for the case that the storage does not take it."""
        save_elicitation(study, elicitation)
        answers, _ = self._cache.get(_key(study), ([], {}))
        self._cache[_key(study)] = ([*answers, elicitation], {})
        if elicitation.repairs:
            listed = "; ".join(elicitation.repairs)
            warnings.warn(f"The answer was repaired: {listed}", RepairedAnswerWarning, stacklevel=2)

    def _check_budget(self, study: Study) -> None:
        spent = sum(elicitation.cost_usd or 0.0 for elicitation in load_elicitations(study))
        if self.budget_usd is not None and spent >= self.budget_usd:
            raise ElicitationError(f"Expected to spend at most {self.budget_usd} USD, spent {spent} already.")

    def _give_up(self, study: Study, trial: FrozenTrial, error: Exception) -> None:
        self._gave_up.add(_key(study))
        save_failure(study, trial.number, str(error))
        remedy = "the study goes on with the answers it has" if self._answers(study, fresh=True) else _NO_PRIOR
        _warn(f"{error} {remedy.capitalize()}.")


_NO_PRIOR = "the study goes on as plain Bayesian optimisation, without a prior"
_asking = threading.RLock()


def known_space(study: Study, given: SearchSpace | None) -> SearchSpace | None:
    """All parameters to ask about: the given ones, else those of the study's trials (conditional ones included)."""
    if given is not None:
        return given
    distributions: dict[str, BaseDistribution] = {}
    for trial in study.get_trials(deepcopy=False):
        distributions.update(trial.distributions)
    return SearchSpace(distributions) if distributions else None


def _key(study: Study) -> StudyKey:
    return id(study._storage), study._study_id


def _warn(message: str) -> None:
    warnings.warn(message, ElicitationWarning, stacklevel=2)
