"""Every trial is a language model's with a probability, else TPE's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna import Study
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial

from benchmarks.peers.per_trial import PerTrialSampler
from llm_prior_bo import SearchSpace
from llm_prior_bo.elicitation import LLMClient


class LLMTPESampler(PerTrialSampler):
    """The first trial is the language model's, every later one with a probability, else TPE's.

    After SLLMBO's LLM-TPE (arXiv 2410.20302). TPE learns from all trials, its start-up counts all of them. Unlike in
    the published code, parameters may be categorical, and an unusable reply leaves the trial to TPE rather than to
    the middle of the range.

    About `probability * n_trials` questions.

    Args:
        client: The model, a live one.
        space: The search space of the study.
        probability: That a trial is the model's.
        seed: Of TPE and of the choice between the two.
    """

    def __init__(
        self, client: LLMClient, space: SearchSpace, *, probability: float = 0.5, seed: int | None = None
    ) -> None:
        super().__init__(client, space, plain=TPESampler(seed=seed))
        self._probability, self._rng = probability, np.random.default_rng(seed)

    def propose(self, study: Study, trial: FrozenTrial, suggested: Mapping[str, Any]) -> Mapping[str, Any]:
        """The model's configuration, if it is the model's turn."""
        is_due = self._rng.random() < self._probability or trial.number == 0
        return super().propose(study, trial, suggested) if is_due else {}
