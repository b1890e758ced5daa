from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import proof
from benchmarks.harness import beliefs
from benchmarks.harness.live_tasks import LIVE_TASKS
from benchmarks.harness.problems import LANDSCAPES
from benchmarks.harness.recordings import TASKS, collect, collect_questions, write_prompts, write_questions
from benchmarks.harness.tasks import find_task
from benchmarks.proof import METHODS, Means, Setting, best_guess, is_possible, planned, run_study, startup_of_control_1
from benchmarks.record_peers import questions
from llm_prior_bo.compare.runner import Task
from llm_prior_bo.elicitation import FunctionClient
from llm_prior_bo.errors import ConfigurationError
from tests.benchmarks.test_scripts import ANSWER

NEEDS_NOTHING = [name for name, method in METHODS.items() if method.needs is None and name != "BoTorchSampler"]
NEEDS_BELIEF = [name for name, method in METHODS.items() if method.needs == "belief"]


def run(problem: str, belief: str, method: str, *, n_trials: int = 7, data: Path | None = None) -> dict[str, Any]:
    return run_study(Task(problem, belief, method, 0, n_trials), means=Means(data))


@pytest.fixture
def recorded(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the small task, about which an answer is recorded."""
    text = (data / "suite.py").read_text() + (
        "\nTask.default = property(lambda self: {'rate': 2.0, 'depth': 3, 'booster': 'linear', 'share': 0.5})\n"
    )
    (data / "suite.py").write_text(text)
    prompts, out = tmp_path / "prompts", tmp_path / "recordings"
    write_prompts(data, ["small"], prompts)
    (prompts / "small.0.answer.txt").write_text(ANSWER, encoding="utf-8")
    collect(prompts, out, model="a model")
    monkeypatch.setattr(beliefs, "RECORDINGS", out)
    return data


@pytest.mark.parametrize("method", NEEDS_NOTHING)
def test_without_a_belief(method: str) -> None:
    if method == "CmaEsSampler":
        pytest.importorskip("cmaes")
    record = run("branin", "none", method)
    assert len(record["values"]) == 7
    assert all(0.0 <= u <= 1.0 and round(u, 4) == u for point in record["params"] for u in point)
    assert record["test_values"] is None
    assert record["best_known"] == pytest.approx(0.397887, abs=1e-6)
    assert record["seconds"] > record["objective_seconds"] > 0.0
    assert bool(record["trace"]) == (method == "no-llm")
    if method.endswith("default first"):
        assert record["params"][0] == [0.5, 0.5]
    json.dumps(record)


@pytest.mark.parametrize("method", NEEDS_BELIEF)
@pytest.mark.parametrize("belief", ["own", "random"])
def test_with_a_belief(method: str, belief: str) -> None:
    record = run("levy2", belief, method)
    assert len(record["values"]) == 7
    assert bool(record["trace"]) == (METHODS[method].make.__name__ == "<lambda>" and method != "control-2")
    json.dumps(record)


def test_the_second_control_begins_where_the_first_does() -> None:
    first, second = (run("branin", "own", method)["params"] for method in ("control-1", "control-2"))
    assert first[:5] == second[:5]
    assert first[5:] != second[5:]


def test_live_tasks_have_test_scores_and_a_split_for_every_seed() -> None:
    pytest.importorskip("sklearn")
    first, second = (
        run_study(Task("svr_diabetes", "none", "RandomSampler, default first", seed, 2), means=Means())
        for seed in (0, 1)
    )
    assert len(first["test_values"]) == 2
    assert first["best_known"] is None
    assert first["params"][0] == second["params"][0]
    assert first["values"][0] != second["values"][0]
    assert first["test_values"][0] != first["values"][0]
    assert None in first["params"][0]  # degree is not active with the default kernel


def test_tasks_of_a_folder(recorded: Path) -> None:
    task = find_task("small", recorded)
    assert task.default == {"rate": pytest.approx(1.0), "depth": 3, "booster": "linear"}  # legal, and active
    assert task.description.startswith("A small task.")
    record = run("small", "own", "default", data=recorded)
    assert len(record["values"]) == 7
    setting = Setting(task, beliefs.own_answer("small", task.distributions, 0), 0, 7, Means(recorded))
    assert best_guess(setting) == [{"rate": pytest.approx(0.01), "depth": 3, "booster": "linear"}]
    assert len(startup_of_control_1(setting)) == 5
    with pytest.raises(ConfigurationError, match="pass --data"):
        find_task("small", None)


def test_a_live_model_is_asked_at_every_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    reply = json.dumps({"notes": "", "configuration": {"x0": 3.0, "x1": 2.0}})
    monkeypatch.setattr(proof, "LiteLLMClient", lambda _: FunctionClient(lambda _: reply))
    record = run_study(Task("branin", "none", "LLM every trial", 0, 3), means=Means(model="a-model"))
    assert record["counts"] == {"asked": 3, "failed": 0, "unusable": 0}
    assert len({tuple(point) for point in record["params"]}) == 1
    with pytest.raises(ConfigurationError, match="pass --model"):
        run("branin", "none", "LLM every trial")


@pytest.mark.parametrize(
    ("kind", "method", "reply"),
    [
        ("one-shot", "one-shot, then TPE", {"configurations": [{"rate": 0.5, "depth": 2, "booster": "linear"}] * 5}),
        ("narrowing", "narrowed TPE", {"ranges": [{"parameter": "depth", "low": 2, "high": 2}]}),
        ("narrowing", "narrowed GPSampler", {"ranges": [{"parameter": "depth", "low": 2, "high": 2}]}),
    ],
)
def test_recorded_replies(
    kind: str, method: str, reply: dict[str, Any], recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = questions(kind, ["small"], recorded)
    write_questions(asked, tmp_path)
    (tmp_path / f"{asked['small'].hash}.answer.txt").write_text(json.dumps(reply), encoding="utf-8")
    collect_questions(asked, tmp_path, tmp_path, model="a model")
    monkeypatch.setattr(proof, "recording", lambda _, task: tmp_path / f"{task}.json")
    assert is_possible("small", "none", method, Means(recorded))
    record = run("small", "none", method, data=recorded, n_trials=5)
    assert record["counts"] == {"asked": 1, "failed": 0, "unusable": 0}
    assert {point[1] for point in record["params"]} == {round(1.5 / 8, 4)}  # a depth of 2


def test_what_can_be_run() -> None:
    nothing, everything = Means(), Means(Path(), "a-model", {"SMAC3": Path(), "NePS": Path()})
    assert is_possible("branin", "own", "default", nothing)
    assert is_possible("branin", "random", "default", nothing)
    assert not is_possible("branin", "random", "control-2", nothing)  # placebos are for the package's own
    assert not is_possible("branin", "none", "default", nothing)
    assert is_possible("branin", "none", "TPESampler", nothing)
    assert not is_possible("branin", "own", "TPESampler", nothing)  # once for all beliefs
    for method in ("LLM-TPE", "LLM every trial", "CMA-ES, LLM overrides"):
        assert not is_possible("branin", "none", method, nothing)
        assert is_possible("branin", "none", method, everything)
    for method in ("SMAC3", "NePS"):
        assert not is_possible("branin", "own", method, nothing)
        assert is_possible("branin", "own", method, everything)
    assert not is_possible("branin", "none", "one-shot, then TPE", everything)  # no reply is recorded


def test_the_plan_names_every_study_once() -> None:
    means = Means(Path())
    tasks = proof.all_tasks(means)
    assert set(tasks) == {*LIVE_TASKS, *LANDSCAPES, *TASKS}
    plan = list(planned(tasks, beliefs.KINDS, list(METHODS), means, n_seeds=2, n_trials=50))
    assert len(set(plan)) == len(plan)
    assert Task("svm_336", "earlier and own", "default", 1, 50) in plan
    assert {task.prior for task in plan} == set(beliefs.KINDS)


def test_table() -> None:
    key = {"problem": "p", "prior": "own", "method": "default", "n_trials": 2, "error": None}
    told = {"test_values": [9.0, 3.0], "seconds": 3.0, "objective_seconds": 2.0}
    records = [{**key, **told, "seed": seed, "values": [2.0, 1.0 + seed]} for seed in (0, 2)]
    row = "| p | own | default | 2 | 1.5 (1.25 .. 1.75) | 500 (500 .. 500) | 6 (4.5 .. 7.5) |"
    assert proof.table(records).splitlines()[2] == row
