"""Objectives whose optimum is known, to measure the regret of a sampler."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from botorch.test_functions.synthetic import Ackley, Branin, Hartmann, Levy, Rosenbrock, SyntheticTestFunction
from optuna.distributions import BaseDistribution, FloatDistribution
from scipy.optimize import minimize

from benchmarks.harness import mixed
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.priors import UniformPrior
from llm_prior_bo.space import SearchSpace

N_SEARCH = 8192
"""Sobol points at which bad places are looked for."""

BAD_SHARE = 0.25
"""A place is bad if its value is among this share of the worst ones of the search."""

Params = Mapping[str, Any]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Problem:
    """A deterministic objective to be minimised.

    Args:
        name: Its name in `PROBLEMS`.
        distributions: Optuna distribution of every parameter.
        evaluate: Parameters to value.
        optima: The points at which the optimum is attained, at least one.
        optimal_value: The value there.
    """

    name: str
    distributions: Mapping[str, BaseDistribution]
    evaluate: Callable[[Params], float]
    optima: tuple[Params, ...]
    optimal_value: float

    @property
    def optimum(self) -> Params:
        """The first of the optima, which is the one that priors are centred on."""
        return self.optima[0]

    @cached_property
    def space(self) -> SearchSpace:
        """The parameters as a search space."""
        return SearchSpace(self.distributions)

    def regret(self, params: Params) -> float:
        """How much worse than the optimum, at least 0."""
        return self.evaluate(params) - self.optimal_value

    @cached_property
    def worst(self) -> Params:
        """The worst place found by a fixed Sobol search of `N_SEARCH` points; for wrong priors."""
        X, values = self._search
        return self.space.decode(X[int(values.argmax())])

    @cached_property
    def elsewhere(self) -> Params:
        """Another bad place, far from the optima and from `worst`.

        Of the search's points whose value is among the `BAD_SHARE` worst ones, the one with the largest distance to the
        nearest of those. Distances are Euclidean in encoded coordinates, where two different choices are 1 apart.
        """
        X, values = self._search
        bad = X[values >= np.quantile(values, 1.0 - BAD_SHARE)]
        places = self.space.encode([*self.optima, self.worst])
        nearest = np.min([self._distances(bad, place) for place in places], axis=0)
        return self.space.decode(bad[int(nearest.argmax())])

    @cached_property
    def _search(self) -> tuple[FloatArray, FloatArray]:
        """Fixed Sobol points in encoded coordinates, `n x d`, and their values, `n`."""
        X = UniformPrior(self.space).stratified_sample(N_SEARCH, generator=torch.Generator().manual_seed(0)).numpy()
        return X, np.array([self.evaluate(self.space.decode(x)) for x in X])

    def _distances(self, X: FloatArray, place: FloatArray) -> FloatArray:
        """Distances of points `n x d` to a point `d`, `n`."""
        difference = np.abs(X - place)
        choices = list(self.space.categorical_dims)
        difference[:, choices] = difference[:, choices] > 0.0
        return np.asarray(np.linalg.norm(difference, axis=1))


@cache
def get_problem(name: str) -> Problem:
    """The problem of a name, made once a process.

    Raises:
        ConfigurationError: If there is none of that name.
    """
    known = {**PROBLEMS, **LANDSCAPES}
    if name not in known:
        raise ConfigurationError(f"Expected one of the problems {list(known)}, got {name!r}.")
    return known[name]()


def _from_botorch(name: str, make: Callable[[], SyntheticTestFunction]) -> Problem:
    """One of BoTorch's test functions over its own box.

    BoTorch tabulates most optima with 6 digits; each is polished by a local search, so that no regret is negative.
    """
    function = make()
    box: list[tuple[float, float]] = torch.as_tensor(function.bounds).T.tolist()
    optima = [_polished(function, x, box) for x in torch.as_tensor(function.optimizers).numpy()]
    names = [f"x{i}" for i in range(function.dim)]
    return Problem(
        name=name,
        distributions={x: FloatDistribution(low, high) for x, (low, high) in zip(names, box, strict=True)},
        evaluate=partial(_value_of_params, function, names),
        optima=tuple(dict(zip(names, x.tolist(), strict=True)) for x in optima),
        optimal_value=min(_value(function, x) for x in optima),
    )


def _polished(function: SyntheticTestFunction, x: FloatArray, box: Sequence[tuple[float, float]]) -> FloatArray:
    """The point `d` that a local search from `x` ends in, `x` itself where that is no better."""
    result = minimize(partial(_value, function), x, method="Nelder-Mead", bounds=box, tol=1e-12)
    found = np.asarray(result.x, dtype=np.float64)
    return found if _value(function, found) < _value(function, x) else x


def _value(function: SyntheticTestFunction, x: npt.ArrayLike) -> float:
    return float(function(torch.tensor(x, dtype=torch.float64)))


def _value_of_params(function: SyntheticTestFunction, names: Sequence[str], params: Params) -> float:
    return _value(function, [params[name] for name in names])


def _mixed() -> Problem:
    return Problem("mixed", mixed.DISTRIBUTIONS, mixed.mixed, (mixed.OPTIMUM,), mixed.mixed(mixed.OPTIMUM))


# The usual boxes of Ackley and Levy have their optimum in the centre or next to it, where samplers like to begin. In
# these it is at 0.28 to 0.79 of each range, and the centre of Ackley's is at no integer, where its local minima are.
_ACKLEY_BOX = [(-8.0, 16.8), (-16.4, 8.0), (-6.0, 15.4), (-15.0, 6.6)]
_LEVY_BOX = [(-10.0, 5.0), (-4.0, 10.0), (-10.0, 4.0), (-3.0, 9.0)]

PROBLEMS: Mapping[str, Callable[[], Problem]] = MappingProxyType(
    {
        "branin": partial(_from_botorch, "branin", Branin),
        "hartmann3": partial(_from_botorch, "hartmann3", partial(Hartmann, 3)),
        "hartmann6": partial(_from_botorch, "hartmann6", partial(Hartmann, 6)),
        "levy4": partial(_from_botorch, "levy4", partial(Levy, 4, bounds=_LEVY_BOX)),
        "rosenbrock4": partial(_from_botorch, "rosenbrock4", partial(Rosenbrock, 4)),
        "ackley4": partial(_from_botorch, "ackley4", partial(Ackley, 4, bounds=_ACKLEY_BOX)),
        "mixed": _mixed,
    }
)
"""Name -> how to make the problem; `get_problem` makes each once."""

LANDSCAPES: Mapping[str, Callable[[], Problem]] = MappingProxyType(
    {
        "branin": PROBLEMS["branin"],
        "levy2": partial(_from_botorch, "levy2", partial(Levy, 2, bounds=_LEVY_BOX[:2])),
        "rosenbrock2": partial(_from_botorch, "rosenbrock2", partial(Rosenbrock, 2)),
        "ackley2": partial(_from_botorch, "ackley2", partial(Ackley, 2, bounds=_ACKLEY_BOX[:2])),
    }
)
"""Problems of two parameters, which can be drawn."""
