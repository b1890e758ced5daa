"""What the language model may see of a study, and nothing else.

Whatever is not in `StudyContext` cannot get into a prompt. `llm_prior_bo.study.context` reads one from a study.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol, TypeVar

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo._cached_property import cached_property
from llm_prior_bo.elicitation.answer.choices import choice_texts
from llm_prior_bo.elicitation.answer.names import listing
from llm_prior_bo.elicitation.llm.secrets import encodable, redact
from llm_prior_bo.elicitation.prompt.insights import StudyInsights
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.space import SearchSpace

STUDY_ATTRIBUTES = (
    "problem_type",
    "problem_description",
    "constraints",
    "domain_knowledge",
    "model_type",
    "dataset_size",
)
"""User attributes of a study that go into the context."""

DEFAULT_MAX_PROMPT_TOKENS = 8_000
"""Size of a question, as `estimated_tokens` counts, beyond which it is shortened."""

MAX_ATTRIBUTE_CHARACTERS = 4_000
"""Longer user attributes are cut, with a note that says so."""

MAX_PARAMETER_DESCRIPTION_CHARACTERS = 300
"""The same for the description of one parameter."""

PARAMETER_DESCRIPTIONS = "parameter_descriptions"
"""User attribute of a study with a dict from names of parameters to what they mean, unit included."""

CONDITIONS = "conditions"
"""User attribute of a study with a dict from names of parameters to when they count, e.g. "only if early_stopping"."""

PARAMETER_ATTRIBUTES = (PARAMETER_DESCRIPTIONS, CONDITIONS)
"""User attributes with one text for each parameter."""

READ_ATTRIBUTES = (*STUDY_ATTRIBUTES, *PARAMETER_ATTRIBUTES, "n_trials")
"""All user attributes of a study that are read."""

_CUT_NOTE = re.compile(r"\[\.\.\. cut, ([\d,]+) characters in all\]$")


_OTHER_NAMES = {
    "description": "problem_description",
    "problem": "problem_description",
    "task": "problem_description",
    "task_description": "problem_description",
    "domain": "domain_knowledge",
    "knowledge": "domain_knowledge",
    "model": "model_type",
    "dataset": "dataset_size",
    "data_size": "dataset_size",
    "descriptions": PARAMETER_DESCRIPTIONS,
    "parameter_conditions": CONDITIONS,
    "budget": "n_trials",
}
"""What users call attributes that have another name."""


def misnamed_attributes(names: Iterable[str]) -> dict[str, str]:
    """User attributes of a study that go nowhere, and the ones that they were probably meant for.

    Args:
        names: Names of all user attributes.
    """
    names = list(names)
    found = {}
    for name in names:
        folded = name.strip().casefold().replace("-", "_").replace(" ", "_")
        close = difflib.get_close_matches(folded, READ_ATTRIBUTES, n=1, cutoff=0.8)
        meant = _OTHER_NAMES.get(folded) or (close[0] if close else None)
        if name not in READ_ATTRIBUTES and meant is not None and meant not in names:
            found[name] = meant
    return found


def unknown_parameters(attributes: Mapping[str, Any], names: Sequence[str], *, space_is_complete: bool) -> list[str]:
    """Texts about parameters that go nowhere, one sentence each.

    Args:
        attributes: All user attributes of a study.
        names: The parameters that are known.
        space_is_complete: Whether there are no others; else only what looks like a known one is reported.
    """
    found = []
    for attribute in PARAMETER_ATTRIBUTES:
        texts = attributes.get(attribute)
        for name in map(str, texts if isinstance(texts, Mapping) else ()):
            close = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
            if name not in names and (close or space_is_complete):
                hint = f"did you mean {close[0]!r}?" if close else f"the parameters are {listing(names)}."
                found.append(f"The study's user attribute {attribute!r} names {name!r}, which is no parameter; {hint}")
    return found


@dataclass(frozen=True)
class TrialSummary:
    """One trial as the language model sees it.

    Attributes:
        number: Number of the trial in the study.
        params: Parameter values in natural units; a conditional parameter that was not active is absent.
        values: Objective values, `None` if the trial has none.
        state: "complete", "pruned" or "fail".
        feasible: Whether all constraints hold, `None` if the trial has none.
    """

    number: int
    params: Mapping[str, Any]
    values: tuple[float, ...] | None
    state: str
    feasible: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-safe dict (infinite values become text)."""
        return {
            "number": self.number,
            "params": {name: _json_safe(value) for name, value in self.params.items()},
            "values": None if self.values is None else [_json_safe(value) for value in self.values],
            "state": self.state,
            "feasible": self.feasible,
        }


