from __future__ import annotations

import math
import pickle
from dataclasses import FrozenInstanceError, dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_prior_bo.decay import (
    BoundedLossDecay,
    ConstantDecay,
    DecaySchedule,
    ExponentialDecay,
    LinearDecay,
    PowerDecay,
    bind_decay,
    check_decay,
    exponent_at,
    loss_bound,
)
from llm_prior_bo.errors import ConfigurationError

SCHEDULES: list[DecaySchedule] = [
    PowerDecay(),
    PowerDecay(beta=3.0, power=2.0),
    PowerDecay(beta=10.0, power=1.0, cap=1.0),
    ExponentialDecay(half_life=7.0),
    LinearDecay(horizon=30),
    ConstantDecay(0.5),
    BoundedLossDecay(max_loss=2.0, from_trial=20, log_range=4.6),
]


@dataclass(frozen=True)
class FakePrior:
    log_range: float


@pytest.mark.parametrize(
    ("decay", "expected"),  # the exponents at n = 0, 1, ... 5
    [
        (PowerDecay(10.0), [10, 10, 5, 10 / 3, 2.5, 2]),  # πBO
        (PowerDecay(10.0, power=2.0), [10, 10, 2.5, 10 / 9, 0.625, 0.4]),  # DynaBO
        (PowerDecay(3.0, cap=1.0), [1, 1, 1, 1, 0.75, 0.6]),
        (PowerDecay(3.0, power=0.0), [3, 3, 3, 3, 3, 3]),
        (ExponentialDecay(2.0), [1, math.sqrt(0.5), 0.5, math.sqrt(0.125), 0.25, math.sqrt(0.03125)]),
        (LinearDecay(4), [1, 0.75, 0.5, 0.25, 0, 0]),
        (ConstantDecay(0.3), [0.3] * 6),
        # n_0 · ln c / L = 4 · 1 / 2 = 2
        (BoundedLossDecay(max_loss=math.e, from_trial=4, log_range=2.0), [1, 1, 1, 2 / 3, 0.5, 0.4]),
    ],
)
def test_values_of_the_first_trials(decay: DecaySchedule, expected: list[float]) -> None:
    assert [decay(n) for n in range(6)] == pytest.approx(expected, rel=1e-14)


def test_exponential_decay_is_that_of_priorband() -> None:
    decay = ExponentialDecay(half_life=10.0 * math.log(2.0))
    assert [decay(n) for n in range(50)] == pytest.approx([math.exp(-n / 10.0) for n in range(50)])


@pytest.mark.parametrize("decay", SCHEDULES, ids=repr)
class TestEverySchedule:
    def test_never_rises_and_stays_finite(self, decay: DecaySchedule) -> None:
        exponents = [decay(n) for n in [*range(200), 10**4, 10**9, 10**300]]
        assert all(math.isfinite(exponent) and exponent >= 0.0 for exponent in exponents)
        assert all(later <= earlier for earlier, later in pairwise(exponents))

    def test_returns_a_python_float(self, decay: DecaySchedule) -> None:
        assert all(type(decay(n)) is float for n in (0, 1, 10))

    def test_repr_makes_it_again(self, decay: DecaySchedule) -> None:
        assert eval(repr(decay)) == decay

    def test_survives_pickling(self, decay: DecaySchedule) -> None:
        assert pickle.loads(pickle.dumps(decay)) == decay

    def test_is_accepted_unchanged(self, decay: DecaySchedule) -> None:
        assert check_decay(decay) is decay
        assert bind_decay(decay, FakePrior(3.0)) is decay


def test_repr_shows_the_parameters() -> None:
    assert repr(PowerDecay(beta=5.0)) == "PowerDecay(beta=5.0, power=1.0, cap=None)"
    assert repr(BoundedLossDecay(2.0, 20)) == "BoundedLossDecay(max_loss=2.0, from_trial=20, log_range=None)"


def test_schedules_are_frozen() -> None:
    decay = PowerDecay()
    with pytest.raises(FrozenInstanceError):
        decay.beta = 1.0  # type: ignore[misc]


def test_steep_power_underflows_to_zero() -> None:
    assert PowerDecay(beta=10.0, power=200.0)(10**6) == 0.0


