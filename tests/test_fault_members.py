"""Members of the kinds of faults in docs/how_to/failures.md: what a process, a space or a server can be like."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import gzip
import math
import socket
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from llm_prior_bo import FixedElicitor, LLMElicitor, LLMPriorSampler, PriorAnswer, StudyContext
from llm_prior_bo.elicitation import UnansweredError
from llm_prior_bo.elicitation.llm.spending import SpendingError, SpendingLimit
from llm_prior_bo.errors import IndependentSamplingWarning
from tests.elicitation.fake_server import FakeServer, Reply, completion

ANSWER = PriorAnswer.by_hand(numeric={"x": (0.3, 0.2, 0.4)})


def run(
    objective: Callable[[optuna.Trial], float], n_trials: int = 5, *, study: optuna.Study | None = None, **options: Any
) -> optuna.Study:
    """A study in which the model suggests from the third trial on."""
    study = study or optuna.create_study()
    study.sampler = LLMPriorSampler(elicitor=FixedElicitor(ANSWER), seed=0, n_startup_trials=2, **options)
    study.optimize(objective, n_trials)
    return study


def n_modelled(study: optuna.Study) -> int:
    assert isinstance(study.sampler, LLMPriorSampler)
    suggestions = study.sampler.get_statistics(study).suggestions.values()
    return sum(suggestion.phase == "model" for suggestion in suggestions)


def bowl(trial: optuna.Trial) -> float:
    return (trial.suggest_float("x", 0, 1) - 0.3) ** 2


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


@dataclass
class Layer:
    """Equal by value, so it has no hash."""

    n: int


class TestChoices:
    """A choice that a trial is given is one of those that it asked for, of their very types."""

    @pytest.mark.parametrize(
        "choices",
        [
            [decimal.Decimal("0.1"), decimal.Decimal("0.2")],
            [Colour.RED, Colour.BLUE],
            [Size.SMALL, Size.LARGE],
            [None, math.nan],
            [math.nan, 1.0],
            [np.float32(0.1), np.int64(3)],
            [np.str_("a"), np.str_("b")],
            [np.bool_(True), np.bool_(False)],
            [{1}, {2}],
            [Layer(1), Layer(2)],
            [len, sum],
            [b"a", b"b"],
            [1, True, "1"],
            ["", "a\nb"],
            [fractions.Fraction(1, 2), fractions.Fraction(1, 3)],
            [math.inf, -math.inf],
        ],
        ids=str,
    )
    @pytest.mark.filterwarnings("ignore:Choices for a categorical distribution")
    def test_of_any_type(self, choices: list[Any]) -> None:
        def objective(trial: optuna.Trial) -> float:
            choice = trial.suggest_categorical("c", choices)
            assert any(choice is one for one in choices)
            return bowl(trial)

        assert n_modelled(run(objective)) >= 2


class TestIntegers:
    @pytest.mark.parametrize(
        "distribution",
        [
            IntDistribution(0, 2**70, step=2**60),
            IntDistribution(1, 2**66, log=True),
            IntDistribution(-(2**70), -(2**69)),
            IntDistribution(2**64, 2**64 + 5),
            IntDistribution(0, 2**64 + 2, step=3),
        ],
        ids=str,
    )
    def test_beyond_64_bits(self, distribution: IntDistribution) -> None:
        d = distribution

        def objective(trial: optuna.Trial) -> float:
            n = trial.suggest_int("n", d.low, d.high, step=d.step, log=d.log)
            assert type(n) is int
            assert d.low <= n <= d.high
            assert (n - d.low) % d.step == 0
            return bowl(trial) + (n - d.low) / (d.high - d.low)

        assert n_modelled(run(objective)) == 3


@contextmanager
def switched(switch: Callable[[Any], object], there: Any, back: Any) -> Iterator[None]:
    switch(there)
    try:
        yield
    finally:
        switch(back)


PROCESS_STATES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "default dtype bfloat16": lambda: switched(torch.set_default_dtype, torch.bfloat16, torch.float32),
    "default device meta": lambda: torch.device("meta"),
    "gradients off": torch.no_grad,
    "inference mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "saved tensors on the CPU": torch.autograd.graph.save_on_cpu,
    "deterministic algorithms": lambda: switched(torch.use_deterministic_algorithms, True, False),
    "decimal traps": lambda: decimal.localcontext(decimal.Context(prec=2, traps=[decimal.Inexact])),
    "NumPy raises": lambda: np.errstate(all="raise"),
}


@pytest.mark.parametrize("state", PROCESS_STATES)
def test_what_a_process_has_set_changes_no_suggestion(state: str) -> None:
    expected = [trial.params for trial in run(bowl, 4).trials]
    with PROCESS_STATES[state]():
        assert [trial.params for trial in run(bowl, 4).trials] == expected


class TestTrials:
    """Trials from elsewhere, and values at the end of what a float holds."""

    @staticmethod
    def imported(**changes: Any) -> optuna.trial.FrozenTrial:
        known: dict[str, Any] = {"params": {"x": 0.5}, "distributions": {"x": FloatDistribution(0, 1)}, "value": 1.0}
        attributes = changes.pop("attributes", {})
        trial = create_trial(**{**known, **changes})
        for name, value in attributes.items():
            setattr(trial, name, value)
        return trial

    @pytest.mark.parametrize(
        "changes",
        [
            {"attributes": {"datetime_start": dt.datetime.now(dt.timezone(dt.timedelta(hours=9)))}},
            {"attributes": {"datetime_start": dt.datetime(2090, 1, 1), "datetime_complete": dt.datetime(1990, 1, 1)}},
            {"attributes": {"datetime_complete": dt.datetime.max.replace(tzinfo=dt.timezone(dt.timedelta(hours=-9)))}},
            {"value": math.inf},
            {"value": -math.inf},
            {"value": 1e308},
            {"state": TrialState.FAIL, "value": None, "params": {}, "distributions": {}},
            {"params": {}, "distributions": {}},
            {"system_attrs": {"llm_prior_bo:started": 3, "llm_prior_bo:choosing": {"a": 1}, "retry_history": "x"}},
            {"system_attrs": {"llm_prior_bo:suggestion": "[]", "llm_prior_bo:asking": "\x00"}},
        ],
        ids=lambda changes: str(changes)[:60],
    )
    def test_from_elsewhere(self, changes: dict[str, Any]) -> None:
        study = optuna.create_study()
        study.add_trials([self.imported(**changes), self.imported()])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IndependentSamplingWarning)  # a trial without parameters says nothing
            run(bowl, 5, study=study)
        assert n_modelled(study) >= 2

    @pytest.mark.parametrize("scale", [1e300, 1e-300, 0.0])
    def test_scales_of_the_objective(self, scale: float) -> None:
        assert n_modelled(run(lambda trial: scale * bowl(trial))) == 3

    @pytest.mark.parametrize("name", ["c", "c{}"])
    def test_constraints_that_some_set(self, name: str) -> None:
        def objective(trial: optuna.Trial) -> float:
            value = bowl(trial)
            if trial.number % 2:
                trial.set_constraint(name.format(trial.number), value - 0.1)
            return value

        assert n_modelled(run(objective)) == 3

    def test_pruned_with_no_number(self) -> None:
        def objective(trial: optuna.Trial) -> float:
            trial.report(math.nan if trial.number % 2 else bowl(trial), 0)
            if trial.number % 3 == 0:
                raise optuna.TrialPruned
            return bowl(trial)

        assert n_modelled(run(objective, 6, pruned="last_value")) >= 3


SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(0, 1),
    "c": CategoricalDistribution(["a", "b"]),
}
ANSWERED = Reply(body=completion(ANSWER.model_dump_json()))
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
ZEROS = b"0" * 20_000_000


def ask(url: str, **options: Any) -> int:
    """Ask; how many requests it took."""
    options = {"timeout": 20.0, "max_retries": 1, **options}
    elicitor = LLMElicitor("openai/any", api_base=url, api_key="key", sleep=lambda _: None, **options)
    return elicitor.elicit(StudyContext(SPACE)).n_attempts


class TestServers:
    """What cannot be read is asked again once, within the time."""

    @pytest.mark.parametrize(
        "reply",
        [
            Reply(body=gzip.compress(gzip.compress(ZEROS)), headers={"content-encoding": "gzip, gzip"}),
            Reply(body=zlib.compress(ZEROS), headers={"content-encoding": "deflate"}),
            Reply(body=ANSWERED.body, headers={"content-encoding": "br"}),
            Reply(body=ANSWERED.body, headers={"content-encoding": "rot13"}),
            Reply(raw=CHUNKED + b"FFFFFFFFFFFFFFFF\r\n{}"),
            Reply(raw=CHUNKED + b"zz\r\n{}\r\n"),
            Reply(raw=CHUNKED + b'5\r\n{"a":\r\n'),
            Reply(raw=b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 1_000_000 + b"\r\n\r\n{}"),
            Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}"),
            Reply(204, b""),
            Reply(body=b"data: " + ANSWERED.body + b"\n\n", headers={"content-type": "text/event-stream"}),
            Reply(body=completion(None, refusal="I cannot help with that.")),
            Reply(body=completion("", finish_reason="content_filter")),
            Reply(body=completion("", reasoning_content="I must refuse.")),
            *(Reply(429, b"{}", {"retry-after": text}) for text in ("-5", "nan", "inf", "soon", "")),
        ],
        ids=range(19),  # a compressed body has the time in it, and processes of one run must agree on the names
    )
    def test_that_send_something_else(self, server: FakeServer, reply: Reply) -> None:
        server.replies = [reply, ANSWERED]
        assert ask(server.url) == 2

    @pytest.mark.parametrize(
        "usage",
        [
            {"prompt_tokens": -5, "completion_tokens": -5, "total_tokens": -10},
            {"prompt_tokens": 10**30, "completion_tokens": 1, "total_tokens": 1},
        ],
    )
    def test_that_count_strangely_lift_no_budget(self, server: FakeServer, usage: dict[str, int]) -> None:
        server.always = Reply(body=completion(ANSWER.model_dump_json(), usage=usage))
        elicitor = LLMElicitor("openai/any", api_base=server.url, api_key="key", timeout=20.0, budget_tokens=100)
        spent = elicitor.elicit(StudyContext(SPACE)).usage
        assert 0 < spent.total_tokens < 1e6
        with pytest.raises(SpendingError, match="spend at most 100 tokens"):
            SpendingLimit(budget_tokens=100).check(spent)

    @pytest.mark.parametrize(("chunk", "pause"), [(b" " * 65536, 0.0), (b" ", 0.2), (b'{"a":1},', 0.001)])
    def test_that_never_stop(self, chunk: bytes, pause: float) -> None:
        with endless(chunk, pause) as url:
            began = time.monotonic()
            with pytest.raises(UnansweredError, match=r"did not answer within|sent more than"):
                ask(url, timeout=1.0, max_retries=0)
            assert time.monotonic() - began < 60.0  # LiteLLM's import is in it


@contextmanager
def endless(chunk: bytes, pause: float) -> Iterator[str]:
    """The address of a server whose answer has no end."""
    stopped = threading.Event()

    def serve() -> None:
        with listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(CHUNKED)
            try:
                while not stopped.wait(pause):
                    connection.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            except OSError:
                pass  # given up

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            stopped.set()
            thread.join(10.0)
