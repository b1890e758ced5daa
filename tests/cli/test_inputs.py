"""Search spaces and studies as a user names them."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution, distribution_to_json

from llm_prior_bo import SearchSpace
from llm_prior_bo.cli.inputs import read_data, space_from, study_from
from llm_prior_bo.errors import ConfigurationError, SearchSpaceError

SPACE = SearchSpace(
    {
        "rate": FloatDistribution(1e-5, 0.1, log=True),
        "n": IntDistribution(1, 9, step=2),
        "kind": CategoricalDistribution(["a", None, 3]),
    }
)
YAML = """
rate: {type: float, low: 1e-5, high: 0.1, log: true}
n: {type: int, low: 1, high: 9, step: 2}
kind: {type: categorical, choices: [a, null, 3]}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_space_in_yaml_and_in_json_and_as_optuna_writes_it() -> None:
    Path("space.yaml").write_text(YAML)
    Path("space.json").write_text(json.dumps(read_data("space.yaml")))
    optunas = {name: json.loads(distribution_to_json(d)) for name, d in SPACE.distributions.items()}
    Path("optuna.json").write_text(json.dumps(optunas))
    assert [space_from(name, None) for name in ("space.yaml", "space.json", "optuna.json")] == [SPACE] * 3


def test_a_python_object_of_the_folder() -> None:
    Path("my_space_module.py").write_text(
        "from optuna.distributions import FloatDistribution as F\n"
        "from llm_prior_bo import SearchSpace\n"
        "plain = {'x': F(0.0, 1.0)}\n"
        "class Holder:\n    space = SearchSpace(plain)\n"
        "number = 3\n"
    )
    expected = SearchSpace({"x": FloatDistribution(0.0, 1.0)})
    assert space_from("my_space_module:plain", None) == expected
    assert space_from("my_space_module:Holder.space", None) == expected
    with pytest.raises(SearchSpaceError, match="got a int"):
        space_from("my_space_module:number", None)
    with pytest.raises(ConfigurationError, match="Expected a Python object"):
        space_from("my_space_module:missing", None)
    with pytest.raises(ConfigurationError, match="Expected a Python object"):
        space_from("no_such_module:x", None)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("x: {type: real, low: 0, high: 1}", "a type of"),
        ("x: 3", "a type of"),
        ("x: {type: [1], low: 0}", "Expected a distribution for 'x'"),
        ("x: {type: float, low: 2, high: 1}", "Expected a distribution for 'x'"),
        ("x: {type: float, low: zero, high: 1}", "Expected a distribution for 'x'"),
        ("x: {name: Nothing, attributes: {}}", "Expected a distribution for 'x'"),
        ("on: {type: float, low: 0, high: 1}", "put it in quotes"),
        ("[1, 2]", "Expected a search space"),
    ],
)
def test_what_is_no_space(content: str, says: str) -> None:
    Path("space.yaml").write_text(content)
    with pytest.raises(SearchSpaceError, match=says):
        space_from("space.yaml", None)


def test_neither_space_nor_study() -> None:
    with pytest.raises(ConfigurationError, match="got neither"):
        space_from(None, None)


def test_a_file_that_is_neither_json_nor_yaml() -> None:
    Path("space.yaml").write_text("x: [")
    with pytest.raises(ConfigurationError, match="Expected JSON or YAML"):
        space_from("space.yaml", None)
    with pytest.raises(ConfigurationError, match="no_such_file"):
        space_from("no_such_file.json", None)


def test_a_study_by_name_and_the_only_one() -> None:
    storage = optuna.storages.RDBStorage("sqlite:///study.db")
    optuna.create_study(storage=storage, study_name="first")
    only = study_from("sqlite:///study.db", None)
    assert only is not None
    assert only.study_name == "first"
    optuna.create_study(storage=storage, study_name="second")
    second = study_from("sqlite:///study.db", "second")
    assert second is not None
    assert second.study_name == "second"
    with pytest.raises(ConfigurationError, match="'first', 'second'"):
        study_from("sqlite:///study.db", None)
    storage.engine.dispose()


def test_a_file_of_sqlite_needs_no_scheme() -> None:
    storage = optuna.storages.RDBStorage("sqlite:///study.db")
    optuna.create_study(storage=storage, study_name="one")
    found = study_from("study.db", None)
    assert found is not None
    assert found.study_name == "one"
    storage.engine.dispose()


def test_no_storage() -> None:
    assert study_from(None, None) is None
    with pytest.raises(ConfigurationError, match="Expected --storage beside --study"):
        study_from(None, "x")
    with pytest.raises(ConfigurationError, match="a file that is there"):
        study_from("sqlite:///nothing.db", None)
    assert not Path("nothing.db").exists()
    with pytest.raises(ConfigurationError, match="Expected a storage of Optuna's"):
        study_from("nonsense://host/db", None)
