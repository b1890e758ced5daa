"""A language model chooses every trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna import Study
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

from benchmarks.harness.recordings import Question
from benchmarks.peers.asking import ReplyModel, configuration_schema, native, object_schema, study_question
from benchmarks.peers.proposing import ProposingSampler
from llm_prior_bo import SearchSpace, StudyContext
from llm_prior_bo.elicitation import LLMClient

VERSION = "per-trial-1"

_INSTRUCTIONS = """\
Propose the one configuration to evaluate next. Weigh what the results above say against what you know, and do not \
repeat a configuration. Natural units, within the given ranges; a choice as its text exactly as listed. Give every \
parameter a value, also where it is not active because of another parameter's choice.

The shape of the answer:
{"notes": "your reasoning in a few sentences", "configuration": {"<parameter>": <value>, ...}}"""


class NextConfiguration(ReplyModel):
    """The reply."""

    notes: str = ""
    configuration: dict[str, Any]


def question(context: StudyContext, *, also: str = "", version: str = VERSION) -> Question:
    """What the model is asked before a trial.

    Args:
        context: The study so far.
        also: What the model is told besides.
        version: Name and version of the question.
    """
    return study_question(context, f"{also}\n\n{_INSTRUCTIONS}".lstrip(), version=version)


class PerTrialSampler(ProposingSampler):
    """Every trial is the language model's; where its reply is unusable, a random one.

    After M. Zhang et al., "Using Large Language Models for Hyperparameter Optimization" (arXiv 2312.04528). The model
    sees the best and the latest of all trials with their results, `MAX_TRIALS_SHOWN` at most.

    One question a trial.

    Args:
        client: The model, a live one: a question holds the results of this very study.
        space: The search space of the study.
        plain: Who suggests where the model does not; random search if left out.
        seed: Of the random search.
    """

    def __init__(
        self,
        client: LLMClient,
        space: SearchSpace,
        *,
        plain: BaseSampler | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(client, space, RandomSampler(seed=seed) if plain is None else plain)

    def propose(self, study: Study, trial: FrozenTrial, suggested: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG002
        """The model's configuration."""
        return self._ask(question(self.context(study)))

    def _ask(self, asked: Question) -> dict[str, Any]:
        """The configuration of a reply; empty, and counted, if nothing can be made of it."""
        schema = object_schema({"notes": {"type": "string"}, "configuration": configuration_schema(self._space)})
        reply = self._asking.ask(asked.messages, NextConfiguration, schema)
        config = {} if reply is None else native(reply.configuration, self._space)
        if reply is not None and not config:
            self.counts.unusable += 1
        return config
