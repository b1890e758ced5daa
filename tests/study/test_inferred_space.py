"""What the trials of a study have asked for: unions, changed ranges, parameters that come and go."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from llm_prior_bo import SearchSpace
from llm_prior_bo.study.inferred_space import InferredSpace, current_distribution
from tests.strategies import spaces

X, Y, Z = FloatDistribution(0, 1), IntDistribution(0, 4), CategoricalDistribution(["a", "b"])


def asked_for(*sets: str, states: Sequence[TrialState] = ()) -> InferredSpace:
    """Trials that asked for the letters of a text, in order."""
    distributions: dict[str, BaseDistribution] = {"x": X, "y": Y, "z": Z}
    values = {"x": 0.5, "y": 1, "z": "a"}
    study = optuna.create_study()
    for i, names in enumerate(sets):
        state = states[i] if states else TrialState.COMPLETE
        study.add_trial(
            create_trial(
                params={n: values[n] for n in names},
                distributions={n: distributions[n] for n in names},
                value=1.0 if state == TrialState.COMPLETE else None,
                state=state,
            )
        )
    return InferredSpace.of(study.trials)


def names(found: InferredSpace) -> str:
    return "".join(found.modelled)


class TestModelled:
    def test_nothing_before_the_first_trial(self) -> None:
        found = InferredSpace.of([])
        assert (found.n_trials, found.distributions, found.modelled) == (0, {}, {})

    def test_what_all_trials_share_from_the_first_on(self) -> None:
        assert names(asked_for("yx")) == "xy"  # by name, whatever the order of the objective
        assert asked_for("yx").modelled == {"x": X, "y": Y}

    def test_what_some_trials_ask_for_from_the_second_on(self) -> None:
        assert names(asked_for("x", "xy")) == "x"
        assert names(asked_for("x", "xy", "x", "xy")) == "xy"
        assert names(asked_for("xy", "xz", "xy", "xz")) == "xyz"

    def test_pruned_trials_count_and_others_do_not(self) -> None:
        fail, prune, running = TrialState.FAIL, TrialState.PRUNED, TrialState.RUNNING
        assert names(asked_for("x", states=[prune])) == "x"
        assert names(asked_for("x", "xy", states=[fail, running])) == ""

    def test_by_number_whatever_the_order(self) -> None:
        trials = optuna.create_study()
        for high in (1, 1, 2, 2):
            trials.add_trial(create_trial(params={"x": 0.5}, distributions={"x": FloatDistribution(0, high)}, value=0))
        assert InferredSpace.of(trials.trials[::-1]).modelled == {"x": FloatDistribution(0, 2)}

    def test_single_values_are_known_but_not_modelled(self) -> None:
        study = optuna.create_study()
        study.optimize(lambda t: t.suggest_float("x", 1, 1), n_trials=2)
        found = InferredSpace.of(study.trials)
        assert list(found.distributions) == ["x"]
        assert found.modelled == {}

    def test_what_was_taken_out_of_the_objective_leaves(self) -> None:
        assert names(asked_for(*["xy"] * 5, "x")) == "xy"  # may be a branch
        assert names(asked_for(*["xy"] * 5, "x", "x")) == "x"
        assert names(asked_for(*["xy"] * 5, "x", "x", "xy", "x", "x", "x", "x")) == "xy"  # it is one

    def test_what_turned_up_late_stays(self) -> None:
        assert names(asked_for(*["x"] * 9, "xy", "xy")) == "xy"

    @given(st.lists(spaces(), min_size=1, max_size=4))
    def test_whatever_trials_ask_for_is_one_of_their_parameters(self, found: list[SearchSpace]) -> None:
        trials: list[FrozenTrial] = []
        for i, space in enumerate(found):
            params = space.decode([0.0] * len(space))
            trial = create_trial(params=params, distributions=space.distributions, value=0.0)
            trial.number = i
            trials.append(trial)
        seen = InferredSpace.of(trials)
        assert seen.distributions.keys() == {name for trial in trials for name in trial.params}
        assert seen.modelled.keys() <= seen.distributions.keys()


class TestRanges:
    NARROW, WIDE, OTHER = FloatDistribution(0, 1), FloatDistribution(-1, 2), FloatDistribution(5, 6)

    def test_one_range(self) -> None:
        assert current_distribution([X, X]) is X
        assert current_distribution([Z]) is Z

    def test_somebody_changed_it(self) -> None:
        assert current_distribution([self.WIDE] * 5 + [self.NARROW] * 2) == self.NARROW
        assert current_distribution([self.NARROW] * 5 + [self.OTHER] * 2) == self.OTHER

    def test_the_first_trial_of_a_new_range_does_not_tell(self) -> None:
        assert current_distribution([self.NARROW] * 5 + [self.OTHER]) == FloatDistribution(0, 6)

    def test_a_range_that_changes_all_the_time(self) -> None:
        seen = [FloatDistribution(0, high) for high in (0.3, 0.9, 0.5)]
        assert current_distribution(seen) == FloatDistribution(0, 0.9)
        assert current_distribution([self.NARROW, self.OTHER, self.NARROW, self.NARROW]) == FloatDistribution(0, 6)
        seen_ints = [IntDistribution(1, high, log=True) for high in (4, 9, 2)]
        assert current_distribution(seen_ints) == IntDistribution(1, 9, log=True)

    def test_steps(self) -> None:
        fits = [IntDistribution(0, 10, step=5), IntDistribution(5, 20, step=5)]
        assert current_distribution(fits) == IntDistribution(0, 20, step=5)
        floats = [FloatDistribution(0, 1, step=0.25), FloatDistribution(-0.5, 0.5, step=0.25)]
        assert current_distribution(floats) == FloatDistribution(-0.5, 1, step=0.25)

    @pytest.mark.parametrize(
        ("latest", "both"),
        [
            (IntDistribution(1, 11, step=5), IntDistribution(0, 11)),
            (IntDistribution(0, 9, step=3), IntDistribution(0, 10)),
            (IntDistribution(4, 18, step=2), IntDistribution(0, 18)),
        ],
    )
    def test_integers_whose_steps_do_not_fit_have_a_finer_one(
        self, latest: IntDistribution, both: IntDistribution
    ) -> None:
        first = IntDistribution(0, 10, step=5)
        assert current_distribution([first, latest]) == both
        assert current_distribution([IntDistribution(2, 12, step=10), IntDistribution(6, 26, step=20)]) == (
            IntDistribution(2, 26, step=2)
        )

    def test_floats_whose_steps_do_not_fit_have_none(self) -> None:
        lows = [FloatDistribution(low, low + 1, step=0.5) for low in (0, 0.2, 1)]
        assert current_distribution(lows) == FloatDistribution(0, 2)
        steps = [FloatDistribution(0, 1, step=0.25), FloatDistribution(0, 2, step=0.5), FloatDistribution(0, 1)]
        assert current_distribution(steps) == FloatDistribution(0, 2)

    def test_of_another_scale_counts_the_latest(self) -> None:
        latest = IntDistribution(1, 10, log=True)  # Optuna's storages refuse this; trials by hand do not
        assert current_distribution([IntDistribution(0, 10, step=5), latest]) == latest

    def test_of_another_kind_counts_the_latest(self) -> None:
        assert current_distribution([X, Y]) == Y  # Optuna's storages refuse this; trials by hand do not
        assert current_distribution([Y, Z]) == Z
