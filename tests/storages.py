"""The kinds of storage that Optuna tests with, for tests that name none of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from unittest.mock import patch

import optuna
import pytest
from optuna.storages import BaseStorage, get_storage
from optuna.testing.storages import STORAGE_MODES, StorageSupplier

MARKS = {
    "journal_redis": [pytest.mark.skipif(find_spec("lupa") is None, reason="fakeredis needs it to run scripts")],
    "grpc_rdb": [pytest.mark.slow],
    "grpc_journal_file": [pytest.mark.slow],
}
IN_MEMORY = "inmemory"
MODES = [pytest.param(mode, marks=MARKS.get(mode, [])) for mode in STORAGE_MODES]
"""All of them, in memory too."""
OTHER_MODES = [
    pytest.param(mode, marks=[*MARKS.get(mode, []), pytest.mark.slow]) for mode in STORAGE_MODES if mode != IN_MEMORY
]

quiet_supplier = pytest.mark.filterwarnings(
    "ignore::optuna.exceptions.ExperimentalWarning",
    # The supplier looks for a free port and leaves the socket open.
    "ignore:unclosed <socket:ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)


@contextmanager
def studies_without_a_storage_in(mode: str) -> Iterator[None]:
    """Give every study that names no storage a new one of a kind."""
    with ExitStack() as stack:

        def get(storage: str | BaseStorage | None) -> BaseStorage:
            return get_storage(storage) if storage else stack.enter_context(StorageSupplier(mode))

        stack.enter_context(patch.object(optuna.storages, "get_storage", get))
        yield
