"""Everything that is compared, on everything that it is compared on, with the placebos of every claim.

    python -m benchmarks.proof run --data FOLDER --out proof.jsonl --seeds 10 --trials 50 --workers 2
    python -m benchmarks.proof run --out live.jsonl --tasks svm_digits torch_digits branin --methods default GPSampler
    python -m benchmarks.proof run --data FOLDER --out placebos.jsonl --beliefs random other mirrored neutral
    python -m benchmarks.proof list --data FOLDER
    python -m benchmarks.proof report proof.jsonl

Tasks are trained live on scikit-learn's data, read from the folder with `suite.py`, a collection of real tuning tables
and surrogates, or are functions of two parameters; without `--data` only those that need no folder. Beliefs are
described in `harness/beliefs.py`; those other than `own` are run with the methods in `PLACEBO_METHODS`. The placebo of
asking again, a second answer given after permuted results, is in `asking_again.py`.

Methods that ask a language model once run on recorded replies (`record_peers`); those that ask at every trial need
`--model NAME`, a model that LiteLLM can reach, and are left out without. SMAC3 and NePS are installed apart and need
`--smac PYTHON` or `--neps PYTHON` (see `peers/external.py`). What is not available for a task is left out.

A record holds `values` and, where the task has them, `test_values` of every trial, `params` in the unit cube to four
digits (`null`: not active), `seconds` in all and `objective_seconds` of them, `best_known` (`null` for live tasks: take
the best value of all studies of the task and the seed), `counts` of the questions to a model and, for the package's
sampler, `trace`. The same command takes up an interrupted run again.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler

from benchmarks.harness.answer_methods import METHODS as ANSWER_METHODS
from benchmarks.harness.answer_methods import (
    N_STARTUP,
    Belief,
    MakeSampler,
    prior_alone,
    trace_of,
    without_trust,
)
from benchmarks.harness.arguments import add_run_options, new_parser
from benchmarks.harness.beliefs import KINDS, is_available, make_belief
from benchmarks.harness.live_tasks import LIVE_TASKS
from benchmarks.harness.problems import LANDSCAPES
from benchmarks.harness.recordings import BUDGET, TASKS
from benchmarks.harness.tasks import BenchmarkTask, find_task
from benchmarks.peers.cma_override import CMAOverrideSampler
from benchmarks.peers.external import ExternalSampler, reduced
from benchmarks.peers.llm_tpe import LLMTPESampler
from benchmarks.peers.narrowing import NarrowingSampler
from benchmarks.peers.one_shot import OneShotSampler
from benchmarks.peers.per_trial import PerTrialSampler
from benchmarks.peers.proposing import ProposingSampler
from benchmarks.peers.recorded import RecordedClient
from benchmarks.record_peers import recording
from llm_prior_bo import OptimumPrior, PriorAnswer, build_prior
from llm_prior_bo.compare.markdown import markdown_table
from llm_prior_bo.compare.runner import Record, Task, finished, read_records, run_tasks
from llm_prior_bo.compare.statistics import Quartiles
from llm_prior_bo.elicitation import LiteLLMClient, LLMClient
from llm_prior_bo.errors import ConfigurationError

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Means:
    """What the caller has.

    Args:
        data: Folder with `suite.py`.
        model: Name of a live model.
        pythons: Interpreters of the optimisers that are installed apart, by the optimiser's name.
    """

    data: Path | None = None
    model: str | None = None
    pythons: Mapping[str, Path] | None = None

    @property
    def client(self) -> LLMClient:
        """The live model."""
        if self.model is None:
            raise ConfigurationError("Expected a model to ask at every trial, got none; pass --model.")
        return LiteLLMClient(self.model)


@dataclass(frozen=True)
class Setting:
    """One study to come."""

    task: BenchmarkTask
    belief: Belief
    seed: int
    n_trials: int
    means: Means

    @property
    def prior(self) -> OptimumPrior:
        """The belief as a density."""
        return build_prior(self.belief, self.task.space) if isinstance(self.belief, PriorAnswer) else self.belief


# Methods -------------------------------------------------------------------------------------------------------------

First = Callable[[Setting], Sequence[Config]]
"""From a study to come to the configurations that it begins with."""

Need = Literal["belief", "one-shot", "narrowing", "model", "SMAC3", "NePS"]


@dataclass(frozen=True)
class Method:
    """One way to optimise.

    Args:
        make: The sampler of a study.
        needs: What it does not run without, besides the task; `None` for methods that nothing is told.
        first: Configurations that are tried before the sampler's own.
    """

    make: Callable[[Setting], BaseSampler]
    needs: Need | None = None
    first: First = lambda _: ()


def _shared(make: MakeSampler, needs: Need | None, first: First = lambda _: ()) -> Method:
    """A method of `answer_methods`."""
    return Method(lambda setting: make(setting.belief, setting.task.distributions, setting.seed), needs, first)


def startup_of_control_1(setting: Setting) -> list[Config]:
    """The start-up points of the package's own sampler, with their values forgotten."""
    sampler = ANSWER_METHODS["control-1"](setting.belief, setting.task.distributions, setting.seed)
    study = optuna.create_study(sampler=sampler)
    study.optimize(functools.partial(_objective, setting), n_trials=min(N_STARTUP, setting.n_trials))
    return [trial.params for trial in study.trials]


