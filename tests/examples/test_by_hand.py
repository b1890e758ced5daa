from __future__ import annotations

import by_hand
import pytest

from llm_prior_bo import SearchSpace, build_prior, load_answer


def test_file_is_read_edited_and_used(capsys: pytest.CaptureFixture[str]) -> None:
    studies = by_hand.main(n_trials=2)
    output = capsys.readouterr().out
    assert "likeliest point: {'C': " in output
    assert all(name in output for name in studies)
    first = studies["belief of the file"].trials[0].params
    assert first == {"C": pytest.approx(5), "gamma": pytest.approx(0.1), "n_components": 8, "scaler": "standard"}


def test_edited_answer_is_another_density() -> None:
    answer, space = load_answer(by_hand.BELIEF), SearchSpace(by_hand.SEARCH_SPACE)
    assert build_prior(answer, space).weights.tolist() == pytest.approx([0.8 * 2 / 3, 0.8 / 3])
    assert build_prior(by_hand.edited(answer), space).weights.tolist() == pytest.approx([0.3, 0.3])
    assert answer.confidence == 0.8
