from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from llm_prior_bo.compare.runner import Record, Task, read_records, run_tasks
from llm_prior_bo.errors import ConfigurationError, PersistenceError
from tests.compare import work
from tests.compare.work import TASKS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "results.jsonl"


def names(records: list[Record]) -> list[Any]:
    return [record["name"] for record in records]


def forbidden(task: Task) -> dict[str, Any]:
    raise AssertionError(f"{task} has a result already")


class TestResults:
    def test_every_task_is_one_line(self, out: Path) -> None:
        records = run_tasks(TASKS, out=out, execute=work.describe, n_workers=0)
        lines = [json.loads(line) for line in out.read_text().splitlines()]
        assert names(records) == ["a0", "a1", "b0", "b1"]
        assert sorted(names(lines)) == ["a0", "a1", "b0", "b1"]
        assert lines[0]["error"] is None
        assert Task.of(lines[0]) == TASKS[0]

    def test_first_seeds_of_everything_come_first(self, out: Path) -> None:
        run_tasks(TASKS, out=out, execute=work.describe, n_workers=0)
        assert names(read_records(out)) == ["a0", "b0", "a1", "b1"]

    def test_callback_sees_new_records(self, out: Path) -> None:
        seen: list[Record] = []
        run_tasks(TASKS[:1], out=out, execute=work.describe, n_workers=0)
        run_tasks(TASKS, out=out, execute=work.describe, n_workers=0, on_record=seen.append)
        assert names(seen) == ["b0", "a1", "b1"]

    def test_workers_have_one_thread_each(self, out: Path) -> None:
        records = run_tasks(TASKS, out=out, execute=work.describe, n_workers=2)
        assert names(records) == ["a0", "a1", "b0", "b1"]
        assert {record["threads"] for record in records} == {1}
        assert {record["environment"] for record in records} == {"1"}

    def test_negative_number_of_workers_is_refused(self, out: Path) -> None:
        with pytest.raises(ConfigurationError, match="at least 0, got -1"):
            run_tasks(TASKS, out=out, execute=work.describe, n_workers=-1)


class TestResuming:
    def test_finished_tasks_are_skipped(self, out: Path) -> None:
        first = run_tasks(TASKS, out=out, execute=work.describe, n_workers=0)
        text = out.read_text()
        assert run_tasks(TASKS, out=out, execute=forbidden, n_workers=0) == first
        assert run_tasks(TASKS, out=out, execute=forbidden, n_workers=1) == first
        assert out.read_text() == text

    def test_another_length_is_another_task(self, out: Path) -> None:
        run_tasks([Task("p", "q", "a", 0, 1)], out=out, execute=work.describe, n_workers=0)
        run_tasks([Task("p", "q", "a", 0, 2)], out=out, execute=work.describe, n_workers=0)
        assert [record["n_trials"] for record in read_records(out)] == [1, 2]

    def test_after_an_interrupt(self, out: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            run_tasks(TASKS, out=out, execute=work.interrupted_at_second_seed, n_workers=0)
        assert names(read_records(out)) == ["a0", "b0"]
        assert names(run_tasks(TASKS, out=out, execute=work.describe, n_workers=0)) == ["a0", "a1", "b0", "b1"]
        assert len(out.read_text().splitlines()) == 4

    def test_after_a_kill_which_ends_the_workers_too(self, out: Path) -> None:
        command = [sys.executable, "-m", "tests.compare.work", str(out)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(3000):
            if len(read_records(out)) == 2 or process.poll() is not None:
                break
            time.sleep(0.1)
        process.kill()
        process.communicate(timeout=300)  # returns when nobody holds the other end of the pipe: no worker is left
        assert names(read_records(out)) == ["a0", "b0"]
        assert names(run_tasks(TASKS, out=out, execute=work.describe, n_workers=0)) == ["a0", "a1", "b0", "b1"]

    def test_unfinished_last_line_is_passed_over_and_replaced(self, out: Path) -> None:
        run_tasks(TASKS[:2], out=out, execute=work.describe, n_workers=0)
        whole = out.read_bytes()
        out.write_bytes(whole + b'{"name": "b0", "problem": "p", "pri')
        assert names(read_records(out)) == ["a0", "a1"]
        records = run_tasks(TASKS, out=out, execute=work.describe, n_workers=0)
        assert names(records) == ["a0", "a1", "b0", "b1"]
        assert out.read_bytes().startswith(whole)
        assert [Task.of(json.loads(line)) for line in out.read_text().splitlines()] == TASKS

    def test_last_line_that_lacks_only_its_break_counts(self, out: Path) -> None:
        run_tasks(TASKS, out=out, execute=work.describe, n_workers=0)
        text = out.read_text()
        out.write_text(text.rstrip("\n"))
        assert len(read_records(out)) == 4
        run_tasks(TASKS, out=out, execute=forbidden, n_workers=0)
        assert out.read_text() == text

    def test_anything_else_in_the_file_is_refused(self, out: Path) -> None:
        run_tasks(TASKS[:1], out=out, execute=work.describe, n_workers=0)
        out.write_text("no record\n" + out.read_text())
        with pytest.raises(PersistenceError, match=r"'no record' in line 1; delete that line"):
            run_tasks(TASKS, out=out, execute=work.describe, n_workers=0)

    def test_no_file_holds_no_records(self, out: Path) -> None:
        assert read_records(out) == []


class TestErrors:
    @pytest.mark.parametrize("n_workers", [0, 1])
    def test_are_recorded_and_tried_again(self, out: Path, n_workers: int) -> None:
        records = run_tasks(TASKS, out=out, execute=work.fail_for_b, n_workers=n_workers)
        assert [record["error"] is None for record in records] == [True, True, False, False]
        assert "ValueError: b is broken" in records[2]["error"]
        again = run_tasks(TASKS, out=out, execute=work.describe, n_workers=0)
        assert [record["error"] for record in again] == [None] * 4
        assert [record["error"] for record in read_records(out)] == [None] * 4
        assert len(out.read_text().splitlines()) == 6

    def test_result_that_cannot_be_written_is_one(self, out: Path) -> None:
        records = run_tasks(TASKS, out=out, execute=work.unwritable_for_b, n_workers=0)
        assert [record["error"] is None for record in records] == [True, True, False, False]
        assert "not JSON serializable" in records[2]["error"]
