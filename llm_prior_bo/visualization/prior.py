"""The density of each parameter, by region, with the trials and the incumbent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from optuna import Study

from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.priors import MixturePrior, OptimumPrior
from llm_prior_bo.space import Column, FloatArray
from llm_prior_bo.visualization.plotly_import import (
    INCUMBENT_COLOUR,
    TRIAL_COLOUR,
    UNIFORM_COLOUR,
    as_text,
    axis_of,
    colour,
    graph_objects,
    position,
    subplots,
)
from llm_prior_bo.visualization.sources import check_names, finished_trials, incumbents, stated_prior, value_text

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from optuna.trial import FrozenTrial

MAX_DRAWN_CELLS = 200
"""Grids of more values are drawn as lines."""

_N_POINTS = 201
_TAIL = torch.tensor([1e-15, 1e-12, 1e-9, 1e-6, 1e-4, 1e-3], dtype=torch.float64)
_QUANTILES = torch.cat([_TAIL, torch.linspace(0.002, 0.998, 121, dtype=torch.float64), 1.0 - _TAIL])
"""Narrow regions are drawn at their own quantiles, whatever the width of the range."""

ROW_HEIGHT = 260

RUG_DEPTH = -0.05
"""Where the marks of trials are, as a share of the largest density."""


@dataclass(frozen=True, slots=True)
class ParameterDensity:
    """What is drawn of one parameter.

    Args:
        column: The parameter.
        values: Natural values, `n`: choices, the values of a small grid, or points of the range.
        regions: For each region its weight times its density at the values, `K x n`; relative to uniform, for a
            categorical parameter probabilities.
        uniform: The same of the uniform component, `n`.
    """

    column: Column
    values: list[Any]
    regions: FloatArray
    uniform: FloatArray

    @property
    def total(self) -> FloatArray:
        """Density of the mixture at the values, `n`."""
        total: FloatArray = self.regions.sum(axis=0) + self.uniform
        return total


def parameter_density(prior: MixturePrior, name: str) -> ParameterDensity:
    """The density of one parameter, all others integrated out.

    With correlations these are the marginals that the answer states; the copula keeps them to 0.005 in probability.

    Args:
        prior: A mixture.
        name: Name of a parameter of its space.
    """
    column = prior.space.column(name)
    u = _coordinates(prior, column)
    # Of a categorical parameter: probabilities instead of densities relative to uniform.
    scale = 1.0 / len(u) if column.kind == "categorical" else 1.0
    points = torch.from_numpy(u)
    rows = [
        weight * np.exp(region.marginals[name].log_prob(points).numpy()) * scale
        if name in region.marginals
        else np.full(len(u), weight * scale)
        for weight, region in zip(prior.weights.tolist(), prior.regions, strict=True)
    ]
    regions = np.stack(rows) if rows else np.zeros((0, len(u)))
    return ParameterDensity(
        column, [column.decode(value) for value in u], regions, np.full(len(u), prior.uniform_weight * scale)
    )


def plot_prior(
    study_or_prior: Study | OptimumPrior, params: Sequence[str] | None = None, *, n_columns: int = 2
) -> go.Figure:
    """Plot the prior over the optimum: for each parameter its density, stacked by region.

    Numeric parameters are drawn on their own scale, logarithmic where the distribution is, and their density is
    relative to uniform: 1 says nothing, 5 says five times as likely as without a prior. Of a categorical parameter the
    bars are probabilities. Small marks are trials, the star is the incumbent.

    Of a study, the density is the pooled one of all stored answers as they were given, half for the latest; what the
    evidence has left of them is in `plot_trust`. Stated intervals are read as the study's sampler read them.

    Args:
        study_or_prior: A study with a stored answer, or a `MixturePrior` or `UniformPrior`.
        params: Names of the parameters; all if `None`.
        n_columns: How many plots stand side by side.

    Returns:
        A figure.

    Raises:
        ConfigurationError: If the study has no stored answer, a parameter is unknown, the density is not made of
            regions, or `n_columns` is below 1.
        SearchSpaceError: If neither an answer nor a finished trial says what the parameters are.
        ImportError: If plotly is not installed.
    """
    if n_columns < 1:
        raise ConfigurationError(f"Expected n_columns of at least 1, got {n_columns}; 1 draws one below the other.")
    prior = stated_prior(study_or_prior)
    names = list(prior.space.names if params is None else params)
    check_names(prior.space, names)
    study = study_or_prior if isinstance(study_or_prior, Study) else None
    return prior_figure(prior, names, study, n_columns=n_columns)


def _coordinates(prior: MixturePrior, column: Column) -> FloatArray:
    """Where a density is worked out, sorted, `n`."""
    if column.kind == "categorical":
        return np.arange(column.n_values or 1, dtype=np.float64)
    if column.n_values is not None and column.n_values <= MAX_DRAWN_CELLS:
        return column.cell_centre(np.arange(column.n_values))
    marginals = [region.marginals[column.name] for region in prior.regions if column.name in region.marginals]
    own = [marginal.icdf(_QUANTILES).numpy() for marginal in marginals]
    modes = np.array([marginal.mode for marginal in marginals])
    return np.unique(column.snap(np.concatenate([np.linspace(0.0, 1.0, _N_POINTS), *own, modes])))


def prior_figure(prior: MixturePrior, names: Sequence[str], study: Study | None, *, n_columns: int) -> go.Figure:
    """The figure of `plot_prior`, of a density that has been built, with the trials of a study."""
    densities = [parameter_density(prior, name) for name in names]
    n_columns = min(n_columns, max(len(names), 1))
    n_rows = -(-max(len(names), 1) // n_columns)
    figure = subplots(n_rows, n_columns, vertical_spacing=min(0.3 / n_rows, 0.25), horizontal_spacing=0.1)
    for i, density in enumerate(densities):
        place = {"row": i // n_columns + 1, "col": i % n_columns + 1}
        for trace in _density_traces(density, prior, showlegend=i == 0):
            figure.add_trace(trace, **place)
        for trace in _trial_traces(density, study, showlegend=i == 0):
            figure.add_trace(trace, **place)
        _label_axes(figure, density, place)
    figure.update_layout(
        title="Prior over the optimum",
        barmode="stack",
        height=ROW_HEIGHT * n_rows + 140,
        legend={"orientation": "h", "y": -0.2 / n_rows, "yanchor": "top"},
    )
    return figure


def _label_axes(figure: go.Figure, density: ParameterDensity, place: dict[str, int]) -> None:
    peak = float(density.total.max())
    what = "probability" if density.column.kind == "categorical" else "relative density"
    figure.update_xaxes(**axis_of(density.column), **place)
    figure.update_yaxes(title_text=what, range=[2 * RUG_DEPTH * peak, 1.08 * peak], **place)


def _density_traces(density: ParameterDensity, prior: MixturePrior, *, showlegend: bool) -> list[Any]:
    """The uniform component at the bottom, the regions above it."""
    layers = [("anywhere", prior.uniform_weight, UNIFORM_COLOUR, density.uniform)]
    for k, (region, weight) in enumerate(zip(prior.regions, prior.weights.tolist(), strict=True)):
        layers.append((region.label or f"region {k + 1}", weight, colour(k), density.regions[k]))
    return [
        _layer_trace(density, f"{as_text(label)} ({weight:.0%})", tint, values, showlegend=showlegend)
        for label, weight, tint, values in layers
    ]


def _layer_trace(density: ParameterDensity, name: str, tint: str, values: FloatArray, *, showlegend: bool) -> Any:
    go = graph_objects()
    shared = {"name": name, "legendgroup": name, "showlegend": showlegend}
    if density.column.kind == "categorical":
        texts = [as_text(choice) for choice in density.values]
        return go.Bar(
            x=list(range(len(texts))),
            y=values,
            marker={"color": tint, "line": {"width": 0}},
            customdata=texts,
            hovertemplate="%{customdata}: %{y:.3f}<extra>" + name + "</extra>",
            **shared,
        )
    return go.Scatter(
        x=density.values,
        y=values,
        mode="lines",
        line={"color": tint, "width": 1, "shape": "hvh" if _is_small_grid(density.column) else "linear"},
        fillcolor=tint,
        stackgroup="density",
        hovertemplate="%{x:.4g}: %{y:.3g}<extra>" + name + "</extra>",
        **shared,
    )


def _is_small_grid(column: Column) -> bool:
    return column.kind == "grid" and (column.n_values or 0) <= MAX_DRAWN_CELLS


def _trial_traces(density: ParameterDensity, study: Study | None, *, showlegend: bool) -> list[Any]:
    if study is None:
        return []
    rug = {"symbol": "line-ns-open", "size": 9, "color": TRIAL_COLOUR, "line": {"width": 1.5}}
    star = {"symbol": "star", "size": 13, "color": INCUMBENT_COLOUR, "line": {"width": 1, "color": "white"}}
    return [
        _marks(density, finished_trials(study), "trials", rug, showlegend=showlegend),
        _marks(density, incumbents(study), "incumbent", star, showlegend=showlegend),
    ]


def _marks(
    density: ParameterDensity, trials: Sequence[FrozenTrial], name: str, marker: dict[str, Any], *, showlegend: bool
) -> Any:
    """Trials at their value of a parameter, below the density."""
    column = density.column
    shown = [t for t in trials if column.name in t.params and column.contains(t.params[column.name])]
    natural = [trial.params[column.name] for trial in shown]
    return graph_objects().Scatter(
        x=[position(column, value) for value in natural],
        y=[RUG_DEPTH * float(density.total.max())] * len(shown),
        mode="markers",
        marker=marker,
        name=name,
        legendgroup=name,
        showlegend=showlegend,
        customdata=[
            [trial.number, value_text(trial), as_text(value)] for trial, value in zip(shown, natural, strict=True)
        ],
        hovertemplate="trial %{customdata[0]}: %{customdata[1]}<br>at %{customdata[2]}<extra></extra>",
    )