def default_configuration(setting: Setting) -> list[Config]:
    """What a user begins with."""
    return [setting.task.default]


def best_guess(setting: Setting) -> list[Config]:
    """The most plausible values of the belief's heaviest region; the default ones where it has no opinion."""
    guess = dict(setting.task.default)
    for column, parameter in zip(setting.task.space.columns, reduced(setting.prior, setting.task.space), strict=True):
        if parameter.mode is not None:
            guess[column.name] = column.decode(parameter.mode)
    return [guess]


def _random(setting: Setting) -> BaseSampler:
    return RandomSampler(seed=setting.seed)


def _gp(setting: Setting) -> BaseSampler:
    return GPSampler(seed=setting.seed)


def _cma_es(setting: Setting) -> BaseSampler:
    return CmaEsSampler(seed=setting.seed, warn_independent_sampling=False)


def _botorch(setting: Setting) -> BaseSampler:
    from optuna_integration import BoTorchSampler  # an optional package

    sampler: BaseSampler = BoTorchSampler(seed=setting.seed, independent_sampler=RandomSampler(seed=setting.seed))
    return sampler


def _one_shot(setting: Setting) -> BaseSampler:
    client = RecordedClient(recording("one-shot", setting.task.name))
    return OneShotSampler(client, setting.task.space, seed=setting.seed)


def _narrowed(setting: Setting, *, make: Callable[..., BaseSampler]) -> BaseSampler:
    client = RecordedClient(recording("narrowing", setting.task.name))
    return NarrowingSampler(client, setting.task.space, make(seed=setting.seed))


def _asking(setting: Setting, *, make: Callable[..., BaseSampler]) -> BaseSampler:
    return make(setting.means.client, setting.task.space, seed=setting.seed)


def _external(setting: Setting, *, name: str) -> BaseSampler:
    python = (setting.means.pythons or {})[name]
    task = setting.task
    return ExternalSampler(name, python, task.space, setting.prior, seed=setting.seed, n_trials=setting.n_trials)


