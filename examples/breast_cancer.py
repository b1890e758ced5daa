"""A task that several examples share: gradient-boosted trees on scikit-learn's breast cancer data.

Nothing here knows about any sampler: this is what a user brings along. A configuration is scored by the log loss of
three-fold cross-validation, which takes well below a second.
"""

from __future__ import annotations

import optuna
from optuna.distributions import BaseDistribution
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score

ATTRIBUTES = {
    "problem_type": "binary classification of a table",
    "problem_description": "scikit-learn's breast cancer data (load_breast_cancer): 30 numeric features, 212 malignant "
    "and 357 benign cases. The objective is the log loss, mean of a stratified three-fold cross-validation.",
    "model_type": "scikit-learn's HistGradientBoostingClassifier without early stopping; what is not tuned has its "
    "default. max_features is the share of the features that is drawn at random for each split.",
    "dataset_size": "569 rows, 30 features; each model is trained on two thirds of the rows",
}
"""All that a language model gets to know beside the search space."""


def describe(study: optuna.Study) -> None:
    """Tell the study what is being tuned."""
    for name, text in ATTRIBUTES.items():
        study.set_user_attr(name, text)


def suggest(trial: optuna.trial.BaseTrial) -> dict[str, float]:
    """The six hyperparameters."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.005, 1.0, log=True),
        "max_iter": trial.suggest_int("max_iter", 10, 200, log=True),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 2, 64, log=True),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, 100, log=True),
        "l2_regularization": trial.suggest_float("l2_regularization", 1e-6, 100.0, log=True),
        "max_features": trial.suggest_float("max_features", 0.05, 1.0),
    }


DEFAULTS = {
    "learning_rate": 0.1,
    "max_iter": 100,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 20,
    "l2_regularization": 1e-6,
    "max_features": 1.0,
}
"""Those of scikit-learn, as near as the ranges allow: it has no regularisation."""


def search_space() -> dict[str, BaseDistribution]:
    """The same ranges as Optuna distributions, by name."""
    trial = optuna.trial.FixedTrial(DEFAULTS)
    suggest(trial)
    return trial.distributions


def objective(trial: optuna.trial.BaseTrial) -> float:
    """Log loss of a cross-validation; the same parameters always have the same one."""
    model = HistGradientBoostingClassifier(early_stopping=False, random_state=0, **suggest(trial))
    X, y = load_breast_cancer(return_X_y=True)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    return -float(cross_val_score(model, X, y, cv=folds, scoring="neg_log_loss").mean())
