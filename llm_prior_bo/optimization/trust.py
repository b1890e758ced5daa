"""Trust: how much of a prior the evidence leaves standing, asked anew at every suggestion.

The weights of a mixture prior are a Bayesian model comparison. Hypothesis `k` says that the optimum lies in region `k`,
hypothesis 0 says nothing. With `p_n` the surrogate's distribution of the optimum given the data, and `p_0` the same
before the data, the Bayes factor of region `k` against uniform is

    B_k = E_{x* ~ p_n}[π_k(x*)] / E_{x* ~ p_0}[π_k(x*)]

and the weights after the data are proportional to `w_k B_k` and `w_0`. Nothing is remembered from one suggestion to
the next, so a region that was distrusted early comes back as soon as the surrogate's opinion does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from botorch.models.model import Model
from torch import Tensor

from llm_prior_bo.acquisition.optimize import NEAR_SCALES
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.models.optimum_posterior import OptimumPosterior, optimum_posterior
from llm_prior_bo.models.surrogate import Surrogate
from llm_prior_bo.priors import MixturePrior, OptimumPrior, TemperedMixture, UniformPrior
from llm_prior_bo.priors.base import space_of
from llm_prior_bo.space import SearchSpace

_LARGEST_LOG_FACTOR = 300.0
"""Beyond it, weights times Bayes factors would overflow or vanish."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a trust gate found, and the prior to use now."""

    prior: OptimumPrior
    """The density that the evidence leaves."""
    trust: float | None = None
    """Probability that the optimum is in one of the regions, `1 - w_0`; `None` where there was nothing to weigh."""
    region_weights: tuple[float, ...] = ()
    """Weights of the regions given the evidence, `K`; they sum to `trust`."""
    bayes_factors: tuple[float, ...] = ()
    """Bayes factor of every region against uniform, `K`."""
    trust_ratio: float = 1.0
    """Share of the trust before the evidence that is left, at most 1."""

    def details(self) -> dict[str, Any]:
        """The numbers, as JSON-able values; empty where there was nothing to weigh."""
        if self.trust is None:
            return {}
        return {
            "trust": self.trust,
            "region_weights": list(self.region_weights),
            "bayes_factors": list(self.bayes_factors),
        }


@runtime_checkable
class TrustGate(Protocol):
    """Turns a prior into the one that the evidence so far supports."""

    def reweight(
        self, prior: OptimumPrior, surrogate: Surrogate, *, reference: Surrogate | None = None, seed: int = 0
    ) -> Evidence:
        """Weigh a prior against the evidence. Asked at every suggestion; must not remember a rejection.

        Args:
            prior: The elicited density.
            surrogate: The model fitted to all finished trials.
            reference: The same model given only the trials that whoever wrote the prior had seen; `None`: none of
                them. What it knew is no evidence for its answer.
            seed: Seed of all randomness.

        Returns:
            The evidence, with the density to use for the next suggestion.
        """
        ...