@dataclass(frozen=True)
class StudyContext:
    """All that the language model may see of a study.

    Attributes:
        distributions: The parameters and their Optuna distributions, in the order of the search space.
        directions: "minimize" or "maximize" for each objective.
        metric_names: Names of the objectives; empty if the study has none.
        problem_type: From the study's user attribute of that name, as are the next five; `None` if it is not set.
        problem_description: What is being tuned, on what.
        constraints: What a configuration must fulfil, in words.
        domain_knowledge: What is known already.
        model_type: The kind of model that is tuned.
        dataset_size: Size of the data.
        n_finished: Number of trials with a value.
        n_unsuccessful: Number of trials that failed or were pruned.
        n_trials: Number of trials that the study will have in all, `None` if unknown.
        trials: The trials shown, by number: the best, the latest and some that failed.
        best_trials: Numbers of those shown because they are among the best, the best first.
        trial_number: Number of the trial for which the answer is asked.
        answer_index: 0 for the first answer to this question, 1 for a second, independent one, and so on.
        insights: What the surrogate has learned, `None` for the first question of a study.
        parameter_descriptions: What parameters mean, unit included, by name; parameters may be absent.
        conditions: When parameters count, by name; parameters may be absent.
        max_prompt_tokens: Size, as `estimated_tokens` counts, that the question is shortened to if it is longer.
        space_is_complete: Whether the user has given the search space, so that there are no other parameters.
    """

    distributions: Mapping[str, BaseDistribution]
    directions: tuple[str, ...] = ("minimize",)
    metric_names: tuple[str, ...] = ()
    problem_type: str | None = None
    problem_description: str | None = None
    constraints: str | None = None
    domain_knowledge: str | None = None
    model_type: str | None = None
    dataset_size: str | None = None
    n_finished: int = 0
    n_unsuccessful: int = 0
    n_trials: int | None = None
    trials: tuple[TrialSummary, ...] = ()
    best_trials: tuple[int, ...] = ()
    trial_number: int = 0
    answer_index: int = 0
    insights: StudyInsights | None = None
    parameter_descriptions: Mapping[str, str] = field(default_factory=dict)
    max_prompt_tokens: int = DEFAULT_MAX_PROMPT_TOKENS
    space_is_complete: bool = False
    conditions: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def space(self) -> SearchSpace:
        """The search space that an answer to this context must fit."""
        return SearchSpace(self.distributions)

    @property
    def trial_numbers(self) -> tuple[int, ...]:
        """Numbers of the trials that a reader knows of: those shown, and those that the insights rest on."""
        return tuple(sorted({*(trial.number for trial in self.trials), *self.known_trials}))

    @property
    def known_trials(self) -> tuple[int, ...]:
        """Numbers of the trials that the insights rest on."""
        return () if self.insights is None else self.insights.trials

    def with_fewer_trials(self, limit: int) -> StudyContext:
        """A context that shows at most `limit` of the trials: of the best, the latest and the failed ones."""
        if len(self.trials) <= limit:
            return self
        known = {trial.number: trial for trial in self.trials}
        ranked = [known[number] for number in self.best_trials if number in known]
        finished = [trial for trial in self.trials if trial.values is not None]
        others = [trial for trial in self.trials if trial.values is None]
        best, shown = select_trials(ranked, finished, others, limit)
        return replace(self, trials=tuple(shown), best_trials=tuple(trial.number for trial in best))

    def to_dict(self) -> dict[str, Any]:
        """All of the context as a JSON-safe dict."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain["distributions"] = {name: _distribution_dict(d) for name, d in self.distributions.items()}
        plain["trials"] = [trial.to_dict() for trial in self.trials]
        plain |= {name: dict(getattr(self, name)) for name in PARAMETER_ATTRIBUTES}
        plain["insights"] = None if self.insights is None else self.insights.to_dict()
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}

    def to_json(self) -> str:
        """All of the context as JSON text."""
        return json.dumps(self.to_dict(), allow_nan=False)


def attribute_text(value: object, *, limit: int = MAX_ATTRIBUTE_CHARACTERS, keep: Iterable[str] = ()) -> str | None:
    """Any user attribute as text of bounded length without secrets, `None` if there is nothing to say.

    Args:
        value: The attribute.
        limit: Most characters.
        keep: Names that are no secrets, whatever they look like.
    """
    if value is None:
        return None
    text = value if isinstance(value, str) else _as_json(value)
    # Lone surrogates cannot be encoded; they would fail much later, in the HTTP client.
    text = redact(encodable(text), keep=keep).strip()
    return cut(text, limit) or None


def cut(text: str, limit: int) -> str:
    """The beginning of a text that is longer than `limit` characters, with a note that says so."""
    if len(text) <= limit:
        return text
    cut_before = _CUT_NOTE.search(text)
    length = cut_before[1] if cut_before else f"{len(text):,}"
    return f"{text[:limit].rstrip()} [... cut, {length} characters in all]"


def _as_json(value: object) -> str:
    try:
        return json.dumps(value, default=str, ensure_ascii=False)
    except Exception:  # user attributes may be any object in an in-memory storage, with any __str__
        return f"<{type(value).__name__}>"


class _Numbered(Protocol):
    """A trial of Optuna's, or the summary of one."""

    @property
    def number(self) -> int: ...


