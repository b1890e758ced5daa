"""A small objective over floats, integers and choices that depend on each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

DISTRIBUTIONS: Mapping[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-5, 1.0, log=True),
    "dropout": FloatDistribution(0.0, 1.0),
    "depth": IntDistribution(1, 8),
    "units": IntDistribution(8, 512, log=True),
    "optimizer": CategoricalDistribution(["sgd", "adam", "rmsprop"]),
    "scaling": CategoricalDistribution(["none", "standard", "robust"]),
}

OPTIMUM: Mapping[str, Any] = {
    "rate": 1e-3,
    "dropout": 0.35,
    "depth": 3,
    "units": 32,
    "optimizer": "adam",
    "scaling": "standard",
}
"""The only point with the value 0."""

_BEST_LOG_RATE = {"sgd": -0.5, "adam": -3.0, "rmsprop": -2.0}
_BEST_DROPOUT = {"none": 0.7, "standard": 0.35, "robust": 0.5}
_OFFSET = {
    ("sgd", "none"): 3.0,
    ("sgd", "standard"): 2.4,
    ("sgd", "robust"): 1.2,
    ("adam", "none"): 2.7,
    ("adam", "standard"): 0.0,
    ("adam", "robust"): 0.9,
    ("rmsprop", "none"): 0.6,
    ("rmsprop", "standard"): 2.1,
    ("rmsprop", "robust"): 1.8,
}


def mixed(params: Mapping[str, Any]) -> float:
    """The value to be minimised, at least 0.

    The best rate depends on the optimizer and the depth, the best dropout on the scaling and the depth, the best number
    of units on the depth; the choices come in good and bad pairs. So no parameter can be tuned on its own:

        (log10 rate - r)² + 8 (dropout - q)² + (log2 units + depth - 8)² / 10 + (depth - 3)² / 20 + offset

    with `r = r_optimizer - 0.15 (depth - 3)` and `q = q_scaling + 0.05 (depth - 3)`, both always within their ranges.

    Args:
        params: A legal value for every name in `DISTRIBUTIONS`.
    """
    deeper = params["depth"] - OPTIMUM["depth"]
    rate_error = math.log10(params["rate"]) - (_BEST_LOG_RATE[params["optimizer"]] - 0.15 * deeper)
    dropout_error = params["dropout"] - (_BEST_DROPOUT[params["scaling"]] + 0.05 * deeper)
    capacity_error = math.log2(params["units"]) + params["depth"] - 8.0
    offset = _OFFSET[params["optimizer"], params["scaling"]]
    return float(rate_error**2 + 8.0 * dropout_error**2 + capacity_error**2 / 10.0 + deeper**2 / 20.0 + offset)
