"""The quickstart: its task, its texts, its figure and, with a tiny budget, the whole of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch

from llm_prior_bo import CategoricalBelief, Correlation, NumericBelief, PriorAnswer, Region

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import digits
import quickstart
import report

from benchmarks import quickstart_seeds
from llm_prior_bo.compare.runner import read_records

DIVERGING = {**digits.USUAL_DEFAULTS, "optimizer": "sgd_momentum", "learning_rate": 1e12}


@pytest.fixture(autouse=True)
def one_epoch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Train for one epoch, and put PyTorch's and Optuna's settings back afterwards."""
    monkeypatch.setattr(digits, "fit_network", partial(digits.fit_network, epochs=1))
    n_threads, verbosity = torch.get_num_threads(), optuna.logging.get_verbosity()
    yield
    torch.set_num_threads(n_threads)
    torch.set_flush_denormal(False)
    optuna.logging.set_verbosity(verbosity)


@pytest.fixture(scope="module")
def task() -> digits.DigitsTask:
    return digits.DigitsTask.load(seed=0)


@pytest.fixture
def answer() -> PriorAnswer:
    return PriorAnswer(
        notes="a word " * 100,
        regions=[Region(region=1, label="narrow", weight=1.0), Region(region=2, label="wide", weight=3.0)],
        numeric=[NumericBelief(region=2, parameter="learning_rate", best=0.002, low=0.0005, high=0.008)],
        categorical=[
            CategoricalBelief(region=2, parameter="optimizer", choice="adamw", weight=0.25),
            CategoricalBelief(region=2, parameter="optimizer", choice="adam", weight=0.5),
        ],
        correlations=[Correlation(region=2, first="learning_rate", second="width", rho=-0.35)],
        confidence=0.85,
    )


@pytest.fixture
def runs() -> list[report.Run]:
    return [
        report.Run(label="one", errors=(0.9, 0.05, 0.06, 0.05, 0.05, 0.04), config={}, test_error=0.031, seconds=12.4),
        report.Run(label="two", errors=(0.5, 0.04, 0.3, 0.3, 0.3, 0.2), config={}, test_error=0.042, seconds=3.0),
    ]


class TestTask:
    def test_parts_are_disjoint_and_complete(self, task: digits.DigitsTask) -> None:
        sizes = [len(part.y) for part in (task.train, task.validation, task.test)]
        assert sizes == [digits.N_TRAIN, digits.N_VALIDATION, digits.N_TEST]
        assert sum(sizes) == 1797

    def test_usual_defaults_are_in_the_search_space(self) -> None:
        space = digits.search_space()
        assert list(space) == list(digits.USUAL_DEFAULTS)
        for name, distribution in space.items():
            assert distribution._contains(distribution.to_internal_repr(digits.USUAL_DEFAULTS[name]))

    def test_a_configuration_has_one_score(self, task: digits.DigitsTask) -> None:
        config = {**digits.USUAL_DEFAULTS, "dropout": 0.3}
        torch.manual_seed(1)
        first = task.objective(optuna.trial.FixedTrial(config))
        torch.manual_seed(2)
        assert task.objective(optuna.trial.FixedTrial(config)) == first
        assert 0.0 < first < 0.9

    def test_training_leaves_the_random_state_alone(self, task: digits.DigitsTask) -> None:
        before = torch.random.get_rng_state()
        task.test_error(digits.USUAL_DEFAULTS)
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_divergence_is_the_worst_error(self, task: digits.DigitsTask) -> None:
        assert task.test_error(DIVERGING) == digits.WORST_ERROR

    @pytest.mark.parametrize("optimizer", ["sgd", "sgd_momentum", "adam", "adamw", "rmsprop"])
    def test_every_optimizer_trains(self, task: digits.DigitsTask, optimizer: str) -> None:
        config = {**digits.USUAL_DEFAULTS, "optimizer": optimizer, "batch_size": 256}
        assert 0.0 <= task.test_error(config) <= 1.0

    def test_unknown_optimizer_is_refused(self, task: digits.DigitsTask) -> None:
        with pytest.raises(ValueError, match="lion"):
            task.test_error({**digits.USUAL_DEFAULTS, "optimizer": "lion"})


