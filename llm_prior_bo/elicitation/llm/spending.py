"""What asking has used up, and the limits that end it.

A limit is kept before every request, repeated ones and further answers included: the provider's bill is the one thing
that a study cannot take back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_prior_bo.errors import ConfigurationError, ElicitationError

if TYPE_CHECKING:
    from llm_prior_bo.elicitation.llm.client import Completion

USD_PER_MILLION_UNPRICED_TOKENS = 100.0
"""What tokens without a known price count as against `budget_usd`: more than almost any model costs."""

CHARACTERS_PER_UNCOUNTED_TOKEN = 2.0
"""Where a server counts no tokens, a text counts as one token for so many characters; English has about four."""


@dataclass(frozen=True)
class Usage:
    """What asking has used up so far; `None` where nobody said.

    Attributes:
        prompt_tokens: Tokens sent.
        completion_tokens: Tokens received.
        cost_usd: Price, as far as it is known.
        n_calls: Number of requests, unsuccessful ones included.
        latency_s: Seconds from question to answer, waiting included.
        unpriced_tokens: Tokens of answered requests without a known price; the next ones are among them.
        uncounted_tokens: Tokens of answered requests without a count, estimated from the length of the texts.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    n_calls: int = 0
    latency_s: float = 0.0
    unpriced_tokens: int = 0
    uncounted_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Both together. Unknown and known is known: as much as somebody said."""
        return Usage(
            prompt_tokens=_sum(self.prompt_tokens, other.prompt_tokens),
            completion_tokens=_sum(self.completion_tokens, other.completion_tokens),
            cost_usd=_sum(self.cost_usd, other.cost_usd),
            n_calls=self.n_calls + other.n_calls,
            latency_s=self.latency_s + other.latency_s,
            unpriced_tokens=self.unpriced_tokens + other.unpriced_tokens,
            uncounted_tokens=self.uncounted_tokens + other.uncounted_tokens,
        )

    def __post_init__(self) -> None:
        """Take what no server could mean (negative, not finite, implausibly large, no number) for unknown.

        Records come from a storage that others can write to: none of them may be a credit.
        """
        for name in ("prompt_tokens", "completion_tokens"):
            object.__setattr__(self, name, _count(getattr(self, name)))
        for name in ("n_calls", "unpriced_tokens", "uncounted_tokens"):
            object.__setattr__(self, name, _count(getattr(self, name)) or 0)
        object.__setattr__(self, "cost_usd", _price(self.cost_usd))
        object.__setattr__(self, "latency_s", _price(self.latency_s) or 0.0)

    @property
    def total_tokens(self) -> int:
        """Tokens in all, estimated where nobody counted them."""
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0) + self.uncounted_tokens

    @classmethod
    def total(cls, usages: Iterable[Usage]) -> Usage:
        """The sum of any number of them."""
        return sum(usages, start=cls())

    @classmethod
    def of_request(cls, messages: Sequence[dict[str, str]], completion: Completion) -> Usage:
        """What one answered request used up."""
        prompt_tokens, completion_tokens = _count(completion.prompt_tokens), _count(completion.completion_tokens)
        cost = _price(completion.cost_usd)
        uncounted = 0
        if prompt_tokens is None:
            uncounted += _estimated_tokens(*(message["content"] for message in messages))
        if completion_tokens is None:
            uncounted += _estimated_tokens(completion.text, completion.refusal or "")
        return cls(
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            cost_usd=cost,
            n_calls=1,
            unpriced_tokens=0 if cost is not None else (prompt_tokens or 0) + (completion_tokens or 0) + uncounted,
            uncounted_tokens=uncounted,
        )


class SpendingError(ElicitationError):
    """The next request would go, or may go, beyond a limit.

    Args:
        message: What was spent and what to do.
        usage: What the question has used up before the limit ended it.
    """

    def __init__(self, message: str, *, usage: Usage | None = None) -> None:
        super().__init__(message, retryable=False)
        self.usage = usage or Usage()


@dataclass(frozen=True)
class SpendingLimit:
    """Hard limits of what a study's questions may use up, its later sessions and other workers included.

    No request is made once a limit is reached, or if another request like the last one would go beyond it. A single
    request can still cost more than the last one did; `max_tokens` bounds it from above.

    A request that brought no answer (a refused one, a time-out) counts as nothing: no server says what it cost.

    Args:
        budget_usd: Most that may be spent. Where the price of a model is unknown (local and new ones), tokens count
            as `USD_PER_MILLION_UNPRICED_TOKENS`, unless `budget_tokens` is there to limit them.
        budget_tokens: Most tokens, of prompts and answers together.

    Raises:
        ConfigurationError: If a limit is negative or not a number.
    """

    budget_usd: float | None = None
    budget_tokens: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("budget_usd", self.budget_usd), ("budget_tokens", self.budget_tokens)):
            if value is not None and not _is_amount(value):
                raise ConfigurationError(f"Expected {name} >= 0, got {value!r}; None is no limit.")

    def counted_usd(self, usage: Usage) -> float:
        """What a usage counts as against `budget_usd`."""
        unpriced = usage.unpriced_tokens if self.budget_tokens is None else 0
        return (usage.cost_usd or 0.0) + unpriced * USD_PER_MILLION_UNPRICED_TOKENS / 1e6

    def check(self, spent: Usage, *, last: Usage | None = None) -> None:
        """Refuse the next request if it would go beyond a limit.

        Args:
            spent: All that was used up so far.
            last: The last request, by which the next one is judged; the mean of those in `spent` if left out.

        Raises:
            SpendingError: If a limit is reached, or would be exceeded.
        """
        n_last = 1 if last is not None else max(spent.n_calls, 1)
        last = spent if last is None else last
        self._check(self.counted_usd(spent), self.counted_usd(last) / n_last, self.budget_usd, "USD", spent)
        self._check(spent.total_tokens, last.total_tokens / n_last, self.budget_tokens, "tokens", spent)

    def _check(self, spent: float, next_one: float, limit: float | None, unit: str, usage: Usage) -> None:
        # A figure that is not a number must not switch the limit off.
        if limit is None or (spent < limit and spent + next_one <= limit):
            return
        unpriced = unit == "USD" and usage.unpriced_tokens > 0
        remark = f", of which {usage.unpriced_tokens:,} tokens have no known price" if unpriced else ""
        raise SpendingError(
            f"Expected to spend at most {limit:,} {unit}, spent {_figure(spent)} already{remark}, and one more request "
            f"would take about {_figure(next_one)}; raise the limit to ask more."
        )


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0  # NaN is not


def _estimated_tokens(*texts: str) -> int:
    return math.ceil(sum(len(text) for text in texts) / CHARACTERS_PER_UNCOUNTED_TOKEN)


def _count(value: object) -> int | None:
    """A number of tokens; what a server says instead of one is unknown, not a credit."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _IMPLAUSIBLE else None


def _price(value: object) -> float | None:
    plausible = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _IMPLAUSIBLE
    return float(value) if plausible else None  # type: ignore[arg-type]


_IMPLAUSIBLE = 1e12  # tokens or dollars of one request; also keeps infinities out of the sums


def _figure(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:.6g}"


def _sum(total: Any, more: Any) -> Any:
    """A sum in which `None` is unknown: it stays `None` until something is known."""
    if more is None:
        return total
    return more if total is None else total + more
