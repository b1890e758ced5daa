from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from llm_prior_bo.elicitation import (
    BlindedElicitor,
    Elicitor,
    FixedElicitor,
    FunctionClient,
    LLMElicitor,
    Messages,
    NumericQuantiles,
    PriorAnswer,
    RecordingElicitor,
    RegionReport,
    ReplayElicitor,
    StudyContext,
    StudyInsights,
    TrialSummary,
    Usage,
    blind,
    prompt_hash,
    render_prompt,
    validate_answer,
)
from llm_prior_bo.elicitation.llm.spending import SpendingError, SpendingLimit

Answer = dict[str, Any]

FULL = {
    "problem_type": "secret type",
    "problem_description": "secret description",
    "constraints": "secret constraint",
    "domain_knowledge": "secret knowledge",
    "model_type": "secret model",
    "dataset_size": "secret size",
}


@pytest.fixture
def full(context: StudyContext) -> StudyContext:
    """A context with everything that gives something away."""
    return dataclasses.replace(
        context,
        **FULL,  # type: ignore[arg-type]
        metric_names=("secret metric",),
        parameter_descriptions={"dropout": "secret meaning"},
        conditions={"dropout": "only if secret meaning"},
        n_finished=1,
        n_trials=50,
        trials=(
            TrialSummary(
                4,
                {"learning_rate": 0.01, "optimizer": "sgd", "batch_size": 32, "warmup": False, "secret gone": 1},
                (0.5,),
                "complete",
            ),
        ),
        best_trials=(4,),
        trial_number=5,
        insights=StudyInsights(
            n_trials=1,
            importance={"dropout": 0.9, "secret gone": 0.1},
            optimum={"dropout": NumericQuantiles(0.1, 0.2, 0.3), "warmup": {"None": 0.5, "True": 0.25, "secret": 0.1}},
            regions=(RegionReport("secret label", 0, 0.5, 0.1, 0.2, {"optimizer": {"adam": 0.8}}),),
            reason="every",
            trials=(4,),
        ),
    )


def blinded_answer() -> Answer:
    """What a model might say to the blinded question, with one unknown parameter and one strange spelling."""
    return {
        "notes": "p1 is small",
        "regions": [{"region": 1, "label": "p1 low", "weight": 1.0}],
        "numeric": [
            {"region": 1, "parameter": "p1", "best": 1e-3, "low": 3e-4, "high": 5e-3},
            {"region": 1, "parameter": "p2", "best": 0.2, "low": 0.4, "high": 0.1},
            {"region": 1, "parameter": "p99", "best": 0.2, "low": 0.1, "high": 0.3},
        ],
        "categorical": [
            {"region": 1, "parameter": "p6", "choice": " C2 ", "weight": 0.5},
            {"region": 1, "parameter": "p7", "choice": "c2", "weight": 0.5},
            {"region": 1, "parameter": "p8", "choice": "c1", "weight": 0.5},
        ],
        "correlations": [{"region": 1, "first": "p1", "second": "p2", "rho": 0.5}],
        "confidence": 0.75,
    }


def answering(answer: Answer, asked: list[Messages]) -> LLMElicitor:
    def reply(messages: Messages) -> str:
        asked.append(messages)
        return json.dumps(answer)

    return LLMElicitor(client=FunctionClient(reply, model="m"))


class TestBlind:
    def test_nothing_is_given_away(self, full: StudyContext) -> None:
        for index in range(3):
            blinded, _ = blind(dataclasses.replace(full, answer_index=index))
            everything = blinded.to_json() + "".join(message["content"] for message in render_prompt(blinded))
            for word in ("secret", "learning_rate", "dropout", "momentum", "batch_size", "warmup"):
                assert word not in everything
            for word in ("adam", "rmsprop"):
                assert word not in everything

    def test_numbers_stay(self, full: StudyContext) -> None:
        text = render_prompt(blind(full)[0])[1]["content"]
        assert "- p1: float, from 0.0001 to 0.1, log scale\n" in text
        assert "- p4: int, from 16 to 512, log scale\n" in text
        assert '- p6: categorical, one of "c1", "c2", "c3"\n' in text
        assert "4 | 0.01 | - | - | - | - | c2 | c2 | c3 | 0.5 | best so far\n" in text
        assert "The budget is 50 trials in all." in text
        assert "- p2: matters 90 %, optimum at 0.1 / 0.2 / 0.3\n" in text
        assert '"region 1", asked at trial 0: 50 %, now 10 %, weakened' in text
        assert '"c1" 50 % or "c2" 25 %\n' in text

    def test_the_space_has_the_same_shape(self, full: StudyContext) -> None:
        blinded, _ = blind(full)
        assert blinded.space.names == tuple(f"p{i}" for i in range(1, 9))
        assert [column.n_values for column in blinded.space.columns] == [c.n_values for c in full.space.columns]
        assert blinded.trial_numbers == full.trial_numbers == (4,)
        assert blinded.trial_number == 5

    def test_a_value_that_is_no_choice_any_more_is_left_out(self) -> None:
        context = StudyContext(
            distributions={"a": CategoricalDistribution(["x", "y"]), "b": FloatDistribution(0, 1)},
            trials=(TrialSummary(0, {"a": "secret", "b": "secret"}, (1.0,), "complete"),),
        )
        assert blind(context)[0].trials[0].params == {}

    def test_the_context_is_left_alone(self, full: StudyContext) -> None:
        before = full.to_json()
        blind(full)
        assert full.to_json() == before


