"""One question to the language model: ask, store, tell the user; no failure of it stops a study."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optuna.logging import get_logger
from optuna.trial import FrozenTrial

from llm_prior_bo.elicitation.answer.remarks import guesses_at_bounds, remarks
from llm_prior_bo.elicitation.elicitor import Elicitor, elicit_within, limit_of, longest_seconds_of, name_of
from llm_prior_bo.elicitation.llm.secrets import cut_off, printable, redact
from llm_prior_bo.elicitation.llm.spending import Usage
from llm_prior_bo.elicitation.prompt.context import (
    READ_ATTRIBUTES,
    StudyContext,
    misnamed_attributes,
    unknown_parameters,
)
from llm_prior_bo.elicitation.prompt.insights import RefreshReason, StudyInsights
from llm_prior_bo.elicitation.prompt.render import render_prompt
from llm_prior_bo.elicitation.prompt.shortening import estimated_tokens
from llm_prior_bo.elicitation.record import Elicitation
from llm_prior_bo.elicitation.settings import settings_of
from llm_prior_bo.errors import AnswerError, ConfigurationError, ElicitationError, LLMPriorError, RepairedAnswerWarning
from llm_prior_bo.optimization.answer_cache import AnswerCache
from llm_prior_bo.optimization.elicited_priors import ElicitedPrior
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.answer_records import (
    load_records,
    save_elicitation,
    save_failure,
    warn_of_elicitation,
    warn_once_of_elicitation,
)
from llm_prior_bo.study.context import study_context
from llm_prior_bo.study.storage import study_user_attributes
from llm_prior_bo.study.stored_space import distributions_text

if TYPE_CHECKING:
    from optuna import Study

LearnInsights = Callable[
    [RefreshReason, Sequence[ElicitedPrior], Sequence[Sequence[Elicitation]]], StudyInsights | None
]
"""What the surrogate has learned: from the reason to ask again, the priors so far and the answers behind each."""

NO_PRIOR = "The study goes on as plain Bayesian optimisation, without a prior."
GIVEN_PRIOR_ALONE = "The study goes on with the given prior alone."
MAX_REASON_CHARACTERS = 3_000
"""What a warning says of a failure or of repairs is cut here; all repairs are in the study's record."""

_log = get_logger(f"optuna.{__name__}")  # below Optuna's own, whose level and handlers the user knows


