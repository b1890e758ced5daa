"""Does a language model's answer pay after the start-up? Real answers on real hyperparameter-optimisation tasks.

    python -m benchmarks.real_answers run --data FOLDER --out real.jsonl --seeds 10 --trials 50 --workers 2
    python -m benchmarks.real_answers report real.jsonl
    python -m benchmarks.real_answers run --data FOLDER --out foreign.jsonl --answers foreign ...

FOLDER holds `suite.py`, a collection of real hyperparameter-optimisation tables and surrogates. The answers are those
of a large language model to the package's own question, recorded once (`record_answers`). Two controls start on the
very points of the default: `control-1` is the same engine without the prior after the start-up, `control-2` is Optuna's
`GPSampler` with these points enqueued. Foreign answers belong to another task, or have every interval mirrored in its
range. All studies of one call share one file, and the same command takes up an interrupted run again.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler

from benchmarks.harness.answer_methods import ENQUEUED, METHODS, N_STARTUP, trace_of
from benchmarks.harness.arguments import add_run_options, new_parser
from benchmarks.harness.beliefs import mirrored
from benchmarks.harness.hpo_tasks import Distributions, distributions, load_task, run_trials
from benchmarks.harness.recordings import TASKS, recorded_answers
from llm_prior_bo import PriorAnswer, SearchSpace
from llm_prior_bo.compare.markdown import markdown_table
from llm_prior_bo.compare.runner import Record, Task, finished, read_records, run_tasks
from llm_prior_bo.compare.statistics import Quartiles, paired_bootstrap

RECORDINGS = Path(__file__).parent / "answers" / "version_2"
FOREIGN = {
    "xgb_concrete": ("xgb_naval_propulsion", "as it is"),
    "hpobench_nn_kc1": ("hpobench_nn_phoneme", "as it is"),
    "lcbench_126026": ("lcbench_126026", "mirrored"),
    "opda_deberta": ("opda_deberta", "mirrored"),
}
"""Task -> whose answer it gets, and what is done to it."""

REMEMBERED = frozenset({"fcnet_slice_localization", "fcnet_naval_propulsion", "fcnet_parkinsons_telemonitoring"})
"""Tasks whose published table the model says in its answer that it remembers: left out of the medians."""

EXTRAPOLATED = ("lcbench_", "rbv2_", "meta42_")
"""Families of surrogates whose optimum is partly an artefact of extrapolation: reported apart."""

Curves = dict[tuple[str, str, int], Any]
"""Task, method, seed -> best value so far after every trial."""


def load_answer(task: str, kind: str, space: Distributions) -> PriorAnswer:
    """The answer for a task: its own, or a foreign one."""
    name, change = FOREIGN[task] if kind == "foreign" else (task, "as it is")
    (answer, *_) = recorded_answers(RECORDINGS / f"{name}.json", SearchSpace(space))
    return mirrored(answer, space) if change == "mirrored" else answer


def run_study(task: Task, *, data: Path) -> dict[str, Any]:
    """Run one study.

    Args:
        task: `problem` is the task's name, `prior` is `own` or `foreign`.
        data: The folder.

    Returns:
        Values of all trials, seconds, and what the sampler told of every suggestion.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problem = load_task(data, task.problem)
    space = distributions(problem)
    answer = load_answer(task.problem, task.prior, space)
    study = optuna.create_study(sampler=METHODS[task.method](answer, space, task.seed))
    if task.method in ENQUEUED:
        _enqueue_startup(study, METHODS["control-1"](answer, space, task.seed), problem)
    result = run_trials(study, problem, n_trials=task.n_trials)
    return {**result, "trace": trace_of(study)}


def _enqueue_startup(study: optuna.Study, sampler: BaseSampler, problem: Any) -> None:
    other = optuna.create_study(sampler=sampler)
    run_trials(other, problem, n_trials=N_STARTUP)
    for trial in other.trials:
        study.enqueue_trial(trial.params)


def tables(records: list[Record], *, n_trials: int) -> str:
    """Best values, areas under the curve, and the comparison with the better control.

    The area under the curve is the mean over trials 6 to `n_trials` of the best value so far, minus the best value of
    all studies of the task, in units of the median gap that `control-1` has left at trial 5. Differences are paired by
    seed, with a 95 % bootstrap interval.
    """
    by_key = {(r["problem"], r["method"], r["seed"]): np.minimum.accumulate(r["values"])[:n_trials] for r in records}
    problems = list(dict.fromkeys(r["problem"] for r in records))
    methods = [name for name in METHODS if any(r["method"] == name for r in records)]
    rows = []
    for problem in problems:
        areas = _areas(by_key, problem, methods)
        for method in methods:
            curves = [curve for (p, m, _), curve in by_key.items() if (p, m) == (problem, method)]
            if not curves:
                continue
            best = {
                f"best after {n}": _quartiles([curve[min(n, n_trials) - 1] for curve in curves]) for n in (10, 20, 50)
            }
            rows.append(
                {
                    "task": problem,
                    "method": method,
                    "seeds": str(len(curves)),
                    **best,
                    "area, from trial 6": _quartiles(list(areas[method].values())),
                    "minus control-1": _difference(areas, method, "control-1"),
                }
            )
    return "\n\n".join([markdown_table(rows), _verdicts(by_key, problems, methods)])


