"""What can be believed about a task: its own answer, placebos, earlier studies.

| kind | what it is |
|---|---|
| `own` | the recorded answer; on a landscape one made from the optimum, with noise |
| `random` | placebo: every interval of the answer at a random place, as wide as it was; choices permuted |
| `mirrored` | placebo: every interval mirrored in its range, as sure as before |
| `other` | placebo: the recorded answer about another task with the very same parameters |
| `neutral` | the recorded answer to the question without names and description, in version 1 of its wording |
| `earlier` | the best trials of three to five earlier studies of other data sets, one region each |
| `earlier and own` | both, pooled with equal weights; evidence weighs the regions anew at every trial |
| `off-centre` | on a landscape: beside the optimum |
| `wrong` | on a landscape: at the worst place |
| `none` | nothing, for methods that use no belief |
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution

from benchmarks.harness.answer_methods import Belief
from benchmarks.harness.hpo_tasks import Distributions, load_task, run_trials
from benchmarks.harness.live_tasks import LIVE_TASKS
from benchmarks.harness.problems import LANDSCAPES, Problem, get_problem
from benchmarks.harness.recordings import BLINDED, TASKS, context_of, recorded_answers
from llm_prior_bo import PriorAnswer, SearchSpace, build_prior, pool_priors, prior_from_study
from llm_prior_bo.elicitation import CategoricalBelief, NumericBelief, choice_texts
from llm_prior_bo.elicitation.blinding import blind
from llm_prior_bo.elicitation.replay import read_exchanges

ANSWERS = Path(__file__).parents[1] / "answers"
RECORDINGS = ANSWERS / "version_2"
"""Answers to the present version of the question, one a task."""

EARLIER: Mapping[str, tuple[str, ...]] = {
    "lcbench_": ("lcbench_167190", "lcbench_168910", "lcbench_189906", "lcbench_167149", "lcbench_126026"),
    "rbv2_gbtree_": ("rbv2_gbtree_22", "rbv2_gbtree_1468", "rbv2_gbtree_40966"),
    "svm_": ("svm_75112", "svm_3", "svm_2118", "svm_258", "svm_75169"),
}
"""Beginning of a task's name -> tasks of the same family, on whose data sets earlier studies were run."""

N_EARLIER_TRIALS = 50
EARLIER_SEED = 1000
"""Earlier studies are Optuna's TPE, from this seed plus the study's own."""

_SHIFT = 0.1  # standard deviation of a constructed answer's error, and half of its interval, as shares of the range


def mirrored(answer: PriorAnswer, space: Distributions) -> PriorAnswer:
    """The answer with every numeric interval mirrored in the range of its parameter: as sure as before, and wrong."""
    columns = SearchSpace(space)

    def mirror(belief: NumericBelief) -> NumericBelief:
        column = columns.column(belief.parameter)
        low, best, high = (
            float(column.from_unit(1.0 - column.to_unit(v))) for v in (belief.high, belief.best, belief.low)
        )
        return belief.model_copy(update={"low": low, "best": best, "high": high})

    numeric = [mirror(belief) for belief in answer.numeric if belief.parameter in space]
    return answer.model_copy(update={"numeric": numeric})  # with both ends mirrored, correlations keep their sign


def displaced(answer: PriorAnswer, space: Distributions, seed: int) -> PriorAnswer:
    """The answer with every interval moved to a random place and choices permuted: as sure as before, knowing nothing.

    Widths are kept on each parameter's scale, as are the regions' weights and correlations.

    Args:
        answer: The answer.
        space: The parameters.
        seed: Of the places.
    """
    columns, rng = SearchSpace(space), np.random.default_rng([seed, 7])
    orders = {
        (region.region, name): rng.permutation(len(distribution.choices))
        for region in answer.regions
        for name, distribution in space.items()
        if isinstance(distribution, CategoricalDistribution)
    }

    def move(belief: NumericBelief) -> NumericBelief:
        column = columns.column(belief.parameter)
        low, best, high = (float(column.to_unit(value)) for value in (belief.low, belief.best, belief.high))
        start = rng.uniform(0.0, 1.0 - (high - low))
        places = {"low": start, "best": start + best - low, "high": start + high - low}
        return belief.model_copy(update={name: float(column.from_unit(u)) for name, u in places.items()})

    def permute(belief: CategoricalBelief) -> CategoricalBelief:
        distribution = space[belief.parameter]
        assert isinstance(distribution, CategoricalDistribution)
        texts = choice_texts(distribution.choices)
        order = orders[belief.region, belief.parameter]
        return belief.model_copy(update={"choice": texts[order[texts.index(belief.choice)]]})

    return answer.model_copy(
        update={
            "numeric": [move(belief) for belief in answer.numeric],
            "categorical": [permute(belief) for belief in answer.categorical],
        }
    )


# Recorded and constructed answers ------------------------------------------------------------------------------------


def own_answer(name: str, space: Distributions, seed: int) -> PriorAnswer:
    """The recorded answer about a task; on a landscape one made from the optimum."""
    if name in LANDSCAPES:
        return _constructed(get_problem(name), "own", seed)
    (answer, *_) = recorded_answers(RECORDINGS / f"{name}.json", SearchSpace(space))
    return answer


