"""A language model proposes the first configurations, Optuna's TPE does the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna import Study
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial

from benchmarks.harness.recordings import Question
from benchmarks.peers.asking import ReplyModel, configuration_schema, native, object_schema, study_question
from benchmarks.peers.proposing import ProposingSampler
from llm_prior_bo import SearchSpace, StudyContext
from llm_prior_bo.elicitation import LLMClient

N_CONFIGURATIONS = 5
"""As LLAMBO asks for, and as many as this package's own start-up has."""

VERSION = "one-shot-1"

_INSTRUCTIONS = f"""\
Recommend {N_CONFIGURATIONS} configurations to evaluate first. They start an optimiser that works from their results \
alone: make them good, and different enough from each other to learn from. Natural units, within the given ranges; a \
choice as its text exactly as listed. Give every parameter a value in every configuration, also where it is not \
active because of another parameter's choice.

The shape of the answer:
{{"notes": "a few sentences of reasoning; if you recognise the problem and remember published results, say so here",
 "configurations": [{{"<parameter>": <value>, ...}}, ...]}}"""


class Configurations(ReplyModel):
    """The reply."""

    notes: str = ""
    configurations: list[dict[str, Any]]


def question(context: StudyContext) -> Question:
    """What the model is asked about a study."""
    return study_question(context, _INSTRUCTIONS, version=VERSION)


class OneShotSampler(ProposingSampler):
    """The first trials are the configurations of one reply; all others are TPE's, whose start-up they are.

    LLAMBO's zero-shot warm start (Liu et al., ICLR 2024) before TPE rather than its own language-model surrogate: what
    most people do who try a language model for tuning. Configurations without one usable value are left out; where
    fewer than five are left, or no reply came, the start-up's other trials are random.

    One question a study, before its first trial.

    Args:
        client: The model.
        space: The search space of the study.
        seed: Of TPE.
    """

    def __init__(self, client: LLMClient, space: SearchSpace, *, seed: int | None = None) -> None:
        super().__init__(client, space, TPESampler(seed=seed, n_startup_trials=N_CONFIGURATIONS))
        self._waiting: list[dict[str, Any]] | None = None

    def propose(self, study: Study, trial: FrozenTrial, suggested: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG002
        """The next of the model's configurations."""
        if self._waiting is None:
            self._waiting = self._ask(study)
        return self._waiting.pop(0) if self._waiting else {}

    def _ask(self, study: Study) -> list[dict[str, Any]]:
        schema = object_schema(
            {
                "notes": {"type": "string"},
                "configurations": {"type": "array", "items": configuration_schema(self._space)},
            }
        )
        reply = self._asking.ask(question(self.context(study)).messages, Configurations, schema)
        if reply is None:
            return []
        usable = [config for raw in reply.configurations if (config := native(raw, self._space))]
        if not usable:
            self.counts.unusable += 1
        return usable[:N_CONFIGURATIONS]
