"""An Optuna sampler some of whose suggestions a language model overrides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from benchmarks.peers.asking import Asking, Counts
from llm_prior_bo import SearchSpace, StudyContext
from llm_prior_bo.elicitation import LLMClient
from llm_prior_bo.study.context import study_context

MAX_TRIALS_SHOWN = 20
"""Trials that a question shows at most, the best and the latest ones."""


class ProposingSampler(BaseSampler):
    """A plain sampler whose suggestions are overridden by what `propose` returns, parameter by parameter.

    The plain sampler is asked in every trial and learns from every result, whoever chose the point.

    Args:
        client: The model.
        space: The search space of the study.
        plain: Who suggests what the model does not.
    """

    def __init__(self, client: LLMClient, space: SearchSpace, plain: BaseSampler) -> None:
        self._asking, self._space, self._plain = Asking(client), space, plain

    @property
    def counts(self) -> Counts:
        """How the questions went so far."""
        return self._asking.counts

    def propose(self, study: Study, trial: FrozenTrial, suggested: Mapping[str, Any]) -> Mapping[str, Any]:
        """Legal values that override those of the plain sampler.

        Args:
            study: The study.
            trial: The trial to come.
            suggested: What the plain sampler suggests, as far as it samples parameters together.
        """
        raise NotImplementedError

    def context(self, study: Study) -> StudyContext:
        """What the model may see of a study."""
        return study_context(study, self._space, max_context_trials=MAX_TRIALS_SHOWN)

    def reseed_rng(self) -> None:
        """As the plain sampler does."""
        self._plain.reseed_rng()

    def infer_relative_search_space(
        self,
        study: Study,  # noqa: ARG002 - Optuna's signature
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        """All parameters: any of them may be overridden."""
        return dict(self._space.distributions)

    def sample_relative(
        self,
        study: Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        """The plain sampler's suggestion, overridden."""
        plain_space = self._plain.infer_relative_search_space(study, trial)
        suggested = self._plain.sample_relative(study, trial, plain_space)
        return {**suggested, **self.propose(study, trial, suggested)}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As the plain sampler does."""
        return self._plain.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """As the plain sampler does."""
        self._plain.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """As the plain sampler does."""
        self._plain.after_trial(study, trial, state, values)
