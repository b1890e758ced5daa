"""Does another version of the package suggest the same? One suggestion at a time, from the same state of a study.

    python -m benchmarks.same_suggestions record before.pkl     # with one version
    python -m benchmarks.same_suggestions compare before.pkl    # with another one

`record` runs a fixed set of studies and keeps all of their trials. `compare` builds every state of every study again
from what was kept, trial by trial, and asks the installed sampler for the next suggestion. So one difference does not
lead to others, and what is compared is the computation, not the luck of a study's path. Where a suggestion differs, the
scores that both versions have given to their own ones are compared.
"""

from __future__ import annotations

import argparse
import math
import os
import pickle
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch: more threads are slower on shared cores

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial

from llm_prior_bo import (
    BoundedLossDecay,
    FixedElicitor,
    LLMPriorSampler,
    PowerDecay,
    PriorAnswer,
    RefreshPolicy,
    SearchSpace,
    UniformPrior,
)

NUMERIC = {"x": FloatDistribution(-5.0, 5.0), "y": FloatDistribution(1e-5, 1.0, log=True), "n": IntDistribution(1, 64)}
MIXED: dict[str, BaseDistribution] = {
    **NUMERIC,
    "kind": CategoricalDistribution(["tree", "linear", "net"]),
    "depth": IntDistribution(2, 12),
    "step": FloatDistribution(0.0, 1.0, step=0.125),
}
SUGGESTION_KEY = "llm_prior_bo:suggestion"


def _answer(**changes: Any) -> PriorAnswer:
    rows = {
        "notes": "",
        "regions": [{"region": 1, "label": "a", "weight": 3.0}, {"region": 2, "label": "b", "weight": 1.0}],
        "numeric": [
            {"region": 1, "parameter": "x", "best": 1.0, "low": 0.0, "high": 2.5},
            {"region": 1, "parameter": "y", "best": 1e-3, "low": 2e-4, "high": 1e-2},
            {"region": 1, "parameter": "n", "best": 20, "low": 8, "high": 40},
            {"region": 2, "parameter": "x", "best": -3.0, "low": -4.0, "high": -2.0},
        ],
        "categorical": [],
        "correlations": [],
        "confidence": 0.9,
    }
    return PriorAnswer.model_validate({**rows, **changes})


CORRELATED = _answer(
    correlations=[
        {"region": 1, "first": "x", "second": "y", "rho": 0.6},
        {"region": 1, "first": "y", "second": "n", "rho": -0.4},
    ]
)
WITH_CHOICES = _answer(
    categorical=[
        {"region": 1, "parameter": "kind", "choice": "tree", "weight": 0.7},
        {"region": 1, "parameter": "kind", "choice": "net", "weight": 0.3},
    ]
)


def _loss(params: Mapping[str, Any]) -> float:
    shift = {"tree": 0.0, "linear": 1.0, "net": 0.4}[params.get("kind", "tree")]
    x, y, n = (params["x"] - 1.5) / 2.0, (math.log10(params["y"]) + 2.5) / 1.5, (params["n"] - 28) / 24
    rest = 0.1 * (params.get("depth", 6) - 7) ** 2 / 9 + (params.get("step", 0.5) - 0.375) ** 2
    return float(x**2 + y**2 + 0.5 * n**2 + 0.3 * math.sin(3.0 * x * y) + shift + rest)


