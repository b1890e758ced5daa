"""The start-up design: the mode first, every position once, whoever draws it."""

from __future__ import annotations

import optuna
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy import stats

from llm_prior_bo import MixturePrior, PriorAnswer, SearchSpace, UniformPrior, build_prior, pool_priors
from llm_prior_bo.optimization.startup import startup_point, startup_slot
from llm_prior_bo.study.trial_records import Suggestion, mark_started, publish_suggestion
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
        return startup_slot(self.study, trial)

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


class TestPoint:
    def test_the_mode_is_first(self) -> None:
        for seed in (0, 1):
            point = startup_point(PRIOR, 0, n_startup_trials=5, seed=seed, space=SPACE)
            assert torch.equal(point, PRIOR.mode())
            assert SPACE.decode(point) == {"x": pytest.approx(0.2), "k": 6, "c": "b"}

    def test_all_slots_share_one_stratified_design(self) -> None:
        points = torch.stack(
            [startup_point(PRIOR, slot, n_startup_trials=9, seed=3, space=SPACE) for slot in range(1, 9)]
        )
        assert torch.equal(points, PRIOR.stratified_sample(8, generator=torch.Generator().manual_seed(3)))

    def test_the_design_covers_evenly(self) -> None:
        line = SearchSpace({"x": FloatDistribution(0, 1)})
        design = [startup_point(UniformPrior(line), slot, n_startup_trials=9, seed=0, space=line) for slot in range(9)]
        points = torch.stack(design[1:])
        assert sorted((points[:, 0] * 8).long().tolist()) == list(range(8))

    def test_slots_beyond_the_design_are_further_draws(self) -> None:
        points = [startup_point(PRIOR, slot, n_startup_trials=3, seed=0, space=SPACE) for slot in range(12)]
        assert len({tuple(point.tolist()) for point in points}) == 12

    @pytest.mark.parametrize("n_startup_trials", [0, 1])
    def test_a_design_of_the_mode_alone(self, n_startup_trials: int) -> None:
        assert torch.equal(
            startup_point(PRIOR, 0, n_startup_trials=n_startup_trials, seed=0, space=SPACE), PRIOR.mode()
        )
        assert startup_point(PRIOR, 1, n_startup_trials=n_startup_trials, seed=0, space=SPACE).shape == (3,)

    def test_every_point_is_legal_and_the_seed_decides(self) -> None:
        for slot in range(1, 8):
            point = startup_point(PRIOR, slot, n_startup_trials=5, seed=0, space=SPACE)
            assert torch.equal(point, torch.as_tensor(SPACE.snap(point)))
            assert torch.equal(point, startup_point(PRIOR, slot, n_startup_trials=5, seed=0, space=SPACE))
            assert not torch.equal(point, startup_point(PRIOR, slot, n_startup_trials=5, seed=1, space=SPACE))


class TestOutside:
    """Uniform points at the end of the design."""

    def design(self, n: int, *, n_uniform: int, seed: int = 0) -> torch.Tensor:
        """All points of a design, `n x d`."""
        return torch.stack(
            [
                startup_point(SEVERAL, slot, n_startup_trials=n, n_uniform=n_uniform, seed=seed, space=SPACE)
                for slot in range(n)
            ]
        )

    @pytest.mark.parametrize("n_uniform", [0, 1, 3, 7])
    def test_the_mode_is_first_and_the_draws_are_those_of_the_smaller_design(self, n_uniform: int) -> None:
        points = self.design(8, n_uniform=n_uniform)
        assert torch.equal(points[0], SEVERAL.mode())
        assert torch.equal(points[: 8 - n_uniform], self.design(8 - n_uniform, n_uniform=0))

    @pytest.mark.parametrize("n_uniform", [1, 2, 5, 7])
    def test_the_last_ones_are_a_uniform_design_of_their_own(self, n_uniform: int) -> None:
        points = self.design(8, n_uniform=n_uniform, seed=4)
        generator = torch.Generator().manual_seed(4 + 8 - n_uniform)
        expected = UniformPrior(SPACE).stratified_sample(n_uniform, generator=generator)
        assert torch.equal(points[8 - n_uniform :], expected)
        assert torch.equal(points, torch.as_tensor(SPACE.snap(points)))

    @pytest.mark.parametrize("n_uniform", [1, 3, 6])
    def test_they_repeat_no_coordinate_of_the_draws_inside(self, n_uniform: int) -> None:
        """Not even if those are uniform too."""
        plane = SearchSpace({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)})
        for prior in (UniformPrior(plane), MixturePrior(plane, (), (), 1.0)):
            design = [
                startup_point(prior, slot, n_startup_trials=8, n_uniform=n_uniform, seed=0, space=plane).tolist()
                for slot in range(1, 8)
            ]
            assert len({coordinate for point in design for coordinate in point}) == 14

    def test_they_cover_the_space_evenly(self) -> None:
        """One in each eighth of every range, whatever the prior says."""
        points = self.design(12, n_uniform=8)[4:]
        assert sorted((points[:, 0] * 8).long().tolist()) == list(range(8))
        assert sorted((points[:, 1] * 8).long().tolist()) == list(range(8))
        assert sorted(points[:, 2].tolist()) == [0.0] * 4 + [1.0] * 4

    def test_they_are_uniform_over_the_seeds(self) -> None:
        x = torch.stack([self.design(3, n_uniform=1, seed=seed)[2, 0] for seed in range(400)])
        assert stats.kstest(x.numpy(), "uniform").pvalue > 1e-3

    @pytest.mark.parametrize("n_uniform", [5, 6, 50])
    def test_however_many_the_mode_stays(self, n_uniform: int) -> None:
        points = self.design(5, n_uniform=n_uniform)
        assert torch.equal(points[0], SEVERAL.mode())
        uniform = UniformPrior(SPACE).stratified_sample(4, generator=torch.Generator().manual_seed(1))
        assert torch.equal(points[1:], uniform)

    @pytest.mark.parametrize("n", [0, 1])
    def test_none_in_a_design_of_the_mode_alone(self, n: int) -> None:
        point = startup_point(SEVERAL, 0, n_startup_trials=n, n_uniform=3, seed=0, space=SPACE)
        assert torch.equal(point, SEVERAL.mode())

    def test_slots_beyond_the_design_are_draws_from_the_prior(self) -> None:
        """Whatever the number of points outside."""
        sure = MixturePrior(SPACE, SEVERAL.regions, SEVERAL.weights, 0.0)
        for slot in range(5, 12):
            beyond = [
                startup_point(sure, slot, n_startup_trials=5, n_uniform=n_uniform, seed=0, space=SPACE)
                for n_uniform in (0, 2, 5)
            ]
            assert all(torch.equal(point, beyond[0]) for point in beyond)
            assert torch.equal(beyond[0], sure.sample(1, generator=torch.Generator().manual_seed(slot))[0])
