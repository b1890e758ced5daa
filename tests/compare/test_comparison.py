from __future__ import annotations

import json
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.samplers import RandomSampler, TPESampler

import llm_prior_bo
from llm_prior_bo import ComparisonTask, FixedElicitor, LLMPriorSampler, PriorAnswer, compare, read_comparison
from llm_prior_bo.compare import comparison
from llm_prior_bo.compare.inputs import Objective, SamplerFactory
from llm_prior_bo.compare.runner import read_records
from llm_prior_bo.errors import ConfigurationError
from tests.compare.objectives import SPACE, always_fails, half_fails, negative_square, seeded, square
from tests.scripts import run_python

SAMPLERS: dict[str, SamplerFactory] = {"TPE": TPESampler, "random": RandomSampler}
run = partial(compare, show_progress_bar=False)


class TestCompare:
    def test_the_name_is_the_function_and_its_modules_can_be_imported(self) -> None:
        assert llm_prior_bo.compare is comparison.compare

    def test_the_studies_are_those_that_optuna_would_run(self) -> None:
        result = run(square, SAMPLERS, 3, seeds=[4, 2], baseline="random")
        frame = result.to_frame().set_index(["sampler", "seed"])
        for name, kind in {"TPE": TPESampler, "random": RandomSampler}.items():
            for seed in (4, 2):
                study = optuna.create_study(sampler=kind(seed=seed))
                study.optimize(square, n_trials=3)
                np.testing.assert_array_equal(frame.loc[(name, seed), "value"], [t.value for t in study.trials])
        assert len(frame) == 12

    def test_several_processes_give_the_same(self, tmp_path: Path) -> None:
        answer = PriorAnswer.by_hand(numeric={"x": (0.3, 0.1, 0.5)})

        def ours(seed: int) -> LLMPriorSampler:
            return LLMPriorSampler(elicitor=FixedElicitor(answer), search_space=SPACE, seed=seed)

        samplers = {"ours": ours, **SAMPLERS}
        one = run(square, samplers, 7, seeds=2, baseline="TPE", path=tmp_path / "one.jsonl")
        two = run(square, samplers, 7, seeds=2, baseline="TPE", path=tmp_path / "two.jsonl", n_jobs=2)
        times = ["suggest_seconds"]
        assert one.to_frame().drop(columns=times).equals(two.to_frame().drop(columns=times))
        assert len((tmp_path / "two.jsonl").read_text().splitlines()) == 6
        assert read_comparison(tmp_path / "one.jsonl", baseline="TPE").to_dict() == one.to_dict()

    def test_numpys_seeds(self, tmp_path: Path) -> None:
        path = tmp_path / "results.jsonl"
        run(square, {"random": RandomSampler}, 1, seeds=np.arange(3, 5), path=path)
        assert [record["seed"] for record in read_records(path)] == [3, 4]

    def test_maximised(self) -> None:
        result = run(negative_square, {"random": RandomSampler}, 4, seeds=1, direction="maximize", level=-10.0)
        best = result.to_frame()["best_value"].to_numpy()
        assert (np.diff(best) >= 0).all()
        assert result.summaries[0].trials_to_level is not None
        assert result.summaries[0].trials_to_level.median == 1.0

    def test_several_tasks(self) -> None:
        seen = []

        def factory(seed: int, task: str) -> RandomSampler:
            seen.append(task)
            return RandomSampler(seed=seed)

        tasks: dict[str, Objective | ComparisonTask] = {
            "down": square,
            "up": ComparisonTask(negative_square, "maximize", enqueue={"random": [{"x": 0.3}]}, level=-1e-9),
        }
        result = run(tasks, {"random": factory}, 2, seeds=1, level=0.5)
        assert list(result.tasks) == ["down", "up"]
        assert set(seen) == {"down", "up"}
        assert result.levels == {"down": 0.5, "up": -1e-9}
        assert [row.best[2].median for row in result.summaries][1] == 0.0

    def test_trials_that_fail(self) -> None:
        result = run(half_fails, {"random": RandomSampler}, 8, seeds=2)
        assert result.summaries[0].n_without_value["FAIL"] > 0
        assert "The first failed trial: ValueError: x is negative" in str(result)

    def test_nothing_but_failures_is_an_error(self) -> None:
        with pytest.raises(ConfigurationError, match=r"(?s)got 2 that failed.*ValueError: trial 0 is broken"):
            run(always_fails, {"random": RandomSampler}, 2, seeds=2)

    def test_a_failed_study_leaves_the_others(self) -> None:
        def objective(trial: optuna.Trial) -> float:
            return always_fails(trial) if seeded(trial) == 1.0 else 1.0

        result = run(objective, {"random": RandomSampler}, 2, seeds=3)
        assert result.summaries[0].n_studies == 2
        assert "1 studies failed" in str(result)

    def test_a_control_starts_from_the_defaults(self) -> None:
        samplers: dict[str, SamplerFactory] = {"TPE": TPESampler, "TPE, defaults": TPESampler}
        frame = run(square, samplers, 2, seeds=2, enqueue={"TPE, defaults": [{"x": 0.25}]}).to_frame()
        first = frame[frame["trial"] == 1].set_index("sampler")["params_x"]
        assert list(first["TPE, defaults"]) == [0.25, 0.25]
        assert 0.25 not in list(first["TPE"])

    def test_progress_is_shown(self, capsys: pytest.CaptureFixture[str]) -> None:
        compare(square, {"random": RandomSampler}, 1, seeds=2)
        assert "2/2" in capsys.readouterr().err
        run(square, {"random": RandomSampler}, 1, seeds=2)
        assert capsys.readouterr().err == ""


