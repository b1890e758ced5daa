from __future__ import annotations

import inspect
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import llm_prior_bo
from tests.scripts import ROOT, run_python

PUBLIC_NAMES = {
    "BoundedLossDecay",
    "CategoricalBelief",
    "ConstantDecay",
    "Correlation",
    "Elicitor",
    "ExponentialDecay",
    "FixedElicitor",
    "LLMElicitor",
    "LLMPriorSampler",
    "LinearDecay",
    "MixturePrior",
    "NumericBelief",
    "OptimumPrior",
    "PowerDecay",
    "PriorAnswer",
    "RefreshPolicy",
    "Region",
    "ReplayElicitor",
    "SearchSpace",
    "UniformPrior",
    "build_prior",
    "compare",
    "prior_weighted",
}


class TestPublicNames:
    def test_promised_names_are_exported(self) -> None:
        assert set(llm_prior_bo.__all__) >= PUBLIC_NAMES

    def test_all_exported_names_exist(self) -> None:
        missing = [name for name in llm_prior_bo.__all__ if not hasattr(llm_prior_bo, name)]
        assert missing == []

    def test_no_name_is_exported_twice(self) -> None:
        assert len(set(llm_prior_bo.__all__)) == len(llm_prior_bo.__all__)

    @pytest.mark.parametrize("name", sorted(PUBLIC_NAMES))
    def test_public_names_have_a_docstring(self, name: str) -> None:
        assert inspect.getdoc(getattr(llm_prior_bo, name))


def test_version_is_that_of_the_project_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert llm_prior_bo.__version__ == project["version"]


def test_types_are_published() -> None:
    assert (Path(llm_prior_bo.__file__).parent / "py.typed").is_file()


class TestImport:
    def test_leaves_heavy_and_optional_modules_alone(self) -> None:
        optional = ["litellm", "matplotlib", "pandas", "plotly", "sklearn"]
        code = f"import json, sys, llm_prior_bo; print(json.dumps([m for m in {optional!r} if m in sys.modules]))"
        assert json.loads(run_python(code)) == []

    def test_works_where_they_are_missing(self) -> None:
        hide = "import sys; sys.modules.update(dict.fromkeys(['litellm', 'matplotlib', 'plotly', 'pandas']))"
        assert run_python(f"{hide}; import llm_prior_bo; print(llm_prior_bo.__version__)").strip()

    def test_leaves_the_process_as_it_was(self) -> None:
        code = """
import logging, random, warnings
# SciPy adds filters, and so does NumPyro, which BoTorch's models import where it is installed.
import botorch.acquisition, botorch.models.fully_bayesian, scipy.sparse, scipy.special
import numpy as np, optuna, pydantic, torch

def state():
    seeds = torch.random.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()
    root = logging.getLogger()
    return seeds, torch.get_num_threads(), torch.get_default_dtype(), warnings.filters[:], root.handlers[:], root.level

before = state()
import llm_prior_bo
print(state() == before)
"""
        assert run_python(code).strip() == "True"


def test_imports_go_downwards_only() -> None:
    lint_imports = Path(sys.executable).parent / "lint-imports"
    if not lint_imports.exists():
        pytest.skip("import-linter is not installed")
    result = subprocess.run([lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