@dataclass(frozen=True, slots=True)
class EvidenceTrust:
    """Bayes factors of every region from the surrogate's own posterior over the optimum.

    Functions are drawn from the surrogate and from its kernel prior on one set of candidates, and the place of their
    optimum is compared with the regions. The regions are looked at with a limited `resolution`, since a surrogate
    cannot tell a region of one per cent of the range from its surroundings, and their densities are cut at
    `density_cap`, since in many dimensions a handful of draws would decide otherwise.

    With several objectives the optimum is the set of Pareto points of a draw, with constraints it is feasible in that
    draw. A prior that is not a `MixturePrior` counts as one region.

    Args:
        n_draws: Functions drawn. The smallest Bayes factor that can be told from zero is of the order `1 / n_draws`.
        n_candidates: Points that may be the optimum: half of them uniform, a quarter from the regions, a quarter near
            the incumbents.
        temperature: Bayes factors are taken to the power `1 / temperature`; above 1 the surrogate is trusted less.
        resolution: Smallest scale at which a region is looked at, a fraction of the range.
        density_cap: Relative densities are cut smoothly at this value.
        baseline: `model` divides by the distribution of the optimum under the kernel prior, which crowds the edges of
            the space. `uniform` divides by the mean over the uniform candidates instead, for ablations. Right priors
            then kept a little more trust and wrong ones lost it a little later (docs/measurements.md).
        initial_trust: Trust before the evidence in a prior that is not a `MixturePrior`, which states its own.

    Raises:
        ConfigurationError: If an argument is out of its range.
    """

    n_draws: int = 128
    n_candidates: int = 256
    temperature: float = 1.0
    resolution: float = 0.1
    density_cap: float = 20.0
    baseline: Literal["model", "uniform"] = "model"
    initial_trust: float = 0.9

    def __post_init__(self) -> None:
        for name, least in (("n_draws", 1), ("n_candidates", 8)):
            count = getattr(self, name)
            if not isinstance(count, int | np.integer) or count < least:
                raise ConfigurationError(f"Expected {name} to be a whole number >= {least}, got {count!r}.")
        for name in ("temperature", "density_cap"):
            if not getattr(self, name) > 0.0:
                raise ConfigurationError(f"Expected {name} > 0, got {getattr(self, name)}.")
        if not (math.isfinite(self.resolution) and self.resolution >= 0.0):
            raise ConfigurationError(f"Expected a finite resolution >= 0, got {self.resolution}.")
        if not 0.0 <= self.initial_trust <= 1.0:
            raise ConfigurationError(f"Expected an initial_trust in [0, 1], got {self.initial_trust}.")
        if self.baseline not in ("model", "uniform"):
            raise ConfigurationError(f"Expected the baseline 'model' or 'uniform', got {self.baseline!r}.")

    def reweight(
        self, prior: OptimumPrior, surrogate: Surrogate, *, reference: Surrogate | None = None, seed: int = 0
    ) -> Evidence:
        """Weigh a prior against the trials of a study; see `TrustGate.reweight`.

        While all trials came out alike there is no evidence: a surrogate of a constant prefers any place that it has
        not seen, so it would distrust the region that it was shown.
        """
        if bool((surrogate.Y[:1] == surrogate.Y).all()) and not surrogate.constraints.shape[-1]:
            return Evidence(prior=prior)
        return self.reweight_model(
            prior,
            surrogate.model,
            incumbents=surrogate.incumbents(5),
            reference=None if reference is None else reference.model,
            n_constraints=surrogate.constraints.shape[-1],
            space=surrogate.space,
            seed=seed,
        )

    def reweight_model(
        self,
        prior: OptimumPrior,
        model: Model,
        *,
        incumbents: Tensor | None = None,
        reference: Model | None = None,
        n_constraints: int = 0,
        space: SearchSpace | None = None,
        seed: int = 0,
    ) -> Evidence:
        """Weigh a prior against any BoTorch model; no Optuna study needed.

        Args:
            prior: A density over the model's inputs.
            model: Its outputs are objectives to be maximised, then constraints, feasible where `<= 0`.
            incumbents: The best points so far, `k x d`; candidates are placed near them too.
            reference: The model before the evidence, see `optimum_posterior`.
            n_constraints: How many of the outputs are constraints.
            space: The space that the prior's columns belong to; `None`: the prior's own, else the unit cube.
            seed: Seed of all randomness.

        Returns:
            The evidence. For a prior without an opinion the prior itself and nothing else.

        Raises:
            ConfigurationError: See `optimum_posterior`.
        """
        if prior.is_uniform:
            return Evidence(prior=prior)
        space = space or space_of(prior)
        generator = torch.Generator().manual_seed(seed)
        regions = self._regions(prior)
        candidates = self._candidates(regions, space, incumbents, generator)
        posterior = optimum_posterior(
            model,
            candidates,
            n_draws=self.n_draws,
            generator=generator,
            reference=reference,
            n_constraints=n_constraints,
        )
        factors = self._bayes_factors(regions, posterior)
        return self._evidence(prior, factors, space)

    def _candidates(
        self, regions: OptimumPrior, space: SearchSpace, incumbents: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """Points that may be the optimum, `n_candidates x d`; the first half is uniform."""
        near = torch.empty(0, regions.dim, dtype=torch.float64) if incumbents is None else incumbents
        n_near = self.n_candidates // 4 if len(near) else 0
        n_prior = self.n_candidates // 4
        parts = [
            UniformPrior(space).stratified_sample(self.n_candidates - n_prior - n_near, generator=generator),
            regions.sample(n_prior, generator=generator),
        ]
        if n_near:
            parts.append(_scattered(near, space, n_near, generator))
        return torch.cat(parts)

    def _regions(self, prior: OptimumPrior) -> OptimumPrior:
        """The regions at the gate's resolution, equally likely, without the uniform part."""
        if not isinstance(prior, MixturePrior):
            return prior
        return prior.widened(self.resolution).with_weights([1.0] * len(prior.regions), 0.0)

    def _bayes_factors(self, regions: OptimumPrior, posterior: OptimumPosterior) -> Tensor:
        """Bayes factor of every region against uniform, `K`."""
        X = posterior.candidates
        log_density = (
            regions.component_log_prob(X) if isinstance(regions, MixturePrior) else regions.log_prob(X).unsqueeze(-1)
        )
        # min(density, cap), smoothly: density / (1 + density / cap).
        density = torch.exp(log_density - torch.nn.functional.softplus(log_density - math.log(self.density_cap)))
        before = posterior.reference
        if self.baseline == "uniform":
            n_uniform = self.n_candidates // 2
            before = (torch.arange(len(X)) < n_uniform).double() / n_uniform
        # Where neither draws nor prior draws meet a region there is no evidence: the factor is 1.
        resolution = 1e-3 / self.n_draws
        log_factors = torch.log((posterior.probabilities @ density + resolution) / (before @ density + resolution))
        return torch.exp((log_factors / self.temperature).clamp(-_LARGEST_LOG_FACTOR, _LARGEST_LOG_FACTOR))

    def _evidence(self, prior: OptimumPrior, factors: Tensor, space: SearchSpace) -> Evidence:
        if isinstance(prior, MixturePrior):
            weighed = prior.with_weights((prior.weights * factors).tolist(), prior.uniform_weight)
            weights = weighed.weights.tolist()
            ratio = _trust_ratio(sum(weights), float(prior.weights.sum()))
            return Evidence(weighed, sum(weights), tuple(weights), tuple(factors.tolist()), ratio)
        odds = self.initial_trust * float(factors[0])
        trust = odds / (odds + (1.0 - self.initial_trust))
        discounted = TemperedMixture(prior, trust, uniform=UniformPrior(space))
        ratio = _trust_ratio(trust, self.initial_trust)
        return Evidence(discounted, trust, (trust,), tuple(factors.tolist()), ratio)


def _trust_ratio(after: float, before: float) -> float:
    """How much of a trust is left; all of it if there was none."""
    return min(1.0, after / before) if before > 0.0 else 1.0


def _scattered(centres: Tensor, space: SearchSpace, n: int, generator: torch.Generator) -> Tensor:
    """The centres and points round them at several distances, `n x d`; choices are kept."""
    repeats = -(-n // len(centres))
    X = centres.repeat(repeats, 1)[:n]
    scales = torch.tensor(NEAR_SCALES, dtype=torch.float64).repeat_interleave(len(centres)).repeat(repeats)[:n]
    steps = torch.randn(X.shape, generator=generator, dtype=torch.float64) * scales.unsqueeze(-1)
    steps[: len(centres)] = 0.0
    return torch.as_tensor(space.displaced(X.numpy(), steps.numpy()))