class TestResuming:
    def test_runs_what_is_missing(self, tmp_path: Path) -> None:
        path = tmp_path / "results.jsonl"
        run(square, {"random": RandomSampler}, 2, seeds=2, path=path)
        before = path.read_text()
        result = run(square, SAMPLERS, 2, seeds=3, path=path)
        assert path.read_text().startswith(before)
        assert len(path.read_text().splitlines()) == 6
        assert [row.n_studies for row in result.summaries] == [3, 3]

    def test_another_length_is_another_study(self, tmp_path: Path) -> None:
        path = tmp_path / "results.jsonl"
        run(square, {"random": RandomSampler}, 2, seeds=1, path=path)
        result = run(square, {"random": RandomSampler}, 3, seeds=1, path=path)
        assert len(result.to_frame()) == 3
        assert [record["n_trials"] for record in read_records(path)] == [2, 3]

    @pytest.mark.parametrize(
        "options",
        [
            {"samplers": {"random": TPESampler}},
            {"direction": "maximize"},
            {"enqueue": {"random": [{"x": 0.0}]}},
        ],
    )
    def test_the_results_of_another_comparison_are_refused(self, tmp_path: Path, options: dict[str, Any]) -> None:
        path = tmp_path / "results.jsonl"
        run(square, {"random": RandomSampler}, 2, seeds=1, path=path)
        before = path.read_text()
        given = {"samplers": {"random": RandomSampler}, **options}
        with pytest.raises(ConfigurationError, match="the results of another comparison; give another path"):
            run(square, n_trials=2, seeds=2, path=path, **given)
        assert path.read_text() == before

    def test_after_an_interrupt(self, tmp_path: Path) -> None:
        path = tmp_path / "results.jsonl"

        def interrupted(trial: optuna.Trial) -> float:
            if seeded(trial) == 1.0:
                raise KeyboardInterrupt
            return square(trial)

        with pytest.raises(KeyboardInterrupt):
            run(interrupted, {"random": RandomSampler}, 2, seeds=2, path=path)
        assert [json.loads(line)["seed"] for line in path.read_text().splitlines()] == [0]
        assert run(square, {"random": RandomSampler}, 2, seeds=2, path=path).summaries[0].n_studies == 2


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"n_trials": 0}, "at least one trial and one seed, got 0"),
            ({"seeds": 0}, "at least one trial and one seed, got 2 and seeds 0"),
            ({"seeds": []}, "at least one trial and one seed"),
            ({"n_jobs": 0}, "n_jobs of at least 1, got 0"),
            ({"objective": {}}, "at least one objective"),
            ({"baseline": "tpe"}, r"baseline to name one of \['TPE', 'random'\], got 'tpe'"),
            ({"random": "rand"}, "random to name one of"),
            ({"enqueue": {"gp": []}}, "enqueue of 'objective' to name one of"),
            ({"direction": "up"}, "direction to be one of"),
            ({"samplers": {"TPE": TPESampler()}}, "got a ready TPESampler"),
            ({"samplers": {"a": lambda seed: seed}}, "'a' to make an Optuna sampler, got 0"),
        ],
    )
    def test_nothing_is_run(self, options: dict[str, Any], told: str) -> None:
        given = {"objective": always_fails, "samplers": SAMPLERS, "n_trials": 2, "seeds": 2, **options}
        with pytest.raises(ConfigurationError, match=told):
            run(**given)

    def test_a_process_that_dies_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def die(*_: Any, **__: Any) -> None:
            raise BrokenProcessPool("a child process terminated abruptly")

        monkeypatch.setattr(comparison, "run_tasks", die)
        with pytest.raises(BrokenProcessPool) as caught:
            run(square, SAMPLERS, 1, seeds=1)
        assert "give a smaller n_jobs" in caught.value.__notes__[0]

    def test_a_script_without_a_guard_is_told(self, tmp_path: Path) -> None:
        script = tmp_path / "script.py"
        script.write_text(
            "import optuna\nfrom llm_prior_bo import compare\n"
            "def objective(trial):\n    return trial.suggest_float('x', 0.0, 1.0)\n"
            "compare(objective, {'random': optuna.samplers.RandomSampler}, 2, seeds=2, n_jobs=2)\n"
        )
        told = run_python(
            """
            import subprocess, sys
            print(subprocess.run([sys.executable, sys.argv[1]], capture_output=True, text=True).stderr)
            """,
            str(script),
            PYTHONPATH=str(Path(llm_prior_bo.__file__).parents[1]),
        )
        assert "In a script, call compare below `if __name__ == '__main__':`" in told
