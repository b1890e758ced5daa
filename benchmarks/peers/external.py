"""Optimisers that are installed apart, because their requirements do not go with this project's: SMAC3 and NePS.

Each runs in an interpreter of its own and is spoken to in lines of JSON. It is given the unit cube: a numeric parameter
is a float in [0, 1] on the parameter's own scale, steps and integers included, a categorical one has as many choices.
Conditions are not passed on: an inactive parameter has no effect, and the optimiser has to find that out.

    python -m venv SMAC && SMAC/bin/pip install smac
    python -m venv NEPS && NEPS/bin/pip install neural-pipeline-search

Their priors are one normal for each parameter and weights of choices: what can be said in these of a mixture is its
heaviest region without its correlations, see `reduced`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from llm_prior_bo import OptimumPrior, SearchSpace
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.priors import CategoricalMarginal, MixturePrior, SplitNormalMarginal

WORKERS = {"SMAC3": "benchmarks.peers.smac_worker", "NePS": "benchmarks.peers.neps_worker"}
"""Optimiser -> the module that its interpreter runs, which imports nothing of this project but its protocol."""

_ROOT = Path(__file__).parents[2]

N_STARTUP = 5
"""Length of their initial designs, as of the package's own start-up."""


@dataclass(frozen=True)
class Reduced:
    """What is said of one parameter.

    Args:
        n_choices: Of a categorical parameter; `None` for a numeric one.
        mode: Most plausible coordinate or index, `None` for no opinion.
        scale: Standard deviation of a numeric parameter, as a fraction of the range.
        weights: Probabilities of the choices.
    """

    n_choices: int | None
    mode: float | None = None
    scale: float | None = None
    weights: tuple[float, ...] | None = None


def reduced(prior: OptimumPrior, space: SearchSpace) -> list[Reduced]:
    """A density as one normal or one table a parameter: the marginals of its heaviest region.

    The scale of a split normal is the mean of its two.

    Args:
        prior: A mixture; any other density counts as no opinion.
        space: The search space, whose order the list has.
    """
    has_regions = isinstance(prior, MixturePrior) and prior.regions
    marginals = prior.regions[int(torch.argmax(prior.weights))].marginals if has_regions else {}  # type: ignore[attr-defined]
    found = []
    for column in space.columns:
        n_choices = column.n_values if column.kind == "categorical" else None
        marginal = marginals.get(column.name)
        if isinstance(marginal, SplitNormalMarginal):
            scale = (marginal.left_scale + marginal.right_scale) / 2
            found.append(Reduced(None, mode=marginal.mode, scale=scale))
        elif isinstance(marginal, CategoricalMarginal):
            found.append(Reduced(n_choices, mode=marginal.mode, weights=marginal.probabilities))
        else:
            found.append(Reduced(n_choices))
    return found


class ExternalSampler(BaseSampler):
    """An optimiser in a process of its own; it ends with the sampler.

    Args:
        name: A name in `WORKERS`.
        python: The interpreter that has it.
        space: The search space.
        prior: What is believed of the optimum.
        seed: Of the optimiser.
        n_trials: Length of the study, which the decay of SMAC's prior depends on.

    Raises:
        ConfigurationError: When the optimiser cannot be started, or ends before the study does.
    """

    def __init__(
        self, name: str, python: Path, space: SearchSpace, prior: OptimumPrior, *, seed: int, n_trials: int
    ) -> None:
        self._name, self._space = name, space
        self._rest = RandomSampler(seed=seed)
        command = [str(python), "-m", WORKERS[name]]
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=_ROOT)
        except OSError as error:
            raise ConfigurationError(f"Expected an interpreter with {name}, cannot start {python}: {error}.") from None
        parameters = [asdict(parameter) for parameter in reduced(prior, space)]
        self._send({"parameters": parameters, "seed": seed, "n_trials": n_trials, "n_startup": N_STARTUP})

    def infer_relative_search_space(
        self,
        study: Study,  # noqa: ARG002 - Optuna's signature
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        """All parameters."""
        return dict(self._space.distributions)

    def sample_relative(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        """The optimiser's next point."""
        self._send({"ask": trial.number})
        return self._space.decode(self._receive())

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random value, for a parameter that the search space does not have."""
        return self._rest.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,
        state: TrialState,  # noqa: ARG002
        values: Sequence[float] | None,
    ) -> None:
        """Tell the value, `None` if there is none."""
        self._send({"tell": trial.number, "value": None if values is None else values[0]})

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def _receive(self) -> list[float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        point: list[float] = json.loads(line)
        return point

    def _ended(self) -> ConfigurationError:
        return ConfigurationError(
            f"Expected {self._name} to answer, its process has ended; what it wrote to the error output says why. "
            "Install it in the interpreter that is given for it."
        )
