"""One answer or five, intervals read as how sure, named or blinded: what does each do to a study? Recorded answers.

    python -m benchmarks.answer_ablation run --data FOLDER --answers ANSWERS --out ablation.jsonl --seeds 10
    python -m benchmarks.answer_ablation report ablation.jsonl

FOLDER holds `suite.py`, a collection of real hyperparameter-optimisation tables and surrogates; ANSWERS holds answers
to five wordings of the question for every task, and to one without names (`record_answers`). Studies are run with the
sampler's default settings. All studies of one call share one file, and the same command takes up an interrupted run
again.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from benchmarks.harness.answer_methods import METHODS
from benchmarks.harness.arguments import add_run_options, new_parser
from benchmarks.harness.hpo_tasks import Distributions, load_task, run_trials
from benchmarks.harness.recordings import BLINDED, BUDGET, context_of, recorded_answers
from llm_prior_bo import LLMPriorSampler, PriorAnswer, StudyContext, build_prior, pool_priors
from llm_prior_bo.compare.markdown import markdown_table
from llm_prior_bo.compare.runner import Record, Task, finished, read_records, run_tasks
from llm_prior_bo.compare.statistics import MeanDifference, Quartiles, paired_bootstrap
from llm_prior_bo.elicitation.blinding import blind

CHECKPOINTS = (5, 10, 20, 50)
AREAS_FROM = (1, 6)
UNIT_AT = 5
"""The unit of a task is the median gap that all its studies have left after so many trials."""

TASKS = ("lcbench_126026", "rbv2_gbtree_1501", "xgb_concrete", "xgb_1494")


@dataclass(frozen=True)
class Variant:
    """What is made of the recorded answers.

    Args:
        answers: "one": a single answer, another wording for every seed; "first": the first wording; "all": all pooled;
            "blinded": the answer to the question without names.
        coverage: Coverage assumed for stated 80 % intervals.
    """

    answers: str
    coverage: float = 0.5


VARIANTS: Mapping[str, Variant] = {
    "1 answer": Variant("one"),
    "5 pooled": Variant("all"),
    "1 answer, coverage 0.3": Variant("one", 0.3),
    "1 answer, coverage 0.8": Variant("one", 0.8),
    "5 pooled, coverage 0.3": Variant("all", 0.3),
    "5 pooled, coverage 0.8": Variant("all", 0.8),
    "named": Variant("first"),
    "blinded": Variant("blinded"),
}
WITHOUT = "no-llm"
"""The same sampler without an answer."""

PAIRS = (
    ("5 pooled", "1 answer"),
    ("1 answer, coverage 0.3", "1 answer"),
    ("1 answer, coverage 0.8", "1 answer"),
    ("5 pooled, coverage 0.3", "5 pooled"),
    ("5 pooled, coverage 0.8", "5 pooled"),
    ("blinded", "named"),
    ("1 answer", WITHOUT),
    ("5 pooled", WITHOUT),
    ("blinded", WITHOUT),
)

Curves = dict[tuple[str, str, int], Any]
"""Task, variant, seed -> gap to the best value of the task so far, after every trial, in the task's unit."""


# Answers -------------------------------------------------------------------------------------------------------------


def answers_for(variant: Variant, folder: Path, name: str, context: StudyContext, seed: int) -> list[PriorAnswer]:
    """The answers that a variant pools."""
    if variant.answers == BLINDED:
        hidden, blinding = blind(context)
        return [blinding.reveal(answer) for answer in recorded_answers(folder / f"{name}.{BLINDED}.json", hidden.space)]
    answers = recorded_answers(folder / f"{name}.json", context.space)
    chosen = {"one": answers[seed % len(answers) :][:1], "first": answers[:1], "all": answers}
    return chosen[variant.answers]


# Studies -------------------------------------------------------------------------------------------------------------


def sampler_for(task: Task, context: StudyContext, answers: Path) -> optuna.samplers.BaseSampler:
    """The sampler of a variant, with the default settings."""
    space: Distributions = dict(context.distributions)
    if task.method == WITHOUT:
        return METHODS[WITHOUT](PriorAnswer.by_hand(), space, task.seed)
    variant = VARIANTS[task.method]
    chosen = answers_for(variant, answers, task.problem, context, task.seed)
    densities = [build_prior(answer, context.space, interval_coverage=variant.coverage) for answer in chosen]
    return LLMPriorSampler(prior=pool_priors(densities), seed=task.seed)


