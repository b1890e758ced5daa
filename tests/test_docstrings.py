"""Every public name has a docstring, says what its arguments are, and has its place in the reference.

Ruff asks for docstrings where a function is written. It does not see constants and type aliases, nor arguments and
fields that are described nowhere, nor a page that a name is missing from.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel

import llm_prior_bo

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"


def public_modules() -> list[ModuleType]:
    """All modules without an underscore in their path."""
    found = pkgutil.walk_packages(llm_prior_bo.__path__, "llm_prior_bo.")
    names = [info.name for info in found if not any(part.startswith("_") for part in info.name.split("."))]
    return [llm_prior_bo, *map(importlib.import_module, names)]


MODULES = public_modules()
EXPORTED = sorted({f"{module.__name__}.{name}" for module in MODULES for name in getattr(module, "__all__", ())})
"""What is in an `__all__`, by its full name."""


def resolve(path: str) -> Any:
    """What a full name is imported as: where a module and a function share it, the function."""
    module, _, name = path.rpartition(".")
    found = getattr(importlib.import_module(module), name, None)
    return importlib.import_module(path) if found is None else found


def is_defined(thing: Any) -> bool:
    """Whether it is a class or function, which has a docstring of its own, and not a constant or an alias."""
    return inspect.isclass(thing) or inspect.isfunction(thing)


def own_docstring(thing: Any) -> str:
    """What was written, not inherited or made up by `dataclass`."""
    text: str = thing.__doc__ or ""
    return "" if inspect.isclass(thing) and is_dataclass(thing) and text.startswith(f"{thing.__name__}(") else text


def functions_of(owner: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that a class defines itself."""
    for name, member in vars(owner).items():
        function = getattr(member, "fget", None) or getattr(member, "func", None) or getattr(member, "__func__", member)
        if not name.startswith("_") and inspect.isfunction(function) and function.__module__ == owner.__module__:
            yield name, function


def definitions(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Public functions and classes that a module defines, and the public methods and properties of the classes."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(thing):
            yield name, thing
            yield from ((f"{name}.{method}", function) for method, function in functions_of(thing))
        elif inspect.isfunction(thing):
            yield name, thing


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_everything_public_has_a_docstring(module: ModuleType) -> None:
    assert module.__doc__
    assert [name for name, thing in definitions(module) if not own_docstring(thing).strip()] == []


def test_many_are_looked_at() -> None:
    assert sum(len(list(definitions(module))) for module in MODULES) > 600


def texts_after_assignments(body: list[ast.stmt]) -> dict[str, str]:
    """Name -> the string literal that follows its assignment."""
    texts: dict[str, str] = {}
    for statement, following in pairwise(body):
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        text = following.value if isinstance(following, ast.Expr) else None
        if isinstance(text, ast.Constant) and isinstance(targets[0], ast.Name):
            texts[targets[0].id] = str(text.value)
    return texts


def documented_assignments() -> dict[str, str]:
    """The texts of constants, type aliases and fields of all public modules; fields as `Class.field`."""
    texts: dict[str, str] = {}
    for module in MODULES:
        body = ast.parse(inspect.getsource(module)).body
        texts |= texts_after_assignments(body)
        for owner in (statement for statement in body if isinstance(statement, ast.ClassDef)):
            texts |= {f"{owner.name}.{name}": text for name, text in texts_after_assignments(owner.body).items()}
    return texts


ASSIGNMENTS = documented_assignments()


@pytest.mark.parametrize("path", [path for path in EXPORTED if not is_defined(resolve(path))])
def test_constants_and_aliases_have_a_docstring(path: str) -> None:
    assert ASSIGNMENTS.get(path.rpartition(".")[2])


def arguments_of(thing: Any) -> list[str]:
    """Names of a function's arguments, or of a class's that has a constructor or fields of its own."""
    if not (inspect.isfunction(thing) or "__init__" in vars(thing) or issubclass(thing, BaseModel)):
        return []
    parameters = inspect.signature(thing).parameters.values()
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [parameter.name for parameter in parameters if parameter.kind not in variable and parameter.name != "self"]


@pytest.mark.parametrize("path", [path for path in EXPORTED if is_defined(resolve(path))])
def test_arguments_and_fields_are_described(path: str) -> None:
    thing = resolve(path)
    text = inspect.getdoc(thing) or ""
    missing = [name for name in arguments_of(thing) if not re.search(rf"\b{name}\b", text)]
    assert [name for name in missing if f"{thing.__name__}.{name}" not in ASSIGNMENTS] == []


def identity(path: str) -> Any:
    """The same for all places that a thing can be imported from."""
    thing = resolve(path)
    return thing if is_defined(thing) else path.rpartition(".")[2]


def contents(module: ModuleType) -> list[Any]:
    """Identities of what a module defines."""
    names = [*texts_after_assignments(ast.parse(inspect.getsource(module)).body)]
    return names + [thing for _, thing in definitions(module)]


DIRECTIVES = [
    path
    for page in sorted(REFERENCE.glob("*.md"))
    for path in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
]
"""Full names of what the pages of the reference document."""


class TestReference:
    def test_every_exported_name_has_a_place(self) -> None:
        modules = [thing for path in DIRECTIVES if isinstance(thing := resolve(path), ModuleType)]
        there = [*map(identity, DIRECTIVES), *(thing for module in modules for thing in contents(module))]
        assert [path for path in EXPORTED if identity(path) not in there] == []

    def test_nothing_has_two_places(self) -> None:
        identities = [*map(identity, DIRECTIVES)]
        assert [path for path, own in zip(DIRECTIVES, identities, strict=True) if identities.count(own) > 1] == []

    def test_the_first_page_lists_what_is_imported_from_the_package(self) -> None:
        text = (REFERENCE / "index.md").read_text(encoding="utf-8")
        assert sorted(re.findall(r"^\| \[`(\w+)`\]", text, re.MULTILINE)) == sorted(llm_prior_bo.__all__)
