from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution

from llm_prior_bo import FixedElicitor, LLMPriorSampler, PriorAnswer, SearchSpace, build_prior
from llm_prior_bo.optimization.distrust import LOW_TRUST, tell_of_distrust
from llm_prior_bo.study.trial_records import AnswerPart
from tests.optimization.test_questioner import lines as lines

SPACE = SearchSpace({"x": FloatDistribution(0.0, 1.0)})


def answer(*labels: str) -> PriorAnswer:
    return PriorAnswer.model_validate(
        {
            "notes": "",
            "regions": [{"region": i, "label": label, "weight": 1.0} for i, label in enumerate(labels, 1)],
            "numeric": [
                {"region": i, "parameter": "x", "best": 1 - 0.1 * i, "low": 0.97 - 0.1 * i, "high": 1.03 - 0.1 * i}
                for i, _ in enumerate(labels, 1)
            ],
            "categorical": [],
            "correlations": [],
            "confidence": 0.9,
        }
    )


def weighed(*weights: float, asked_at: int = 0) -> AnswerPart:
    return AnswerPart(asked_at, 1, 1.0, 0.0, 0.0, 1.0, trust=sum(weights), region_weights=weights)


def test_once_a_region_and_a_study(lines: list[str]) -> None:
    prior = build_prior(answer("slow", "fa\x1bst"), SPACE)
    study = optuna.create_study()
    tell_of_distrust(study, 3, [(prior, weighed(0.4, LOW_TRUST))])
    assert lines == []
    tell_of_distrust(study, 4, [(prior, weighed(0.4, 0.19))])
    tell_of_distrust(study, 5, [(prior, weighed(0.1, 0.3))])
    tell_of_distrust(study, 6, [(prior, weighed(0.1, 0.1))])
    second, first = lines
    assert second.startswith("Trust in region 2 ('fa\\u001bst') of the prior has fallen to 0.19 at trial 4")
    assert first.startswith("Trust in region 1 ('slow') of the prior has fallen to 0.10 at trial 5")
    tell_of_distrust(optuna.create_study(), 6, [(prior, weighed(0.1, 0.4))])
    assert len(lines) == 3


def test_of_a_later_answer_it_is_said_whose(lines: list[str]) -> None:
    prior, study = build_prior(answer("slow", "fast"), SPACE), optuna.create_study()
    tell_of_distrust(study, 12, [(prior, weighed(0.4, 0.4)), (prior, weighed(0.4, 0.1, asked_at=10))])
    (line,) = lines
    assert line.startswith("Trust in region 2 ('fast') of the answer for trial 10 has fallen to 0.10 at trial 12")
    tell_of_distrust(study, 13, [(prior, weighed(0.4, 0.1)), (prior, weighed(0.4, 0.1, asked_at=10))])
    assert len(lines) == 2


@pytest.mark.parametrize("weights", [[], [0.1], [0.1] * 3])
def test_nothing_was_weighed_or_by_a_gate_that_counts_otherwise(weights: list[float], lines: list[str]) -> None:
    tell_of_distrust(optuna.create_study(), 0, [(build_prior(answer("a", "b"), SPACE), weighed(*weights))])
    assert lines == []


def test_a_region_that_had_less_from_the_beginning(lines: list[str]) -> None:
    prior = build_prior(answer(*"abcdef"), SPACE)
    tell_of_distrust(optuna.create_study(), 0, [(prior, weighed(*[0.01] * 6))])
    assert lines == []


def test_a_wrong_answer_in_a_study(lines: list[str]) -> None:
    def objective(trial: optuna.Trial) -> float:
        return (trial.suggest_float("x", 0.0, 1.0) - 0.1) ** 2

    sampler: Any = LLMPriorSampler(elicitor=FixedElicitor(answer("far off")), search_space=SPACE, seed=0)
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=15)
    told = [line for line in lines if line.startswith("Trust in region 1 ('far off')")]
    weights = [row["trust"] for row in sampler.get_statistics(study).trace() if row.get("trust") is not None]
    assert min(weights) < LOW_TRUST
    assert len(told) == 1
