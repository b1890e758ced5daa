"""Search spaces that branch, change, are wide, or have many choices: studies of every kind of space."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from llm_prior_bo import FixedElicitor, LLMPriorSampler, PriorAnswer, SearchSpace, build_prior
from llm_prior_bo.errors import IndependentSamplingWarning, SearchSpaceError, SearchSpaceWarning
from llm_prior_bo.optimization.prior_source import GivenPrior
from llm_prior_bo.optimization.trust import Evidence
from llm_prior_bo.study.diagnostics import study_statistics

Objective = Callable[[optuna.Trial], float]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


def asked(answer: PriorAnswer | None = None, **options: Any) -> LLMPriorSampler:
    answer = answer or PriorAnswer.by_hand(numeric={"x": (0.3, 0.2, 0.4)})
    return LLMPriorSampler(elicitor=FixedElicitor(answer), **{"seed": 0, "n_startup_trials": 3, **options})


def suggested(study: optuna.Study) -> list[set[str]]:
    """The parameters that were suggested together, trial by trial; none before the first has finished."""
    suggestions = study_statistics(study).suggestions
    return [set(suggestions[t.number].params) if t.number in suggestions else set() for t in study.trials]


def tree(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", 0, 1)
    if trial.suggest_categorical("kind", ["a", "b"]) == "a":
        return (x - 0.3) ** 2 + (trial.suggest_float("depth", 0, 1) - 0.5) ** 2
    return (x - 0.3) ** 2 + (trial.suggest_float("width", 0, 1) - 0.5) ** 2


class TestBranches:
    def test_parameters_are_modelled_once_two_trials_have_asked_for_them(self) -> None:
        study = optuna.create_study(sampler=asked())
        for kind in "aabab":
            study.enqueue_trial({"kind": kind})
        with pytest.warns(IndependentSamplingWarning, match=r"'width' .*RandomSampler: none of the 2 finished trials"):
            study.optimize(tree, n_trials=8)
        common, a, b = {"x", "kind"}, {"depth"}, {"width"}
        # The second a follows on one trial, the first b on two that lack it, the fourth trial on one of three.
        assert suggested(study)[:5] == [set(), common | a, common | a, common | a, common | a]
        assert suggested(study)[5:] == [common | a | b] * 3
        assert [s.phase for s in study_statistics(study).suggestions.values()][-3:] == ["model"] * 3

    def test_rare_ones_come_from_the_priors_own_density(self) -> None:
        answer = PriorAnswer.by_hand(numeric={"x": (0.3, 0.2, 0.4), "width": (0.9, 0.89, 0.91)}, confidence=0.95)
        widths = []
        for seed in range(8):
            study = optuna.create_study(sampler=asked(answer, seed=seed, warn_independent_sampling=False))
            study.add_trial(  # so that the answer is about `width` too
                create_trial(
                    params={"x": 0.2, "width": 0.2},
                    distributions={"x": FloatDistribution(0, 1), "width": FloatDistribution(0, 1)},
                    value=1.0,
                )
            )
            for kind in "aab":
                study.enqueue_trial({"kind": kind})
            study.optimize(tree, n_trials=3)
            widths.append(study.trials[3].params["width"])
        assert np.mean(np.abs(np.array(widths) - 0.9) < 0.1) > 0.7

    def test_a_rejected_region_does_not_come_back_through_them(self) -> None:
        """What the evidence has left of the regions counts for parameters outside the model, too."""
        answer = PriorAnswer.by_hand(numeric={"x": (0.9, 0.89, 0.91), "late": (0.9, 0.89, 0.91)}, confidence=0.95)

        class Rejecting:
            def reweight(self, prior: Any, surrogate: Any, **_: Any) -> Any:  # noqa: ARG002
                return Evidence(prior.with_weights([0.0], 1.0), 0.0, (0.0,), (0.0,), 0.0)

        space = {"x": FloatDistribution(0, 1)}
        options: dict[str, Any] = {"trust": Rejecting(), "search_space": space, "warn_independent_sampling": False}
        prior = build_prior(answer, SearchSpace({**space, "late": FloatDistribution(0, 1)}))
        lates = []
        for seed in range(12):
            sampler = asked(answer, seed=seed, n_startup_trials=1, **options)
            study = optuna.create_study(sampler=sampler)
            sampler._source = Both(prior)
            study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_float("late", 0, 1), n_trials=2)
            lates.append(study.trials[1].params["late"])
        assert np.mean(np.abs(np.array(lates) - 0.9) < 0.1) < 0.5

    def test_the_better_branch_is_found(self) -> None:
        study = optuna.create_study(sampler=asked(warn_independent_sampling=False))
        study.optimize(lambda t: tree(t) + (0.5 if t.params["kind"] == "b" else 0.0), n_trials=16)
        assert study.best_params["kind"] == "a"
        assert study.best_value < 0.1
        values = {kind: [t.value for t in study.trials if t.params["kind"] == kind] for kind in "ab"}
        assert len(values["a"]) >= 6
        assert all(values.values())

    def test_a_number_that_says_how_many_there_are(self) -> None:
        def network(trial: optuna.Trial) -> float:
            n = trial.suggest_int("n_layers", 1, 3)
            widths = [trial.suggest_int(f"width_{i}", 1, 64, log=True) for i in range(n)]
            return (n - 2) ** 2 + sum((width / 20 - 1) ** 2 for width in widths)

        study = optuna.create_study(sampler=asked(PriorAnswer.by_hand(), warn_independent_sampling=False))
        study.optimize(network, n_trials=16)
        assert suggested(study)[-1] == {"n_layers", "width_0", "width_1", "width_2"}
        points = [tuple(t.params.items()) for t in study.trials]
        assert len(set(points)) >= 14  # what does not count does not make known points look new

    def test_names_that_never_come_again(self) -> None:
        study = optuna.create_study(sampler=asked(warn_independent_sampling=False))
        study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_float(f"once_{t.number}", 0, 1), n_trials=6)
        assert suggested(study)[1:] == [{"x", "once_0"}] + [{"x"}] * 4


class Both:
    """A density by hand over more parameters than the sampler's space."""

    def __init__(self, prior: Any) -> None:
        self.given = GivenPrior(prior, prior.space)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.given, name)


