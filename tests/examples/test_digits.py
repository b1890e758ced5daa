from __future__ import annotations

import digits
import optuna
import pytest
import torch

DIVERGING = {**digits.USUAL_DEFAULTS, "optimizer": "sgd_momentum", "learning_rate": 1e12}


@pytest.fixture(scope="module")
def task() -> digits.DigitsTask:
    return digits.DigitsTask.load(seed=0)


class TestTask:
    def test_parts_are_disjoint_and_complete(self, task: digits.DigitsTask) -> None:
        sizes = [len(part.y) for part in (task.train, task.validation, task.test)]
        assert sizes == [digits.N_TRAIN, digits.N_VALIDATION, digits.N_TEST]
        assert sum(sizes) == 1797

    def test_usual_defaults_are_in_the_search_space(self) -> None:
        space = digits.search_space()
        assert list(space) == list(digits.USUAL_DEFAULTS)
        for name, distribution in space.items():
            assert distribution._contains(distribution.to_internal_repr(digits.USUAL_DEFAULTS[name]))

    def test_a_configuration_has_one_score(self, task: digits.DigitsTask) -> None:
        config = {**digits.USUAL_DEFAULTS, "dropout": 0.3}
        torch.manual_seed(1)
        first = task.objective(optuna.trial.FixedTrial(config))
        torch.manual_seed(2)
        assert task.objective(optuna.trial.FixedTrial(config)) == first
        assert 0.0 < first < 0.9

    def test_training_leaves_the_random_state_alone(self, task: digits.DigitsTask) -> None:
        before = torch.random.get_rng_state()
        task.test_error(digits.USUAL_DEFAULTS)
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_divergence_is_the_worst_error(self, task: digits.DigitsTask) -> None:
        assert task.test_error(DIVERGING) == digits.WORST_ERROR

    @pytest.mark.parametrize("optimizer", ["sgd", "sgd_momentum", "adam", "adamw", "rmsprop"])
    def test_every_optimizer_trains(self, task: digits.DigitsTask, optimizer: str) -> None:
        config = {**digits.USUAL_DEFAULTS, "optimizer": optimizer, "batch_size": 256}
        assert 0.0 <= task.test_error(config) <= 1.0

    def test_unknown_optimizer_is_refused(self, task: digits.DigitsTask) -> None:
        with pytest.raises(ValueError, match="lion"):
            task.test_error({**digits.USUAL_DEFAULTS, "optimizer": "lion"})