METHODS: Mapping[str, Method] = {
    # ours, and its controls
    "default": _shared(ANSWER_METHODS["default"], "belief"),
    "no-trust": _shared(without_trust, "belief"),
    "control-1": _shared(ANSWER_METHODS["control-1"], "belief"),
    "control-2": _shared(ANSWER_METHODS["control-2"], "belief", startup_of_control_1),
    "pibo-10": _shared(ANSWER_METHODS["pibo-10"], "belief"),
    "prior alone": _shared(prior_alone, "belief"),
    "no-llm": _shared(ANSWER_METHODS["no-llm"], None),
    # nothing is told
    "TPESampler": _shared(ANSWER_METHODS["TPESampler"], None),
    "GPSampler": _shared(ANSWER_METHODS["GPSampler"], None),
    "CmaEsSampler": Method(_cma_es),
    "RandomSampler": Method(_random),
    "BoTorchSampler": Method(_botorch),
    # seeded
    "RandomSampler, default first": Method(_random, first=default_configuration),
    "GPSampler, default first": Method(_gp, first=default_configuration),
    "RandomSampler, best guess first": Method(_random, "belief", best_guess),
    "GPSampler, best guess first": Method(_gp, "belief", best_guess),
    # the field's
    "one-shot, then TPE": Method(_one_shot, "one-shot"),
    "narrowed TPE": Method(functools.partial(_narrowed, make=TPESampler), "narrowing"),
    "narrowed GPSampler": Method(functools.partial(_narrowed, make=GPSampler), "narrowing"),
    "LLM-TPE": Method(functools.partial(_asking, make=LLMTPESampler), "model"),
    "LLM every trial": Method(functools.partial(_asking, make=PerTrialSampler), "model"),
    "CMA-ES, LLM overrides": Method(functools.partial(_asking, make=CMAOverrideSampler), "model"),
    # the same prior, reduced to what they can express
    "SMAC3": Method(functools.partial(_external, name="SMAC3"), "SMAC3"),
    "NePS": Method(functools.partial(_external, name="NePS"), "NePS"),
}
"""Name -> method."""

WITH_BELIEF = ("belief", "SMAC3", "NePS")
"""Needs of methods whose studies differ by belief."""

PLACEBO_METHODS = ("default", "no-trust", "control-1")
"""Methods that are run with beliefs other than `own`."""


# Studies -------------------------------------------------------------------------------------------------------------


