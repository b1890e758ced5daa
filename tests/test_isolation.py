"""Model code runs with settings of its own, and nothing that another thread could see is changed."""

from __future__ import annotations

import os
import random
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from linear_operator.utils.warnings import NumericalWarning
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from threadpoolctl import ThreadpoolController

from llm_prior_bo import LLMPriorSampler, PriorAnswer, SearchSpace, build_prior
from llm_prior_bo._isolation import _mkl_function, isolated_torch

SPACE: dict[str, BaseDistribution] = {
    "lr": FloatDistribution(1e-4, 1.0, log=True),
    "n": IntDistribution(1, 16),
    "kind": CategoricalDistribution(["relu", "tanh"]),
}
ANSWER = PriorAnswer.by_hand(numeric={"lr": (1e-2, 1e-3, 1e-1), "n": (8, 4, 12)}, categorical={"kind": {"relu": 0.7}})


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    n_threads, dtype, device = torch.get_num_threads(), torch.get_default_dtype(), torch.get_default_device()
    yield
    torch.set_num_threads(n_threads)
    torch.set_default_dtype(dtype)
    torch.set_default_device(device)


POOLS = ThreadpoolController()
MKL_THREADS = "MKL_Get_Max_Threads"


def n_threads_of(api: str) -> list[int]:
    """How many threads libraries of a kind have, "blas" or "openmp"; of OpenMP, in the calling thread."""
    return [pool["num_threads"] for pool in POOLS.select(user_api=api).info()]


def process_state() -> dict[str, Any]:
    """What the whole process shares."""
    return {
        "default dtype": torch.get_default_dtype(),
        "generator": torch.get_rng_state().tolist(),
        "numpy": repr(np.random.get_state()),  # noqa: NPY002 - the very state that must not move
        "random": random.getstate(),
        # Optuna itself leaves out its own remarks while a trial starts.
        "filters": [entry for entry in warnings.filters if entry[2] is not ExperimentalWarning],
        "BLAS": n_threads_of("blas"),
        "environment": dict(os.environ),
    }


class Watch:
    """Looks at the process from another thread, all the time; at all of it but what `without` names."""

    def __init__(self, *, without: str = "") -> None:
        self._without = without

    def __enter__(self) -> Watch:
        self.before = process_state()
        self.n_threads = torch.get_num_threads()
        self.seen: list[dict[str, Any]] = []
        self.threads_seen: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for state in [*self.seen, process_state()]:
            changed = {name: state[name] for name in state if state[name] != self.before[name]}
            assert changed.keys() <= {self._without}, changed
        assert self.threads_seen == {self.n_threads}
        assert torch.get_num_threads() == self.n_threads

    def _look(self) -> None:
        while not self._stop.is_set() or len(self.seen) < 3:
            self.seen.append(process_state())
            self.threads_seen.add(torch.get_num_threads())
            time.sleep(0.001)


