"""Is asking again worth it? From the same ten trials: asked once, asked again, and a placebo.

    python -m benchmarks.asking_again prompts --data FOLDER --later REPLIES
    python -m benchmarks.asking_again run --data FOLDER --later REPLIES --out again.jsonl --seeds 8 --workers 2
    python -m benchmarks.asking_again report again.jsonl

FOLDER holds `suite.py`; the first answers are the recorded ones. A state is a task with its first ten
trials. `prompts` runs every state and writes the question that is due then, and the same with the results of the ten
trials permuted among them: what a model makes of that is no knowledge of these trials. The files are named after the
prompt's hash, so that whoever answers cannot tell which is which; `REPLIES/questions.json` can. The reply goes, as it
came, to `<hash>.answer.txt` beside `<hash>.prompt.txt`. `run` goes on from each state with new seeds, once for every
way and repeat.
"""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from benchmarks.harness.arguments import add_run_options, new_parser
from benchmarks.harness.beliefs import own_answer
from benchmarks.harness.hpo_tasks import distributions, load_task, run_trials
from benchmarks.harness.recordings import BUDGET, context_of, messages_text
from llm_prior_bo import (
    Elicitation,
    FixedElicitor,
    LLMElicitor,
    LLMPriorSampler,
    PriorAnswer,
    RefreshPolicy,
    StudyContext,
)
from llm_prior_bo.compare.markdown import markdown_table
from llm_prior_bo.compare.runner import Record, Task, finished, read_records, run_tasks
from llm_prior_bo.compare.statistics import MeanDifference, paired_bootstrap
from llm_prior_bo.elicitation import FunctionClient, Messages, prompt_hash, render_prompt

N_BEFORE = 10
N_TRIALS = 35
STATE_SEED = 100
INDEX = "questions.json"
AGAIN = RefreshPolicy(every=N_BEFORE, lost_trust=None, stagnation=None, space_change=False, max_elicitations=2)
ONCE = "asked once"
METHODS = {ONCE: None, "asked again": "real", "placebo": "permuted"}
"""Ways to go on -> whose later answer is used."""
PAIRS = (("asked again", ONCE), ("asked again", "placebo"), ("placebo", ONCE))

Areas = dict[tuple[str, str, int], float]

TASKS = (
    "xgb_protein_structure",
    "xgb_naval_propulsion",
    "xgb_concrete",
    "svm_336",
    "hpobench_nn_kc1",
    "hpobench_nn_vehicle",
    "hpobench_nn_phoneme",
    "opda_convnext",
    "opda_deberta",
    "lcbench_126026",
    "rbv2_gbtree_1501",
    "rbv2_xgboost_1501",
)


class Later:
    """The first answer as it was recorded; a later question is noted, and answered if there is a reply.

    Args:
        first: The first answer.
        reply: The path of the reply to the later question; `None` if there is none yet.
    """

    def __init__(self, first: PriorAnswer, reply: Path | None = None) -> None:
        self._first, self._reply = first, reply
        self.question: Messages = ()

    def elicit(self, context: StudyContext) -> Elicitation:
        """The recorded answer."""
        if context.insights is None:
            return FixedElicitor(self._first).elicit(context)
        self.question = render_prompt(context)
        text = "{}" if self._reply is None else self._reply.read_text(encoding="utf-8")
        return LLMElicitor(client=FunctionClient(lambda _: text), max_retries=0).elicit(context)


def state_of(data: Path, name: str) -> tuple[optuna.Study, Any, PriorAnswer]:
    """A study after its first ten trials, its task and its first answer; the same whenever it is run."""
    problem = load_task(data, name)
    space = distributions(problem)
    answer = own_answer(name, space, STATE_SEED)
    sampler = LLMPriorSampler(elicitor=Later(answer), search_space=space, seed=STATE_SEED, refresh=None)
    study = optuna.create_study(sampler=sampler)
    study.set_user_attr("problem_description", context_of(data, name).problem_description)
    study.set_user_attr("n_trials", BUDGET)
    run_trials(study, problem, n_trials=N_BEFORE)
    return study, problem, answer


def question_of(study: optuna.Study, problem: Any, answer: PriorAnswer) -> Messages:
    """The question that is put to the model at the next trial."""
    elicitor = Later(answer)
    study.sampler = LLMPriorSampler(
        elicitor=elicitor, search_space=distributions(problem), seed=STATE_SEED, refresh=AGAIN
    )
    study.ask()  # the reply is not there yet, so the trial goes on without
    return elicitor.question


def permuted(study: optuna.Study) -> optuna.Study:
    """A copy of a study in which the results are permuted among the trials."""
    other = copy.deepcopy(study)
    trials = other._storage.get_all_trials(other._study_id, deepcopy=False)
    values = [trial.values for trial in trials]
    order = np.random.default_rng(STATE_SEED).permutation(len(values))
    for trial, index in zip(trials, order, strict=True):
        trial.values = values[index]
    return other


