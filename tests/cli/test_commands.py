"""Every command, by the runner and once as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from llm_prior_bo import ReplayElicitor, SearchSpace, StudyContext, load_answer
from llm_prior_bo.cli.inputs import space_from, study_from
from tests.cli.conftest import ANSWER, Run
from tests.elicitation.fake_server import FakeServer
from tests.scripts import ROOT

NAMES = ("ask", "check", "compare", "explain", "record", "report", "show")
ASK = ("--model", "openai/local", "--space", "space.json", "--max-retries", "0")


@pytest.fixture
def asked(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Arguments that lead to a model on this machine, which answers once."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
    server.answer(ANSWER.model_dump_json())
    return (*ASK, "--api-base", server.url)


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, in the present folder."""
    return subprocess.run(
        [sys.executable, "-m", "llm_prior_bo.cli", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


class TestAsk:
    def test_shows_the_belief_and_writes_the_answer(
        self, run: Run, asked: tuple[str, ...], server: FakeServer, tmp_path: Path
    ) -> None:
        said = tmp_path / "context.yaml"
        said.write_text(
            "model_type: a network\nparameter_descriptions: {learning_rate: of the weights}\n"
            "conditions: {learning_rate: only if it is trained}\nn_trials: 40\n"
        )
        result = run("ask", *asked, "--description", "Fine-tuning", "--context", "context.yaml", "--out", "out.yaml")
        assert result.exit_code == 0, result.output
        assert "0.001 (0.0001 to 0.01)" in result.stdout
        assert "adam 0.7" in result.stdout
        assert load_answer("out.yaml").numeric == ANSWER.numeric
        prompt = json.dumps(server.requests[0])
        assert all(
            text in prompt for text in ("Fine-tuning", "a network", "of the weights", "only if it is trained", "40")
        )

    def test_json(self, run: Run, asked: tuple[str, ...]) -> None:
        told = json.loads(run("ask", *asked, "--json").stdout)
        assert told["answer"]["numeric"][0]["best"] == 0.001
        assert told["usage"]["n_calls"] == 1
        assert (told["out"], told["exit_code"]) == (None, 0)

    @pytest.mark.usefixtures("study")
    def test_of_a_study_shows_its_trials_and_writes_nothing_to_it(
        self, run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        server.answer(ANSWER.model_dump_json())
        before = Path("study.log").read_bytes()
        (trial,) = study_from("study.log", None).best_trials  # type: ignore[union-attr]
        result = run("ask", "--model", "openai/local", "--api-base", server.url, "--storage", "study.log")
        assert result.exit_code == 0, result.output
        assert "Warning" not in result.stdout
        assert f"{trial.params['learning_rate']:.4g}" in json.dumps(server.requests[0])
        assert Path("study.log").read_bytes() == before

    def test_no_answer_is_a_problem_without_traceback_and_without_the_key(
        self, run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        server.fail(401, "bad key sk-test-0123456789abcdef")
        result = run("ask", *ASK, "--api-base", server.url)
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: ")
        assert "Traceback" not in result.output
        assert "0123456789abcdef" not in result.output

    def test_a_file_that_is_there_is_refused_before_anyone_is_asked(
        self, run: Run, asked: tuple[str, ...], server: FakeServer
    ) -> None:
        assert run("ask", *asked, "--out", "answer.yaml").exit_code == 2
        assert run("ask", *asked, "--out", "answer.txt").exit_code == 2
        assert server.requests == []
        assert run("ask", *asked, "--out", "answer.yaml", "--overwrite").exit_code == 0

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            ('{"description": "x"}', "Did you mean 'problem_description'?"),
            ("[1]", "Expected a mapping"),
            ('{"parameter_descriptions": 3}', "as a mapping from names"),
            ('{"conditions": {"learning_rat": "only if"}}', "did you mean 'learning_rate'?"),
            ("{", "Expected JSON or YAML"),
        ],
    )
    def test_a_context_that_is_none(self, run: Run, content: str, says: str) -> None:
        Path("context.json").write_text(content)
        result = run("ask", *ASK, "--context", "context.json")
        assert result.exit_code == 2
        assert says in result.stderr


class TestRecord:
    def test_the_recording_is_replayed(self, run: Run, asked: tuple[str, ...]) -> None:
        result = run("record", *asked, "--out", "recording.json")
        assert result.exit_code == 0, result.output
        assert "Recorded in recording.json, 1 in all." in result.stdout
        space: SearchSpace = space_from("space.json", None)
        context = StudyContext(dict(space.distributions), space_is_complete=True)
        assert ReplayElicitor("recording.json", strict=True).elicit(context).answer.numeric == ANSWER.numeric

    def test_json(self, run: Run, asked: tuple[str, ...]) -> None:
        told = json.loads(run("record", *asked, "--out", "recording.json", "--json").stdout)
        assert told["recorded"] is True

    def test_what_cannot_be_written_is_a_problem(self, run: Run, asked: tuple[str, ...]) -> None:
        Path("file").touch()
        result = run("record", *asked, "--out", "file/recording.json")
        assert result.exit_code == 1
        assert "Warning: The answer could not be recorded" in result.stderr
        assert "Not recorded" in result.stdout


class TestShow:
    def test_a_file(self, run: Run) -> None:
        result = run("show", "answer.yaml")
        assert (result.exit_code, "0.001 (0.0001 to 0.01)" in result.stdout) == (0, True)
        assert json.loads(run("show", "answer.yaml", "--json").stdout)["answer"]["confidence"] == 0.8

    @pytest.mark.usefixtures("study")
    def test_a_study(self, run: Run) -> None:
        result = run("show", "--storage", "study.log")
        assert result.exit_code == 0, result.output
        assert "Density now, as the evidence leaves it: trust" in result.stdout
        assert "Cost: 0 USD" in result.stdout
        told = json.loads(run("show", "--storage", "study.log", "--study", "tuning", "--json").stdout)
        assert 0.0 <= told["density_now"]["trust"] <= 1.0
        assert len(told["answers"]) == 1

    def test_a_study_without_anything(self, run: Run) -> None:
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend("empty.log"))
        optuna.create_study(storage=storage, study_name="empty")
        result = run("show", "--storage", "empty.log")
        assert (result.exit_code, "The density now is not known" in result.stdout) == (0, True)

    def test_a_study_without_answers_is_uniform(self, run: Run) -> None:
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend("random.log"))
        sampler = optuna.samplers.RandomSampler()
        optuna.create_study(storage=storage, sampler=sampler).optimize(lambda t: t.suggest_float("x", 0, 1), 1)
        assert "Uniform over x" in run("show", "--storage", "random.log").stdout

    @pytest.mark.usefixtures("study")
    def test_one_of_the_two(self, run: Run) -> None:
        assert run("show").exit_code == 2
        assert run("show", "answer.yaml", "--storage", "study.log").exit_code == 2


