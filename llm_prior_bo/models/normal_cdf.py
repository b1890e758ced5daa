"""The log of the standard normal distribution function, with its derivative."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import log_ndtr

from llm_prior_bo.space import FloatArray

_LOG_ROOT_2PI = 0.5 * math.log(2.0 * math.pi)


def log_density(u: FloatArray) -> FloatArray:
    """Log density, log φ."""
    value: FloatArray = -0.5 * np.square(u) - _LOG_ROOT_2PI
    return value


def log_cdf_slope(u: FloatArray) -> FloatArray:
    """Derivative of log Φ: the density over the distribution function, the inverse Mills ratio."""
    slope: FloatArray = np.exp(log_density(u) - log_ndtr(u))
    return slope
