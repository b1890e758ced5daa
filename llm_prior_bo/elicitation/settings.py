"""What an elicitor says about how it is to be asked and how its answers are to be read.

The settings belong to whoever answers, not to the sampler: an elicitor that is recorded, blinded or used in another
study keeps them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal, get_args

from llm_prior_bo.elicitation.prompt.context import DEFAULT_MAX_PROMPT_TOKENS
from llm_prior_bo.errors import ConfigurationError

OnFailure = Literal["warn", "raise"]
"""What follows a first question without an answer: a warning and a study without a prior, or an error."""


@dataclass(frozen=True)
class ElicitationSettings:
    """How an elicitor is asked and how its answers are read.

    Args:
        n_answers: Answers to one question, each asked for in another wording; their densities are pooled with equal
            weights. One by default: more cost as much again each, and changed little where it was measured.
        max_context_trials: How many best, recent and failed trials a question may show. Ten say which regime the
            problem is in; the surrogate knows all of them anyway.
        max_prompt_tokens: Size that a question is shortened to if it is longer; about four times a usual one, and
            within what small local models take.
        interval_coverage: Probability, in (0, 1), with which an interval that is stated as one of 80 % holds the
            optimum's value. Half: language models are over-confident. `CalibrationLedger` fits it to past studies.

        on_failure: "raise": a study whose first question brings no answer (missing key, unknown model, no credit) ends
            with an `ElicitationError`. "warn": it goes on without a prior. Later questions only ever warn.

    Raises:
        ConfigurationError: If a value is out of range.
    """

    n_answers: int = 1
    max_context_trials: int = 10
    max_prompt_tokens: int = DEFAULT_MAX_PROMPT_TOKENS
    interval_coverage: float = 0.5
    on_failure: OnFailure = "warn"

    def __post_init__(self) -> None:
        check_count("n_answers", self.n_answers, least=1)
        check_count("max_context_trials", self.max_context_trials)
        check_count("max_prompt_tokens", self.max_prompt_tokens, least=1)
        coverage = self.interval_coverage
        if not _is_number(coverage) or not 0.0 < coverage < 1.0:
            raise ConfigurationError(
                f"Expected interval_coverage in (0, 1), got {coverage!r}; 0.5 is the default, 0.8 takes the answer at "
                "its word."
            )
        if self.on_failure not in get_args(OnFailure):
            raise ConfigurationError(f"Expected on_failure to be 'warn' or 'raise', got {self.on_failure!r}.")


def settings_of(elicitor: object) -> ElicitationSettings:
    """The settings that an elicitor carries in its attribute `settings`, the defaults if it has none."""
    settings = getattr(elicitor, "settings", None)
    return settings if isinstance(settings, ElicitationSettings) else ElicitationSettings()


def check_count(name: str, value: object, *, least: int = 0) -> None:
    """Refuse what is not a whole number of at least `least`.

    Raises:
        ConfigurationError: With the name of the setting.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ConfigurationError(f"Expected {name} to be a whole number >= {least}, got {value!r}.")


def check_number(name: str, value: object) -> None:
    """Refuse what is not a finite number of at least 0.

    Raises:
        ConfigurationError: With the name of the setting.
    """
    if not (_is_number(value) and value >= 0 and math.isfinite(value)):  # type: ignore[operator, arg-type]
        raise ConfigurationError(f"Expected {name} >= 0, got {value!r}.")


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
