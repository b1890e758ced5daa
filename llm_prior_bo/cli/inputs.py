"""What commands are given: search spaces, studies, and what is said of a problem."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import optuna
import typer
import yaml
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from llm_prior_bo.elicitation.answer_file import YAML_SUFFIXES
from llm_prior_bo.elicitation.files import read_text_file
from llm_prior_bo.errors import ConfigurationError, SearchSpaceError
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.answer_records import load_elicitations
from llm_prior_bo.study.stored_space import space_of_study

if TYPE_CHECKING:
    from optuna import Study

SpaceOption = Annotated[
    str | None,
    typer.Option("--space", metavar="FILE|MODULE:ATTR", help="Search space: JSON or YAML file, or a Python object."),
]
StorageOption = Annotated[
    str | None, typer.Option("--storage", metavar="URL", help="Optuna storage: an address, or a journal file.")
]
StudyOption = Annotated[
    str | None, typer.Option("--study", metavar="NAME", help="Name of the study; the only one if left out.")
]

_KINDS: dict[str, Callable[..., BaseDistribution]] = {
    "float": FloatDistribution,
    "int": IntDistribution,
    "categorical": CategoricalDistribution,
}
_EXAMPLE = '{"lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": true}}'
OBJECT_NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
"""A Python object, `module:attribute`."""


def space_from(space: str | None, study: Study | None) -> SearchSpace:
    """The search space that a user names, else that of a study.

    Raises:
        ConfigurationError: If neither is given or a file or object is none.
        SearchSpaceError: If what is given is no search space.
    """
    if space is not None:
        given = imported(space) if OBJECT_NAME.fullmatch(space) and not Path(space).exists() else read_data(space)
        if isinstance(given, SearchSpace):
            return given
        if not isinstance(given, Mapping):
            raise SearchSpaceError(f"Expected a search space, e.g. {_EXAMPLE}, got a {type(given).__name__}.")
        return SearchSpace({_name(name): _distribution(str(name), one) for name, one in given.items()})
    if study is None:
        raise ConfigurationError("Expected --space, or a study (--storage and --study), got neither.")
    return space_of_study(study, load_elicitations(study))


def study_from(storage: str | None, study: str | None) -> Study | None:
    """The stored study that a user names; `None` if no storage is given.

    Raises:
        ConfigurationError: If there is no such storage or study.
    """
    if storage is None:
        if study is not None:
            raise ConfigurationError("Expected --storage beside --study, got none.")
        return None
    opened = _open(storage)
    try:
        names = optuna.get_all_study_names(opened)
    except Exception as error:  # each backend has its own
        raise ConfigurationError(f"Expected a storage of Optuna's, got {type(error).__name__}: {error}") from None
    if study is None and len(names) == 1:
        study = names[0]
    if study not in names:
        told = ", ".join(map(repr, names)) or "none"
        raise ConfigurationError(f"Expected --study with one of the storage's studies ({told}), got {study!r}.")
    return optuna.load_study(study_name=study, storage=opened)


def required_study(storage: str | None, study: str | None) -> Study:
    """The same for a command that needs a study.

    Raises:
        ConfigurationError: As `study_from`, and if no storage is given.
    """
    found = study_from(storage, study)
    if found is None:
        raise ConfigurationError("Expected --storage (and --study), got none.")
    return found


def read_data(path: str | Path) -> Any:
    """What a JSON or YAML file holds.

    Raises:
        ConfigurationError: If it cannot be read, or is neither.
    """
    text = read_text_file(path, what="a file")
    try:
        return yaml.safe_load(text) if Path(path).suffix.lower() in YAML_SUFFIXES else json.loads(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"Expected JSON or YAML in {str(path)!r}, got another text: {error}") from None


def imported(name: str) -> Any:
    """A Python object by its name, `module:attribute`.

    Raises:
        ConfigurationError: If there is no such object.
    """
    module, _, attribute = name.partition(":")
    try:
        with current_folder_on_path():
            found = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"Expected a Python object {name!r} from the current folder, got: {error}") from None
    return found


@contextmanager
def current_folder_on_path() -> Iterator[None]:
    """Modules of the current folder can be imported inside, by processes started inside too."""
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


_SQLITE = b"SQLite format 3\0"
"""How every file of SQLite begins."""


def _open(storage: str) -> str | BaseStorage:
    """The storage; no file is made where there is none."""
    path = storage.removeprefix("sqlite:///") if storage.startswith("sqlite:///") else storage
    is_file = "://" not in path
    if is_file and not Path(path).exists():
        raise ConfigurationError(f"Expected the address of a storage or a file that is there, got {storage!r}.")
    if not is_file or path != storage:
        return storage
    with Path(path).open("rb") as file:
        is_database = file.read(len(_SQLITE)) == _SQLITE
    return f"sqlite:///{path}" if is_database else JournalStorage(JournalFileBackend(path))


def _distribution(name: str, given: object) -> BaseDistribution:
    """A distribution of Optuna's, or one as a dict: in short, or as Optuna writes it."""
    if isinstance(given, BaseDistribution):
        return given
    try:
        if isinstance(given, Mapping) and {"name", "attributes"} <= given.keys():
            return json_to_distribution(json.dumps(given))
        if isinstance(given, Mapping) and given.get("type") in _KINDS:
            arguments = {
                key: _number(key, value) for key, value in given.items() if key != "type" and value is not None
            }
            return _KINDS[given["type"]](**arguments)
    except (TypeError, ValueError) as error:
        raise SearchSpaceError(f"Expected a distribution for {name!r}, got {given!r}: {error}") from None
    raise SearchSpaceError(
        f"Expected a distribution for {name!r} with a type of {sorted(_KINDS)}, e.g. {_EXAMPLE}, got {given!r}."
    )


def _name(name: object) -> str:
    """The name of a parameter: YAML takes some words without quotes for something else."""
    if not isinstance(name, str):
        raise SearchSpaceError(f"Expected names of parameters as text, got {name!r}; put it in quotes.")
    return name


def _number(key: str, value: object) -> object:
    """A bound or step as a number: YAML's readers take `1e-5`, without a point, for text."""
    return float(value) if key in ("low", "high", "step") and isinstance(value, str) else value
