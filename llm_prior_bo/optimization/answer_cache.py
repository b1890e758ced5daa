"""The stored answers of each study, and the densities that they were turned into, in the memory of one process."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llm_prior_bo.elicitation.record import Elicitation
from llm_prior_bo.errors import LLMPriorError
from llm_prior_bo.optimization.elicited_priors import ElicitedPrior
from llm_prior_bo.priors import OptimumPrior, UniformPrior, pool_priors
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.answer_records import Records, load_records, warn_of_elicitation
from llm_prior_bo.study.storage import PerStudy

if TYPE_CHECKING:
    from optuna import Study


@dataclass
class _Memory:
    """What this process knows of one study."""

    answers: list[Elicitation] = field(default_factory=list)
    priors: dict[SearchSpace, tuple[ElicitedPrior, ...]] = field(default_factory=dict)
    gave_up: bool = False


@dataclass
class AnswerCache:
    """Reads the answers of a study until all are there, and turns them into densities once for each space.

    Args:
        n_answers: How many answers to one question are pooled.
        build: Turns an answer and a space into a density.
    """

    n_answers: int
    build: Callable[..., OptimumPrior]
    _memory: PerStudy[_Memory] = field(default_factory=lambda: PerStudy(_Memory), repr=False)

    def answers(self, study: Study) -> list[Elicitation]:
        """Stored answers; read from the storage until all are there, then from memory."""
        memory = self._memory(study)
        if len(memory.answers) < self.n_answers:
            return self.update(study, load_records(study))
        return memory.answers

    def update(self, study: Study, records: Records) -> list[Elicitation]:
        """The answers of a study, now that its records have been read."""
        memory = self._memory(study)
        stored = list(records.elicitations)  # in the same order for every reader, so all workers agree
        # Fewer than in memory: the storage did not take them.
        if len(stored) >= len(memory.answers) and stored != memory.answers:
            memory.answers, memory.priors = stored, {}
        return memory.answers

    def add(self, study: Study, answer: Elicitation) -> None:
        """Remember an answer that has just come, for the case that the storage does not take it."""
        memory = self._memory(study)
        memory.answers, memory.priors = [*memory.answers, answer], {}

    def questions(self, study: Study) -> list[list[Elicitation]]:
        """The answers by question, oldest first. A first question that two workers asked by mishap counts once."""
        return [group[: self.n_answers] for group in answers_by_question(self.answers(study))]

    def elicited_priors(self, study: Study, space: SearchSpace) -> tuple[ElicitedPrior, ...]:
        """One density for each question that was answered; a uniform one if there is none."""
        questions = self.questions(study)
        if not questions:
            return (ElicitedPrior(UniformPrior(space)),)
        priors = self._memory(study).priors
        if space not in priors:
            priors[space] = tuple(
                elicited_prior(answers, space, lambda answer: self.build(answer.answer, space)) for answers in questions
            )
        return priors[space]

    def give_up(self, study: Study) -> None:
        """Remember that this process neither asks nor waits for a first answer any more."""
        self._memory(study).gave_up = True

    def is_settled(self, study: Study, records: Records | None = None) -> bool:
        """Whether there is an answer, or this process has given up.

        Args:
            study: The study.
            records: What the study holds, if that has just been read: it is not read again.
        """
        if self._memory(study).gave_up:
            return True
        return bool(self.answers(study) if records is None else self.update(study, records))


def answers_by_question(answers: Iterable[Elicitation]) -> list[list[Elicitation]]:
    """Answers by question, oldest first. A first question that two workers asked by mishap counts once."""
    groups = [list(group) for _, group in itertools.groupby(answers, key=lambda answer: answer.trial_number)]
    return [group for i, group in enumerate(groups) if i == 0 or group[0].reason]


def elicited_prior(
    answers: Sequence[Elicitation], space: SearchSpace, build: Callable[[Elicitation], OptimumPrior]
) -> ElicitedPrior:
    """The pooled density of the answers to one question; uniform, with a warning, where they do not fit the space."""
    prior: OptimumPrior
    try:
        prior = pool_priors([build(answer) for answer in answers])
    except LLMPriorError as error:
        warn_of_elicitation(f"Expected a stored answer that fits the search space, got: {error}")
        prior = UniformPrior(space)
    return ElicitedPrior(
        prior=UniformPrior(space) if prior.is_uniform else prior,
        known=frozenset(number for answer in answers for number in answer.trials_shown),
        trial_number=answers[0].trial_number,
    )
