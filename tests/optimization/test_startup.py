"""The start-up design: the mode first, every position once, whoever draws it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import optuna
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy import stats
from torch import Tensor

from llm_prior_bo import (
    LLMPriorSampler,
    MixturePrior,
    OptimumPrior,
    PriorAnswer,
    SearchSpace,
    UniformPrior,
    build_prior,
    pool_priors,
)
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.optimization.startup import speaks_against_prior, startup_point, startup_slot
from llm_prior_bo.study.diagnostics import study_statistics
from llm_prior_bo.study.trial_records import Source, Suggestion, mark_started, publish_suggestion
from tests.trials import start

SPACE = SearchSpace(
    {"x": FloatDistribution(0, 1), "k": IntDistribution(1, 8), "c": CategoricalDistribution(["a", "b"])}
)
PRIOR = build_prior(
    PriorAnswer.by_hand(numeric={"x": (0.2, 0.1, 0.3), "k": (6, 4, 7)}, categorical={"c": {"b": 0.8}}), SPACE
)

OTHER = build_prior(PriorAnswer.by_hand(numeric={"x": (0.9, 0.8, 0.95), "k": (1, 1, 2)}), SPACE)
SEVERAL = pool_priors([PRIOR, OTHER])
"""Two regions and a floor: how many draws each gets depends on the size of the design."""


class Workers:
    """Trials of one study, each taken through the steps that the sampler takes."""

    def __init__(self) -> None:
        self.study = optuna.create_study()

    def start(self) -> FrozenTrial:
        trial = start(self.study)
        mark_started(self.study, trial)
        return trial

    def slot(self, trial: FrozenTrial) -> int:
        return startup_slot(self.study, trial)[0]

    def publish(self, trial: FrozenTrial) -> int:
        slot = self.slot(trial)
        publish_suggestion(self.study, trial, Suggestion(params={"x": 0.5}, phase="startup", n=0, slot=slot))
        return slot

    def suggest(self, trial: FrozenTrial, x: float = 0.5) -> None:
        self.study._storage.set_trial_param(trial._trial_id, "x", x, SPACE.distributions["x"])

    def finish(self, trial: FrozenTrial, state: TrialState = TrialState.COMPLETE) -> None:
        values = [1.0] if state == TrialState.COMPLETE else None
        self.study._storage.set_trial_state_values(trial._trial_id, state, values)


@pytest.fixture
def workers() -> Workers:
    return Workers()


class TestSlot:
    @pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED])
    def test_one_after_the_other_whatever_becomes_of_them(self, workers: Workers, state: TrialState) -> None:
        slots = []
        for _ in range(4):
            trial = workers.start()
            slots.append(workers.publish(trial))
            workers.finish(trial, state)
        assert slots == [0, 1, 2, 3]

    @pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
    def test_workers_that_start_at_once_take_different_slots(self, workers: Workers, order: tuple[int, ...]) -> None:
        trials = [workers.start() for _ in range(4)]
        assert sorted(workers.publish(trials[i]) for i in order) == [0, 1, 2, 3]

    def test_a_trial_that_was_enqueued_costs_no_slot(self, workers: Workers) -> None:
        enqueued, trial = workers.start(), workers.start()
        assert workers.publish(trial) == 0
        workers.suggest(enqueued)  # has got its parameters from elsewhere
        assert workers.publish(workers.start()) == 1

    def test_a_worker_that_died_before_it_chose_costs_no_slot(self, workers: Workers) -> None:
        workers.start()
        assert workers.publish(workers.start()) == 0

    def test_trials_of_others_cost_no_slot(self, workers: Workers) -> None:
        workers.study.add_trial(create_trial(value=1.0))
        workers.study.enqueue_trial({"x": 0.5})
        workers.study._storage.create_new_trial(workers.study._study_id)  # running, by another sampler
        assert workers.publish(workers.start()) == 0

    def test_a_suggestion_of_the_model_costs_no_slot(self, workers: Workers) -> None:
        trial = workers.start()
        publish_suggestion(workers.study, trial, Suggestion(params={"x": 0.5}, phase="model", n=5))
        assert workers.publish(workers.start()) == 0


def point(prior: OptimumPrior, slot: int, n: int, *, n_uniform: int = 0, seed: int = 0) -> Tensor:
    return startup_point(prior, slot, n_startup_trials=n, n_uniform=n_uniform, seed=seed, space=SPACE)[0]


def design(
    n: int, *, prior: OptimumPrior | None = None, n_uniform: int = 0, seed: int = 0, space: SearchSpace = SPACE
) -> tuple[Tensor, list[Source]]:
    """All points of a design, `n x d`, and where they come from."""
    found = [
        startup_point(prior or SEVERAL, slot, n_startup_trials=n, n_uniform=n_uniform, seed=seed, space=space)
        for slot in range(n)
    ]
    return torch.stack([x for x, _ in found]), [source for _, source in found]


def inside(points: Tensor, sources: list[Source]) -> Tensor:
    return points[[source != "uniform" for source in sources]]


def outside(points: Tensor, sources: list[Source]) -> Tensor:
    return points[[source == "uniform" for source in sources]]


class TestPoint:
    def test_the_mode_is_first(self) -> None:
        for seed in (0, 1):
            first = point(PRIOR, 0, 5, seed=seed)
            assert torch.equal(first, PRIOR.mode())
            assert SPACE.decode(first) == {"x": pytest.approx(0.2), "k": 6, "c": "b"}

    def test_then_the_best_points_of_the_other_regions_by_weight(self) -> None:
        third = build_prior(PriorAnswer.by_hand(numeric={"x": (0.5, 0.4, 0.6)}), SPACE)
        prior = pool_priors([third, PRIOR, OTHER], weights=[0.2, 0.5, 0.3])
        points, sources = design(6, prior=prior)
        assert sources == ["mode", "region", "region", "draw", "draw", "draw"]
        order = prior.weights.argsort(descending=True)
        assert torch.equal(points[1:3], prior.anchors()[order][1:])

    def test_regions_with_little_weight_are_left_to_the_draws(self) -> None:
        prior = pool_priors([PRIOR, OTHER], weights=[0.95, 0.05])
        assert design(4, prior=prior)[1] == ["mode", "draw", "draw", "draw"]

    def test_one_best_point_is_tried_once(self) -> None:
        prior = pool_priors([PRIOR, PRIOR])
        assert design(4, prior=prior)[1] == ["mode", "draw", "draw", "draw"]

    def test_all_draws_are_of_one_stratified_design(self) -> None:
        points, sources = design(9, prior=PRIOR, seed=3)
        assert sources == ["mode"] + ["draw"] * 8
        assert torch.equal(points[1:], PRIOR.stratified_sample(8, generator=torch.Generator().manual_seed(3)))

    def test_the_design_covers_evenly(self) -> None:
        line = SearchSpace({"x": FloatDistribution(0, 1)})
        points, _ = design(9, prior=UniformPrior(line), space=line)
        assert sorted((points[1:, 0] * 8).long().tolist()) == list(range(8))

    def test_slots_beyond_the_design_are_further_draws(self) -> None:
        points = [point(PRIOR, slot, 3) for slot in range(12)]
        assert len({tuple(x.tolist()) for x in points}) == 12

    @pytest.mark.parametrize("n_startup_trials", [0, 1])
    def test_a_design_of_the_mode_alone(self, n_startup_trials: int) -> None:
        assert torch.equal(point(PRIOR, 0, n_startup_trials), PRIOR.mode())
        assert point(PRIOR, 1, n_startup_trials).shape == (3,)

    def test_every_point_is_legal_and_the_seed_decides(self) -> None:
        for slot in range(1, 8):
            x = point(PRIOR, slot, 5)
            assert torch.equal(x, torch.as_tensor(SPACE.snap(x)))
            assert torch.equal(x, point(PRIOR, slot, 5))
            assert not torch.equal(x, point(PRIOR, slot, 5, seed=1))


class TestOutside:
    """Uniform points to compare with: the first comes third, the others last."""

    @pytest.mark.parametrize(("n_uniform", "places"), [(0, []), (1, [2]), (3, [2, 6, 7]), (6, [2, 3, 4, 5, 6, 7])])
    def test_where(self, n_uniform: int, places: list[int]) -> None:
        _, sources = design(8, n_uniform=n_uniform)
        assert [i for i, source in enumerate(sources) if source == "uniform"] == places

    @pytest.mark.parametrize("n_uniform", [0, 1, 3, 7])
    def test_the_others_are_those_of_the_smaller_design(self, n_uniform: int) -> None:
        points = inside(*design(8, n_uniform=n_uniform))
        assert torch.equal(points[0], SEVERAL.mode())
        assert torch.equal(points, design(8 - n_uniform)[0])

    @pytest.mark.parametrize("n_uniform", [1, 2, 5, 7])
    def test_they_are_a_design_of_their_own(self, n_uniform: int) -> None:
        points = outside(*design(8, n_uniform=n_uniform, seed=4))
        generator = torch.Generator().manual_seed(4 + 8 - n_uniform)
        assert torch.equal(points, UniformPrior(SPACE).stratified_sample(n_uniform, generator=generator))
        assert torch.equal(points, torch.as_tensor(SPACE.snap(points)))

    @pytest.mark.parametrize("n_uniform", [1, 3, 6])
    def test_they_repeat_no_coordinate_of_the_draws_inside(self, n_uniform: int) -> None:
        """Not even if those are uniform too."""
        plane = SearchSpace({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)})
        for prior in (UniformPrior(plane), MixturePrior(plane, (), (), 1.0)):
            points, _ = design(8, prior=prior, n_uniform=n_uniform, space=plane)
            assert len({coordinate for x in points[1:].tolist() for coordinate in x}) == 14

    def test_they_cover_the_space_evenly(self) -> None:
        """One in each eighth of every range, whatever the prior says."""
        points = outside(*design(12, n_uniform=8))
        assert sorted((points[:, 0] * 8).long().tolist()) == list(range(8))
        assert sorted((points[:, 1] * 8).long().tolist()) == list(range(8))
        assert sorted(points[:, 2].tolist()) == [0.0] * 4 + [1.0] * 4

    def test_they_are_uniform_over_the_seeds(self) -> None:
        x = torch.stack([point(SEVERAL, 2, 3, n_uniform=1, seed=seed)[0] for seed in range(400)])
        assert stats.kstest(x.numpy(), "uniform").pvalue > 1e-3

    @pytest.mark.parametrize("n_uniform", [5, 6, 50])
    def test_however_many_the_mode_stays(self, n_uniform: int) -> None:
        points, _ = design(5, n_uniform=n_uniform)
        assert torch.equal(points[0], SEVERAL.mode())
        uniform = UniformPrior(SPACE).stratified_sample(4, generator=torch.Generator().manual_seed(1))
        assert torch.equal(points[1:], uniform)

    @pytest.mark.parametrize("n", [0, 1])
    def test_none_in_a_design_of_the_mode_alone(self, n: int) -> None:
        assert torch.equal(point(SEVERAL, 0, n, n_uniform=3), SEVERAL.mode())

    def test_slots_beyond_the_design_are_draws_from_the_prior(self) -> None:
        """Whatever the number of points outside."""
        sure = MixturePrior(SPACE, SEVERAL.regions, SEVERAL.weights, 0.0)
        for slot in range(5, 12):
            beyond = [point(sure, slot, 5, n_uniform=n_uniform) for n_uniform in (0, 2, 5)]
            assert all(torch.equal(x, beyond[0]) for x in beyond)
            assert torch.equal(beyond[0], sure.sample(1, generator=torch.Generator().manual_seed(slot))[0])


def evaluated(values: list[float] | list[list[float]], constraints: list[float] | None = None) -> TrainingData:
    """Trials 0, 1, ... with these values, to be maximised."""
    Y = torch.tensor(values, dtype=torch.float64).reshape(len(values), -1)
    C = torch.zeros(len(values), 0) if constraints is None else torch.tensor(constraints).reshape(-1, 1)
    X = torch.rand(len(values), 3, dtype=torch.float64)
    return TrainingData(X=X, Y=Y, constraints=C.double(), pending=X[:0], numbers=tuple(range(len(values))))


class TestListening:
    SOURCES: ClassVar[dict[int, Source | None]] = {0: "mode", 1: "draw", 2: "uniform"}

    @pytest.mark.parametrize(
        ("values", "against"),
        [
            ([1.0, 2.0, 3.0], True),
            ([1.0, 4.0, 3.0], False),
            ([3.0, 3.0, 3.0], False),
            ([[1.0, 1.0], [2.0, 0.0], [3.0, 3.0]], True),
            ([[1.0, 4.0], [2.0, 0.0], [3.0, 3.0]], False),
        ],
    )
    def test_a_uniform_point_that_beats_all_from_the_prior(self, values: list[float], against: bool) -> None:
        assert speaks_against_prior(evaluated(values), self.SOURCES) is against

    def test_what_violates_a_constraint_is_worse_than_what_does_not(self) -> None:
        assert speaks_against_prior(evaluated([9.0, 2.0, 3.0], [1.0, 0.0, 0.0]), self.SOURCES)
        assert not speaks_against_prior(evaluated([1.0, 2.0, 3.0], [0.0, 0.0, 1.0]), self.SOURCES)

    def test_a_trial_that_failed_is_worse_than_one_that_finished(self) -> None:
        only_uniform = replace(evaluated([1.0]), numbers=(2,))
        assert speaks_against_prior(only_uniform, self.SOURCES, failed=[0, 1])
        assert not speaks_against_prior(only_uniform, self.SOURCES, failed=[0])
        assert not speaks_against_prior(replace(evaluated([1.0]), numbers=(1,)), self.SOURCES, failed=[0, 2])

    def test_one_point_from_the_prior_is_not_enough(self) -> None:
        assert not speaks_against_prior(evaluated([1.0, 3.0]), {0: "mode", 1: "uniform"})

    def test_trials_from_elsewhere_say_nothing(self) -> None:
        assert not speaks_against_prior(evaluated([1.0, 2.0, 3.0]), {0: "mode", 1: "draw"})
        assert not speaks_against_prior(evaluated([1.0, 2.0, 3.0]), {1: "draw", 2: "uniform"})

    def test_no_more_is_drawn_from_a_prior_that_the_first_trials_refute(self) -> None:
        def sources(best: float) -> list[Source | None]:
            sampler = LLMPriorSampler(prior=SEVERAL, search_space=SPACE, seed=3, n_startup_trials=8)
            study = optuna.create_study(sampler=sampler)
            study.optimize(lambda t: abs(SPACE.encode([params_of(t)])[0][0] - best), n_trials=8)
            told = study_statistics(study).suggestions
            return [told[i].source for i in range(8)]

        assert sources(best=0.2) == ["mode", "region", "uniform", "draw", "draw", "draw", "draw", "uniform"]
        refuted = sources(best=0.55)
        assert refuted[:2] == ["mode", "region"]
        assert refuted[3:] == ["uniform"] * 5

    def test_a_trial_that_was_enqueued_is_no_point_of_the_prior(self) -> None:
        study = optuna.create_study(sampler=LLMPriorSampler(prior=PRIOR, search_space=SPACE, seed=0))
        study.enqueue_trial({"x": 0.9, "k": 1, "c": "a"})
        study.optimize(lambda t: params_of(t)["x"], n_trials=3)
        trial = start(study)
        mark_started(study, trial)
        assert startup_slot(study, trial)[1] == {1: "mode", 2: "draw"}


def params_of(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "x": trial.suggest_float("x", 0, 1),
        "k": trial.suggest_int("k", 1, 8),
        "c": trial.suggest_categorical("c", ["a", "b"]),
    }
