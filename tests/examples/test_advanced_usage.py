from __future__ import annotations

import advanced_usage
import pytest

from llm_prior_bo import MixturePrior, PriorAnswer, SearchSpace, StudyContext, answers_of
from llm_prior_bo.elicitation.prompt.context import TrialSummary
from llm_prior_bo.elicitation.replay import read_exchanges


def test_both_studies(capsys: pytest.CaptureFixture[str]) -> None:
    studies = advanced_usage.main(n_trials=2)
    output = capsys.readouterr().out
    assert "few strong trees, cheap end of the front" in output
    asked, pooled = studies["asked"], studies["pooled"]
    assert [len(trial.values) for trial in asked.trials] == [2, 2]
    assert all(set(trial.constraints) == {"nodes"} for trial in asked.trials)
    assert len(answers_of(asked)) == 1
    assert answers_of(pooled) == ()


def test_pooled_density_has_the_regions_of_both() -> None:
    exchange = read_exchanges(advanced_usage.RECORDED_ANSWER)[0]
    model_answer = PriorAnswer.model_validate_json(exchange.completions[0])
    prior = advanced_usage.pooled_prior(model_answer)
    assert isinstance(prior, MixturePrior)
    # Two thirds of the model's confidence, one third of one's own.
    assert prior.weights.tolist() == pytest.approx([0.88 / 3, 0.88 / 3, 0.7 / 3])


def test_colleague_is_asked_after_trials_and_has_seen_them() -> None:
    space = SearchSpace(advanced_usage.SEARCH_SPACE)
    seen = TrialSummary(number=0, params={}, values=(0.1, 50.0), state="complete")
    context = StudyContext(dict(space.distributions), trials=(seen,), trial_number=1)
    elicitation = advanced_usage.ModelThenColleague().elicit(context)
    assert elicitation.model == "a colleague"
    assert elicitation.trials_shown == (0,)
    assert elicitation.answer.confidence == 0.7


@pytest.mark.parametrize(("n", "exponent"), [(0, 1.0), (10, 1.0), (16, 0.6), (25, 0.0), (40, 0.0)])
def test_own_decay(n: int, exponent: float) -> None:
    assert advanced_usage.fade_out(n) == pytest.approx(exponent)
