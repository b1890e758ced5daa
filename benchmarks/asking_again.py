"""Is asking again worth it? Studies that are asked again after 15 trials, beside the same studies that are not.

    python benchmarks/asking_again.py prompts --data FOLDER --answers ANSWERS --later REPLIES
    python benchmarks/asking_again.py run --data FOLDER --answers ANSWERS --later REPLIES --out again.jsonl
    python benchmarks/asking_again.py report again.jsonl

FOLDER is that of `real_answers.py`, ANSWERS holds the recordings of `answer_ablation.py`, of which the first answer is
taken. `prompts` runs every study up to the later question and writes it to `REPLIES/<task>.<seed>.prompt.txt`; the
reply of a language model goes, as it came, to `<task>.<seed>.answer.txt` beside it. `run` repeats the studies with the
replies: the first 15 trials are the same, since seed and answer are. A question that has changed since is refused.
"""

from __future__ import annotations

import argparse
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from answer_ablation import BUDGET, TASKS, context_of
from engine import distributions, load_task
from real_answers import TASK_OF

from benchmarks.harness.runner import Record, Task, read_records, run_tasks
from llm_prior_bo import Elicitation, FixedElicitor, LLMElicitor, LLMPriorSampler, RefreshPolicy, StudyContext
from llm_prior_bo.elicitation import FunctionClient, render_prompt

AGAIN = RefreshPolicy(every=15, lost_trust=None, stagnation=None, max_elicitations=2)
METHODS = {"asked once": None, "asked again": AGAIN}
N_TRIALS = 40
MARKS = (16, 20, 25, 30, 40)


class QuestionError(BaseException):
    """A later question without a reply: no failure of a model, so it has to end the study."""


class TwoAnswers:
    """The first answer from a recording, the later one from a file.

    Args:
        first: A recording of `answer_ablation.py`.
        later: The path of the later prompt and reply, without their suffixes.
    """

    def __init__(self, first: Path, later: Path) -> None:
        self._first, self._later = first, later

    def elicit(self, context: StudyContext) -> Elicitation:
        """The recorded answer.

        Raises:
            QuestionError: If there is no reply, or it was to another question.
        """
        if context.insights is None:
            text = json.loads(self._first.read_text(encoding="utf-8"))[0]["completions"][0]
            return FixedElicitor(text).elicit(context)
        question = "".join(f"=== {message['role']} ===\n{message['content']}\n" for message in render_prompt(context))
        prompt, reply = self._later.with_suffix(".prompt.txt"), self._later.with_suffix(".answer.txt")
        if not reply.exists():
            prompt.write_text(question, encoding="utf-8")
            raise QuestionError(f"no reply to {prompt}")
        if prompt.read_text(encoding="utf-8") != question:
            raise QuestionError(f"{reply} answers another question; write the prompts anew")
        return LLMElicitor(client=FunctionClient(lambda _: reply.read_text(encoding="utf-8"))).elicit(context)


def run_study(task: Task, *, data: Path, answers: Path, later: Path) -> dict[str, Any]:
    """Run one study; `prior` is unused, `method` says whether it is asked again."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problem = load_task(data, TASK_OF.get(task.problem, task.problem))
    elicitor = TwoAnswers(answers / f"{task.problem}.json", later / f"{task.problem}.{task.seed}.x")
    sampler = LLMPriorSampler(
        elicitor=elicitor, search_space=distributions(problem), seed=task.seed, refresh=METHODS[task.method]
    )
    study = optuna.create_study(sampler=sampler)
    study.set_user_attr("problem_description", context_of(data, task.problem).problem_description)
    study.set_user_attr("n_trials", BUDGET)
    study.optimize(lambda trial: problem.evaluate(problem.suggest(trial)), n_trials=task.n_trials)
    return {"values": [trial.value for trial in study.trials]}


def table(records: list[Record]) -> str:
    """Best values of both, study by study, and how often asking again was better."""
    curves = {(r["problem"], r["seed"], r["method"]): np.minimum.accumulate(r["values"]) for r in records}
    studies = sorted({key[:2] for key in curves if all((*key[:2], method) in curves for method in METHODS)})
    rows = [
        "| task | seed | " + " | ".join(f"after {n}: once / again" for n in MARKS) + " |",
        "|---" * (2 + len(MARKS)) + "|",
    ]
    wins = dict.fromkeys(MARKS, 0)
    losses = dict.fromkeys(MARKS, 0)
    for problem, seed in studies:
        once, again = (curves[problem, seed, method] for method in METHODS)
        for n in MARKS:
            wins[n] += bool(again[n - 1] < once[n - 1])
            losses[n] += bool(again[n - 1] > once[n - 1])
        cells = " | ".join(f"{once[n - 1]:.4g} / {again[n - 1]:.4g}" for n in MARKS)
        rows.append(f"| {problem} | {seed} | {cells} |")
    score = " | ".join(f"{wins[n]}-{len(studies) - wins[n] - losses[n]}-{losses[n]}" for n in MARKS)
    return "\n".join([*rows, f"| asked again better-equal-worse | | {score} |"])


def main() -> None:
    """Write prompts, run or report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("prompts", "run"):
        own = commands.add_parser(command)
        for name in ("data", "answers", "later"):
            own.add_argument(f"--{name}", type=Path, required=True)
        own.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
        own.add_argument("--seeds", nargs="+", type=int, default=[100, 101])
    commands.choices["run"].add_argument("--out", type=Path, required=True)
    commands.choices["run"].add_argument("--workers", type=int, default=1)
    commands.add_parser("report").add_argument("file", type=Path)
    options = parser.parse_args()
    if options.command == "report":
        print(table([record for record in read_records(options.file) if record["error"] is None]))
        return
    execute = functools.partial(run_study, data=options.data, answers=options.answers, later=options.later)
    methods = METHODS if options.command == "run" else ["asked again"]
    tasks = [Task(name, "own", m, seed, N_TRIALS) for seed in options.seeds for name in options.tasks for m in methods]
    if options.command == "run":
        run_tasks(tasks, out=options.out, execute=execute, n_workers=options.workers)
        return
    options.later.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        try:
            execute(task)
        except QuestionError as error:
            print(error)


if __name__ == "__main__":
    main()
