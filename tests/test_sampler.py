"""The sampler in studies of all kinds: what it suggests, what it leaves behind, what it refuses."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, PartialFixedSampler, RandomSampler
from optuna.trial import TrialState

from llm_prior_bo import (
    BlindedElicitor,
    BoundedLossDecay,
    ConstantDecay,
    Elicitation,
    FixedElicitor,
    LLMElicitor,
    LLMPriorSampler,
    MixturePrior,
    OptimumPrior,
    PowerDecay,
    PriorAnswer,
    RecordingElicitor,
    RefreshPolicy,
    Region,
    SearchSpace,
    SpendingLimit,
    StudyContext,
    UniformPrior,
    build_prior,
)
from llm_prior_bo.acquisition.log_sum import LogSum, Term
from llm_prior_bo.elicitation import ElicitationSettings, FunctionClient
from llm_prior_bo.errors import (
    ConfigurationError,
    ElicitationWarning,
    IndependentSamplingWarning,
    SearchSpaceError,
    SearchSpaceWarning,
)
from llm_prior_bo.models.surrogate import Surrogate
from llm_prior_bo.optimization import engine as engine_module
from llm_prior_bo.optimization.trust import Evidence, EvidenceTrust
from llm_prior_bo.study.answer_records import save_elicitation
from llm_prior_bo.study.diagnostics import study_statistics
from llm_prior_bo.study.trial_records import Suggestion, is_own
from tests.scripts import run_python
from tests.trials import start

EVERY_KIND: dict[str, BaseDistribution] = {
    "float": FloatDistribution(-1, 1),
    "log": FloatDistribution(1e-5, 1e-1, log=True),
    "step": FloatDistribution(0, 1, step=0.25),
    "int": IntDistribution(1, 9),
    "int_step": IntDistribution(0, 20, step=5),
    "int_log": IntDistribution(1, 1024, log=True),
    "choice": CategoricalDistribution(["a", "b", "c"]),
    "odd": CategoricalDistribution([None, True, False, 3, 0.5]),
    "one_int": IntDistribution(3, 3),
    "one_float": FloatDistribution(0.5, 0.5),
    "one_choice": CategoricalDistribution(["only"]),
}
TYPES = {"float": float, "log": float, "step": float, "int": int, "int_step": int, "int_log": int, "choice": str}

SPACE = SearchSpace({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)})
BELIEF = PriorAnswer.by_hand(numeric={"x": (0.8, 0.75, 0.85), "y": (0.2, 0.15, 0.25)})
PRIOR = build_prior(BELIEF, SPACE)


def by_hand(**options: Any) -> LLMPriorSampler:
    return LLMPriorSampler(**{"prior": PRIOR, "seed": 0, "n_startup_trials": 3, **options})


def pibo(**options: Any) -> LLMPriorSampler:
    """As published: the density counts through the exponent alone, and nobody weighs it."""
    published = {"decay": PowerDecay(beta=10.0), "trust": None, "uniform_startup_fraction": 0.0}
    return by_hand(**{**published, **options})


def asked(answer: PriorAnswer = BELIEF, **options: Any) -> LLMPriorSampler:
    return LLMPriorSampler(elicitor=FixedElicitor(answer), **{"seed": 0, "n_startup_trials": 3, **options})


def suggest(trial: optuna.Trial, distributions: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    return {name: trial._suggest(name, distribution) for name, distribution in distributions.items()}


def sphere(trial: optuna.Trial) -> float:
    """Minimum at (0.3, 0.7): far from what the prior believes."""
    return (trial.suggest_float("x", 0, 1) - 0.3) ** 2 + (trial.suggest_float("y", 0, 1) - 0.7) ** 2


def run(sampler: BaseSampler, n_trials: int, objective: Any = sphere, **options: Any) -> optuna.Study:
    study = optuna.create_study(sampler=sampler, **options)
    study.optimize(objective, n_trials=n_trials)
    return study


def suggestions(study: optuna.Study) -> dict[int, Suggestion]:
    return study_statistics(study).suggestions


class TestSpaces:
    @pytest.mark.parametrize("given", [True, False], ids=["given space", "found space"])
    def test_every_kind_of_parameter(self, given: bool) -> None:
        answer = PriorAnswer.by_hand(
            numeric={"log": (1e-3, 1e-4, 1e-2), "int_log": (64, 16, 256), "step": (0.5, 0.25, 0.75)},
            categorical={"odd": {None: 0.6, 0.5: 0.4}},
        )
        sampler = asked(answer, search_space=EVERY_KIND if given else None, n_startup_trials=2)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The answer was repaired")
            study = run(sampler, 6, lambda trial: float(suggest(trial, EVERY_KIND)["int"]))
        for trial in study.trials:
            for name, value in trial.params.items():
                assert EVERY_KIND[name]._contains(EVERY_KIND[name].to_internal_repr(value))
                assert type(value) is TYPES.get(name, type(value))  # never NumPy's own types
            assert trial.params["one_int"] == 3
        phases = [s.phase for s in suggestions(study).values()]
        assert phases == (["startup"] * 2 + ["model"] * 4 if given else ["startup"] + ["model"] * 4)

    def test_even_the_first_trial_comes_from_the_prior(self) -> None:
        study = run(asked(search_space=SPACE), 1)
        assert study.trials[0].params == {"x": pytest.approx(0.8), "y": pytest.approx(0.2)}

    def test_without_a_space_the_second_one_does(self) -> None:
        study = run(asked(), 2)
        assert study.trials[1].params == {"x": pytest.approx(0.8), "y": pytest.approx(0.2)}

    def test_the_given_space_may_be_a_search_space(self) -> None:
        study, other = (run(asked(search_space=given), 3) for given in (SPACE, SPACE.distributions))
        assert [t.params for t in study.trials] == [t.params for t in other.trials]

    def test_a_space_of_single_values(self) -> None:
        single = {name: d for name, d in EVERY_KIND.items() if d.single()}
        study = run(asked(PriorAnswer.by_hand(), search_space=single), 3, lambda t: len(suggest(t, single)))
        assert study.trials[2].params == {"one_int": 3, "one_float": 0.5, "one_choice": "only"}

    def test_a_prior_by_hand_over_a_space_with_a_single_value(self) -> None:
        distributions = {**SPACE.distributions, "one": IntDistribution(3, 3)}
        prior = build_prior(BELIEF, SearchSpace(distributions))
        study = run(
            LLMPriorSampler(prior=prior, n_startup_trials=2, seed=0), 4, lambda t: suggest(t, distributions)["x"]
        )
        assert study.trials[0].params == {"x": pytest.approx(0.8), "y": pytest.approx(0.2), "one": 3}
        assert all(s.log_prior != 0.0 for s in suggestions(study).values())

    def test_ranges_that_change_between_trials(self) -> None:
        study = optuna.create_study(sampler=asked(PriorAnswer.by_hand(numeric={"x": (0.5, 0.2, 0.8)})))
        ranges = [(low, high) for low, high in ((0, 1), (0, 5), (3, 4), (-9, 0)) for _ in range(3)]
        with pytest.warns(IndependentSamplingWarning, match="'x' is sampled independently .* was suggested out of"):
            study.optimize(lambda t: t.suggest_float("x", *ranges[t.number]), n_trials=12)
        assert all(trial.state == TrialState.COMPLETE for trial in study.trials)

    def test_a_range_narrower_than_the_given_space(self) -> None:
        with pytest.warns(SearchSpaceWarning, match=r"states .* for parameter 'x', and a trial asks for .*high=0.1"):
            study = run(
                asked(search_space=SPACE), 5, lambda t: t.suggest_float("x", 0.0, 0.1) + t.suggest_float("y", 0, 1)
            )
        assert all(trial.params["x"] <= 0.1 for trial in study.trials)

    def test_choices_that_only_memory_holds(self) -> None:
        choices: Any = [(1, 2), (3, 4), print]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Optuna's, about persistent storage
            space = {"x": FloatDistribution(0, 1), "c": CategoricalDistribution(choices)}
            study = optuna.create_study(sampler=asked(search_space=space))
            # With an opinion on a parameter outside the space, for which the others are looked at.
            answer = PriorAnswer.by_hand(numeric={"x": (0.5, 0.4, 0.6), "z": (0.5, 0.4, 0.6)})
            save_elicitation(study, Elicitation(answer))
            study.optimize(lambda t: suggest(t, space)["x"] + t.suggest_float("z", 0, 1), n_trials=5)
        assert all(trial.params["c"] in choices for trial in study.trials)

    def test_a_partially_fixed_sampler_keeps_the_prior_of_the_rest(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = PartialFixedSampler({"y": 0.9}, by_hand())
        study = run(sampler, 1)
        assert study.trials[0].params == {"x": pytest.approx(0.8), "y": 0.9}


def tree(trial: optuna.Trial) -> float:
    if trial.suggest_categorical("kind", ["a", "b"]) == "a":
        return trial.suggest_float("depth", 0, 1)
    return trial.suggest_float("width", 0, 1) + 0.1


class TestConditional:
    ANSWER = PriorAnswer.by_hand(
        numeric={"depth": (0.9, 0.88, 0.92)}, categorical={"kind": {"a": 0.5, "b": 0.5}}, confidence=0.95
    )

    def test_from_the_priors_own_marginal_where_it_has_one(self) -> None:
        study = optuna.create_study(sampler=asked(self.ANSWER, n_startup_trials=100, uniform_startup_fraction=0.0))
        study.enqueue_trial({"kind": "a", "depth": 0.0})
        study.enqueue_trial({"kind": "b", "width": 0.0})
        words = "(depth.* the prior's density|width.* by PerTrialRandomSampler).*: 1 of"
        with pytest.warns(IndependentSamplingWarning, match=words):
            study.optimize(tree, n_trials=30)
        depths = [t.params["depth"] for t in study.trials[2:] if "depth" in t.params]
        widths = [t.params["width"] for t in study.trials[2:] if "width" in t.params]
        assert np.mean(np.abs(np.array(depths) - 0.9) < 0.1) > 0.7
        assert np.mean(np.abs(np.array(widths) - 0.9) < 0.1) < 0.4

    def test_else_from_the_independent_sampler(self) -> None:
        class Ones(RandomSampler):
            def sample_independent(self, *arguments: Any) -> Any:
                assert arguments[2] == "width"
                return 1.0

        study = optuna.create_study(sampler=asked(self.ANSWER, independent_sampler=Ones(), n_startup_trials=100))
        study.add_trial(  # so that all parameters are known from the start, and all but one are modelled
            optuna.trial.create_trial(
                params={"kind": "a", "depth": 0.5, "width": 0.5},
                distributions={
                    "kind": CategoricalDistribution(["a", "b"]),
                    "depth": FloatDistribution(0, 1),
                    "width": FloatDistribution(0, 1),
                },
                value=0.0,
            )
        )
        study.enqueue_trial({"kind": "a", "depth": 0.0})
        study.enqueue_trial({"kind": "b"})
        with pytest.warns(IndependentSamplingWarning, match="'width' .* by Ones: 1 of the 2 finished trials"):
            study.optimize(tree, n_trials=2)
        assert study.trials[2].params == {"kind": "b", "width": 1.0}

    def test_by_the_region_that_the_rest_of_the_trial_lies_in(self) -> None:
        """Two regions tie `kind` and `z` together; a trial with one `kind` gets the `z` that goes with it."""
        regions = [Region(region=i, label=kind, weight=0.5) for i, kind in ((1, "a"), (2, "b"))]
        parts = [
            PriorAnswer.by_hand(numeric={"z": (z, z - 0.02, z + 0.02)}, categorical={"kind": {kind: 1.0, other: 0.0}})
            for kind, other, z in (("a", "b", 0.1), ("b", "a", 0.9))
        ]
        answer = PriorAnswer(
            notes="",
            regions=regions,
            numeric=[row.model_copy(update={"region": i}) for i, p in enumerate(parts, 1) for row in p.numeric],
            categorical=[row.model_copy(update={"region": i}) for i, p in enumerate(parts, 1) for row in p.categorical],
            correlations=[],
            confidence=0.95,
        )
        space: dict[str, BaseDistribution] = {"kind": CategoricalDistribution(["a", "b"])}
        sampler = asked(answer, search_space=space, n_startup_trials=100)
        study = optuna.create_study(sampler=sampler)
        # An answer about more parameters than the space: as if `z` had been found later.
        save_elicitation(study, Elicitation(answer))
        with pytest.warns(IndependentSamplingWarning, match="'z' .* the given search space does not have it"):
            study.optimize(lambda t: len(t.suggest_categorical("kind", ["a", "b"])) + t.suggest_float("z", 0, 1), 40)
        fits = [(t.params["z"] > 0.5) == (t.params["kind"] == "b") for t in study.trials]
        assert np.mean(fits) > 0.85

    def test_with_the_space_given_all_of_them_are_modelled(self) -> None:
        space: dict[str, BaseDistribution] = {
            "kind": CategoricalDistribution(["a", "b"]),
            "depth": FloatDistribution(0, 1),
            "width": FloatDistribution(0, 1),
        }
        study = run(asked(self.ANSWER, search_space=space), 8, tree)
        assert all(set(s.params) == set(space) for s in suggestions(study).values())
        assert suggestions(study)[7].phase == "model"


class TestReproducible:
    def test_same_seed_same_trials(self) -> None:
        first, second, other = (run(by_hand(seed=seed), 6) for seed in (1, 1, 2))
        assert [t.params for t in first.trials] == [t.params for t in second.trials]
        assert [t.params for t in first.trials] != [t.params for t in other.trials]

    def test_without_a_seed_runs_differ(self) -> None:
        runs = [run(by_hand(seed=None), 3) for _ in range(2)]
        assert runs[0].trials[0].params == runs[1].trials[0].params  # the mode
        assert runs[0].trials[2].params != runs[1].trials[2].params

    def test_same_seed_and_recording_in_two_processes(self, tmp_path: Path) -> None:
        path = tmp_path / "recording.json"
        text = json.dumps(BELIEF.model_dump())
        model = LLMElicitor(client=FunctionClient(lambda _: text))
        RecordingElicitor(model, path).elicit(StudyContext(distributions=SPACE.distributions))
        script = """
            import json, sys, optuna
            from optuna.distributions import FloatDistribution
            from llm_prior_bo import LLMPriorSampler, ReplayElicitor
            optuna.logging.set_verbosity(optuna.logging.ERROR)
            space = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}
            sampler = LLMPriorSampler(elicitor=ReplayElicitor(sys.argv[1]), search_space=space,
                                      n_startup_trials=3, seed=7)
            study = optuna.create_study(sampler=sampler)
            study.optimize(lambda t: (t.suggest_float("x", 0, 1) - 0.3) ** 2 + (t.suggest_float("y", 0, 1) - 0.7) ** 2,
                           n_trials=7)
            print(json.dumps([(t.params, t.value) for t in study.trials]))
        """
        runs = [run_python(script, str(path)) for _ in range(2)]
        assert len(json.loads(runs[0])) == 7
        assert runs[0] == runs[1]

    @pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda sampler: pickle.loads(pickle.dumps(sampler))])
    @pytest.mark.parametrize("make", [by_hand, asked], ids=["by hand", "asked"])
    def test_a_copy_goes_on_as_the_original_would(
        self, make: Callable[[], LLMPriorSampler], duplicate: Callable[[LLMPriorSampler], LLMPriorSampler]
    ) -> None:
        study = run(make(), 4)
        # Of the same name: trials that were added to another study are no evidence that the exponent counts.
        twin = optuna.create_study(study_name=study.study_name)
        twin.add_trials(study.trials)
        for elicitation in study_statistics(study).elicitations:
            save_elicitation(twin, elicitation)
        assert isinstance(study.sampler, LLMPriorSampler)
        twin.sampler = duplicate(study.sampler)
        for one in (study, twin):
            one.optimize(sphere, n_trials=2)
        assert [t.params for t in study.trials] == [t.params for t in twin.trials]

    def test_reseeded_samplers_part(self) -> None:
        study = run(by_hand(), 4)
        assert isinstance(study.sampler, LLMPriorSampler)
        trial = start(study)
        space = study.sampler.infer_relative_search_space(study, trial)
        seeds = set()
        for _ in range(3):
            seeds.add(study.sampler._seed(trial, "acquisition"))
            study.sampler.reseed_rng()
        assert len(seeds) == 3
        assert set(study.sampler.sample_relative(study, trial, space)) == {"x", "y"}

    def test_workers_do_not_draw_alike(self) -> None:
        """Two workers with one seed: the same trial number never occurs twice, and the seed depends on it."""
        sampler, study = by_hand(), optuna.create_study()
        trials = [start(study) for _ in range(2)]
        assert sampler._seed(trials[0], "x") != sampler._seed(trials[1], "x")
        assert sampler._seed(trials[0], "x") != sampler._seed(trials[0], "y")


class TestStudies:
    def test_two_threads(self) -> None:
        study = optuna.create_study(sampler=asked(search_space=SPACE))
        study.optimize(sphere, n_trials=10, n_jobs=2)
        assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 10
        assert sorted(s.slot for s in suggestions(study).values() if s.slot is not None)[:3] == [0, 1, 2]
        assert len({tuple(t.params.values()) for t in study.trials}) == 10

    def test_enqueued_trials(self) -> None:
        study = optuna.create_study(sampler=by_hand())
        study.enqueue_trial({"x": 0.1, "y": 0.2})
        study.enqueue_trial({"x": 0.5})
        study.optimize(sphere, n_trials=3)
        assert study.trials[0].params == {"x": 0.1, "y": 0.2}
        assert study.trials[1].params == {"x": 0.5, "y": pytest.approx(0.2)}  # the rest of the mode
        assert list(suggestions(study)) == [1, 2]
        assert suggestions(study)[1].slot == 0

    def test_ask_and_tell(self) -> None:
        study = optuna.create_study(sampler=by_hand())
        batch = [study.ask(SPACE.distributions) for _ in range(3)]
        assert len({tuple(trial.params.values()) for trial in batch}) == 3
        for trial in batch:
            study.tell(trial, sum(trial.params.values()))
        pending = [study.ask(SPACE.distributions) for _ in range(3)]
        assert [s.phase for s in suggestions(study).values()] == ["startup"] * 3 + ["model"] * 3
        assert len({tuple(trial.params.values()) for trial in pending}) == 3

    def test_trials_from_elsewhere_are_data_but_no_evidence(self) -> None:
        source = run(by_hand(), 4)
        added = [
            optuna.trial.create_trial(params=t.params, distributions=t.distributions, value=t.value)
            for t in source.trials
        ]
        study = optuna.create_study(sampler=by_hand(decay=PowerDecay(beta=10.0)))
        study.add_trials(added)
        study.optimize(sphere, n_trials=2)
        assert [s.phase for s in suggestions(study).values()] == ["model", "model"]
        assert [(s.n, s.exponent) for s in suggestions(study).values()] == [(0, 10.0), (1, 10.0)]
        assert [is_own(t) for t in study.trials] == [False] * 4 + [True] * 2

    @pytest.mark.parametrize(
        "values",
        [
            [1.0] * 6,
            [float("inf")] * 6,
            [float("inf"), 1.0, float("-inf"), 2.0, 1e300, -1e300],
            [1e-300, 2e-300, 0.0, 1e-300, 0.0, 0.0],
            [float("nan"), float("nan"), 1.0, float("nan"), 2.0, 3.0],
        ],
        ids=["constant", "infinite", "mixed", "tiny", "nan"],
    )
    def test_odd_values(self, values: list[float]) -> None:
        iterator = iter(values)

        def objective(trial: optuna.Trial) -> float:
            suggest(trial, SPACE.distributions)
            return next(iterator)

        study = run(by_hand(n_startup_trials=1), len(values), objective)
        n_nan = sum(value != value for value in values)
        assert [t.state for t in study.trials].count(TrialState.COMPLETE) == len(values) - n_nan

    def test_duplicates(self) -> None:
        study = optuna.create_study(sampler=by_hand())
        for _ in range(8):
            study.enqueue_trial({"x": 0.5, "y": 0.5})
        study.optimize(sphere, n_trials=11)
        assert len({tuple(t.params.values()) for t in study.trials[8:]}) == 3

    def test_failed_trials(self) -> None:
        def objective(trial: optuna.Trial) -> float:
            value = sphere(trial)
            if trial.number % 2:
                raise RuntimeError("out of memory")
            return value

        study = optuna.create_study(sampler=by_hand())
        study.optimize(objective, n_trials=12, catch=(RuntimeError,))
        assert len({tuple(t.params.values()) for t in study.trials}) == 12
        assert [s.n for s in suggestions(study).values()] == [(i + 1) // 2 for i in range(12)]

    @pytest.mark.parametrize("fate", [optuna.TrialPruned, RuntimeError])
    def test_a_trial_without_a_value_is_not_suggested_again(self, fate: type[Exception]) -> None:
        """Nothing else has changed when the next one is suggested."""

        def objective(trial: optuna.Trial) -> float:
            value = sphere(trial)
            if trial.number >= 4:
                raise fate
            return value

        study = optuna.create_study(sampler=by_hand())
        study.optimize(objective, n_trials=10, catch=(RuntimeError,))
        points = np.array([[t.params["x"], t.params["y"]] for t in study.trials[4:]])
        distances = np.linalg.norm(points[:, None] - points[None, :], axis=-1)[np.triu_indices(6, 1)]
        assert distances.min() > 1e-3

    def test_several_objectives(self) -> None:
        study = run(
            by_hand(),
            7,
            lambda t: (sphere(t), t.params["x"] + t.params["y"]),
            directions=["minimize", "maximize"],
        )
        assert [s.phase for s in suggestions(study).values()] == ["startup"] * 3 + ["model"] * 4
        assert study.best_trials

    @pytest.mark.parametrize("limit", [0.5, -1.0], ids=["half is feasible", "nothing is"])
    @pytest.mark.parametrize("n_objectives", [1, 2])
    def test_constraints(self, limit: float, n_objectives: int) -> None:
        def objective(trial: optuna.Trial) -> float | tuple[float, float]:
            value = sphere(trial)
            trial.set_constraint("c", trial.params["x"] - limit)
            return value if n_objectives == 1 else (value, trial.params["y"])

        study = run(by_hand(), 7, objective, directions=["minimize"] * n_objectives)
        assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 7

    def test_constraints_are_heeded(self) -> None:
        def objective(trial: optuna.Trial) -> float:
            x = suggest(trial, SPACE.distributions)["x"]
            trial.set_constraint("c", x - 0.5)
            return -float(x)

        study = run(by_hand(decay=ConstantDecay(0.0), n_startup_trials=6), 14, objective)
        later = [trial.params["x"] for trial in study.trials[8:]]
        assert np.mean([x < 0.6 for x in later]) > 0.6
        assert 0.4 < max(x for x in later if x <= 0.5) <= 0.5


class Rejecting:
    """A gate that remembers what it saw and believes nothing."""

    def __init__(self) -> None:
        self.seen: list[tuple[OptimumPrior, Surrogate]] = []
        self.references: list[Surrogate | None] = []
        self.seeds: list[int] = []
        self.returned: list[OptimumPrior] = []

    def reweight(
        self, prior: OptimumPrior, surrogate: Surrogate, *, reference: Surrogate | None = None, seed: int = 0
    ) -> Evidence:
        self.seen.append((prior, surrogate))
        self.references.append(reference)
        self.seeds.append(seed)
        self.returned.append(UniformPrior(SPACE))
        return Evidence(self.returned[-1])


@dataclass
class Narrow(OptimumPrior):
    """A density of the user's own: a peak at one point."""

    at: tuple[float, float] = (0.9, 0.1)
    space: SearchSpace = field(default_factory=lambda: SPACE)

    @property
    def dim(self) -> int:
        return 2

    @property
    def log_range(self) -> float:
        return 100.0

    def log_prob(self, X: Any) -> torch.Tensor:
        return -50.0 * (torch.as_tensor(X).double() - torch.tensor(self.at)).square().sum(dim=-1)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> torch.Tensor:
        noise = torch.randn(n, 2, generator=generator, dtype=torch.float64)
        return (torch.tensor(self.at) + 0.1 * noise).clamp(0.0, 1.0)

    def mode(self) -> torch.Tensor:
        return torch.tensor(self.at, dtype=torch.float64)


