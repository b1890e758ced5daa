"""The Python code in README.md and docs/ runs: no key, no network, a few trials each.

The blocks of one page run in order and share their names, as a reader would type them. Language models are answered for
by `fake_model`, and `study.optimize` stops after a few trials.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partialmethod
from pathlib import Path
from typing import Any

import optuna
import pytest

from llm_prior_bo import LLMPriorSampler
from llm_prior_bo.elicitation import Completion, LiteLLMClient, Messages, PriorAnswer

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
MAX_TRIALS = 6
"""One more than the start-up phase, so that the surrogate is used."""

BELIEFS = {"learning_rate": (1e-3, 1e-4, 1e-2), "dropout": (0.2, 0.1, 0.5)}


def python_blocks(page: Path) -> list[tuple[int, str]]:
    """Line number and code of the Python blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, m.start(2)), m.group(2)) for m in FENCE.finditer(text) if m.group(1) == "python"]


def fake_model(self: LiteLLMClient, messages: Messages, schema: Mapping[str, Any]) -> Completion:  # noqa: ARG001
    """An answer about those parameters that are in the prompt."""
    asked = {name: belief for name, belief in BELIEFS.items() if f"- {name}: float" in messages[1]["content"]}
    answer = PriorAnswer.by_hand(numeric=asked)
    return Completion(text=json.dumps(answer.model_dump()), model=self.model, cost_usd=0.001)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What a reader of the pages has: a model that answers, an empty folder, a function that trains."""
    optimize = optuna.Study.optimize

    def short_optimize(self: optuna.Study, func: Any, n_trials: int, **options: Any) -> None:
        optimize(self, func, n_trials=min(n_trials, MAX_TRIALS), **options)

    monkeypatch.setattr(LiteLLMClient, "complete", fake_model)
    monkeypatch.setattr(optuna.Study, "optimize", short_optimize)
    monkeypatch.setattr(LLMPriorSampler, "__init__", partialmethod(LLMPriorSampler.__init__, seed=0))
    monkeypatch.chdir(tmp_path)
    return {"validation_error": lambda learning_rate, dropout, *_: abs(learning_rate - 0.01) + dropout}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_code_runs(page: Path, reader: dict[str, Any]) -> None:
    for line, code in python_blocks(page):
        # Blank lines in front, so that a traceback names the line of the page.
        exec(compile("\n" * line + code, str(page), "exec"), reader)


def test_pages_have_code() -> None:
    assert sum(len(python_blocks(page)) for page in PAGES) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_to_files_lead_somewhere(page: Path) -> None:
    targets = [target.split("#")[0] for target in LINK.findall(page.read_text(encoding="utf-8"))]
    files = [target for target in targets if target and "://" not in target]
    assert [target for target in files if not (page.parent / target).exists()] == []
