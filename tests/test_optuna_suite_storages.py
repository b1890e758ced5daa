"""Optuna's own tests of a sampler on every kind of storage that Optuna tests with; in memory: `test_optuna_suite`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import test_optuna_suite as in_memory
from tests.storages import OTHER_MODES, quiet_supplier, studies_without_a_storage_in


@pytest.fixture(params=OTHER_MODES)
def storage(request: pytest.FixtureRequest) -> Iterator[None]:
    with studies_without_a_storage_in(request.param):
        yield


every_storage = [pytest.mark.slow, pytest.mark.usefixtures("storage"), quiet_supplier]


class TestPriorByHandOnEveryStorage(in_memory.TestPriorByHand):
    """A density from the first trial on; nothing is asked."""

    pytestmark = every_storage


class TestRecordedAnswerOnEveryStorage(in_memory.TestRecordedAnswer):
    """Asked before the first trial; the answer is kept in the storage."""

    pytestmark = every_storage
