"""The figures and a note of a study in Optuna Dashboard."""

from __future__ import annotations

import math
import re
import time
import warnings
from typing import TYPE_CHECKING

from llm_prior_bo.elicitation.answer.remarks import remarks
from llm_prior_bo.errors import ConfigurationError, LLMPriorWarning
from llm_prior_bo.study.diagnostics import StudyStatistics, study_statistics
from llm_prior_bo.study.storage import set_study_attribute, study_attributes
from llm_prior_bo.visualization.attribution import plot_attribution
from llm_prior_bo.visualization.beliefs import beliefs_in_words, latest_scored
from llm_prior_bo.visualization.plotly_import import import_optional
from llm_prior_bo.visualization.prior import plot_prior
from llm_prior_bo.visualization.sources import bound_text, has_stated_prior
from llm_prior_bo.visualization.trust import plot_trust

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

PUBLISHED_KEY = "llm_prior_bo:published"
"""Attribute of a study with the time (seconds since 1970) at which one of its workers began to publish."""

TITLE = "## Belief about the optimum"
"""How a note of this package begins: a note that begins otherwise is somebody's own, and stays."""


def publish_to_dashboard(study: Study) -> tuple[str, ...]:
    """Show the prior, the trust in it and the scores in Optuna Dashboard, and a note with the belief in words.

    Call it again to bring them up to date. The figures are kept in the study's storage as attributes, some tens of
    kilobytes each, which every worker of the study reads: publish when the study is done, or now and then, for which
    there is `DashboardCallback`.

    Args:
        study: A study that an `LLMPriorSampler` worked on, in a storage that the dashboard shows.

    Returns:
        Identifiers of the figures; those for which there is nothing to draw yet are left out.

    Raises:
        ImportError: If Optuna Dashboard or plotly is not installed; `pip install "llm-prior-bo[dashboard]"`.
    """
    dashboard = import_optional("optuna_dashboard", extra="dashboard")
    statistics = study_statistics(study)
    figures = {}
    if has_stated_prior(study):
        figures["llm_prior_bo:prior"] = plot_prior(study)
    if latest_scored(statistics) is not None:
        figures["llm_prior_bo:trust"] = plot_trust(study)
        figures["llm_prior_bo:attribution"] = plot_attribution(study)
    for name, figure in figures.items():
        dashboard.save_plotly_graph_object(study, figure, graph_object_id=name)
    note = dashboard.get_note(study)
    if not note or note.startswith(TITLE):
        dashboard.save_note(study, note_of(statistics))
    return tuple(figures)


class DashboardCallback:
    """Publishes to Optuna Dashboard as trials finish, at most once in a while, whatever the number of workers.

    Example:
        >>> study.optimize(objective, n_trials=50, callbacks=[DashboardCallback()])
        >>> publish_to_dashboard(study)  # what has happened since the last time

    The time of the last publication is kept in the study, so that all its workers together keep the pace; their clocks
    must agree to within `min_seconds`. Figures that cannot be drawn or stored do not stop a study: it warns once.

    Args:
        min_seconds: Least time from one publication to the next. Drawing takes some tenths of a second.

    Raises:
        ConfigurationError: If `min_seconds` is not a finite number of at least 0.
        ImportError: If Optuna Dashboard or plotly is not installed; `pip install "llm-prior-bo[dashboard]"`.
    """

    def __init__(self, *, min_seconds: float = 60.0) -> None:
        if not (0.0 <= min_seconds < math.inf):
            raise ConfigurationError(f"Expected min_seconds to be a finite number >= 0, got {min_seconds!r}.")
        for name in ("optuna_dashboard", "plotly.graph_objects"):
            import_optional(name, extra="dashboard")
        self._min_seconds = float(min_seconds)
        self._has_warned = False

    def __call__(self, study: Study, trial: FrozenTrial) -> None:
        """Publish if it is time; Optuna calls this when a trial has finished."""
        del trial
        try:
            if self._is_due(study):
                publish_to_dashboard(study)
        except Exception as error:  # training goes on, whatever is wrong with a figure
            if not self._has_warned:
                self._has_warned = True
                warnings.warn(
                    f"Expected to publish to Optuna Dashboard, got {type(error).__name__}: {error}; the study goes on "
                    "without, and this is said once.",
                    LLMPriorWarning,
                    stacklevel=2,
                )

    def _is_due(self, study: Study) -> bool:
        """Whether nobody has begun to publish lately; says so in the study if not."""
        now, last = time.time(), study_attributes(study).get(PUBLISHED_KEY)
        # A time that lies ahead is from a clock that is wrong, or nobody's at all.
        if isinstance(last, int | float) and abs(now - last) < self._min_seconds:
            return False
        set_study_attribute(study, PUBLISHED_KEY, now)
        return True


def note_of(statistics: StudyStatistics) -> str:
    """The belief in words, as Markdown, in which nothing that a model wrote is markup."""
    parts = [TITLE]
    suggestion = latest_scored(statistics)
    if suggestion is not None:
        parts.append(
            f"From here on the loss is at most **{bound_text(suggestion.loss_bound)} times** the bound of the same "
            "strategy without a prior."
        )
    for elicitation in statistics.elicitations:
        parts.append(f"### Answer of trial {elicitation.trial_number}")
        parts.append(_as_markdown(remarks(elicitation.answer)))
        for label, sentences in beliefs_in_words(elicitation.answer):
            parts.append(f"**{_as_markdown(label)}**")
            parts.append("\n".join(f"- {_as_markdown(sentence)}" for sentence in sentences))
    return "\n\n".join(part for part in parts if part) + "\n"


def _as_markdown(text: str) -> str:
    """A text of one line that Markdown shows as it is: every ASCII punctuation mark may be escaped (CommonMark 2.4)."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)
