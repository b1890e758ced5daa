from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from llm_prior_bo import ComparisonResult, read_comparison
from llm_prior_bo.errors import ConfigurationError
from tests.compare.records import record

VALUES = {"ours": [4.0, 1.0, 1.0, 1.0, 1.0, 1.0], "TPE": [4.0, 3.0, 3.0, 3.0, 2.0, 2.0]}


def studies(*, task: str = "digits", n_seeds: int = 6, **fields: Any) -> list[dict[str, Any]]:
    return [
        record(name, seed, values, task=task, **fields) for name, values in VALUES.items() for seed in range(n_seeds)
    ]


@pytest.fixture
def result() -> ComparisonResult:
    return ComparisonResult(tuple(studies()), baseline="TPE")


@pytest.fixture
def of_two() -> ComparisonResult:
    return ComparisonResult((*studies(), *studies(task="other <b>", direction="maximize")), baseline="TPE")


def text_of(result: ComparisonResult) -> str:
    return "\n".join(" ".join(line.split()) for line in str(result).splitlines())


class TestText:
    def test_of_one_task(self, result: ComparisonResult) -> None:
        assert text_of(result).splitlines() == [
            "digits: minimize, 6 trials a study; median (quartiles) of the studies",
            "sampler studies best after 6",
            "ours 6 1 (1 .. 1)",
            "TPE 6 2 (2 .. 2)",
            "",
            "Medians",
            "sampler trials to level speed-up area 1 area 6 success diversity s a suggestion",
            "ours 2 2.5x 1.5 1 - - -",
            "TPE 5 1x 2.833 2 - - -",
            "",
            "Against TPE, paired by seed",
            "sampler metric seeds mean difference (95 %) better-equal-worse verdict",
            "ours best value 6 -1 (-1 to -1) 6-0-0 better",
            "ours area from trial 6 6 -1 (-1 to -1) 6-0-0 better",
            "",
            "Remarks",
            "No success rate: compare with a sampler named random, e.g. optuna.samplers.RandomSampler.",
        ]

    def test_of_two_tasks(self, of_two: ComparisonResult) -> None:
        lines = text_of(of_two).splitlines()
        start = lines.index("All tasks, against TPE")
        # On the second task, which is maximised, both reach the same value.
        assert lines[start + 1 : start + 4] == [
            "sampler tasks mean rank tasks better-neither-worse studies better-equal-worse speed-up (tasks)",
            "ours 2 1.25 1-1-0 6-6-0 1.6x (2)",
            "TPE 2 1.75 - - -",
        ]

    def test_without_a_baseline(self, of_two: ComparisonResult) -> None:
        text = text_of(replace(of_two, baseline=None))
        assert "Against" not in text
        assert "All tasks\nsampler tasks mean rank\n" in text

    def test_another_baseline(self, result: ComparisonResult) -> None:
        text = text_of(replace(result, baseline="ours"))
        assert "TPE best value 6 +1 (+1 to +1) 0-0-6 worse" in text
        assert "TPE > 6 < 0.33x" in text

    def test_few_seeds_are_told(self) -> None:
        result = ComparisonResult(tuple(studies(n_seeds=2)), baseline="TPE")
        assert "too few seeds\nWith fewer than 6 seeds there is no verdict." in text_of(result)

    def test_failures_are_told(self) -> None:
        broken = {**record("ours", 9, [1.0]), "error": "Traceback\n  ...\nMemoryError: too large\n"}
        failing = record(
            "random",
            0,
            [1.0, None, 2.0, None, 1.0, 1.0],
            task="digits",
            states=["COMPLETE", "FAIL", "COMPLETE"] + ["PRUNED"] * 3,
        )
        text = text_of(ComparisonResult((*studies(), broken, {**failing, "failure": "ValueError: no"})))
        assert "1 studies failed and are left out, the first with MemoryError: too large" in text
        assert "Trials without a value, digits, random: 1 fail, 3 pruned." in text
        assert "The first failed trial: ValueError: no" in text
        assert "No success rate" not in text

    def test_test_values_have_a_column(self) -> None:
        text = text_of(ComparisonResult(tuple(studies(test_values=[None, 0.25, *[0.5] * 4])), baseline="TPE"))
        assert "sampler studies best after 6 test value\nours 6 1 (1 .. 1) 0.25 (0.25 .. 0.25)" in text
        assert "ours test value 6 -0.25 (-0.25 to -0.25) 6-0-0 better" in text

    def test_in_a_notebook_names_are_escaped(self, of_two: ComparisonResult) -> None:
        html = of_two._repr_html_()
        assert "other &lt;b&gt;" in html
        assert "<b>" not in html
        assert html.count("<table>") == 7

    def test_by_ipython(self, result: ComparisonResult) -> None:
        shown: list[str] = []
        printer = SimpleNamespace(text=shown.append)
        result._repr_pretty_(printer, cycle=False)
        assert shown == [str(result)]

    def test_by_rich(self, result: ComparisonResult) -> None:
        console = Console(width=140)
        with console.capture() as capture:
            console.print(result)
        assert "Against TPE, paired by seed" in capture.get()

    def test_in_markdown(self, result: ComparisonResult) -> None:
        text = result.to_markdown()
        assert "**Medians**\n\n| sampler | trials to level | speed-up |" in text
        assert "| ours | 2 | 2.5x | 1.5 | 1 | - | - | - |" in text


