"""The page about the command line: help texts as they are, and a transcript that says what the commands say."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from llm_prior_bo.elicitation import Completion, LiteLLMClient, Messages
from tests.cli.conftest import ANSWER, Run
from tests.scripts import ROOT

PAGE = (ROOT / "docs" / "how_to" / "command_line.md").read_text(encoding="utf-8")
FILES = re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```', PAGE, re.DOTALL | re.MULTILINE)
CALLS = re.findall(r"^```text\n\$ llm-prior-bo ?([^\n]*)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
HELP = [(call, said) for call, said in CALLS if "--help" in call]
TRANSCRIPT = [(call, said) for call, said in CALLS if "--help" not in call]
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?")


def words(text: str) -> str:
    """The words of an output, without the frames of its tables: numbers depend on the machine."""
    return " ".join(NUMBER.sub("#", re.sub(r"[^\x00-\x7f]|[+|]", " ", text)).split())


def fake_model(self: LiteLLMClient, messages: Messages, schema: Mapping[str, Any]) -> Completion:  # noqa: ARG001
    return Completion(ANSWER.model_dump_json(), self.model, prompt_tokens=1500, completion_tokens=300, cost_usd=0.005)


@pytest.mark.parametrize(("call", "said"), HELP, ids=[call for call, _ in HELP])
def test_help(run: Run, call: str, said: str) -> None:
    assert run(*shlex.split(call)).stdout == said


def test_the_page_has_the_help_of_all_commands() -> None:
    assert [call for call, _ in HELP] == [
        "--help",
        *(f"{n} --help" for n in ("ask", "record", "show", "check", "explain", "report", "compare")),
    ]


@pytest.mark.usefixtures("study")
def test_transcript(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiteLLMClient, "complete", fake_model)
    for name, content in FILES:
        Path(name).write_text(content, encoding="utf-8")
    Path("answer.yaml").unlink()
    assert len(TRANSCRIPT) > 4
    for call, said in TRANSCRIPT:
        result = run(*shlex.split(call))
        assert words(result.output) == words(said), call


def test_words_keep_all_but_frames_and_numbers() -> None:
    assert words("│ a │ 1.5e-3 │\n└──┘ b: +2") == "a # b: #"
