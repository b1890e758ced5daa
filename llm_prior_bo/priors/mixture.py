"""Mixture of regions with a uniform floor: the prior that an answer turns into."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from llm_prior_bo._cached_property import cached_property
from llm_prior_bo._display import Displayed, TextTable
from llm_prior_bo.errors import ConfigurationError, PriorError
from llm_prior_bo.priors._copula_gradient import CopulaGradient
from llm_prior_bo.priors._product import ProductEvaluator
from llm_prior_bo.priors.base import (
    OptimumPrior,
    Points,
    as_points,
    check_count,
    check_points,
    device_of,
    generator_or_fresh,
    sobol_variates,
    uniform_variates,
)
from llm_prior_bo.priors.region import RegionPrior
from llm_prior_bo.priors.uniform import UniformPrior, centre, uniform_points
from llm_prior_bo.space import FloatArray, SearchSpace

MIN_UNIFORM_WEIGHT = 0.05
"""Least weight of the uniform component of a prior that is built from somebody's belief, however sure they are."""


def uniform_weight_for(confidence: float) -> float:
    """Weight of the uniform component of a prior that holds with a probability, at least `MIN_UNIFORM_WEIGHT`.

    Raises:
        ConfigurationError: If the confidence is no probability.
    """
    if not 0.0 <= confidence <= 1.0:
        raise ConfigurationError(f"Expected confidence in [0, 1], got {confidence!r}; 0.8 is the default.")
    return max(1.0 - confidence, MIN_UNIFORM_WEIGHT)


