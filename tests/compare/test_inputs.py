from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

from llm_prior_bo.compare.inputs import ComparisonTask, check_factories, make_sampler
from llm_prior_bo.errors import ConfigurationError
from tests.compare.objectives import random_by_keyword, square


def numbers(sampler: BaseSampler) -> list[int]:
    """The next random numbers of one of Optuna's samplers."""
    assert isinstance(sampler, RandomSampler | TPESampler)
    return (
        sampler._rng.rng.integers(10**9, size=3).tolist()
        if hasattr(sampler._rng.rng, "integers")
        else [int(sampler._rng.rng.randint(10**9)) for _ in range(3)]
    )


class TestMakeSampler:
    @pytest.mark.parametrize(
        "factory",
        [
            RandomSampler,
            partial(RandomSampler),
            random_by_keyword,
            lambda seed: RandomSampler(seed=seed),
            lambda number: RandomSampler(seed=number),
            lambda number: RandomSampler(number),
        ],
    )
    def test_the_seed_gets_where_it_belongs(self, factory: Any) -> None:
        made = [make_sampler(factory, name="r", seed=seed, task="t") for seed in (3, 3, 4)]
        first, again, other = map(numbers, made)
        assert first == again == numbers(RandomSampler(seed=3))
        assert other != first

    def test_a_partial_class_does_not_take_the_seed_for_its_first_argument(self) -> None:
        sampler = make_sampler(partial(TPESampler, multivariate=True), name="t", seed=5, task="t")
        assert isinstance(sampler, TPESampler)
        assert sampler._multivariate
        assert numbers(sampler) == numbers(TPESampler(seed=5))

    def test_a_function_may_ask_for_the_task(self) -> None:
        seen = []

        def factory(seed: int, task: str) -> RandomSampler:
            seen.append((seed, task))
            return RandomSampler(seed=seed)

        make_sampler(factory, name="r", seed=1, task="digits")
        assert seen == [(1, "digits")]

    def test_a_class_of_a_user_without_a_seed_is_refused(self) -> None:
        class Own(RandomSampler):
            def __init__(self, strength: float) -> None:
                super().__init__()
                self.strength = strength

        with pytest.raises(ConfigurationError, match="take a seed for 'own', got Own"):
            make_sampler(Own, name="own", seed=0, task="t")

    def test_what_makes_no_sampler_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="'r' to make an Optuna sampler, got 7"):
            make_sampler(lambda seed: seed, name="r", seed=7, task="t")

    @pytest.mark.parametrize("factory", [TPESampler, NSGAIISampler])
    def test_other_classes_of_optuna(self, factory: type[BaseSampler]) -> None:
        assert isinstance(make_sampler(factory, name="s", seed=0, task="t"), factory)


class TestChecks:
    def test_a_ready_sampler_is_refused_with_what_to_give(self) -> None:
        with pytest.raises(ConfigurationError, match=r"'TPE', got a ready TPESampler.*lambda seed: TPESampler\("):
            check_factories({"TPE": TPESampler()})

    def test_names_are_needed(self) -> None:
        with pytest.raises(ConfigurationError, match="samplers as a mapping from names"):
            check_factories({})

    def test_what_cannot_be_called_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="for 'TPE', got 'tpe'"):
            check_factories({"TPE": "tpe"})

    def test_objective_and_direction(self) -> None:
        with pytest.raises(ConfigurationError, match="a function of a trial, got 3"):
            ComparisonTask(3)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match=r"\['minimize', 'maximize'\], got 'up'"):
            ComparisonTask(square, "up")  # type: ignore[arg-type]
