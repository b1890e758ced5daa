from __future__ import annotations

import breast_cancer
import optuna


def test_a_configuration_has_one_score() -> None:
    trial = optuna.trial.FixedTrial({**breast_cancer.DEFAULTS, "max_iter": 20})
    first = breast_cancer.objective(trial)
    assert breast_cancer.objective(trial) == first
    assert 0.05 < first < 0.4


def test_defaults_are_in_the_search_space() -> None:
    space = breast_cancer.search_space()
    assert list(space) == list(breast_cancer.DEFAULTS)
    for name, distribution in space.items():
        assert distribution._contains(distribution.to_internal_repr(breast_cancer.DEFAULTS[name]))