class MixturePrior(Displayed, OptimumPrior):
    r"""`pi(x) = sum_k w_k pi_k(x) + w_0`, relative to uniform.

    The floor `w_0` is on the joint density, so `log_prob >= log(w_0)` everywhere, whatever the dimension.

    Args:
        space: The search space.
        regions: The `K` regions; there may be none.
        weights: Weights of the regions, `K` non-negative numbers.
        uniform_weight: Weight of the uniform component. All `K + 1` weights are relative: they are normalised
            together to sum to one. Zero is allowed, but then nothing bounds the density from below.

    Raises:
        PriorError: If the weights do not fit the regions, are negative, not finite or all zero, or a region belongs
            to another space.
    """

    def __init__(
        self,
        space: SearchSpace,
        regions: Sequence[RegionPrior],
        weights: Sequence[float] | Tensor,
        uniform_weight: float,
    ) -> None:
        self.space = space
        self.regions = tuple(regions)
        strangers = [region.label for region in self.regions if region.space != space]
        if strangers:
            raise PriorError(f"Expected regions over {space!r}, got {strangers} over another space; build them anew.")
        self._set_weights(weights, uniform_weight)
        self._coarser: dict[float, MixturePrior] = {}  # shared with the copies that differ in weights only
        self._product = ProductEvaluator(space, [region.marginals for region in self.regions])
        self._coupling = CopulaGradient(
            [region.copula for region in self.regions], [region.coupled_dims for region in self.regions]
        )

    def _set_weights(self, weights: Sequence[float] | Tensor, uniform_weight: float) -> None:
        w = np.asarray([*torch.as_tensor(weights, dtype=torch.float64, device="cpu").tolist(), float(uniform_weight)])
        if len(w) != len(self.regions) + 1:
            raise PriorError(f"Expected {len(self.regions)} weights, one a region, got {len(w) - 1}.")
        if not np.isfinite(w).all() or (w < 0.0).any() or not w.any():
            raise PriorError(
                f"Expected finite non-negative weights, not all zero, got {w[:-1].tolist()} and the uniform weight "
                f"{uniform_weight}."
            )
        w = w / w.max()  # first, so that the sum cannot overflow
        self._all_weights = torch.from_numpy(w / w.sum())  # K + 1, the uniform component last

    def _display(self) -> TextTable:
        anchors: Sequence[Tensor] = list(self.anchors()) if self.regions else []
        rows = [
            (region.label, weight, self._best_point(region, x))
            for region, weight, x in zip(self.regions, self.weights.tolist(), anchors, strict=True)
        ]
        return TextTable.of(
            f"Mixture over {', '.join(self.space.names)}",
            ("region", "weight", "best point"),
            [*rows, ("uniform", self.uniform_weight, None)],
        )

    def _best_point(self, region: RegionPrior, x: Tensor) -> str:
        """The values of the parameters on which a region has an opinion."""
        values = self.space.decode(x)
        return ", ".join(f"{name} {_short(values[name])}" for name in self.space.names if name in region.marginals)

    @property
    def dim(self) -> int:
        """Number of columns `d`."""
        return len(self.space)

    @property
    def weights(self) -> Tensor:
        """Normalised weights of the regions, `K`."""
        return self._all_weights[:-1].clone()

    @property
    def uniform_weight(self) -> float:
        """Normalised weight `w_0` of the uniform component."""
        return float(self._all_weights[-1])

    @property
    def log_range(self) -> float:
        """`log(sum_k w_k max pi_k + w_0) - log(w_0)`: an upper bound on the spread of `log_prob`.

        `RegionPrior.max_log_prob` says how exact it is. Infinite if `w_0` is zero while there are regions.
        """
        if not self.regions:
            return 0.0
        if self.uniform_weight == 0.0:
            return math.inf
        largest = torch.from_numpy(np.array([*(region.max_log_prob for region in self.regions), 0.0]))
        return float(torch.logsumexp(largest + self._log_weights, dim=0)) - math.log(self.uniform_weight)

    @property
    def is_uniform(self) -> bool:
        """Whether no region with a weight says anything."""
        weights = self.weights.tolist()
        return not any(w > 0.0 and region.marginals for w, region in zip(weights, self.regions, strict=True))

    @property
    def _log_weights(self) -> Tensor:
        return torch.log(self._all_weights)

    def component_log_prob(self, X: Points) -> Tensor:
        """Log density of every region, without weights.

        Args:
            X: Encoded points, `batch_shape x d`.

        Returns:
            `batch_shape x K`, float64.

        Raises:
            PriorError: If the last dimension is not `d`.
        """
        return self._components(as_points(X, self.dim)).to(device_of(X))

    def _components(self, points: Tensor) -> Tensor:
        independent = self._product(points)  # batch_shape x K
        if all(region.copula is None for region in self.regions):
            return independent
        return independent + torch.stack([region.log_coupling(points) for region in self.regions], dim=-1)

    def _weighted_components(self, X: Points) -> Tensor:
        points = as_points(X, self.dim)
        # Relative density 1 of the uniform component, kept in the graph of X for regions without continuous opinions.
        uniform = (points * 0.0).sum(dim=-1, keepdim=True)
        return torch.cat([self._components(points), uniform], dim=-1) + self._log_weights  # batch_shape x K + 1

    def log_prob(self, X: Points) -> Tensor:
        """Log density relative to uniform, at least `log(uniform_weight)`.

        Args:
            X: Encoded points, `batch_shape x d`, of any float type.

        Returns:
            `batch_shape`, float64, differentiable in the continuous columns.

        Raises:
            PriorError: If the last dimension is not `d`.
        """
        return torch.logsumexp(self._weighted_components(X), dim=-1).to(device_of(X))

    def value(self, X: FloatArray) -> FloatArray:
        """Log density in NumPy, encoded points `n x d` to `n`; the fast path of `log_prob`."""
        components = self._product.value(check_points(X, self.dim))  # n x K
        if not self._coupling.is_trivial:
            components += self._coupling.value(X)
        return self._log_sum(components)[0]

    def value_and_gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log density and its gradient in NumPy, `n x d` to `n` and `n x d`; 0 in grids and choices."""
        components, gradients = self._product.value_and_gradient(check_points(X, self.dim))  # n x K, n x K x d
        if not self._coupling.is_trivial:
            value, gradient = self._coupling.value_and_gradient(X)
            components += value
            gradients += gradient
        log_density, shares = self._log_sum(components)
        return log_density, np.einsum("nk,nkd->nd", shares, gradients)

    def _log_sum(self, components: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log density `n` and shares of the regions in it `n x K`, from the regions' log densities `n x K`."""
        log_weights = self._log_weights.numpy()
        weighted = components + log_weights[:-1]
        largest = weighted.max(axis=1, initial=log_weights[-1], keepdims=True)  # of the uniform component as well
        scaled = np.exp(weighted - largest)  # n x K
        total = scaled.sum(axis=1, keepdims=True) + np.exp(log_weights[-1] - largest)
        return (np.log(total) + largest)[:, 0], scaled / total

    def responsibilities(self, X: Points) -> Tensor:
        """Probability of every component given that the optimum is at the point.

        Args:
            X: Encoded points, `batch_shape x d`.

        Returns:
            `batch_shape x (K + 1)`, the uniform component last; sums to one.
        """
        return torch.softmax(self._weighted_components(X), dim=-1).to(device_of(X))

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Independent exact draws: a component, then a point of it.

        Args:
            n: Number of draws.
            generator: Source of randomness; `None` seeds a fresh one from the operating system.

        Returns:
            Legal encoded points, `n x d`.
        """
        V = uniform_variates(check_count(n), self.dim + 1, generator_or_fresh(generator))
        return self._transport(V[:, 0], V[:, 1:])

    def stratified_sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draws for start-up trials: scrambled Sobol points, every component met in proportion to its weight.

        The first Sobol coordinate picks the component by systematic resampling (its rank, shifted by one random
        offset), so a component of weight `w` gets `n * w` draws, rounded up or down. Each point on its own has the
        distribution of `sample`.

        Args:
            n: Number of draws.
            generator: Source of randomness, as in `sample`.

        Returns:
            Legal encoded points, `n x d`.
        """
        generator = generator_or_fresh(generator)
        V = sobol_variates(check_count(n), self.dim + 1, generator)
        offset = uniform_variates(1, 1, generator)[0, 0]
        rank = torch.argsort(torch.argsort(V[:, 0])).to(torch.float64)
        return self._transport((rank + offset) / max(n, 1), V[:, 1:])

    def _transport(self, v: Tensor, V: Tensor) -> Tensor:
        """Variates `n` (component) and `n x d` (columns) to legal points `n x d`."""
        component = torch.searchsorted(self._all_weights.cumsum(0)[:-1].contiguous(), v.contiguous(), right=True)
        X = uniform_points(self.space, V)
        for k, region in enumerate(self.regions):
            rows = component == k
            if bool(rows.any()):
                X[rows] = region.transport(V[rows])
        return X

    @cached_property
    def _anchors(self) -> Tensor:
        anchors = centre(self.space).repeat(len(self.regions), 1)
        # Light regions first, so that the heaviest one with an opinion is the last to fill in; then each its own.
        for k in torch.argsort(self._all_weights[:-1], stable=True, descending=True).flip(0).tolist():
            for name, value in self.regions[k].best.items():
                anchors[:, self.space.index(name)] = value
        for k, region in enumerate(self.regions):
            for name, value in region.best.items():
                anchors[k, self.space.index(name)] = value
        return anchors

    def anchors(self) -> Tensor:
        """The best point of every region (`RegionPrior.best`), `K x d`, legal.

        Where a region has no opinion on a parameter, its anchor takes the value of the heaviest region that has one,
        else the centre of the range (the first choice of a categorical parameter).
        """
        return self._anchors.clone()

    def mode(self) -> Tensor:
        """The anchor with the largest `log_prob`, `d`; the centre of the space if there is no region.

        This is the best of the regions' own best points, not a numerical maximum of the mixture.
        """
        if not self.regions:
            return centre(self.space)
        return self._anchors[int(self.log_prob(self._anchors).argmax())].clone()

    def with_weights(self, weights: Sequence[float] | Tensor, uniform_weight: float) -> MixturePrior:
        """The same regions under other weights; nothing is computed anew.

        Args:
            weights: Weights of the regions, `K`, relative as in the constructor.
            uniform_weight: Weight of the uniform component.

        Returns:
            A new prior.

        Raises:
            PriorError: As the constructor.
        """
        other = copy.copy(self)
        other.__dict__.pop("_anchors", None)  # they depend on which region is heaviest
        other._set_weights(weights, uniform_weight)
        return other

    def tempered(self, temperature: float) -> MixturePrior:
        """Every region flattened (`temperature > 1`) or sharpened, the weights kept; exactly normalised again.

        Raises:
            PriorError: If the temperature is not positive and finite.
        """
        regions = [region.tempered(temperature) for region in self.regions]
        # Weights that are normalised already are not touched again, so that temperature 1 changes no bit.
        tempered = MixturePrior(self.space, regions, self.weights, self.uniform_weight)
        tempered._all_weights = self._all_weights
        return tempered

    def widened(self, min_scale: float) -> MixturePrior:
        """Every region at a coarser resolution (`RegionPrior.widened`), the weights kept; built once."""
        if min_scale not in self._coarser:
            regions = [region.widened(min_scale) for region in self.regions]
            self._coarser[min_scale] = MixturePrior(self.space, regions, self.weights, self.uniform_weight)
        return self._coarser[min_scale].with_weights(self.weights, self.uniform_weight)

    def named(self, name: str) -> MixturePrior:
        """The same density, its regions' labels with a name before them: `name: label`."""
        regions = [
            region.labelled(f"{name}: {region.label or f'region {k + 1}'}") for k, region in enumerate(self.regions)
        ]
        return MixturePrior(self.space, regions, self.weights, self.uniform_weight)

    def restricted(self, space: SearchSpace) -> MixturePrior:
        """The density of some of the parameters, the others integrated out.

        Of correlated parameters that leaves their part of the copula, which is exact where those left out come later in
        the space, else to a few thousandths of probability: the copula is built column by column.

        Args:
            space: The parameters. One that this prior's space has not, or has with another range, is no opinion.
        """
        regions = []
        for region in self.regions:
            kept = {
                name: marginal
                for name, marginal in region.marginals.items()
                if name in space.names and marginal.column == space.column(name)
            }
            pairs = {pair: rho for pair, rho in region.correlations.items() if set(pair) <= kept.keys()}
            regions.append(RegionPrior(space, kept, correlations=pairs, label=region.label))
        return MixturePrior(space, regions, self.weights, self.uniform_weight)

    def __repr__(self) -> str:
        weights = [round(weight, 4) for weight in self.weights.tolist()]
        return f"MixturePrior({list(self.regions)}, weights={weights}, uniform_weight={self.uniform_weight:.4f})"


