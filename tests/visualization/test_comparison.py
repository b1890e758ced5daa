from __future__ import annotations

from typing import Literal

import numpy as np
import optuna
import pytest

from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.visualization import plot_comparison
from llm_prior_bo.visualization.comparison import best_values, curve
from tests.visualization.studies import told_study


def study_of(values: list[float | None], direction: Literal["minimize", "maximize"] = "minimize") -> optuna.Study:
    study = optuna.create_study(direction=direction)
    for value in values:
        state = optuna.trial.TrialState.FAIL if value is None else optuna.trial.TrialState.COMPLETE
        study.add_trial(optuna.trial.create_trial(value=value, state=state))
    return study


def test_best_value_so_far() -> None:
    assert best_values(study_of([3.0, None, 1.0, 2.0])).tolist() == [3.0, 3.0, 1.0, 1.0]
    assert best_values(study_of([3.0, 4.0, 1.0], "maximize")).tolist() == [3.0, 4.0, 4.0]
    assert np.isnan(best_values(study_of([None, 1.0]))[0])


def test_infeasible_values_do_not_count() -> None:
    study = optuna.create_study()
    for value, constraint in ((1.0, 1.0), (2.0, -1.0)):
        trial = study.ask()
        trial.set_constraint("size", constraint)
        study.tell(trial, value)
    assert best_values(study)[1] == 2.0


def test_median_and_quartiles_up_to_the_shortest_run() -> None:
    one = curve("all", [[5.0, 4.0, 3.0], [4.0, 2.0], [3.0, 0.0, 0.0]])
    assert (one.n_runs, one.median.tolist()) == (3, [4.0, 2.0])
    assert (one.lower.tolist(), one.upper.tolist()) == ([3.5, 1.0], [4.5, 3.0])


def test_a_band_only_for_several_runs() -> None:
    figure = plot_comparison({"<b>a</b>": [[2.0, 1.0], [3.0, 1.0]], "one": told_study()})
    assert [trace.fill for trace in figure.data] == [None, "tonexty", None, None]
    assert [trace.name for trace in figure.data if trace.name] == ["&lt;b&gt;a&lt;/b&gt; (2 runs)", "one"]
    assert [trace.name for trace in plot_comparison(told_study()).data] == ["told"]


def test_what_has_no_curve_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least one run"):
        plot_comparison({"none": []})
    with pytest.raises(ConfigurationError, match="put a single run in a list"):
        plot_comparison({"bare": [1.0, 2.0]})  # type: ignore[list-item]
    with pytest.raises(ConfigurationError, match="one objective"):
        plot_comparison(optuna.create_study(directions=["minimize", "minimize"]))
