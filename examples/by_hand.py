"""No language model at all: a belief written into a file, looked at, edited and used.

    python examples/by_hand.py

The file is `answers/svm_by_hand.yaml`. Three studies of a support vector machine on scikit-learn's breast cancer data
are compared: with the belief as it stands in the file, with one that somebody has edited in Python, and with none.
"""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, QuantileTransformer, StandardScaler
from sklearn.svm import SVC

from llm_prior_bo import LLMPriorSampler, OptimumPrior, PriorAnswer, SearchSpace, build_prior, load_answer

BELIEF = Path(__file__).parent / "answers" / "svm_by_hand.yaml"

SEARCH_SPACE: dict[str, BaseDistribution] = {
    "C": FloatDistribution(1e-3, 1e4, log=True),
    "gamma": FloatDistribution(1e-5, 10.0, log=True),
    "n_components": IntDistribution(1, 30),
    "scaler": CategoricalDistribution(["standard", "minmax", "quantile"]),
}

SCALERS = {
    "standard": StandardScaler(),
    "minmax": MinMaxScaler(),
    "quantile": QuantileTransformer(n_quantiles=100, output_distribution="normal", random_state=0),
}


def objective(trial: optuna.Trial) -> float:
    """One minus the area under the ROC curve, mean of a five-fold cross-validation."""
    pipeline = make_pipeline(
        SCALERS[trial.suggest_categorical("scaler", ["standard", "minmax", "quantile"])],
        PCA(trial.suggest_int("n_components", 1, 30), random_state=0),
        SVC(C=trial.suggest_float("C", 1e-3, 1e4, log=True), gamma=trial.suggest_float("gamma", 1e-5, 10.0, log=True)),
    )
    X, y = load_breast_cancer(return_X_y=True)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return 1.0 - float(cross_val_score(pipeline, X, y, cv=folds, scoring="roc_auc").mean())


def look(prior: OptimumPrior) -> None:
    """The density, its likeliest point, and how many times as likely as with no opinion it takes that and another."""
    space = SearchSpace(SEARCH_SPACE)
    default = {"C": 1.0, "gamma": 1 / 30, "n_components": 30, "scaler": "standard"}
    mode = space.decode(prior.mode())
    print(f"{prior}\n")
    for name, params in {"likeliest point": mode, "scikit-learn's defaults": default}.items():
        print(f"  {name}: {params}, density {prior.log_prob(space.encode([params])).exp().item():.2f}")


def edited(answer: PriorAnswer) -> PriorAnswer:
    """Another person's opinion: both regions equally likely, and less sure that it is either of them."""
    regions = [region.model_copy(update={"weight": 1.0}) for region in answer.regions]
    return answer.model_copy(update={"regions": regions, "confidence": 0.6})


def tune(sampler: BaseSampler, *, n_trials: int) -> optuna.Study:
    study = optuna.create_study(direction="minimize", sampler=sampler)
    study.optimize(objective, n_trials=n_trials)
    return study


def main(n_trials: int = 15) -> dict[str, optuna.Study]:
    """Read, look, edit, tune."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    answer = load_answer(BELIEF)
    print(f"{answer}\n\nThe density that it becomes:\n")
    space = SearchSpace(SEARCH_SPACE)
    prior, other_prior = build_prior(answer, space), build_prior(edited(answer), space)
    look(prior)
    studies = {
        "belief of the file": tune(LLMPriorSampler(prior=prior, seed=0), n_trials=n_trials),
        "edited belief": tune(LLMPriorSampler(prior=other_prior, seed=0), n_trials=n_trials),
        "GPSampler": tune(GPSampler(seed=0), n_trials=n_trials),
    }
    print(f"\nBest 1 - AUC after the first 5 and all {n_trials} trials, one seed:\n")
    for name, study in studies.items():
        first = min(trial.values[0] for trial in study.trials[:5])
        print(f"  {name:<19} {first:.4f}  {study.best_value:.4f}  with {study.best_params}")
    return studies


if __name__ == "__main__":
    main()
