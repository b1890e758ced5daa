from __future__ import annotations

import json
import math
import warnings
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import RandomSampler
from optuna.trial import TrialState, create_trial

from llm_prior_bo.elicitation import NumericQuantiles, RegionReport, StudyContext, StudyInsights
from llm_prior_bo.elicitation.prompt.context import (
    MAX_ATTRIBUTE_CHARACTERS,
    MAX_PARAMETER_DESCRIPTION_CHARACTERS,
    PARAMETER_ATTRIBUTES,
    READ_ATTRIBUTES,
    cut,
    misnamed_attributes,
    unknown_parameters,
)
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.context import study_context

SPACE = SearchSpace({"x": FloatDistribution(0.0, 1.0), "c": CategoricalDistribution(["a", None])})


def add(study: optuna.Study, *values: float, x: float = 0.5, **options: Any) -> None:
    params = {"x": x, "c": None}
    study.add_trial(create_trial(params=params, distributions=SPACE.distributions, values=list(values), **options))


def add_failed(study: optuna.Study, state: TrialState = TrialState.FAIL) -> None:
    study.add_trial(create_trial(state=state, params={"x": 0.1}, distributions={"x": SPACE.distributions["x"]}))


def shown(context: StudyContext) -> list[int]:
    return [trial.number for trial in context.trials]


class TestAttributes:
    def test_the_named_ones_and_no_others(self) -> None:
        study = optuna.create_study()
        study.set_user_attr("problem_description", "  digits ")
        study.set_user_attr("domain_knowledge", "")
        study.set_user_attr("owner", "me")
        context = study_context(study, SPACE)
        assert context.problem_description == "digits"
        assert context.domain_knowledge is None
        assert "owner" not in context.to_json()

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (1797, "1797"),
            ({"rows": 3}, '{"rows": 3}'),
            (["a", None], '["a", null]'),
            (float("nan"), "NaN"),
            (True, "true"),
            ("\ud800", "?"),
            (None, None),
        ],
    )
    def test_any_type_becomes_text(self, value: Any, text: str | None) -> None:
        study = optuna.create_study()
        study.set_user_attr("dataset_size", value)
        context = study_context(study, SPACE)
        assert context.dataset_size == text
        assert json.loads(context.to_json())["dataset_size"] == text

    def test_an_object_that_cannot_be_printed(self) -> None:
        class Rude:
            def __str__(self) -> str:
                raise RuntimeError

        study = optuna.create_study()
        study.set_user_attr("constraints", Rude())
        assert study_context(study, SPACE).constraints == "<Rude>"

    def test_long_text_is_cut_and_says_so(self) -> None:
        study = optuna.create_study()
        study.set_user_attr("domain_knowledge", "word " * 10_000)
        text = study_context(study, SPACE).domain_knowledge
        assert text is not None
        assert len(text) < MAX_ATTRIBUTE_CHARACTERS + 100
        assert text.endswith("[... cut, 49,999 characters in all]")

    def test_keys_do_not_get_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PROVIDER_API_KEY", "correcthorsebattery")
        study = optuna.create_study()
        study.set_user_attr("problem_description", "use sk-abcdef1234567890 or correcthorsebattery")
        assert study_context(study, SPACE).problem_description == "use [redacted] or [redacted]"


def test_metric_names_and_directions() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    assert study_context(study, SPACE).metric_names == ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(["loss", "speed"])
    context = study_context(study, SPACE)
    assert context.metric_names == ("loss", "speed")
    assert context.directions == ("minimize", "maximize")


def test_space_is_the_one_that_was_asked_about() -> None:
    context = study_context(optuna.create_study(), SPACE)
    assert context.space.fingerprint == SPACE.fingerprint
    assert context.space is context.space


def test_under_a_pruner_with_brackets() -> None:
    contexts: list[StudyContext] = []

    class Peeking(RandomSampler):
        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
            contexts.append(study_context(study, SPACE, trial_number=trial.number))
            return super().sample_relative(study, trial, search_space)

    study = optuna.create_study(sampler=Peeking(seed=0), pruner=optuna.pruners.HyperbandPruner(max_resource=9))
    study.set_user_attr("problem_type", "classification")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=4)
    assert [context.problem_type for context in contexts] == ["classification"] * 4
    assert [context.n_finished for context in contexts] == [0, 1, 2, 3]  # of all brackets
    assert [context.trial_number for context in contexts] == [0, 1, 2, 3]


