"""Choose a classifier and tune it: parameters that exist only for some values of another one.

    python examples/conditional.py

With `search_space=` the sampler knows every parameter from the start, the conditional ones included. So a single answer
of the language model (a recorded one here) covers all classifiers, the first trial already comes from it, and the
surrogate models all parameters together: those that a trial does not ask for count as inactive in it. Without
`search_space=` the parameters would be found as the trials ask for them.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from sklearn.base import BaseEstimator
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from llm_prior_bo import LLMPriorSampler, ReplayElicitor, answers_of, explain

RECORDED_ANSWER = Path(__file__).parent / "answers" / "digit_classifiers.json"

SEARCH_SPACE: dict[str, BaseDistribution] = {
    "classifier": CategoricalDistribution(["svm", "forest", "logistic", "neighbors"]),
    "svm_C": FloatDistribution(0.01, 1e4, log=True),
    "svm_gamma": FloatDistribution(1e-5, 10.0, log=True),
    "forest_max_features": FloatDistribution(0.02, 1.0, log=True),
    "forest_min_samples_leaf": IntDistribution(1, 30, log=True),
    "logistic_C": FloatDistribution(1e-4, 1e4, log=True),
    "neighbors_k": IntDistribution(1, 50, log=True),
}

ATTRIBUTES = {
    "problem_type": "classification of small images into 10 classes",
    "problem_description": "Handwritten digits of scikit-learn (load_digits), 8 x 8 grey pixels as 64 inputs scaled to "
    "0..1, 500 images of the 1,797. The objective is the error rate of a stratified five-fold cross-validation.",
    "model_type": "A classifier of scikit-learn and its settings; what is not tuned has its default. svm: SVC with an "
    "RBF kernel. forest: RandomForestClassifier of 100 trees. logistic: LogisticRegression with L2 penalty. neighbors: "
    "KNeighborsClassifier with k neighbours, Euclidean distance, equal weights.",
    "constraints": "A parameter whose name begins with a classifier is active only if `classifier` is that one.",
    "dataset_size": "500 rows, 64 features; each model is trained on 400 of them",
}
"""All that the language model gets to know beside the search space; the conditions are said in words."""


def suggest_classifier(trial: optuna.trial.BaseTrial) -> BaseEstimator:
    """Ordinary Optuna code: only the chosen classifier's parameters are asked for."""
    match trial.suggest_categorical("classifier", ["svm", "forest", "logistic", "neighbors"]):
        case "svm":
            C = trial.suggest_float("svm_C", 0.01, 1e4, log=True)
            return SVC(C=C, gamma=trial.suggest_float("svm_gamma", 1e-5, 10.0, log=True))
        case "forest":
            return RandomForestClassifier(
                max_features=trial.suggest_float("forest_max_features", 0.02, 1.0, log=True),
                min_samples_leaf=trial.suggest_int("forest_min_samples_leaf", 1, 30, log=True),
                random_state=0,
            )
        case "logistic":
            return LogisticRegression(C=trial.suggest_float("logistic_C", 1e-4, 1e4, log=True), max_iter=5000)
        case _:
            return KNeighborsClassifier(trial.suggest_int("neighbors_k", 1, 50, log=True))


def objective(trial: optuna.trial.BaseTrial) -> float:
    """Error rate of a cross-validation on 500 images."""
    X, y = load_digits(return_X_y=True)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return 1.0 - float(cross_val_score(suggest_classifier(trial), X[:500] / 16, y[:500], cv=folds).mean())


def show(study: optuna.Study) -> None:
    """The answer, how often each classifier was tried, and where the last suggestion came from."""
    print(*answers_of(study), sep="\n")
    errors = defaultdict(list)
    for trial in study.trials:
        errors[trial.params["classifier"]].append(trial.values[0])
    print("\nWhat was tried:")
    for name, own in sorted(errors.items(), key=lambda item: min(item[1])):
        print(f"  {name:<10}{len(own):3} trials, best error {min(own):.1%}")
    print(f"\nBest: {study.best_params}\n\n{explain(study, len(study.trials) - 1)}")


def main(n_trials: int = 20) -> optuna.Study:
    """Tune, and show what came of it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = LLMPriorSampler(  # with a key: LLMPriorSampler("gpt-4o", search_space=SEARCH_SPACE)
        elicitor=ReplayElicitor(RECORDED_ANSWER), search_space=SEARCH_SPACE, seed=0
    )
    study = optuna.create_study(direction="minimize", sampler=sampler)
    for name, text in ATTRIBUTES.items():
        study.set_user_attr(name, text)
    study.optimize(objective, n_trials=n_trials)
    show(study)
    return study


if __name__ == "__main__":
    main()
