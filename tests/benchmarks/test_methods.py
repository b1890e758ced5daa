from __future__ import annotations

import optuna
import pytest
import torch
from optuna.samplers import RandomSampler

from benchmarks.harness.methods import METHODS, PRIOR_FREE, get_method
from benchmarks.harness.priors import make_prior
from benchmarks.harness.problems import get_problem
from benchmarks.harness.study import run_study
from llm_prior_bo import LLMPriorSampler
from llm_prior_bo.compare.runner import Task
from llm_prior_bo.decay import loss_bound
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.study.diagnostics import study_statistics


@pytest.mark.parametrize("name", METHODS)
def test_every_method_makes_its_sampler(name: str) -> None:
    problem = get_problem("mixed")
    sampler = get_method(name)(make_prior("weak", problem, 0), problem.distributions, 0, 50)
    assert isinstance(sampler, RandomSampler if name == "random" else LLMPriorSampler)


@pytest.mark.parametrize(
    ("name", "exponent"),
    [("pibo-10", 10.0 / 5), ("pibo-N/10", 0.6 / 5)],
)
def test_published_exponents_at_the_sixth_trial(name: str, exponent: float) -> None:
    trials = run_study(Task("branin", "weak", name, 0, 6))["trials"]
    assert [trial["phase"] for trial in trials] == ["startup"] * 5 + ["model"]
    assert trials[5]["exponent"] == pytest.approx(exponent)


@pytest.mark.parametrize("name", METHODS)
def test_only_the_prior_free_ignore_the_prior(name: str) -> None:
    n_trials = 11 if name == "dynabo" else 2  # whose prior arrives after 10
    values = [run_study(Task("branin", kind, name, 0, n_trials))["values"] for kind in ("strong", "off-centre")]
    assert (values[0] == values[1]) == (name in PRIOR_FREE)


class TestDynabo:
    def test_starts_without_the_prior_which_then_fades_from_its_arrival(self) -> None:
        without = run_study(Task("branin", "uniform", "no-prior", 0, 13))
        result = run_study(Task("branin", "strong", "dynabo", 0, 13))
        assert [trial["phase"] for trial in result["trials"]] == ["startup"] * 10 + ["model"] * 3
        assert result["values"][:10] == without["values"][:10]
        assert [trial["exponent"] for trial in result["trials"][10:]] == pytest.approx([10.0, 10.0 / 4, 10.0 / 9])
        assert [trial["details"]["trust"] for trial in result["trials"][10:]] == [1.0] * 3

    @pytest.mark.parametrize("kind", ["off-centre", "uniform"])
    def test_is_the_method_without_a_prior_if_that_is_dropped_or_uniform(self, kind: str) -> None:
        without = run_study(Task("branin", "uniform", "no-prior", 0, 13))
        result = run_study(Task("branin", kind, "dynabo", 0, 13))
        assert result["values"] == without["values"]
        assert result["trials"][12]["details"].get("trust") == (None if kind == "uniform" else 0.0)
        assert result["trials"][12]["loss_bound"] == 1.0

    def test_acquisition_is_weighted_by_the_injected_prior(self) -> None:
        problem = get_problem("branin")
        prior = make_prior("strong", problem, 0)
        study = optuna.create_study(sampler=get_method("dynabo")(prior, problem.distributions, 0, 50))
        for _ in range(11):
            trial = study.ask(dict(problem.distributions))
            study.tell(trial, problem.evaluate(trial.params))
        said = study_statistics(study).suggestions[10]
        x = torch.as_tensor(problem.space.encode([trial.params]))[0]
        assert said.log_prior == pytest.approx(float(prior.log_prob(x)))
        # At exponent 10, nothing that the acquisition function says of Branin outweighs a density this narrow.
        assert float((x - prior.mode()).abs().max()) < 0.01
        assert said.loss_bound == pytest.approx(loss_bound(10.0, prior))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"Expected one of the methods \['no-prior', .*got 'pibo'"):
        get_method("pibo")
