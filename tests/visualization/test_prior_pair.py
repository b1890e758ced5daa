from __future__ import annotations

import numpy as np
import pytest
import torch

from llm_prior_bo import SearchSpace, UniformPrior, build_prior
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.visualization import plot_prior_pair
from llm_prior_bo.visualization.prior_pair import pair_density
from tests.visualization.studies import ANSWER, DISTRIBUTIONS, told_study

SPACE = SearchSpace(DISTRIBUTIONS)
PRIOR = build_prior(ANSWER, SPACE)


def test_the_density_is_the_mean_over_the_other_parameters() -> None:
    info = pair_density(PRIOR, "rate", "dropout")
    i, j = np.unravel_index(int(info.density.argmax()), info.density.shape)
    X = UniformPrior(SPACE).sample(20_000, generator=torch.Generator().manual_seed(0))
    X[:, SPACE.index("rate")] = SPACE.column("rate").encode(info.x_values[j])
    X[:, SPACE.index("dropout")] = SPACE.column("dropout").encode(info.y_values[i])
    assert info.density[i, j] == pytest.approx(float(PRIOR.log_prob(X).exp().mean()), rel=0.05)


def test_correlated_parameters_go_together() -> None:
    density = pair_density(PRIOR, "rate", "dropout").density
    info = pair_density(PRIOR, "dropout", "rate")
    assert density == pytest.approx(info.density.T)
    low, high = 10, 50
    assert density[low, low] * density[high, high] > density[low, high] * density[high, low]


def test_choices_and_grids_have_one_cell_a_value() -> None:
    info = pair_density(PRIOR, "optimizer", "layers")
    assert info.density.shape == (8, 3)
    assert float(info.density.mean()) == pytest.approx(1.0)
    assert len(plot_prior_pair(PRIOR, "optimizer", "layers").data) == 1


def test_the_figure_shows_trials_and_incumbent() -> None:
    study = told_study()
    figure = plot_prior_pair(study, "rate", "optimizer")
    assert [trace.name for trace in figure.data[1:]] == ["trials", "incumbent"]
    assert len(figure.data[1].x) == 5
    assert list(figure.data[2].x) == [study.best_params["rate"]]
    assert figure.layout.xaxis.type == "log"
    assert "<script" not in "".join(map(str, figure.layout.yaxis.ticktext))


def test_one_parameter_twice_or_an_unknown_one_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="two different parameters"):
        plot_prior_pair(PRIOR, "rate", "rate")
    with pytest.raises(ConfigurationError, match="got \\['depth'\\]"):
        plot_prior_pair(PRIOR, "rate", "depth")