class TestPrior:
    def test_its_influence_falls_with_n(self) -> None:
        study = run(pibo(decay=PowerDecay(beta=10.0)), 30)
        records = [s for s in suggestions(study).values() if s.phase == "model"]
        assert [s.exponent for s in records] == [pytest.approx(10.0 / s.n) for s in records]
        near = [abs(t.params["x"] - 0.8) + abs(t.params["y"] - 0.2) for t in study.trials]
        assert max(near[3:6]) < 0.3  # the prior's peak first ...
        best = study.best_params
        assert abs(best["x"] - 0.3) + abs(best["y"] - 0.7) < 0.1  # ... the optimum in the end

    def test_the_larger_the_exponent_the_nearer_to_it(self) -> None:
        log_priors = []
        for value in (0.0, 1.0, 100.0):
            study = run(pibo(decay=ConstantDecay(value)), 4)
            log_priors.append(suggestions(study)[3].log_prior)
        assert log_priors == sorted(log_priors, key=lambda v: v or 0.0)
        assert log_priors[2] == pytest.approx(float(PRIOR.log_prob(PRIOR.mode())), abs=0.2)

    def test_records_hold_together(self) -> None:
        study = run(pibo(), 5)
        record = suggestions(study)[4]
        assert record.params == study.trials[4].params
        assert record.log_prior == pytest.approx(float(PRIOR.log_prob(SPACE.encode([record.params]))[0]))
        assert record.log_acquisition is not None
        assert (record.phase, record.n, record.slot) == ("model", 4, None)

    def test_the_gate_is_shown_prior_and_surrogate_and_has_the_last_word(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gate, used = Rejecting(), []

        def spy(base: Any, terms: Sequence[Term]) -> LogSum:
            used.append(terms[0].density)
            return LogSum(base, terms)

        monkeypatch.setattr(engine_module, "LogSum", spy)
        study = run(pibo(trust=gate), 5)
        assert [prior for prior, _ in gate.seen] == [PRIOR, PRIOR]
        assert [len(surrogate.X) for _, surrogate in gate.seen] == [3, 4]
        assert used == gate.returned
        assert [suggestions(study)[i].log_prior for i in (3, 4)] == [0.0, 0.0]

    def test_a_density_of_ones_own(self) -> None:
        study = run(LLMPriorSampler(prior=Narrow(), seed=0, n_startup_trials=2), 4)
        assert study.trials[0].params == {"x": pytest.approx(0.9), "y": pytest.approx(0.1)}
        assert suggestions(study)[3].phase == "model"

    def test_no_opinion(self) -> None:
        study = run(LLMPriorSampler(prior=UniformPrior(SPACE), seed=0, n_startup_trials=2), 4)
        assert [s.log_prior for s in suggestions(study).values()] == [0.0] * 4

    def test_a_schedule_that_needs_the_prior(self) -> None:
        study = run(pibo(decay=BoundedLossDecay(max_loss=2.0, from_trial=2)), 5)
        exponent = suggestions(study)[4].exponent
        assert exponent is not None
        assert np.exp(exponent * PRIOR.log_range) == pytest.approx(2.0**0.5)

    def test_a_function_as_schedule(self) -> None:
        study = run(pibo(decay=lambda n: 0.25 * n), 4)
        assert suggestions(study)[3].exponent == 0.75

    def test_one_sampler_in_several_studies(self) -> None:
        """Studies in memory all have the same number; nothing of the first may get into the second."""
        sampler = asked(PriorAnswer.by_hand(numeric={"x": (0.5, 0.2, 0.8)}))
        run(sampler, 4, lambda t: t.suggest_float("x", 0, 1) + t.suggest_float("y", 0, 1))
        other = run(sampler, 4, lambda t: t.suggest_float("x", 0, 2) + t.suggest_float("z", 0, 1))
        assert all(set(s.params) == {"x", "z"} for s in suggestions(other).values())


class TestTrust:
    """What is handed to a gate, and what becomes of its findings."""

    def test_nothing_was_shown_to_a_prior_by_hand(self) -> None:
        gate = Rejecting()
        run(pibo(trust=gate), 5)
        assert gate.references == [None, None]
        assert len(set(gate.seeds)) == 2

    def test_trials_that_the_answer_was_written_in_sight_of_are_the_reference(self) -> None:
        text = json.dumps(BELIEF.model_dump())
        gate = Rejecting()
        # Without a space it is asked after the first trial, and told of it.
        told = LLMPriorSampler(
            elicitor=LLMElicitor(client=FunctionClient(lambda _: text)), trust=gate, n_startup_trials=2, seed=0
        )
        study = run(told, 5)
        (elicitation,) = study_statistics(study).elicitations
        assert elicitation.trials_shown == (0,)
        assert len(gate.references) == 3
        first = SPACE.encode([study.trials[0].params])
        for reference, (_, surrogate) in zip(gate.references, gate.seen, strict=True):
            assert reference is not None
            assert np.allclose(reference.X.numpy(), first)
            assert torch.equal(reference.Y, surrogate.Y[:1])

    def test_findings_are_stored(self) -> None:
        gate = EvidenceTrust(n_draws=32, n_candidates=64)
        found: list[Evidence] = []

        class Listening:
            def reweight(self, *arguments: Any, **options: Any) -> Evidence:
                found.append(gate.reweight(*arguments, **options))
                return found[-1]

        study = run(pibo(trust=Listening(), decay=ConstantDecay(0.5)), 5)
        records = suggestions(study)
        assert [records[i].answers for i in range(3)] == [(), (), ()]
        assert [records[i].loss_bound for i in range(3)] == [None, None, None]
        for record, evidence in zip([records[3], records[4]], found, strict=True):
            (part,) = record.answers
            assert (part.trust, part.region_weights, part.bayes_factors) == (
                evidence.trust,
                evidence.region_weights,
                evidence.bayes_factors,
            )
            assert record.trust == part.trust == pytest.approx(sum(part.region_weights))
            assert (part.asked_at, part.age, part.exponent) == (-1, record.n, 0.5)
            assert part.score == record.prior_score == pytest.approx(0.5 * part.log_prior)
            # The bound is that of the prior in use, not of the one before the evidence.
            assert record.loss_bound == pytest.approx(np.exp(0.5 * evidence.prior.log_range))
            point = SPACE.encode([record.params])
            assert record.log_prior == pytest.approx(float(evidence.prior.log_prob(point)[0]))
        json.dumps(study_statistics(study).to_dict(), allow_nan=False)

    def test_without_a_gate_there_are_none(self) -> None:
        records = suggestions(run(pibo(decay=ConstantDecay(0.5)), 4))
        assert [part.trust for part in records[3].answers] == [None]
        assert records[3].loss_bound == pytest.approx(np.exp(0.5 * PRIOR.log_range))

    @pytest.mark.parametrize("right", [True, False])
    def test_a_wrong_prior_loses_its_trust_in_the_course_of_a_study(self, right: bool) -> None:
        optimum = (0.8, 0.2) if right else (0.2, 0.8)

        def objective(trial: optuna.Trial) -> float:
            x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
            return (x - optimum[0]) ** 2 + (y - optimum[1]) ** 2

        # Half of the start-up trials outside the prior: of its own place alone, a model cannot tell that it is good.
        study = run(pibo(trust=EvidenceTrust(), n_startup_trials=6, uniform_startup_fraction=0.5), 14, objective)
        trusts = [s.trust or 0.0 for s in suggestions(study).values() if s.phase == "model"]
        assert len(trusts) == 8
        assert (np.mean(trusts[-4:]) > 0.85) if right else (np.mean(trusts[-4:]) < 0.2)

    def test_of_a_density_of_ones_own(self) -> None:
        study = run(pibo(prior=Narrow(), trust=EvidenceTrust(), n_startup_trials=4, uniform_startup_fraction=0.5), 12)
        trusts = [s.trust or 0.0 for s in suggestions(study).values() if s.phase == "model"]
        assert trusts[-1] < 0.2

    def test_no_opinion_is_not_weighed(self) -> None:
        study = run(pibo(prior=UniformPrior(SPACE), trust=EvidenceTrust()), 4)
        assert suggestions(study)[3].trust is None


class TestTraces:
    def test_nothing_global_changes(self) -> None:
        torch.manual_seed(5)
        np.random.seed(5)  # noqa: NPY002 - the very state that must not move
        random.seed(5)
        n_threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
        torch.set_num_threads(2)
        try:
            before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index]  # noqa: NPY002
            filters = list(warnings.filters)
            run(
                asked(search_space=SPACE, n_startup_trials=1),
                4,
                lambda t: (sphere(t), 1.0),
                directions=["minimize"] * 2,
            )
            run(by_hand(n_startup_trials=1), 4)
            assert torch.equal(torch.get_rng_state(), before[0])
            assert np.random.get_state()[1].tolist() == before[1]  # type: ignore[index]  # noqa: NPY002
            assert random.getstate() == before[2]
            assert torch.get_num_threads() == 2
            assert torch.get_default_dtype() == dtype
            assert list(warnings.filters) == filters
        finally:
            torch.set_num_threads(n_threads)

    def test_settings_of_the_users_own_training_do_not_reach_the_model(self) -> None:
        plain = run(by_hand(n_startup_trials=2), 5)
        dtype, device = torch.get_default_dtype(), torch.get_default_device()
        torch.set_default_dtype(torch.float16)
        torch.set_default_device("meta")
        try:
            strange = run(by_hand(n_startup_trials=2), 5)
        finally:
            torch.set_default_dtype(dtype)
            torch.set_default_device(device)
        assert [t.params for t in plain.trials] == [t.params for t in strange.trials]

    def test_statistics(self) -> None:
        study = run(asked(search_space=SPACE, n_startup_trials=2), 4)
        assert isinstance(study.sampler, LLMPriorSampler)
        statistics = study.sampler.get_statistics(study)
        (elicitation,) = statistics.elicitations
        assert elicitation.answer.numeric == BELIEF.numeric
        assert (statistics.cost_usd, statistics.tokens, statistics.failures) == (0.0, 0, ())
        assert [s.phase for s in statistics.suggestions.values()] == ["startup"] * 2 + ["model"] * 2
        assert [s.slot for s in statistics.suggestions.values()] == [0, 1, None, None]
        json.dumps(statistics.to_dict(), allow_nan=False)