def run_study(task: Task, *, data: Path, answers: Path) -> dict[str, Any]:
    """Run one study.

    Args:
        task: `problem` is the task's name, `method` the variant's.
        data: The folder of the tasks.
        answers: The folder of the recordings.

    Returns:
        Values of all trials, and seconds.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problem = load_task(data, task.problem)
    study = optuna.create_study(sampler=sampler_for(task, context_of(data, task.problem), answers))
    return run_trials(study, problem, n_trials=task.n_trials)


# Report --------------------------------------------------------------------------------------------------------------


def scaled_curves(records: Sequence[Record]) -> Curves:
    """Gaps to the best value that any study of the task has found, in the task's unit (`UNIT_AT`)."""
    best = {(r["problem"], r["method"], r["seed"]): np.minimum.accumulate(r["values"]) for r in records}
    curves: Curves = {}
    for problem in dict.fromkeys(r["problem"] for r in records):
        own = {key: curve for key, curve in best.items() if key[0] == problem}
        least = min(float(curve[-1]) for curve in own.values())
        unit = float(np.median([curve[UNIT_AT - 1] - least for curve in own.values()]))
        # Nothing was left to find: in the objective's own unit.
        curves |= {key: (curve - least) / (unit if unit > 0.0 else 1.0) for key, curve in own.items()}
    return curves


def area(curve: Any, start: int) -> float:
    """Mean gap from the trial `start` on, counted from 1."""
    return float(np.mean(curve[start - 1 :]))


def table(curves: Curves) -> str:
    """Areas from trials 1 and 6 and gaps at the checkpoints, median and quartiles over the seeds."""
    rows = []
    order = [*VARIANTS, WITHOUT]
    keys = dict.fromkeys((problem, method) for problem, method, _ in curves)
    for problem, method in sorted(keys, key=lambda key: (TASKS.index(key[0]), order.index(key[1]))):
        own = [curve for (p, m, _), curve in curves.items() if (p, m) == (problem, method)]
        samples = {f"area, from trial {start}": [area(curve, start) for curve in own] for start in AREAS_FROM}
        samples |= {f"after {n}": [float(curve[min(n, len(curve)) - 1]) for curve in own] for n in CHECKPOINTS}
        cells = {title: str(Quartiles.of(sample)) for title, sample in samples.items()}
        rows.append({"task": problem, "variant": method, "seeds": str(len(own)), **cells})
    return markdown_table(rows)


def differences(curves: Curves) -> str:
    """Mean differences of paired seeds with 95 % bootstrap intervals; negative: the first is better."""
    rows = []
    for first, second in PAIRS:
        pairs = [(p, s) for p, m, s in curves if m == first and (p, second, s) in curves]
        problems = list(dict.fromkeys(problem for problem, _ in pairs))
        for problem in [*problems, "all"] if len(problems) > 1 else problems:
            chosen = [pair for pair in pairs if problem in (pair[0], "all")]
            cells = {
                f"area, from trial {start}": str(_difference(curves, chosen, (first, second), start))
                for start in AREAS_FROM
            }
            row = {"first minus second": f"{first} − {second}", "task": problem, "pairs": str(len(chosen))}
            rows.append({**row, **cells})
    return markdown_table(rows)


def _difference(
    curves: Curves, pairs: Sequence[tuple[str, int]], variants: tuple[str, str], start: int
) -> MeanDifference:
    first, second = ([area(curves[p, variant, seed], start) for p, seed in pairs] for variant in variants)
    return paired_bootstrap(first, second)


def main() -> None:
    """Run or report."""
    parser = new_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--data", type=Path, required=True)
    run.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    run.add_argument("--answers", type=Path, required=True, help="recordings")
    run.add_argument("--variants", nargs="+", default=[*VARIANTS, WITHOUT], choices=[*VARIANTS, WITHOUT])
    add_run_options(run, seeds=10, trials=BUDGET)
    commands.add_parser("report").add_argument("files", type=Path, nargs="+")
    options = parser.parse_args()
    if options.command == "run":
        _run(options)
    else:
        curves = scaled_curves(finished(record for path in options.files for record in read_records(path)))
        print(f"{table(curves)}\n\n{differences(curves)}")


def _run(options: argparse.Namespace) -> None:
    tasks = [
        Task(name, "recorded", variant, seed, options.trials)
        for seed in range(options.seeds)
        for name in options.tasks
        for variant in options.variants
    ]
    execute = functools.partial(run_study, data=options.data, answers=options.answers)
    run_tasks(tasks, out=options.out, execute=execute, n_workers=options.workers)


if __name__ == "__main__":
    main()
