"""Is asking again worth it? Studies that are asked again after 15 trials, beside the same studies that are not.

    python -m benchmarks.asking_again prompts --data FOLDER --answers ANSWERS --later REPLIES
    python -m benchmarks.asking_again run --data FOLDER --answers ANSWERS --later REPLIES --out again.jsonl
    python -m benchmarks.asking_again report again.jsonl

FOLDER is that of `real_answers`, ANSWERS holds the recordings of `record_answers`, of which the first answer is
taken. `prompts` runs every study up to the later question and writes it to `REPLIES/<task>.<seed>.prompt.txt`; the
reply of a language model goes, as it came, to `<task>.<seed>.answer.txt` beside it. `run` repeats the studies with the
replies: the first 15 trials are the same, since seed and answer are. A question that has changed since is refused.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from benchmarks.answer_ablation import TASKS
from benchmarks.harness.arguments import add_run_options, new_parser
from benchmarks.harness.hpo_tasks import distributions, load_task, run_trials
from benchmarks.harness.recordings import BUDGET, context_of, messages_text
from benchmarks.harness.report import markdown_table
from benchmarks.harness.runner import Record, Task, finished, read_records, run_tasks
from benchmarks.harness.summary import Comparison
from llm_prior_bo import Elicitation, FixedElicitor, LLMElicitor, LLMPriorSampler, RefreshPolicy, StudyContext
from llm_prior_bo.elicitation import FunctionClient, render_prompt
from llm_prior_bo.elicitation.replay import read_exchanges

AGAIN = RefreshPolicy(every=15, lost_trust=None, stagnation=None, max_elicitations=2)
METHODS = {"asked once": None, "asked again": AGAIN}
N_TRIALS = 40
MARKS = (16, 20, 25, 30, 40)


class QuestionError(BaseException):
    """A later question without a reply: no failure of a model, so it has to end the study."""


class TwoAnswers:
    """The first answer from a recording, the later one from a file.

    Args:
        first: A recording of `record_answers`.
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
            return FixedElicitor(read_exchanges(self._first)[0].completions[0]).elicit(context)
        question = messages_text(render_prompt(context))
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
    problem = load_task(data, task.problem)
    elicitor = TwoAnswers(answers / f"{task.problem}.json", later / f"{task.problem}.{task.seed}.x")
    sampler = LLMPriorSampler(
        elicitor=elicitor, search_space=distributions(problem), seed=task.seed, refresh=METHODS[task.method]
    )
    study = optuna.create_study(sampler=sampler)
    study.set_user_attr("problem_description", context_of(data, task.problem).problem_description)
    study.set_user_attr("n_trials", BUDGET)
    return run_trials(study, problem, n_trials=task.n_trials)


def table(records: list[Record]) -> str:
    """Best values of both, study by study, and how often asking again was better."""
    curves = {(r["problem"], r["seed"], r["method"]): np.minimum.accumulate(r["values"]) for r in records}
    studies = sorted({key[:2] for key in curves if all((*key[:2], method) in curves for method in METHODS)})
    rows = []
    for problem, seed in studies:
        once, again = (curves[problem, seed, method] for method in METHODS)
        cells = {f"after {n}: once / again": f"{once[n - 1]:.4g} / {again[n - 1]:.4g}" for n in MARKS}
        rows.append({"task": problem, "seed": str(seed), **cells})
    wins = {
        f"after {n}: once / again": str(
            Comparison.of((curves[*key, "asked again"][n - 1], curves[*key, "asked once"][n - 1]) for key in studies)
        )
        for n in MARKS
    }
    return markdown_table([*rows, {"task": "asked again better-equal-worse", **wins}])


def main() -> None:
    """Write prompts, run or report."""
    parser = new_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("prompts", "run"):
        own = commands.add_parser(command)
        for name in ("data", "answers", "later"):
            own.add_argument(f"--{name}", type=Path, required=True)
        own.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
        own.add_argument("--seeds", nargs="+", type=int, default=[100, 101])
    add_run_options(commands.choices["run"])
    commands.add_parser("report").add_argument("file", type=Path)
    options = parser.parse_args()
    if options.command == "report":
        print(table(finished(read_records(options.file))))
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
