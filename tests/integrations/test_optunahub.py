"""The folder that is ready for OptunaHub's registry, loaded as OptunaHub loads it."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import optuna
import pytest
import yaml

import llm_prior_bo
from llm_prior_bo import PriorAnswer
from llm_prior_bo.elicitation import Completion, LiteLLMClient, Messages
from llm_prior_bo.study.diagnostics import study_statistics

optunahub = pytest.importorskip("optunahub")

ROOT = Path(__file__).parents[2]
REGISTRY = ROOT / "examples" / "optunahub-registry" / "package"
PACKAGE = "samplers/llm_prior"
FOLDER = REGISTRY / PACKAGE

load = partial(optunahub.load_local_module, registry_root=str(REGISTRY))


def test_it_is_the_installed_sampler() -> None:
    module = load(PACKAGE)
    assert isinstance(module, ModuleType)
    assert module.LLMPriorSampler is llm_prior_bo.LLMPriorSampler
    assert all(getattr(module, name) is getattr(llm_prior_bo, name) for name in module.__all__)


def test_the_example_runs() -> None:
    study = runpy.run_path(str(FOLDER / "example.py"))["main"](n_trials=7)
    assert [row["phase"] for row in study_statistics(study).trace()] == ["startup"] * 5 + ["model"] * 2


def test_the_example_of_the_readme_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the model and for the registry's server."""

    def answer(self: LiteLLMClient, messages: Messages, schema: Mapping[str, Any]) -> Completion:  # noqa: ARG001
        belief = PriorAnswer.by_hand(numeric={"learning_rate": (1e-3, 1e-4, 1e-2)})
        return Completion(text=json.dumps(belief.model_dump()), model=self.model)

    optimize = optuna.Study.optimize
    monkeypatch.setattr(LiteLLMClient, "complete", answer)
    monkeypatch.setattr(optunahub, "load_module", load)
    monkeypatch.setattr(optuna.Study, "optimize", lambda self, f, n_trials: optimize(self, f, min(n_trials, 3)))
    (code,) = re.findall(r"```python\n(.*?)```", (FOLDER / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    assert len(names["study"].trials) == 3
    assert study_statistics(names["study"]).elicitations


def test_the_header_of_the_readme() -> None:
    """What the registry's own check asks for (optunahub-registry/header_confirm.py there), and its tutorial."""
    header = yaml.safe_load((FOLDER / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert set(header) == {"author", "title", "description", "tags", "optuna_versions", "license"}
    assert all(isinstance(header[name], str) for name in ("author", "title", "description", "license"))
    assert all(isinstance(item, str) for name in ("tags", "optuna_versions") for item in header[name])
    assert "sampler" in header["tags"]
    assert header["license"] == "MIT License"


def test_the_files_that_the_registry_wants() -> None:
    names = {path.name for path in FOLDER.iterdir() if path.is_file()}
    assert names == {"__init__.py", "README.md", "LICENSE", "example.py", "requirements.txt"}
    assert (FOLDER / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize("name", ["LLMPriorSampler", "llm_prior_bo.LLMPriorSampler"])
def test_optunas_command_line_finds_its_own_samplers_only(name: str, tmp_path: Path) -> None:
    """What docs/integrations.md says of `optuna ask --sampler`; to be mended there once this fails."""
    storage = f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(study_name="s", storage=storage)
    options = ["--storage", storage, "--study-name", "s"]
    command = [sys.executable, "-c", "import sys; from optuna.cli import main; sys.exit(main())", "ask", *options]
    assert subprocess.run([*command, "--sampler", "RandomSampler"], capture_output=True, check=False).returncode == 0
    result = subprocess.run([*command, "--sampler", name], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "is not an optuna command" in result.stderr
    assert len(study.trials) == 1
