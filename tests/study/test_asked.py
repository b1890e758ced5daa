"""What objectives ask for, against what was stated, asked before and suggested."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo import FixedElicitor, LLMPriorSampler, PriorAnswer
from llm_prior_bo.errors import SearchSpaceError, SearchSpaceWarning
from llm_prior_bo.study.asked import MAX_TRIALS_UNTRIED, MIN_TRIALS, NOT_SUGGESTED, SuggestedParams, suggested_value
from llm_prior_bo.study.diagnostics import study_statistics
from llm_prior_bo.study.trial_records import Suggestion
from tests.conftest import Open

pytestmark = pytest.mark.filterwarnings("ignore:Choices for a categorical distribution")


def categorical(*choices: Any) -> CategoricalDistribution:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna's, of choices that not every storage takes
        return CategoricalDistribution(choices)


def suggestion(**params: Any) -> Suggestion:
    return Suggestion(params=params, phase="model", n=0)


ANSWER = PriorAnswer.by_hand(numeric={"x": (0.5, 0.2, 0.8)})
NO_OPINION = PriorAnswer.by_hand()


def sampler(answer: PriorAnswer = ANSWER, **options: Any) -> LLMPriorSampler:
    return LLMPriorSampler(elicitor=FixedElicitor(answer), seed=0, **options)


def phases(study: optuna.Study) -> list[str]:
    return [s.phase for s in study_statistics(study).suggestions.values()]


@pytest.mark.parametrize(
    ("value", "asked", "expected"),
    [
        (0.25, FloatDistribution(0, 1), 0.25),
        (1.0, FloatDistribution(0, 1), 1.0),
        (3, IntDistribution(0, 9), 3),
        (3.0, IntDistribution(0, 9), 3),
        (0.52, FloatDistribution(0.1, 1.1, step=0.25), 0.6),
        (1.15, FloatDistribution(0.1, 1.1, step=0.25), 1.1),
        (7, IntDistribution(0, 10, step=5), 5),
        (11, IntDistribution(0, 10, step=5), 10),
        ("a", CategoricalDistribution(["a", "b"]), "a"),
        ([1, 2], categorical((1, 2), (3, 4)), (1, 2)),
        ({"1": [2]}, categorical({1: (2,)}, None), {1: (2,)}),
        (None, categorical({1: (2,)}, None), None),
    ],
)
def test_a_suggested_value_is_given_as_what_is_asked_for(value: Any, asked: BaseDistribution, expected: Any) -> None:
    given = suggested_value(suggestion(p=value), "p", asked)
    assert type(given) is type(expected)
    assert given == (pytest.approx(expected) if isinstance(expected, float) else expected)


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        (2.0, FloatDistribution(0, 1)),
        (-0.1, FloatDistribution(0, 1, step=0.5)),
        (20, IntDistribution(0, 10, step=5)),
        ("0.5", FloatDistribution(0, 1)),
        (True, FloatDistribution(0, 1)),
        (None, IntDistribution(0, 1)),
        ([], IntDistribution(0, 1, step=1)),
        (float("nan"), FloatDistribution(0, 1)),
        (10**400, IntDistribution(0, 1)),
        ("c", CategoricalDistribution(["a", "b"])),
        ([1], CategoricalDistribution(["a", "b"])),
    ],
)
def test_what_does_not_fit_is_not_given(value: Any, asked: BaseDistribution) -> None:
    assert suggested_value(suggestion(p=value), "p", asked) is NOT_SUGGESTED


def test_nor_what_was_not_suggested() -> None:
    assert suggested_value(suggestion(p=0.5), "q", FloatDistribution(0, 1)) is NOT_SUGGESTED
    assert suggested_value(None, "q", FloatDistribution(0, 1)) is NOT_SUGGESTED


def test_optuna_takes_no_suggested_value_by_itself() -> None:
    """`Trial._is_relative_param` asks `in` before it takes a value: the rest of a dict is as usual."""
    params = SuggestedParams({"x": 0.5})
    assert "x" not in params
    assert params["x"] == 0.5
    assert dict(params) == {"x": 0.5} == {**params}


class TestChoices:
    LISTS: tuple[Any, ...] = ([64], [64, 64], [128, 64])
    TUPLES: tuple[Any, ...] = ((64,), (64, 64), None)
    DICTS: tuple[Any, ...] = ({"depth": 2}, {"depth": 3, "kinds": ["a"]})
    KEYS: tuple[Any, ...] = ({1: "a"}, {2: "b"})

    @pytest.mark.parametrize("choices", [LISTS, TUPLES, DICTS, KEYS], ids=["lists", "tuples", "dicts", "keys"])
    @pytest.mark.parametrize("stated", [True, False], ids=["stated", "found"])
    def test_they_reach_the_objective_as_they_are(
        self, open_storage: Open, choices: tuple[Any, ...], stated: bool
    ) -> None:
        storage = open_storage()
        if isinstance(storage, optuna.storages.RDBStorage) and choices in (self.TUPLES, self.KEYS):
            pytest.skip("Optuna itself refuses the second trial: it compares the tuples with what it has stored")
        x, c = FloatDistribution(0, 1), categorical(*choices)

        def objective(trial: optuna.Trial) -> float:
            choice = trial.suggest_categorical("c", choices)
            assert any(choice is known for known in choices)
            return trial.suggest_float("x", 0, 1) + len(choice or ())

        for _ in range(2):  # the second time resumed, where the storage gives back what it has stored
            study = optuna.create_study(
                storage=open_storage(),
                study_name="s",
                load_if_exists=True,
                sampler=sampler(search_space={"x": x, "c": c} if stated else None, n_startup_trials=3),
            )
            study.optimize(objective, n_trials=4)
        assert len(study.trials) == 8
        assert phases(study)[-4:] == ["model"] * 4
        assert any(study.best_trial.params["c"] == choice for choice in self.stored(study, choices))

    def stored(self, study: optuna.Study, choices: tuple[Any, ...]) -> tuple[Any, ...]:
        """The choices, and what a storage gives back for them."""
        distribution = study.trials[0].distributions["c"]
        assert isinstance(distribution, CategoricalDistribution)
        return (*choices, *distribution.choices)

    def test_stated_as_lists_and_asked_for_as_tuples(self) -> None:
        space: dict[str, BaseDistribution] = {"c": categorical([1], [2])}
        study = optuna.create_study(sampler=sampler(NO_OPINION, search_space=space))
        tuples: list[Any] = [(1,), (2,)]
        study.optimize(lambda trial: len(trial.suggest_categorical("c", tuples)), n_trials=3)
        assert phases(study) == ["startup"] * 3


class TestRanges:
    """Steps and ranges that depend on other parameters: the surrogate takes over all the same."""

    @staticmethod
    def step_from_a_low(trial: optuna.Trial) -> float:
        low = trial.suggest_float("x", 0, 1)
        return low + trial.suggest_float("high", low, 2, step=0.05)

    @staticmethod
    def step_that_changes(trial: optuna.Trial) -> float:
        return trial.suggest_float("x", 0, 1) + trial.suggest_int("k", 0, 60, step=trial.suggest_int("step", 1, 6))

    @staticmethod
    def integers_from_a_low(trial: optuna.Trial) -> float:
        n = trial.suggest_int("n", 1, 9)
        return trial.suggest_float("x", 0, 1) + trial.suggest_int("k", n, 60, step=7)

    @staticmethod
    def range_that_changes(trial: optuna.Trial) -> float:
        return trial.suggest_float("y", 0, max(trial.suggest_float("x", 0, 1), 1e-3))

    @staticmethod
    def log_range_that_changes(trial: optuna.Trial) -> float:
        return trial.suggest_float("lr", 1e-5, 10 ** -trial.suggest_float("x", 0, 1), log=True)

    @staticmethod
    def range_of_a_choice(trial: optuna.Trial) -> float:
        wide = trial.suggest_categorical("c", ["a", "b"]) == "a"
        return trial.suggest_float("x", 0, 1) + trial.suggest_int("k", 4 if wide else 3, 40, step=4 if wide else 3)

    @pytest.mark.filterwarnings(
        "ignore:.*not divisible by `step`", "ignore::llm_prior_bo.errors.IndependentSamplingWarning"
    )
    @pytest.mark.parametrize(
        "objective",
        [
            step_from_a_low,
            step_that_changes,
            integers_from_a_low,
            range_that_changes,
            log_range_that_changes,
            range_of_a_choice,
        ],
        ids=lambda objective: objective.__name__,
    )
    def test_of_a_found_space(self, objective: Callable[[optuna.Trial], float]) -> None:
        study = optuna.create_study(sampler=sampler(n_startup_trials=4))
        study.optimize(objective, n_trials=12)
        assert phases(study)[-6:] == ["model"] * 6

    @pytest.mark.filterwarnings("ignore:.*not divisible by `step`", "ignore::llm_prior_bo.errors.SearchSpaceWarning")
    def test_of_a_stated_space(self) -> None:
        space = {"x": FloatDistribution(0, 1), "high": FloatDistribution(0, 2, step=0.05)}
        study = optuna.create_study(sampler=sampler(n_startup_trials=4, search_space=space))
        study.optimize(self.step_from_a_low, n_trials=10)
        assert phases(study)[-4:] == ["model"] * 4


class TestKinds:
    @pytest.mark.parametrize(
        "stated",
        [
            IntDistribution(0, 1),
            FloatDistribution(0.1, 1, log=True),
            CategoricalDistribution([0.0, 1.0]),
        ],
        ids=repr,
    )
    def test_another_one_than_was_stated(self, stated: BaseDistribution) -> None:
        study = optuna.create_study(sampler=sampler(NO_OPINION, search_space={"x": stated}))
        with pytest.raises(SearchSpaceError, match=r"parameter 'x' as search_space= states it, .* got a trial"):
            study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)

    def test_other_choices_than_were_stated(self) -> None:
        study = optuna.create_study(sampler=sampler(NO_OPINION, search_space={"c": CategoricalDistribution("ab")}))
        with pytest.raises(SearchSpaceError, match=r"'c' as search_space= states it"):
            study.optimize(lambda trial: len(trial.suggest_categorical("c", ["a", "b", "c"])), n_trials=1)

    def test_another_one_than_in_a_session_before(self, open_storage: Open) -> None:
        study = optuna.create_study(storage=open_storage(), study_name="s", sampler=sampler())
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
        study = optuna.load_study(storage=open_storage(), study_name="s", sampler=sampler())
        with pytest.raises(SearchSpaceError, match=r"'x' of the kind that trial 0 asked for"):
            study.optimize(lambda trial: trial.suggest_int("x", 0, 1), n_trials=1)

    def test_the_same_in_a_notebook_that_is_edited(self) -> None:
        study = optuna.create_study(sampler=sampler(search_space={"x": FloatDistribution(0, 1)}))
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
        for _ in range(2):
            with pytest.raises(SearchSpaceError, match="'x' as search_space= states it"):
                study.optimize(lambda trial: trial.suggest_int("x", 0, 1), n_trials=1)
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)


class TestStatedSpace:
    SPACE: dict[str, BaseDistribution] = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}  # noqa: RUF012

    def warned(self, objective: Callable[[optuna.Trial], float], n_trials: int, **options: Any) -> list[str]:
        study = optuna.create_study(
            sampler=sampler(search_space=self.SPACE, warn_independent_sampling=False, n_startup_trials=50)
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            study.optimize(objective, n_trials=n_trials, **options)
        assert {warning.category for warning in caught} <= {SearchSpaceWarning}
        return [str(warning.message) for warning in caught]

    def test_what_is_asked_for_is_not_worth_a_word(self) -> None:
        assert self.warned(lambda t: t.suggest_float("x", 0, 1) + t.suggest_float("y", 0, 1), 8) == []

    def test_an_entry_that_is_never_asked_for(self) -> None:
        (said,) = self.warned(lambda trial: trial.suggest_float("x", 0, 1), 8)
        assert said == (
            f"search_space= states 'y', and none of the {MIN_TRIALS} trials that have ended asked for it; leave out "
            "what the objective never asks for; a conditional parameter may still come."
        )

    def test_one_that_may_be_conditional(self) -> None:
        assert self.warned(lambda trial: trial.suggest_float("x", 0, 1), MIN_TRIALS - 1) == []
        assert self.warned(lambda t: t.suggest_float("y" if t.number == 3 else "x", 0, 1), 8) == []

    @pytest.mark.parametrize("n_trials", [MAX_TRIALS_UNTRIED - 1, MAX_TRIALS_UNTRIED])
    def test_one_that_may_hang_on_a_choice_that_no_trial_had(self, n_trials: int) -> None:
        def objective(trial: optuna.Trial) -> float:
            kind = trial.suggest_categorical("kind", ["a", "b"])
            return trial.suggest_float("x" if kind == "a" else "y", 0, 1)

        space: dict[str, BaseDistribution] = {"kind": CategoricalDistribution(["a", "b"]), **self.SPACE}
        study = optuna.create_study(sampler=sampler(search_space=space, n_startup_trials=50))
        for _ in range(n_trials):
            study.enqueue_trial({"kind": "a"})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", SearchSpaceWarning)
            study.optimize(objective, n_trials=n_trials)
        told = [str(one.message) for one in caught if one.category is SearchSpaceWarning]
        assert [f"none of the {n_trials} trials" in text for text in told] == [True] * (n_trials == MAX_TRIALS_UNTRIED)

    def test_a_name_with_a_mistake_in_it_is_told_at_once(self) -> None:
        space = {"x": FloatDistribution(0, 1), "learning_rat": FloatDistribution(0, 1)}
        study = optuna.create_study(sampler=sampler(search_space=space, warn_independent_sampling=False))
        with pytest.warns(SearchSpaceWarning, match=r"'learning_rat' \(is 'learning_rate' meant\?\)") as caught:
            study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_float("learning_rate", 0, 1), n_trials=8)
        assert len(caught) == 1

    def test_another_range(self) -> None:
        (said,) = self.warned(lambda t: t.suggest_float("x", 0, 2) + t.suggest_float("y", 0, 1), 8)
        assert "for parameter 'x', and a trial asks for FloatDistribution(high=2.0" in said

    def test_a_range_beside_the_stated_one(self) -> None:
        study = optuna.create_study(sampler=sampler(search_space=self.SPACE))
        with pytest.warns(SearchSpaceWarning) as caught:
            study.optimize(lambda t: t.suggest_float("x", 3, 4) + t.suggest_float("y", 0, 1), n_trials=3)
        assert len(caught) == 1  # and no other one says that the parameter is sampled on its own

    def test_a_range_that_changes_all_the_time_is_told_once(self) -> None:
        said = self.warned(lambda t: t.suggest_float("y", 0, t.suggest_float("x", 0, 1)), 8)
        assert len(said) == 1

    def test_once_in_many_threads(self) -> None:
        assert len(self.warned(lambda trial: trial.suggest_float("x", 0, 1), 12, n_jobs=3)) <= 1
