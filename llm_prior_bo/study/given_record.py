"""The density that was given to a sampler (`prior=`), kept in its study for whoever reads the study alone.

Only a mixture over choices that JSON holds is kept. Samplers do not read it: each works with the density it was given.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_prior_bo.elicitation.llm.secrets import printable, redact
from llm_prior_bo.errors import LLMPriorError, PriorError
from llm_prior_bo.priors import MixturePrior, OptimumPrior
from llm_prior_bo.priors.mixture_record import mixture_from_dict, mixture_to_dict
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.answer_records import record_texts, warn_once_of_elicitation, write_record
from llm_prior_bo.study.storage import PerStudy
from llm_prior_bo.study.stored_space import distributions_text, read_distributions

if TYPE_CHECKING:
    from optuna import Study

_KIND = "given"


@dataclass(frozen=True)
class GivenRecord:
    """A density that was given.

    Attributes:
        prior: The density, over its own space.
        trial_number: Number of the first trial that it was given for.
    """

    prior: MixturePrior
    trial_number: int


def save_given(study: Study, trial_number: int, prior: OptimumPrior) -> None:
    """Keep a density in the study, unless it is the one that was kept last; once in this process.

    Args:
        study: The study.
        trial_number: Number of the trial that the density is given for.
        prior: The density; nothing is kept of one without an opinion, or of another class than `MixturePrior`.
    """
    saved = _saved(study)
    if id(prior) in saved or not isinstance(prior, MixturePrior) or prior.is_uniform:
        return
    saved[id(prior)] = prior  # the density itself, so that no other one gets its id
    record = _record_of(prior)
    latest = max(_records(study), key=_trial_number, default=None)
    if record is None or (latest is not None and {**latest, "trial_number": None} == record):
        return
    write_record(study, _KIND, trial_number, json.dumps({**record, "trial_number": trial_number}, sort_keys=True))


def load_given(study: Study, *, until: int | None = None) -> GivenRecord | None:
    """The density that a sampler of the study was given last; `None` if none is kept.

    Args:
        study: The study.
        until: Only what was given for this trial or an earlier one counts.
    """
    records = [record for record in _records(study) if until is None or _trial_number(record) <= until]
    latest = max(records, key=_trial_number, default=None)
    if latest is None:
        return None
    try:
        space = SearchSpace(read_distributions(str(latest.get("distributions"))))
        return GivenRecord(mixture_from_dict(latest.get("prior"), space), _trial_number(latest))
    except LLMPriorError as error:
        warn_once_of_elicitation(study, f"A given density kept in the study cannot be used and is ignored: {error}")
        return None


_saved: PerStudy[dict[int, OptimumPrior]] = PerStudy(dict)
"""The densities that this process has looked after."""


def _record_of(prior: MixturePrior) -> dict[str, object] | None:
    """What is kept of a density but for the trial; `None` where it cannot be."""
    distributions = distributions_text(prior.space)
    if not distributions:
        return None
    try:
        kept = mixture_to_dict(prior)
    except PriorError:
        return None
    for region in kept["regions"]:
        region["label"] = printable(redact(region["label"]))
    return {"distributions": distributions, "prior": kept, "trial_number": None}


def _records(study: Study) -> list[dict[str, object]]:
    found = []
    for text in record_texts(study, _KIND):
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and type(record.get("trial_number")) is int:
            found.append(record)
    return found


def _trial_number(record: dict[str, object]) -> int:
    number = record["trial_number"]
    return number if isinstance(number, int) else -1
