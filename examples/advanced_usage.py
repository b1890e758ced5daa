"""Two objectives, a constraint, own knowledge: what one can tell and set beyond `basic_usage.py`.

    python examples/advanced_usage.py

A random forest has to read digits on a small device: few errors, few comparisons for an image, and no more nodes than
the memory holds. The first study asks a language model (a recorded one here), tells it what is known, and asks again
after ten trials: a colleague, who has seen them. The second asks nobody: it pools the model's answer with a belief of
one's own, and lets it fade by a schedule of one's own.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from llm_prior_bo import (
    Elicitation,
    FixedElicitor,
    LLMPriorSampler,
    MixturePrior,
    PriorAnswer,
    RefreshPolicy,
    ReplayElicitor,
    SearchSpace,
    StudyContext,
    answers_of,
    build_prior,
    pool_priors,
    study_statistics,
)

RECORDED_ANSWER = Path(__file__).parent / "answers" / "forest.json"

# ---- The problem

MAX_NODES = 4_000

SEARCH_SPACE: dict[str, BaseDistribution] = {
    "n_estimators": IntDistribution(3, 100, log=True),
    "max_depth": IntDistribution(2, 25),
    "max_features": FloatDistribution(0.02, 1.0, log=True),
    "min_samples_leaf": IntDistribution(1, 20, log=True),
    "criterion": CategoricalDistribution(["gini", "entropy"]),
    "bootstrap": CategoricalDistribution([True, False]),
}

METRICS = ["error", "comparisons"]

ATTRIBUTES: dict[str, Any] = {
    "n_trials": 25,
    "problem_type": "classification of small images into 10 classes, by a device with little memory and time",
    "problem_description": "Handwritten digits of scikit-learn (load_digits), 8 x 8 grey pixels as 64 inputs. error: "
    "share of 897 validation images that are put into the wrong class. comparisons: mean number of comparisons of a "
    "pixel with a threshold that the trees make for one image, on all trees together.",
    "model_type": "scikit-learn's RandomForestClassifier; what is not tuned has its default.",
    "dataset_size": "900 training rows, 64 features",
    "constraints": f"The trees together may have at most {MAX_NODES:,} nodes, inner nodes and leaves counted.",
    "domain_knowledge": "A fifth of the pixels, those at the left and right edges, are blank in nearly every image. "
    "Neighbouring pixels say much the same. Nobody would accept an error above 10 %.",
    "parameter_descriptions": {
        "max_features": "share of the 64 pixels that is drawn at random for each split",
        "bootstrap": "whether each tree is trained on a bootstrap sample of the rows",
    },
}
"""All that the language model gets to know beside the search space, the directions and their names."""


def objective(trial: optuna.Trial) -> tuple[float, float]:
    """Error and comparisons of one forest; a constraint is met where its value is at most 0."""
    X_train, X_validation, y_train, y_validation = digits()
    forest = RandomForestClassifier(
        n_estimators=trial.suggest_int("n_estimators", 3, 100, log=True),
        max_depth=trial.suggest_int("max_depth", 2, 25),
        max_features=trial.suggest_float("max_features", 0.02, 1.0, log=True),
        min_samples_leaf=trial.suggest_int("min_samples_leaf", 1, 20, log=True),
        criterion=trial.suggest_categorical("criterion", ["gini", "entropy"]),
        bootstrap=trial.suggest_categorical("bootstrap", [True, False]),
        random_state=0,
    ).fit(X_train, y_train)
    n_nodes = sum(tree.tree_.node_count for tree in forest.estimators_)
    trial.set_constraint("nodes", n_nodes - MAX_NODES)
    paths, _ = forest.decision_path(X_validation)  # the nodes that each image comes through, leaves included
    comparisons = paths.sum() / len(X_validation) - len(forest.estimators_)
    return 1.0 - forest.score(X_validation, y_validation), float(comparisons)


@cache
def digits() -> list[np.ndarray[Any, Any]]:
    X, y = load_digits(return_X_y=True)
    split: list[np.ndarray[Any, Any]] = train_test_split(X, y, train_size=900, stratify=y, random_state=0)
    return split


def tune(sampler: LLMPriorSampler, *, n_trials: int) -> optuna.Study:
    """A study with two objectives."""
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # Optuna's own, about names of metrics
        study.set_metric_names(METRICS)
    for name, value in ATTRIBUTES.items():
        study.set_user_attr(name, value)
    study.optimize(objective, n_trials=n_trials)
    return study


# ---- First study: a language model is asked, and a colleague after ten trials


class ModelThenColleague:
    """An `Elicitor` of one's own, which is any object with this method: whoever is asked says where the optimum is."""

    def elicit(self, context: StudyContext) -> Elicitation:
        """The model's answer to the first question, the colleague's to a later one."""
        if not context.trials:
            return ReplayElicitor(RECORDED_ANSWER).elicit(context)  # with a key: LLMElicitor("gpt-4o")
        elicitation = FixedElicitor(colleague_belief()).elicit(context)
        # The trials that the colleague has seen are no evidence for what the colleague says.
        return replace(elicitation, model="a colleague", trials_shown=context.trial_numbers)


