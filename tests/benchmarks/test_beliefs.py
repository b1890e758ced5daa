from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from benchmarks.harness import beliefs
from benchmarks.harness.beliefs import displaced, earlier_tasks, is_available, make_belief, mirrored, sibling_of
from benchmarks.harness.problems import LANDSCAPES, get_problem
from benchmarks.harness.recordings import TASKS
from llm_prior_bo import MixturePrior, PriorAnswer, SearchSpace, build_prior

SPACE = {
    "rate": FloatDistribution(1e-4, 1.0, log=True),
    "depth": IntDistribution(1, 100),
    "booster": CategoricalDistribution(["tree", "linear", "dart"]),
}
ANSWER = PriorAnswer.by_hand(
    numeric={"rate": (1e-3, 1e-4, 1e-2), "depth": (60, 40, 70)}, categorical={"booster": {"tree": 0.7, "dart": 0.2}}
)


def test_mirrored() -> None:
    rate, depth = mirrored(ANSWER, SPACE).numeric
    assert (rate.low, rate.best, rate.high) == pytest.approx((1e-2, 1e-1, 1.0))
    assert (depth.low, depth.best, depth.high) == pytest.approx((31, 41, 61))


def test_displaced_intervals_are_as_wide_as_before() -> None:
    space = SearchSpace(SPACE)
    places = []
    for seed in range(200):
        moved = displaced(ANSWER, SPACE, seed)
        for before, after in zip(ANSWER.numeric, moved.numeric, strict=True):
            column = space.column(before.parameter)
            was, now = (column.to_unit([b.low, b.best, b.high]) for b in (before, after))
            # The range of an integer ends half a step before its last cell does.
            tolerance = 1e-9 if column.kind == "continuous" else 0.006
            assert np.diff(now) == pytest.approx(np.diff(was), abs=tolerance)
            places.append(float(now[0]))
        assert sorted(row.weight for row in moved.categorical) == [0.2, 0.7]
        assert len({row.choice for row in moved.categorical}) == 2
        assert moved.confidence == ANSWER.confidence
    assert np.ptp(places) > 0.6
    assert displaced(ANSWER, SPACE, 3) == displaced(ANSWER, SPACE, 3) != displaced(ANSWER, SPACE, 4)
    assert {displaced(ANSWER, SPACE, seed).categorical[0].choice for seed in range(20)} == {"tree", "linear", "dart"}


@pytest.mark.parametrize("name", LANDSCAPES)
def test_landscapes(name: str) -> None:
    problem = get_problem(name)
    space = dict(problem.distributions)
    log_densities = {}
    for kind in ("own", "off-centre", "wrong"):
        belief = make_belief(kind, name, space, data=None, seed=0)
        assert isinstance(belief, PriorAnswer)
        prior = build_prior(belief, problem.space)
        log_densities[kind] = float(prior.log_prob(problem.space.encode([problem.optimum]))[0])
    assert log_densities["own"] > 0.0 > log_densities["wrong"]
    assert min(problem.evaluate(x) for x in problem.optima) == pytest.approx(problem.optimal_value, abs=1e-9)
    assert len(space) == 2


def test_every_recorded_task_has_its_answer_and_placebos() -> None:
    for name in TASKS:
        assert all(is_available(kind, name) for kind in ("none", "own", "random", "mirrored"))
        assert not any(is_available(kind, name) for kind in ("off-centre", "wrong"))
    assert not is_available("own", "unknown")
    assert sibling_of("svm_336") == "svm_146595"
    assert sibling_of("opda_deberta") is None
    assert is_available("neutral", "xgb_concrete")
    assert not is_available("neutral", "svm_336")


def test_families_with_earlier_studies() -> None:
    for name in ("lcbench_126026", "lcbench_168330", "rbv2_gbtree_1501", "svm_336", "svm_146595"):
        assert is_available("earlier", name)
        assert 3 <= len(earlier_tasks(name)) <= 5
        assert name not in earlier_tasks(name)
    assert not is_available("earlier", "svm_digits")  # no table, though its name begins as that of the family
    assert not is_available("earlier and own", "xgb_concrete")


def test_earlier_studies_alone_and_pooled(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beliefs, "earlier_tasks", lambda _: ("small",))
    monkeypatch.setattr(beliefs, "own_answer", lambda *_: ANSWER)
    monkeypatch.setattr(beliefs, "N_EARLIER_TRIALS", 20)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = {**SPACE, "depth": IntDistribution(1, 8)}
    earlier = make_belief("earlier", "small", space, data=data, seed=0)
    both = make_belief("earlier and own", "small", SPACE, data=data, seed=0)
    assert isinstance(earlier, MixturePrior)
    assert isinstance(both, MixturePrior)
    assert len(earlier.regions) == 1
    assert len(both.regions) == 2
    assert float(both.weights.sum()) + both.uniform_weight == pytest.approx(1.0)
    # The small task's value grows with the depth.
    shallow, deep = ({"rate": 1e-3, "depth": depth, "booster": "tree"} for depth in (1, 8))
    log_prob = earlier.log_prob(SearchSpace(space).encode([shallow, deep]))
    assert log_prob[0] > log_prob[1]
    beliefs._earlier_study.cache_clear()
