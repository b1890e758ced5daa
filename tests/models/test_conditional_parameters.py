"""Conditions are found where trials show them, and inactive columns cannot be told apart."""

from __future__ import annotations

import torch
from botorch.posteriors.gpytorch import GPyTorchPosterior
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo.models.conditional_parameters import Condition, NeutralInactive, infer_conditions
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.surrogate import fit_surrogate
from llm_prior_bo.space import SearchSpace

SPACE = SearchSpace(
    {
        "booster": CategoricalDistribution(["linear", "tree", "dart"]),
        "impute": CategoricalDistribution(["mean", "median"]),
        "alpha": FloatDistribution(1e-3, 1, log=True),
        "depth": IntDistribution(1, 15),
        "drop": FloatDistribution(0, 1),
    }
)
# Every choice of "impute" goes with both, so that only "booster" explains what is used.
BOOSTER = torch.tensor([0, 0, 1, 1, 2, 2, 0, 1, 2])
X = torch.rand(9, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
X[:, 0], X[:, 1] = BOOSTER.double(), torch.tensor([0, 1, 0, 1, 0, 1, 1, 0, 0]).double()
ACTIVE = torch.ones(9, 5, dtype=torch.bool)
ACTIVE[:, 3] = BOOSTER > 0
ACTIVE[:, 4] = BOOSTER == 2


def test_finds_what_decides() -> None:
    assert infer_conditions(X, ACTIVE, SPACE) == (Condition(3, 0, (0,)), Condition(4, 0, (0, 1)))


def test_no_condition_where_all_is_used_or_nothing_explains() -> None:
    assert infer_conditions(X, torch.ones_like(ACTIVE), SPACE) == ()
    erratic = torch.ones_like(ACTIVE)
    erratic[0, 3] = False  # trial 1 has the same choices of both parents' values and used it
    assert infer_conditions(X[[0, 0, 2]], erratic[[0, 1, 2]], SPACE) == ()


def test_a_choice_that_was_never_tried_counts_as_active() -> None:
    rows = BOOSTER != 1
    assert infer_conditions(X[rows], ACTIVE[rows], SPACE) == (Condition(3, 0, (0,)), Condition(4, 0, (0,)))


def test_a_column_that_no_trial_used_counts_in_none_of_them() -> None:
    rows = BOOSTER != 2
    conditions = infer_conditions(X[rows], ACTIVE[rows], SPACE)
    assert [condition.column for condition in conditions] == [3, 4]
    assert NeutralInactive(conditions, torch.full((5,), 0.5)).transform(X[rows])[:, 4].eq(0.5).all()


def test_a_continuous_column_explains_nothing() -> None:
    space = SearchSpace({"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1)})
    active = torch.tensor([[True, True], [True, False]])
    assert infer_conditions(torch.tensor([[0.2, 0.1], [0.8, 0.5]]), active, space) == ()


def test_transform_replaces_inactive_entries_only() -> None:
    transform = NeutralInactive([Condition(3, 0, (0,)), Condition(4, 0, (0, 1))], torch.full((5,), 0.5))
    out = transform.transform(X)
    assert out[BOOSTER == 0, 3].eq(0.5).all()
    assert out[BOOSTER != 2, 4].eq(0.5).all()
    assert torch.equal(out[BOOSTER == 2], X[BOOSTER == 2])
    assert torch.equal(out[:, :3], X[:, :3])


def test_no_gradient_reaches_inactive_entries() -> None:
    points = X.clone().requires_grad_()
    NeutralInactive([Condition(4, 0, (0, 1))], torch.full((5,), 0.5)).transform(points).sum().backward()  # type: ignore[no-untyped-call]
    assert points.grad is not None
    assert torch.equal(points.grad[:, 4] == 0.0, BOOSTER < 2)


def test_the_surrogate_does_not_see_columns_that_do_not_count() -> None:
    train = X.clone()
    train[~ACTIVE] = 0.5
    data = TrainingData(X=train, Y=train[:, 2:3], constraints=train[:, :0], pending=train[:0], active=ACTIVE)
    model = fit_surrogate(data, SPACE).model
    pair = train[:1].repeat(2, 1)
    pair[1, 3:] = torch.tensor([0.1, 0.9])  # a linear booster with another depth and drop rate
    with torch.no_grad():
        posterior = model.posterior(pair)
    assert isinstance(posterior, GPyTorchPosterior)
    assert torch.allclose(posterior.mean[0], posterior.mean[1])
    assert torch.allclose(posterior.variance[0], posterior.variance[1])


LAYERS = SearchSpace(
    {
        "lr": FloatDistribution(0, 1),
        "n_layers": IntDistribution(1, 3),
        "width_1": IntDistribution(1, 9),
        "width_2": IntDistribution(1, 9),
    }
)


def layers(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Trials of networks whose number of layers decides which widths there are: points and what was used."""
    points = torch.rand(n, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    n_layers = torch.arange(n) % 3
    points[:, 1] = (n_layers + 0.5) / 3
    active = torch.ones(n, 4, dtype=torch.bool)
    active[:, 2], active[:, 3] = n_layers >= 1, n_layers >= 2
    return points, active


class TestNumericParents:
    def test_a_number_of_layers_decides_which_widths_there_are(self) -> None:
        points, active = layers(12)
        conditions = infer_conditions(points, active, LAYERS)
        assert [(c.column, c.parent) for c in conditions] == [(2, 1), (3, 1)]
        out = NeutralInactive(conditions, torch.full((4,), 0.5)).transform(points)
        assert torch.equal(out[:, 2:] == 0.5, ~active[:, 2:])
        assert torch.equal(out[:, :2], points[:, :2])

    def test_the_other_end(self) -> None:
        points, active = layers(12)
        points[:, 1] = 1.0 - points[:, 1]
        conditions = infer_conditions(points, active, LAYERS)
        out = NeutralInactive(conditions, torch.full((4,), 0.5)).transform(points)
        assert torch.equal(out[:, 2:] == 0.5, ~active[:, 2:])

    def test_values_in_between_count_as_active(self) -> None:
        points, active = layers(12)
        conditions = infer_conditions(points, active, LAYERS)
        between = points[:1].clone()
        between[0, 1] = 0.4  # above all that had one layer, below all that had two
        out = NeutralInactive(conditions, torch.full((4,), 0.5)).transform(between)
        assert torch.equal(out[:, :3], between[:, :3])
        assert out[0, 3] == 0.5

    def test_a_column_of_many_values_not_on_the_word_of_a_few_trials(self) -> None:
        points, active = layers(4)
        assert [c.parent for c in infer_conditions(points, active, LAYERS)] == [1, 1]
        fine = SearchSpace({**LAYERS.distributions, "n_layers": IntDistribution(1, 300)})
        assert infer_conditions(points, active, fine) == ()
        assert [c.parent for c in infer_conditions(*layers(12), fine)] == [1, 1]

    def test_how_often_noise_is_taken_for_a_condition(self) -> None:
        """Trials with and without a parameter at random: some column separates them in 5 % of the cases at most."""
        space = SearchSpace({name: FloatDistribution(0, 1) for name in "abcd"})
        generator = torch.Generator().manual_seed(0)
        n_found = 0
        for _ in range(400):
            points = torch.rand(9, 4, generator=generator, dtype=torch.float64)
            active = torch.ones(9, 4, dtype=torch.bool)
            active[:, 3] = torch.rand(9, generator=generator) < 0.5
            n_found += bool(active[:, 3].any()) and bool(infer_conditions(points, active, space))
        assert n_found <= 0.05 * 400

    def test_choices_explain_before_numbers(self) -> None:
        space = SearchSpace({"kind": CategoricalDistribution(["a", "b"]), **LAYERS.distributions})
        points, active = layers(12)
        kind = active[:, 2].double().unsqueeze(-1)
        wide = torch.cat([torch.ones(12, 1, dtype=torch.bool), active], dim=1)
        conditions = infer_conditions(torch.cat([kind, points], dim=1), wide, space)
        assert [(c.column, c.parent) for c in conditions] == [(3, 0), (4, 2)]

    def test_a_column_that_no_trial_used_and_nothing_explains_counts_nowhere(self) -> None:
        points, active = layers(6)
        active[:, 0] = False
        out = NeutralInactive(infer_conditions(points, active, LAYERS), torch.full((4,), 0.5)).transform(points)
        assert out[:, 0].eq(0.5).all()
