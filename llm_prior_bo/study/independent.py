"""Why a parameter is sampled on its own, not together with the others: said once, and never hidden."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution

from llm_prior_bo.errors import IndependentSamplingWarning
from llm_prior_bo.study.inferred_space import MIN_OCCURRENCES, InferredSpace
from llm_prior_bo.study.locks import ForkSafeLock


@dataclass
class IndependentWarnings:
    """Gives one warning for each parameter of a study.

    Args:
        enabled: Whether to warn at all.
        given: Parameters and studies that were warned of already.
    """

    enabled: bool = True
    given: set[tuple[str, str]] = field(default_factory=set)

    def is_silent(self, study_name: str, name: str) -> bool:
        """Whether a parameter was warned of before, or nothing is: then no reason has to be looked for."""
        return not self.enabled or (study_name, name) in self.given

    def warn(self, study_name: str, name: str, *, how: str, why: str | None) -> None:
        """Warn, unless this parameter was warned of before or there is no reason to give.

        Args:
            study_name: Name of the study.
            name: Name of the parameter.
            how: What its value comes from instead.
            why: The reason, from `why_independent`.
        """
        if why is None:
            return
        with _lock:  # threads of one process share this object
            if self.is_silent(study_name, name):
                return
            self.given.add((study_name, name))
        warnings.warn(
            f"Parameter {name!r} is sampled independently of the others, {how}: {why} If this is intended, "
            "warn_independent_sampling=False silences the warning.",
            IndependentSamplingWarning,
            stacklevel=2,
        )


_lock = ForkSafeLock()


def why_independent(
    name: str,
    distribution: BaseDistribution,
    *,
    stated: Mapping[str, BaseDistribution] | None,
    found: InferredSpace,
    suggested: Mapping[str, Any],
) -> str | None:
    """The reason why a parameter is not sampled together with the others.

    Args:
        name: Name of the parameter.
        distribution: What the trial asks for.
        stated: The search space that the user has given, `None` if there is none.
        found: What earlier trials have asked for.
        suggested: What was suggested for this trial.

    Returns:
        A sentence with what to do, or `None` before anything is known of the study, when there is no other way.
    """
    known = found.modelled if stated is None else stated
    if stated is None and found.n_trials == 0:
        return None
    if name in suggested and name in known:
        return (
            f"{suggested[name]!r} was suggested out of {known[name]}, and the trial asks for {distribution}; give "
            "parameters of other ranges other names."
        )
    if stated is not None:
        has = f"has {stated[name]} for it" if name in stated else "does not have it"
        return f"the given search space {has}, and the trial asks for {distribution}; state it there."
    if name in known:
        return "when the others were suggested, too few finished trials had asked for it; later trials will differ."
    n = found.n_occurrences(name)
    so_far = f"{n or 'none'} of the {found.n_trials} finished trials asked for it"
    if n and found.distributions[name].single():
        so_far = f"so far it had one value, {found.distributions[name]}"
    elif n >= MIN_OCCURRENCES:
        so_far = f"the latest trials did not ask for it, and {n} of the {found.n_trials} finished ones did"
    return f"{so_far}; state all parameters, conditional ones included, with search_space=."