class TestCheck:
    def test_a_right_answer(self, run: Run) -> None:
        result = run("check", "answer.yaml", "--space", "space.json")
        assert result.exit_code == 0, result.output
        assert "The answer fits the search space." in result.stdout

    def test_mistakes_with_the_nearest_names(self, run: Run) -> None:
        text = Path("answer.yaml").read_text().replace("learning_rate", "learning_rat")
        Path("answer.yaml").write_text(text)
        result = run("check", "answer.yaml", "--space", "space.json")
        assert result.exit_code == 1
        assert "did you mean 'learning_rate'?" in " ".join(result.stdout.split())
        assert json.loads(run("check", "answer.yaml", "--space", "space.json", "--json").stdout)["ok"] is False

    def test_repairs(self, run: Run) -> None:
        Path("flat.json").write_text(json.dumps({**ANSWER.model_dump(), "confidence": 80.0}))
        result = run("check", "flat.json", "--space", "space.json")
        assert result.exit_code == 0, result.output
        assert "Would be repaired:" in result.stdout

    @pytest.mark.usefixtures("study")
    def test_against_a_study(self, run: Run) -> None:
        assert run("check", "answer.yaml", "--storage", "study.log").exit_code == 1  # it has no optimizer


class TestExplain:
    @pytest.mark.usefixtures("study")
    def test_a_trial(self, run: Run) -> None:
        result = run("explain", "6", "--storage", "study.log")
        assert result.exit_code == 0, result.output
        assert "Without the prior the model would have suggested:" in " ".join(result.stdout.split())
        told = json.loads(run("explain", "6", "--storage", "study.log", "--json").stdout)
        assert told["counterfactual"]["reproduced"] is True

    @pytest.mark.usefixtures("study")
    def test_no_such_trial(self, run: Run) -> None:
        result = run("explain", "70", "--storage", "study.log", "--json")
        assert result.exit_code == 2
        assert json.loads(result.stdout)["message"].startswith("Expected the number of a trial from 0 to 6")

    def test_it_needs_a_study(self, run: Run) -> None:
        assert run("explain", "0").exit_code == 2


@pytest.mark.usefixtures("study")
def test_report(run: Run) -> None:
    result = run("report", "report.html", "--storage", "study.log", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["written"] == "report.html"
    assert "<html" in Path("report.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("study")
def test_every_command_is_a_process_too(run: Run, asked: tuple[str, ...], server: FakeServer) -> None:
    assert run is not None
    server.answer(ANSWER.model_dump_json())
    done = {
        "ask": script("ask", *asked),
        "record": script("record", *asked, "--out", "recording.json"),
        "show": script("show", "--storage", "study.log"),
        "check": script("check", "answer.yaml", "--space", "space.json"),
        "explain": script("explain", "6", "--storage", "study.log"),
        "report": script("report", "report.html", "--storage", "study.log"),
    }
    assert {*done, "compare"} == set(NAMES)  # that one runs studies: test_compare.py
    assert {name: one.returncode for name, one in done.items()} == dict.fromkeys(done, 0), done
    assert script("explain", "one").returncode == 2
    assert script("nothing").returncode == 2


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_the_options_of_all(run: Run, name: str) -> None:
    told = run(name, "--help").stdout
    assert "--json" in told
    assert "--debug" in told


def test_there_are_no_other_commands(run: Run) -> None:
    listed = run("--help").stdout.split("Commands:")[1]
    assert tuple(line.split()[0] for line in listed.strip().splitlines()) == NAMES
