"""A person's mistakes are told; a language model's same ones are repaired."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo import FixedElicitor, LLMElicitor, LLMPriorSampler, PriorAnswer, StudyContext, build_prior
from llm_prior_bo.elicitation import FunctionClient
from llm_prior_bo.elicitation.answer.strict import nearest
from llm_prior_bo.errors import AnswerError, RepairedAnswerWarning
from llm_prior_bo.space import SearchSpace

SPACE = SearchSpace(
    {
        "learning_rate": FloatDistribution(1e-5, 1.0, log=True),
        "n_layers": IntDistribution(1, 8),
        "optimizer": CategoricalDistribution(["adam", "sgd", None]),
    }
)
CONTEXT = StudyContext(dict(SPACE.distributions), space_is_complete=True)
GOOD: dict[str, Any] = {"numeric": {"learning_rate": (1e-3, 1e-4, 1e-2)}, "categorical": {"optimizer": {"sgd": 0.9}}}
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"numeric": {"learning_rat": (1e-3, 1e-4, 1e-2)}}, r"'learning_rat' \(did you mean 'learning_rate'\?\)"),
    ({"numeric": {"n_layres": (2, 1, 3)}}, r"did you mean 'n_layers'"),
    ({"numeric": {"momentum": (0.9, 0.8, 1.0)}}, r"parameters 'learning_rate', 'n_layers', 'optimizer'.*'momentum'"),
    ({"categorical": {"optimiser": {"adam": 1.0}}}, r"did you mean 'optimizer'"),
    ({"categorical": {"optimizer": {"addam": 0.9}}}, r"'addam' of 'optimizer' \(did you mean 'adam'\?\), its choices"),
    ({"categorical": {"optimizer": {"lion": 0.9}}}, r"'lion' of 'optimizer', its choices are 'adam', 'sgd', 'None'"),
    ({"numeric": {"learning_rate": (5.0, 1e-4, 10.0)}}, r"'learning_rate' with best 5 and 0.0001 to 10 is outside its"),
    ({"numeric": {"n_layers": (-3, -5, 0)}}, r"'n_layers' with best -3 .* outside its range 1 to 8"),
]


def mistaken(change: dict[str, Any]) -> PriorAnswer:
    """The good answer with a further row that is wrong."""
    rows = {key: {**GOOD[key], **change.get(key, {})} for key in GOOD}
    return PriorAnswer.by_hand(numeric=rows["numeric"], categorical=rows["categorical"])


def run(sampler: LLMPriorSampler) -> optuna.Study:
    def objective(trial: optuna.Trial) -> float:
        trial.suggest_categorical("optimizer", ["adam", "sgd", None])
        return trial.suggest_float("learning_rate", 1e-5, 1.0, log=True) + trial.suggest_int("n_layers", 1, 8)

    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=1)
    return study


def changed(kind: str, index: int, **fields: Any) -> dict[str, Any]:
    """The good answer as a dict, some fields of one row changed."""
    answer: dict[str, Any] = json.loads(mistaken({}).model_dump_json())
    answer[kind][index] |= fields
    return answer


SLIPS: list[tuple[dict[str, Any], str]] = [
    (changed("regions", 0, weight=0.0), "the weights of all regions are 0: give at least one a positive weight"),
    (changed("regions", 0, weight=-1.0), "weight of region 1 is -1; write a number >= 0"),
    (changed("categorical", 0, choice="sgd "), "the choice 'sgd ' of 'optimizer' has blanks around it; write 'sgd'"),
    (
        {
            **changed("numeric", 0),
            "categorical": [
                {"region": 1, "parameter": "optimizer", "choice": choice, "weight": 0}
                for choice in ("adam", "sgd", "None")
            ],
        },
        "the weights of all choices of 'optimizer' in region 1 are 0: give one a positive weight",
    ),
    (changed("numeric", 0, region=3), "a row of region 3: the regions are 1"),
    (changed("numeric", 0, best="1e-3s"), "best of 'learning_rate' is '1e-3s', no finite number; .*without a unit"),
    (changed("numeric", 0, low=math.nan), "low of 'learning_rate' is NaN, no finite number"),
    (changed("numeric", 0, best=0.1), "best of 'learning_rate' is 0.1, not between its low 0.0001 and high 0.01"),
    (
        {**changed("numeric", 0), "numeric": [{"region": 1, "parameter": "n_layers", "bset": 2, "low": 1, "high": 3}]},
        "best of 'n_layers' is missing; is it 'bset'",
    ),
    ({**changed("numeric", 0), "confidence": -0.5}, "confidence is -0.5, no probability; write a number from 0 to 1"),
    (
        {("numerics" if key == "numeric" else key): value for key, value in changed("numeric", 0).items()},
        r"no field 'numerics' \(did you mean 'numeric'\?\)",
    ),
    (
        {
            **changed("numeric", 0),
            "correlations": [{"region": 1, "first": "n_layers", "second": "learning_rat", "rho": 0.5}],
        },
        r"no parameter 'learning_rat' in a correlation \(did you mean 'learning_rate'\?\)",
    ),
]


@pytest.mark.parametrize(("answer", "match"), SLIPS, ids=[match[:30] for _, match in SLIPS])
class TestSlips:
    """Rows that say nothing, or something else than was meant."""

    def test_of_a_person_are_told(self, answer: dict[str, Any], match: str) -> None:
        with pytest.raises(AnswerError, match=match):
            FixedElicitor(answer).elicit(CONTEXT)

    def test_of_a_model_are_repaired_and_recorded(self, answer: dict[str, Any], match: str) -> None:  # noqa: ARG002
        elicitor = LLMElicitor(client=FunctionClient(lambda _: json.dumps(answer)))
        assert elicitor.elicit(CONTEXT).repairs


@pytest.mark.parametrize(("answer", "match"), [SLIPS[0], SLIPS[2], SLIPS[3]], ids=["regions", "blank", "choices"])
def test_a_prior_is_not_built_of_nothing(answer: dict[str, Any], match: str) -> None:
    with pytest.raises(AnswerError, match=match):
        build_prior(PriorAnswer.model_validate(answer), SPACE)


def test_what_can_only_be_meant_in_one_way_is_repaired_for_a_person_too() -> None:
    swapped = changed("numeric", 0, low=1e-2, high=1e-4)
    assert FixedElicitor(swapped).elicit(CONTEXT).repairs == (
        "The swapped bounds of 'learning_rate' were put in order.",
    )


def test_a_choice_that_has_blanks_is_written_with_them() -> None:
    space = SearchSpace({"c": CategoricalDistribution(["a ", "b"])})
    prior = build_prior(PriorAnswer.by_hand(categorical={"c": {"a ": 0.9}}), space)
    assert space.decode(prior.mode()) == {"c": "a "}


@pytest.mark.parametrize(("change", "match"), MISTAKES)
class TestMistakes:
    def test_in_a_prior(self, change: dict[str, Any], match: str) -> None:
        with pytest.raises(AnswerError, match=match):
            build_prior(mistaken(change), SPACE)

    @pytest.mark.parametrize("form", ["answer", "dict", "text", "file"])
    def test_in_an_answer(self, change: dict[str, Any], match: str, form: str, tmp_path: Path) -> None:
        answer = mistaken(change)
        (tmp_path / "answer.json").write_text(answer.model_dump_json(), encoding="utf-8")
        forms: dict[str, Any] = {
            "answer": answer,
            "dict": answer.model_dump(),
            "text": answer.model_dump_json(),
            "file": tmp_path / "answer.json",
        }
        with pytest.raises(AnswerError, match=match):
            run(LLMPriorSampler(elicitor=FixedElicitor(forms[form]), search_space=SPACE))

    def test_of_a_model_are_repaired(self, change: dict[str, Any], match: str) -> None:  # noqa: ARG002
        text = mistaken(change).model_dump_json()
        elicitor = LLMElicitor(client=FunctionClient(lambda _: text))
        with pytest.warns(RepairedAnswerWarning):
            study = run(LLMPriorSampler(elicitor=elicitor, search_space=SPACE))
        assert isinstance(study.sampler, LLMPriorSampler)
        assert len(study.sampler.get_statistics(study).elicitations) == 1


class TestLeniency:
    def test_good_answers(self) -> None:
        build_prior(mistaken({}), SPACE)
        run(LLMPriorSampler(elicitor=FixedElicitor(mistaken({})), search_space=SPACE))

    def test_an_interval_may_reach_beyond_the_range(self) -> None:
        build_prior(PriorAnswer.by_hand(numeric={"n_layers": (8, 6, 12)}), SPACE)

    def test_of_a_larger_space(self) -> None:
        larger = mistaken({"numeric": {"momentum": (0.9, 0.8, 1.0)}})
        assert build_prior(larger, SPACE, lenient=True).regions[0].marginals.keys() == {"learning_rate", "optimizer"}

    def test_another_spelling_is_a_mistake_for_a_density_and_told_for_an_answer(self) -> None:
        answer = PriorAnswer.by_hand(numeric={"Learning-Rate": (1e-3, 1e-4, 1e-2)})
        with pytest.raises(AnswerError, match="did you mean 'learning_rate'"):
            build_prior(answer, SPACE)
        with pytest.warns(RepairedAnswerWarning, match="'Learning-Rate' was read as 'learning_rate'"):
            run(LLMPriorSampler(elicitor=FixedElicitor(answer), search_space=SPACE))

    def test_a_parameter_that_has_not_been_seen_yet(self) -> None:
        """Without a search space the first question is about what the first trial has asked for."""

        def objective(trial: optuna.Trial) -> float:
            if trial.number == 1:
                return trial.suggest_float("momentum", 0, 1)
            return trial.suggest_float("learning_rate", 1e-5, 1.0, log=True)

        conditional = {"learning_rate": (1e-3, 1e-4, 1e-2), "momentum": (0.5, 0.4, 0.6)}
        answer = PriorAnswer.by_hand(numeric=conditional)
        quiet: dict[str, Any] = {"warn_independent_sampling": False}
        study = optuna.create_study(sampler=LLMPriorSampler(elicitor=FixedElicitor(answer), **quiet))
        with pytest.warns(RepairedAnswerWarning, match="'momentum' was dropped"):
            study.optimize(objective, n_trials=2)
        typo = PriorAnswer.by_hand(numeric={"learning_rat": (1e-3, 1e-4, 1e-2), "momentum": (0.5, 0.4, 0.6)})
        study = optuna.create_study(sampler=LLMPriorSampler(elicitor=FixedElicitor(typo), **quiet))
        with pytest.raises(AnswerError, match="search space"):
            study.optimize(lambda t: t.suggest_float("learning_rate", 1e-5, 1.0, log=True), n_trials=2)


class TestKinds:
    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            ({"numeric": [("x", 1, 0, 2)]}, r"numeric to be a dict \{name: \(best, low, high\)\}"),
            ({"categorical": ["adam"]}, r"categorical to be a dict"),
            (
                {"categorical": {"optimizer": ["adam", "sgd"]}},
                r"categorical\['optimizer'\] to be a dict \{choice",
            ),
            ({"categorical": {"optimizer": "adam"}}, r"categorical\['optimizer'\] to be a dict"),
        ],
    )
    def test_a_list_where_a_dict_belongs(self, arguments: dict[str, Any], match: str) -> None:
        with pytest.raises(AnswerError, match=match):
            PriorAnswer.by_hand(**arguments)

    @pytest.mark.parametrize("value", [{"numeric": []}, [], None, "text"])
    def test_no_answer_at_all(self, value: Any) -> None:
        with pytest.raises(AnswerError, match="Expected a PriorAnswer, got a"):
            build_prior(value, SPACE)

    @pytest.mark.parametrize("value", [[], [{"numeric": []}], 3, None])
    def test_no_answer_for_an_elicitor(self, value: Any) -> None:
        with pytest.raises(AnswerError, match="Expected a PriorAnswer, a dict, JSON text or the path of a file"):
            FixedElicitor(value)


def test_many_mistakes_are_told_in_short() -> None:
    rows = {f"{i}" + "x" * 5_000: (1, 0, 2) for i in range(500)}
    with pytest.raises(AnswerError, match="and 495 more") as caught:
        build_prior(PriorAnswer.by_hand(numeric=rows), SPACE)
    assert len(str(caught.value)) < 2_000


def test_nearest() -> None:
    assert nearest("LEARNING_RAT", SPACE.names) == ["learning_rate"]
    assert nearest("zzz", SPACE.names) == []
    assert nearest(json.dumps({"a": 1}), SPACE.names) == []
