"""When to ask the language model again.

A question costs money and time, and an answer that rests on nothing new says nothing new. So a reason is needed, and
trials since the last question.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median

from llm_prior_bo.elicitation.prompt.insights import RefreshReason
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.study.progress import StudyProgress

N_LATEST_TRUSTS = 3
"""Trust dips for single trials, so the median of this many suggestions counts."""


@dataclass(frozen=True, slots=True)
class RefreshPolicy:
    """Reasons to ask again, and how often at most.

    The later question shows what the study has learned, and its answer is weighed on later trials only. It becomes a
    term of the score beside those of the earlier answers, with an exponent of its own.

    Args:
        every: Ask after this many new trials; `None`: not for that reason.
        growth: By what the distance grows with every question: 10, 20, 40 trials by default; 1: always the same.
        lost_trust: Ask when the trust in the answers, the median of the last three suggestions, is below this;
            `None`: not for that reason. It needs a trust gate.
        stagnation: Ask when this many trials have brought no improvement; `None`: not for that reason.
        space_change: Ask when parameters, ranges or choices have turned up that no answer was asked about.
        max_elicitations: Questions in all, the first one and unanswered ones included.
        min_new_trials: Trials with a value since the last question before another one is asked, whatever the reason.

    Raises:
        ConfigurationError: If an argument is out of its range.
    """

    every: int | None = 10
    growth: float = 2.0
    lost_trust: float | None = 0.05
    stagnation: int | None = 20
    space_change: bool = True
    max_elicitations: int = 4
    min_new_trials: int = 5

    def __post_init__(self) -> None:
        for name in ("every", "stagnation", "max_elicitations", "min_new_trials"):
            count = getattr(self, name)
            optional = name in ("every", "stagnation")
            if not (count is None and optional) and (type(count) is not int or count < 1):
                raise ConfigurationError(
                    f"Expected {name} to be a whole number >= 1{' or None' if optional else ''}, got {count!r}."
                )
        growth: object = self.growth
        if not (isinstance(growth, int | float) and 1.0 <= growth < math.inf):
            raise ConfigurationError(f"Expected growth to be a finite number >= 1, got {self.growth!r}.")
        if self.lost_trust is not None and not 0.0 <= self.lost_trust <= 1.0:
            raise ConfigurationError(f"Expected lost_trust in [0, 1] or None, got {self.lost_trust!r}.")

    def due(self, progress: StudyProgress) -> RefreshReason | None:
        """The reason to ask now, `None` if there is none. Depends on nothing but the study, so all workers agree."""
        if progress.n_questions >= self.max_elicitations or progress.n_new < self.min_new_trials:
            return None
        if self.space_change and progress.space_changed:
            return "search space changed"
        if self._trust_is_lost(progress.trusts):
            return "lost trust"
        if self.stagnation is not None and min(progress.n_since_improvement, progress.n_new) >= self.stagnation:
            return "stagnation"
        return "every" if progress.n_new >= self._distance(progress.n_questions) else None

    def _distance(self, n_questions: int) -> float:
        """New trials after which it is time for another question, after so many."""
        return math.inf if self.every is None else self.every * self.growth ** max(n_questions - 1, 0)

    def _trust_is_lost(self, trusts: tuple[float, ...]) -> bool:
        enough = self.lost_trust is not None and len(trusts) >= N_LATEST_TRUSTS
        return enough and median(trusts[-N_LATEST_TRUSTS:]) < (self.lost_trust or 0.0)


DEFAULT_REFRESH = RefreshPolicy()
"""What the sampler does unless told otherwise."""
