"""Optuna's own tests of a sampler, with an answer, with a prior by hand, and with a model that never answers.

The suite draws from many small spaces, so whoever answers here must have an opinion on any of them. It asks before the
first trial of a study without a given space, when nobody knows what to ask about; so it is the prior by hand that is
there in each of its tests, and the one that is run by default.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from optuna.distributions import CategoricalDistribution
from optuna.testing.pytest_samplers import BasicSamplerTestCase, MultiObjectiveSamplerTestCase, RelativeSamplerTestCase
from optuna.trial import FrozenTrial

from llm_prior_bo import (
    Elicitation,
    LLMElicitor,
    LLMPriorSampler,
    OptimumPrior,
    PriorAnswer,
    RecordingElicitor,
    ReplayElicitor,
    SearchSpace,
    StudyContext,
    build_prior,
)
from llm_prior_bo.elicitation import CompletionError, FunctionClient, Messages
from llm_prior_bo.optimization.elicited_priors import ElicitedPrior
from llm_prior_bo.optimization.questioner import LearnInsights

if TYPE_CHECKING:
    from optuna import Study

Factory = Callable[[], LLMPriorSampler]


def opinion(space: SearchSpace) -> PriorAnswer:
    """A belief about every parameter of a space: the lower half, the first choice."""
    numeric, categorical = {}, {}
    for column in space.columns:
        if isinstance(column.distribution, CategoricalDistribution):
            choices = column.distribution.choices
            categorical[column.name] = {choices[0]: 0.7 if len(choices) > 1 else 1.0}
        else:
            best, low, high = (float(value) for value in column.from_unit([0.3, 0.1, 0.5]))
            numeric[column.name] = (best, low, high)
    return PriorAnswer.by_hand(numeric=numeric, categorical=categorical)


@dataclass
class RecordedOpinion:
    """Records a model's answer to whatever is asked, then replays the recording."""

    path: Path

    def elicit(self, context: StudyContext) -> Elicitation:
        text = json.dumps(opinion(context.space).model_dump())
        model = LLMElicitor(client=FunctionClient(lambda _: text))
        RecordingElicitor(model, self.path).elicit(context)
        return ReplayElicitor(self.path, strict=True).elicit(context)


class OpinionByHand:
    """A density for whatever space a trial has, from the first trial on and without any question."""

    def arrive(self, study: Study, trial: FrozenTrial) -> None:
        """Nobody asks."""

    def prepare(
        self, study: Study, trial: FrozenTrial, space: SearchSpace | None, *, learn: LearnInsights | None = None
    ) -> None:
        """Nothing to prepare."""

    def current(self, study: Study, space: SearchSpace) -> OptimumPrior:  # noqa: ARG002
        return build_prior(opinion(space), space)

    def elicited_priors(self, study: Study, space: SearchSpace) -> tuple[ElicitedPrior, ...]:
        return (ElicitedPrior(self.current(study, space)),)


# Three of its tests have branches or ranges that change, where some parameters cannot but be sampled on their own.
@pytest.mark.filterwarnings("ignore::llm_prior_bo.errors.IndependentSamplingWarning")
class _OptunaSuite(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    """All 126 tests; a subclass says who answers."""


@pytest.mark.slow
class TestRecordedAnswer(_OptunaSuite):
    @pytest.fixture
    def sampler(self, tmp_path: Path) -> Factory:
        return lambda: LLMPriorSampler(
            elicitor=RecordedOpinion(tmp_path / "recording.json"), n_startup_trials=1, seed=0
        )


class TestPriorByHand(_OptunaSuite):
    @pytest.fixture
    def sampler(self) -> Factory:
        def make() -> LLMPriorSampler:
            space = SearchSpace({"x": CategoricalDistribution([0, 1])})
            sampler = LLMPriorSampler(prior=build_prior(opinion(space), space), n_startup_trials=1, seed=0)
            # One sampler is given one space; the suite needs a prior that goes along with any.
            sampler._source, sampler._search_space = OpinionByHand(), None
            return sampler

        return make


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:No answer. nobody there:llm_prior_bo.errors.ElicitationWarning")
class TestModelThatNeverAnswers(_OptunaSuite):
    @pytest.fixture
    def sampler(self) -> Factory:
        def fail(_: Messages) -> str:
            raise CompletionError("nobody there")

        return lambda: LLMPriorSampler(elicitor=LLMElicitor(client=FunctionClient(fail)), n_startup_trials=1, seed=0)
