"""Where a suggestion came from, told from what its study holds."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution

from llm_prior_bo import FixedElicitor, LLMPriorSampler, PriorAnswer, SearchSpace, UniformPrior, build_prior, explain
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.study.trial_records import SUGGESTION_KEY, read_suggestion

SPACE = SearchSpace({"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)})
REGIONS = {
    "notes": "",
    "regions": [{"region": 1, "label": "low\x1b[31m", "weight": 0.7}, {"region": 2, "label": "high", "weight": 0.3}],
    "numeric": [
        {"region": 1, "parameter": "x", "best": 0.1, "low": 0.05, "high": 0.15},
        {"region": 2, "parameter": "x", "best": 0.9, "low": 0.85, "high": 0.95},
    ],
    "categorical": [],
    "correlations": [],
    "confidence": 0.9,
}


def objective(trial: optuna.Trial) -> float:
    x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
    if trial.number == 3:
        raise RuntimeError("no memory")
    return (x - 0.2) ** 2 + (y - 0.4) ** 2


def run(storage: str | None = None, *, answer: PriorAnswer | None = None, given: bool = True) -> optuna.Study:
    elicitor = FixedElicitor(PriorAnswer.model_validate(REGIONS) if answer is None else answer)
    sampler = LLMPriorSampler(elicitor=elicitor, search_space=SPACE if given else None, seed=0)
    study = optuna.create_study(sampler=sampler, storage=storage, study_name="tried")
    study.optimize(objective, 9, catch=RuntimeError)
    return study


@pytest.fixture(scope="module")
def study() -> optuna.Study:
    return run()


def test_a_start_up_point_is_the_most_probable_one_of_the_prior(study: optuna.Study) -> None:
    told = explain(study, 0)
    assert told.suggestion.source == "mode"
    assert (told.regions[0].asked_at, told.regions[0].label) == (0, "low\\u001b[31m")
    assert told.counterfactual is None
    assert "the most probable point of the prior" in str(told)
    assert 'in region "low\\u001b[31m"' in str(told)
    assert "\x1b" not in str(told)


def test_the_model_of_then_is_reproduced_from_another_process(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/study.db"
    run(storage)
    loaded = optuna.load_study(study_name="tried", storage=storage, sampler=optuna.samplers.RandomSampler())
    told = explain(loaded, 8)
    assert told.counterfactual is not None
    assert told.counterfactual.reproduced
    part = told.suggestion.answers[0]
    assert f"at most {part.loss_bound:.3g} times the unweighted loss bound from here on" in str(told)
    assert json.loads(json.dumps(told.to_dict()))["certificate"] == told.suggestion.certificate


def test_the_model_is_reproduced_where_the_space_was_found(study: optuna.Study) -> None:
    del study
    without = explain(run(given=False), 8).counterfactual
    assert without is not None
    assert without.reproduced


def test_without_an_opinion_the_counterfactual_is_what_was_suggested() -> None:
    study = optuna.create_study(sampler=LLMPriorSampler(prior=UniformPrior(SPACE), n_startup_trials=3, seed=0))
    study.optimize(objective, 6, catch=RuntimeError)
    told = explain(study, 5)
    assert told.counterfactual is not None
    assert told.counterfactual.params == told.suggestion.params
    assert told.suggestion.certificate.startswith("Certified")


def test_a_given_density_is_told_by_its_name() -> None:
    prior = build_prior(PriorAnswer.by_hand(numeric={"x": (0.2, 0.1, 0.3)}), SPACE)
    study = optuna.create_study(sampler=LLMPriorSampler(prior=prior, n_startup_trials=2, seed=0))
    study.optimize(objective, 3)
    told = explain(study, 2)
    assert [(share.name, share.asked_at) for share in told.regions] == [("given prior", -1)]
    assert "By the given prior it lies" in str(told)
    assert "Given prior: trust" in str(told)


def test_other_settings_are_said_plainly() -> None:
    sampler = LLMPriorSampler(elicitor=FixedElicitor(REGIONS), search_space=SPACE, seed=0, pruned="last_value")
    study = optuna.create_study(sampler=sampler)

    def pruned(trial: optuna.Trial) -> float:
        value = (
            objective(trial) if trial.number != 3 else trial.suggest_float("x", 0, 1) + trial.suggest_float("y", 0, 1)
        )
        trial.report(value, 0)
        if trial.number == 4:
            raise optuna.TrialPruned
        return value

    study.optimize(pruned, 8)
    told = explain(study, 7)
    assert told.counterfactual is not None
    assert not told.counterfactual.reproduced
    assert "could not be reproduced exactly" in str(told)


def test_a_record_of_an_earlier_version_has_no_seed(study: optuna.Study) -> None:
    trial = study.trials[8]
    record = json.loads(trial.system_attrs[SUGGESTION_KEY])
    del record["seed"]
    trial.system_attrs = {**trial.system_attrs, SUGGESTION_KEY: json.dumps(record)}
    other = optuna.create_study()
    other.add_trials([*study.trials[:8], trial])
    assert read_suggestion(other.trials[8]) is not None
    told = explain(other, 8)
    assert told.counterfactual is None
    assert "an earlier version made it" in str(told)


def test_parameters_that_nothing_tells_of() -> None:
    study = optuna.create_study()
    trial = optuna.trial.create_trial(value=1.0)
    trial.system_attrs[SUGGESTION_KEY] = json.dumps({"params": {"z\n": 0.5}, "phase": "model", "n": 1})
    study.add_trial(trial)
    told = explain(study, 0)
    assert told.why_no_counterfactual == "No trial or answer says what these parameters are: z\\n."


@pytest.mark.parametrize(("number", "says"), [(9, "a trial from 0 to 8"), (-1, "a trial from 0 to 8")])
def test_there_is_no_such_trial(study: optuna.Study, number: int, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        explain(study, number)


def test_a_trial_from_elsewhere() -> None:
    study = optuna.create_study()
    study.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(ConfigurationError, match="without a stored suggestion"):
        explain(study, 0)
