from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.scripts import ROOT, run_python

MODULE = """
import optuna

def objective(trial):
    rate = trial.suggest_float("learning_rate", 1e-5, 0.1, log=True)
    trial.suggest_categorical("optimizer", ["adam", "sgd"])
    return abs(rate - 2e-3)

def broken(trial):
    raise ValueError("no data")

def fragile(trial):
    if trial.study.user_attrs["seed"] == 1:
        raise ValueError("no data")
    return objective(trial)

def factory(seed):
    return optuna.samplers.RandomSampler(seed=seed)
"""
NAME = "compared_by_command"


@pytest.fixture
def folder(run: Run, tmp_path: Path) -> Iterator[Path]:  # noqa: ARG001 - in its folder
    """The folder with a module of objectives."""
    (tmp_path / f"{NAME}.py").write_text(MODULE, encoding="utf-8")
    yield tmp_path
    sys.modules.pop(NAME, None)


@pytest.mark.usefixtures("folder")
class TestCompare:
    def test_named_samplers_and_an_answer(self, run: Run) -> None:
        result = run(
            "compare", f"{NAME}:objective", "--sampler", "tpe", "--sampler", "random", "--answer", "answer.yaml",
            "--space", "space.json", "--n-trials", "6", "--seeds", "2", "--baseline", "tpe", "--out", "results.jsonl",
            "--figure", "figure.html",
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        assert [word for word in ("llm-prior", "Against tpe", "too few seeds") if word not in result.stdout] == []
        assert "Written: results.jsonl" in result.stdout
        assert len(Path("results.jsonl").read_text().splitlines()) == 6
        assert "plotly" in Path("figure.html").read_text(encoding="utf-8")

    def test_only_a_report(self, run: Run) -> None:
        base = ("compare", f"{NAME}:objective", "--sampler", "random", "--sampler", f"{NAME}:factory")
        first = run(*base, "--n-trials", "3", "--seeds", "2", "--out", "results.jsonl", "--json")
        again = run("compare", "--from", "results.jsonl", "--json")
        told, read = json.loads(first.stdout), json.loads(again.stdout)
        assert told["summaries"] == read["summaries"]
        assert told["exit_code"] == read["exit_code"] == 0
        assert (told["out"], read["out"]) == ("results.jsonl", None)
        assert (
            json.loads(run("compare", "--from", "results.jsonl", "--level", "1.0", "--json").stdout)["summaries"][0][
                "trials_to_level"
            ]["median"]
            == 1.0
        )

    def test_a_control_that_starts_from_defaults(self, run: Run) -> None:
        Path("defaults.yaml").write_text("learning_rate: 0.002\noptimizer: adam\n", encoding="utf-8")
        arguments = ("compare", f"{NAME}:objective", "--sampler", "tpe", "--sampler", "tpe+defaults")
        result = run(*arguments, "--defaults", "defaults.yaml", "--n-trials", "2", "--seeds", "1", "--json")
        best = {row["sampler"]: row["best"]["2"]["median"] for row in json.loads(result.stdout)["summaries"]}
        assert best["tpe+defaults"] == 0.0
        assert best["tpe"] > 0.0

    def test_failed_studies_are_a_problem(self, run: Run) -> None:
        result = run("compare", f"{NAME}:fragile", "--sampler", "random", "--n-trials", "1", "--seeds", "3")
        assert result.exit_code == 1
        assert "1 studies failed and are left out" in " ".join(result.stdout.split())

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ((), "an objective, as module:function, or --from with a file, one of the two"),
            ((f"{NAME}:objective", "--from", "results.jsonl"), "one of the two"),
            ((f"{NAME}:objective",), "--sampler with one of ['tpe', 'gp', 'random', 'cmaes', 'qmc'], or --answer"),
            ((f"{NAME}:objective", "--sampler", "bo"), "or module:function, got 'bo'"),
            ((f"{NAME}:missing", "--sampler", "tpe"), f"a Python object '{NAME}:missing'"),
            (("objective", "--sampler", "tpe"), "a Python object 'objective'"),
            ((f"{NAME}:objective", "--sampler", "tpe+defaults"), "got no --defaults"),
            ((f"{NAME}:objective", "--sampler", "tpe", "--defaults", "space.json"), "got no such sampler"),
            ((f"{NAME}:objective", "--sampler", "tpe+defaults", "--defaults", "list.json"), "a list of such, got []"),
            ((f"{NAME}:objective", "--sampler", "tpe", "--baseline", "gp"), "name one of ['tpe'], got 'gp'"),
            ((f"{NAME}:broken", "--sampler", "tpe", "--seeds", "1", "--n-trials", "1"), "ValueError: no data"),
            (("--from", "none.jsonl"), "'none.jsonl', which does not exist"),
        ],
    )  # fmt: skip
    def test_misuse(self, run: Run, arguments: tuple[str, ...], told: str) -> None:
        Path("list.json").write_text("[]", encoding="utf-8")
        result = run("compare", *arguments)
        assert result.exit_code == 2
        assert told in " ".join(result.stderr.split())

    def test_objectives_of_the_current_folder_reach_other_processes(self, folder: Path) -> None:
        told = run_python(
            """
            import os, sys
            from llm_prior_bo.cli import main
            if __name__ == "__main__":
                os.chdir(sys.argv.pop(1))
                main()
            """,
            str(folder), "compare", f"{NAME}:objective", "--sampler", "random", "--seeds", "2", "--n-trials", "2",
            "--jobs", "2", "--json", PYTHONPATH=str(ROOT),
        )  # fmt: skip
        assert json.loads(told)["summaries"][0]["n_studies"] == 2
