"""Whatever goes wrong on the model's side, the study finishes, says so at most once, and loses nothing."""

from __future__ import annotations

import pytest

from tests.elicitation.fake_server import FakeServer
from tests.faults import FAULTS, N_TRIALS, PLANTED, Fault, run

MAX_WARNING_CHARACTERS = 3_200
"""What quotes others in a warning is cut at 3 000; the rest is ours."""


def _cases() -> list[object]:
    return [pytest.param(fault, id=fault.name, marks=[pytest.mark.slow] if fault.slow else []) for fault in FAULTS]


@pytest.mark.parametrize("fault", _cases())
def test_fault(server: FakeServer, fault: Fault) -> None:
    outcome = run(fault, server)
    assert outcome.n_finished == N_TRIALS
    expected = [] if fault.warning is None else [fault.warning]
    assert [type(warning) for warning in outcome.warnings] == expected, outcome.warnings
    assert fault.told in " ".join(map(str, outcome.warnings))
    assert outcome.n_requests == fault.n_requests
    assert outcome.has_prior == fault.has_prior
    # An answer that was paid for is kept, and so is the reason why there is none.
    assert (outcome.n_answers, outcome.n_failures) == ((1, 0) if fault.has_prior else (0, 1))
    said = [str(warning) for warning in outcome.warnings]
    assert all(len(text) <= MAX_WARNING_CHARACTERS for text in said)
    assert PLANTED not in outcome.kept + "".join(said)


def test_names_are_unique_and_there_are_enough() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names) >= 35
