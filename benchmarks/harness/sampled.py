"""The package's sampler with the acquisition function from samples of the posterior, as it is while trials run."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from llm_prior_bo import FixedElicitor, LLMPriorSampler, PriorAnswer
from llm_prior_bo.acquisition.log_acquisition import sampled_log_acquisition
from llm_prior_bo.optimization import engine

NO_OPINION = FixedElicitor(PriorAnswer.by_hand())
"""An answer that says nothing."""


class SampledSampler(LLMPriorSampler):
    """The sampler that never uses an analytic acquisition function."""

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        """The suggestion."""
        with patch.object(engine, "log_acquisition", sampled_log_acquisition):
            return super().sample_relative(study, trial, search_space)