@dataclass
class Questioner:
    """Asks, and stores what comes of it.

    Args:
        elicitor: Who is asked.
        cache: What this process knows of the answers.
        space_is_complete: Whether the user has given the search space, so that there are no other parameters.
        without: What becomes of a study without an answer, as a sentence.
    """

    elicitor: Elicitor
    cache: AnswerCache
    space_is_complete: bool = False
    without: str = NO_PRIOR

    def ask(
        self,
        study: Study,
        trial: FrozenTrial,
        space: SearchSpace,
        *,
        reason: RefreshReason | None = None,
        learn: LearnInsights | None = None,
    ) -> None:
        """Ask and store; every failure ends in one warning and a study that goes on with what it has.

        Args:
            study: The study.
            trial: The trial for which is asked.
            space: All parameters that are known.
            reason: Why it is asked again; `None` for the first question.
            learn: Tells a later question what the surrogate has learned.

        Raises:
            AnswerError: If an answer that a person supplied does not fit the search space.
            ConfigurationError: If what a person supplied cannot be used at all.
            ElicitationError: If there is no first answer and the elicitor's settings say on_failure="raise".
        """
        n_finished, answered = 0, []
        failure: ElicitationError | None = None
        self._warn_of_attributes(study, space)
        settings = settings_of(self.elicitor)
        try:
            context = study_context(
                study,
                space,
                max_context_trials=settings.max_context_trials,
                trial_number=trial.number,
                insights=self._insights(study, space, reason, learn),
                max_prompt_tokens=settings.max_prompt_tokens,
            )
            context = replace(context, space_is_complete=self.space_is_complete)
            n_finished = context.n_finished
            self._announce_question(context)
            for index in range(settings.n_answers):
                answer = self._elicit(study, replace(context, answer_index=index))
                answered.append(
                    replace(
                        answer,
                        reason=reason or "",
                        n_finished=n_finished,
                        space_fingerprint=space.fingerprint,
                        distributions=distributions_text(space),
                        space_is_complete=self.space_is_complete,
                        interval_coverage=settings.interval_coverage,
                    )
                )
                save_elicitation(study, answered[-1])
                self.cache.add(study, answered[-1])
        except Exception as error:
            if reason is None and isinstance(error, AnswerError | ConfigurationError):
                raise  # what a person supplied does not fit: that is for the person to mend, now
            must_raise = reason is None and settings.on_failure == "raise"
            # Whatever else an elicitor raises must not stop a study.
            failure = self._give_up(study, trial, error, n_finished, must_raise=must_raise)
        if failure is not None:  # not within the `except`: it must not lead to an error whose text may hold a key
            raise failure
        for answer in answered:
            _announce(answer, space)
        # Not where the answer is kept: where warnings are errors, this one must not be taken for a failure to answer.
        _warn_of_repairs(answered)

    def _warn_of_attributes(self, study: Study, space: SearchSpace) -> None:
        """Say once that what the user has written about the problem goes nowhere."""
        attributes = study_user_attributes(study)
        for name, meant in misnamed_attributes(attributes).items():
            warn_once_of_elicitation(
                study,
                f"The study's user attribute {name!r} is not read; {meant!r} is: did you mean that? "
                f"The attributes are {', '.join(READ_ATTRIBUTES)}.",
            )
        for problem in unknown_parameters(attributes, space.names, space_is_complete=self.space_is_complete):
            warn_once_of_elicitation(study, problem)

    def _insights(
        self, study: Study, space: SearchSpace, reason: RefreshReason | None, learn: LearnInsights | None
    ) -> StudyInsights | None:
        if reason is None or learn is None:
            return None
        return learn(reason, self.cache.elicited_priors(study, space), self.cache.questions(study))

    def _elicit(self, study: Study, context: StudyContext) -> Elicitation:
        """One answer, if what the study's questions have used up so far allows it, in whatever process."""
        records = load_records(study)
        # What this process knows, where the storage did not take it.
        spent = replace(records, elicitations=records.elicitations or tuple(self.cache.answers(study))).usage
        limit = limit_of(self.elicitor)
        if limit is not None:
            limit.check(spent)
        return elicit_within(self.elicitor, context, spent)

    def _announce_question(self, context: StudyContext) -> None:
        """Say who is asked and how long that may take; nothing where nobody is waited for."""
        n_answers = settings_of(self.elicitor).n_answers
        seconds = longest_seconds_of(self.elicitor) * n_answers
        if not seconds:
            return
        times = f"{n_answers} times " if n_answers > 1 else ""
        _log.info(
            f"{name_of(self.elicitor)} is asked {times}for a prior, for trial {context.trial_number}: about "
            f"{question_tokens(context):,} tokens, up to {seconds:g} s."
        )

    def _give_up(
        self, study: Study, trial: FrozenTrial, error: Exception, n_finished: int, *, must_raise: bool
    ) -> ElicitationError | None:
        """Note that there is no answer, and warn of it; or return what to raise instead, if nothing is known."""
        reason = cut_off(str(error), MAX_REASON_CHARACTERS)
        if not isinstance(error, LLMPriorError):  # the name of a strange error says more than its text
            told = cut_off(redact(repr(error)), MAX_REASON_CHARACTERS)
            reason = f"Expected an answer from {type(self.elicitor).__name__}, got {told}."
        usage = getattr(error, "usage", None)
        known = usage if isinstance(usage, Usage) else None
        save_failure(study, trial.number, reason, usage=known, n_finished=n_finished)
        has_some = bool(self.cache.update(study, load_records(study)))
        if must_raise and not has_some:  # not given up: once the key is set, the next `optimize` asks again
            return ElicitationError(printable(redact(reason)), retryable=bool(getattr(error, "retryable", False)))
        self.cache.give_up(study)
        warn_of_elicitation(f"{reason} {'The study goes on with the answers it has.' if has_some else self.without}")
        return None


def question_tokens(context: StudyContext) -> int:
    """About how many tokens a question has."""
    return sum(estimated_tokens(message["content"]) for message in render_prompt(context))


def _announce(answer: Elicitation, space: SearchSpace) -> None:
    """Tell the user in Optuna's log that there is an answer, and what it says to people."""
    at_bounds = guesses_at_bounds(answer.answer, space)
    hint = f" Best guesses at a bound, where a wider range may be better: {', '.join(at_bounds)}." if at_bounds else ""
    notes = remarks(answer.answer)
    _log.info(
        f"{printable(redact(answer.model or 'The elicitor'))} answered for trial {answer.trial_number} with "
        f"{len(answer.answer.regions)} region{'s' if len(answer.answer.regions) > 1 else ''}: "
        f"{_price_of(answer.usage)}.{hint}"
        f"{f' It remarks: {notes}' if notes else ''}"
    )


def _price_of(usage: Usage) -> str:
    """What an answer took, in words."""
    about = "about " if usage.uncounted_tokens else ""
    cost = "cost unknown" if usage.cost_usd is None else f"{usage.cost_usd:.4g} USD"
    return f"{usage.latency_s:.1f} s, {about}{usage.total_tokens:,} tokens, {cost}"


def _warn_of_repairs(answers: Sequence[Elicitation]) -> None:
    repairs = [repair for answer in answers for repair in answer.repairs]
    if repairs:
        text = printable(f"The answer was repaired: {'; '.join(repairs)}")
        warnings.warn(cut_off(text, MAX_REASON_CHARACTERS), RepairedAnswerWarning, stacklevel=2)
