from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from botorch.test_functions.synthetic import Ackley, Branin, Hartmann, Levy, Rosenbrock, SyntheticTestFunction

from benchmarks.harness.problems import PROBLEMS, Problem, get_problem
from llm_prior_bo import UniformPrior
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.priors.uniform import centre

FUNCTIONS: dict[str, SyntheticTestFunction] = {
    "branin": Branin(),
    "hartmann3": Hartmann(3),
    "hartmann6": Hartmann(6),
    "levy4": Levy(4),
    "rosenbrock4": Rosenbrock(4),
    "ackley4": Ackley(4),
}
SIZES = {"branin": 2, "hartmann3": 3, "hartmann6": 6, "levy4": 4, "rosenbrock4": 4, "ackley4": 4, "mixed": 6}


@pytest.fixture(params=list(PROBLEMS))
def problem(request: pytest.FixtureRequest) -> Problem:
    return get_problem(request.param)


def random_regrets(problem: Problem, n: int = 1000) -> list[float]:
    X = UniformPrior(problem.space).sample(n, generator=torch.Generator().manual_seed(1))
    return [problem.regret(problem.space.decode(x)) for x in X]


class TestOptimum:
    def test_is_legal_and_has_no_regret(self, problem: Problem) -> None:
        assert len(problem.space) == SIZES[problem.name]
        problem.space.encode(problem.optima)
        assert [problem.regret(optimum) for optimum in problem.optima] == pytest.approx([0.0] * len(problem.optima))
        assert problem.optimum is problem.optima[0]

    def test_nothing_is_better(self, problem: Problem) -> None:
        assert min(random_regrets(problem)) > 0.0
        assert min(problem.regret(optimum) for optimum in problem.optima) >= 0.0

    @pytest.mark.parametrize("name", sorted(FUNCTIONS))
    def test_is_botorchs(self, name: str) -> None:
        problem, function = get_problem(name), FUNCTIONS[name]
        assert problem.optimal_value == pytest.approx(function.optimal_value, abs=5e-6)
        table = torch.as_tensor(function.optimizers).numpy()
        assert np.array([list(optimum.values()) for optimum in problem.optima]) == pytest.approx(table, abs=2e-3)

    @pytest.mark.parametrize("name", sorted(FUNCTIONS))
    def test_steps_from_it_lead_upwards(self, name: str) -> None:
        problem = get_problem(name)
        steps = 1e-4 * np.random.default_rng(0).standard_normal((200, len(problem.space)))
        around = [
            dict(zip(problem.optimum, np.array([*problem.optimum.values()]) + step, strict=True)) for step in steps
        ]
        assert min(problem.regret(params) for params in around) > 0.0

    @pytest.mark.parametrize("name", ["ackley4", "levy4"])
    def test_is_not_where_samplers_begin(self, name: str) -> None:
        problem = get_problem(name)
        encoded = problem.space.encode([problem.optimum])[0]
        assert np.abs(encoded - 0.5).min() > 0.1
        middle = problem.regret(problem.space.decode(centre(problem.space)))
        assert np.mean(np.array(random_regrets(problem)) < middle) > 0.05


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_values_are_botorchs(name: str) -> None:
    problem, function = get_problem(name), FUNCTIONS[name]
    X = UniformPrior(problem.space).sample(5, generator=torch.Generator().manual_seed(2))
    params = [problem.space.decode(x) for x in X]
    expected = function(torch.tensor([list(p.values()) for p in params], dtype=torch.float64))
    assert [problem.evaluate(p) for p in params] == pytest.approx(expected.tolist())


class TestBadPlaces:
    def test_worst_is_worse_than_random_points(self, problem: Problem) -> None:
        assert np.mean(np.array(random_regrets(problem)) < problem.regret(problem.worst)) > 0.99

    def test_the_other_one_is_bad_and_far_away(self, problem: Problem) -> None:
        assert np.mean(np.array(random_regrets(problem)) < problem.regret(problem.elsewhere)) > 0.7
        places = problem.space.encode([*problem.optima, problem.worst, problem.elsewhere])
        difference = np.minimum(np.abs(places[:-1] - places[-1]), 1.0)
        assert np.linalg.norm(difference, axis=1).min() > 0.8

    def test_worst_is_legal(self, problem: Problem) -> None:
        problem.space.encode([problem.worst, problem.elsewhere])

    def test_no_choice_of_the_worst_is_right(self) -> None:
        mixed = get_problem("mixed")
        assert mixed.worst["optimizer"] != mixed.optimum["optimizer"]
        assert mixed.worst["scaling"] != mixed.optimum["scaling"]

    def test_they_are_the_same_in_every_process(self) -> None:
        fresh = PROBLEMS["mixed"]()
        assert fresh is not get_problem("mixed")
        assert (fresh.worst, fresh.elsewhere) == (get_problem("mixed").worst, get_problem("mixed").elsewhere)


def test_a_problem_is_made_once() -> None:
    assert get_problem("branin") is get_problem("branin")


def test_a_problem_can_be_sent_to_another_process(problem: Problem) -> None:
    copy = pickle.loads(pickle.dumps(problem))
    assert copy.evaluate(copy.optimum) == problem.optimal_value


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"Expected one of the problems \['branin', .*got 'brain'"):
        get_problem("brain")
