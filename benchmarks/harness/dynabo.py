"""DynaBO's treatment of a prior, to compare with: it arrives during the study, is tested once, and fades fast."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from llm_prior_bo.decay import PowerDecay
from llm_prior_bo.errors import ConfigurationError, PriorError
from llm_prior_bo.models.surrogate import Surrogate
from llm_prior_bo.optimization.trust import Evidence
from llm_prior_bo.priors import (
    CategoricalMarginal,
    Marginal,
    MixturePrior,
    OptimumPrior,
    RegionPrior,
    SplitNormalMarginal,
    UniformPrior,
)


@dataclass(frozen=True)
class DecayFromArrival:
    """`γ = β / (n - n_arrival + 1)^power`: `β` for the first trial that the prior takes part in.

    That trial is suggested after `n = n_arrival` finished ones. Before it, the exponent is `β`, too.

    Args:
        n_arrival: Finished trials when the prior arrives, at least 0.
        beta: Weight of the prior at its arrival.
        power: How fast the weight falls; 2 is DynaBO.

    Raises:
        ConfigurationError: If an argument is out of its range.
    """

    n_arrival: int
    _: KW_ONLY
    beta: float = 10.0
    power: float = 2.0

    def __post_init__(self) -> None:
        if self.n_arrival < 0:
            raise ConfigurationError(f"Expected n_arrival >= 0, got {self.n_arrival}.")
        self(self.n_arrival)  # `PowerDecay` checks the others

    def __call__(self, n: int) -> float:
        """The exponent after `n` trials."""
        return PowerDecay(beta=self.beta, power=self.power)(n - self.n_arrival + 1)


@dataclass
class AcceptanceTest:
    """Accept an injected prior, or drop it for good, when it first meets a surrogate.

    The test of DynaBO (Fehring et al., "Dynamic Priors in Bayesian Optimization for Hyperparameter Optimization",
    arXiv 2511.02570), written from the paper and read against its published code. Draw points from the prior and as
    many from a density of the same width round the incumbent; accept if and only if

        mean a(prior's draws) - mean a(incumbent's draws) > threshold

    The gate holds the prior itself, because DynaBO's arrives during the study: give the sampler a `UniformPrior`, so
    that its first trials know nothing of the injected one. What the sampler hands to `reweight` is not looked at.

    **Sign.** DynaBO minimises a cost `c` and computes `a` with SMAC's class `LCB`, which returns the *negated* lower
    confidence bound, `a = -(m - sqrt(b) s)` for a posterior `N(m, s²)` of the cost, because SMAC maximises acquisition
    functions. So a large `a` is a promising place, and -0.15 lets a prior pass that looks a little worse than the
    incumbent's surroundings. The surrogate here models `y = -c` (standardised, to be maximised) with posterior
    `N(μ, σ²)`, hence `μ = -m`, `σ = s` and `a = μ + sqrt(b) σ`: the upper confidence bound of `y`. The inequality stays
    as it is. `b = 2 log(d t²)` with `d` parameters and `t` finished trials, as in SMAC.

    **Kept.** The initial design does not come from the prior. The prior arrives after it, is tested once there, with
    this inequality and threshold, and is then used as it is or never. Its exponent falls with the square of the trials
    since its arrival, and the search for the acquisition's maximum also starts from its draws. A prior that was
    dropped leaves the plain method.

    **Different.** One prior arrives, right after the start-up; the published code injects the first one a trial later,
    since SMAC has no model before, and further ones from time to time, each tested on its own. Surrogate, acquisition
    function and its maximisation are this package's, not SMAC's. `y` is standardised with bad outliers compressed,
    where DynaBO takes the cost in its model's own unit, in which a fixed threshold means something else for every
    objective. A prior here may have several regions: the comparison density has the same regions and weights, all moved
    to the incumbent; both are drawn from without their uniform part, which is the floor of the density instead of
    DynaBO's 1e-12. DynaBO's categorical parameters take one choice for certain; here the incumbent's choice takes the
    probability of the region's favourite. The published scripts draw 500 points instead of 100.

    Unlike `TrustGate` asks, the decision is remembered: that is the method. So a gate belongs to one study and one
    process. A prior without an opinion is never decided on.

    Args:
        prior: The injected prior.
        seed: Seed of the draws.
        threshold: The `τ` of DynaBO.
        n_draws: Draws from each of the two densities.

    Attributes:
        accepted: The decision, `None` while there is none.
        difference: The left side of the inequality, `None` likewise.

    Raises:
        PriorError: If the prior is neither a mixture nor uniform.
        ConfigurationError: If there are no draws.
    """

    prior: OptimumPrior
    seed: int
    _: KW_ONLY
    threshold: float = -0.15
    n_draws: int = 100
    accepted: bool | None = field(default=None, init=False)
    difference: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.prior, MixturePrior | UniformPrior):
            raise PriorError(
                f"Expected a MixturePrior or a UniformPrior, got {type(self.prior).__name__}; regions have to be moved."
            )
        if self.n_draws < 1:
            raise ConfigurationError(f"Expected at least one draw, got n_draws={self.n_draws}.")

    def reweight(
        self,
        prior: OptimumPrior,  # noqa: ARG002 - the sampler's, which has no opinion
        surrogate: Surrogate,
        *,
        reference: Surrogate | None = None,  # noqa: ARG002 - the test compares with the incumbent
        seed: int = 0,  # noqa: ARG002 - one decision, one seed
    ) -> Evidence:
        """The injected prior if it was accepted, which is decided at the first call, else no opinion.

        Args:
            prior: Not used.
            surrogate: The model of one objective fitted to all finished trials.
            reference: Not used.
            seed: Not used.

        Returns:
            The injected prior with trust 1, or a `UniformPrior` with trust 0; trust `None` where the injected prior has
            no opinion.

        Raises:
            ConfigurationError: If the study has several objectives.
        """
        if not isinstance(self.prior, MixturePrior) or not bool(self.prior.weights.any()):
            return Evidence(prior=self.prior)
        if self.accepted is None:
            self.difference = self._difference(self.prior, surrogate)
            self.accepted = self.difference > self.threshold
        weights = self.prior.weights / self.prior.weights.sum() * float(self.accepted)
        return Evidence(
            prior=self.prior if self.accepted else UniformPrior(self.prior.space),
            trust=float(self.accepted),
            region_weights=tuple(weights.tolist()),
        )

    def _difference(self, prior: MixturePrior, surrogate: Surrogate) -> float:
        if surrogate.n_objectives != 1:
            raise ConfigurationError(
                f"Expected one objective, got {surrogate.n_objectives}; the acceptance test knows no others."
            )
        generator = torch.Generator().manual_seed(self.seed)
        incumbent = surrogate.X[int(surrogate.Y[:, 0].argmax())]
        densities = (prior.with_weights(prior.weights, 0.0), _moved(prior, incumbent))
        draws = [density.sample(self.n_draws, generator=generator) for density in densities]
        of_prior, of_incumbent = (float(_confidence_bound(surrogate, X).mean()) for X in draws)
        return of_prior - of_incumbent


def _confidence_bound(surrogate: Surrogate, X: Tensor) -> Tensor:
    """Upper confidence bound of the objective: points `n x d` to `n`."""
    n_trials, dim = surrogate.X.shape
    b = 2.0 * math.log(dim * n_trials**2)
    with torch.no_grad():
        posterior: Any = surrogate.model.posterior(X)  # of a class with moments, which the base class lacks
        # n x outputs -> n, the objective is the first
        mean: Tensor = posterior.mean[:, 0]
        variance: Tensor = posterior.variance[:, 0]
    return mean + math.sqrt(b) * variance.clamp_min(0.0).sqrt()


def _moved(prior: MixturePrior, x: Tensor) -> MixturePrior:
    """The regions of a prior with their modes at a point `d`, without the uniform part."""
    regions = []
    for region in prior.regions:
        marginals = {name: _recentred(m, float(x[prior.space.index(name)])) for name, m in region.marginals.items()}
        regions.append(RegionPrior(prior.space, marginals, correlations=region.correlations, label=region.label))
    return MixturePrior(prior.space, regions, prior.weights, 0.0)


def _recentred(marginal: Marginal, u: float) -> Marginal:
    """A marginal of the same width with its mode at a coordinate."""
    if isinstance(marginal, SplitNormalMarginal):
        return replace(marginal, mode_unit=u)
    if isinstance(marginal, CategoricalMarginal):
        table = list(marginal.probabilities)
        favourite, chosen = int(marginal.mode), int(u)
        table[favourite], table[chosen] = table[chosen], table[favourite]
        return replace(marginal, probabilities=tuple(table))
    raise PriorError(f"Expected a split normal or a table, got {type(marginal).__name__}; it cannot be moved.")
