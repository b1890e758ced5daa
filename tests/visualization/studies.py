"""A study with two answers, an unanswered question and trials, written without a sampler."""

from __future__ import annotations

from collections.abc import Mapping

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from llm_prior_bo import CategoricalBelief, Correlation, Elicitation, NumericBelief, PriorAnswer, Region
from llm_prior_bo.study.answer_records import save_elicitation, save_failure
from llm_prior_bo.study.trial_records import AnswerPart, Suggestion, publish_suggestion

PLANTED = "<script>window.planted = true</script><img src=x onerror='window.planted = true'>"

DISTRIBUTIONS: Mapping[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-5, 1.0, log=True),
    "dropout": FloatDistribution(0.0, 0.9),
    "layers": IntDistribution(1, 8),
    "optimizer": CategoricalDistribution(["adam", "sgd", PLANTED]),
}

ANSWER = PriorAnswer(
    notes=f"Small rates do well. {PLANTED}",
    regions=[Region(region=1, label=f"small {PLANTED}", weight=0.75), Region(region=2, label="large", weight=0.25)],
    numeric=[
        NumericBelief(region=1, parameter="rate", best=1e-3, low=3e-4, high=4e-3),
        NumericBelief(region=1, parameter="dropout", best=0.2, low=0.1, high=0.35),
        NumericBelief(region=2, parameter="layers", best=1, low=1, high=2),
    ],
    categorical=[CategoricalBelief(region=1, parameter="optimizer", choice="adam", weight=0.7)],
    correlations=[Correlation(region=1, first="rate", second="dropout", rho=0.6)],
    confidence=0.8,
)


def part(asked_at: int, score: float) -> AnswerPart:
    return AnswerPart(
        asked_at=asked_at,
        age=5,
        exponent=0.5,
        log_prior=2 * score,
        score=score,
        loss_bound=1.5,
        trust=0.9,
        region_weights=(0.6, 0.3),
        bayes_factors=(2.0, 1.0),
    )


def told_study(*, n_answers: int = 1, n_trials: int = 6, name: str = "told") -> optuna.Study:
    """Trials 0 and 1 are start-up points, the others maximise a score; the last one but one fails."""
    study = optuna.create_study(study_name=name)
    for i in range(n_answers):
        reason = "every" if i else ""
        save_elicitation(
            study,
            Elicitation(ANSWER, trial_number=3 * i, reason=reason, model="small", prompt_tokens=100, cost_usd=0.25),
        )
    for number in range(n_trials):
        trial = study.ask(dict(DISTRIBUTIONS))
        publish_suggestion(study, study.trials[number], suggestion(trial.params, number, n_answers))
        if number == n_trials - 2:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, 10.0 - number)
    save_failure(study, 4, f"Nobody there. {PLANTED}")
    return study


def suggestion(params: dict[str, object], number: int, n_answers: int) -> Suggestion:
    if number < 2:
        return Suggestion(params=params, phase="startup", n=number, slot=number, source="draw")
    parts = tuple(part(3 * i, 0.25 + i) for i in range(n_answers))
    return Suggestion(
        params=params,
        phase="model",
        n=number,
        exponent=0.5,
        log_acquisition=-float(number),
        prior_score=sum(p.score for p in parts),
        loss_bound=1.5**n_answers,
        answers=parts,
    )
