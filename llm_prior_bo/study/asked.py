"""What an objective asks for, against what was stated, asked before, and suggested.

Optuna compares what a trial asks for with the suggested space by itself, and where they do not fit raises an error that
names neither the parameter nor where the other distribution comes from. It also takes `(1, 2)` and the `[1, 2]` that a
storage gives back for it for different choices. So no suggested value goes to a trial by that way: Optuna asks for
every parameter alone, and gets the suggested value in the types of the objective.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from llm_prior_bo.errors import SearchSpaceError, SearchSpaceWarning
from llm_prior_bo.space import Column, is_same_parameter
from llm_prior_bo.study.storage import PerStudy, all_trials
from llm_prior_bo.study.trial_records import Suggestion

if TYPE_CHECKING:
    from optuna import Study

MIN_TRIALS = 5
"""Trials that must have ended before a stated parameter that none has asked for is reported: it may be a conditional
one. As many as the start-up design has with a prior."""

MAX_TRIALS_UNTRIED = 20
"""The same while some choice has not been tried yet that the parameter may hang on."""

NOT_SUGGESTED = object()


class SuggestedParams(dict[str, Any]):
    """The suggested values of a trial, of which Optuna takes none by itself: it asks `in` before it takes one."""

    def __contains__(self, name: object) -> bool:
        """Never: the value comes from `sample_independent`, which knows what the trial asks for."""
        return False


def suggested_value(suggestion: Suggestion | None, name: str, asked: BaseDistribution) -> Any:
    """The suggested value as what a trial asks for, `NOT_SUGGESTED` if there is none that fits.

    A value between two values of a grid becomes the nearest one: where the step or its origin depends on another
    parameter, one suggests without knowing the grid. A value outside the range is not moved to its end.

    Args:
        suggestion: What was suggested for the trial.
        name: The parameter.
        asked: What the trial asks for.
    """
    if suggestion is None or name not in suggestion.params:
        return NOT_SUGGESTED
    value, column = suggestion.params[name], Column(name, asked)
    if isinstance(asked, CategoricalDistribution):
        return asked.choices[int(column.encode(value))] if column.contains(value) else NOT_SUGGESTED
    if column.contains(value):
        return int(value) if isinstance(asked, IntDistribution) else float(value)
    step = getattr(asked, "step", None) or 0.0
    is_near = _is_number(value) and (column.is_in_range(value) or column.is_in_range(value - step))
    return column.nearest(value) if is_near else NOT_SUGGESTED


@dataclass
class _Memory:
    """What this process has found in order or reported of one study."""

    checked: dict[str, list[BaseDistribution]] = field(default_factory=dict)
    differing: set[str] = field(default_factory=set)
    unused_is_settled: bool = False


class AskedParameters:
    """Compares what trials ask for with the stated search space and with earlier trials; reports each thing once."""

    def __init__(self) -> None:
        self._memory: PerStudy[_Memory] = PerStudy(_Memory)

    def check(self, study: Study, name: str, asked: BaseDistribution, *, stated: BaseDistribution | None) -> None:
        """Check that a parameter is of the kind that was stated, and that earlier trials asked for.

        Args:
            study: The study.
            name: The parameter.
            asked: What a trial asks for.
            stated: What the user has stated of the parameter, `None` if nothing.

        Raises:
            SearchSpaceError: If it is not.
        """
        checked = self._memory(study).checked.setdefault(name, [])
        if not any(asked is known or is_same_parameter(asked, known) for known in checked):
            if stated is not None and not is_same_parameter(stated, asked):
                raise SearchSpaceError(
                    f"Expected parameter {name!r} as search_space= states it, {stated}, got a trial that asks for "
                    f"{asked}; state in search_space= what the objective asks for."
                )
            _check_earlier(all_trials(study), name, asked)
            checked.append(asked)
        if stated is not None:
            self._report_range(study, name, stated, asked)

    def is_reported(self, study: Study, name: str) -> bool:
        """Whether a warning has said that a trial asks for another range of a parameter than the stated one."""
        return name in self._memory(study).differing

    def report_unused(self, study: Study, stated: Mapping[str, BaseDistribution]) -> None:
        """Warn, once, of stated parameters that no trial has asked for. To be called when a trial has ended."""
        memory = self._memory(study)
        if not stated or memory.unused_is_settled:
            return  # before all trials are read
        trials = all_trials(study)
        asked = {name for trial in trials for name in trial.params}
        unused = [name for name in stated if name not in asked]
        n_ended = sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials) + 1  # and this one
        alike = {name: _alike(name, asked - stated.keys()) for name in unused}
        n_needed = MAX_TRIALS_UNTRIED if _has_untried_choice(trials) else MIN_TRIALS
        if unused and n_ended < n_needed and not any(alike.values()):
            return
        memory.unused_is_settled = True
        if unused:
            hints = [f"{name!r}{f' (is {alike[name]!r} meant?)' if alike[name] else ''}" for name in unused]
            warnings.warn(
                f"search_space= states {', '.join(hints)}, and none of the {n_ended} trials that have ended asked for "
                f"{'it' if len(unused) == 1 else 'them'}; leave out what the objective "
                "never asks for; a conditional parameter may still come.",
                SearchSpaceWarning,
                stacklevel=2,
            )

    def _report_range(self, study: Study, name: str, stated: BaseDistribution, asked: BaseDistribution) -> None:
        if asked is stated or Column(name, stated) == Column(name, asked):
            return
        differing = self._memory(study).differing
        if name in differing:
            return
        differing.add(name)
        warnings.warn(
            f"search_space= states {stated} for parameter {name!r}, and a trial asks for {asked}: values are suggested "
            "within what is stated, those that do not fit are replaced; state the range that holds all that the "
            "objective asks for.",
            SearchSpaceWarning,
            stacklevel=2,
        )


def _check_earlier(trials: Sequence[FrozenTrial], name: str, asked: BaseDistribution) -> None:
    for trial in trials:
        known = trial.distributions.get(name)
        if known is not None and not is_same_parameter(known, asked):
            raise SearchSpaceError(
                f"Expected parameter {name!r} of the kind that trial {trial.number} asked for, {known}, got a trial "
                f"that asks for {asked}; Optuna takes one kind of distribution, scale and set of choices for a name: "
                "use another name, or a new study."
            )


def _has_untried_choice(trials: Sequence[FrozenTrial]) -> bool:
    """Whether some categorical parameter that trials asked for has a choice that none of them had."""
    tried: dict[str, set[float]] = {}
    n_choices: dict[str, int] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            if isinstance(distribution, CategoricalDistribution) and name in trial.params:
                n_choices[name] = len(distribution.choices)
                tried.setdefault(name, set()).add(distribution.to_internal_repr(trial.params[name]))
    return any(len(indices) < n_choices[name] for name, indices in tried.items())


def _alike(name: str, others: set[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, sorted(others), n=1)), None)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
