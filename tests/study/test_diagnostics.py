"""The numbers of a study, read from what is stored in it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import optuna
import pytest

from llm_prior_bo import Elicitation, PriorAnswer
from llm_prior_bo.elicitation.llm.spending import Usage
from llm_prior_bo.study.answer_records import save_elicitation, save_failure
from llm_prior_bo.study.diagnostics import answers_of, study_statistics
from llm_prior_bo.study.trial_records import AnswerPart, Suggestion, publish_suggestion

ANSWER = PriorAnswer.by_hand(numeric={"x": (0.5, 0.2, 0.8)})
SUGGESTION = Suggestion(params={"x": 0.5}, phase="model", n=4, exponent=2.5, log_acquisition=-1.0, log_prior=0.5)


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study()


def test_a_study_that_nobody_touched(study: optuna.Study) -> None:
    statistics = study_statistics(study)
    assert (statistics.elicitations, statistics.failures, statistics.suggestions) == ((), (), {})
    assert statistics.cost_usd is None
    assert statistics.tokens is None
    assert statistics.to_dict() == {
        "n_elicitations": 0,
        "cost_usd": None,
        "tokens": None,
        "n_calls": 0,
        "latency_s": 0.0,
        "remarks": [],
        "repairs": [],
        "failures": [],
        "answers": [],
        "certificate": "No certificate yet: no suggestion has maximised a score.",
        "certificates": {},
        "suggestions": {},
    }


def test_what_is_known_is_summed(study: optuna.Study) -> None:
    save_elicitation(study, Elicitation(ANSWER, prompt_tokens=100, completion_tokens=20, cost_usd=0.25))
    save_elicitation(study, Elicitation(ANSWER, answer_index=1, prompt_tokens=100, repairs=("Clipped.",)))
    save_failure(study, 3, "No answer.", usage=Usage(10, 2, 0.5))
    statistics = study_statistics(study)
    assert statistics.cost_usd == 0.75
    assert statistics.tokens == 232
    assert [failure.reason for failure in statistics.failures] == ["No answer."]
    assert statistics.to_dict()["repairs"] == ["Clipped."]
    assert statistics.to_dict()["n_elicitations"] == 2


def test_unknown_is_none_and_free_is_zero(study: optuna.Study) -> None:
    save_elicitation(study, Elicitation(ANSWER))
    assert (study_statistics(study).cost_usd, study_statistics(study).tokens) == (None, None)
    save_elicitation(study, Elicitation(ANSWER, trial_number=1, cost_usd=0.0, prompt_tokens=0))
    assert (study_statistics(study).cost_usd, study_statistics(study).tokens) == (0.0, 0)


def test_suggestions_by_trial(study: optuna.Study) -> None:
    study.add_trial(optuna.trial.create_trial(value=1.0))
    study.ask()
    publish_suggestion(study, study.trials[1], SUGGESTION)
    assert study_statistics(study).suggestions == {1: SUGGESTION}


def test_all_of_it_is_json(study: optuna.Study) -> None:
    save_elicitation(study, Elicitation(ANSWER))
    save_failure(study, 0, "No.", usage=Usage(1, 2, 0.5))
    study.ask()
    publish_suggestion(study, study.trials[0], SUGGESTION)
    data = json.loads(json.dumps(study_statistics(study).to_dict()))
    assert data["suggestions"]["0"]["exponent"] == 2.5
    assert data["failures"][0]["usage"]["cost_usd"] == 0.5


def test_the_trace_has_a_row_for_every_trial(study: optuna.Study) -> None:
    part = AnswerPart(0, 1, 10.0, 0.1, 1.0, 12.0, trust=0.8, region_weights=(0.5, 0.3), bayes_factors=(2.0, 1.2))
    records = [
        Suggestion(params={"x": 0.1}, phase="startup", n=0, log_prior=0.2),
        Suggestion(
            params={"x": 0.2},
            phase="model",
            n=1,
            exponent=10.0,
            log_acquisition=-3.0,
            log_prior=0.1,
            prior_score=1.0,
            feasibility_score=-0.4,
            loss_bound=12.0,
            answers=(part,),
            region="low",
        ),
    ]
    for record in records:
        publish_suggestion(study, study._storage.get_trial(study.ask()._trial_id), record)
    first, second = study_statistics(study).trace()
    assert (first["trial"], first["phase"], first["trust"], first["loss_bound"]) == (0, "startup", None, None)
    assert second == {
        "trial": 1,
        "phase": "model",
        "source": None,
        "region": "low",
        "n": 1,
        "exponent": 10.0,
        "loss_bound": 12.0,
        "log_acquisition": -3.0,
        "prior_score": 1.0,
        "log_prior": 0.1,
        "success_probability": None,
        "feasibility_score": -0.4,
        "trust": 0.8,
        "answers": [{"name": "answer of trial 0", **asdict(part)}],
    }


def test_the_answers_are_in_the_dict_and_read_back(study: optuna.Study) -> None:
    elicitation = Elicitation(ANSWER, interval_coverage=0.7)
    save_elicitation(study, elicitation)
    assert answers_of(study) == (elicitation,)
    (stored,) = study_statistics(study).to_dict()["answers"]
    assert Elicitation.from_json(json.dumps(stored)) == elicitation


def test_certificates_say_what_the_loss_bound_promises(study: optuna.Study) -> None:
    model = replace(SUGGESTION, exponent=0.1)
    for bound in (12.0, 2.5):
        publish_suggestion(study, study.ask()._get_latest_trial(), replace(model, loss_bound=bound))
    statistics = study_statistics(study)
    assert statistics.certificates == {
        0: "Not yet certified: at most 12 times the unweighted loss bound from here on.",
        1: "Certified: at most 2.5 times the unweighted loss bound from here on.",
    }
    assert statistics.certificate == (
        "1 of 2 suggestions of the model are certified: at most e times the unweighted loss bound. "
        f"The latest, trial 1: {statistics.certificates[1]}"
    )


@pytest.mark.parametrize(
    ("suggestion", "says"),
    [
        (replace(SUGGESTION, phase="startup"), "No certificate: a start-up point"),
        (replace(SUGGESTION, exponent=0.0, loss_bound=1.0), "Certified: the prior was not multiplied in"),
        (replace(SUGGESTION, loss_bound=math.inf), "No certificate: the density has no lower bound"),
    ],
)
def test_where_no_factor_can_be_told(suggestion: Suggestion, says: str) -> None:
    assert suggestion.certificate.startswith(says)