def _ask_all(trial: Trial, space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    return {name: trial._suggest(name, distribution) for name, distribution in space.items()}


def _numeric(trial: Trial) -> float:
    return _loss(_ask_all(trial, NUMERIC))


def _mixed(trial: Trial) -> float:
    return _loss(_ask_all(trial, MIXED))


def _conditional(trial: Trial) -> float:
    params = _ask_all(trial, {name: d for name, d in MIXED.items() if name != "depth"})
    if params["kind"] == "tree":
        params |= _ask_all(trial, {"depth": MIXED["depth"]})
    return _loss(params)


def _failing(trial: Trial) -> float:
    params = _ask_all(trial, MIXED)
    if params["x"] > 2.0:
        raise ValueError("out of memory")
    return _loss(params)


def _constrained(trial: Trial) -> float:
    params = _ask_all(trial, NUMERIC)
    trial.set_constraint("c", params["x"] + math.log10(params["y"]) + 1.0)
    return _loss(params)


def _two(trial: Trial) -> tuple[float, float]:
    params = _ask_all(trial, NUMERIC)
    return _loss(params), abs(params["x"]) + params["n"] / 64


@dataclass(frozen=True)
class Case:
    """A study of the fixed set."""

    objective: Callable[[Trial], Any]
    options: Callable[[], dict[str, Any]]
    n_objectives: int = 1
    n_parallel: int = 1

    def study(self) -> optuna.Study:
        """A new study with a new sampler."""
        sampler = LLMPriorSampler(seed=7, **self.options())
        directions = [StudyDirection.MINIMIZE] * self.n_objectives
        return optuna.create_study(directions=directions, sampler=sampler, study_name="same")


def _with(answer: PriorAnswer, space: Mapping[str, BaseDistribution], **options: Any) -> Callable[[], dict[str, Any]]:
    return lambda: {"elicitor": FixedElicitor(answer), "search_space": space, **options}


BOUNDED = BoundedLossDecay(math.e, 20)
CASES = {
    "no prior": Case(_numeric, lambda: {"prior": UniformPrior(SearchSpace(NUMERIC))}),
    "no prior, mixed": Case(_mixed, lambda: {"prior": UniformPrior(SearchSpace(MIXED))}),
    "start-up only": Case(_numeric, _with(_answer(), NUMERIC, decay=None)),
    "multiplied": Case(_numeric, _with(_answer(), NUMERIC, decay=BOUNDED)),
    "multiplied, correlated": Case(_numeric, _with(CORRELATED, NUMERIC, decay=BOUNDED)),
    "multiplied, mixed": Case(_mixed, _with(WITH_CHOICES, MIXED, decay=BOUNDED)),
    "pibo": Case(_numeric, _with(_answer(), NUMERIC, decay=PowerDecay(10.0), trust=None)),
    "conditional": Case(_conditional, _with(WITH_CHOICES, MIXED, decay=BOUNDED)),
    "space inferred": Case(_conditional, lambda: {"elicitor": FixedElicitor(WITH_CHOICES), "decay": BOUNDED}),
    "failing": Case(_failing, _with(WITH_CHOICES, MIXED, decay=BOUNDED)),
    "constrained": Case(_constrained, _with(_answer(), NUMERIC, decay=BOUNDED)),
    "two objectives": Case(_two, _with(_answer(), NUMERIC, decay=BOUNDED), n_objectives=2),
    "five at a time": Case(_numeric, _with(_answer(), NUMERIC, decay=BOUNDED), n_parallel=5),
    "asked again": Case(_numeric, _with(_answer(), NUMERIC, decay=BOUNDED, refresh=RefreshPolicy(every=8))),
}


@dataclass(frozen=True)
class Kept:
    """A study as it was when a trial began, and what was suggested for it."""

    trials: tuple[FrozenTrial, ...]
    attributes: dict[str, Any]
    suggested: FrozenTrial


def record(case: Case, n_trials: int) -> list[Kept]:
    """Run one study, and keep its state at the start of every trial."""
    study, kept = case.study(), []
    running: list[tuple[Trial, Any]] = []
    for _ in range(n_trials):
        before = tuple(study.get_trials(deepcopy=True))
        trial, outcome = _start(study, case)
        # The attributes as they are once the trial has asked for an answer, so that nobody asks anew.
        attributes = dict(study._storage.get_study_system_attrs(study._study_id))
        kept.append(Kept(before, attributes, study.get_trials(deepcopy=True)[-1]))
        running.append((trial, outcome))
        if len(running) >= case.n_parallel:
            _tell(study, *running.pop(0))
    return kept


def again(case: Case, kept: Kept) -> FrozenTrial:
    """Build the state anew and ask for the next suggestion."""
    study = case.study()
    for key, value in kept.attributes.items():
        study._storage.set_study_system_attr(study._study_id, key, value)
    for trial in kept.trials:
        study._storage.create_new_trial(study._study_id, template_trial=trial)
    _start(study, case)
    return study.get_trials(deepcopy=True)[-1]


def _start(study: optuna.Study, case: Case) -> tuple[Trial, Any]:
    trial = study.ask()
    try:
        return trial, case.objective(trial)
    except ValueError:
        return trial, None


def _tell(study: optuna.Study, trial: Trial, outcome: Any) -> None:
    if outcome is None:
        study.sampler.after_trial(study, study.get_trials()[trial.number], optuna.trial.TrialState.FAIL, None)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    else:
        study.tell(trial, outcome)


def distance(first: FrozenTrial, second: FrozenTrial) -> float:
    """The largest difference of two suggestions in any parameter, as a share of its range."""
    if first.params.keys() != second.params.keys():
        return math.inf
    space = SearchSpace(dict(first.distributions))
    a, b = (np.asarray(space.encode([trial.params])) for trial in (first, second))
    return float(np.abs(a - b).max())


def score(trial: FrozenTrial) -> float | None:
    """The score that a suggestion was chosen for, `None` in the start-up phase."""
    import json

    told = json.loads(trial.system_attrs.get(SUGGESTION_KEY, "{}"))
    if told.get("log_acquisition") is None:
        return None
    return sum(float(told.get(part) or 0.0) for part in ("log_acquisition", "prior_score", "feasibility_score"))


def compare(cases: Mapping[str, list[Kept]]) -> str:
    """A table: how many suggestions are the same, and by how much the scores of the others differ."""
    lines = [
        "| study | suggestions | equal | within 1e-6 of the range | others | their score minus the kept one's, median "
        "(smallest to largest) |",
        "|---" * 6 + "|",
    ]
    for name, states in cases.items():
        distances, gains = [], []
        for kept in states:
            now = again(CASES[name], kept)
            distances.append(distance(kept.suggested, now))
            old, new = score(kept.suggested), score(now)
            if distances[-1] > 1e-6 and old is not None and new is not None:
                gains.append(new - old)
        d = np.array(distances)
        told = f"{np.median(gains):+.2g} ({min(gains):+.2g} to {max(gains):+.2g})" if gains else ""
        n_near = int(((d > 0.0) & (d <= 1e-6)).sum())
        lines.append(f"| {name} | {len(d)} | {int((d == 0.0).sum())} | {n_near} | {int((d > 1e-6).sum())} | {told} |")
    return "\n".join(lines)


def main() -> None:
    """Record or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("record", "compare"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--trials", type=int, default=25)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    if options.command == "record":
        options.file.write_bytes(pickle.dumps({name: record(CASES[name], options.trials) for name in options.cases}))
    else:
        kept = pickle.loads(options.file.read_bytes())
        print(compare({name: kept[name] for name in options.cases if name in kept}))


if __name__ == "__main__":
    main()
