"""What a language model may see of a study, read through its storage.

The `study` that a sampler is given under a pruner with brackets has no user attributes and shows the trials of its own
bracket only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from llm_prior_bo.elicitation.masking import names_in
from llm_prior_bo.elicitation.prompt.context import (
    CONDITIONS,
    DEFAULT_MAX_PROMPT_TOKENS,
    MAX_PARAMETER_DESCRIPTION_CHARACTERS,
    PARAMETER_DESCRIPTIONS,
    STUDY_ATTRIBUTES,
    StudyContext,
    TrialSummary,
    attribute_text,
    select_trials,
)
from llm_prior_bo.elicitation.prompt.insights import StudyInsights
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.space import FloatArray, SearchSpace
from llm_prior_bo.study.storage import all_trials, metric_names, study_user_attributes, trial_constraints

if TYPE_CHECKING:
    from optuna import Study


def study_context(
    study: Study,
    space: SearchSpace,
    *,
    max_context_trials: int = 10,
    n_trials: int | None = None,
    trial_number: int | None = None,
    insights: StudyInsights | None = None,
    max_prompt_tokens: int = DEFAULT_MAX_PROMPT_TOKENS,
) -> StudyContext:
    """Read a study.

    Args:
        study: The study, or what a pruner with brackets passes for it.
        space: The parameters to ask about.
        max_context_trials: How many trials are shown at most.
        n_trials: The study's budget; the study's user attribute `n_trials` if left out, unknown if there is none.
        trial_number: Number of the trial for which the answer is asked; the next one if left out.
        insights: What the surrogate has learned, for a later question.
        max_prompt_tokens: Size that the question is shortened to if it is longer.

    Raises:
        ConfigurationError: If `max_context_trials` is negative.
    """
    if max_context_trials < 0:
        raise ConfigurationError(f"Expected max_context_trials >= 0, got {max_context_trials}.")
    trials = all_trials(study)
    finished = [t for t in trials if t.state == TrialState.COMPLETE and t.values is not None]
    unsuccessful = [t for t in trials if t.state in (TrialState.FAIL, TrialState.PRUNED)]
    ranked = _ranked(finished, study.directions)
    best, shown = select_trials(ranked, finished, unsuccessful, max_context_trials)
    return StudyContext(
        distributions=dict(space.distributions),
        directions=tuple(direction.name.lower() for direction in study.directions),
        metric_names=tuple(attribute_text(name) or "unnamed" for name in metric_names(study)),
        **_study_attributes(study, names_in(space.distributions)),
        n_finished=len(finished),
        n_unsuccessful=len(unsuccessful),
        n_trials=_budget(study) if n_trials is None else n_trials,
        trials=tuple(_summary(trial) for trial in shown),
        best_trials=tuple(trial.number for trial in best),
        trial_number=len(trials) if trial_number is None else trial_number,
        insights=insights,
        parameter_descriptions=_parameter_texts(study, space, PARAMETER_DESCRIPTIONS),
        conditions=_parameter_texts(study, space, CONDITIONS),
        max_prompt_tokens=max_prompt_tokens,
    )


def _study_attributes(study: Study, keep: Sequence[str]) -> dict[str, Any]:
    attributes = study_user_attributes(study)
    return {name: attribute_text(attributes.get(name), keep=keep) for name in STUDY_ATTRIBUTES}


def _budget(study: Study) -> int | None:
    """The number of trials that the user plans; Optuna knows it inside `optimize` only and tells nobody."""
    value = study_user_attributes(study).get("n_trials")
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _parameter_texts(study: Study, space: SearchSpace, attribute: str) -> dict[str, str]:
    """What the user says about parameters of the space; whatever is not a dict says nothing."""
    given = study_user_attributes(study).get(attribute)
    if not isinstance(given, Mapping):
        return {}
    limit, keep = MAX_PARAMETER_DESCRIPTION_CHARACTERS, names_in(space.distributions)
    texts = {name: attribute_text(given[name], limit=limit, keep=keep) for name in space.names if name in given}
    return {name: text for name, text in texts.items() if text is not None}


def _summary(trial: FrozenTrial) -> TrialSummary:
    constraints = list(trial_constraints(trial).values())
    return TrialSummary(
        number=trial.number,
        params=dict(trial.params),
        values=tuple(trial.values) if trial.state == TrialState.COMPLETE and trial.values is not None else None,
        state=trial.state.name.lower(),
        feasible=all(value <= 0 for value in constraints) if constraints else None,
    )


def _ranked(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> list[FrozenTrial]:
    """Finished trials, best first: feasible before infeasible, then by how many others dominate them, then by ranks.

    For one objective that is the order of the objective. Ties go to the earlier trial.
    """
    if not trials:
        return []
    signs = np.array([-1.0 if direction == StudyDirection.MAXIMIZE else 1.0 for direction in directions])
    losses = np.nan_to_num(np.array([trial.values for trial in trials], dtype=float) * signs, nan=np.inf)  # n x m
    violated = np.array([sum(max(value, 0.0) for value in trial_constraints(trial).values()) for trial in trials])
    # n x m ranks: the sum over objectives breaks ties within a Pareto front, whatever the objectives' units.
    ranks = np.stack([np.unique(column, return_inverse=True)[1].ravel() for column in losses.T], axis=-1)
    # With one objective the rank says it all, and counting would be quadratic for nothing.
    n_dominators = [_count_dominators(losses, row) if len(row) > 1 else 0 for row in losses]
    order = np.lexsort(np.stack([np.arange(len(trials)), ranks.sum(axis=-1), n_dominators, violated]))
    return [trials[i] for i in order]


def _count_dominators(losses: FloatArray, row: FloatArray) -> int:
    return int(np.sum(np.all(losses <= row, axis=-1) & np.any(losses < row, axis=-1)))
