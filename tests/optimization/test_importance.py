"""What a later question is told: importance, the optimum, how regions fared."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from torch import Tensor

from llm_prior_bo import Elicitation, EvidenceTrust, PriorAnswer, SearchSpace, UniformPrior, build_prior
from llm_prior_bo.elicitation.prompt.insights import NumericQuantiles
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.surrogate import Surrogate, fit_surrogate
from llm_prior_bo.optimization.elicited_priors import ElicitedPrior, weigh_elicited_priors
from llm_prior_bo.optimization.importance import parameter_importance, study_insights

SPACE = SearchSpace(
    {
        "lr": FloatDistribution(1e-4, 1.0, log=True),
        "layers": IntDistribution(1, 9),
        "idle": FloatDistribution(-5.0, 5.0),
        "kind": CategoricalDistribution(["a", None, True]),
    }
)


def fitted(function: Callable[[Tensor], Tensor], n: int = 40) -> Surrogate:
    X = UniformPrior(SPACE).stratified_sample(n, generator=torch.Generator().manual_seed(1))
    none = torch.empty(n, 0, dtype=torch.float64)
    return fit_surrogate(TrainingData(X=X, Y=function(X), constraints=none, pending=X[:0]), SPACE)


def bowl(X: Tensor) -> Tensor:
    return -(X[:, :1] - 0.25).square() - 0.5 * (X[:, 3:] != 1.0)


def test_importance_is_that_of_a_known_function() -> None:
    # Total indices: variances of a linear term and of a two-valued one, as nothing interacts.
    surrogate = fitted(lambda X: X[:, :1] + 0.5 * (X[:, 3:] == 1.0))
    found = parameter_importance(surrogate)
    numeric, categorical = 1.0 / 12.0, 0.25 * (1.0 / 3.0) * (2.0 / 3.0)
    assert sum(found.values()) == pytest.approx(1.0)
    assert found["lr"] == pytest.approx(numeric / (numeric + categorical), abs=0.08)
    assert found["kind"] == pytest.approx(categorical / (numeric + categorical), abs=0.08)
    assert found["idle"] < 0.03


def test_no_parameter_matters_where_nothing_changes() -> None:
    assert set(parameter_importance(fitted(lambda X: 0.0 * X[:, :1])).values()) == {0.0}


def test_insights() -> None:
    surrogate = fitted(bowl)
    answers = [
        Elicitation(
            PriorAnswer.by_hand(numeric={"lr": (1e-3, 3e-4, 3e-3)}, categorical={"kind": {"None": 0.8}}), trial_number=0
        ),
        Elicitation(PriorAnswer.by_hand(numeric={"lr": (0.5, 0.2, 1.0)}), trial_number=20, reason="every"),
    ]
    beliefs = [ElicitedPrior(build_prior(answer.answer, SPACE)) for answer in answers]
    evidence = weigh_elicited_priors(beliefs, surrogate, range(40), gate=EvidenceTrust(), seed=0)
    insights = study_insights(
        surrogate, evidence, [[answer] for answer in answers], trials=tuple(range(40)), reason="every"
    )
    rate, kind = insights.optimum["lr"], insights.optimum["kind"]
    assert isinstance(rate, NumericQuantiles)
    assert 1e-4 <= rate.low <= rate.median <= rate.high <= 1.0
    assert rate.median == pytest.approx(1e-3, rel=0.5)  # natural units: a quarter of the way on the log scale
    assert not isinstance(kind, NumericQuantiles)
    assert kind["None"] > 0.95
    assert sum(kind.values()) == pytest.approx(1.0)
    right, wrong = insights.regions
    assert (right.asked_at_trial, wrong.asked_at_trial) == (0, 20)
    assert right.verdict == "kept"
    assert wrong.verdict == "dropped"
    assert wrong.bayes_factor is not None
    assert wrong.bayes_factor < 0.1
    assert insights.trials == tuple(range(40))
    assert insights.n_trials == 40


def test_without_a_gate_no_region_has_fared_in_any_way() -> None:
    surrogate = fitted(bowl)
    answer = Elicitation(PriorAnswer.by_hand(numeric={"lr": (1e-3, 3e-4, 3e-3)}))
    evidence = weigh_elicited_priors(
        [ElicitedPrior(build_prior(answer.answer, SPACE))], surrogate, range(40), gate=None, seed=0
    )
    assert study_insights(surrogate, evidence, [[answer]], trials=(), reason="stagnation").regions == ()