class TestBoundedLoss:
    @given(
        max_loss=st.floats(1.001, 100.0),
        from_trial=st.integers(1, 500),
        log_range=st.floats(0.0, 1e3),
        later=st.integers(0, 1000),
    )
    def test_keeps_its_promise(self, max_loss: float, from_trial: int, log_range: float, later: int) -> None:
        decay = BoundedLossDecay(max_loss, from_trial, log_range)
        loss_factor = math.exp(log_range * decay(from_trial + later))  # C_n
        assert loss_factor <= max_loss * (1.0 + 1e-9)

    def test_promises_no_more_than_asked(self) -> None:
        decay = BoundedLossDecay(max_loss=2.0, from_trial=20, log_range=4.6)
        assert math.exp(4.6 * decay(20)) == pytest.approx(2.0)

    def test_prior_without_opinion_keeps_its_weight(self) -> None:
        assert BoundedLossDecay(2.0, 20, log_range=0.0)(1000) == 1.0

    def test_takes_the_range_from_a_prior(self) -> None:
        open_decay = BoundedLossDecay(2.0, 20)
        bound = BoundedLossDecay(2.0, 20, log_range=4.6)
        assert open_decay.for_prior(FakePrior(4.6)) == bound
        assert bind_decay(open_decay, FakePrior(4.6)) == bound
        assert open_decay.log_range is None

    def test_refuses_to_guess_the_range(self) -> None:
        with pytest.raises(ConfigurationError, match=r"for_prior\(prior\)"):
            BoundedLossDecay(2.0, 20)(5)


class TestLossBound:
    def test_is_that_of_the_theorem(self) -> None:
        assert loss_bound(0.5, FakePrior(4.0)) == pytest.approx(math.exp(2.0))
        assert loss_bound(1e-3, FakePrior(4.0)) == pytest.approx(1.004, abs=1e-4)

    def test_nothing_is_lost_without_weight_or_opinion(self) -> None:
        assert loss_bound(0.0, FakePrior(4.0)) == 1.0
        assert loss_bound(0.0, FakePrior(math.inf)) == 1.0
        assert loss_bound(10.0, FakePrior(0.0)) == 1.0

    @pytest.mark.parametrize(("exponent", "log_range"), [(1.0, 701.0), (1e300, 1e300), (0.1, math.inf)])
    def test_where_no_float_holds_it(self, exponent: float, log_range: float) -> None:
        assert loss_bound(exponent, FakePrior(log_range)) == math.inf

    @given(exponent=st.floats(0.0, 1e6), log_range=st.floats(0.0, 1e6))
    def test_is_at_least_one(self, exponent: float, log_range: float) -> None:
        assert loss_bound(exponent, FakePrior(log_range)) >= 1.0

    @pytest.mark.parametrize("n", [20, 100, 1000])
    def test_bounded_decay_stays_below_what_it_promises(self, n: int) -> None:
        prior = FakePrior(4.6)
        assert loss_bound(BoundedLossDecay(2.0, 20, prior.log_range)(n), prior) <= 2.0 * (1.0 + 1e-9)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf, "10", None])
def test_bad_parameters_are_named(bad: object) -> None:
    value: float = bad  # type: ignore[assignment]
    with pytest.raises(ConfigurationError, match="beta"):
        PowerDecay(beta=value)
    with pytest.raises(ConfigurationError, match="power"):
        PowerDecay(power=value)
    with pytest.raises(ConfigurationError, match="half_life"):
        ExponentialDecay(half_life=value)
    with pytest.raises(ConfigurationError, match="horizon"):
        LinearDecay(horizon=value)
    with pytest.raises(ConfigurationError, match="value"):
        ConstantDecay(value)
    with pytest.raises(ConfigurationError, match="max_loss"):
        BoundedLossDecay(max_loss=value, from_trial=20)
    with pytest.raises(ConfigurationError, match="from_trial"):
        BoundedLossDecay(max_loss=2.0, from_trial=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_bad_optional_parameters_are_named(bad: float) -> None:
    with pytest.raises(ConfigurationError, match="cap"):
        PowerDecay(cap=bad)
    with pytest.raises(ConfigurationError, match="log_range"):
        BoundedLossDecay(2.0, 20, log_range=bad)


def test_limits_that_are_excluded() -> None:
    with pytest.raises(ConfigurationError, match="half_life"):
        ExponentialDecay(half_life=0.0)
    with pytest.raises(ConfigurationError, match="horizon"):
        LinearDecay(horizon=0)
    with pytest.raises(ConfigurationError, match="max_loss"):
        BoundedLossDecay(max_loss=1.0, from_trial=20)
    with pytest.raises(ConfigurationError, match="from_trial"):
        BoundedLossDecay(max_loss=2.0, from_trial=0)


@pytest.mark.parametrize("unknown", ["power", 10.0, None, PowerDecay])
def test_unknown_schedule_gets_the_list_of_what_is_accepted(unknown: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_decay(unknown)
    for name in ("PowerDecay", "ExponentialDecay", "LinearDecay", "ConstantDecay", "BoundedLossDecay", "lambda n"):
        assert name in str(caught.value)


class TestUserSchedules:
    def test_any_function_is_a_schedule(self) -> None:
        decay = check_decay(lambda n: 4 / (n + 1))
        assert exponent_at(decay, 1) == 2.0

    @pytest.mark.parametrize("bad", [-0.1, math.nan, math.inf, None, "1e"])
    def test_bad_values_are_refused_where_they_are_used(self, bad: object) -> None:
        with pytest.raises(ConfigurationError, match="n=3"):
            exponent_at(lambda _: bad, 3)  # type: ignore[arg-type, return-value]
