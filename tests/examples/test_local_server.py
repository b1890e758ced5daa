from __future__ import annotations

import local_server
import pytest

from llm_prior_bo import answers_of


def test_the_server_is_asked_once(capsys: pytest.CaptureFixture[str]) -> None:
    study = local_server.main(["--trials", "2"])
    assert capsys.readouterr().out.count("POST /v1/chat/completions: model 'local'") == 1
    (answer,) = answers_of(study)
    assert answer.prompt_tokens == 1200
    assert [region.weight for region in answer.answer.regions] == pytest.approx([0.65, 0.35])


def test_another_server_can_be_named() -> None:
    with local_server.serving() as api_base:
        study = local_server.main(["--api-base", api_base, "--model", "openai/mine", "--trials", "1"])
    assert len(study.trials) == 1
