"""CMA-ES, a share of whose trials a language model overrides that sees the optimiser's state."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna import Study
from optuna.samplers import CmaEsSampler
from optuna.trial import FrozenTrial, TrialState

from benchmarks.peers.per_trial import PerTrialSampler, question
from llm_prior_bo import SearchSpace
from llm_prior_bo.elicitation import LLMClient

VERSION = "cma-override-1"

SHARE = 0.3
N_WARMUP = 10


class CMAOverrideSampler(PerTrialSampler):
    """Optuna's CMA-ES; from the eleventh trial on, 30 % of the trials are a language model's.

    After Centaur (arXiv 2603.24647). The model is told what CMA-ES would try, its mean, step size and covariance, and
    the best and latest trials; CMA-ES learns from the model's trials as if they were its own. Numeric parameters only
    are CMA-ES's: choices are random but where the model makes them. In two things it is kinder than the published
    code: an unusable reply leaves CMA-ES's point, and failed trials stay out of the covariance.

    About `share * (n_trials - n_warmup)` questions. Needs the package cmaes.

    Args:
        client: The model, a live one.
        space: The search space of the study.
        share: Share of the trials after the warm-up that are the model's, evenly spread.
        n_warmup: Trials before the first of these.
        seed: Of CMA-ES.
    """

    def __init__(
        self,
        client: LLMClient,
        space: SearchSpace,
        *,
        share: float = SHARE,
        n_warmup: int = N_WARMUP,
        seed: int | None = None,
    ) -> None:
        self._cma = CmaEsSampler(seed=seed, warn_independent_sampling=False)
        super().__init__(client, space, plain=self._cma)
        self._share, self._n_warmup = share, n_warmup

    def propose(self, study: Study, trial: FrozenTrial, suggested: Mapping[str, Any]) -> Mapping[str, Any]:
        """The model's configuration in the trials that are its own."""
        n = trial.number - self._n_warmup
        is_due = n >= 0 and math.floor((n + 1) * self._share) > math.floor(n * self._share)
        if not is_due:
            return {}
        return self._ask(question(self.context(study), also=self._state(study, suggested), version=VERSION))

    def _state(self, study: Study, suggested: Mapping[str, Any]) -> str:
        """What CMA-ES knows, in words and natural units."""
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        optimizer = self._cma._restore_optimizer(trials)
        lines = [f"CMA-ES would evaluate next: {json.dumps(dict(suggested), default=str)}"]
        if optimizer is None:
            return "\n".join([*lines, "It is in its first generation: mean and covariance are not adapted yet."])
        names = list(self._cma.infer_relative_search_space(study, trials[-1]))
        # Its coordinates are those of the package: [0, 1] on each parameter's scale, steps padded by half.
        mean = {name: self._space.column(name).decode(float(u)) for name, u in zip(names, optimizer.mean, strict=True)}
        covariance = np.array2string(optimizer._C, precision=2, suppress_small=True)
        return "\n".join(
            [
                *lines,
                f"Mean of its distribution: {json.dumps(mean)}",
                f"Its step size is {optimizer._sigma:.3g}, as a share of each range on its own scale; it began with "
                "0.17.",
                f"Covariance of its steps, parameters in the order {', '.join(names)}:",
                covariance,
            ]
        )
