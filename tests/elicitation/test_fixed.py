from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from llm_prior_bo.elicitation import (
    FixedElicitor,
    PriorAnswer,
    StudyContext,
)
from llm_prior_bo.errors import AnswerError, ConfigurationError

Answer = dict[str, Any]


class TestFixedElicitor:
    @pytest.fixture(params=["answer", "dict", "text", "path", "path text"])
    def given(self, request: pytest.FixtureRequest, answer: Answer, tmp_path: Path) -> Any:
        path = tmp_path / "answer.json"
        path.write_text(json.dumps(answer), encoding="utf-8")
        forms = {"answer": PriorAnswer(**answer), "dict": answer, "text": json.dumps(answer), "path": path}
        return forms.get(request.param, str(path))

    def test_every_form(self, context: StudyContext, answer: Answer, given: Any) -> None:
        elicitation = FixedElicitor(given).elicit(dataclasses.replace(context, trial_number=3))
        assert elicitation.answer == PriorAnswer.model_validate(answer)
        assert json.loads(elicitation.raw_text) == answer
        assert (elicitation.model, elicitation.cost_usd, elicitation.prompt_hash) == ("fixed", 0.0, None)
        assert elicitation.trial_number == 3

    def test_another_space(self, context: StudyContext) -> None:
        other = PriorAnswer.by_hand(numeric={"eta": (0.1, 0.01, 0.3)})
        for form in (other, other.model_dump(), other.model_dump_json()):
            with pytest.raises(
                AnswerError, match=r"Expected beliefs about parameters of this search space.*got .*'eta'"
            ):
                FixedElicitor(form).elicit(context)

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"answer\.json.*No such file"):
            FixedElicitor(tmp_path / "answer.json")
        with pytest.raises(ConfigurationError, match="cannot be read"):
            FixedElicitor(tmp_path)

    @pytest.mark.parametrize("text", ["", "lr = 0.1", "{}", '{"lr": 0.1}', "[1]"])
    def test_a_file_without_an_answer(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "answer.json").write_text(text, encoding="utf-8")
        with pytest.raises(AnswerError, match=r"Cannot use the file .*answer\.json.*Expected"):
            FixedElicitor(tmp_path / "answer.json")

    def test_a_recording_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "r.json").write_text('{"messages": [], "completions": []}', encoding="utf-8")
        with pytest.raises(AnswerError, match="use ReplayElicitor"):
            FixedElicitor(tmp_path / "r.json")
