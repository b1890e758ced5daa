from __future__ import annotations

from dataclasses import fields

import pytest

from llm_prior_bo.elicitation.prompt.shortening import LEVELS, Limits, fitting_limits

NAMES = [field.name for field in fields(Limits)]
ALL = 1_000
"""How much there is of everything."""


def size(limits: Limits) -> int:
    """Size of a question in which each unit of everything counts as one."""
    return sum(min(ALL if value is None else value, ALL) for value in (getattr(limits, name) for name in NAMES))


def test_each_level_is_shorter_than_the_one_before() -> None:
    sizes = [size(limits) for _, limits in [("", Limits()), *LEVELS]]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == len(sizes)
    assert len({name for name, _ in LEVELS}) == len(LEVELS) == 5


def test_what_fits_is_left_alone() -> None:
    assert fitting_limits(lambda limits: size(limits) <= 6 * ALL) == Limits()


@pytest.mark.parametrize("most", range(200, 6_000, 83))
def test_room_that_is_left_is_used(most: int) -> None:
    limits = fitting_limits(lambda limits: size(limits) <= most)
    assert 0.93 * most <= size(limits) <= most


def test_trials_go_first() -> None:
    limits = fitting_limits(lambda limits: size(limits) <= 5_500)
    assert limits.trials is not None
    assert 450 <= limits.trials <= 500
    assert limits == Limits(trials=limits.trials)


def test_where_nothing_fits_the_last_level_is_taken() -> None:
    assert fitting_limits(lambda _: False) == LEVELS[-1][1]


def test_it_takes_few_tries() -> None:
    for most in range(0, 6_001, 250):
        tries: list[Limits] = []

        def fits(limits: Limits, most: int = most, tries: list[Limits] = tries) -> bool:
            tries.append(limits)
            return size(limits) <= most

        fitting_limits(fits)
        assert len(tries) <= 50