class TestDefaults:
    @pytest.mark.filterwarnings("ignore::llm_prior_bo.errors.ElicitationWarning")
    def test_with_a_prior_fewer_trials_are_needed_to_start(self) -> None:
        with_prior = asked(search_space=SPACE, n_startup_trials=None)

        class Failing:
            def elicit(self, context: StudyContext) -> Elicitation:  # noqa: ARG002
                raise RuntimeError("down")

        without = LLMPriorSampler(elicitor=Failing(), search_space=SPACE, seed=0)
        n_startup = [sum(s.slot is not None for s in suggestions(run(s, 12)).values()) for s in (with_prior, without)]
        assert n_startup == [5, 10]

    def test_a_model_is_asked_by_an_elicitor_with_its_settings(self) -> None:
        sampler = LLMPriorSampler("gpt-4o", temperature=0.5, timeout=50.0, max_retries=1, n_answers=2)
        source: Any = sampler._source
        assert repr(source.questioner.elicitor) == "LLMElicitor(LiteLLMClient('gpt-4o'))"
        assert source.questioner.elicitor._client.timeout == 50.0
        assert source.questioner.elicitor._client._temperature == 0.5
        assert source.questioner.elicitor._max_retries == 1
        assert source.election.patience >= 200.0  # both answers, each with its repetition

    def test_every_option_of_a_model_arrives(self) -> None:
        sampler = LLMPriorSampler(
            "openai/x",
            api_base="http://localhost:8000/v1",
            api_key="none",
            temperature=0.3,
            timeout=30,
            max_retries=3,
            max_context_trials=7,
            interval_coverage=0.6,
            budget_tokens=1000,
        )
        source: Any = sampler._source
        elicitor = source.questioner.elicitor
        assert elicitor.settings == ElicitationSettings(max_context_trials=7, interval_coverage=0.6)
        assert elicitor.limit == SpendingLimit(budget_tokens=1000)
        assert elicitor._client._options == {"api_base": "http://localhost:8000/v1", "api_key": "none"}

    def test_settings_come_with_the_elicitor(self) -> None:
        blinded: Any = LLMPriorSampler("gpt-4o", blinded=True, n_answers=3, timeout=100.0)._source
        assert isinstance(blinded.questioner.elicitor, BlindedElicitor)
        assert blinded.cache.n_answers == 3
        assert blinded.election.patience == blinded.questioner.elicitor.longest_seconds * 3 > 1200.0
        wide: Any = LLMPriorSampler(elicitor=FixedElicitor(BELIEF, interval_coverage=0.2), search_space=SPACE)._source
        study = optuna.create_study()
        save_elicitation(study, Elicitation(BELIEF))
        expected = build_prior(BELIEF, SPACE, interval_coverage=0.2)
        point = torch.rand(2, dtype=torch.float64)
        assert torch.equal(wide.current(study, SPACE).log_prob(point), expected.log_prob(point))

    def test_at_most_fourteen_arguments_of_its_own(self) -> None:
        parameters = inspect.signature(LLMPriorSampler).parameters
        assert len(parameters) - 1 <= 14  # the options of the language model apart

    def test_litellm_is_not_imported_before_something_is_asked(self) -> None:
        script = """
            import sys
            from optuna.distributions import FloatDistribution
            from llm_prior_bo import LLMPriorSampler
            LLMPriorSampler("gpt-4o", search_space={"x": FloatDistribution(0, 1)})
            print("litellm" in sys.modules)
        """
        assert run_python(script).strip() == "False"


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            ({}, r"exactly one of model=, elicitor= and prior=, got none"),
            ({"model": "gpt-4o", "elicitor": FixedElicitor(BELIEF)}, r"exactly one .*got \['model', 'elicitor'\]"),
            (
                {"elicitor": FixedElicitor(BELIEF), "prior": Narrow()},
                r"prior to be a MixturePrior beside elicitor=, got a Narrow; only densities made of regions",
            ),
            ({"model": 4}, r"model to be the name of a model.*got 4"),
            ({"elicitor": BELIEF}, r"elicitor to be an object with a method elicit, e.g. FixedElicitor"),
            ({"prior": BELIEF}, r"prior to be an OptimumPrior, e.g. build_prior\(answer, space\), got PriorAnswer"),
            (
                {"prior": PRIOR, "trust": 0.5},
                r"trust to be an object with a method reweight, e.g. EvidenceTrust\(\), got 0.5",
            ),
            ({"prior": PRIOR, "independent_sampler": "random"}, r"independent_sampler to be an Optuna sampler"),
            ({"prior": PRIOR, "decay": "linear"}, r"Expected a decay schedule, got 'linear'; give PowerDecay"),
            ({"prior": PRIOR, "decay": PowerDecay}, r"got the class PowerDecay"),
            ({"model": "gpt-4o", "budget_usd": -1.0}, r"budget_usd >= 0, got -1.0"),
            ({"model": "gpt-4o", "budget_usd": float("nan")}, r"budget_usd >= 0, got nan"),
            ({"model": "gpt-4o", "budget_usd": "5"}, r"budget_usd >= 0, got '5'"),
            ({"model": FixedElicitor(BELIEF)}, r"model to be the name .*; pass it as elicitor=\.$"),
            ({"model": PRIOR}, r"model to be the name .*; pass it as prior=\.$"),
            ({"model": BELIEF}, r"model to be the name .*; pass it as elicitor=FixedElicitor\(\.\.\.\)\.$"),
            ({"model": BELIEF.model_dump()}, r"pass an answer as elicitor=FixedElicitor\(\.\.\.\), a search space as"),
            ({"model": SPACE}, r"pass it as search_space="),
            ({"model": dict(SPACE.distributions)}, r"pass it as search_space="),
            ({"model": Path("answer.json")}, r"pass it as elicitor=FixedElicitor\(\.\.\.\)"),
            ({"prior": PRIOR, "budget_usd": 1.0}, r"budget_usd= together with model=, got it beside prior=; nobody"),
            (
                {"prior": PRIOR, "refresh": RefreshPolicy()},
                r"refresh= together with model= or elicitor=, got it beside",
            ),
            (
                {"elicitor": FixedElicitor(BELIEF), "temperature": 0.3, "n_answers": 2},
                r"temperature=, n_answers= together with model=, got them beside elicitor=; .*LLMElicitor\(model, ",
            ),
            ({"model": "gpt-4o", "temprature": 0.3}, r"got temprature=\. Did you mean temperature="),
            ({"model": "gpt-4o", "n_start_up_trials": 3}, r"Did you mean n_startup_trials="),
            ({"model": "gpt-4o", "logit_bias": {}}, r"elicitor=LLMElicitor\(model, logit_bias=\.\.\.\)"),
            ({"model": "gpt-4o", "outside_share": 0.2}, r"Expected uniform_startup_fraction=, got outside_share="),
            ({"elicitation": FixedElicitor(BELIEF)}, r"Expected elicitor=, got elicitation="),
            ({"model": "gpt-4o", "blinded": "yes"}, r"blinded to be True or False, got 'yes'"),
            ({"prior": PRIOR, "n_startup_trials": -1}, r"n_startup_trials to be a whole number >= 0, got -1"),
            ({"prior": PRIOR, "n_startup_trials": 2.5}, r"n_startup_trials to be a whole number >= 0, got 2.5"),
            ({"model": "gpt-4o", "n_answers": 0}, r"n_answers to be a whole number >= 1, got 0"),
            ({"model": "gpt-4o", "max_context_trials": -1}, r"max_context_trials to be a whole number >= 0"),
            ({"model": "gpt-4o", "max_retries": -1}, r"max_retries to be a whole number >= 0"),
            ({"model": "gpt-4o", "timeout": 0}, r"timeout > 0"),
            ({"model": "gpt-4o", "temperature": -0.1}, r"temperature >= 0, got -0.1"),
            ({"prior": PRIOR, "search_space": {"z": FloatDistribution(0, 1)}}, r"\['x', 'y'\].*got \['z'\]"),
            ({"prior": PRIOR, "search_space": {"x": FloatDistribution(0, 1)}}, r"2-column space .*got \['x'\]"),
        ],
    )
    def test_arguments(self, arguments: dict[str, Any], match: str) -> None:
        with pytest.raises(ConfigurationError, match=match):
            LLMPriorSampler(**arguments)

    def test_an_empty_space(self) -> None:
        with pytest.raises(SearchSpaceError, match="at least one parameter, got an empty search space"):
            LLMPriorSampler("gpt-4o", search_space={})

    def test_a_density_without_a_space_needs_one(self) -> None:
        homeless = Narrow()
        homeless.space = None  # type: ignore[assignment]
        with pytest.raises(ConfigurationError, match="2-column space that the prior is over, got None"):
            LLMPriorSampler(prior=homeless)
        LLMPriorSampler(prior=homeless, search_space=SPACE)

    def test_a_schedule_that_gives_nonsense(self) -> None:
        study = optuna.create_study(sampler=by_hand(decay=lambda _: -1.0, n_startup_trials=1))
        with pytest.raises(ConfigurationError, match=r"exponent of at least 0 .* got -1.0 at n=1"):
            study.optimize(sphere, n_trials=2)


