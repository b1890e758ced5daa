"""One answer or five, intervals read as how sure, named or blinded: what does each do to a study? Recorded answers.

    python -m benchmarks.answer_ablation prompts --data FOLDER --out PROMPTS
    python -m benchmarks.answer_ablation collect --prompts PROMPTS --model NAME --out ANSWERS
    python -m benchmarks.answer_ablation run --data FOLDER --answers ANSWERS --out ablation.jsonl --seeds 10
    python -m benchmarks.answer_ablation report ablation.jsonl

FOLDER holds `suite.py`, a collection of real hyperparameter-optimisation tables and surrogates. `prompts` writes five
wordings of the question for every task, and one without names. Whoever answers writes the reply, unedited, to
`<task>.<index>.answer.txt` beside the prompt; `collect` makes recordings of them. Studies are run with the sampler's
default settings. All studies of one call share one file, and the same command takes up an interrupted run again.
"""

from __future__ import annotations

import argparse
import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from benchmarks.harness.arguments import add_run_options, new_parser
from benchmarks.harness.hpo_tasks import Distributions, distributions, load_task, run_trials
from benchmarks.harness.report import markdown_table
from benchmarks.harness.runner import Record, Task, finished, read_records, run_tasks
from benchmarks.harness.summary import MeanDifference, Quartiles, paired_bootstrap
from benchmarks.real_answers import METHODS
from llm_prior_bo import LLMPriorSampler, PriorAnswer, SearchSpace, StudyContext, build_prior, pool_priors
from llm_prior_bo.elicitation import PROMPT_VERSION, Exchange, Messages, prompt_hash, render_prompt, validate_answer
from llm_prior_bo.elicitation.blinding import blind
from llm_prior_bo.elicitation.replay import read_exchanges, write_exchanges

N_ANSWERS = 5
BUDGET = 50
CHECKPOINTS = (5, 10, 20, 50)
AREAS_FROM = (1, 6)
UNIT_AT = 5
"""The unit of a task is the median gap that all its studies have left after so many trials."""

TASKS = ("lcbench_126026", "rbv2_gbtree_1501", "xgb_concrete", "xgb_1494")
DESCRIPTIONS = {
    "xgb_1494": "XGBoost classifier (R xgboost; nrounds boosting rounds; gbtree/dart/gblinear booster) on the OpenML "
    "data set 'qsar-biodeg' (1055 rows, 41 features, 2 classes); minimise cross-validated error.",
}
"""Of tasks that the collection does not describe."""

BLINDED = "blinded"


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


# Questions and answers -----------------------------------------------------------------------------------------------


def context_of(data: Path, name: str) -> StudyContext:
    """The question about a task, before its first trial."""
    problem = load_task(data, name)
    description = problem.context or DESCRIPTIONS[name]
    conditions = [
        f"{row['name']} is active only if {row['condition'][0]} is {' or '.join(map(str, row['condition'][1]))}."
        for row in problem.space()
        if row.get("condition")
    ]
    return StudyContext(
        distributions=distributions(problem),
        problem_description=" ".join([description, *conditions]),
        n_trials=BUDGET,
    )


def write_prompts(data: Path, names: Sequence[str], out: Path) -> None:
    """Write the prompts of the tasks, one text file each."""
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        context = context_of(data, name)
        contexts = {str(index): replace(context, answer_index=index) for index in range(N_ANSWERS)}
        contexts[BLINDED] = blind(context)[0]
        for label, one in contexts.items():
            text = _as_text(render_prompt(one), one.space.fingerprint)
            (out / f"{name}.{label}.prompt.txt").write_text(text, encoding="utf-8")


def _as_text(messages: Messages, fingerprint: str) -> str:
    return f"=== prompt version {PROMPT_VERSION}, search space {fingerprint} ===\n{messages_text(messages)}"


def messages_text(messages: Messages) -> str:
    """A prompt as it is written to a file."""
    return "".join(f"=== {message['role']} ===\n{message['content']}\n" for message in messages)


def _from_text(text: str) -> tuple[Messages, str, str]:
    """Messages, version and fingerprint of a prompt's file."""
    head, _, body = text.partition("\n")
    header = re.fullmatch(r"=== prompt version (\S+), search space (\w+) ===", head)
    if header is None:
        raise ValueError(f"Expected a prompt written by this script, got {head!r}.")
    _, *parts = re.split(r"^=== (system|user) ===\n", body, flags=re.MULTILINE)
    messages = tuple(
        {"role": role, "content": content.removesuffix("\n")}
        for role, content in zip(parts[::2], parts[1::2], strict=True)
    )
    return messages, header[1], header[2]


def collect(prompts: Path, names: Sequence[str], out: Path, *, model: str) -> None:
    """Make recordings of the replies: five exchanges in `<task>.json`, one in `<task>.blinded.json`."""
    for name in names:
        exchanges = [_exchange(prompts / f"{name}.{index}", model) for index in range(N_ANSWERS)]
        write_exchanges(out / f"{name}.json", exchanges)
        write_exchanges(out / f"{name}.{BLINDED}.json", [_exchange(prompts / f"{name}.{BLINDED}", model)])


def _exchange(stem: Path, model: str) -> Exchange:
    messages, version, fingerprint = _from_text(stem.with_name(f"{stem.name}.prompt.txt").read_text(encoding="utf-8"))
    answer = stem.with_name(f"{stem.name}.answer.txt")
    return Exchange(
        messages=messages,
        completions=(answer.read_text(encoding="utf-8"),),
        prompt_hash=prompt_hash(messages),
        prompt_version=version,
        space_fingerprint=fingerprint,
        model=model,
        recorded_at=datetime.fromtimestamp(answer.stat().st_mtime, UTC).isoformat(timespec="seconds"),
    )


def recorded_answers(path: Path, space: SearchSpace) -> list[PriorAnswer]:
    """The answers of a recording, in the order of their wordings."""
    return [validate_answer(exchange.completions[0], space)[0] for exchange in read_exchanges(path)]


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
    """Write prompts, collect replies, run or report."""
    parser = new_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("prompts", "collect", "run"):
        own = commands.add_parser(command)
        if command != "run":
            own.add_argument("--out", type=Path, required=True)
        own.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
        if command != "collect":
            own.add_argument("--data", type=Path, required=True)
    commands.choices["collect"].add_argument("--prompts", type=Path, required=True, help="prompts and replies")
    commands.choices["collect"].add_argument("--model", required=True, help="who replied")
    run = commands.choices["run"]
    run.add_argument("--answers", type=Path, required=True, help="recordings")
    run.add_argument("--variants", nargs="+", default=[*VARIANTS, WITHOUT], choices=[*VARIANTS, WITHOUT])
    add_run_options(run, seeds=10, trials=BUDGET)
    commands.add_parser("report").add_argument("files", type=Path, nargs="+")
    options = parser.parse_args()
    if options.command == "prompts":
        write_prompts(options.data, options.tasks, options.out)
    elif options.command == "collect":
        collect(options.prompts, options.tasks, options.out, model=options.model)
    elif options.command == "run":
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