class TestTrials:
    def test_counts(self) -> None:
        study = optuna.create_study()
        add(study, 1.0)
        add_failed(study)
        add_failed(study, TrialState.PRUNED)
        study.ask()
        context = study_context(study, SPACE, n_trials=20)
        assert (context.n_finished, context.n_unsuccessful, context.n_trials) == (1, 2, 20)
        assert context.trial_number == 4
        assert shown(context) == [0, 1, 2]
        assert [trial.state for trial in context.trials] == ["complete", "fail", "pruned"]
        assert context.trials[1].values is None

    @pytest.mark.parametrize(
        ("attribute", "budget"), [(50, 50), ("many", None), (True, None), (-1, None), (None, None)]
    )
    def test_budget_from_the_user_attribute(self, attribute: Any, budget: int | None) -> None:
        study = optuna.create_study()
        study.set_user_attr("n_trials", attribute)
        assert study_context(study, SPACE).n_trials == budget
        assert study_context(study, SPACE, n_trials=7).n_trials == 7

    def test_best_recent_and_failed_share_the_places(self) -> None:
        study = optuna.create_study()
        for i in range(20):
            add(study, float(i))
        for _ in range(5):
            add_failed(study)
        context = study_context(study, SPACE, max_context_trials=10)
        assert context.best_trials == (0, 1, 2, 3, 4)
        assert shown(context) == [0, 1, 2, 3, 4, 17, 18, 19, 23, 24]

    @pytest.mark.parametrize("limit", [0, 1, 2, 3, 5, 100])
    def test_never_more_than_asked_for(self, limit: int) -> None:
        study = optuna.create_study()
        for i in range(7):
            add(study, float(i))
            add_failed(study)
        context = study_context(study, SPACE, max_context_trials=limit)
        assert len(context.trials) == min(limit, 14)
        assert len(set(shown(context))) == len(context.trials)
        if limit:
            assert context.best_trials[0] == 0

    def test_negative_limit(self) -> None:
        with pytest.raises(ConfigurationError, match="max_context_trials >= 0, got -1"):
            study_context(optuna.create_study(), SPACE, max_context_trials=-1)

    @pytest.mark.parametrize(("direction", "best"), [("minimize", (0, 2)), ("maximize", (3, 1))])
    def test_best_depends_on_the_direction(self, direction: Any, best: tuple[int, ...]) -> None:
        study = optuna.create_study(direction=direction)
        for value in (-math.inf, 5.0, 1.0, math.inf):
            add(study, value)
        assert study_context(study, SPACE, max_context_trials=2).best_trials == best

    def test_pareto_front_comes_first(self) -> None:
        study = optuna.create_study(directions=["minimize", "maximize"])
        for pair in [(3, 3), (1, 1), (2, 0), (5, 9), (4, 3)]:
            add(study, *pair)
        context = study_context(study, SPACE, max_context_trials=5)
        assert set(context.best_trials) == {0, 1, 3}

    def test_infeasible_trials_come_last(self) -> None:
        study = optuna.create_study()
        add(study, 0.0, constraints={"memory": 1.0})
        add(study, 1.0, constraints={"memory": -1.0})
        context = study_context(study, SPACE, max_context_trials=2)
        assert context.best_trials[0] == 1
        assert [trial.feasible for trial in context.trials] == [False, True]

    @pytest.mark.filterwarnings("ignore:Choices for a categorical distribution:UserWarning")
    def test_everything_is_json(self) -> None:
        study = optuna.create_study()
        add(study, math.inf)
        add_failed(study)
        strange = CategoricalDistribution([(1, 2)])  # type: ignore[list-item]
        study.add_trial(create_trial(params={"s": (1, 2)}, distributions={"s": strange}, value=0.0))
        data = json.loads(study_context(study, SPACE).to_json())
        assert data["trials"][0]["values"] == ["inf"]
        assert data["trials"][2]["params"] == {"s": "(1, 2)"}
        assert data["distributions"]["c"] == {"type": "categorical", "choices": ["a", "None"]}
        assert data["distributions"]["x"] == {"type": "float", "low": 0.0, "high": 1.0, "log": False, "step": None}


MEANT = "did you mean 'momentum'?"


