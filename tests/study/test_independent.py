"""The warning about parameters that are sampled on their own: its reasons, and that it is given once."""

from __future__ import annotations

import copy
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from optuna.distributions import BaseDistribution, FloatDistribution

from llm_prior_bo.errors import IndependentSamplingWarning, LLMPriorWarning
from llm_prior_bo.study.independent import IndependentWarnings, why_independent
from llm_prior_bo.study.inferred_space import InferredSpace

UNIT, ONE, OTHER = FloatDistribution(0, 1), FloatDistribution(1, 1), FloatDistribution(3, 4)
NOTHING = InferredSpace({}, 0)


def found(n_trials: int, **seen: list[BaseDistribution]) -> InferredSpace:
    return InferredSpace({name: dict(enumerate(one)) for name, one in seen.items()}, n_trials)


def why(asked: BaseDistribution = OTHER, **options: Any) -> str | None:
    return why_independent("x", asked, **{"stated": None, "found": NOTHING, "suggested": {}, **options})


def test_nothing_to_say_before_anything_is_known() -> None:
    assert why() is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"found": found(3)}, "none of the 3 finished trials asked for it; state all parameters"),
        ({"found": found(3, x=[UNIT])}, "1 of the 3 finished trials asked for it"),
        ({"found": found(2, x=[ONE, ONE])}, "so far it had one value, FloatDistribution(high=1.0"),
        ({"found": found(12, x=[UNIT] * 6)}, "the latest trials did not ask for it, and 6 of the 12"),
        ({"found": found(2, x=[UNIT] * 2), "suggested": {"x": 0.25}}, "0.25 was suggested out of FloatDistribution(hi"),
        ({"found": found(2, x=[UNIT] * 2)}, "when the others were suggested, too few finished trials"),
        ({"stated": {"y": UNIT}}, "the given search space does not have it"),
        ({"stated": {"x": ONE}}, "the given search space has FloatDistribution(high=1.0"),
        ({"stated": {"x": UNIT}, "suggested": {"x": 0.25}}, "0.25 was suggested out of"),
    ],
)
def test_reasons(options: dict[str, Any], words: str) -> None:
    reason = why(**options)
    assert reason is not None
    assert words in reason
    assert reason.endswith(".")


def test_once_for_each_parameter_of_each_study() -> None:
    said = IndependentWarnings()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for study in ("a", "b"):
            for name in ("x", "y", "x"):
                said.warn(study, name, how="by RandomSampler", why="so it is.")
    assert [warning.category for warning in caught] == [IndependentSamplingWarning] * 4
    assert str(caught[0].message).startswith(
        "Parameter 'x' is sampled independently of the others, by RandomSampler: so"
    )
    assert issubclass(IndependentSamplingWarning, LLMPriorWarning)


def test_not_without_a_reason_nor_if_switched_off() -> None:
    IndependentWarnings().warn("a", "x", how="", why=None)
    IndependentWarnings(enabled=False).warn("a", "x", how="", why="so it is.")


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda said: pickle.loads(pickle.dumps(said))])
def test_copies_remember(duplicate: Any) -> None:
    said = IndependentWarnings()
    with pytest.warns(IndependentSamplingWarning):
        said.warn("a", "x", how="", why="so it is.")
    duplicate(said).warn("a", "x", how="", why="so it is.")


def test_once_whatever_the_threads() -> None:
    said = IndependentWarnings()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: said.warn("a", "x", how="", why="so it is."), range(64)))
    assert len(caught) == 1