def foreign_table(records: list[Record], *, n_trials: int) -> str:
    """Best values with a foreign answer, with the task's own and with none; differences to none paired by seed."""
    best = {
        (r["problem"], r["prior"], r["method"], r["seed"]): np.minimum.accumulate(r["values"])[:n_trials]
        for r in records
    }
    rows = []
    for problem, (whose, change) in FOREIGN.items():
        foreign, own, none = (
            {s: curve for (p, a, m, s), curve in best.items() if (p, a, m) == (problem, answer, method)}
            for answer, method in (("foreign", "default"), ("own", "default"), ("own", "no-llm"))
        )
        seeds = sorted(foreign.keys() & none.keys())
        for n in (10, 20, n_trials) if seeds else ():
            groups = {"foreign answer": foreign, "own answer": own, "no-llm": none}
            cells = {name: _quartiles([float(c[n - 1]) for c in group.values()]) for name, group in groups.items()}
            pairs = [[float(group[s][n - 1]) for s in seeds] for group in (foreign, none)]
            first = {"task": problem, "whose answer": f"{whose}, {change}", "after": str(n)}
            rows.append({**first, **cells, "foreign minus no-llm": str(paired_bootstrap(*pairs))})
    return markdown_table(rows)


def _areas(
    by_key: Curves, problem: str, methods: list[str], *, start: int = N_STARTUP + 1
) -> dict[str, dict[int, float]]:
    """Method -> seed -> area from trial `start` on, of one task."""
    own = {(m, seed): curve for (p, m, seed), curve in by_key.items() if p == problem}
    best = min(float(curve[-1]) for curve in own.values())
    reference = "control-1" if any(m == "control-1" for m, _ in own) else methods[0]
    gap = float(np.median([curve[N_STARTUP - 1] - best for (m, _), curve in own.items() if m == reference]))
    gap = gap if gap > 0.0 else 1.0  # nothing was left to find: in the objective's own unit
    return {
        method: {seed: float(curve[start - 1 :].mean() - best) / gap for (m, seed), curve in own.items() if m == method}
        for method in methods
    }


def _verdicts(by_key: Curves, problems: list[str], methods: list[str]) -> str:
    """Every method against both controls and against no language model, and the medians over the tasks."""
    references = [
        ("the better control", "better", N_STARTUP + 1),
        ("control-1", "control-1", N_STARTUP + 1),
        ("no-llm", "no-llm", 1),
    ]
    sections = []
    for title, reference, start in references:
        if set(("control-1", "control-2") if reference == "better" else (reference,)) <= set(methods):
            table = _verdict(by_key, problems, methods, reference=reference, start=start)
            sections.append(f"Area from trial {start} on, minus that of {title}:\n\n{table}")
    return "\n\n".join(sections)


def _verdict(by_key: Curves, problems: list[str], methods: list[str], *, reference: str, start: int) -> str:
    rows = []
    means: dict[str, dict[str, float]] = {method: {} for method in methods}
    for problem in problems:
        areas = _areas(by_key, problem, methods, start=start)
        own = reference
        if reference == "better":
            own = min(("control-1", "control-2"), key=lambda m: float(np.mean(list(areas[m].values()))))
        rows.append({"task": problem, "against": own})
        for method in methods:
            rows[-1][method] = _difference(areas, method, own)
            pairs = areas[method].keys() & areas[own].keys()
            if problem not in REMEMBERED and pairs:
                means[method][problem] = float(np.mean([areas[method][s] - areas[own][s] for s in pairs]))
    return markdown_table([*rows, *_medians(means)])


def _medians(means: Mapping[str, Mapping[str, float]]) -> list[dict[str, str]]:
    """Medians over the tasks that the model does not remember, extrapolated surrogates apart."""
    rows = []
    for title, extrapolated in (("median of tables and fitted runs", False), ("median of extrapolated ones", True)):
        values = {
            method: [v for task, v in by_task.items() if task.startswith(EXTRAPOLATED) == extrapolated]
            for method, by_task in means.items()
        }
        cells = {method: f"{np.median(v):+.3f}, worst {max(v):+.3f}" for method, v in values.items() if v}
        rows.append({"task": title, **cells})
    return rows


def _difference(areas: dict[str, dict[int, float]], method: str, reference: str) -> str:
    seeds = sorted(areas[method].keys() & areas.get(reference, {}).keys())
    if not seeds or method == reference:
        return ""
    return str(paired_bootstrap([areas[method][s] for s in seeds], [areas[reference][s] for s in seeds]))


def _quartiles(values: list[float]) -> str:
    return Quartiles.of(values).text(".4g")


def main() -> None:
    """Run or report."""
    parser = new_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--data", type=Path, required=True)
    add_run_options(run, seeds=10, trials=50)
    run.add_argument("--answers", choices=("own", "foreign"), default="own")
    run.add_argument("--tasks", nargs="+")
    run.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    report = commands.add_parser("report")
    report.add_argument("files", type=Path, nargs="+")
    report.add_argument("--trials", type=int, default=50)
    options = parser.parse_args()
    if options.command == "run":
        names = options.tasks or list(TASKS if options.answers == "own" else FOREIGN)
        tasks = [
            Task(name, options.answers, method, seed, options.trials)
            for seed in range(options.seeds)
            for name in names
            for method in options.methods
        ]
        execute = functools.partial(run_study, data=options.data)
        run_tasks(tasks, out=options.out, execute=execute, n_workers=options.workers)
    else:
        records = finished(record for path in options.files for record in read_records(path))
        own = [record for record in records if record["prior"] == "own"]
        print(tables(own, n_trials=options.trials))
        if len(own) < len(records):
            print("\n" + foreign_table(records, n_trials=options.trials))


if __name__ == "__main__":
    main()
