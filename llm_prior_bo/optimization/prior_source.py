"""Where the prior of a study comes from: a density given by the user, answers that are stored in the study, or both.

Among workers the lowest-numbered trial that has not passed this point asks. For the first answer the others wait; when
it is asked again they go on with what they have. Trial numbers are unique on every storage, so no further coordination
is needed (`docs/explanation/design.md`, many workers).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

from optuna.trial import FrozenTrial

from llm_prior_bo.elicitation.elicitor import Elicitor, longest_seconds_of
from llm_prior_bo.elicitation.llm.secrets import printable, redact
from llm_prior_bo.elicitation.prompt.insights import RefreshReason
from llm_prior_bo.elicitation.settings import settings_of
from llm_prior_bo.errors import ElicitationError
from llm_prior_bo.optimization.answer_cache import AnswerCache
from llm_prior_bo.optimization.elicited_priors import ElicitedPrior, pool_elicited_priors
from llm_prior_bo.optimization.questioner import GIVEN_PRIOR_ALONE, NO_PRIOR, LearnInsights, Questioner
from llm_prior_bo.optimization.refresh import RefreshPolicy
from llm_prior_bo.priors import MixturePrior, OptimumPrior, UniformPrior
from llm_prior_bo.priors.build import build_prior
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.answer_records import (
    FailureRecord,
    load_failures,
    load_records,
    warn_of_elicitation,
)
from llm_prior_bo.study.election import Election
from llm_prior_bo.study.given_record import save_given
from llm_prior_bo.study.inferred_space import InferredSpace
from llm_prior_bo.study.locks import ForkSafeLock
from llm_prior_bo.study.progress import study_progress
from llm_prior_bo.study.storage import PerStudy
from llm_prior_bo.study.trial_records import mark_arrived, mark_asking

if TYPE_CHECKING:
    from optuna import Study

MIN_PATIENCE = 60.0
"""Seconds that a worker waits for another one's answer in any case: starting up a model's library takes some too."""


class PriorSource(Protocol):
    """Gives the prior of a study over any space of its parameters."""

    def arrive(self, study: Study, trial: FrozenTrial) -> None:
        """Called before anything else at the start of every trial."""
        ...

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

    def elicited_priors(self, study: Study, space: SearchSpace) -> tuple[ElicitedPrior, ...]:
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

    def arrive(self, study: Study, trial: FrozenTrial) -> None:
        """Nobody asks, so nobody has to know of the trial."""

    def prepare(
        self,
        study: Study,
        trial: FrozenTrial,
        space: SearchSpace | None,  # noqa: ARG002 - part of the protocol
        *,
        learn: LearnInsights | None = None,  # noqa: ARG002 - part of the protocol
    ) -> None:
        """Keep the density in the study, for whoever reads the study alone."""
        save_given(study, trial.number, self.prior)

    def current(self, study: Study, space: SearchSpace) -> OptimumPrior:  # noqa: ARG002 - part of the protocol
        """The given density, over some of its parameters if it is a mixture; no opinion where it is of no use."""
        if space == self.space:
            return self.prior
        if isinstance(self.prior, MixturePrior):
            restricted = self.prior.restricted(space)
            if any(region.marginals for region in restricted.regions):
                return restricted
        return UniformPrior(space)

    def elicited_priors(self, study: Study, space: SearchSpace) -> tuple[ElicitedPrior, ...]:
        """One: the density was there before the study."""
        return (ElicitedPrior(self.current(study, space)),)


@dataclass
class ElicitedPriorSource:
    """Answers stored in the study and shared by all its workers: asked for once, and again where a policy says so.

    Args:
        questioner: Asks.
        election: Decides which worker asks.
        refresh: When to ask again; `None`: never.
        given: A density that was there before the study, beside the answers: a belief with a clock of its own.
    """

    questioner: Questioner
    election: Election
    refresh: RefreshPolicy | None = None
    given: GivenPrior | None = None
    _asking: PerStudy[ForkSafeLock] = field(default_factory=lambda: PerStudy(ForkSafeLock), repr=False)
    """Threads of one process share this object, and ask for one study one after the other."""

    @classmethod
    def of(
        cls,
        elicitor: Elicitor,
        *,
        refresh: RefreshPolicy | None = None,
        patience: float | None = None,
        space_is_complete: bool = False,
        given: GivenPrior | None = None,
    ) -> ElicitedPriorSource:
        """A source that asks one elicitor, as its settings say.

        Args:
            elicitor: Who is asked.
            refresh: When to ask again; `None`: never.
            patience: Seconds to wait for another worker's answer before going on without one; as long as the answers
                may take, and at least `MIN_PATIENCE`, if left out.
            space_is_complete: Whether the user has given the search space, so that there are no other parameters.
            given: A density to use beside the answers.
        """
        settings = settings_of(elicitor)
        if patience is None:
            patience = max(MIN_PATIENCE, longest_seconds_of(elicitor) * settings.n_answers)
        # Lenient: an answer is stored after its repair, and its density is needed over parts of the space as well.
        build = partial(build_prior, interval_coverage=settings.interval_coverage, lenient=True)
        without = NO_PRIOR if given is None else GIVEN_PRIOR_ALONE
        questioner = Questioner(elicitor, AnswerCache(settings.n_answers, build), space_is_complete, without)
        return cls(questioner, Election(patience), refresh, given)

    def arrive(self, study: Study, trial: FrozenTrial) -> None:
        """Let other workers know, until there is an answer, that this trial's worker may be the one that asks."""
        if not self.cache.is_settled(study):
            mark_arrived(study, trial)

    @property
    def cache(self) -> AnswerCache:
        """What this process knows of the answers."""
        return self.questioner.cache

    def prepare(
        self, study: Study, trial: FrozenTrial, space: SearchSpace | None, *, learn: LearnInsights | None = None
    ) -> None:
        """Ask, or wait for the worker that does, unless that has been done before; ask again if it is due."""
        if self.given is not None:
            self.given.prepare(study, trial, space)
        if space is None:
            return
        if self.cache.is_settled(study):
            self._ask_again_if_due(study, trial, space, learn)
            return
        known_failures = load_failures(study)
        if not self.election.is_elected(study, trial):
            self._wait(study, trial, known_failures)
        if self.election.is_elected(study, trial):
            with self._asking(study):
                if not self.cache.is_settled(study, load_records(study)):
                    self.questioner.ask(study, trial, space)

    def current(self, study: Study, space: SearchSpace) -> OptimumPrior:
        """The pooled density of the stored answers over `space`, and of the given one; uniform if there is none."""
        return pool_elicited_priors(self.elicited_priors(study, space))

    def elicited_priors(self, study: Study, space: SearchSpace) -> tuple[ElicitedPrior, ...]:
        """The given density and one for each question that was answered; a uniform one if there is none at all."""
        answered = self.cache.elicited_priors(study, space)
        if self.given is None:
            return answered
        return (*self.given.elicited_priors(study, space), *(one for one in answered if one.trial_number >= 0))

    def _ask_again_if_due(
        self, study: Study, trial: FrozenTrial, space: SearchSpace, learn: LearnInsights | None
    ) -> None:
        """Ask again without making anyone wait: the other workers go on with the answers that they have."""
        if self.refresh is None or self._due(study, space, self.refresh) is None:
            return
        # In this order: a worker stores its answer before it steps aside, so it is either seen here or there.
        if not self.election.is_elected(study, trial) or self.election.is_somebody_asking(study, trial):
            return
        with self._asking(study):
            reason = self._due(study, space, self.refresh)
            if reason is None:
                return
            mark_asking(study, trial)
            # Once more: one of the two that began at the same moment sees the other's mark.
            if not self.election.is_somebody_asking(study, trial):
                self.questioner.ask(study, trial, space, reason=reason, learn=learn)

    def _due(self, study: Study, space: SearchSpace, policy: RefreshPolicy) -> RefreshReason | None:
        records = load_records(study)
        answers, failures = self.cache.update(study, records), records.failures
        asked_for = {answer.trial_number for answer in answers} | {failure.trial_number for failure in failures}
        if len(asked_for) >= policy.max_elicitations:
            return None  # before the trials are looked at, for there may be thousands
        return policy.due(study_progress(study, answers, failures, space))

    def _wait(self, study: Study, trial: FrozenTrial, known_failures: tuple[FailureRecord, ...]) -> None:
        """Wait until another worker has an answer or none, or it is this one's turn, or two have kept it waiting."""

        def is_settled() -> bool:
            records = load_records(study)
            if self.cache.is_settled(study, records):
                return True
            failures = [failure for failure in records.failures if failure not in known_failures]
            if failures:
                if settings_of(self.questioner.elicitor).on_failure == "raise":
                    raise ElicitationError(f"Another worker asked: {printable(redact(failures[-1].reason))}")
                self.cache.give_up(study)
                warn_of_elicitation(f"Another worker asked: {failures[-1].reason} {self.questioner.without}")
            return bool(failures)

        if self.election.wait(study, trial, is_settled) == "timed out":
            waited = self.election.longest_wait
            warn_of_elicitation(
                f"Expected another worker's answer within {waited:g} s, got none; trial {trial.number} goes on "
                f"{'without a prior' if self.given is None else 'with the given prior'}, later ones use the answer "
                "once it is there."
            )


def elicitor_of(source: PriorSource) -> Elicitor | None:
    """Who is asked; `None` if nobody is."""
    return source.questioner.elicitor if isinstance(source, ElicitedPriorSource) else None


def given_of(source: PriorSource) -> GivenPrior | None:
    """The density that was given; `None` if none was."""
    if isinstance(source, ElicitedPriorSource):
        return source.given
    return source if isinstance(source, GivenPrior) else None


def known_space(study: Study, given: SearchSpace | None) -> SearchSpace | None:
    """All parameters to ask about: the given ones, else those of the study's finished trials, conditional ones too."""
    if given is not None:
        return given
    found = InferredSpace.of_study(study)
    # In the order in which the objective asks: a question reads better so.
    return SearchSpace({name: found.distributions[name] for name in found.seen}) if found.seen else None