def test_the_mixture_is_what_the_answer_says() -> None:
    """The density that the sampler uses is `build_prior`'s, pooled."""
    study = run(asked(search_space=SPACE), 1)
    assert isinstance(study.sampler, LLMPriorSampler)
    prior = study.sampler._source.current(study, SPACE)
    assert isinstance(prior, MixturePrior)
    X = torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(prior.log_prob(X), PRIOR.log_prob(X))


@pytest.mark.filterwarnings("error")
def test_a_silent_run_is_silent(recwarn: pytest.WarningsRecorder) -> None:
    run(asked(search_space=SPACE, n_startup_trials=1), 5)
    assert [warning for warning in recwarn if issubclass(warning.category, ElicitationWarning)] == []


def test_no_opinion_changes_nothing() -> None:
    """A prior that is exactly uniform gives the very trials of a study without one."""
    silent = PriorAnswer.by_hand(confidence=0.9)
    samplers = (
        LLMPriorSampler(prior=UniformPrior(SPACE), seed=3),
        LLMPriorSampler(elicitor=FixedElicitor(silent), search_space=SPACE, seed=3),
        LLMPriorSampler(prior=UniformPrior(SPACE), decay=PowerDecay(10.0), seed=3),
        LLMPriorSampler(prior=UniformPrior(SPACE), trust=None, decay=None, uniform_startup_fraction=0.5, seed=3),
    )
    trials = []
    for sampler in samplers:
        study = optuna.create_study(sampler=sampler)
        study.optimize(lambda t: (t.suggest_float("x", 0, 1) - 0.3) ** 2 + t.suggest_float("y", 0, 1), n_trials=13)
        trials.append([trial.params for trial in study.trials])
    assert all(other == trials[0] for other in trials[1:])


def test_a_mixture_without_an_opinion_is_no_prior() -> None:
    silent = MixturePrior(SPACE, [], [], 1.0)
    study = optuna.create_study(sampler=LLMPriorSampler(prior=silent, seed=0))
    study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_float("y", 0, 1), n_trials=11)
    phases = [s.phase for s in LLMPriorSampler(prior=silent).get_statistics(study).suggestions.values()]
    assert phases == ["startup"] * 10 + ["model"]
