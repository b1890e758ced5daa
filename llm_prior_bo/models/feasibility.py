"""How probable it is that a trial finishes, learned from the trials that failed and those that did not.

A failed trial (out of memory, NaN, an exception) has no value, and any value put in its place would be a lie that the
surrogate believes. But it says something about the configuration. So the labels "finished" (1) and "failed" (-1) get a
Gaussian process of their own, and the log of the probability that it gives is added to the log acquisition function,
as with expected improvement times the probability of feasibility (Gelbart, Snoek and Adams, "Bayesian Optimization
with Unknown Constraints", UAI 2014).

The process is an ordinary regression of the labels. Its mean is that of the base rate `b` of finished trials, the
probability is that of a positive label, and both are mixed by what the data say of there being any structure at all:

    z(x) ~ N(μ(x), σ²(x) + σ_noise²)
    p(x) = w · P(z(x) > 0) + (1 - w) · b,      w = P(structure | labels) · (1 - 1 / (n + 2))

Trials that fail at random leave a process of pure noise, whose likelihood is no better than that of the base rate
alone; then `p` is the same nearly everywhere and the factor changes nothing. No place is ever given up for good.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from botorch.models.gp_regression import SingleTaskGP
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.priors import GammaPrior
from scipy.special import log_ndtr
from torch import Tensor

from llm_prior_bo._fast_path import is_fast
from llm_prior_bo._gradients import as_torch
from llm_prior_bo.models.conditional_parameters import infer_conditions
from llm_prior_bo.models.data import MAX_UNSUCCESSFUL_PENDING, TrainingData
from llm_prior_bo.models.exact_gp import ExactPosterior, Marginals, training_root
from llm_prior_bo.models.normal_cdf import log_cdf_slope
from llm_prior_bo.models.surrogate import double, fit_process, gaussian_likelihood, gaussian_process
from llm_prior_bo.priors import OptimumPrior
from llm_prior_bo.space import FloatArray, SearchSpace

LOG_HANDICAP = 1.0
"""What the process must explain better than the base rate to be as probable, in log likelihood: it was fitted (AIC)."""

N_REDRAWS = 256
"""Draws from the prior among which a start-up point is replaced."""


@dataclass(frozen=True, slots=True)
class FeasibilityModel:
    """Probability that a trial finishes; made by `fit_feasibility`.

    Args:
        model: The process of the standardised labels.
        process: Its posterior, as the fast path has it.
        mean: Mean label, `2 b - 1`.
        scale: Standard deviation of a label, `2 sqrt(b (1 - b))`.
        noise: Variance of a standardised label that no place explains.
        structure: Weight `w` of the process against the base rate, in [0, 1).
        base_rate: Share `b` of trials that finish, wherever they are, in (0, 1).
    """

    model: SingleTaskGP
    process: ExactPosterior
    mean: float
    scale: float
    noise: float
    structure: float
    base_rate: float

    def log_prob(self, X: Tensor) -> Tensor:
        """Log probability that a trial finishes, differentiable and finite everywhere.

        Args:
            X: Encoded points, `batch_shape x d`.

        Returns:
            `batch_shape`; at least `log((1 - w) b)`.
        """
        if is_fast():
            return as_torch(self, X)
        posterior: Any = self.model.posterior(X.unsqueeze(-2))  # a Gaussian one: it has a mean and a variance
        mean, variance = posterior.mean.flatten(-2).squeeze(-1), posterior.variance.flatten(-2).squeeze(-1)
        score = (self.mean + self.scale * mean) / (self.scale * (variance + self.noise).sqrt())
        explained = math.log(self.structure) + torch.special.log_ndtr(score)
        return torch.logaddexp(explained, torch.full_like(explained, self._unexplained))

    def value(self, X: FloatArray) -> FloatArray:
        """Log probability at points `n x d`, `n`."""
        return self._value(self.process.marginals(X))[0]

    def value_and_gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log probability at points `n x d`, `n`, and its gradient, `n x d`."""
        marginals = self.process.marginals(X)
        value, explained, score, spread = self._value(marginals)
        by_score = np.exp(explained - value) * log_cdf_slope(score)
        by_mean = by_score * self.scale / spread
        by_variance = -0.5 * by_score * score * (self.scale / spread) ** 2
        return value, marginals.pull_back(by_mean[:, None], by_variance)

    def _value(self, marginals: Marginals) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Log probability, the part of it that the process explains, its score and the spread of the label, `n`."""
        spread = self.scale * np.sqrt(marginals.variance + self.noise)
        score = (self.mean + self.scale * marginals.mean[:, 0]) / spread
        explained = math.log(self.structure) + log_ndtr(score)
        return np.logaddexp(explained, self._unexplained), explained, score, spread

    @property
    def _unexplained(self) -> float:
        """Log of what the base rate adds."""
        return math.log1p(-self.structure) + math.log(self.base_rate)

    def probability(self, X: Tensor) -> Tensor:
        """Probability that a trial finishes, `batch_shape x d` to `batch_shape`."""
        return self.log_prob(X).exp()


def fit_feasibility(data: TrainingData, space: SearchSpace) -> FeasibilityModel | None:
    """Learn from the failed trials of a study where trials fail.

    Args:
        data: Finished and pruned trials count as ones that worked; running ones, and those whose worker died, as
            neither.
        space: The space that the points are encoded in.

    Returns:
        The model; `None` while nothing has failed.
    """
    if data.failed is None or len(data.failed) == 0:
        return None
    worked = data.X if data.pruned is None else torch.cat([data.X, data.pruned])
    n_worked, n_failed = len(worked), len(data.failed)
    n = n_worked + n_failed
    base_rate = (n_worked + 1) / (n + 2)  # Laplace's rule: no rate is 0 or 1
    mean, scale = 2.0 * base_rate - 1.0, 2.0 * math.sqrt(base_rate * (1.0 - base_rate))
    labels = torch.cat([data.X.new_ones(n_worked), -data.X.new_ones(n_failed)])
    conditions = () if data.active is None else infer_conditions(data.X, data.active, space)
    points = torch.cat([worked, data.failed])
    model = gaussian_process(points, (labels - mean) / scale, space, conditions, likelihood=_likelihood())
    if n_worked:
        fit_process(model)
    model.requires_grad_(False)
    model.eval()
    return FeasibilityModel(
        model=model,
        process=ExactPosterior(model),
        mean=mean,
        scale=scale,
        noise=float(model.likelihood.noise),
        # Where all have failed there is nothing to tell one from the other; the places that failed still count.
        structure=(_structure(model) if n_worked else 1.0) * (1.0 - 1.0 / (n + 2)),
        base_rate=base_rate,
    )


def success_probability(feasibility: FeasibilityModel | None, x: Tensor) -> float | None:
    """How probable it is that a trial at a point, `d`, finishes; `None` where nothing has failed."""
    return None if feasibility is None else float(feasibility.probability(x))


def add_failed_as_pending(data: TrainingData, feasibility: FeasibilityModel | None) -> TrainingData:
    """Failed trials as pending points where the model blames their place: a further trial there would tell nothing.

    The probability alone is slow to fall where the objective promises most. A trial that more probably finishes than
    not, had it been run there again, is left out: it may have failed for no reason that lies in its place.
    """
    if feasibility is None or data.failed is None:
        return data
    blamed = data.failed[feasibility.probability(data.failed) < 0.5][-MAX_UNSUCCESSFUL_PENDING:]
    if len(blamed) == 0:
        return data
    return replace(data, pending=torch.unique(torch.cat([data.pending, blamed]), dim=0))


def resample_by_success_probability(
    x: Tensor, prior: OptimumPrior, feasibility: FeasibilityModel, *, seed: int
) -> Tensor:
    """A start-up point that takes failures into account: distributed as the prior times the probability of finishing.

    Rejection sampling that falls back on resampling: the point is kept with the ratio of its probability to the
    largest among many draws from the prior, else one of these is taken in proportion to theirs. Where nothing is known
    to fail, the point of the design stays. A prior that lies where all fails is left, for its floor is everywhere.

    Args:
        x: The point of the design, `d`.
        prior: The prior that it was drawn from.
        feasibility: Learned from the trials so far.
        seed: Of the draws.

    Returns:
        A legal encoded point, `d`.
    """
    generator = torch.Generator().manual_seed(seed)
    draws = prior.sample(N_REDRAWS, generator=generator)
    p = feasibility.probability(draws)
    keep = feasibility.probability(x) / p.max()
    if float(torch.rand((), generator=generator, dtype=torch.float64)) < float(keep):
        return x
    return draws[int(torch.multinomial(p, 1, generator=generator))]


def _likelihood() -> GaussianLikelihood:
    """Noise that is as likely to be large as small beforehand.

    The surrogate's kernel prior, made for objectives that are nearly deterministic, would explain every random failure
    by its place.
    """
    return gaussian_likelihood(noise_prior=GammaPrior(double(2.0), double(2.0)), least=1e-2, initial=0.3)


def _structure(model: SingleTaskGP) -> float:
    """Probability that the process, rather than the base rate alone, made the labels; as likely beforehand."""
    root = training_root(model)
    z = model.train_targets.unsqueeze(-1)
    whitened = torch.linalg.solve_triangular(root, z, upper=False)
    # Constants that both likelihoods have cancel. Without structure the labels are independent with variance 1.
    with_places = -0.5 * float(whitened.square().sum()) - float(root.diagonal().log().sum())
    without = -0.5 * float(z.square().sum())
    return 1.0 / (1.0 + math.exp(min(without + LOG_HANDICAP - with_places, 50.0)))
