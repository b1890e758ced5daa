from __future__ import annotations

import conditional
import optuna
import pytest


@pytest.mark.filterwarnings("ignore:search_space= states")  # in three trials not every classifier has its turn
def test_every_parameter_is_known_from_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    study = conditional.main(n_trials=3)
    assert "RBF SVM" in capsys.readouterr().out
    assert study.trials[0].params == {"classifier": "svm", "svm_C": pytest.approx(6), "svm_gamma": pytest.approx(0.15)}
    for trial in study.trials:
        assert all(name == "classifier" or name.startswith(trial.params["classifier"]) for name in trial.params)


@pytest.mark.parametrize("classifier", ["svm", "forest", "logistic", "neighbors"])
def test_every_classifier_learns(classifier: str) -> None:
    params = {
        "svm_C": 10.0,
        "svm_gamma": 0.1,
        "forest_max_features": 0.1,
        "forest_min_samples_leaf": 1,
        "logistic_C": 1.0,
        "neighbors_k": 1,
    }
    trial = optuna.trial.FixedTrial({"classifier": classifier, **params})
    assert conditional.objective(trial) < 0.12
