"""Optuna's own tests of a sampler on every kind of storage that Optuna tests with; in memory: `test_optuna_suite`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import optuna
import pytest
from optuna.storages import BaseStorage, get_storage
from optuna.testing.storages import STORAGE_MODES, StorageSupplier

from tests import test_optuna_suite as in_memory
from tests.test_studies import STORAGE_MARKS

MODES = [pytest.param(mode, marks=STORAGE_MARKS.get(mode, [])) for mode in STORAGE_MODES if mode != "inmemory"]


@pytest.fixture(params=MODES)
def storage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A new storage of one kind for every study that names none, as those of the suite do."""
    with ExitStack() as stack:

        def get(storage: str | BaseStorage | None) -> BaseStorage:
            return get_storage(storage) if storage else stack.enter_context(StorageSupplier(request.param))

        monkeypatch.setattr(optuna.storages, "get_storage", get)
        yield


every_storage = [
    pytest.mark.slow,
    pytest.mark.usefixtures("storage"),
    pytest.mark.filterwarnings(
        "ignore::optuna.exceptions.ExperimentalWarning",
        # The supplier looks for a free port and leaves the socket open.
        "ignore:unclosed <socket:ResourceWarning",
        "ignore::pytest.PytestUnraisableExceptionWarning",
    ),
]


class TestPriorByHandOnEveryStorage(in_memory.TestPriorByHand):
    """A density from the first trial on; nothing is asked."""

    pytestmark = every_storage


class TestRecordedAnswerOnEveryStorage(in_memory.TestRecordedAnswer):
    """Asked before the first trial; the answer is kept in the storage."""

    pytestmark = every_storage
