"""What is learned from failed trials, and what the sampler makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy.stats import multivariate_normal, norm
from torch import Tensor

from llm_prior_bo import LLMPriorSampler, PriorAnswer, SearchSpace, UniformPrior, build_prior, prior_weighted
from llm_prior_bo._fast_path import fast_path
from llm_prior_bo.acquisition.log_acquisition import log_acquisition
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.exact_gp import ExactPosterior
from llm_prior_bo.models.feasibility import (
    LOG_HANDICAP,
    FeasibilityModel,
    _structure,
    add_failed_as_pending,
    fit_feasibility,
    resample_by_success_probability,
)
from llm_prior_bo.models.surrogate import fit_surrogate
from llm_prior_bo.study.diagnostics import study_statistics
from llm_prior_bo.study.training_data import training_data_of
from llm_prior_bo.study.trial_records import HEARTBEAT_KEY, failed_by_itself, read_suggestion
from tests.gps import gp, matern

SPACE = SearchSpace({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)})
MIXED = SearchSpace(
    {
        "kind": CategoricalDistribution(["a", "b", "c"]),
        "size": IntDistribution(1, 64, log=True),
        "x": FloatDistribution(0, 1),
    }
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uniform(space: SearchSpace, n: int, seed: int = 0) -> Tensor:
    return UniformPrior(space).sample(n, generator=generator(seed))


def data_of(X: Tensor, failed: Tensor, **options: Any) -> TrainingData:
    """Points `n x d` of which some failed (`n` booleans); the others have the value of their first column."""
    ok = X[~failed]
    return TrainingData(X=ok, Y=ok[:, :1], constraints=ok[:, :0], pending=X[:0], failed=X[failed], **options)


def fitted(data: TrainingData, space: SearchSpace = SPACE) -> FeasibilityModel:
    model = fit_feasibility(data, space)
    assert model is not None
    return model


def half_plane(n: int = 30, seed: int = 0) -> TrainingData:
    X = uniform(SPACE, n, seed)
    return data_of(X, X[:, 0] > 2 / 3)


class TestProbability:
    def test_is_that_of_a_positive_label_mixed_with_the_base_rate(self) -> None:
        X, z = uniform(SPACE, 6), torch.tensor([1.0, -1.0, 0.5, 0.5, -2.0, 1.0], dtype=torch.float64)
        process = gp(X, z, noise=0.2).eval()
        model = FeasibilityModel(
            process, ExactPosterior(process), mean=0.4, scale=0.9, noise=0.2, structure=0.8, base_rate=0.7
        )
        new = uniform(SPACE, 5, seed=1)
        K, k = matern(X, X).numpy() + 0.2 * np.eye(6), matern(new, X).numpy()
        mean = k @ np.linalg.solve(K, z.numpy())
        variance = 1.0 - np.einsum("ij,ji->i", k, np.linalg.solve(K, k.T)) + 0.2
        expected = 0.8 * norm.cdf((0.4 + 0.9 * mean) / (0.9 * np.sqrt(variance))) + 0.2 * 0.7
        assert model.probability(new).numpy() == pytest.approx(expected, abs=1e-6)
        assert model.log_prob(new).exp().equal(model.probability(new))
        with fast_path(False):
            assert model.probability(new).numpy() == pytest.approx(expected, abs=1e-6)

    @pytest.mark.parametrize("shape", [(), (4,), (3, 4), (2, 3, 4)])
    def test_shapes(self, shape: tuple[int, ...]) -> None:
        X = torch.rand(*shape, 2, generator=generator(), dtype=torch.float64)
        model = fitted(half_plane())
        assert model.log_prob(X).shape == shape
        assert model.log_prob(X).flatten().tolist() == pytest.approx(model.log_prob(X.reshape(-1, 2)).tolist())

    def test_gradient(self) -> None:
        X = uniform(SPACE, 4, seed=3).requires_grad_()
        assert torch.autograd.gradcheck(fitted(half_plane()).log_prob, X)

    def test_no_place_is_given_up(self) -> None:
        X = torch.cat([torch.full((40, 2), 0.9), torch.full((40, 2), 0.1)]).double()
        failed = torch.arange(80) < 40
        model = fitted(data_of(X, failed))
        log_p = model.log_prob(torch.tensor([[0.9, 0.9]], dtype=torch.float64))
        assert math.log(1 / 82 * 0.5) - 1e-9 <= float(log_p) < math.log(0.1)

    def test_structure_is_the_posterior_probability_of_two_normals(self) -> None:
        X, z = uniform(SPACE, 8), torch.linspace(-1.0, 1.5, 8, dtype=torch.float64)
        model = gp(X, z, noise=0.3).eval()
        one = multivariate_normal(np.zeros(8), matern(X, X).numpy() + 0.3 * np.eye(8)).logpdf(z.numpy()) - LOG_HANDICAP
        other = multivariate_normal(np.zeros(8), np.eye(8)).logpdf(z.numpy())
        assert _structure(model) == pytest.approx(1.0 / (1.0 + math.exp(other - one)), rel=1e-6)


class TestLearning:
    def test_nothing_failed_nothing_learned(self) -> None:
        X = uniform(SPACE, 5)
        assert fit_feasibility(data_of(X, torch.zeros(5, dtype=torch.bool)), SPACE) is None
        assert fit_feasibility(TrainingData(X=X, Y=X[:, :1], constraints=X[:, :0], pending=X[:0]), SPACE) is None

    def test_a_region_that_fails(self) -> None:
        model = fitted(half_plane())
        new = uniform(SPACE, 500, seed=9)
        clear = (new[:, 0] - 2 / 3).abs() > 0.1
        p = model.probability(new)
        assert float(((p < 0.5) == (new[:, 0] > 2 / 3))[clear].double().mean()) > 0.97
        assert model.structure > 0.9

    def test_failures_that_follow_nothing_change_next_to_nothing(self) -> None:
        """The spread of the log probability over the space is what moves an acquisition function."""
        new = uniform(SPACE, 500, seed=99)
        spreads, regions = [], []
        for seed in range(12):
            X = uniform(SPACE, 40, seed)
            random = torch.rand(40, generator=generator(100 + seed)) < 0.1
            if random.any():
                spreads.append(float(fitted(data_of(X, random)).log_prob(new).std()))
            regions.append(float(fitted(data_of(X, X[:, 0] > 2 / 3)).log_prob(new).std()))
        assert np.median(spreads) < 0.06
        assert max(spreads) < 0.25 * min(regions)

    def test_few_trials_prove_little(self) -> None:
        spreads = [float(fitted(half_plane(n)).log_prob(uniform(SPACE, 500, seed=9)).std()) for n in (6, 12, 30)]
        assert spreads == sorted(spreads)

    def test_far_from_everything_the_base_rate_counts(self) -> None:
        X = torch.tensor([[0.0, 0.0], [0.01, 0.0], [0.0, 0.01]], dtype=torch.float64)
        model = fitted(data_of(X, torch.tensor([True, False, False])))
        assert model.base_rate == 0.6
        assert float(model.probability(torch.ones(2, dtype=torch.float64))) == pytest.approx(0.6, abs=0.05)

    def test_choices_and_integers(self) -> None:
        X = uniform(MIXED, 60)
        model = fitted(data_of(X, (X[:, 0] == 1) & (X[:, 1] > 0.5)), MIXED)
        params = [{"kind": kind, "size": size, "x": 0.5} for kind, size in (("b", 40), ("b", 2), ("a", 40), ("c", 40))]
        p = model.probability(torch.as_tensor(MIXED.encode(params)))
        assert float(p[0]) < 0.3
        assert bool((p[1:] > 0.7).all())

    def test_columns_that_do_not_count_are_not_looked_at(self) -> None:
        X = uniform(MIXED, 40)
        active = torch.ones(40, 3, dtype=torch.bool)
        active[:, 1] = X[:, 0] == 1  # size counts for kind b only
        failed = X[:, 2] > 0.6
        model = fitted(data_of(X, failed, active=active[~failed]), MIXED)
        params = [{"kind": kind, "size": size, "x": 0.5} for kind in ("a", "b") for size in (1, 64)]
        p = model.probability(torch.as_tensor(MIXED.encode(params)))
        assert p[0] == p[1]
        assert p[2] != p[3]

    def test_pruned_trials_did_work(self) -> None:
        data = half_plane(12)
        pruned = uniform(SPACE, 8, seed=5) * torch.tensor([0.6, 1.0], dtype=torch.float64)
        with_pruned = TrainingData(
            X=data.X, Y=data.Y, constraints=data.constraints, pending=pruned, failed=data.failed, pruned=pruned
        )
        assert fitted(with_pruned).base_rate > fitted(data).base_rate

    def test_all_trials_failed(self) -> None:
        X = uniform(SPACE, 10) * 0.3
        model = fitted(data_of(X, torch.ones(10, dtype=torch.bool)))
        p = model.probability(torch.tensor([[0.15, 0.15], [0.9, 0.9]], dtype=torch.float64))
        assert float(p[0]) < 0.6 * float(p[1])

    @pytest.mark.parametrize("n", [1, 2, 30])
    def test_duplicates(self, n: int) -> None:
        X = torch.full((n + 1, 2), 0.5, dtype=torch.float64)
        p = fitted(data_of(X, torch.arange(n + 1) == 0)).probability(X[:1])
        assert 0.0 < float(p) < 1.0


class TestAcquisition:
    """Log values add up, whatever the base function is."""

    @pytest.mark.parametrize("n_objectives", [1, 2])
    @pytest.mark.parametrize("constrained", [False, True])
    @pytest.mark.parametrize("n_pending", [0, 2])
    def test_every_base(self, n_objectives: int, constrained: bool, n_pending: int) -> None:
        X = uniform(SPACE, 12)
        Y = torch.stack([-((X - 0.3) ** 2).sum(-1), -((X - 0.6) ** 2).sum(-1)][:n_objectives], dim=-1)
        data = TrainingData(
            X=X, Y=Y, constraints=X[:, : int(constrained)] - 0.5, pending=uniform(SPACE, n_pending, seed=3)
        )
        base = log_acquisition(fit_surrogate(data, SPACE), pending=data.pending, seed=0)
        model = fitted(half_plane())
        new = uniform(SPACE, 5, seed=4)
        values = prior_weighted(base, model, exponent=1.0)(new.unsqueeze(1))
        assert values.tolist() == pytest.approx((base(new.unsqueeze(1)) + model.log_prob(new)).tolist())

    def test_a_batch_counts_every_new_point(self) -> None:
        X, model = uniform(SPACE, 8), fitted(half_plane())
        base = qLogNoisyExpectedImprovement(gp(X, X[:, 0]).eval(), X, prune_baseline=False, X_pending=X[:1] * 0.5)
        pairs = uniform(SPACE, 6, seed=4).reshape(3, 2, 2)
        values = prior_weighted(base, model, exponent=1.0)(pairs)
        assert values.tolist() == pytest.approx((base(pairs) + model.log_prob(pairs).sum(dim=-1)).tolist())


class TestPending:
    def test_failures_that_follow_nothing_may_be_tried_again(self) -> None:
        X = uniform(SPACE, 40, seed=2)
        data = data_of(X, torch.arange(40) % 10 == 0)
        assert add_failed_as_pending(data, fitted(data)) is data

    def test_failures_that_their_place_explains_are_kept_away_from(self) -> None:
        X = torch.cat([uniform(SPACE, 40), torch.tensor([[0.1, 0.5], [0.95, 0.5]])])
        data = data_of(X, (X[:, 0] > 2 / 3) | (torch.arange(42) == 40), pruned=X[:1] * 0.0)
        pending = add_failed_as_pending(data, fitted(data)).pending
        assert bool((pending[:, 0] > 2 / 3).all())  # not the odd one at 0.1
        assert X[41].tolist() in pending.tolist()

    def test_others_stay_and_no_point_comes_twice(self) -> None:
        data = half_plane(40)
        assert data.failed is not None
        pending = torch.cat([data.failed[:1], torch.tensor([[0.2, 0.3]], dtype=torch.float64)])
        kept = add_failed_as_pending(replace(data, pending=pending), fitted(data)).pending
        assert [0.2, 0.3] in kept.tolist()
        assert len(torch.unique(kept, dim=0)) == len(kept)

    def test_nothing_learned(self) -> None:
        data = half_plane(6)
        assert add_failed_as_pending(data, None) is data


class TestStartUp:
    def test_the_design_stays_where_failures_follow_nothing(self) -> None:
        X = uniform(SPACE, 40, seed=2)
        model = fitted(data_of(X, torch.arange(40) % 10 == 0))
        prior, points = UniformPrior(SPACE), uniform(SPACE, 50, seed=8)
        assert model.structure < 0.5
        kept = [bool(resample_by_success_probability(x, prior, model, seed=i).equal(x)) for i, x in enumerate(points)]
        assert np.mean(kept) > 0.9

    def test_points_are_distributed_as_the_prior_times_the_probability(self) -> None:
        space = SearchSpace({"c": CategoricalDistribution(["a", "b", "c"])})
        X = torch.tensor([[0.0]] * 6 + [[1.0]] * 6 + [[2.0]] * 6, dtype=torch.float64)
        model = fitted(data_of(X, torch.arange(18) < 8), space)
        prior = build_prior(PriorAnswer.by_hand(categorical={"c": {"a": 0.6, "b": 0.3, "c": 0.1}}), space)
        choices = torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)
        target = (prior.log_prob(choices) + model.log_prob(choices)).softmax(dim=0)
        start = prior.sample(1500, generator=generator(1))
        ends = torch.stack(
            [resample_by_success_probability(x, prior, model, seed=i) for i, x in enumerate(start)]
        ).flatten()
        shares = torch.bincount(ends.long(), minlength=3) / len(ends)
        assert shares.tolist() == pytest.approx(target.tolist(), abs=0.05)

    def test_a_prior_that_lies_where_all_fails_is_left(self) -> None:
        prior = build_prior(PriorAnswer.by_hand(numeric={"x": (0.9, 0.85, 0.95)}), SPACE)
        study = optuna.create_study(sampler=LLMPriorSampler(prior=prior, seed=0))
        without = optuna.create_study(sampler=LLMPriorSampler(prior=prior, seed=0, feasibility=False))
        for s in (study, without):
            tell_all(s, 25, lambda params: params["x"] > 0.7)
        assert n_finished(study) > n_finished(without)


def tell_all(study: optuna.Study, n: int, fails: Callable[[dict[str, Any]], bool]) -> None:
    for _ in range(n):
        trial = study.ask(dict(SPACE.distributions))
        if fails(trial.params):
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, (trial.params["x"] - 0.6) ** 2 + (trial.params["y"] - 0.5) ** 2)


def n_finished(study: optuna.Study) -> int:
    return sum(trial.state == TrialState.COMPLETE for trial in study.trials)


def no_prior(**options: Any) -> LLMPriorSampler:
    return LLMPriorSampler(**{"prior": UniformPrior(SPACE), "seed": 0, "n_startup_trials": 4, **options})


def told(study: optuna.Study) -> list[float | None]:
    suggestions = [read_suggestion(trial) for trial in study.trials]
    return [None if suggestion is None else suggestion.success_probability for suggestion in suggestions]


class TestSampler:
    def test_fewer_trials_fail(self) -> None:
        n_failed = dict.fromkeys((True, False), 0)
        for seed in range(2):
            for feasibility in n_failed:
                study = optuna.create_study(sampler=no_prior(seed=seed, feasibility=feasibility))
                tell_all(study, 18, lambda params: params["x"] < 1 / 3)  # far from the optimum
                n_failed[feasibility] += 18 - n_finished(study)
        assert n_failed[True] < n_failed[False]

    def test_the_probability_is_published_once_a_trial_has_failed(self) -> None:
        study = optuna.create_study(sampler=no_prior())
        numbers = iter(range(100))
        tell_all(study, 8, lambda _: next(numbers) == 2)
        assert told(study)[:3] == [None] * 3
        assert all(p is not None and 0.0 < p < 1.0 for p in told(study)[3:])
        assert [row["success_probability"] for row in study_statistics(study).trace()] == told(study)

    @pytest.mark.parametrize("option", [False, None])
    def test_switched_off(self, option: Any) -> None:
        study = optuna.create_study(sampler=no_prior(feasibility=option))
        tell_all(study, 7, lambda params: params["x"] > 0.5)
        assert told(study) == [None] * 7

    def test_without_failures_nothing_changes(self) -> None:
        studies = []
        for feasibility in (True, False):
            studies.append(optuna.create_study(sampler=no_prior(feasibility=feasibility)))
            tell_all(studies[-1], 7, lambda _: False)
        assert [t.params for t in studies[0].trials] == [t.params for t in studies[1].trials]

    def test_the_same_seed_gives_the_same_trials(self) -> None:
        studies = [optuna.create_study(sampler=no_prior()) for _ in range(2)]
        for study in studies:
            tell_all(study, 9, lambda params: params["x"] > 0.5)
        assert [t.params for t in studies[0].trials] == [t.params for t in studies[1].trials]

    def test_the_first_ten_trials_all_fail(self) -> None:
        study = optuna.create_study(sampler=no_prior())
        numbers = iter(range(100))
        tell_all(study, 16, lambda _: next(numbers) < 10)
        assert [t.state for t in study.trials] == [TrialState.FAIL] * 10 + [TrialState.COMPLETE] * 6
        assert [s.phase for t in study.trials if (s := read_suggestion(t))] == ["startup"] * 14 + ["model"] * 2

    def test_several_objectives_and_constraints(self) -> None:
        study = optuna.create_study(directions=["minimize", "maximize"], sampler=no_prior())
        for number in range(7):
            trial = study.ask(dict(SPACE.distributions))
            if number in (1, 3):
                study.tell(trial, state=TrialState.FAIL)
            else:
                trial.set_constraint("c", trial.params["x"] - 0.9)
                study.tell(trial, list(trial.params.values()))
        assert all(p is not None for p in told(study)[2:])


class TestWhatCountsAsFailed:
    """Failures of the configuration; not trials that were pruned, or lost with their worker."""

    @staticmethod
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        if trial.number == 1:
            raise MemoryError("out of memory")
        y = trial.suggest_float("y", 0, 1)
        if trial.number == 3:
            raise optuna.TrialPruned
        return math.nan if trial.number == 2 else x + y

    def test_exceptions_and_nan(self) -> None:
        study = optuna.create_study(sampler=no_prior(search_space=SPACE))
        study.optimize(self.objective, n_trials=6, catch=(MemoryError,))
        data = training_data_of(study, SPACE)
        assert [failed_by_itself(trial) for trial in study.trials] == [False, True, True, False, False, False]
        assert data.failed is not None
        assert data.pruned is not None
        # The first of them failed before it asked for y: its suggestion says what it would have been.
        suggestion = read_suggestion(study.trials[1])
        assert suggestion is not None
        assert suggestion.params.keys() == {"x", "y"} > study.trials[1].params.keys()
        points = [suggestion.params, study.trials[2].params]
        assert data.failed.tolist() == SPACE.encode(points).tolist()
        assert data.pruned.tolist() == SPACE.encode([study.trials[3].params]).tolist()

    def test_one_that_is_learned_from_is_not_kept_away_from(self) -> None:
        study = optuna.create_study(sampler=no_prior(search_space=SPACE))
        study.optimize(self.objective, n_trials=5, catch=(MemoryError,))
        assert len(training_data_of(study, SPACE).pending) == 3
        assert len(training_data_of(study, SPACE, failed_as_pending=False).pending) == 1  # the pruned one

    def test_failed_before_it_asked_for_anything(self) -> None:
        """Optuna asks the sampler at the first parameter, so there is no configuration to blame."""
        study = optuna.create_study(sampler=no_prior(search_space=SPACE))
        study.optimize(lambda _: math.nan, n_trials=1)
        failed = training_data_of(study, SPACE).failed
        assert failed is not None
        assert len(failed) == 0

    @pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
    @pytest.mark.filterwarnings("ignore:Heartbeat of storage is supposed to be used with Study.optimize")
    @pytest.mark.parametrize("retry", [False, True])
    def test_a_worker_that_died(self, monkeypatch: pytest.MonkeyPatch, retry: bool) -> None:
        callback = RetryHeartbeatStaleTrialCallback(max_retry=1) if retry else None
        storage = RDBStorage("sqlite://", heartbeat_interval=60, heartbeat_stale_trial_callback=callback)
        study = optuna.create_study(storage=storage, sampler=no_prior(search_space=SPACE))
        lost = study.ask(dict(SPACE.distributions))
        # Only trials that `Study.optimize` runs have heartbeats; the sampler leaves this mark in them.
        storage.set_trial_system_attr(lost._trial_id, HEARTBEAT_KEY, True)
        monkeypatch.setattr(storage, "_get_stale_trial_ids", lambda _: [lost._trial_id])
        optuna.storages.fail_stale_trials(study)
        assert study.trials[0].state == TrialState.FAIL
        data = training_data_of(study, SPACE, failed_as_pending=False)
        assert data.failed is not None
        assert len(data.failed) == 0
        assert len(data.pending) == 1
        assert len(study.trials) == 1 + retry

    def test_a_trial_of_another_sampler_that_was_tried_again(self) -> None:
        study = optuna.create_study()
        params, distributions = {"x": 0.5, "y": 0.5}, dict(SPACE.distributions)
        study.add_trial(failed_trial(params, distributions))
        study.add_trial(failed_trial({**params, "x": 0.25}, distributions))
        study.add_trial(failed_trial(params, distributions, system_attrs={"failed_trial": 0, "retry_history": [0]}))
        failed = training_data_of(study, SPACE).failed
        assert failed is not None
        assert failed.tolist() == [[0.25, 0.5], [0.5, 0.5]]  # not the first, whose worker died


def failed_trial(params: dict[str, Any], distributions: dict[str, BaseDistribution], **options: Any) -> FrozenTrial:
    return create_trial(params=params, distributions=distributions, state=TrialState.FAIL, **options)
