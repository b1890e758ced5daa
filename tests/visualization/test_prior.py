from __future__ import annotations

import optuna
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.integrate import trapezoid

from llm_prior_bo import Elicitation, PriorAnswer, SearchSpace, UniformPrior, build_prior
from llm_prior_bo.errors import ConfigurationError, SearchSpaceError
from llm_prior_bo.priors import TemperedMixture
from llm_prior_bo.study.answer_records import save_elicitation
from llm_prior_bo.visualization import plot_prior
from llm_prior_bo.visualization.prior import parameter_density
from llm_prior_bo.visualization.sources import has_stated_prior, incumbents
from tests.visualization.studies import ANSWER, DISTRIBUTIONS, PLANTED, told_study

SPACE = SearchSpace(DISTRIBUTIONS)
PRIOR = build_prior(ANSWER, SPACE)


def test_a_continuous_density_integrates_to_one() -> None:
    density = parameter_density(PRIOR, "rate")
    u = SPACE.column("rate").to_unit(density.values)
    assert float(trapezoid(density.total, u)) == pytest.approx(1.0, abs=1e-3)
    assert float(trapezoid(density.regions[0], u)) == pytest.approx(PRIOR.weights[0].item(), abs=1e-3)


def test_a_grid_and_choices_sum_to_one() -> None:
    layers = parameter_density(PRIOR, "layers")
    assert layers.values == list(range(1, 9))
    assert float(layers.total.mean()) == pytest.approx(1.0)
    optimizer = parameter_density(PRIOR, "optimizer")
    assert optimizer.values == ["adam", "sgd", PLANTED]
    assert float(optimizer.total.sum()) == pytest.approx(1.0)


@pytest.mark.parametrize("name", SPACE.names)
def test_the_total_is_the_mean_over_the_other_parameters(name: str) -> None:
    density = parameter_density(PRIOR, name)
    k = int(density.total.argmax())
    X = UniformPrior(SPACE).sample(20_000, generator=torch.Generator().manual_seed(0))
    X[:, SPACE.index(name)] = SPACE.column(name).encode(density.values[k])
    expected = float(PRIOR.log_prob(X).exp().mean())
    scale = 3 if name == "optimizer" else 1
    assert density.total[k] * scale == pytest.approx(expected, rel=0.05)


def test_narrow_regions_are_resolved() -> None:
    narrow = SearchSpace({"x": FloatDistribution(0.0, 1e9)})
    answer = ANSWER.by_hand(numeric={"x": (10.0, 9.0, 11.0)})
    density = parameter_density(build_prior(answer, narrow), "x")
    u = narrow.column("x").to_unit(density.values)
    assert float(trapezoid(density.total, u)) == pytest.approx(1.0, abs=0.02)


def test_figure_has_a_plot_for_each_parameter_with_its_own_scale() -> None:
    figure = plot_prior(told_study())
    titles = [figure.layout[f"xaxis{i}"].title.text for i in ("", 2, 3, 4)]
    assert titles == list(DISTRIBUTIONS)
    scales = {axis.title.text: axis.type for axis in figure.select_xaxes()}
    assert scales["rate"] == "log"
    assert scales["dropout"] is None


def test_texts_of_models_and_users_are_escaped() -> None:
    text = plot_prior(told_study()).to_json()
    for sign in ("\\u003c", "\\u003e"):
        text = text.replace(sign, "<" if sign.endswith("c") else ">")
    assert "<script" not in text
    assert "&lt;script" in text


def test_trials_and_incumbent_are_marked() -> None:
    study = told_study()
    figure = plot_prior(study, ["rate"])
    marks = {trace.name: list(trace.x) for trace in figure.data if trace.mode == "markers"}
    finished = [trial.params["rate"] for trial in study.trials if trial.values is not None]
    assert sorted(marks["trials"]) == sorted(finished)
    assert marks["incumbent"] == [study.best_params["rate"]]


def test_a_prior_is_drawn_without_trials() -> None:
    assert len(plot_prior(PRIOR, ["rate"]).data) == 3  # anywhere and two regions
    assert [trace.name for trace in plot_prior(UniformPrior(SPACE), ["rate"]).data] == ["anywhere (100%)"]


def test_later_answers_have_half_of_the_weight() -> None:
    names = [trace.name for trace in plot_prior(told_study(n_answers=2), ["rate"]).data]
    assert [name.split(":")[0] for name in names[1:5]] == ["trial 0", "trial 0", "trial 3", "trial 3"]
    assert names[1].endswith("(30%)")
    assert names[3].endswith("(30%)")


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="got \\['depth'\\]"):
        plot_prior(PRIOR, ["depth"])
    with pytest.raises(ConfigurationError, match="n_columns of at least 1, got 0"):
        plot_prior(PRIOR, n_columns=0)
    with pytest.raises(ConfigurationError, match="Expected a study with stored answers"):
        plot_prior(optuna.create_study())
    with pytest.raises(SearchSpaceError, match="a stored answer or a finished trial"):
        plot_prior(told_study(n_trials=0))


def test_all_kinds_of_parameters_are_drawn() -> None:
    space = SearchSpace(
        {
            "flag": CategoricalDistribution([True, None, 1.5]),
            "one": FloatDistribution(0.5, 0.5, log=True),
            "units": IntDistribution(1, 5000, log=True),
            "seed": IntDistribution(0, 2**60),
            "step": FloatDistribution(0.0, 1.0, step=0.25),
        }
    )
    answer = PriorAnswer.by_hand(numeric={"units": (64, 16, 256), "step": (0.5, 0.25, 0.75)})
    prior = build_prior(answer, space)
    assert len(plot_prior(prior).data) == 2 * 5
    assert parameter_density(prior, "one").values == [0.5]
    assert parameter_density(prior, "step").values == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert all(isinstance(value, int) for value in parameter_density(prior, "units").values)
    study = optuna.create_study()
    save_elicitation(study, Elicitation(answer))
    study.tell(study.ask(dict(space.distributions)), 1.0)
    assert len(plot_prior(study).data) == 4 * 5
    assert has_stated_prior(study)


def test_a_density_that_is_not_made_of_regions_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="got a TemperedMixture"):
        plot_prior(TemperedMixture(PRIOR, 0.5, uniform=UniformPrior(SPACE)))


def test_multiple_objectives_have_several_incumbents() -> None:
    study = optuna.create_study(directions=["minimize", "minimize"])
    for value in (0.1, 0.2):
        trial = study.ask({"rate": DISTRIBUTIONS["rate"]})
        study.tell(trial, [value, -value])
    assert len(incumbents(study)) == 2
