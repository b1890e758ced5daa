"""What a user compares: tasks, and samplers made from a seed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from optuna.samplers import BaseSampler
from optuna.trial import Trial

from llm_prior_bo.errors import ConfigurationError

Objective: TypeAlias = Callable[[Trial], float]
"""What `Study.optimize` takes, with one value."""

SamplerFactory: TypeAlias = Callable[..., BaseSampler]
"""A class of samplers, or a function of a seed; see `make_sampler`."""

Direction: TypeAlias = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class ComparisonTask:
    """An objective, and what is said of it.

    Args:
        objective: What `Study.optimize` takes. With `trial.set_user_attr("test_value", ...)` it may state the quality
            on data that the search does not use, in the same direction.
        direction: "minimize" or "maximize".
        user_attrs: User attributes of every study, e.g. `problem_description`.
        enqueue: Name of a sampler -> parameters that its studies try first.
        level: Value whose first reaching is counted; `None`: what most of the baseline's studies reach in the end.

    Raises:
        ConfigurationError: If the objective cannot be called or the direction is another word.
    """

    objective: Objective
    direction: Direction = "minimize"
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    enqueue: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    level: float | None = None

    def __post_init__(self) -> None:
        if not callable(self.objective):
            raise ConfigurationError(
                f"Expected an objective, a function of a trial, got {self.objective!r}; several tasks are a mapping "
                "from names to objectives."
            )
        if self.direction not in get_args(Direction):
            raise ConfigurationError(
                f"Expected direction to be one of {list(get_args(Direction))}, got {self.direction!r}."
            )


def check_factories(samplers: Mapping[str, object]) -> None:
    """Every sampler has a name and can be made from a seed.

    Raises:
        ConfigurationError: If there is none, or one is a ready sampler or something else that cannot be called.
    """
    if not samplers:
        raise ConfigurationError(
            f"Expected samplers as a mapping from names to classes or functions of a seed, got {samplers!r}."
        )
    for name, factory in samplers.items():
        if isinstance(factory, BaseSampler):
            kind = type(factory).__name__
            raise ConfigurationError(
                f"Expected a class of samplers or a function of a seed for {name!r}, got a ready {kind}: every study "
                "needs a new sampler with a seed of its own, and Optuna's samplers cannot be given one later. Give "
                f"{kind}, or with arguments functools.partial({kind}, ...) or lambda seed: {kind}(..., seed=seed)."
            )
        if not callable(factory):
            raise ConfigurationError(
                f"Expected a class of samplers or a function of a seed for {name!r}, got {factory!r}."
            )


def make_sampler(factory: SamplerFactory, *, name: str, seed: int, task: str) -> BaseSampler:
    """The sampler of one study.

    Args:
        factory: A class or function. One that has a parameter `seed` gets the seed under this name, any other as its
            only argument; one that has a parameter `task` also gets the name of the task.
        name: What the user calls the sampler.
        seed: Seed of the study.
        task: Name of the task.

    Raises:
        ConfigurationError: If it takes no seed, or makes no sampler.
    """
    parameters = inspect.signature(factory).parameters
    named = {"task": task} if "task" in parameters else {}
    if inspect.isclass(factory) and "seed" not in parameters:
        raise ConfigurationError(
            f"Expected a class whose samplers take a seed for {name!r}, got {factory.__name__}; give a function of a "
            "seed, e.g. one that ignores it."
        )
    sampler = factory(seed=seed, **named) if "seed" in parameters else factory(seed, **named)
    if not isinstance(sampler, BaseSampler):
        raise ConfigurationError(f"Expected {name!r} to make an Optuna sampler, got {sampler!r}.")
    return sampler
