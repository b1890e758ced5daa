"""What a trial says of itself in user attributes, and where it is read."""

from __future__ import annotations

import json
import math
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution

from llm_prior_bo import FixedElicitor, LLMPriorSampler, PriorAnswer
from llm_prior_bo.study.diagnostics import study_statistics
from llm_prior_bo.study.trial_attributes import MAX_REGION_CHARACTERS, PREFIX, trial_attributes
from llm_prior_bo.study.trial_records import AnswerPart, Suggestion
from tests.conftest import Open

SPACE: dict[str, BaseDistribution] = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}
BELIEF = PriorAnswer.by_hand(numeric={"x": (0.4, 0.3, 0.5)})
STARTUP = Suggestion({"x": 0.1}, phase="startup", n=0, log_prior=0.2, slot=1, source="mode", region="low rate")
MODEL = Suggestion(
    {"x": 0.1},
    phase="model",
    n=7,
    exponent=0.5,
    log_prior=0.2,
    loss_bound=3.0,
    answers=(AnswerPart(0, 7, 0.5, 0.2, 0.1, 3.0, trust=0.8),),
)


def evaluate(trial: optuna.Trial) -> float:
    return (trial.suggest_float("x", 0.0, 1.0) - 0.3) ** 2 + abs(trial.suggest_float("y", 0.0, 1.0) - 0.6)


def sampler(*, trial_attributes: bool = True, **options: Any) -> LLMPriorSampler:
    options = {"search_space": SPACE, "n_startup_trials": 2, "seed": 0, **options}
    made = LLMPriorSampler(elicitor=FixedElicitor(BELIEF), **options)
    made.trial_attributes = trial_attributes
    return made


def told(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    return {name.removeprefix(PREFIX): value for name, value in trial.user_attrs.items() if name.startswith(PREFIX)}


class TestNames:
    def test_of_a_startup_point(self) -> None:
        assert trial_attributes(STARTUP) == {
            "llm_prior_phase": "startup",
            "llm_prior_source": "mode",
            "llm_prior_region": "low rate",
            "llm_prior_log_prior": 0.2,
        }

    def test_of_a_suggestion_of_the_model(self) -> None:
        assert trial_attributes(MODEL) == {
            "llm_prior_phase": "model",
            "llm_prior_trust": 0.8,
            "llm_prior_exponent": 0.5,
            "llm_prior_loss_bound": 3.0,
            "llm_prior_log_prior": 0.2,
        }

    def test_of_a_trial_without_a_suggestion(self) -> None:
        assert trial_attributes(None) == {"llm_prior_phase": "independent"}

    @pytest.mark.parametrize(("enqueued", "source"), [({"x"}, "enqueued"), ({"x", "z"}, "enqueued"), ({"z"}, "mode")])
    def test_nothing_of_the_point_where_another_one_was_given(self, enqueued: set[str], source: str) -> None:
        attributes = trial_attributes(STARTUP, enqueued=frozenset(enqueued))
        assert attributes["llm_prior_source"] == source
        assert ("llm_prior_region" in attributes) == (source == "mode")

    def test_short_and_finite(self) -> None:
        endless = Suggestion({}, phase="model", n=1, loss_bound=math.inf, log_prior=-math.inf, region="a" * 500)
        attributes = trial_attributes(endless)
        assert attributes == {"llm_prior_phase": "model", "llm_prior_region": "a" * MAX_REGION_CHARACTERS}
        json.dumps(attributes, allow_nan=False)


class TestInAStudy:
    def test_off_unless_asked_for(self) -> None:
        study = optuna.create_study(sampler=LLMPriorSampler(elicitor=FixedElicitor(BELIEF), search_space=SPACE))
        study.optimize(evaluate, n_trials=3)
        assert [trial.user_attrs for trial in study.trials] == [{}, {}, {}]

    def test_they_change_nothing_that_is_suggested(self) -> None:
        studies = [optuna.create_study(sampler=sampler(trial_attributes=tells)) for tells in (False, True)]
        for study in studies:
            study.optimize(evaluate, n_trials=4)
        assert [t.params for t in studies[0].trials] == [t.params for t in studies[1].trials]

    @pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
    def test_they_say_what_is_stored(self, open_storage: Open) -> None:
        study = optuna.create_study(study_name="s", storage=open_storage(), sampler=sampler())
        study.optimize(evaluate, n_trials=4)
        again = optuna.load_study(study_name="s", storage=open_storage())
        rows = study_statistics(again).trace()
        assert [row["phase"] for row in rows] == ["startup", "startup", "model", "model"]
        for trial, row in zip(again.trials, rows, strict=True):
            names = ("phase", "source", "region", "trust", "exponent", "log_prior", "loss_bound")
            assert told(trial) == {name: row[name] for name in names if row[name] is not None}
        assert told(again.trials[0])["source"] == "mode"
        assert 0.0 < told(again.trials[3])["trust"] < 1.0

    def test_the_objective_can_read_them(self) -> None:
        seen = []

        def objective(trial: optuna.Trial) -> float:
            value = evaluate(trial)
            seen.append(trial.user_attrs["llm_prior_phase"])
            return value

        optuna.create_study(sampler=sampler()).optimize(objective, n_trials=3)
        assert seen == ["startup", "startup", "model"]

    def test_in_a_table(self) -> None:
        pytest.importorskip("pandas")
        study = optuna.create_study(sampler=sampler())
        study.optimize(evaluate, n_trials=3)
        table = study.trials_dataframe()
        assert table["user_attrs_llm_prior_phase"].tolist() == ["startup", "startup", "model"]
        assert table["user_attrs_llm_prior_trust"].notna().tolist() == [False, False, True]

    def test_before_anything_is_known_of_the_space(self) -> None:
        study = optuna.create_study(sampler=sampler(search_space=None, warn_independent_sampling=False))
        study.optimize(evaluate, n_trials=4)
        assert [told(t)["phase"] for t in study.trials] == ["independent", "startup", "model", "model"]

    def test_of_an_enqueued_trial(self) -> None:
        """Where all was given, the sampler is not even asked."""
        study = optuna.create_study(sampler=sampler())
        study.enqueue_trial({"x": 0.9}, user_attrs={"why": "the old default"})
        study.enqueue_trial({"x": 0.9, "y": 0.9})
        study.optimize(evaluate, n_trials=2)
        assert study.trials[1].user_attrs == {}
        assert study.trials[0].user_attrs == {
            "why": "the old default",
            "llm_prior_phase": "startup",
            "llm_prior_source": "enqueued",
        }

    def test_by_ask_and_tell(self) -> None:
        study = optuna.create_study(sampler=sampler())
        trial = study.ask(SPACE)
        assert trial.user_attrs["llm_prior_source"] == "mode"