class TestReveal:
    def test_names_and_choices(self, context: StudyContext, answer: Answer) -> None:
        """An answer that is blinded by hand and revealed is the answer."""
        _, blinding = blind(context)
        neutral = {name: short for short, name in blinding.parameters.items()}
        hidden = PriorAnswer.model_validate(answer).model_copy(deep=True).model_dump()
        for row in hidden["numeric"]:
            row["parameter"] = neutral[row["parameter"]]
        for row in hidden["categorical"]:
            row["parameter"] = neutral[row["parameter"]]
            table = blinding.choices[row["parameter"]]
            row["choice"] = next(short for short, text in table.items() if text == row["choice"])
        for row in hidden["correlations"]:
            row["first"], row["second"] = neutral[row["first"]], neutral[row["second"]]
        assert blinding.reveal(PriorAnswer.model_validate(hidden)) == PriorAnswer.model_validate(answer)

    def test_unknown_ones_stay(self, context: StudyContext, answer: Answer) -> None:
        unblinded = PriorAnswer.model_validate(answer)
        assert blind(context)[1].reveal(unblinded) == unblinded

    def test_a_parameter_with_a_neutral_name(self) -> None:
        context = StudyContext(distributions={"p2": FloatDistribution(0, 1), "p1": FloatDistribution(0, 1)})
        _, blinding = blind(context)
        rows = PriorAnswer.by_hand(numeric={"p1": (0.1, 0.1, 0.1), "p2": (0.2, 0.2, 0.2)})
        assert [(row.parameter, row.best) for row in blinding.reveal(rows).numeric] == [("p2", 0.1), ("p1", 0.2)]

    @pytest.mark.parametrize(
        ("sentence", "revealed"),
        [
            ("The swapped bounds of 'p2' were put in order.", "The swapped bounds of 'dropout' were put in order."),
            ("The choice ' C2 ' of 'p6' was read as 'c2'.", "The choice ' C2 ' of 'optimizer' was read as 'sgd'."),
            (
                "A correlation of 'p1' and 'p2' was dropped",
                "A correlation of 'learning_rate' and 'dropout' was dropped",
            ),
            ("The unknown parameter 'p99' was dropped.", "The unknown parameter 'p99' was dropped."),
            ("Of 9 regions the 8 heaviest were kept.", "Of 9 regions the 8 heaviest were kept."),
        ],
    )
    def test_sentences(self, context: StudyContext, sentence: str, revealed: str) -> None:
        assert blind(context)[1].reveal_text(sentence) == revealed


class TestBlindedElicitor:
    def test_asks_without_names_and_answers_with_them(self, full: StudyContext) -> None:
        asked: list[Messages] = []
        elicitor = BlindedElicitor(answering(blinded_answer(), asked))
        assert isinstance(elicitor, Elicitor)
        elicitation = elicitor.elicit(full)
        assert asked == [render_prompt(blind(full)[0])]
        assert elicitation.messages == asked[0]
        assert elicitation.prompt_hash == prompt_hash(asked[0])
        assert "p1" in elicitation.raw_text
        assert [row.parameter for row in elicitation.answer.numeric] == ["learning_rate", "dropout"]
        choices = [(row.parameter, row.choice) for row in elicitation.answer.categorical]
        assert choices == [("optimizer", "sgd"), ("batch_size", "32"), ("warmup", "None")]
        assert elicitation.answer.correlations[0].second == "dropout"
        assert (elicitation.trials_shown, elicitation.trial_number) == ((4,), 5)

    def test_the_answer_fits_the_study(self, full: StudyContext) -> None:
        elicitation = BlindedElicitor(answering(blinded_answer(), [])).elicit(full)
        assert validate_answer(elicitation.answer, full.space) == (elicitation.answer, ())

    def test_repairs_name_the_parameters(self, full: StudyContext) -> None:
        repairs = BlindedElicitor(answering(blinded_answer(), [])).elicit(full).repairs
        assert "The swapped bounds of 'dropout' were put in order." in repairs
        assert "The choice ' C2 ' of 'optimizer' was read as 'sgd'." in repairs
        assert "The unknown parameter 'p99' was dropped." in repairs

    def test_replay_of_a_recording(self, full: StudyContext, tmp_path: Path) -> None:
        path = tmp_path / "r.json"
        asked = BlindedElicitor(RecordingElicitor(answering(blinded_answer(), []), path)).elicit(full)
        replayed = BlindedElicitor(ReplayElicitor(path, strict=True)).elicit(full)
        assert replayed.answer == asked.answer
        assert replayed.prompt_hash == asked.prompt_hash
        assert "dropout" not in path.read_text(encoding="utf-8")
        assert "secret" not in path.read_text(encoding="utf-8")

    def test_limits_are_those_of_the_one_who_answers(self, context: StudyContext) -> None:
        limit = SpendingLimit(budget_tokens=10)
        inner = LLMElicitor(client=FunctionClient(lambda _: json.dumps(blinded_answer())), limit=limit)
        elicitor = BlindedElicitor(inner)
        assert elicitor.limit is limit
        assert elicitor.elicit(context, spent=Usage()).answer.confidence == 0.75
        with pytest.raises(SpendingError):
            elicitor.elicit(context, spent=Usage(prompt_tokens=11, n_calls=1))
        fixed = BlindedElicitor(FixedElicitor(blinded_answer()))
        assert fixed.limit is None
        assert fixed.elicit(context, spent=Usage(prompt_tokens=11)).answer.confidence == 0.75

    def test_repr(self) -> None:
        assert repr(BlindedElicitor(LLMElicitor("gpt-4o"))).startswith("BlindedElicitor(LLMElicitor(")