def write_prompts(data: Path, names: list[str], later: Path) -> None:
    """Write both questions of every state."""
    later.mkdir(parents=True, exist_ok=True)
    questions: dict[str, dict[str, str]] = {}
    for name in names:
        study, problem, answer = state_of(data, name)
        for kind, one in (("permuted", permuted(study)), ("real", study)):
            question = question_of(one, problem, answer)
            questions.setdefault(name, {})[kind] = digest = prompt_hash(question)
            (later / f"{digest}.prompt.txt").write_text(messages_text(question), encoding="utf-8")
    (later / INDEX).write_text(json.dumps(questions, indent=1), encoding="utf-8")


def reply_path(later: Path, name: str, kind: str) -> Path:
    """Where the reply to a task's question is, asked with its results `real` or `permuted`."""
    digest = json.loads((later / INDEX).read_text(encoding="utf-8"))[name][kind]
    return later / f"{digest}.answer.txt"


def run_study(task: Task, *, data: Path, later: Path) -> dict[str, Any]:
    """Go on from a state: `method` says which later answer there is, `seed` is that of the repeat."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study, problem, answer = state_of(data, task.problem)
    kind = METHODS[task.method]
    study.sampler = LLMPriorSampler(
        elicitor=Later(answer, None if kind is None else reply_path(later, task.problem, kind)),
        search_space=distributions(problem),
        seed=1000 + task.seed,
        refresh=None if kind is None else AGAIN,
    )
    result = run_trials(study, problem, n_trials=task.n_trials - N_BEFORE)
    told = study.sampler.get_statistics(study)
    parts = {n: [part.trust for part in suggestion.answers] for n, suggestion in told.suggestions.items()}
    return {**result, "n_answers": len(told.elicitations), "trust": parts}


def areas(records: list[Record]) -> Areas:
    """State, way, repeat -> mean gap from trial 11 on, in units of the gap at trial 10."""
    curves = {(r["problem"], r["method"], r["seed"]): np.minimum.accumulate(r["values"]) for r in records}
    found: Areas = {}
    for name in dict.fromkeys(key[0] for key in curves):
        own = {key: curve for key, curve in curves.items() if key[0] == name}
        best = min(float(curve[-1]) for curve in own.values())
        gap = float(np.median([curve[N_BEFORE - 1] - best for curve in own.values()])) or 1.0
        found |= {key: float(np.mean(curve[N_BEFORE:] - best)) / gap for key, curve in own.items()}
    return found


def table(records: list[Record]) -> str:
    """Differences of the areas, state by state and over all states; negative: the first is better."""
    by_key = areas(records)
    names = list(dict.fromkeys(key[0] for key in by_key))
    columns = {f"{first} minus {second}": _differences(by_key, names, first, second) for first, second in PAIRS}
    rows = [{"state": name} | {title: str(column[name]) for title, column in columns.items()} for name in names]
    means = {title: np.array([difference.mean for difference in column.values()]) for title, column in columns.items()}
    medians = {title: f"{np.median(values):+.3f}" for title, values in means.items()}
    averages = {title: f"{np.mean(values):+.3f}" for title, values in means.items()}
    counts = {title: f"{sum(values < -0.05)} / {sum(values > 0.05)}" for title, values in means.items()}
    summary = {"median over states": medians, "mean over states": averages, "better / worse by .05": counts}
    return markdown_table([*rows, *({"state": title} | cells for title, cells in summary.items())])


def _differences(by_key: Areas, names: list[str], first: str, second: str) -> dict[str, MeanDifference]:
    """State -> difference of two ways, paired by repeat."""
    found = {}
    for name in names:
        ways = [{s: area for (n, m, s), area in by_key.items() if (n, m) == (name, way)} for way in (first, second)]
        seeds = sorted(ways[0].keys() & ways[1].keys())
        found[name] = paired_bootstrap(*([way[seed] for seed in seeds] for way in ways))
    return found


def main() -> None:
    """Write prompts, run or report."""
    parser = new_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("prompts", "run"):
        own = commands.add_parser(command)
        own.add_argument("--data", type=Path, required=True)
        own.add_argument("--later", type=Path, required=True)
        own.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    add_run_options(commands.choices["run"], seeds=8, trials=N_TRIALS)
    commands.add_parser("report").add_argument("file", type=Path)
    options = parser.parse_args()
    if options.command == "report":
        print(table(finished(read_records(options.file))))
    elif options.command == "prompts":
        write_prompts(options.data, options.tasks, options.later)
    else:
        execute = functools.partial(run_study, data=options.data, later=options.later)
        tasks = [
            Task(name, "own", method, seed, options.trials)
            for seed in range(options.seeds)
            for name in options.tasks
            for method in METHODS
        ]
        run_tasks(tasks, out=options.out, execute=execute, n_workers=options.workers)


if __name__ == "__main__":
    main()
