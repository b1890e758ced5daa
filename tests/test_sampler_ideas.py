"""What Optuna asks of its own samplers beyond its public suite, written for this one.

After the ideas of Optuna's `tests/samplers_tests/test_samplers.py`: pickling, reseeding, hooks, reproducibility in
other processes whatever their hash seed, threads, and that nothing depends on the order of the objective's questions.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from llm_prior_bo import (
    EvidenceTrust,
    FixedElicitor,
    LLMPriorSampler,
    PowerDecay,
    PriorAnswer,
    SearchSpace,
    UniformPrior,
    build_prior,
)
from tests.scripts import run_python
from tests.storages import IN_MEMORY, OTHER_MODES, quiet_supplier, studies_without_a_storage_in
from tests.trials import start

pytestmark = quiet_supplier

SPACE = SearchSpace(
    {"x": FloatDistribution(0, 1), "k": IntDistribution(1, 9), "c": CategoricalDistribution(["a", "b", "c"])}
)
ANSWER = PriorAnswer.by_hand(numeric={"x": (0.8, 0.7, 0.9)}, categorical={"c": {"b": 0.8}})
QUICK: dict[str, Any] = {"n_startup_trials": 2, "seed": 0}

MAKERS: dict[str, Callable[[], LLMPriorSampler]] = {
    "asked, space stated": lambda: LLMPriorSampler(elicitor=FixedElicitor(ANSWER), search_space=SPACE, **QUICK),
    "asked, space found": lambda: LLMPriorSampler(elicitor=FixedElicitor(ANSWER), **QUICK),
    "by hand": lambda: LLMPriorSampler(prior=build_prior(ANSWER, SPACE), **QUICK),
    "as published": lambda: LLMPriorSampler(
        prior=build_prior(ANSWER, SPACE),
        decay=PowerDecay(),
        trust=None,
        uniform_startup_fraction=0,
        **QUICK,
    ),
    "no opinion": lambda: LLMPriorSampler(prior=UniformPrior(SPACE), **QUICK),
    "own parts": lambda: LLMPriorSampler(
        elicitor=FixedElicitor(ANSWER),
        trust=EvidenceTrust(n_draws=64, n_candidates=64),
        independent_sampler=RandomSampler(seed=1),
        pruned="last_value",
        warn_independent_sampling=False,
        **QUICK,
    ),
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


@pytest.fixture(autouse=True, params=[IN_MEMORY, *OTHER_MODES])
def storage(request: pytest.FixtureRequest) -> Iterator[None]:
    """All of it on every kind of storage."""
    with studies_without_a_storage_in(request.param):
        yield


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Callable[[], LLMPriorSampler]:
    return MAKERS[request.param]


def objective(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", 0, 1)
    k = trial.suggest_int("k", 1, 9)
    return (x - 0.3) ** 2 + (k / 9 - 0.5) ** 2 + (trial.suggest_categorical("c", ["a", "b", "c"]) == "a")


def trials_of(sampler: BaseSampler, n_trials: int = 4, objective: Any = objective) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=n_trials)
    return [trial.params for trial in study.trials]


def test_a_pickle_suggests_the_same(make: Callable[[], LLMPriorSampler]) -> None:
    sampler = make()
    assert trials_of(pickle.loads(pickle.dumps(sampler))) == trials_of(sampler)


def test_the_same_seed_suggests_the_same(make: Callable[[], LLMPriorSampler]) -> None:
    assert trials_of(make()) == trials_of(make())


def test_a_sampler_for_one_study_after_another(make: Callable[[], LLMPriorSampler]) -> None:
    """What it keeps of one does not show in the next but through the random numbers of its independent sampler."""
    sampler = make()
    first, second = trials_of(sampler), trials_of(sampler)
    assert first[1:2] == second[1:2]  # the first trial of a space that is found is random


class Counting(RandomSampler):
    """Counts how often it is reseeded."""

    n_calls = 0

    def reseed_rng(self) -> None:
        self.n_calls += 1


def test_reseeding_reaches_the_independent_sampler_and_parts_copies() -> None:
    independent = Counting()
    sampler = LLMPriorSampler(prior=build_prior(ANSWER, SPACE), independent_sampler=independent, **QUICK)
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=2)
    twin = pickle.loads(pickle.dumps(sampler))
    for one in (sampler, twin):
        one.reseed_rng()
    assert (independent.n_calls, twin._independent_sampler.n_calls) == (1, 1)
    trial = start(study)
    assert sampler._seed(trial, "acquisition") != twin._seed(trial, "acquisition")


def test_threads_reseed() -> None:
    """Optuna reseeds before every trial then; suggestions stay distinct."""
    study = optuna.create_study(sampler=MAKERS["by hand"]())
    study.optimize(objective, n_trials=6, n_jobs=2)
    assert len({tuple(sorted(t.params.items())) for t in study.trials}) == 6


def test_hooks_reach_the_independent_sampler() -> None:
    calls: list[tuple[str, int, TrialState | None]] = []

    class Recording(RandomSampler):
        def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:  # noqa: ARG002
            calls.append(("before", trial.number, None))

        def after_trial(self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:  # noqa: ARG002
            calls.append(("after", trial.number, state))

    def prune_second(trial: optuna.Trial) -> float:
        if trial.number == 1:
            raise optuna.TrialPruned
        return objective(trial)

    sampler = LLMPriorSampler(prior=build_prior(ANSWER, SPACE), independent_sampler=Recording(), **QUICK)
    optuna.create_study(sampler=sampler).optimize(prune_second, n_trials=2)
    assert calls == [
        ("before", 0, None),
        ("after", 0, TrialState.COMPLETE),
        ("before", 1, None),
        ("after", 1, TrialState.PRUNED),
    ]


@pytest.mark.parametrize("name", ["asked, space stated", "by hand"])
def test_the_order_of_questions_does_not_matter(name: str) -> None:
    def backwards(trial: optuna.Trial) -> float:
        trial.suggest_categorical("c", ["a", "b", "c"])
        trial.suggest_int("k", 1, 9)
        return objective(trial)

    assert trials_of(MAKERS[name](), objective=backwards) == trials_of(MAKERS[name]())


def test_no_space_no_suggestion(make: Callable[[], LLMPriorSampler]) -> None:
    sampler = make()
    study = optuna.create_study(sampler=sampler)
    study.optimize(lambda _: 1.0, n_trials=3)  # an objective without parameters
    assert sampler.sample_relative(study, study.trials[0], {}) == {}
    assert len(study.trials) == 3


def test_parameters_that_a_trial_does_not_ask_for_are_ignored() -> None:
    study = optuna.create_study(sampler=MAKERS["by hand"]())
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=4)
    assert all(set(t.params) == {"x"} for t in study.trials)


SCRIPT = """
    import json, sys, optuna
    from llm_prior_bo import FixedElicitor, LLMPriorSampler, PriorAnswer
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    answer = PriorAnswer.by_hand(numeric={"x": (0.8, 0.7, 0.9)})
    sampler = LLMPriorSampler(
        elicitor=FixedElicitor(answer), n_startup_trials=3, seed=7, warn_independent_sampling=False
    )

    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        kind = trial.suggest_categorical("kind", ["a", "b"])
        return x + trial.suggest_int(f"n_{kind}", 1, 5)

    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=7)
    print(json.dumps([trial.params for trial in study.trials]))
"""


def test_other_processes_whatever_their_hash_seed() -> None:
    """The order of Python's sets differs between processes; that of a found space must not."""
    found = [json.loads(run_python(SCRIPT, PYTHONHASHSEED=hash_seed)) for hash_seed in ("1", "42")]
    assert len(found[0]) == 7
    assert found[0] == found[1]