_Trial = TypeVar("_Trial", bound=_Numbered)


def select_trials(
    ranked: Sequence[_Trial], finished: Sequence[_Trial], unsuccessful: Sequence[_Trial], limit: int
) -> tuple[list[_Trial], list[_Trial]]:
    """The best trials, best first, and all trials to show, by number.

    At most a fifth of the places goes to the latest trials without a value; of the others, three fifths to the best and
    the rest to the latest, so that the reader sees both what works and where the search has been.
    """
    n_unsuccessful = min(len(unsuccessful), max(limit // 5, limit - len(finished)))
    places = limit - n_unsuccessful
    best = list(ranked[: math.ceil(0.6 * places)])
    chosen = {trial.number for trial in best}
    others = [trial for trial in finished if trial.number not in chosen]
    # `[-0:]` is everything, hence the explicit ends.
    recent = others[max(len(others) - (places - len(best)), 0) :]
    failed = unsuccessful[len(unsuccessful) - n_unsuccessful :]
    return best, sorted([*best, *recent, *failed], key=lambda trial: trial.number)


def _distribution_dict(distribution: BaseDistribution) -> dict[str, Any]:
    if isinstance(distribution, CategoricalDistribution):
        return {"type": "categorical", "choices": list(choice_texts(distribution.choices))}
    if not isinstance(distribution, FloatDistribution | IntDistribution):  # pragma: no cover - SearchSpace refuses it
        raise ConfigurationError(f"Expected an Optuna distribution, got {distribution!r}.")
    kind = "int" if isinstance(distribution, IntDistribution) else "float"
    return {
        "type": kind,
        "low": distribution.low,
        "high": distribution.high,
        "log": distribution.log,
        "step": distribution.step,
    }


def _json_safe(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value)