def run_study(task: Task, *, means: Means) -> dict[str, Any]:
    """Run one study.

    Args:
        task: `problem` is the task's name, `prior` a kind of belief, `method` a name in `METHODS`; the seed is that of
            the sampler, of the task's split, and of placebos.
        means: What the caller has.

    Returns:
        The record's fields, see the top of this file.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problem = find_task(task.problem, means.data)
    belief = make_belief(task.prior, task.problem, problem.distributions, data=means.data, seed=task.seed)
    setting = Setting(problem, belief, task.seed, task.n_trials, means)
    method = METHODS[task.method]
    first = method.first(setting)
    started = time.perf_counter()
    study = _new_study(problem, method.make(setting))
    try:
        for config in first:
            study.enqueue_trial(dict(config))
        study.optimize(functools.partial(_objective, setting), n_trials=task.n_trials)
    finally:
        if isinstance(study.sampler, ExternalSampler):
            study.sampler.close()
    return _result(study, problem, seconds=time.perf_counter() - started)


def _new_study(problem: BenchmarkTask, sampler: BaseSampler) -> optuna.Study:
    study = optuna.create_study(sampler=sampler)
    study.set_user_attr("problem_description", problem.description)
    study.set_user_attr("n_trials", BUDGET)  # as the recorded questions have it
    return study


def _objective(setting: Setting, trial: optuna.Trial) -> float:
    config = setting.task.suggest(trial)
    started = time.perf_counter()
    scores = setting.task.evaluate(config, setting.seed)
    trial.set_user_attr("seconds", time.perf_counter() - started)
    trial.set_user_attr("test", scores.test)
    return scores.validation


def _result(study: optuna.Study, problem: BenchmarkTask, *, seconds: float) -> dict[str, Any]:
    trials = study.get_trials(deepcopy=False)
    test = [trial.user_attrs["test"] for trial in trials]
    sampler = study.sampler
    counts = asdict(sampler.counts) if isinstance(sampler, ProposingSampler | NarrowingSampler) else None
    return {
        "values": [trial.value for trial in trials],
        "test_values": test if any(score is not None for score in test) else None,
        "params": [problem.encoded(trial.params) for trial in trials],
        "seconds": seconds,
        "objective_seconds": sum(trial.user_attrs["seconds"] for trial in trials),
        "best_known": problem.best_known,
        "counts": counts,
        "trace": {n: [_rounded(value) for value in told] for n, told in trace_of(study).items()},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


# What is run ---------------------------------------------------------------------------------------------------------


def is_possible(task: str, belief: str, method: str, means: Means) -> bool:
    """Whether a method can be run on a task with a belief, given what the caller has and what is recorded."""
    needs = METHODS[method].needs
    if needs in WITH_BELIEF:
        if belief == "none" or (belief != "own" and method not in PLACEBO_METHODS):
            return False
    elif belief != "none":
        return False
    has = {
        "one-shot": recording("one-shot", task).exists(),
        "narrowing": recording("narrowing", task).exists(),
        "model": means.model is not None,
        **{name: name in (means.pythons or {}) for name in ("SMAC3", "NePS")},
    }
    return is_available(belief, task) and (needs is None or has.get(needs, True))


def all_tasks(means: Means) -> list[str]:
    """Names of the tasks that there are with or without the folder."""
    return [*LIVE_TASKS, *LANDSCAPES, *(TASKS if means.data is not None else ())]


def planned(
    tasks: Sequence[str],
    beliefs: Sequence[str],
    methods: Sequence[str],
    means: Means,
    *,
    n_seeds: int,
    n_trials: int,
) -> Iterator[Task]:
    """The possible studies, small seeds first; methods without a belief once for all beliefs."""
    for seed in range(n_seeds):
        for task in tasks:
            for belief in dict.fromkeys([*beliefs, "none"]):
                for method in methods:
                    if is_possible(task, belief, method, means):
                        yield Task(task, belief, method, seed, n_trials)


def table(records: Sequence[Record]) -> str:
    """Best values of every task, belief and method, the sampler's own time, and the test score of the best trial.

    Medians and quartiles over the seeds. Times of methods that did not run side by side say nothing.
    """
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record["problem"], record["prior"], record["method"]), []).append(record)
    rows = []
    for (task, belief, method), own in groups.items():
        cells = {"task": task, "belief": belief, "method": method, "seeds": str(len(own))}
        cells["best value"] = Quartiles.of([min(record["values"]) for record in own]).text(".4g")
        times = [1e3 * (record["seconds"] - record["objective_seconds"]) / record["n_trials"] for record in own]
        cells["ms a trial"] = Quartiles.of(times).text(".3g")
        if own[0]["test_values"] is not None:
            tested = [record["test_values"][int(np.argmin(record["values"]))] for record in own]
            cells["its test value"] = Quartiles.of(tested).text(".4g")
        rows.append(cells)
    return markdown_table(rows)


def main() -> None:
    """List, run or report."""
    parser = new_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("run", "list"):
        own = commands.add_parser(command)
        own.add_argument("--data", type=Path, help="folder with suite.py")
        own.add_argument("--tasks", nargs="+")
        own.add_argument("--beliefs", nargs="+", default=["own"], choices=KINDS)
        own.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
        own.add_argument("--model", help="a model that LiteLLM can reach, for methods that ask at every trial")
        own.add_argument("--smac", type=Path, metavar="PYTHON", help="interpreter that has smac")
        own.add_argument("--neps", type=Path, metavar="PYTHON", help="interpreter that has neural-pipeline-search")
    add_run_options(commands.choices["run"], seeds=10, trials=BUDGET)
    commands.add_parser("report").add_argument("files", type=Path, nargs="+")
    options = parser.parse_args()
    if options.command == "report":
        print(table(finished(record for path in options.files for record in read_records(path))))
    else:
        _run_or_list(options)


def _run_or_list(options: argparse.Namespace) -> None:
    given = {"SMAC3": options.smac, "NePS": options.neps}
    pythons = {name: python for name, python in given.items() if python is not None}
    means = Means(options.data, options.model, pythons)
    plan = functools.partial(planned, options.tasks or all_tasks(means), options.beliefs, options.methods, means)
    if options.command == "list":
        for task in plan(n_seeds=1, n_trials=BUDGET):
            print(f"{task.problem}\t{task.prior}\t{task.method}")
    else:
        tasks = list(plan(n_seeds=options.seeds, n_trials=options.trials))
        execute = functools.partial(run_study, means=means)
        run_tasks(tasks, out=options.out, execute=execute, n_workers=options.workers)


if __name__ == "__main__":
    main()