class TestChanges:
    def test_of_a_range_by_hand(self) -> None:
        """The new range counts; trials outside of it are left out, the others still teach."""
        study = optuna.create_study(sampler=asked())
        study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_float("y", 0, 1), n_trials=5)
        with pytest.warns(IndependentSamplingWarning, match=r"'x' .* was suggested out of .*asks for .*low=2.0"):
            study.optimize(lambda t: t.suggest_float("x", 2, 3) + t.suggest_float("y", 0, 1), n_trials=5)
        assert all(2 <= t.params["x"] <= 3 for t in study.trials[5:])
        suggestions = study_statistics(study).suggestions
        assert all(2 <= suggestions[i].params["x"] <= 3 for i in (7, 8, 9))  # after two trials it is plain
        assert [suggestions[i].phase for i in (7, 8, 9)] == ["startup", "model", "model"]

    def test_of_a_range_that_depends_on_another_parameter(self) -> None:
        study = optuna.create_study(sampler=asked(PriorAnswer.by_hand(), warn_independent_sampling=False))
        study.optimize(lambda t: t.suggest_int("k", 0, t.suggest_int("n", 1, 30)), n_trials=12)
        assert all(t.params["k"] <= t.params["n"] for t in study.trials)
        assert all(names == {"n", "k"} for names in suggested(study)[1:])

    def test_in_a_stated_space(self) -> None:
        study = optuna.create_study(sampler=asked(search_space={"x": FloatDistribution(0, 1)}))
        with pytest.warns(SearchSpaceWarning, match=r"states .*high=1.0.* for parameter 'x', .* asks for .*high=6.0"):
            study.optimize(lambda t: t.suggest_float("x", 5, 6), n_trials=5)
        assert all(5 <= t.params["x"] <= 6 for t in study.trials)

    def test_parameters_that_come_and_go(self) -> None:
        study = optuna.create_study(sampler=asked(warn_independent_sampling=False))
        study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_float("old", 0, 1), n_trials=5)
        study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_float("new", 0, 1), n_trials=5)
        assert suggested(study)[5:] == [{"x", "old"}, {"x", "old"}, {"x", "new"}, {"x", "new"}, {"x", "new"}]

    @pytest.mark.parametrize(
        "later", [IntDistribution(0, 1), FloatDistribution(0.1, 1, log=True), CategoricalDistribution([0, 1])]
    )
    def test_of_kind_or_scale_are_refused(self, later: BaseDistribution) -> None:
        study = optuna.create_study(sampler=asked())
        study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=2)
        with pytest.raises(SearchSpaceError, match=r"parameter 'x' of the kind that trial 0 asked for.*new study"):
            study.optimize(lambda t: t._suggest("x", later), n_trials=1)

    def test_of_choices_are_refused(self) -> None:
        study = optuna.create_study(sampler=asked(PriorAnswer.by_hand()))
        study.optimize(lambda t: len(t.suggest_categorical("c", ["a", "b"])), n_trials=2)
        with pytest.raises(SearchSpaceError, match=r"parameter 'c' of the kind that trial 0 asked for.*set of choices"):
            study.optimize(lambda t: len(t.suggest_categorical("c", ["a", "b", "c"])), n_trials=1)


