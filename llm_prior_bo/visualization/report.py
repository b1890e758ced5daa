"""One page about a study: what was believed, what came of it, what it cost."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState

from llm_prior_bo.elicitation.llm.secrets import printable
from llm_prior_bo.elicitation.record import Elicitation
from llm_prior_bo.study.diagnostics import StudyStatistics, study_statistics
from llm_prior_bo.study.trial_records import Suggestion
from llm_prior_bo.visualization.attribution import plot_attribution
from llm_prior_bo.visualization.beliefs import beliefs_in_words, latest_scored
from llm_prior_bo.visualization.comparison import plot_comparison
from llm_prior_bo.visualization.plotly_import import UNIFORM_COLOUR, answer_name, colour, import_optional, shortened
from llm_prior_bo.visualization.prior import prior_figure
from llm_prior_bo.visualization.prior_pair import pair_figure
from llm_prior_bo.visualization.sources import (
    bound_text,
    finished_trials,
    has_stated_prior,
    incumbents,
    stated_prior,
    value_text,
)
from llm_prior_bo.visualization.trust import plot_trust

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from optuna import Study
    from optuna.trial import FrozenTrial

    from llm_prior_bo.priors import MixturePrior

TEMPLATES = Path(__file__).parent / "templates"

MAX_PAIRS = 4
"""Pairs of parameters that are drawn: those that an answer says are correlated, the strongest first."""


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One line of the table of trials, as texts."""

    number: int
    value: str
    is_best: bool
    origin: str
    data: str
    prior: str
    feasibility: str
    trust: str
    bound: str


def save_report(study: Study, path: str | os.PathLike[str]) -> Path:
    """Write one page about a study: the belief, the evidence, every question, the figures, the trials.

    The page is one HTML file that needs no network: plotly.js is in it (about five megabytes). What users and models
    have written is escaped, and the page's policy lets no script run but its own.

    Args:
        study: A study that an `LLMPriorSampler` worked on, in this process or another.
        path: Where to write; an existing file is replaced.

    Returns:
        The path.

    Raises:
        ImportError: If plotly or Jinja is not installed; `pip install "llm-prior-bo[visualization]"`.
        OSError: If the file cannot be written.
    """
    target = Path(path)
    target.write_text(render_report(study), encoding="utf-8")
    return target


def render_report(study: Study) -> str:
    """The page that `save_report` writes."""
    jinja2 = import_optional("jinja2")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES, encoding="utf-8"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = lambda text: printable(str(text), keep="\n\t")
    page: str = environment.get_template("report.html").render(_content(study))
    return page


def _content(study: Study) -> dict[str, Any]:
    statistics = study_statistics(study)
    prior = stated_prior(study) if has_stated_prior(study) else None
    return {
        "name": study.study_name,
        "description": study.user_attrs.get("problem_description"),
        "statistics": statistics,
        "facts": facts(study, statistics),
        "best": incumbents(study),
        "value_text": value_text,
        "regions": [] if prior is None else _legend(prior),
        "prior_figures": [] if prior is None else _prior_figures(study, prior),
        "pair_figures": [] if prior is None else _pair_figures(study, prior),
        "figures": _study_figures(study, statistics),
        "certificate": latest_scored(statistics),
        "questions": [_question(elicitation) for elicitation in statistics.elicitations],
        "trials": trial_rows(study, statistics),
        "bound_text": bound_text,
        "answer_name": answer_name,
        "plotly_js": import_optional("plotly.offline").get_plotlyjs(),
        "nonce": secrets.token_urlsafe(16),  # scripts without it, planted ones, do not run
    }


def facts(study: Study, statistics: StudyStatistics) -> list[tuple[str, str]]:
    """The numbers at the top of the page, as (title, text); what is unknown is said to be."""
    trials = study.get_trials(deepcopy=False)
    n_failed = sum(trial.state == TrialState.FAIL for trial in trials)
    usage = statistics.usage
    return [
        ("Trials", f"{len(trials)}" + (f", {n_failed} failed" if n_failed else "")),
        ("Answers", f"{len(statistics.elicitations)}"),
        ("Unanswered", f"{len(statistics.failures)}"),
        ("Requests", f"{usage.n_calls}"),
        ("Tokens", "unknown" if statistics.tokens is None else f"{statistics.tokens:,}"),
        ("Cost", "unknown" if statistics.cost_usd is None else f"${statistics.cost_usd:.4g}"),
        ("Time asking", f"{usage.latency_s:.3g} s"),
    ]


