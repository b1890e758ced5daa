"""The sampler with a belief written by hand: no language model, no key, no network."""

from __future__ import annotations

import math
from pathlib import Path

import optuna
import optunahub
from optuna.distributions import CategoricalDistribution, FloatDistribution

SEARCH_SPACE = {
    "learning_rate": FloatDistribution(1e-5, 1e-1, log=True),
    "dropout": FloatDistribution(0.0, 0.8),
    "optimizer": CategoricalDistribution(["sgd", "adam", "adamw"]),
}


def objective(trial: optuna.Trial) -> float:
    learning_rate = trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True)
    dropout = trial.suggest_float("dropout", 0.0, 0.8)
    optimizer = trial.suggest_categorical("optimizer", ["sgd", "adam", "adamw"])
    return (math.log10(learning_rate) + 2.7) ** 2 + (dropout - 0.15) ** 2 + 0.3 * (optimizer == "sgd")


def main(n_trials: int = 25) -> optuna.Study:
    # In the registry: optunahub.load_module("samplers/llm_prior")
    module = optunahub.load_local_module("samplers/llm_prior", registry_root=str(Path(__file__).parents[2]))
    belief = module.PriorAnswer.by_hand(
        # best guess, and a range that holds the optimum with a probability of 80 %
        numeric={"learning_rate": (1e-3, 3e-4, 5e-3), "dropout": (0.2, 0.05, 0.4)},
        categorical={"optimizer": {"sgd": 0.1, "adam": 0.4, "adamw": 0.5}},
    )
    sampler = module.LLMPriorSampler(elicitor=module.FixedElicitor(belief), search_space=SEARCH_SPACE, seed=0)
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=n_trials)
    return study


if __name__ == "__main__":
    print(main().best_trial)