class TestWarnings:
    def test_none_where_nothing_can_be_done(self) -> None:
        study = optuna.create_study(sampler=asked())  # warnings are errors here
        study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_int("k", 1, 3), n_trials=4)
        study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_int("k", 1, 3), n_trials=1, n_jobs=2)

    def test_one_for_each_parameter(self) -> None:
        study = optuna.create_study(sampler=asked(search_space={"x": FloatDistribution(0, 1)}))
        with pytest.warns(IndependentSamplingWarning) as caught:
            study.optimize(lambda t: sum(t.suggest_float(name, 0, 1) for name in ("x", "extra", "other")), n_trials=5)
        assert [str(w.message).split("'")[1] for w in caught] == ["extra", "other"]

    def test_of_parameters_outside_of_a_prior_by_hand(self) -> None:
        prior = build_prior(PriorAnswer.by_hand(), SearchSpace({"x": FloatDistribution(0, 1)}))
        study = optuna.create_study(sampler=LLMPriorSampler(prior=prior, seed=0))
        with pytest.warns(IndependentSamplingWarning, match="'y' .*by PerTrialRandomSampler: the given search"):
            study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_float("y", 0, 1), n_trials=2)

    def test_can_be_switched_off(self) -> None:
        sampler = asked(search_space={"x": FloatDistribution(0, 1)}, warn_independent_sampling=False)
        optuna.create_study(sampler=sampler).optimize(lambda t: t.suggest_float("y", 0, 1), n_trials=3)


class TestSize:
    @pytest.mark.parametrize("given", [True, False], ids=["stated", "found"])
    def test_fifty_parameters(self, given: bool) -> None:
        space: dict[str, BaseDistribution] = {
            **{f"f{i:02}": FloatDistribution(0, 1) for i in range(20)},
            **{f"l{i:02}": FloatDistribution(1e-5, 1, log=True) for i in range(10)},
            **{f"i{i:02}": IntDistribution(1, 100) for i in range(10)},
            **{f"c{i:02}": CategoricalDistribution(["a", "b", "c"]) for i in range(10)},
        }
        answer = PriorAnswer.by_hand(
            numeric={f"f{i:02}": (0.3, 0.2, 0.4) for i in range(20)}, categorical={"c00": {"b": 0.8}}
        )
        study = optuna.create_study(sampler=asked(answer, search_space=space if given else None, n_startup_trials=12))
        study.optimize(
            lambda t: sum((v - 0.3) ** 2 for v in suggest(t, space).values() if isinstance(v, float)), n_trials=14
        )
        assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 14
        assert [s.phase for s in study_statistics(study).suggestions.values()][-2:] == ["model"] * 2
        assert len({tuple(t.params.values()) for t in study.trials}) == 14

    def test_a_hundred_choices(self) -> None:
        space: dict[str, BaseDistribution] = {
            "x": FloatDistribution(0, 1),
            "c": CategoricalDistribution([f"choice {i}" for i in range(100)]),
            "d": CategoricalDistribution(list(range(100))),
        }
        answer = PriorAnswer.by_hand(categorical={"c": {"choice 7": 0.5, "choice 8": 0.3}})
        # No uniform points: the answer is about a parameter that does not matter, so one of them may well be the best.
        sampler = asked(answer, search_space=space, n_startup_trials=12, uniform_startup_fraction=0.0)
        study = optuna.create_study(sampler=sampler)
        study.optimize(lambda t: suggest(t, space)["x"] + abs(t.params["d"] - 40) / 100, n_trials=15)
        assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 15
        named = [t.params["c"] in ("choice 7", "choice 8") for t in study.trials[:9]]
        assert np.mean(named) > 0.5

    def test_all_choices_of_a_small_space_are_tried(self) -> None:
        """More trials than there are points: suggestions stay legal."""
        space: dict[str, BaseDistribution] = {"c": CategoricalDistribution(["a", "b"]), "k": IntDistribution(0, 1)}
        study = optuna.create_study(sampler=asked(PriorAnswer.by_hand(), search_space=space))
        study.optimize(lambda t: suggest(t, space)["k"] + len(t.params["c"]), n_trials=8)
        assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 8


def suggest(trial: optuna.Trial, space: dict[str, BaseDistribution]) -> dict[str, Any]:
    return {name: trial._suggest(name, distribution) for name, distribution in space.items()}
