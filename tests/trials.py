"""Trials as a sampler is given them."""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial


def start(study: optuna.Study) -> FrozenTrial:
    """A running trial as a sampler is given it."""
    return study._storage.get_trial(study._storage.create_new_trial(study._study_id))
