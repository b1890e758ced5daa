"""Every script can be imported, and those that the other files do not cover do what they say, at a small size."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from benchmarks import (
    acquisition_maximum,
    answer_calibration,
    asking_again,
    constrained,
    failing_region,
    several_objectives,
)
from benchmarks.harness.hpo_tasks import distributions, load_task
from benchmarks.harness.recordings import collect, context_of, write_prompts
from llm_prior_bo import SearchSpace
from llm_prior_bo.compare.runner import Task
from llm_prior_bo.elicitation import PROMPT_VERSION, prompt_hash, render_prompt
from llm_prior_bo.elicitation.replay import read_exchanges

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("name", SCRIPTS)
def test_is_run_as_a_module(name: str) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    assert f"python -m benchmarks.{name}" in (module.__doc__ or "")
    assert callable(module.main)


def test_help_is_the_docstring() -> None:
    command = [sys.executable, "-m", "benchmarks.failing_region", "--help"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (failing_region.__doc__ or "")[:200] in result.stdout


def _record(problem: str, method: str, seed: int, **result: Any) -> dict[str, Any]:
    return {"problem": problem, "prior": "own", "method": method, "seed": seed, "n_trials": 40, "error": None, **result}


def test_asking_again_is_compared_with_asking_once_and_with_a_placebo() -> None:
    last = {"asked once": 1.0, "asked again": 0.0, "placebo": 1.0}
    records = [
        _record("p", method, seed, values=[2.0] * 10 + [2.0 if method != "asked again" else 1.0] * 15 + [value] * 10)
        for seed in (0, 1)
        for method, value in last.items()
    ]
    state, median, mean, counts = asking_again.table(records).splitlines()[2:]
    assert state == "| p | -0.5 (-0.5 to -0.5) | -0.5 (-0.5 to -0.5) | +0 (+0 to +0) |"
    assert median == "| median over states | -0.500 | -0.500 | +0.000 |"
    assert mean == "| mean over states | -0.500 | -0.500 | +0.000 |"
    assert counts == "| better / worse by .05 | 1 / 0 | 1 / 0 | 0 / 0 |"


def test_results_are_permuted_among_the_trials() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=10)
    other = asking_again.permuted(study)
    assert [trial.params for trial in other.trials] == [trial.params for trial in study.trials]
    assert sorted(trial.value or 0.0 for trial in other.trials) == sorted(trial.value or 0.0 for trial in study.trials)
    assert [trial.value for trial in other.trials] != [trial.value for trial in study.trials]
    assert [trial.value for trial in study.trials] == [trial.params["x"] for trial in study.trials]


ANSWER = (
    '{"notes": "", "regions": [{"region": 1, "label": "", "weight": 1}], "numeric": [{"region": 1, '
    '"parameter": "rate", "best": 0.01, "low": 0.001, "high": 0.1}], "categorical": [], "correlations": [], '
    '"confidence": 0.9}'
)


@pytest.fixture
def recordings(data: Path, tmp_path: Path) -> Path:
    """The folder of a recorded answer about the small task, made by the scripts."""
    prompts, out = tmp_path / "prompts", tmp_path / "recordings"
    write_prompts(data, ["small"], prompts)
    (prompts / "small.0.answer.txt").write_text(ANSWER, encoding="utf-8")
    collect(prompts, out, model="a model")
    return out


def test_a_recording_says_what_it_is_and_which_question_it_answers(recordings: Path, data: Path) -> None:
    (exchange,) = read_exchanges(recordings / "small.json")
    assert exchange.completions == (ANSWER,)
    assert (exchange.model, exchange.prompt_version) == ("a model", PROMPT_VERSION)
    assert exchange.prompt_hash == prompt_hash(render_prompt(context_of(data, "small")))


def test_calibration_of_recorded_answers(recordings: Path, data: Path) -> None:
    task = load_task(data, "small")
    space = SearchSpace(distributions(task))
    row = answer_calibration.score_task(task, answer_calibration.answers_about(recordings, "small", space))
    assert row.cells()["answers"] == "1"
    assert row.cells()["intervals"] == "1"
    optimum = answer_calibration.best_known(task)
    rng = np.random.default_rng(1)
    assert task.evaluate(optimum) <= min(task.evaluate(task.sample(rng)) for _ in range(200))


def test_later_answers_are_found_by_the_results_that_were_shown(tmp_path: Path, data: Path) -> None:
    space = SearchSpace(distributions(load_task(data, "small")))
    (tmp_path / asking_again.INDEX).write_text('{"small": {"real": "abc", "permuted": "def"}}', encoding="utf-8")
    (tmp_path / "abc.answer.txt").write_text(ANSWER, encoding="utf-8")
    (answer,) = answer_calibration.later_answers(tmp_path, "real", "small", space)
    assert answer.numeric
    assert answer_calibration.later_answers(tmp_path, "permuted", "small", space) == []


def test_failures_and_regret_by_case() -> None:
    records = [
        _record("branin/inside", "factor", seed, failed=[seed == 0] * 40, regret=[None if seed == 0 else 0.5] * 40)
        for seed in range(2)
    ]
    half, infinite = "50% (25% .. 75%)", "inf (inf .. inf)"
    assert failing_region.table(records).splitlines()[2] == (
        f"| branin/inside | own | factor | 2 | {half} | {half} | {infinite} | {infinite} |"
    )


def test_a_larger_search_is_compared_with_ordinary_ones(data: Path) -> None:
    ordinary, large = acquisition_maximum.values(data, "small", 0)
    assert len(ordinary) == 4
    assert large >= max(ordinary) - 1e-3


def test_share_of_the_largest_volume_never_falls() -> None:
    records = [
        _record("BraninCurrin", method, 0)
        | {"n_trials": 12}
        | several_objectives.run_study(Task("BraninCurrin", "none", method, 0, 12))
        for method in ("sampled", "GPSampler")
    ]
    for r in records:
        assert r["share"] == sorted(r["share"])
        assert 0.0 <= r["share"][-1] < 1.0
    longer = [r | {"share": r["share"] + r["share"][-1:] * 8} for r in records]
    first, second = several_objectives.table(longer).splitlines()[2:]
    assert first.startswith("| BraninCurrin | sampled | 1 | 0.")
    assert second.startswith("| BraninCurrin | GPSampler | 1 | 0.")


def test_a_constrained_function_says_what_is_feasible() -> None:
    study = optuna.create_study(sampler=constrained.SAMPLERS["sampled"](0))
    study.optimize(lambda trial: constrained.objective(trial, name="ConstrainedGramacy"), n_trials=12)
    assert len(study.trials[0].constraints) == 2
    value = study.best_value
    assert value == min(t.value for t in study.trials if t.value is not None and max(t.constraints.values()) <= 0.0)
