"""What all tests share: one torch thread, reproducible examples, no network.

The socket is closed by the options in `pyproject.toml`, but for this machine itself.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Iterator
from pathlib import Path

# Read when the libraries are imported, so before them. Subprocesses of the tests inherit both.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # LiteLLM downloads a price table when it is imported

import hypothesis
import pytest
import torch
from botorch.acquisition.multi_objective import logei
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

import llm_prior_bo
from tests.elicitation.fake_server import FakeServer, serving

# Two threads are slower than one as soon as anything else runs on the machine.
torch.set_num_threads(1)

# BoTorch compiles a faster kernel for hypervolume functions on first use: half a minute, and a warning where there is
# no compiler. Its Python path computes the same.
logei._load_attempted = True

hypothesis.settings.register_profile("deterministic", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("deterministic")

Open = Callable[[], BaseStorage]


def pytest_report_header() -> str:
    """Which package is tested, and what with."""
    names = ("botorch", "gpytorch", "litellm", "numpy", "optuna", "pydantic", "scipy", "torch")
    versions = (f"{name} {importlib.metadata.version(name)}" for name in names)
    return f"llm_prior_bo: {Path(llm_prior_bo.__file__).parent}, with {', '.join(versions)}"


@pytest.fixture(params=["memory", "sqlite", "journal"])
def open_storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens one storage again and again, as several workers would."""
    memory = InMemoryStorage()
    opened: list[RDBStorage] = []

    def open_one() -> BaseStorage:
        if request.param == "journal":
            return JournalStorage(JournalFileBackend(str(tmp_path / "study.log")))
        if request.param == "memory":
            return memory
        opened.append(RDBStorage(f"sqlite:///{tmp_path}/study.db"))
        return opened[-1]

    yield open_one
    for storage in opened:
        storage.engine.dispose()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A model on this machine, which answers as a test tells it."""
    with serving() as fake:
        yield fake
