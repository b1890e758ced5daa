from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr
from scipy.stats import norm

from llm_prior_bo.models.normal_cdf import log_cdf_slope, log_density

POINTS = np.array([-30.0, -5.0, -1.0, 0.0, 0.5, 3.0, 9.0])


def test_density_is_scipys() -> None:
    np.testing.assert_allclose(log_density(POINTS), norm.logpdf(POINTS), rtol=1e-14)


def test_slope_is_the_difference_quotient() -> None:
    h = 1e-6
    quotient = (log_ndtr(POINTS + h) - log_ndtr(POINTS - h)) / (2.0 * h)
    np.testing.assert_allclose(log_cdf_slope(POINTS), quotient, rtol=1e-6, atol=1e-12)


def test_slope_far_below_is_the_distance() -> None:
    # The distribution function falls as the density over the distance: the slope tends to |u| + 1 / |u|.
    np.testing.assert_allclose(log_cdf_slope(np.array([-1e3])), [1e3 + 1e-3], rtol=1e-6)
