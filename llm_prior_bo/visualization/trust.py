"""What the evidence made of the answers over the trials: weights of regions, exponents, loss bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_prior_bo.study.diagnostics import StudyStatistics, study_statistics
from llm_prior_bo.visualization.plotly_import import answer_name, as_text, colour, graph_objects, subplots

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from optuna import Study

_DASHES = ("solid", "dash", "dot", "dashdot")
QUESTION_COLOUR = "#8a8f98"
BOUND_COLOUR = "#d1495b"
MAX_LABEL_CHARACTERS = 26


@dataclass(frozen=True, slots=True)
class AnswerTrace:
    """One answer over the trials that it had a part in.

    Args:
        asked_at: Number of the trial for which it was asked, -1 for a density that was given.
        name: What it is called.
        labels: Labels of its regions, `K`; fewer where they are not stored.
        trials: Numbers of the trials, `n`.
        exponents: Its exponent at each, `n`.
        trusts: Trust in it at each, `None` where no gate spoke, `n`.
        region_weights: Weights of its regions at each, `n x K`; a row is empty where no gate spoke.
    """

    asked_at: int
    name: str
    labels: tuple[str, ...]
    trials: tuple[int, ...]
    exponents: tuple[float, ...]
    trusts: tuple[float | None, ...]
    region_weights: tuple[tuple[float, ...], ...]

    def label(self, k: int) -> str:
        """The label of a region, its number where none is stored."""
        return (self.labels[k] if k < len(self.labels) else "") or f"region {k + 1}"


def answer_traces(statistics: StudyStatistics) -> tuple[AnswerTrace, ...]:
    """Every answer that had a part in a suggestion, oldest first."""
    parts = [
        (number, part) for number, suggestion in sorted(statistics.suggestions.items()) for part in suggestion.answers
    ]
    traces = []
    for asked_at in sorted({part.asked_at for _, part in parts}):
        own = [(number, part) for number, part in parts if part.asked_at == asked_at]
        answers = [one.answer for one in statistics.elicitations if one.trial_number == asked_at]
        traces.append(
            AnswerTrace(
                asked_at=asked_at,
                name=answer_name(own[-1][1]),
                # The regions of several answers to one question stand one after the other in their pool.
                labels=own[-1][1].region_labels or tuple(region.label for one in answers for region in one.regions),
                trials=tuple(number for number, _ in own),
                exponents=tuple(part.exponent for _, part in own),
                trusts=tuple(part.trust for _, part in own),
                region_weights=tuple(part.region_weights for _, part in own),
            )
        )
    return tuple(traces)


def loss_bounds(statistics: StudyStatistics) -> dict[int, float]:
    """Trial number -> from there on the loss is at most this many times the unweighted strategy's bound."""
    return {
        number: suggestion.loss_bound
        for number, suggestion in sorted(statistics.suggestions.items())
        if suggestion.loss_bound is not None
    }


def plot_trust(study: Study) -> go.Figure:
    """Plot what the evidence made of every answer, trial by trial.

    Above the weight of each region of each answer given the evidence since it was asked (together they are the trust in
    the answer), then the exponent with which each answer is multiplied into the acquisition function, below the factor
    of the loss bound. Vertical lines are questions: solid if answered, dotted if not.

    Args:
        study: A study that an `LLMPriorSampler` worked on.

    Returns:
        A figure.

    Raises:
        ImportError: If plotly is not installed.
    """
    statistics = study_statistics(study)
    figure = subplots(3, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.5, 0.25, 0.25])
    traces = answer_traces(statistics)
    index = 0
    for j, answer in enumerate(traces):
        for trace in _weight_traces(answer, index, _DASHES[j % len(_DASHES)]):
            figure.add_trace(trace, row=1, col=1)
            index += 1
    for j, answer in enumerate(traces):
        name = f"exponent, {answer.name}"
        figure.add_trace(_line(answer.trials, answer.exponents, name, colour(-1 - j)), row=2, col=1)
    bounds = loss_bounds(statistics)
    bound = _line(list(bounds), list(bounds.values()), "loss bound", BOUND_COLOUR)
    figure.add_trace(bound.update(showlegend=False), row=3, col=1)
    _mark_questions(figure, statistics)
    figure.update_yaxes(title_text="trust by region", range=[0, 1.03], row=1, col=1)
    figure.update_yaxes(title_text="exponent", rangemode="tozero", row=2, col=1)
    figure.update_yaxes(title_text="loss bound", type="log", nticks=5, row=3, col=1)
    last = max(statistics.suggestions, default=0)
    figure.update_xaxes(range=[-0.5, last + 0.5])
    figure.update_xaxes(title_text="trial", row=3, col=1)
    figure.update_layout(
        title="Trust in the answers", height=620, legend={"orientation": "h", "y": -0.12, "yanchor": "top"}
    )
    return figure


def _weight_traces(answer: AnswerTrace, first: int, dash: str) -> list[Any]:
    n_regions = max((len(row) for row in answer.region_weights), default=0)
    return [
        _line(
            answer.trials,
            [row[k] if k < len(row) else None for row in answer.region_weights],
            f"{answer.name}: {as_text(answer.label(k), limit=MAX_LABEL_CHARACTERS)}",
            colour(first + k),
            dash,
        )
        for k in range(n_regions)
    ]


def _line(x: Any, y: Any, name: str, tint: str, dash: str = "solid") -> Any:
    return graph_objects().Scatter(
        x=list(x),
        y=list(y),
        mode="lines+markers",
        name=name,
        line={"color": tint, "dash": dash, "width": 2},
        marker={"size": 5},
        hovertemplate="trial %{x}: %{y:.3g}<extra>" + name + "</extra>",
    )


def _mark_questions(figure: go.Figure, statistics: StudyStatistics) -> None:
    answered = {elicitation.trial_number for elicitation in statistics.elicitations}
    failed = {failure.trial_number for failure in statistics.failures} - answered
    for number in sorted(answered | failed):
        figure.add_vline(
            x=number, line={"color": QUESTION_COLOUR, "width": 1, "dash": "dot" if number in failed else "solid"}
        )
