"""Model code runs on one thread, in double precision, seeded, and leaves everything as it was."""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from linear_operator.utils.warnings import NumericalWarning

from llm_prior_bo._isolation import isolated_torch


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    n_threads, dtype, device = torch.get_num_threads(), torch.get_default_dtype(), torch.get_default_device()
    yield
    torch.set_num_threads(n_threads)
    torch.set_default_dtype(dtype)
    torch.set_default_device(device)


def test_inside() -> None:
    torch.set_num_threads(2)
    torch.set_default_dtype(torch.float16)
    torch.set_default_device("meta")
    with isolated_torch(0):
        assert torch.get_num_threads() == 1
        assert torch.zeros(1).dtype == torch.float64
        assert torch.zeros(1).device.type == "cpu"
    assert torch.get_num_threads() == 2
    assert torch.get_default_dtype() == torch.float16
    assert torch.zeros(1).device.type == "meta"


def test_the_seed_decides_and_the_global_state_does_not_move() -> None:
    torch.manual_seed(123)
    np.random.seed(123)  # noqa: NPY002 - the very state that must not move
    random.seed(123)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index]  # noqa: NPY002
    draws = []
    for seed in (1, 1, 2):
        with isolated_torch(seed):
            draws.append(torch.rand(3).tolist())
    assert draws[0] == draws[1] != draws[2]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # type: ignore[index]  # noqa: NPY002
    assert random.getstate() == before[2]


def test_an_exception_restores_as_well() -> None:
    torch.set_num_threads(2)
    state, filters = torch.get_rng_state(), list(warnings.filters)
    with pytest.raises(RuntimeError, match="tensor size"), isolated_torch(0):
        torch.rand(3) @ torch.rand(4)
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.get_rng_state(), state)
    assert list(warnings.filters) == filters


def test_numerical_remarks_stay_inside_and_other_warnings_do_not() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with isolated_torch(0):
            warnings.warn("A not p.d., added jitter", NumericalWarning, stacklevel=1)
        with pytest.raises(UserWarning, match="ours"), isolated_torch(0):
            warnings.warn("ours", UserWarning, stacklevel=1)


def test_it_may_be_nested() -> None:
    with isolated_torch(0):
        first = torch.rand(1)
        with isolated_torch(5):
            torch.rand(7)
        second = torch.rand(1)
    with isolated_torch(0):
        assert torch.rand(2).tolist() == [first.item(), second.item()]


def test_threads_take_turns() -> None:
    draws: dict[int, list[float]] = {}

    def work(seed: int) -> None:
        for _ in range(20):
            with isolated_torch(seed):
                values = [torch.rand(1).item() for _ in range(20)]
            assert draws.setdefault(seed, values) == values

    failures: list[threading.ExceptHookArgs] = []
    hook, threading.excepthook = threading.excepthook, failures.append
    try:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        threading.excepthook = hook
    assert failures == []
    assert len(draws) == 4
