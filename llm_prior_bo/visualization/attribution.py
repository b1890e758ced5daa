"""What of each suggestion's score came from the data, the prior and feasibility."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_prior_bo.study.diagnostics import StudyStatistics, study_statistics
from llm_prior_bo.visualization.plotly_import import UNIFORM_COLOUR, answer_name, colour, graph_objects, subplots

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from optuna import Study


@dataclass(frozen=True, slots=True)
class ScoreParts:
    """The terms of one suggestion's score, in log units (nats).

    Args:
        trial: Number of the trial.
        data: Log acquisition function.
        answers: Number of the trial for which an answer was asked -> what the answer added.
        feasibility: What the probability that the trial finishes added; `None` before any trial has failed.
    """

    trial: int
    data: float
    answers: dict[int, float]
    feasibility: float | None


def score_parts(statistics: StudyStatistics) -> tuple[ScoreParts, ...]:
    """The terms of every suggestion that maximised a score, in the order of the trials."""
    return tuple(
        ScoreParts(
            trial=number,
            data=suggestion.log_acquisition,
            answers={part.asked_at: part.score for part in suggestion.answers},
            feasibility=suggestion.feasibility_score,
        )
        for number, suggestion in sorted(statistics.suggestions.items())
        if suggestion.phase == "model" and suggestion.log_acquisition is not None
    )


def plot_attribution(study: Study) -> go.Figure:
    """Plot what of each suggestion's score came from the data, from each answer, and from feasibility.

    The score is the sum of the log acquisition function (above), of `exponent * log density` of each answer, and of the
    log probability that the trial finishes (below). Bars above zero are suggestions that the answer spoke for. Only
    trials after the start-up have a score.

    Args:
        study: A study that an `LLMPriorSampler` worked on.

    Returns:
        A figure.

    Raises:
        ImportError: If plotly is not installed.
    """
    statistics = study_statistics(study)
    parts = score_parts(statistics)
    names = {one.asked_at: answer_name(one) for told in statistics.suggestions.values() for one in told.answers}
    figure = subplots(2, shared_xaxes=True, vertical_spacing=0.08, row_heights=[0.4, 0.6])
    numbers = [part.trial for part in parts]
    figure.add_trace(_data_trace(numbers, [part.data for part in parts]), row=1, col=1)
    for j, asked_at in enumerate(sorted({asked_at for part in parts for asked_at in part.answers})):
        added = [part.answers.get(asked_at) for part in parts]
        figure.add_trace(_bars(numbers, added, f"answer, {names[asked_at]}", colour(j + 1)), row=2, col=1)
    if any(part.feasibility is not None for part in parts):
        bars = _bars(numbers, [part.feasibility for part in parts], "feasibility", UNIFORM_COLOUR)
        figure.add_trace(bars, row=2, col=1)
    figure.update_yaxes(title_text="from data (nats)", row=1, col=1)
    figure.update_yaxes(title_text="added (nats)", row=2, col=1)
    figure.update_xaxes(title_text="trial", row=2, col=1)
    figure.update_layout(
        title="What each suggestion's score came from",
        barmode="relative",
        height=480,
        legend={"orientation": "h", "y": -0.18, "yanchor": "top"},
    )
    return figure


def _data_trace(x: list[int], y: list[float]) -> Any:
    return graph_objects().Scatter(
        x=x,
        y=y,
        mode="lines+markers",
        name="data",
        line={"color": colour(0), "width": 2},
        marker={"size": 5},
        hovertemplate="trial %{x}: log acquisition %{y:.3g}<extra></extra>",
    )


def _bars(x: list[int], y: list[float | None], name: str, tint: str) -> Any:
    return graph_objects().Bar(
        x=x,
        y=y,
        name=name,
        marker={"color": tint, "line": {"width": 0}},
        hovertemplate="trial %{x}: %{y:+.3g}<extra>" + name + "</extra>",
    )
