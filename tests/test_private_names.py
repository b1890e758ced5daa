"""Private names of other libraries: docs/explanation/private_names.md lists them; tests: here and in `tests/study`."""

from __future__ import annotations

import ast
import inspect
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from botorch.acquisition.analytic import ExpectedImprovement, LogExpectedImprovement
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.models import SingleTaskGP
from gpytorch.kernels import MaternKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood

import llm_prior_bo

PACKAGE = Path(llm_prior_bo.__file__).parent
ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| `([^`]+)` \| (.+?) \| `([^`]+)` \| (.+) \| `([^`]+)` \|$", re.MULTILINE)
PLAIN = {
    *("retry_history", "fixed_params", "study:metric_names", "batched_lbfgs_b", "raw_outputscale", "raw_lengthscale"),
    *("raw_outputscale_constraint", "raw_lengthscale_constraint", "raw_noise_constraint"),
}
"""Names that nothing in them shows to be private."""

Use = tuple[str, str]
"""A name, and the file of the package in which it is used."""


def table() -> list[tuple[str, ...]]:
    return ROW.findall((ROOT / "docs" / "explanation" / "private_names.md").read_text(encoding="utf-8"))


def is_private(name: str) -> bool:
    return name in PLAIN or (name.startswith("_") and not name.startswith("__"))


def own_names(trees: list[ast.AST]) -> set[str]:
    """What the package itself defines: functions, classes, attributes and variables."""
    names = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def names_in(node: ast.AST) -> Iterator[str]:
    """Names that a node of the syntax tree takes from an object or a library, and texts that may be such names."""
    if isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("llm_prior_bo"):
        yield from (node.module or "").split(".")
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 60:
        yield node.value  # of getattr, or an attribute's key
        yield from node.value.split(".") if re.fullmatch(r"[a-z]+(\._?[a-z_]+)+", node.value) else ()


def used() -> set[Use]:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
    own = own_names(list(trees.values())) - {"_log"}  # also the name of loggers here
    own |= {"_exit"}  # of os, documented for all its underscore
    found = set()
    for path, tree in trees.items():
        for name in (name for node in ast.walk(tree) for name in names_in(node)):
            if is_private(name) and name not in own and re.fullmatch(r"[\w:]+", name):
                found.add((name, path.relative_to(PACKAGE).as_posix()))
    return found


def test_the_table_is_what_the_code_uses() -> None:
    assert {(name, place) for name, _, place, _, _ in table()} == used()


@pytest.mark.parametrize(("name", "guard"), [(row[0], row[4]) for row in table()])
def test_each_is_named_by_the_test_that_guards_it(name: str, guard: str) -> None:
    functions = [
        ast.unparse(node)
        for node in ast.walk(ast.parse((ROOT / guard).read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert any(name in text for text in functions)


def model() -> SingleTaskGP:
    X = torch.linspace(0, 1, 5, dtype=torch.float64).unsqueeze(-1)
    return SingleTaskGP(X, X**2)


@pytest.mark.filterwarnings("ignore::botorch.exceptions.warnings.NumericsWarning")
def test_botorch_marks_log_values_as_log() -> None:
    """`AcquisitionFunction._log`."""
    gp = model()
    assert LogExpectedImprovement(gp, best_f=0.5)._log is True
    assert qLogNoisyExpectedImprovement(gp, gp.train_inputs[0])._log is True
    assert not getattr(ExpectedImprovement(gp, best_f=0.5), "_log", False)


def test_botorch_puts_pending_points_behind_the_full_baseline() -> None:
    """`qLogNoisyExpectedImprovement._X_baseline` and `_full_X_baseline`."""
    gp = model()
    acqf = qLogNoisyExpectedImprovement(gp, gp.train_inputs[0], prune_baseline=False, incremental=True)
    pending = torch.tensor([[0.33], [0.66]], dtype=torch.float64)
    acqf.set_X_pending(pending)
    assert getattr(acqf, "X_pending") is None  # noqa: B009 - a type checker thinks that it never is
    baseline, full_baseline = acqf._X_baseline, acqf._full_X_baseline
    assert isinstance(baseline, torch.Tensor)
    assert isinstance(full_baseline, torch.Tensor)
    assert len(baseline) == 5
    assert torch.equal(full_baseline[5:], pending)


def test_botorch_batched_lbfgs_b_searches_from_many_starts() -> None:
    """`batched_lbfgs_b.fmin_l_bfgs_b_batched` with the installed SciPy, and the arguments that are passed to it."""
    from botorch.optim.batched_lbfgs_b import fmin_l_bfgs_b_batched

    def loss(x: np.ndarray, batch_indices: list[int]) -> tuple[np.ndarray, np.ndarray]:
        assert len(x) == len(batch_indices)
        return ((x - 0.3) ** 2).sum(axis=-1), 2 * (x - 0.3)

    starts = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 1.0]])
    options = {"maxiter": 50, "ftol": 1e-9, "factr": None, "pass_batch_indices": True}
    x, values, _ = fmin_l_bfgs_b_batched(loss, starts, bounds=[(0.0, 0.25), (0.0, 1.0)], **options)  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(x, [[0.25, 0.3]] * 3, atol=1e-4)
    np.testing.assert_allclose(values, [0.0025] * 3, atol=1e-6)


def test_gpytorch_keeps_raw_hyperparameters_and_their_constraints() -> None:
    """`raw_outputscale`, `raw_lengthscale`, and `raw_..._constraint` with a `lower_bound`, of noise too."""
    kernel, likelihood = ScaleKernel(MaternKernel(nu=2.5)), GaussianLikelihood()
    assert isinstance(kernel.raw_outputscale, torch.nn.Parameter)
    assert isinstance(kernel.base_kernel.raw_lengthscale, torch.nn.Parameter)
    assert float(kernel.raw_outputscale_constraint.lower_bound) >= 0.0
    assert float(kernel.base_kernel.raw_lengthscale_constraint.lower_bound) >= 0.0
    assert float(likelihood.noise_covar.raw_noise_constraint.lower_bound) > 0.0


def test_litellm_tells_the_cost_in_hidden_params() -> None:
    """`ModelResponse._hidden_params`, in which LiteLLM puts `response_cost`."""
    from litellm import ModelResponse
    from litellm.litellm_core_utils.llm_response_utils import response_metadata

    assert isinstance(ModelResponse()._hidden_params, dict)
    assert "response_cost" in inspect.getsource(response_metadata)


def test_the_openai_client_logs_as_its_base_client() -> None:
    """Logger `openai._base_client`."""
    from openai import _base_client

    assert _base_client.log is logging.getLogger("openai._base_client")