class TestSettings:
    def test_inside_and_after(self) -> None:
        torch.set_num_threads(2)
        torch.set_default_device("meta")
        with np.errstate(all="raise"), torch.inference_mode(), torch.autocast("cpu", enabled=True), isolated_torch():
            assert torch.get_num_threads() == 1
            assert torch.zeros(1).device.type == "cpu"
            assert torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()
            assert not torch.is_autocast_enabled("cpu")
            assert np.exp(np.array([-1e6])) == 0.0
        assert torch.get_num_threads() == 2
        assert torch.zeros(1).device.type == "meta"

    def test_an_exception_restores_as_well(self) -> None:
        torch.set_num_threads(2)
        before = process_state()
        with pytest.raises(RuntimeError, match="tensor size"), isolated_torch():
            torch.ones(3) @ torch.ones(4)
        assert torch.get_num_threads() == 2
        assert process_state() == before

    def test_it_may_be_nested(self) -> None:
        torch.set_num_threads(2)
        with isolated_torch():
            with isolated_torch():
                assert torch.get_num_threads() == 1
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2

    @pytest.mark.skipif(_mkl_function(MKL_THREADS) is None, reason="PyTorch comes without MKL")
    def test_one_thread_of_mkl_whatever_the_user_has_set(self) -> None:
        n_threads = _mkl_function(MKL_THREADS)
        assert n_threads is not None
        torch.set_num_threads(2)
        assert n_threads() == 2
        with isolated_torch():
            assert n_threads() == 1
            with isolated_torch():
                assert n_threads() == 1
            assert n_threads() == 1
        assert n_threads() == 2

    def test_in_a_thread_that_has_not_computed_yet(self) -> None:
        torch.set_num_threads(2)
        seen = []

        def work() -> None:
            with isolated_torch():
                torch.ones(8).sum()
                seen.append(n_threads_of("openmp"))
            seen.append([torch.get_num_threads()])

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        inside, after = seen
        assert set(inside) == {1}
        assert after == [2]

    def test_without_mkl(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("llm_prior_bo._isolation._mkl_function", lambda _: None)
        with isolated_torch():
            assert torch.get_num_threads() == 1

    def test_numerical_remarks_stay_inside_and_other_warnings_do_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(threading, "active_count", lambda: 1)  # other tests may have left threads behind
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with isolated_torch():
                warnings.warn("A not p.d., added jitter", NumericalWarning, stacklevel=1)
            with pytest.raises(UserWarning, match="ours"), isolated_torch():
                warnings.warn("ours", UserWarning, stacklevel=1)

    def test_threads_do_not_wait_for_each_other(self) -> None:
        both = threading.Barrier(2, timeout=60.0)  # passed only if both are inside at once

        def work() -> None:
            with isolated_torch():
                both.wait()

        thread = threading.Thread(target=work)
        thread.start()
        work()
        thread.join()
        assert not both.broken


def objective(trial: optuna.Trial) -> float:
    lr, n = trial.suggest_float("lr", 1e-4, 1.0, log=True), trial.suggest_int("n", 1, 16)
    kind = trial.suggest_categorical("kind", ["relu", "tanh"])
    return float((np.log10(lr) + 2.0) ** 2 + 0.02 * (n - 8) ** 2 + (kind == "tanh"))


def constrained(trial: optuna.Trial) -> float:
    value = objective(trial)
    trial.set_constraint("n", trial.params["n"] - 12.0)
    return value


def two(trial: optuna.Trial) -> tuple[float, float]:
    value = objective(trial)
    return value, float(trial.params["n"])


def failing(trial: optuna.Trial) -> float:
    value = objective(trial)
    if trial.params["n"] > 12:
        raise ValueError("too large")
    return value


def study_of(seed: int = 0, *, n_objectives: int = 1) -> optuna.Study:
    prior = build_prior(ANSWER, SearchSpace(SPACE))
    return optuna.create_study(
        directions=["minimize"] * n_objectives, sampler=LLMPriorSampler(prior=prior, seed=seed, n_startup_trials=4)
    )


Train = Callable[[dict[str, Any]], float]


def with_torch(params: dict[str, Any]) -> float:
    """In single precision, from the global dtype, as training code does; large enough for several threads."""
    generator = torch.Generator().manual_seed(params["n"])
    weights = torch.randn(512, 16 * params["n"], generator=generator)  # in the default dtype
    assert weights.dtype == torch.float32
    return float((torch.tanh(weights.T @ weights) * params["lr"]).square().mean())


def with_numpy(params: dict[str, Any]) -> float:
    X = np.random.default_rng(params["n"]).normal(size=(256, 8 * params["n"]))
    return float(np.linalg.svd(X.T @ X + params["lr"] * np.eye(X.shape[1]), compute_uv=False).sum())


def _data() -> tuple[Any, Any]:
    X = np.random.default_rng(0).normal(size=(200, 4))
    return X, X[:, 0] + np.sin(X[:, 1])


def with_scikit_learn(params: dict[str, Any]) -> float:
    ensemble = pytest.importorskip("sklearn.ensemble")
    X, y = _data()
    model = ensemble.HistGradientBoostingRegressor(learning_rate=params["lr"], max_iter=params["n"], random_state=0)
    return float(model.fit(X, y).score(X, y))


def with_xgboost(params: dict[str, Any]) -> float:
    xgboost = pytest.importorskip("xgboost")
    X, y = _data()
    model = xgboost.XGBRegressor(learning_rate=params["lr"], n_estimators=params["n"], n_jobs=2)
    return float(model.fit(X, y).score(X, y))


TRAIN = [with_torch, with_numpy, with_scikit_learn, with_xgboost]


def thread_state() -> dict[str, Any]:
    """What belongs to the thread that asks."""
    return {
        "NumPy's errors": np.geterr(),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")),
        "threads": torch.get_num_threads(),
        "MKL": (_mkl_function(MKL_THREADS) or int)(),
        "OpenMP": n_threads_of("openmp"),
        "device": str(torch.get_default_device()),
    }


class TestStudies:
    @pytest.mark.parametrize("run", [objective, constrained, two, failing], ids=lambda run: run.__name__)
    def test_the_process_stays_as_it_was(self, run: Callable[[optuna.Trial], Any]) -> None:
        study = study_of(n_objectives=2 if run is two else 1)
        torch.set_num_threads(2)
        warnings.simplefilter("default")  # as in a process whose warnings are no errors
        warnings.filterwarnings("ignore", category=NumericalWarning)
        with Watch():
            for _ in range(9):  # not `optimize`, in which Optuna changes the filters itself
                trial = study.ask()
                try:
                    study.tell(trial, run(trial))
                except ValueError:
                    study.tell(trial, state=optuna.trial.TrialState.FAIL)

    @pytest.mark.parametrize("run", [constrained, two], ids=lambda run: run.__name__)
    def test_remarks_end_no_study_whose_warnings_are_errors(self, run: Callable[[optuna.Trial], Any]) -> None:
        stop = threading.Event()
        other = threading.Thread(target=stop.wait)
        other.start()
        try:
            study = study_of(n_objectives=2 if run is two else 1)
            study.optimize(run, n_trials=12)
        finally:
            stop.set()
            other.join()
        assert len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE])) == 12

    @pytest.mark.parametrize("run", [objective, constrained, two, failing], ids=lambda run: run.__name__)
    def test_the_users_settings_change_no_suggestion(self, run: Callable[[optuna.Trial], Any]) -> None:
        params: list[list[dict[str, Any]]] = []
        for dtype in (torch.float64, torch.float32):
            study = study_of(n_objectives=2 if run is two else 1)
            torch.manual_seed(len(params))
            torch.set_default_dtype(dtype)
            torch.set_default_device("cpu" if dtype == torch.float64 else "meta")
            with np.errstate(all="raise" if dtype == torch.float32 else "warn"):
                study.optimize(run, n_trials=9, catch=ValueError)
            params.append([trial.params for trial in study.trials])
        space = SearchSpace(SPACE)
        first, second = (space.encode(rows) for rows in params)
        # BoTorch rounds the first of its base samples to the default dtype; nothing else may differ at all.
        assert float(np.abs(first - second).max()) <= (1e-5 if run in (constrained, two) else 0.0)

    @pytest.mark.parametrize("n_jobs", [1, 2, 8])
    @pytest.mark.parametrize(
        "train", [with_torch, with_numpy, with_scikit_learn, with_xgboost], ids=lambda f: f.__name__
    )
    def test_objectives_compute_what_they_compute_with_any_sampler(self, train: Train, n_jobs: int) -> None:
        """With the settings that they had, of the process and of the thread that they run in."""
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(2)
        train({"lr": 0.1, "n": 4, "kind": "relu"})  # whatever a library sets when it is first used
        warnings.simplefilter("default")  # as in a process whose warnings are no errors
        seen: dict[str, set[str]] = {"ours": set(), "random": set()}

        def run(study: optuna.Study, whose: str) -> list[float]:
            def with_sampler(trial: optuna.Trial) -> float:
                objective(trial)
                seen[whose].add(repr(thread_state()))
                return train(trial.params)

            study.optimize(with_sampler, n_trials=12, n_jobs=n_jobs)
            assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 12
            return [trial.value for trial in study.trials if trial.value is not None]

        study = study_of()
        # Objectives of scikit-learn themselves change the filters while they compute.
        with Watch(without="filters" if train is with_scikit_learn else ""):
            values = run(study, "ours")
        replayed = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        for trial in study.trials:
            replayed.enqueue_trial(trial.params)
        run(replayed, "random")
        by_params = {repr(trial.params): trial.value for trial in replayed.trials}
        assert values == [by_params[repr(trial.params)] for trial in study.trials]
        assert values == [train(trial.params) for trial in study.trials]
        assert seen["ours"] == seen["random"]
