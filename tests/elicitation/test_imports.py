from __future__ import annotations

from tests.scripts import run_python

# The package itself imports torch for its densities; a bare package object shows what this part needs alone.
SCRIPT = """
import sys, types
package = types.ModuleType("llm_prior_bo")
package.__path__ = [sys.argv[1]]
sys.modules["llm_prior_bo"] = package
import llm_prior_bo.elicitation as elicitation
elicitation.LLMElicitor("gpt-4o")
print(sorted({"litellm", "torch", "botorch", "gpytorch", "openai"} & set(sys.modules)))
"""


def test_importing_needs_neither_litellm_nor_torch() -> None:
    import llm_prior_bo.elicitation

    folder = llm_prior_bo.elicitation.__path__[0].removesuffix("/elicitation")
    assert run_python(SCRIPT, folder).strip() == "[]"