class TestBeliefTable:
    def test_regions_come_by_weight(self, answer: PriorAnswer) -> None:
        text = report.belief_table(answer)
        assert text.index("region 2 (75%): wide") < text.index("region 1 (25%): narrow")
        assert "confidence that the optimum lies in one of these 2 regions at all: 85%" in text
        assert "correlation of learning_rate and width: -0.35" in text

    def test_rows(self, answer: PriorAnswer) -> None:
        rows = [line.split() for line in report.belief_table(answer).splitlines()]
        assert ["learning_rate", "0.002", "0.0005", "..", "0.008"] in rows
        assert ["optimizer", "adam", "adam", "50%,", "adamw", "25%"] in rows

    def test_notes_are_shortened_and_wrapped(self, answer: PriorAnswer) -> None:
        text = report.belief_table(answer, notes_length=150)
        assert text.endswith("...")
        assert max(map(len, text.splitlines())) <= report.WIDTH

    @pytest.mark.parametrize(
        ("value", "text"), [(256.0, "256"), (0.0, "0"), (0.00123, "0.0012"), (1e-6, "1e-06"), (12.5, "12")]
    )
    def test_short_numbers(self, value: float, text: str) -> None:
        assert report.short(value) == text


class TestResults:
    def test_best_so_far(self, runs: list[report.Run]) -> None:
        np.testing.assert_array_equal(runs[0].best_so_far, [0.9, 0.05, 0.05, 0.05, 0.05, 0.04])
        assert runs[0].best_after(5) == 0.05

    @pytest.mark.parametrize(("n_trials", "marks"), [(2, [2]), (5, [5]), (6, [5, 6]), (25, [5, 10, 25])])
    def test_checkpoints(self, n_trials: int, marks: list[int]) -> None:
        assert report.checkpoints(n_trials) == marks

    def test_table(self, runs: list[report.Run]) -> None:
        rows = [line.split() for line in report.results_table(runs).splitlines()]
        assert rows[1:] == [["one", "5.00%", "4.00%", "3.10%", "12"], ["two", "4.00%", "4.00%", "4.20%", "3"]]

    def test_config(self) -> None:
        assert report.config_text({"learning_rate": 0.00123, "width": 100}) == "  learning_rate 0.0012, width 100"

    def test_labels_keep_their_distance(self) -> None:
        placed = report._spread([0.0, 1.0, 1.1, 1.1, 5.0], gap=1.0)
        np.testing.assert_allclose(placed, [-0.7, 0.3, 2.3, 1.3, 5.0])

    def test_figure(self, runs: list[report.Run], tmp_path: Path) -> None:
        report.save_figure(runs, tmp_path / "figure.png", title="title")
        assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")

    def test_figure_of_a_perfect_first_trial(self, tmp_path: Path) -> None:
        run = report.Run(label="perfect", errors=(0.0,), config={}, test_error=0.0, seconds=1.0)
        report.save_figure([run, run], tmp_path / "figure.png", title="title")
        assert (tmp_path / "figure.png").exists()


class TestQuickstart:
    # One of the recorded best guesses is at a bound of its range, beyond its own interval.
    @pytest.mark.filterwarnings("ignore:The answer was repaired")
    def test_all_samplers(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        quickstart.main(["--trials", "2", "--out", str(tmp_path / "figure.png")])
        output = capsys.readouterr().out
        assert "confidence that the optimum lies in" in output
        assert all(label in output for label in quickstart.LABELS.values())
        assert (tmp_path / "figure.png").exists()

    def test_random_search_starts_from_the_usual_defaults(self) -> None:
        study = quickstart.random_study(seed=0)
        assert study.ask(digits.search_space()).params == digits.USUAL_DEFAULTS

    @pytest.mark.parametrize("trials", ["0", "-1", "many"])
    def test_bad_budget_is_refused(self, trials: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            quickstart.main(["--trials", trials])
        assert "above zero" in capsys.readouterr().err


class TestSeeds:
    def test_interrupted_benchmark_goes_on(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "runs.jsonl"
        arguments = ["--out", str(path), "--trials", "1", "--seeds", "2", "--samplers", "random", "tpe"]
        quickstart_seeds.main(arguments)
        lines = path.read_text().splitlines()
        assert len(lines) == 4
        path.write_text("\n".join(lines[:2]) + "\n" + lines[2][:30])
        capsys.readouterr()
        quickstart_seeds.main(arguments)
        assert capsys.readouterr().out.count("seed ") == 2
        assert {(record["method"], record["seed"]) for record in read_records(path)} == {
            ("random", 0),
            ("tpe", 0),
            ("random", 1),
            ("tpe", 1),
        }

    def test_failed_runs_are_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(quickstart_seeds, "run_task", len)  # called with a task, it raises
        with pytest.raises(RuntimeError, match=r"(?s)1 runs failed; run again to retry.*TypeError"):
            quickstart_seeds.complete(tmp_path / "runs.jsonl", samplers=["random"], seeds=[0], n_trials=1)

    def test_wins(self, runs: list[report.Run]) -> None:
        table = quickstart_seeds.wins_table({("llm", 0): runs[0], ("tpe", 0): runs[1]}, n_trials=6)
        assert table.splitlines()[1].split() == ["TPE", "0-0-1", "0-1-0", "1-0-0"]