def _constructed(problem: Problem, kind: str, seed: int) -> PriorAnswer:
    """An answer as a model would state it: an interval of a fifth of the range for every parameter."""
    rng = np.random.default_rng([seed, zlib.crc32(problem.name.encode())])
    d = len(problem.space)
    place = problem.worst if kind == "wrong" else problem.optimum
    shift = {
        "own": _SHIFT * rng.standard_normal(d),
        "off-centre": 2.0 * _SHIFT * rng.choice([-1.0, 1.0], size=d),
        "wrong": np.zeros(d),
    }[kind]
    best = np.clip(np.asarray(problem.space.encode([place])[0]) + shift, 0.0, 1.0)
    numeric = {
        column.name: [float(column.from_unit(u)) for u in (b, b - _SHIFT, b + _SHIFT)]
        for column, b in zip(problem.space.columns, best, strict=True)
    }
    return PriorAnswer.by_hand(numeric=numeric, notes=f"made from the problem: {kind}")


def sibling_of(name: str) -> str | None:
    """Another task with a recorded answer and the very same parameters, `None` if there is none."""
    recorded = [*TASKS, *LIVE_TASKS]
    fingerprints = {task: _fingerprint(task) for task in recorded}
    own = fingerprints.get(name)
    same = [task for task in recorded if own is not None and fingerprints[task] == own]
    return same[(same.index(name) + 1) % len(same)] if len(same) > 1 else None


def _fingerprint(name: str) -> str | None:
    """Fingerprint of the search space that a task's recorded answer is about, `None` without one."""
    path = RECORDINGS / f"{name}.json"
    return _recorded_fingerprint(path) if path.exists() else None


@functools.cache
def _recorded_fingerprint(path: Path) -> str:
    return read_exchanges(path)[0].space_fingerprint


def _neutral_path(name: str) -> Path:
    return ANSWERS / f"{name}.{BLINDED}.json"


def _neutral(name: str, data: Path | None) -> PriorAnswer:
    hidden, blinding = blind(context_of(data, name))
    (answer, *_) = recorded_answers(_neutral_path(name), hidden.space)
    return blinding.reveal(answer)


# Earlier studies -----------------------------------------------------------------------------------------------------


def earlier_tasks(name: str) -> tuple[str, ...]:
    """The tasks of the same family that earlier studies were about; none if the family has none."""
    matching = (tasks for prefix, tasks in EARLIER.items() if name.startswith(prefix) and name in TASKS)
    found = next(matching, ())
    return tuple(task for task in found if task != name)


@functools.lru_cache(maxsize=64)
def _earlier_study(name: str, data: Path, seed: int) -> optuna.Study:
    problem = load_task(data, name)
    study = optuna.create_study(study_name=name, sampler=optuna.samplers.TPESampler(seed=EARLIER_SEED + seed))
    run_trials(study, problem, n_trials=N_EARLIER_TRIALS)
    return study


def _earlier(name: str, space: Distributions, data: Path | None, seed: int) -> Belief:
    assert data is not None, "earlier studies are about tasks of the folder"
    studies = [_earlier_study(task, data, seed) for task in earlier_tasks(name)]
    return prior_from_study(studies, SearchSpace(space))


def _earlier_and_own(name: str, space: Distributions, data: Path | None, seed: int) -> Belief:
    own = build_prior(own_answer(name, space, seed), SearchSpace(space))
    earlier = _earlier(name, space, data, seed)
    assert not isinstance(earlier, PriorAnswer)
    return pool_priors([own, earlier])


# Kinds ---------------------------------------------------------------------------------------------------------------

Make = Callable[[str, Distributions, Path | None, int], Belief]


def _other(name: str, space: Distributions, data: Path | None, seed: int) -> Belief:  # noqa: ARG001
    other = sibling_of(name)
    assert other is not None
    return own_answer(other, space, seed)


_KINDS: Mapping[str, Make] = {
    "own": lambda name, space, _, seed: own_answer(name, space, seed),
    "random": lambda name, space, _, seed: displaced(own_answer(name, space, seed), space, seed),
    "mirrored": lambda name, space, _, seed: mirrored(own_answer(name, space, seed), space),
    "other": _other,
    "neutral": lambda name, _, data, __: _neutral(name, data),
    "earlier": _earlier,
    "earlier and own": _earlier_and_own,
    "off-centre": lambda name, _, __, seed: _constructed(get_problem(name), "off-centre", seed),
    "wrong": lambda name, _, __, seed: _constructed(get_problem(name), "wrong", seed),
    "none": lambda *_: PriorAnswer.by_hand(),
}

KINDS = tuple(_KINDS)
"""All kinds of belief."""


def make_belief(kind: str, name: str, space: Distributions, *, data: Path | None, seed: int) -> Belief:
    """What is believed about a task.

    Args:
        kind: A name in `KINDS` that `is_available` for the task.
        name: The task.
        space: Its parameters.
        data: The folder of the tasks; `None` for those that need none.
        seed: Of placebos, constructed answers and earlier studies.
    """
    return _KINDS[kind](name, space, data, seed)


def is_available(kind: str, name: str) -> bool:
    """Whether there is a belief of a kind about a task: an answer that is recorded, a family with other data sets."""
    has_answer = name in LANDSCAPES or _fingerprint(name) is not None
    conditions = {
        "none": True,
        "other": has_answer and sibling_of(name) is not None,
        "neutral": _neutral_path(name).exists(),
        "earlier": bool(earlier_tasks(name)),
        "earlier and own": has_answer and bool(earlier_tasks(name)),
        "off-centre": name in LANDSCAPES,
        "wrong": name in LANDSCAPES,
    }
    return conditions.get(kind, has_answer)