def pool_priors(
    priors: Sequence[OptimumPrior], *, weights: Sequence[float] | None = None, names: Sequence[str] | None = None
) -> MixturePrior:
    """Linear opinion pool: the weighted mean of several densities.

    A linear pool keeps every mode that one of the priors has; a product would sharpen instead, and answers of language
    models are over-confident already.

    Args:
        priors: `MixturePrior`s and `UniformPrior`s over the same space; at least one.
        weights: Weight of every prior, relative; equal if `None`.
        names: What each of them is called, e.g. "model", "by hand", "last year": goes before the labels of its regions,
            so that whoever sees a region, or the trust in it, knows whose it is. `None`: the labels stay.

    Returns:
        A mixture with the regions of all the priors, in order.

    Raises:
        PriorError: If there is no prior, one is of another class or space, or the weights or names do not fit.
    """
    if not priors:
        raise PriorError("Expected at least one prior to pool, got none; use UniformPrior for no opinion.")
    shares = [1.0] * len(priors) if weights is None else [float(weight) for weight in weights]
    if len(shares) != len(priors) or not all(math.isfinite(share) and share >= 0.0 for share in shares):
        raise PriorError(f"Expected {len(priors)} finite non-negative weights, one a prior, got {shares}.")
    total = sum(shares)
    if total == 0.0:
        raise PriorError("Expected a positive weight for at least one prior, got only zeros.")
    mixtures = [_as_mixture(prior) for prior in priors]
    if names is not None:
        if isinstance(names, str) or len(names) != len(priors):
            raise PriorError(f"Expected {len(priors)} names, one a prior, got {names!r}.")
        mixtures = [mixture.named(name) for mixture, name in zip(mixtures, names, strict=True)]
    space = mixtures[0].space
    if any(mixture.space != space for mixture in mixtures):
        raise PriorError("Expected priors over one space, got several; build them all over the same SearchSpace.")
    regions = [region for mixture in mixtures for region in mixture.regions]
    pooled = [s / total * w for s, mixture in zip(shares, mixtures, strict=True) for w in mixture.weights.tolist()]
    floor = sum(s / total * mixture.uniform_weight for s, mixture in zip(shares, mixtures, strict=True))
    return MixturePrior(space, regions, pooled, floor)


def _as_mixture(prior: OptimumPrior) -> MixturePrior:
    if isinstance(prior, MixturePrior):
        return prior
    if isinstance(prior, UniformPrior):
        return MixturePrior(prior.space, (), (), 1.0)
    raise PriorError(
        f"Expected MixturePrior or UniformPrior to pool, got {type(prior).__name__}; pool samples instead."
    )


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
