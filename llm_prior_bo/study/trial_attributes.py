"""What the prior had to do with a trial, as user attributes of it: for tables and trackers, which show nothing else.

Optuna's dashboard, `Study.trials_dataframe` and Optuna's MLflow callback show user attributes only. All of it is stored
anyway, as one system attribute (`trial_records`); this is a copy for people, and nothing reads it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial

from llm_prior_bo.study.storage import enqueued_names, set_trial_user_attribute
from llm_prior_bo.study.trial_records import Suggestion

if TYPE_CHECKING:
    from optuna import Study

PREFIX = "llm_prior_"
"""Of every name. Without a colon, which MLflow refuses in a tag's name on Windows."""

MAX_REGION_CHARACTERS = 80

_OF_THE_MOMENT = ("phase", "trust", "exponent", "loss_bound")
_OF_THE_POINT = ("source", "region", "log_prior")


def write_trial_attributes(study: Study, trial: FrozenTrial, suggestion: Suggestion | None) -> None:
    """Set the attributes of a trial.

    Args:
        study: The study.
        trial: A running trial.
        suggestion: What was suggested for it; `None`: nothing, each of its parameters is sampled on its own.
    """
    for name, value in trial_attributes(suggestion, enqueued=enqueued_names(trial)).items():
        set_trial_user_attribute(study, trial, name, value)


def trial_attributes(
    suggestion: Suggestion | None, *, enqueued: frozenset[str] = frozenset()
) -> dict[str, str | float]:
    """The attributes as short texts and finite numbers; what is unknown is left out.

    Args:
        suggestion: What was suggested for a trial, if anything.
        enqueued: Names of parameters whose values were given and not suggested.

    Returns:
        `llm_prior_phase` ("startup", "model", or "independent" where nothing was suggested), `llm_prior_source` (of a
        start-up point: "mode", "region", "draw", "uniform"; "enqueued" where a value was given), `llm_prior_region`,
        `llm_prior_trust`, `llm_prior_exponent`, `llm_prior_log_prior` and `llm_prior_loss_bound`, as in `Suggestion`.
    """
    if suggestion is None:
        told: dict[str, str | float | None] = {"phase": "independent"}
    else:
        told = {name: getattr(suggestion, name) for name in _OF_THE_MOMENT}
        if not enqueued.isdisjoint(suggestion.params):
            told["source"] = "enqueued"  # the suggested point was not evaluated
        else:
            told |= {name: getattr(suggestion, name) for name in _OF_THE_POINT}
    return {PREFIX + name: _short(value) for name, value in told.items() if _is_known(value)}


def _short(value: str | float | None) -> str | float:
    assert value is not None
    return value[:MAX_REGION_CHARACTERS] if isinstance(value, str) else value


def _is_known(value: str | float | None) -> bool:
    return value is not None and (isinstance(value, str) or math.isfinite(value))
