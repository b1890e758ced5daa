"""The joint density of two parameters, with the trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from optuna import Study

from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.priors import MixturePrior, OptimumPrior
from llm_prior_bo.space import Column, FloatArray, SearchSpace
from llm_prior_bo.visualization.plotly_import import INCUMBENT_COLOUR, as_text, axis_of, graph_objects, position
from llm_prior_bo.visualization.sources import check_names, finished_trials, incumbents, stated_prior, value_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go
    from optuna.trial import FrozenTrial

_N_POINTS = 81
MAX_CELLS = 60
"""Grids of more values are drawn as continuous."""


@dataclass(frozen=True, slots=True)
class PairDensity:
    """What is drawn of two parameters.

    Args:
        x: The parameter of the horizontal axis.
        y: The one of the vertical axis.
        x_values: Natural values or choices, `n`.
        y_values: The same, `m`.
        density: Relative to uniform, `m x n`.
    """

    x: Column
    y: Column
    x_values: list[Any]
    y_values: list[Any]
    density: FloatArray


def pair_density(prior: MixturePrior, x: str, y: str) -> PairDensity:
    """The joint density of two parameters, all others integrated out, with the correlations of each region.

    Raises:
        ConfigurationError: If a parameter is unknown or both are the same.
    """
    if x == y:
        raise ConfigurationError(f"Expected two different parameters, got {x!r} twice; plot_prior draws a single one.")
    check_names(prior.space, [x, y])
    both = prior.restricted(
        SearchSpace({n: prior.space.column(n).distribution for n in prior.space.names if n in (x, y)})
    )
    u, v = _coordinates(both.space.column(x)), _coordinates(both.space.column(y))
    points = np.empty((len(v), len(u), 2))
    points[..., both.space.index(x)], points[..., both.space.index(y)] = np.meshgrid(u, v)
    density = np.exp(both.log_prob(torch.from_numpy(points)).numpy())  # m x n
    columns = both.space.column(x), both.space.column(y)
    return PairDensity(
        *columns, [columns[0].decode(value) for value in u], [columns[1].decode(value) for value in v], density
    )


def plot_prior_pair(study_or_prior: Study | OptimumPrior, x: str, y: str) -> go.Figure:
    """Plot the joint density of two parameters of the prior, relative to uniform, with the trials on it.

    Args:
        study_or_prior: As in `plot_prior`.
        x: Name of the parameter of the horizontal axis.
        y: Name of another one, of the vertical axis.

    Returns:
        A figure. The colours are the logarithm of the density: 0 says nothing.

    Raises:
        ConfigurationError: If a parameter is unknown, both are the same, or as in `plot_prior`.
        ImportError: If plotly is not installed.
    """
    study = study_or_prior if isinstance(study_or_prior, Study) else None
    return pair_figure(stated_prior(study_or_prior), x, y, study)


def pair_figure(prior: MixturePrior, x: str, y: str, study: Study | None) -> go.Figure:
    """The figure of `plot_prior_pair`, of a density that has been built, with the trials of a study."""
    info = pair_density(prior, x, y)
    figure = graph_objects().Figure(_density_trace(info))
    if study is not None:
        trials = {"symbol": "circle", "size": 7, "color": "white", "line": {"width": 1, "color": "#333333"}}
        star = {"symbol": "star", "size": 14, "color": INCUMBENT_COLOUR, "line": {"width": 1, "color": "white"}}
        figure.add_trace(_marks(info, finished_trials(study), "trials", trials))
        figure.add_trace(_marks(info, incumbents(study), "incumbent", star))
    figure.update_layout(
        title="Prior over the optimum: two parameters",
        xaxis=axis_of(info.x),
        yaxis=axis_of(info.y),
        height=480,
        legend={"orientation": "h", "y": -0.2, "yanchor": "top"},
    )
    return figure


def _coordinates(column: Column) -> FloatArray:
    if column.kind == "categorical":
        return np.arange(column.n_values or 1, dtype=np.float64)
    if column.n_values is not None and column.n_values <= MAX_CELLS:
        return column.cell_centre(np.arange(column.n_values))
    return np.unique(column.snap(np.linspace(0.0, 1.0, _N_POINTS)))


def _density_trace(info: PairDensity) -> Any:
    texts = [[f"{as_text(a)}, {as_text(b)}" for a in _figures(info.x_values)] for b in _figures(info.y_values)]
    return graph_objects().Heatmap(
        x=[position(info.x, value) for value in info.x_values],
        y=[position(info.y, value) for value in info.y_values],
        z=np.log(info.density),
        colorscale="Viridis",
        colorbar={"title": {"text": "log density", "side": "right"}, "thickness": 12},
        text=texts,
        customdata=info.density,
        hovertemplate="%{text}<br>density %{customdata:.3g}<extra></extra>",
    )


def _figures(values: Sequence[Any]) -> list[str]:
    return [f"{value:.4g}" if isinstance(value, float) else str(value) for value in values]


def _marks(info: PairDensity, trials: Sequence[FrozenTrial], name: str, marker: dict[str, Any]) -> Any:
    columns = (info.x, info.y)
    shown = [t for t in trials if all(c.name in t.params and c.contains(t.params[c.name]) for c in columns)]
    return graph_objects().Scatter(
        x=[position(info.x, trial.params[info.x.name]) for trial in shown],
        y=[position(info.y, trial.params[info.y.name]) for trial in shown],
        mode="markers",
        marker=marker,
        name=name,
        customdata=[[trial.number, value_text(trial)] for trial in shown],
        hovertemplate="trial %{customdata[0]}: %{customdata[1]}<extra></extra>",
    )
