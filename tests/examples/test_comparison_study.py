"""The example of a comparison, with a tiny budget."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import comparison_study
import digits
import optuna
import pytest

from llm_prior_bo import read_comparison


# One of the recorded best guesses is at a bound of its range, beyond its own interval.
@pytest.mark.filterwarnings("ignore:The answer was repaired")
@pytest.mark.usefixtures("brief_comparison")
def test_table_figure_and_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, figure = tmp_path / "results.jsonl", tmp_path / "figure.html"
    comparison_study.main(["--trials", "2", "--seeds", "1", "--out", str(out), "--figure", str(figure)])
    told = capsys.readouterr().out
    assert "Against TPE, paired by seed" in told
    assert "test value" in told
    assert figure.exists()
    result = read_comparison(out, baseline="TPE")
    assert result.samplers == ["LLM prior", "GPSampler", "TPE", "TPE, defaults first", "random"]
    frame = result.to_frame()
    first = frame[(frame["sampler"] == "TPE, defaults first") & (frame["trial"] == 1)].iloc[0]
    assert {name: first[f"params_{name}"] for name in digits.USUAL_DEFAULTS} == digits.USUAL_DEFAULTS


def test_the_full_task_is_that_of_the_quickstart() -> None:
    trial = optuna.create_study().ask(digits.search_space())
    trial.study.set_user_attr("seed", 3)
    own = partial(comparison_study.objective, epochs=1, n_networks=digits.N_NETWORKS)(trial)
    task = digits.DigitsTask.load(seed=3)
    networks = [digits.fit_network(trial.params, task.train, seed=seed, epochs=1) for seed in (6, 7)]
    assert own == sum(digits.error_rate(network, task.validation) for network in networks) / 2
    assert 0.0 <= trial.user_attrs["test_value"] <= 1.0
