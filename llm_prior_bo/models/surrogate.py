"""A Gaussian process for mixed spaces, fitted to the trials of a study."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from botorch.exceptions.errors import ModelFittingError
from botorch.fit import fit_gpytorch_mll
from botorch.models.gp_regression import SingleTaskGP
from botorch.models.model import Model
from botorch.models.model_list_gp_regression import ModelListGP
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import MaternKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import Mean, ZeroMean
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import GammaPrior, LogNormalPrior
from torch import Tensor

from llm_prior_bo._fast_path import is_fast
from llm_prior_bo.errors import SurrogateWarning
from llm_prior_bo.models.conditional_parameters import Condition, infer_conditions
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.hyperparameters import maximise_posterior
from llm_prior_bo.models.input_encoding import InputEncoding
from llm_prior_bo.models.matern import ScaledMatern
from llm_prior_bo.models.outcome_transform import scale_constraint, standardize_outcome
from llm_prior_bo.space import SearchSpace

MAX_FIT_ITERATIONS = 100
FIT_TOLERANCE = 1e-3
"""Gain of the log posterior density of the hyperparameters, in nats, at which a fit ends."""
MAX_FIT_TRIALS = 600
"""Hyperparameters are fitted to at most as many trials; the model is conditioned on all of them."""


@dataclass(frozen=True, slots=True)
class Surrogate:
    """A fitted model with the data it was fitted to.

    Args:
        model: Over encoded points; the first `m` outputs are the objectives (standardised, maximised), the others the
            constraints (scaled, feasible where `<= 0`).
        X: Training points, `n x d`.
        Y: Objectives as the model saw them, `n x m`.
        constraints: Constraints as the model saw them, `n x c`.
        space: The space that the points are encoded in; `None` where nobody knows it.
    """

    model: Model
    X: Tensor
    Y: Tensor
    constraints: Tensor
    space: SearchSpace | None = None

    @property
    def n_objectives(self) -> int:
        """Number of objectives, `m`."""
        return self.Y.shape[-1]

    @property
    def feasible(self) -> Tensor:
        """Which training points satisfy all constraints, `n` booleans."""
        return (self.constraints <= 0.0).all(dim=-1)

    def incumbents(self, n: int) -> Tensor:
        """The best distinct training points, at most `n x d`; by the sum of the standardised objectives if several.

        Feasible ones come first, then those that violate the constraints least.
        """
        order = self.Y.sum(dim=-1).argsort(descending=True, stable=True)
        violation = self.constraints.clamp_min(0.0).sum(dim=-1)
        order = order[violation[order].argsort(stable=True)]
        rows: list[Tensor] = []
        for i in order.tolist():
            if len(rows) == n:
                break
            if not any(torch.equal(self.X[i], row) for row in rows):
                rows.append(self.X[i])
        return torch.stack(rows)

    def condition_on_subset(self, rows: Sequence[int]) -> Surrogate:
        """The same model with the same hyperparameters, given only some of the trials.

        Args:
            rows: Which of the `n` training points, at least one.
        """
        chosen = list(rows)
        outputs = [_with_data(output, lambda X, y: (X[chosen], y[chosen])) for output in self.outputs]
        return Surrogate(joint_model(outputs), self.X[chosen], self.Y[chosen], self.constraints[chosen], self.space)

    def kriging_believer(self, points: Tensor) -> Surrogate:
        """The same model as if evaluations of some points had come out as it expects.

        What is uncertain near them shrinks, what is expected stays ("kriging believer": Ginsbourger, Le Riche and
        Carraro, "Kriging is well-suited to parallelize optimization", 2010).

        Args:
            points: Encoded points, `p x d`.

        Returns:
            A surrogate with another model; the trials it was fitted to are the same.
        """
        outputs = []
        for output in self.outputs:
            with torch.no_grad():
                posterior: Any = output.posterior(points)  # a Gaussian one: it has a mean
            outputs.append(_with_data(output, partial(_extended, points=points, values=posterior.mean.squeeze(-1))))
        return replace(self, model=joint_model(outputs))

    @property
    def outputs(self) -> list[SingleTaskGP]:
        """The process of every objective, then of every constraint."""
        models: Any = self.model.models if isinstance(self.model, ModelListGP) else [self.model]
        return list(models)


def _with_data(output: SingleTaskGP, change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> SingleTaskGP:
    """A copy with the same hyperparameters and other training data, made from its points and values."""
    other: Any = copy.deepcopy(output)  # GPyTorch, which the training data belong to, has no types
    other.train()  # so that the training points are as they came, untransformed
    other.set_train_data(*change(other.train_inputs[0], other.train_targets), strict=False)
    other.eval()
    copied: SingleTaskGP = other
    return copied


def _extended(X: Tensor, y: Tensor, *, points: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    return torch.cat([X, points]), torch.cat([y, values])


def fit_surrogate(data: TrainingData, space: SearchSpace) -> Surrogate:
    """Fit one independent GP per objective and constraint.

    The hyperparameters depend on the data alone: every fit starts at the mode of the kernel priors. So a study that was
    stopped and resumed, and every worker, goes on with the same surrogate.

    Args:
        data: At least one finished trial. Constant, duplicate and infinite values are fine.
        space: The space that `data.X` is encoded in.

    Returns:
        The surrogate. Where the marginal likelihood cannot be maximised, the hyperparameters stay where they started
        and a `SurrogateWarning` is given.
    """
    Y = torch.stack([standardize_outcome(y) for y in data.Y.unbind(dim=-1)], dim=-1)
    scaled = [scale_constraint(c) for c in data.constraints.unbind(dim=-1)]
    constraints = torch.stack(scaled, dim=-1) if scaled else data.constraints
    targets = [*Y.unbind(dim=-1), *constraints.unbind(dim=-1)]
    conditions = () if data.active is None else infer_conditions(data.X, data.active, space)
    models = []
    for y in targets:
        model = gaussian_process(data.X, y, space, conditions, likelihood=_likelihood())
        fit_process(model)
        models.append(model)
    return Surrogate(model=joint_model(models), X=data.X, Y=Y, constraints=constraints, space=space)


def gaussian_process(
    X: Tensor, y: Tensor, space: SearchSpace, conditions: Sequence[Condition], *, likelihood: GaussianLikelihood
) -> SingleTaskGP:
    """A process with the package's kernel and mean 0, before it is fitted.

    Args:
        X: Encoded points, `n x d`.
        y: Standardised values, `n`.
        space: The space of the points.
        conditions: When which column does not count.
        likelihood: The noise.
    """
    encoding = InputEncoding.of(space, conditions)
    width = len(space) if encoding is None else encoding.width
    return SingleTaskGP(
        X,
        y.unsqueeze(-1),
        likelihood=likelihood,
        covar_module=mixed_kernel(width),
        mean_module=_mean(),
        outcome_transform=None,
        input_transform=encoding,
    )


def mixed_kernel(width: int) -> ScaleKernel:
    """A scaled Matern-5/2 kernel with one length scale per column.

    The kernel prior is centred on a length scale that grows with the square root of the dimension, so that the prior
    correlation of two random points does not depend on it (Hvarfner, Hellsten and Nardi, "Vanilla Bayesian Optimization
    Performs Great in High Dimensions", ICML 2024), but is much narrower than theirs, which is BoTorch's default: with
    that, single columns collapsed to a length scale of 0.03 within 20 trials.
    """
    lengthscale_prior = LogNormalPrior(double(0.35 + 0.5 * math.log(width / 6.0)), double(0.7))
    base = MaternKernel(
        nu=2.5,
        ard_num_dims=width,
        lengthscale_prior=lengthscale_prior,
        lengthscale_constraint=at_least(0.025),
    )
    scaled = ScaledMatern if is_fast() else ScaleKernel
    kernel = scaled(
        base, outputscale_prior=GammaPrior(double(2.0), double(1.0)), outputscale_constraint=at_least(1e-3)
    ).double()
    # Set once the parameters are in double precision, whatever the default dtype was when they were made.
    kernel.base_kernel.lengthscale = lengthscale_prior.mode
    kernel.outputscale = double(1.0)
    return kernel


def _mean() -> Mean:
    """The average of the standardised values, fixed.

    A fitted constant comes out below it, since most trials are near good ones already, and an acquisition function that
    expects little of unexplored places stays where it is.
    """
    return ZeroMean()


def _likelihood() -> GaussianLikelihood:
    """Noise that may vanish: many objectives are deterministic, and late improvements are small beside a floor."""
    return gaussian_likelihood(noise_prior=GammaPrior(double(1.1), double(30.0)), least=1e-6, initial=0.01)


def gaussian_likelihood(*, noise_prior: GammaPrior, least: float, initial: float) -> GaussianLikelihood:
    """A likelihood with one noise level, in double precision whatever the default dtype is."""
    likelihood = GaussianLikelihood(noise_prior=noise_prior, noise_constraint=at_least(least)).double()
    likelihood.noise = double(initial)
    return likelihood


def at_least(bound: float) -> GreaterThan:
    """A lower bound of a hyperparameter in double precision; GPyTorch rounds it to the default dtype."""
    constraint = GreaterThan(bound, transform=None)
    constraint.lower_bound, constraint.upper_bound = double(bound), double(math.inf)
    return constraint


def double(value: float) -> Tensor:
    """A number as a tensor, in double precision."""
    return torch.tensor(value, dtype=torch.float64)


def fit_process(model: SingleTaskGP) -> None:
    """Fit the hyperparameters in place; where that fails they stay, with a `SurrogateWarning`."""
    try:
        if is_fast():
            maximise_posterior(
                model, max_iterations=MAX_FIT_ITERATIONS, tolerance=FIT_TOLERANCE, max_data=MAX_FIT_TRIALS
            )
        else:
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    except (RuntimeError, ValueError, ModelFittingError) as error:
        warnings.warn(
            f"Expected the surrogate's marginal likelihood to be maximised, got {error!r}; going on with the most "
            "probable hyperparameters before the data.",
            SurrogateWarning,
            stacklevel=2,
        )
    model.requires_grad_(False)  # gradients from here on are those in the points
    model.eval()


def joint_model(outputs: Sequence[SingleTaskGP]) -> Model:
    """One model of several independent outputs."""
    return outputs[0] if len(outputs) == 1 else ModelListGP(*outputs)