def trial_rows(study: Study, statistics: StudyStatistics) -> list[TrialRow]:
    """What the prior had to do with every trial, oldest first."""
    best = {trial.number for trial in incumbents(study)}
    return [
        _trial_row(trial, statistics.suggestions.get(trial.number), is_best=trial.number in best)
        for trial in study.get_trials(deepcopy=False)
    ]


def _trial_row(trial: FrozenTrial, suggestion: Suggestion | None, *, is_best: bool) -> TrialRow:
    def signed(number: float | None) -> str:
        return "–" if number is None else f"{number:+.2f}"

    if suggestion is None:
        return TrialRow(trial.number, value_text(trial), is_best, "elsewhere", *["–"] * 5)
    return TrialRow(
        number=trial.number,
        value=value_text(trial),
        is_best=is_best,
        origin=suggestion.origin,
        data=signed(suggestion.log_acquisition),
        prior=signed(suggestion.prior_score),
        feasibility=signed(suggestion.feasibility_score),
        trust="–" if suggestion.trust is None else f"{suggestion.trust:.0%}",
        bound=bound_text(suggestion.loss_bound),
    )


def _legend(prior: MixturePrior) -> list[tuple[str, str, str]]:
    """Colour, label and weight of each region and of the uniform component."""
    rows = [
        (colour(k), shortened(region.label) or f"region {k + 1}", f"{weight:.0%}")
        for k, (region, weight) in enumerate(zip(prior.regions, prior.weights.tolist(), strict=True))
    ]
    return [*rows, (UNIFORM_COLOUR, "anywhere", f"{prior.uniform_weight:.0%}")]


def _question(elicitation: Elicitation) -> dict[str, Any]:
    return {"record": elicitation, "usage": elicitation.usage, "regions": beliefs_in_words(elicitation.answer)}


# Figures -------------------------------------------------------------------------------------------------------------


def _prior_figures(study: Study, prior: MixturePrior) -> list[str]:
    """One figure for each parameter, so that a narrow screen shows them one below the other."""
    figures = [prior_figure(prior, [name], study, n_columns=1) for name in prior.space.names]
    return [_embedded(figure, height=270, showlegend=False) for figure in figures]


def _pair_figures(study: Study, prior: MixturePrior) -> list[str]:
    pairs: dict[tuple[str, str], float] = {}
    for region in prior.regions:
        for pair, rho in region.correlations.items():
            pairs[pair] = max(pairs.get(pair, 0.0), abs(rho))
    strongest = islice(sorted(pairs, key=lambda pair: -pairs[pair]), MAX_PAIRS)
    return [_embedded(pair_figure(prior, *pair, study), height=360, showlegend=False) for pair in strongest]


def _study_figures(study: Study, statistics: StudyStatistics) -> dict[str, str]:
    """Those for which there is something to draw, by what they show."""
    figures: dict[str, str] = {}
    if len(study.directions) == 1 and finished_trials(study):
        figures["best"] = _embedded(plot_comparison(study), height=300, showlegend=False)
    if latest_scored(statistics) is not None:
        figures["trust"] = _embedded(plot_trust(study), height=620)
    if any(suggestion.phase == "model" for suggestion in statistics.suggestions.values()):
        figures["attribution"] = _embedded(plot_attribution(study), height=440)
    return figures


def _embedded(figure: go.Figure, **layout: Any) -> str:
    """A figure as JSON that can stand within a script element: no tag can end it."""
    transparent = "rgba(0,0,0,0)"  # the page's own colours show through, light or dark
    figure.update_layout(
        title=None,
        template="none",
        margin={"l": 58, "r": 14, "t": 14, "b": 48},
        paper_bgcolor=transparent,
        plot_bgcolor=transparent,
        **layout,
    )
    text = json.dumps(json.loads(figure.to_json()), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
