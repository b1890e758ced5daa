"""Answers as files: written, edited, read back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from llm_prior_bo import load_answer, save_answer
from llm_prior_bo.elicitation import (
    Elicitation,
    FixedElicitor,
    FunctionClient,
    LLMElicitor,
    PriorAnswer,
    StudyContext,
    prompt_hash,
    render_prompt,
)
from llm_prior_bo.elicitation.answer_file import read_answer_file
from llm_prior_bo.errors import AnswerError, ConfigurationError
from llm_prior_bo.space import SearchSpace

Answer = dict[str, Any]


@pytest.fixture
def elicitation(context: StudyContext, answer: Answer) -> Elicitation:
    """A model's answer that needed one repair."""
    answer = {**answer, "numeric": [{**answer["numeric"][0], "high": 1.0}, *answer["numeric"][1:]]}
    return LLMElicitor(client=FunctionClient(lambda _: json.dumps(answer), model="some/model")).elicit(context)


@pytest.fixture(params=["answer.yaml", "answer.yml", "answer.json"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / "new folder" / str(request.param)


class TestRoundTrip:
    def test_an_answer(self, answer: Answer, path: Path, space: SearchSpace) -> None:
        given = PriorAnswer.model_validate({**answer, "notes": "first\n\nsecond: # no comment"})
        save_answer(given, path, space=space)
        assert load_answer(path) == given
        assert read_answer_file(path).origin is None

    def test_regions_are_numbered_in_order(self, path: Path) -> None:
        given = PriorAnswer.by_hand(numeric={"x": (1, 0, 2)})
        moved = given.model_copy(
            update={
                "regions": [given.regions[0].model_copy(update={"region": 7})],
                "numeric": [given.numeric[0].model_copy(update={"region": 7})],
            }
        )
        save_answer(moved, path)
        assert load_answer(path) == given

    def test_a_models_answer_keeps_where_it_came_from(
        self, context: StudyContext, elicitation: Elicitation, path: Path
    ) -> None:
        save_answer(elicitation, path, space=context.space)
        again = FixedElicitor(path).elicit(dataclasses.replace(context, trial_number=3))
        for name in ("answer", "model", "prompt_version", "prompt_hash", "created_at"):
            assert getattr(again, name) == getattr(elicitation, name)
        assert again.prompt_hash == prompt_hash(render_prompt(context))
        assert (again.n_attempts, again.cost_usd, again.trial_number) == (0, 0.0, 3)

    def test_an_edit_is_noticed(self, context: StudyContext, elicitation: Elicitation, path: Path) -> None:
        save_answer(elicitation, path)
        text = path.read_text(encoding="utf-8")
        assert "0.75" in text
        path.write_text(text.replace("0.75", "0.5"), encoding="utf-8")
        again = FixedElicitor(path).elicit(context)
        assert again.model == "some/model, edited by hand"
        assert again.prompt_hash == elicitation.prompt_hash
        assert again.answer.confidence == 0.5

    def test_comments_and_other_spellings_of_a_number_are_no_edit(
        self, context: StudyContext, elicitation: Elicitation, tmp_path: Path
    ) -> None:
        save_answer(elicitation, tmp_path / "a.yaml")
        text = (tmp_path / "a.yaml").read_text(encoding="utf-8")
        edited = "\n".join(line.split("  #")[0] for line in text.splitlines()).replace("0.75", "75 %") + "\n# mine\n"
        assert edited != text
        (tmp_path / "a.yaml").write_text(edited, encoding="utf-8")
        assert FixedElicitor(tmp_path / "a.yaml").elicit(context).model == "some/model"

    def test_another_answer_without_a_model(self, context: StudyContext, elicitation: Elicitation, path: Path) -> None:
        save_answer(dataclasses.replace(elicitation, model=None, created_at=""), path)
        again = FixedElicitor(path).elicit(context)
        assert again.model == "unknown"
        assert again.created_at


def test_what_a_person_sees(elicitation: Elicitation, space: SearchSpace, tmp_path: Path) -> None:
    save_answer(elicitation, tmp_path / "a.yaml", space=space)
    text = (tmp_path / "a.yaml").read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines()]
    assert "learning_rate: [0.001, 0.0003, 0.1]  # best, low, high; 0.0001 to 0.1, log scale" in lines
    assert "optimizer: {adam: 0.5, sgd: 0.25}  # probabilities; of adam, sgd, rmsprop" in lines
    assert "- [learning_rate, dropout, 0.5]" in lines
    assert "" not in lines
    assert 'model: "some/model"' in lines
    assert [line for line in lines if line.startswith("# Repaired: ") and "learning_rate" in line]


def test_units_of_every_kind_of_parameter(space: SearchSpace, tmp_path: Path) -> None:
    answer = PriorAnswer.by_hand(numeric={"momentum": (0.9, 0.5, 0.9), "units": (64, 32, 256), "other": (1, 0, 2)})
    save_answer(answer, tmp_path / "a.yaml", space=space)
    text = (tmp_path / "a.yaml").read_text(encoding="utf-8")
    assert "momentum: [0.9, 0.5, 0.9]  # best, low, high; 0 to 0.9, step 0.1" in text
    assert "units: [64, 32, 256]  # best, low, high; integer, 16 to 512, log scale" in text
    assert "other: [1, 0, 2]  # best, low, high\n" in text


class TestReading:
    def test_the_form_of_the_schema(self, answer: Answer, context: StudyContext, path: Path) -> None:
        path.parent.mkdir()
        path.write_text(json.dumps(answer, indent=1), encoding="utf-8")  # JSON is YAML
        assert load_answer(path) == PriorAnswer.model_validate(answer)
        assert FixedElicitor(path).elicit(context).answer == PriorAnswer.model_validate(answer)

    def test_the_form_of_the_schema_without_a_field(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("numeric: []\nregions: []", encoding="utf-8")
        with pytest.raises(AnswerError, match=r"Cannot use the file .*a\.yaml.*confidence: Field required"):
            load_answer(tmp_path / "a.yaml")

    def test_one_region_in_short(self, context: StudyContext, path: Path) -> None:
        path.parent.mkdir()
        path.write_text('{"layers": [3, 2, 5], "optimizer": {"adam": 0.9}}', encoding="utf-8")
        assert FixedElicitor(str(path)).elicit(context).model == "fixed"
        assert load_answer(path).numeric[0].best == 3

    def test_a_parameter_called_from(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("from: [1, 0, 2]", encoding="utf-8")
        assert load_answer(tmp_path / "a.yaml").numeric[0].parameter == "from"

    def test_a_wrong_line(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("layers: [3, 2, 5]\noptimizer: adam", encoding="utf-8")
        with pytest.raises(AnswerError, match=r"Cannot use the file .*a\.yaml.*got 'adam'; see line 2, 'optimizer'"):
            FixedElicitor(tmp_path / "a.yaml")

    def test_a_wrong_name_is_told_with_the_nearest(self, context: StudyContext, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("layers: [3, 2, 5]\nlearning_rat: [1e-3, 1e-4, 1e-2]", encoding="utf-8")
        with pytest.raises(AnswerError, match=r"'learning_rat' \(did you mean 'learning_rate'"):
            FixedElicitor(tmp_path / "a.yaml").elicit(context)

    def test_a_recording_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text('{"messages": [], "completions": []}', encoding="utf-8")
        with pytest.raises(AnswerError, match="use ReplayElicitor"):
            load_answer(tmp_path / "a.yaml")

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="No such file"):
            load_answer(tmp_path / "a.yaml")


class TestWriting:
    def test_edits_are_not_overwritten_by_chance(self, path: Path) -> None:
        first, second = (PriorAnswer.by_hand(numeric={"x": (best, 0, 3)}) for best in (1, 2))
        save_answer(first, path)
        with pytest.raises(ConfigurationError, match="overwrite=True"):
            save_answer(second, path)
        assert load_answer(path) == first
        save_answer(second, path, overwrite=True)
        assert load_answer(path) == second

    def test_the_name_says_the_format(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"\.yaml, \.yml or \.json"):
            save_answer(PriorAnswer.by_hand(numeric={"x": (1, 0, 3)}), tmp_path / "a.txt")

    def test_a_path_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("", encoding="utf-8")
        with pytest.raises(ConfigurationError, match="Cannot write"):
            save_answer(PriorAnswer.by_hand(numeric={"x": (1, 0, 3)}), tmp_path / "a" / "b.yaml")
