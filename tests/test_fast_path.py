"""The fast path against BoTorch, GPyTorch and SciPy as they come: the same scores from the same states."""

from __future__ import annotations

import math
import threading

import numpy as np
import optuna
import pytest
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo import LLMPriorSampler, PriorAnswer, SearchSpace, UniformPrior, build_prior
from llm_prior_bo._fast_path import VARIABLE, fast_path, is_fast
from llm_prior_bo.acquisition.analytic_log_ei import AnalyticLogEI
from llm_prior_bo.acquisition.log_acquisition import log_acquisition
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.feasibility import fit_feasibility
from llm_prior_bo.models.matern import ScaledMatern
from llm_prior_bo.models.surrogate import fit_surrogate

SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(0.0, 1.0),
    "lr": FloatDistribution(1e-4, 1.0, log=True),
    "k": IntDistribution(1, 8),
    "c": CategoricalDistribution(["a", "b", "c"]),
}
ANSWER = PriorAnswer.by_hand(numeric={"x": (0.6, 0.4, 0.8), "lr": (1e-2, 1e-3, 1e-1)}, categorical={"c": {"b": 0.8}})


def loss(params: dict[str, object]) -> float:
    x, lr, k = (float(params[name]) for name in ("x", "lr", "k"))  # type: ignore[arg-type]
    return (
        float((x - 0.5) ** 2)
        + 0.1 * (math.log10(lr) + 2.2) ** 2
        + 0.01 * (k - 5) ** 2
        + (0.2 if params["c"] == "a" else 0.0)
    )


def data_of(n: int, *, n_failed: int = 0, n_pending: int = 0) -> TrainingData:
    space = SearchSpace(SPACE)
    X = UniformPrior(space).stratified_sample(n + n_failed + n_pending, generator=torch.Generator().manual_seed(0))
    Y = torch.tensor([[-loss(space.decode(x))] for x in X[:n]], dtype=torch.float64)
    return TrainingData(X=X[:n], Y=Y, constraints=Y[:, :0], pending=X[n : n + n_pending], failed=X[n + n_pending :])


class TestSwitch:
    def test_on_unless_said_otherwise(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(VARIABLE, raising=False)
        assert is_fast()
        monkeypatch.setenv(VARIABLE, "0")
        assert not is_fast()
        with fast_path(True):
            assert is_fast()
        assert not is_fast()

    def test_other_threads_go_on_as_they_were(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(VARIABLE, raising=False)
        seen = []
        with fast_path(False):
            thread = threading.Thread(target=lambda: seen.append(is_fast()))
            thread.start()
            thread.join()
            assert not is_fast()
        assert seen == [True]


class TestModels:
    def test_hyperparameters_are_as_probable(self) -> None:
        """GPyTorch's fit and ours end at the same posterior density, in whatever coordinates each has searched."""
        data, space = data_of(25), SearchSpace(SPACE)
        fitted = []
        for fast in (True, False):
            with fast_path(fast):
                fitted.append(fit_surrogate(data, space))
        assert type(fitted[0].outputs[0].covar_module) is ScaledMatern
        assert type(fitted[1].outputs[0].covar_module) is not ScaledMatern
        X = UniformPrior(space).sample(200, generator=torch.Generator().manual_seed(1))
        means = [surrogate.model.posterior(X).mean.squeeze(-1) for surrogate in fitted]  # type: ignore[attr-defined]
        assert float((means[0] - means[1]).abs().max()) < 0.1  # in deviations of the outcome

    @pytest.mark.parametrize("n_pending", [0, 3])
    def test_scores_of_one_model(self, n_pending: int) -> None:
        data, space = data_of(25, n_pending=n_pending), SearchSpace(SPACE)
        surrogate = fit_surrogate(data, space)
        X = UniformPrior(space).sample(300, generator=torch.Generator().manual_seed(1)).unsqueeze(1)
        values = []
        for fast in (True, False):
            with fast_path(fast), torch.no_grad():
                acquisition = log_acquisition(surrogate, pending=data.pending, seed=0)
                assert isinstance(acquisition, AnalyticLogEI) == fast
                values.append(acquisition(X).numpy())
        if n_pending == 0:
            np.testing.assert_allclose(values[0], values[1], rtol=1e-5, atol=1e-5)
        else:  # 64 joint outcomes against BoTorch's 128 samples of all baseline points: the same order of the points
            good = values[1] > values[1].max() - 3.0
            assert np.corrcoef(values[0][good], values[1][good])[0, 1] > 0.95

    def test_success_probability(self) -> None:
        data, space = data_of(20, n_failed=8), SearchSpace(SPACE)
        feasibility = fit_feasibility(data, space)
        assert feasibility is not None
        X = UniformPrior(space).sample(100, generator=torch.Generator().manual_seed(1))
        with fast_path(False):
            slow = feasibility.log_prob(X)
        torch.testing.assert_close(feasibility.log_prob(X), slow, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("n_failed", [0, 4])
def test_suggestions_are_worth_the_same(n_failed: int) -> None:
    """From one state, what either path suggests has the same score, to a fraction of a nat."""
    suggestions = []
    for fast in (True, False):
        space = SearchSpace(SPACE)
        sampler = LLMPriorSampler(prior=build_prior(ANSWER, space), seed=1)
        study = optuna.create_study(sampler=sampler)
        X = UniformPrior(space).stratified_sample(16 + n_failed, generator=torch.Generator().manual_seed(0))
        for i, x in enumerate(X):
            params = space.decode(x)
            state = optuna.trial.TrialState.COMPLETE if i < 16 else optuna.trial.TrialState.FAIL
            value = loss(params) if i < 16 else None
            study.add_trial(optuna.create_trial(params=params, distributions=SPACE, value=value, state=state))
        with fast_path(fast):
            trial = study.ask(SPACE)
        record = sampler.get_statistics(study).suggestions[trial.number]
        assert record.phase == "model"
        suggestions.append((trial.params, record))
    first, second = (record for _, record in suggestions)
    parts = ("log_acquisition", "prior_score", "feasibility_score")
    totals = [sum(getattr(record, part) or 0.0 for part in parts) for record in (first, second)]
    # Hyperparameters end within tolerances of each other, so the scores are those of slightly different models.
    assert totals[0] == pytest.approx(totals[1], abs=0.3)
    assert first.trust == pytest.approx(second.trust, abs=0.1)