@pytest.mark.parametrize("name", PARAMETER_ATTRIBUTES)
class TestParameterTexts:
    def test_those_of_the_space_and_no_others(self, name: str) -> None:
        study = optuna.create_study()
        study.set_user_attr(name, {"x": " a share ", "c": None, "other": "?"})
        context = study_context(study, SPACE)
        assert getattr(context, name) == {"x": "a share"}
        assert json.loads(context.to_json())[name] == {"x": "a share"}

    @pytest.mark.parametrize("attribute", [None, "x: a share", ["x"], 3])
    def test_anything_else_says_nothing(self, name: str, attribute: Any) -> None:
        study = optuna.create_study()
        study.set_user_attr(name, attribute)
        assert getattr(study_context(study, SPACE), name) == {}

    def test_names_that_are_no_parameters_are_found(self, name: str) -> None:
        names = ["momentum", "dropout"]
        texts = {name: {"momentun": "?", "momentum": "!", "other": "?"}}
        (close,) = unknown_parameters(texts, names, space_is_complete=False)  # another one may turn up yet
        assert close == f"The study's user attribute {name!r} names 'momentun', which is no parameter; {MEANT}"
        assert unknown_parameters(texts, names, space_is_complete=True) == [
            close,
            f"The study's user attribute {name!r} names 'other', which is no parameter; "
            "the parameters are 'momentum', 'dropout'.",
        ]
        assert unknown_parameters({name: ["momentun"]}, names, space_is_complete=True) == []

    def test_long_ones_are_cut_and_keys_masked(self, name: str) -> None:
        study = optuna.create_study()
        study.set_user_attr(name, {"x": "word " * 1_000, "c": "sk-abcdef1234567890"})
        descriptions = getattr(study_context(study, SPACE), name)
        assert len(descriptions["x"]) < MAX_PARAMETER_DESCRIPTION_CHARACTERS + 50
        assert descriptions["x"].endswith("[... cut, 4,999 characters in all]")
        assert descriptions["c"] == "[redacted]"


class TestCut:
    def test_short_text_stays(self) -> None:
        assert cut("abc", 3) == "abc"

    def test_cut_twice_still_tells_the_first_length(self) -> None:
        once = cut("x" * 5_000, 1_000)
        assert cut(once, 100) == f"{'x' * 100} [... cut, 5,000 characters in all]"


class TestInsights:
    INSIGHTS = StudyInsights(
        n_trials=3,
        importance={"x": 1.0},
        optimum={"x": NumericQuantiles(0.1, 0.2, math.inf), "c": {"a": 0.5, "None": 0.5}},
        regions=(RegionReport("r", 0, 0.5, 0.25, beliefs={"x": NumericQuantiles(0.1, 0.2, 0.3)}),),
        reason="every",
        trials=(7, 1, 2),
    )

    def test_trials_that_they_rest_on_are_known(self) -> None:
        study = optuna.create_study()
        for i in range(8):
            add(study, float(i))
        context = study_context(study, SPACE, max_context_trials=2, insights=self.INSIGHTS)
        assert shown(context) == [0, 1]
        assert context.known_trials == (7, 1, 2)
        assert context.trial_numbers == (0, 1, 2, 7)

    def test_without_them_those_shown_are_known(self) -> None:
        study = optuna.create_study()
        add(study, 1.0)
        context = study_context(study, SPACE)
        assert context.known_trials == ()
        assert context.trial_numbers == (0,)

    def test_json(self) -> None:
        context = StudyContext(distributions=SPACE.distributions, insights=self.INSIGHTS)
        data = json.loads(context.to_json())["insights"]
        assert data["optimum"] == {"x": {"low": 0.1, "median": 0.2, "high": "inf"}, "c": {"a": 0.5, "None": 0.5}}
        assert data["regions"][0]["beliefs"] == {"x": {"low": 0.1, "median": 0.2, "high": 0.3}}
        assert data["trials"] == [7, 1, 2]
        assert json.loads(StudyContext(distributions=SPACE.distributions).to_json())["insights"] is None


class TestFewerTrials:
    @pytest.mark.parametrize("limit", [0, 1, 2, 5, 10, 11])
    def test_as_if_fewer_had_been_asked_for(self, limit: int) -> None:
        study = optuna.create_study()
        for i in range(20):
            add(study, float(i % 7))
        for _ in range(5):
            add_failed(study)
        context = study_context(study, SPACE, max_context_trials=25)
        fewer = context.with_fewer_trials(limit)
        asked = study_context(study, SPACE, max_context_trials=limit)
        assert shown(fewer) == shown(asked)
        assert fewer.best_trials == asked.best_trials

    def test_enough_room(self) -> None:
        study = optuna.create_study()
        add(study, 1.0)
        context = study_context(study, SPACE)
        assert context.with_fewer_trials(1) is context


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("description", "problem_description"),
        ("Problem description", "problem_description"),
        ("problem_descripton", "problem_description"),
        ("parameter_description", "parameter_descriptions"),
        ("condition", "conditions"),
        ("parameter conditions", "conditions"),
        ("constraint", "constraints"),
        ("domain-knowledge", "domain_knowledge"),
        ("dataset", "dataset_size"),
        ("model", "model_type"),
    ],
)
def test_attributes_under_another_name_are_found(given: str, meant: str) -> None:
    assert misnamed_attributes([given, "n_trials", "best_seed", "git_commit", "notes"]) == {given: meant}
    assert misnamed_attributes([given, meant]) == {}  # then it is some note of the user's


def test_attributes_under_their_names_are_no_mistake() -> None:
    assert misnamed_attributes([*READ_ATTRIBUTES, "owner", "version"]) == {}
