"""The table of wrong uses in docs/how_to/studies.md: each row raises what it says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution

import llm_prior_bo
from llm_prior_bo import LLMPriorSampler, PriorAnswer, SearchSpace, build_prior, errors

PAGE = Path(__file__).parents[1] / "docs" / "how_to" / "studies.md"
ROW = re.compile(r"^\| `(.+)` \| `(\w+)` \| (.+) \|$", re.MULTILINE)


def rows() -> list[tuple[str, ...]]:
    section = PAGE.read_text(encoding="utf-8").split("## Bad input")[1]
    return ROW.findall(section)


def run(sampler: LLMPriorSampler, objective: Callable[[optuna.Trial], Any] | None = None) -> None:
    def default(trial: optuna.Trial) -> float:
        return trial.suggest_float("x", 0, 1) + trial.suggest_float("y", 0, 1)

    optuna.create_study(sampler=sampler).optimize(objective or default, n_trials=2)


def names() -> dict[str, Any]:
    """What the page says is there."""
    space = SearchSpace({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)})
    answer = PriorAnswer.by_hand(numeric={"x": (0.5, 0.4, 0.6)})
    public = {name: getattr(llm_prior_bo, name) for name in llm_prior_bo.__all__}
    here = {"space": space, "answer": answer, "prior": build_prior(answer, space), "run": run}
    return {**public, **here, "FloatDistribution": FloatDistribution}


def test_the_table_is_found() -> None:
    assert len(rows()) == len([line for line in PAGE.read_text(encoding="utf-8").splitlines() if "Error` |" in line])
    assert len(rows()) > 30


@pytest.mark.parametrize(("code", "error", "says"), rows(), ids=lambda text: text[:60])
def test_a_wrong_use(code: str, error: str, says: str) -> None:
    expected = ValueError if error == "ValueError" else getattr(errors, error)
    with pytest.raises(expected, match=re.escape(says)) as caught:
        eval(code, names())
    assert caught.type is expected
