"""Analytic log expected improvement times the probability that constraints hold, with its gradient."""

from __future__ import annotations

from botorch.acquisition.analytic import LogConstrainedExpectedImprovement, LogProbabilityOfFeasibility
from botorch.utils.transforms import t_batch_mode_transform
from torch import Tensor

from llm_prior_bo._gradients import as_torch
from llm_prior_bo.acquisition.analytic_log_ei import AnalyticLogEI
from llm_prior_bo.acquisition.log_feasibility import LogFeasibility
from llm_prior_bo.models.surrogate import Surrogate
from llm_prior_bo.space import FloatArray


class AnalyticLogFeasibility(LogProbabilityOfFeasibility):
    """BoTorch's `LogProbabilityOfFeasibility` of a surrogate's constraints, with its gradient in closed form.

    Args:
        surrogate: With constraints; `AnalyticLogEI.supports` must hold for each of its outputs.
    """

    def __init__(self, surrogate: Surrogate) -> None:
        super().__init__(surrogate.model, constraint_bounds(surrogate))
        self._feasibility = LogFeasibility(surrogate.outputs[surrogate.n_objectives :])

    @t_batch_mode_transform(expected_q=1)  # type: ignore[arg-type]  # typed for functions of the base class
    def forward(self, X: Tensor) -> Tensor:
        """`b x 1 x d` to `b`."""
        return as_torch(self, X.squeeze(-2))

    def value(self, X: FloatArray) -> FloatArray:
        """Log probability at points `n x d`, `n`."""
        return self._feasibility.value(X)

    def value_and_gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log probability at points `n x d`, `n`, and its gradient, `n x d`."""
        return self._feasibility.value_and_gradient(X)


class ConstrainedLogEI(LogConstrainedExpectedImprovement):
    """BoTorch's `LogConstrainedExpectedImprovement` on the best feasible value, with its gradient in closed form.

    Gardner et al., "Bayesian Optimization with Inequality Constraints", ICML 2014.

    Args:
        surrogate: With one objective, constraints and a feasible training point; `AnalyticLogEI.supports` must hold for
            each of its outputs.
    """

    def __init__(self, surrogate: Surrogate) -> None:
        best_f = surrogate.Y[surrogate.feasible].max()
        super().__init__(surrogate.model, best_f, 0, constraint_bounds(surrogate))
        objective, *constraints = surrogate.outputs
        self._improvement = AnalyticLogEI(objective, float(best_f))
        self._feasibility = LogFeasibility(constraints)

    @t_batch_mode_transform(expected_q=1)  # type: ignore[arg-type]  # typed for functions of the base class
    def forward(self, X: Tensor) -> Tensor:
        """`b x 1 x d` to `b`."""
        return as_torch(self, X.squeeze(-2))

    def value(self, X: FloatArray) -> FloatArray:
        """The function at points `n x d`, `n`."""
        return self._improvement.value(X) + self._feasibility.value(X)

    def value_and_gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The function at points `n x d`, `n`, and its gradient, `n x d`."""
        improvement, by_improvement = self._improvement.value_and_gradient(X)
        feasibility, by_feasibility = self._feasibility.value_and_gradient(X)
        return improvement + feasibility, by_improvement + by_feasibility


def constraint_bounds(surrogate: Surrogate) -> dict[int, tuple[float | None, float | None]]:
    """The outputs that are constraints, feasible where `<= 0`, as BoTorch's analytic functions take them."""
    m, c = surrogate.n_objectives, surrogate.constraints.shape[-1]
    return {i: (None, 0.0) for i in range(m, m + c)}
