"""Densities over where the optimum is, relative to uniform."""

from llm_prior_bo.priors.base import OptimumPrior
from llm_prior_bo.priors.copula import GaussianCopula, nearest_correlation_matrix
from llm_prior_bo.priors.marginals import CategoricalMarginal, Marginal, SplitNormalMarginal
from llm_prior_bo.priors.mixture import MixturePrior, pool_priors
from llm_prior_bo.priors.region import RegionPrior
from llm_prior_bo.priors.tempered_mixture import TemperedMixture
from llm_prior_bo.priors.uniform import UniformPrior

__all__ = [
    "CategoricalMarginal",
    "GaussianCopula",
    "Marginal",
    "MixturePrior",
    "OptimumPrior",
    "RegionPrior",
    "SplitNormalMarginal",
    "TemperedMixture",
    "UniformPrior",
    "nearest_correlation_matrix",
    "pool_priors",
]
