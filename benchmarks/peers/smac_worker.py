"""SMAC3 behind the protocol of `external.py`; needs smac and its ConfigSpace.

SMAC's hyperparameter-optimisation facade (random forest) with its own `PriorAcquisitionFunction` (piBO), `decay_beta` a
tenth of the trials as in SMAC's example. The first trial is the prior's mode, which is SMAC's default configuration;
the other four of the initial design are Sobol points, which the prior has no part in.
"""

from __future__ import annotations

import logging
import math
import tempfile
from typing import Any

from benchmarks.peers.worker_protocol import protocol_streams, serve


class Smac:
    """The optimiser.

    Args:
        first: The protocol's first message.
        folder: Where SMAC writes its files.
    """

    def __init__(self, first: dict[str, Any], folder: str) -> None:
        from smac import HyperparameterOptimizationFacade, Scenario
        from smac.acquisition.function import PriorAcquisitionFunction

        facade = HyperparameterOptimizationFacade
        self._names = [f"x{index:03d}" for index in range(len(first["parameters"]))]
        space = self._space(first["parameters"], first["seed"])
        scenario = Scenario(
            space, n_trials=first["n_trials"], deterministic=True, seed=first["seed"], output_directory=folder
        )
        self._smac = facade(
            scenario,
            _never_called,
            initial_design=_default_first(scenario, n_configs=first["n_startup"]),
            acquisition_function=PriorAcquisitionFunction(
                facade.get_acquisition_function(scenario), decay_beta=first["n_trials"] / 10
            ),
            intensifier=facade.get_intensifier(scenario, max_config_calls=1),
            logging_level=logging.ERROR,
            overwrite=True,
        )
        self._waiting: dict[int, Any] = {}

    def _space(self, parameters: list[dict[str, Any]], seed: int) -> Any:
        from ConfigSpace import (
            CategoricalHyperparameter,
            ConfigurationSpace,
            NormalFloatHyperparameter,
            UniformFloatHyperparameter,
        )

        space = ConfigurationSpace(seed=seed)
        for name, parameter in zip(self._names, parameters, strict=True):
            mode, n_choices = parameter["mode"], parameter["n_choices"]
            if n_choices is not None:
                default = None if mode is None else int(mode)
                space.add(
                    CategoricalHyperparameter(
                        name, list(range(n_choices)), weights=parameter["weights"], default_value=default or 0
                    )
                )
            elif mode is None:
                space.add(UniformFloatHyperparameter(name, 0.0, 1.0))
            else:
                space.add(
                    NormalFloatHyperparameter(
                        name, lower=0.0, upper=1.0, mu=mode, sigma=parameter["scale"], default_value=mode
                    )
                )
        return space

    def ask(self, number: int) -> list[float]:
        """The next point."""
        self._waiting[number] = info = self._smac.ask()
        return [float(info.config[name]) for name in self._names]

    def tell(self, number: int, value: float | None) -> None:
        """The value of a point; a failed trial has none."""
        from smac.runhistory.dataclasses import TrialValue
        from smac.runhistory.enumerations import StatusType

        status = StatusType.CRASHED if value is None else StatusType.SUCCESS
        cost = math.inf if value is None else value
        self._smac.tell(self._waiting.pop(number), TrialValue(cost=cost, status=status))


def _never_called(config: Any, seed: int) -> float:  # noqa: ARG001
    """Stands for the objective, which this side does not have: points are asked for and told."""
    return math.nan


def _default_first(scenario: Any, *, n_configs: int) -> Any:
    """SMAC's Sobol design behind the default configuration, which SMAC itself would put last."""
    from smac.initial_design import SobolInitialDesign

    class DefaultFirst(SobolInitialDesign):  # type: ignore[misc]
        def select_configurations(self) -> Any:
            *others, default = super().select_configurations()
            return [default, *others]

    default = scenario.configspace.get_default_configuration()
    return DefaultFirst(scenario, n_configs=n_configs - 1, max_ratio=1.0, additional_configs=[default])


if __name__ == "__main__":
    streams = protocol_streams()
    with tempfile.TemporaryDirectory() as temporary:
        serve(lambda first: Smac(first, temporary), *streams)
