"""A language model proposes a narrower search space, and any of Optuna's samplers searches it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from benchmarks.harness.recordings import Question
from benchmarks.peers.asking import Asking, Counts, ReplyModel, nearest_legal, object_schema, study_question
from llm_prior_bo import SearchSpace, StudyContext
from llm_prior_bo.elicitation import LLMClient, match_choice
from llm_prior_bo.study.context import study_context

VERSION = "narrowing-1"

_INSTRUCTIONS = """\
Propose a narrower search space. The optimiser will try values inside your ranges only, for the whole study: what you \
cut off is lost, and what you leave in costs trials. For every numeric parameter that should be narrowed, give the \
range to search, in natural units within the given range; for every categorical parameter that should be narrowed, \
the choices to keep, their texts exactly as listed. A parameter without a row keeps its whole range.

The shape of the answer:
{"notes": "a few sentences of reasoning; if you recognise the problem and remember published results, say so here",
 "ranges": [{"parameter": "<name>", "low": <value>, "high": <value>}, ...],
 "choices": [{"parameter": "<name>", "keep": ["<choice>", ...]}, ...]}"""


class Range(ReplyModel):
    """What is to be searched of a numeric parameter."""

    parameter: str
    low: float
    high: float


class Choices(ReplyModel):
    """What is to be searched of a categorical parameter."""

    parameter: str
    keep: list[str]


class NarrowerSpace(ReplyModel):
    """The reply."""

    notes: str = ""
    ranges: tuple[Range, ...] = ()
    choices: tuple[Choices, ...] = ()


def question(context: StudyContext) -> Question:
    """What the model is asked about a study."""
    return study_question(context, _INSTRUCTIONS, version=VERSION)


class NarrowingSampler(BaseSampler):
    """One of Optuna's samplers in the search space that a language model has narrowed; without a reply, in the whole.

    Rows that name no parameter, an empty range or unknown choices are passed over; a parameter whose range was cut to
    one value has that value. What is cut off is never tried, which is where this differs from a density.

    One question a study, before its first trial.

    Args:
        client: The model.
        space: The search space of the study.
        sampler: Who searches.
    """

    def __init__(self, client: LLMClient, space: SearchSpace, sampler: BaseSampler) -> None:
        self._asking, self._space, self._sampler = Asking(client), space, sampler
        self._narrowed: dict[str, BaseDistribution] | None = None

    @property
    def counts(self) -> Counts:
        """How the question went."""
        return self._asking.counts

    def reseed_rng(self) -> None:
        """As the sampler that searches does."""
        self._sampler.reseed_rng()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Ask before the first trial."""
        if self._narrowed is None:
            self._narrowed = self._ask(study)
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """What the sampler that searches samples together, as the objective names it."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A suggestion within the narrowed ranges."""
        ranges = {name: self._range(name, distribution) for name, distribution in search_space.items()}
        searched = {name: distribution for name, distribution in ranges.items() if not distribution.single()}
        fixed = {name: only_value(distribution) for name, distribution in ranges.items() if name not in searched}
        return {**fixed, **self._sampler.sample_relative(study, trial, searched)}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A value within the narrowed range."""
        narrowed = self._range(param_name, param_distribution)
        if narrowed.single():
            return only_value(narrowed)
        return self._sampler.sample_independent(study, trial, param_name, narrowed)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """As the sampler that searches does."""
        self._sampler.after_trial(study, trial, state, values)

    def _range(self, name: str, distribution: BaseDistribution) -> BaseDistribution:
        return (self._narrowed or {}).get(name, distribution)

    def _ask(self, study: Study) -> dict[str, BaseDistribution]:
        context = study_context(study, self._space)
        reply = self._asking.ask(question(context).messages, NarrowerSpace, _schema())
        if reply is None:
            return {}
        found = narrowed(reply, self._space)
        if not found and (reply.ranges or reply.choices):
            self.counts.unusable += 1
        return found


def narrowed(reply: NarrowerSpace, space: SearchSpace) -> dict[str, BaseDistribution]:
    """The distributions that a reply narrows, ends on legal values.

    Args:
        reply: The model's reply.
        space: The search space of the study.
    """
    found: dict[str, BaseDistribution] = {}
    for row in reply.ranges:
        distribution = space.distributions.get(row.parameter)
        if isinstance(distribution, FloatDistribution | IntDistribution) and row.low <= row.high:
            column, narrower = space.column(row.parameter), copy.copy(distribution)
            narrower.low, narrower.high = nearest_legal(column, row.low), nearest_legal(column, row.high)
            found[row.parameter] = narrower
    for choices in reply.choices:
        distribution = space.distributions.get(choices.parameter)
        if isinstance(distribution, CategoricalDistribution):
            matched = {match_choice(text, distribution.choices) for text in choices.keep}
            kept = [choice for index, choice in enumerate(distribution.choices) if index in matched]
            if kept:
                found[choices.parameter] = CategoricalDistribution(kept)
    return found


def only_value(distribution: BaseDistribution) -> Any:
    """The value of a distribution that has a single one."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return distribution.low


def _schema() -> dict[str, Any]:
    number, text = {"type": "number"}, {"type": "string"}
    return object_schema(
        {
            "notes": text,
            "ranges": {"type": "array", "items": object_schema({"parameter": text, "low": number, "high": number})},
            "choices": {
                "type": "array",
                "items": object_schema({"parameter": text, "keep": {"type": "array", "items": text}}),
            },
        }
    )