def colleague_belief() -> PriorAnswer:
    """What the author of this example thought after the first ten trials."""
    return PriorAnswer.by_hand(
        numeric={
            "n_estimators": (18, 12, 24),
            "max_depth": (14, 9, 24),
            "max_features": (0.2, 0.08, 0.4),
            "min_samples_leaf": (3, 2, 5),
        },
        categorical={"criterion": {"entropy": 0.8}, "bootstrap": {False: 0.85}},
        confidence=0.7,
        notes="The memory cuts the accurate end off: 22 trees with leaves of 2 images have too many nodes, 17 with "
        "leaves of 4 fit in.",
    )


def asking_sampler() -> LLMPriorSampler:
    """Ask at the start, and once more after ten trials; both answers count, each with an exponent of its own."""
    return LLMPriorSampler(
        elicitor=ModelThenColleague(),
        search_space=SEARCH_SPACE,
        n_startup_trials=10,  # a front of trade-offs takes more points to see than a single optimum
        refresh=RefreshPolicy(every=10, max_elicitations=2),
        seed=0,
    )


# ---- Second study: the model's answer and one's own, nobody asked


def own_belief() -> PriorAnswer:
    """What the author of this example thought before the first trial."""
    return PriorAnswer.by_hand(
        numeric={"n_estimators": (15, 8, 30), "max_depth": (12, 8, 20), "max_features": (0.125, 0.06, 0.3)},
        categorical={"bootstrap": {False: 0.6}},
        confidence=0.7,
        notes="A few unpruned trees; the square root of the number of pixels is the usual share of features.",
    )


def pooled_prior(model_answer: PriorAnswer) -> MixturePrior:
    """The weighted mean of two densities: the model's counts twice as much as one's own."""
    space = SearchSpace(SEARCH_SPACE)
    return pool_priors([build_prior(model_answer, space), build_prior(own_belief(), space)], weights=[2.0, 1.0])


def fade_out(n: int) -> float:
    """A decay of one's own: the density counts in full for ten trials, then less and less until trial 25."""
    return min(1.0, max(0.0, (25 - n) / 15))


# ---- What came of them


def show(study: optuna.Study) -> None:
    """The trade-offs that were found, and what the density had to do with each trial."""
    print(f"  {'error':>8}  {'comparisons':>11}   (feasible trials that no other one beats in both)")
    for trial in sorted(study.best_trials, key=lambda trial: trial.values[0]):
        params = ", ".join(f"{k} {v:.2g}" if isinstance(v, float) else f"{k} {v}" for k, v in trial.params.items())
        print(f"  {trial.values[0]:8.2%}  {trial.values[1]:11.0f}   {params}")
    print(f"\n  {'trial':>5}  {'phase':<8}{'exponent':>9}{'trust':>7}{'from the prior':>16}")
    for row in study_statistics(study).trace():
        if row["phase"] == "model":
            numbers = f"{row['exponent']:9.2f}{row['trust']:7.2f}{row['prior_score']:+16.2f}"
            print(f"  {row['trial']:5}  {row['phase']:<8}{numbers}")


def main(n_trials: int = 25) -> dict[str, optuna.Study]:
    """Both studies, one after the other."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    asked = tune(asking_sampler(), n_trials=n_trials)
    print(*answers_of(asked), sep="\n\n")
    print("\nWhat the study that asked twice has found:\n")
    show(asked)
    prior = pooled_prior(answers_of(asked)[0].answer)
    print(f"\nThe model's answer and one's own belief, pooled:\n\n{prior}")
    pooled = tune(LLMPriorSampler(prior=prior, decay=fade_out, n_startup_trials=10, seed=0), n_trials=n_trials)
    print("\nWhat the study with the pooled density has found:\n")
    show(pooled)
    return {"asked": asked, "pooled": pooled}


if __name__ == "__main__":
    main()
