"""Is a study ready for its first question? Nobody is asked to find out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_prior_bo.elicitation.elicitor import Elicitor, estimated_cost_of, longest_seconds_of, name_of, problems_of
from llm_prior_bo.elicitation.prompt.context import misnamed_attributes, unknown_parameters
from llm_prior_bo.elicitation.settings import settings_of
from llm_prior_bo.optimization.prior_source import PriorSource, elicitor_of, known_space
from llm_prior_bo.optimization.questioner import question_tokens
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.answer_records import load_elicitations
from llm_prior_bo.study.context import study_context
from llm_prior_bo.study.storage import study_user_attributes

if TYPE_CHECKING:
    from optuna import Study

ANSWER_TOKENS = 1_000
"""What an answer is taken to have; one of two regions over ten parameters has about that."""


@dataclass(frozen=True)
class CheckResult:
    """What is missing before a study asks, and what asking would take.

    Attributes:
        problems: What is missing, one sentence each, with what to do; empty if all is ready.
        asks: Who would be asked; `None` if nobody is: the density is given, or an answer is stored already.
        has_answer: Whether an answer is stored in the study.
        prompt_tokens: About how many tokens one question has; `None` while the space is unknown, or if nobody is asked.
        cost_usd: About what the first question costs without retries; `None` where no price is known.
        longest_seconds: The most seconds that the first question may take, with every retry; `None` if nobody is asked.
    """

    problems: tuple[str, ...] = ()
    asks: str | None = None
    has_answer: bool = False
    prompt_tokens: int | None = None
    cost_usd: float | None = None
    longest_seconds: float | None = None

    def __str__(self) -> str:
        if self.asks is not None:
            size = (
                "a question of unknown size" if self.prompt_tokens is None else f"about {self.prompt_tokens:,} tokens"
            )
            cost = "cost unknown" if self.cost_usd is None else f"about {self.cost_usd:.2g} USD"
            plan = f"{self.asks} will be asked: {size}, {cost}, up to {self.longest_seconds:g} s."
        else:
            plan = "An answer is stored: nobody will be asked." if self.has_answer else "Nobody will be asked."
        return "\n".join([plan, *(f"- {problem}" for problem in self.problems or ("Nothing is missing.",))])


def check_readiness(study: Study, source: PriorSource, given: SearchSpace | None) -> CheckResult:
    """What is missing. Nothing is sent, and nothing is written to the study.

    Args:
        study: The study, before its first trial or later.
        source: Where the sampler's prior comes from.
        given: The search space that the user has stated, if any.
    """
    elicitor = elicitor_of(source)
    if elicitor is None:
        return CheckResult()
    space = known_space(study, given)
    attributes = _attribute_problems(study, space, space_is_complete=given is not None)
    if load_elicitations(study):
        return CheckResult(attributes, has_answer=True)
    problems = (*problems_of(elicitor), *attributes, *_space_problems(space))
    return _plan(study, elicitor, space, problems)


def _plan(study: Study, elicitor: Elicitor, space: SearchSpace | None, problems: tuple[str, ...]) -> CheckResult:
    settings, tokens, cost = settings_of(elicitor), None, None
    if space is not None:
        context = study_context(
            study,
            space,
            max_context_trials=settings.max_context_trials,
            max_prompt_tokens=settings.max_prompt_tokens,
        )
        tokens = question_tokens(context)
        one = estimated_cost_of(elicitor, tokens, ANSWER_TOKENS)
        cost = None if one is None else one * settings.n_answers
    return CheckResult(
        problems,
        asks=name_of(elicitor),
        prompt_tokens=tokens,
        cost_usd=cost,
        longest_seconds=longest_seconds_of(elicitor) * settings.n_answers,
    )


def _attribute_problems(study: Study, space: SearchSpace | None, *, space_is_complete: bool) -> tuple[str, ...]:
    names = study_user_attributes(study)
    misnamed = misnamed_attributes(names)
    found = [
        f"The study's user attribute {name!r} is not read; {meant!r} is: did you mean that?"
        for name, meant in misnamed.items()
    ]
    if not names.get("problem_description") and "problem_description" not in misnamed.values():
        found.append(
            "The study has no problem_description; say what is tuned, on what: "
            "study.set_user_attr('problem_description', '...')."
        )
    if space is not None:
        found += unknown_parameters(names, space.names, space_is_complete=space_is_complete)
    return tuple(found)


def _space_problems(space: SearchSpace | None) -> tuple[str, ...]:
    if space is not None:
        return ()
    return ("There is no search_space= yet, so the first trial is random and the question comes after it; give one.",)
