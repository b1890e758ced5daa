from __future__ import annotations

from typing import Any

from benchmarks.results import sections
from benchmarks.results.regrets import STARTUP, Way, regrets_of
from tests.benchmarks.results.studies import N_TRIALS, studies

LIVE_TASK = "svm_digits"


def cells(table: str) -> list[dict[str, str]]:
    """Rows of a Markdown table by title."""
    titles, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [dict(zip(titles, row, strict=True)) for row in rows]


def traced(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records, with a trust of .8 in every suggestion of ours."""
    told = {str(n): [0.0, 1.0, 0.8] for n in range(5, N_TRIALS)}
    return [r | {"trace": told} if r["method"] == "default" else r for r in records]


TASKS = regrets_of(traced(studies("svm_336", "lcbench_126026")))


def test_everybody_is_ordered_by_the_regret_after_ten_trials() -> None:
    rows = cells(sections.everybody(TASKS))
    assert rows[0]["method"] == "**default**"
    assert "default, mirrored belief" not in [row["method"] for row in rows]
    ours = rows[0]
    assert (ours["tasks"], ours["seeds"]) == ("2", "6")
    assert ours["after 5"] == "0.25 (0.25 .. 0.25)"
    assert ours["tasks against GPSampler after 10"] == "2-0-0"
    assert ours["speed-up"] == "10.0x, 2 of 2"
    assert ours["successes"] == "1.00"
    others = {row["method"]: row["speed-up"] for row in rows}
    assert (others["GPSampler"], others["RandomSampler"]) == ("", "not reached, 0 of 2")


def test_families_have_medians_and_the_worst_task() -> None:
    tables, extrapolated, both = cells(sections.families(TASKS))
    assert (tables["family"], extrapolated["family"], both["family"]) == (
        "tables and fitted runs",
        "extrapolated surrogates",
        "all",
    )
    # No belief: 3/4 nine times and then 1/4; ours: 1/2, 1/4 eight times, and then nothing.
    area = (1 * 0.25 + 8 * 0.5 + 21 * 0.25) / 30
    assert both["minus no-llm, from trial 1"] == f"{-area:+.3f}, worst {-area:+.3f} (svm_336)"


def test_after_the_startup_the_unit_is_what_the_start_leaves() -> None:
    tasks = regrets_of(studies("svm_336"), unit=STARTUP)
    ours = cells(sections.after_startup(tasks))[0]
    expected = -(4 * 0.5 + 21 * 0.5) / 25
    assert ours["tables and fitted runs"] == f"{expected:+.3f}, worst {expected:+.3f} (svm_336); 1 tasks, 1-0-0"


def test_every_task_has_its_trust() -> None:
    row = cells(sections.by_task(TASKS))[0]
    assert row["task"] == "svm_336"
    assert row["trust after 10, 20, 50"] == "0.80, 0.80, -"
    assert row["speed-up over GPSampler"] == "10.0x"
    assert row["minus control-2, from 6"] == ""


def test_the_engine_is_compared_with_gpsampler() -> None:
    first, second, mean = cells(sections.engine(TASKS))
    assert (first["task"], second["task"], first["seeds"]) == ("svm_336", "lcbench_126026", "6")
    assert first["after 10"] == "-0.750 (-0.75 to -0.75)"  # one of four is left
    assert mean["after 20"] == "0.000 (+0.00 to +0.00), 0-2-0"
    assert sections.engine(regrets_of([r for r in studies("svm_336") if r["method"] != "no-llm"])) == ""


def test_a_belief_that_costs_is_counted() -> None:
    right = [r for r in studies("svm_336") if (r["method"], r["prior"]) == ("default", "own")]
    harmful = [r | {"method": "no-llm", "prior": "none"} for r in right]
    harmful += [r for r in studies("svm_336") if r["method"] == "GPSampler"]
    bad = [r | {"prior": "own"} for r in traced(studies("svm_336")) if r["prior"] == "mirrored"]
    rows = cells(sections.hurt(regrets_of([*harmful, *bad])))
    assert [row["after"] for row in rows] == ["5", "10", "20"]
    assert rows[0]["tasks hurt"] == "1 of 1"
    assert rows[0]["the worst"] == "svm_336, 0.75"
    assert rows[1]["their median trust"] == "0.80"
    assert [row["tasks hurt"] for row in cells(sections.hurt(TASKS))] == ["0 of 2"] * 3


def test_beliefs_are_compared_on_the_tasks_that_have_them() -> None:
    own, mirrored = cells(sections.placebos(TASKS, ("own", "mirrored", "neutral"), n_trials=30))
    assert (own["belief"], mirrored["belief"]) == ("own", "mirrored")
    assert own["minus `default` with the own answer"] == ""
    assert own["median over the tasks"] == own["minus no belief"].split()[0]  # both tasks are alike
    assert mirrored["minus no belief after 10"] == "0.000 (+0.00 to +0.00)"
    assert mirrored["better-neither-worse"] == "0-0-2"
    assert mirrored["trust after 10, 20"] == "0.80, 0.80"
    assert sections.placebos(TASKS, ("own", "neutral"), n_trials=30) == ""


def test_earlier_studies_are_compared_with_the_answer() -> None:
    others = [
        r | {"prior": kind}
        for r in studies("svm_336")
        if (r["method"], r["prior"]) == ("default", "own")
        for kind in ("earlier", "earlier and own")
    ]
    task, mean = cells(sections.earlier(regrets_of([*studies("svm_336"), *others]), n_trials=30))
    assert task["own"] == task["earlier"] == mean["earlier and own"]
    assert sections.earlier(TASKS, n_trials=30) == ""


def test_controls_that_were_not_run_have_no_row() -> None:
    (row,) = cells(sections.against(TASKS, {"the engine": Way("no-llm"), "nothing": Way("NePS", "own")}))
    assert row["minus"] == "no-llm"
    assert row["after 10"] == "-0.250 (-0.25 to -0.25), 2-0-0"


def test_held_out_scores_are_of_the_best_trial_so_far() -> None:
    tested = [
        r | {"test_values": [value + (0.5 if r["method"] == "GPSampler" else 0.0) for value in r["values"]]}
        for r in studies(LIVE_TASK)
    ]
    early, end = cells(sections.held_out(regrets_of(tested)))
    assert (early["after"], end["after"]) == ("10", "30")
    assert early["ours"] == "0 (0 .. 0)"
    assert early["minus GPSampler"] == "-4.5 (-4.5 to -4.5)"
    assert end["minus GPSampler"] == "-1.5 (-1.5 to -1.5)"
    assert sections.held_out(TASKS) == ""


def test_tokens_are_set_against_trials() -> None:
    text = sections.cost(TASKS, {"svm_336": (900, 500)}.get)
    (row,) = cells(text.split("\n\n")[0])
    # Ours has nothing left after ten trials, which GPSampler never reaches.
    assert row["GPSampler is where ours is after 10 trials after"] == "more than 30"
    assert text.endswith("Trials saved, median over the tasks: 20.")
    assert sections.cost(TASKS, lambda _: None) == ""
