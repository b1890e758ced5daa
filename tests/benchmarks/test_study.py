from __future__ import annotations

import json

import numpy as np
import optuna
import pytest

from benchmarks.harness.problems import get_problem
from benchmarks.harness.study import make_tasks, run_study, run_trials
from llm_prior_bo.compare.runner import Task
from llm_prior_bo.errors import ConfigurationError

WHAT_IS_TOLD = {"phase", "exponent", "log_acquisition", "log_prior", "loss_bound", "details"}


class TestTasks:
    def test_are_all_combinations(self) -> None:
        tasks = make_tasks(["branin", "mixed"], ["weak", "strong"], ["evidence", "dynabo"], range(3), n_trials=4)
        assert len(tasks) == len(set(tasks)) == 24
        assert tasks[:2] == [Task("branin", "weak", "evidence", 0, 4), Task("branin", "weak", "dynabo", 0, 4)]

    def test_methods_without_a_prior_run_once_for_all(self) -> None:
        tasks = make_tasks(["branin"], ["weak", "strong"], ["no-prior", "evidence"], [0], n_trials=4)
        assert [(task.prior, task.method) for task in tasks] == [
            ("uniform", "no-prior"),
            ("weak", "evidence"),
            ("strong", "evidence"),
        ]


class TestStudy:
    def test_of_a_sampler_that_says_nothing(self) -> None:
        result = run_study(Task("branin", "uniform", "random", 3, 5))
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
        problem = get_problem("branin")
        trials = run_trials(problem, optuna.samplers.RandomSampler(seed=3), n_trials=5).trials
        for _ in range(5):
            trial = study.ask(dict(problem.distributions))
            study.tell(trial, problem.evaluate(trial.params))
        assert result["values"] == [trial.value for trial in study.trials] == [trial.value for trial in trials]
        assert [trial.params for trial in trials] == [trial.params for trial in study.trials]
        assert result["regret"] == (np.minimum.accumulate(result["values"]) - problem.optimal_value).tolist()
        assert result["trials"] == [None] * 5
        assert result["seconds"] > 0.0

    def test_of_a_sampler_with_a_prior(self) -> None:
        task = Task("mixed", "strong", "pibo-10", 0, 7)
        result = run_study(task)
        assert [trial["phase"] for trial in result["trials"]] == ["startup"] * 5 + ["model"] * 2
        assert result["trials"][0]["exponent"] is None
        assert [trial["exponent"] for trial in result["trials"][5:]] == pytest.approx([10.0 / 5, 10.0 / 6])
        assert set(result["trials"][6]) == WHAT_IS_TOLD
        assert result["trials"][0]["loss_bound"] is None
        assert 1.0 < result["trials"][6]["loss_bound"] < result["trials"][5]["loss_bound"]
        assert result["regret"] == sorted(result["regret"], reverse=True)
        assert json.loads(json.dumps(result)) == result
        assert run_study(task)["values"] == result["values"]

    def test_begins_at_the_priors_mode(self) -> None:
        problem = get_problem("branin")
        values = run_study(Task("branin", "wrong-narrow", "evidence", 0, 1))["values"]
        assert values == pytest.approx([problem.evaluate(problem.worst)], rel=1e-6)

    def test_leaves_optunas_messages_as_they_were(self) -> None:
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.DEBUG)
        try:
            run_study(Task("branin", "uniform", "random", 0, 1))
            assert optuna.logging.get_verbosity() == optuna.logging.DEBUG
        finally:
            optuna.logging.set_verbosity(before)

    @pytest.mark.parametrize("task", [Task("x", "weak", "random", 0, 1), Task("branin", "x", "random", 0, 1)])
    def test_refuses_unknown_names(self, task: Task) -> None:
        with pytest.raises(ConfigurationError, match="got 'x'"):
            run_study(task)