class TestData:
    def test_as_json(self) -> None:
        records = [*studies(), record("never", 0, [None, 9.0, 9.0, 9.0, 9.0, 9.0], task="digits")]
        data = json.loads(json.dumps(ComparisonResult(tuple(records), baseline="TPE").to_dict(), allow_nan=False))
        assert data["tasks"] == {"digits": {"n_trials": 6, "direction": "minimize"}}
        assert [row["sampler"] for row in data["summaries"]] == ["ours", "TPE", "never"]
        assert data["summaries"][0]["best"] == {"6": {"low": 1.0, "median": 1.0, "high": 1.0}}
        assert data["summaries"][2]["trials_to_level"]["median"] == "inf"
        assert data["summaries"][2]["speed_up"]["relation"] == "<"
        assert data["differences"][0]["verdict"] == "better"
        assert data["n_failed_studies"] == 0

    def test_frame_of_trials(self) -> None:
        told = record(
            "a",
            3,
            [2.0, None, 1.0],
            task="t",
            states=["COMPLETE", "FAIL", "COMPLETE"],
            test_values=[0.1, None, 0.3],
            suggest_seconds=[0.1, 0.2, 0.3],
            params=[{"x": 1.0}, {"x": 2.0}, {"k": "b"}],
        )
        frame = ComparisonResult((told,)).to_frame()
        assert list(frame["trial"]) == [1, 2, 3]
        assert list(frame["state"]) == ["COMPLETE", "FAIL", "COMPLETE"]
        np.testing.assert_array_equal(frame["value"], [2.0, math.nan, 1.0])
        np.testing.assert_array_equal(frame["best_value"], [2.0, 2.0, 1.0])
        np.testing.assert_array_equal(frame["test_value"], [0.1, math.nan, 0.3])
        np.testing.assert_array_equal(frame["params_x"], [1.0, 2.0, math.nan])
        assert set(frame["sampler"]) == {"a"}
        assert set(frame["seed"]) == {3}

    def test_frame_of_a_benchmarks_records(self) -> None:
        frame = ComparisonResult(tuple(studies(n_seeds=1))).to_frame()
        assert len(frame) == 12
        assert frame["state"].isna().all()

    def test_frame_of_studies(self, of_two: ComparisonResult) -> None:
        frame = of_two.summary_frame().set_index(["task", "sampler", "seed"])
        assert len(frame) == 24
        assert dict(frame.loc[("digits", "ours", 0), ["best_value", "trials_to_level", "area_1", "area_6"]]) == {
            "best_value": 1.0,
            "trials_to_level": 2.0,
            "area_1": 1.5,
            "area_6": 1.0,
        }
        assert frame.loc[("other <b>", "TPE", 0), "area_1"] == 4.0

    def test_pandas_is_asked_for(self, result: ComparisonResult, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(ImportError, match=r"pip install 'llm-prior-bo\[compare\]'"):
            result.to_frame()


class TestFigure:
    def test_of_one_task(self, result: ComparisonResult) -> None:
        figure = result.plot()
        assert figure.layout.title.text == "Best value so far: digits"
        lines = {trace.name: list(trace.y) for trace in figure.data if trace.showlegend is not False}
        assert lines == {f"{name} (6 runs)": values for name, values in VALUES.items()}

    def test_of_two_tasks_has_two_panels_and_one_legend(self, of_two: ComparisonResult) -> None:
        figure = of_two.plot()
        assert [note.text for note in figure.layout.annotations] == ["digits", "other &lt;b&gt;"]
        assert [trace.name for trace in figure.data if trace.showlegend] == ["ours (6 runs)", "TPE (6 runs)"]
        assert {trace.xaxis for trace in figure.data} == {"x", "x2"}


class TestReading:
    def test_of_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "results.jsonl"
        longer = record("ours", 0, [1.0] * 9, task="digits")
        path.write_text("".join(json.dumps(one) + "\n" for one in [*studies(n_seeds=1), longer]))
        with pytest.raises(ConfigurationError, match=r"one n_trials, got \[6, 9\]; choose one with n_trials="):
            read_comparison(path)
        result = read_comparison(path, n_trials=6, baseline="TPE", levels={"digits": 3.0}, at=[2])
        assert result.samplers == ["ours", "TPE"]
        assert result.summaries[1].trials_to_level is not None
        assert result.summaries[1].trials_to_level.median == 2.0
        assert list(result.summaries[0].best) == [2]

    def test_a_missing_file_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"none.jsonl', which does not exist"):
            read_comparison(tmp_path / "none.jsonl")

    def test_nothing_finished_is_told(self) -> None:
        with pytest.raises(ConfigurationError, match="at least one finished study, got none"):
            ComparisonResult(())
        broken = {**record("a", 0, [1.0]), "error": "Traceback: it was the objective"}
        with pytest.raises(ConfigurationError, match="got 1 that failed, the first with:\nTraceback: it was"):
            ComparisonResult((broken,))

    def test_a_baseline_whose_studies_have_all_failed_leaves_the_rest(self) -> None:
        broken = {**record("base", 0, [1.0], task="digits"), "error": "Traceback: no memory"}
        text = text_of(ComparisonResult((*studies(), broken), baseline="base"))
        assert "ours 6 1 (1 .. 1)" in text
        assert "Against" not in text
        assert "1 studies failed" in text

    @pytest.mark.parametrize("argument", ["baseline", "random"])
    def test_unknown_names_are_told(self, argument: str) -> None:
        names: dict[str, Any] = {argument: "tpe"}
        with pytest.raises(ConfigurationError, match=rf"{argument} to be one of \['ours', 'TPE'\], got 'tpe'"):
            ComparisonResult(tuple(studies()), **names)
