"""The task of `basic_usage.py`: a small network that reads handwritten digits, and its seven hyperparameters.

Nothing here knows about any sampler: this is what a user brings along. The 1,797 images of scikit-learn's digits
(8 x 8 pixels) are split into 500 rows to train on, 600 to compare configurations with, and 697 that are looked at
once, at the very end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

N_TRAIN, N_VALIDATION, N_TEST = 500, 600, 697
EPOCHS = 30
N_NETWORKS = 2
"""Networks per configuration, each from its own random start: their mean error tells close configurations apart."""

WORST_ERROR = 1.0
"""Score of a network whose training diverged: every row counts as wrong."""

USUAL_DEFAULTS: dict[str, Any] = {
    "learning_rate": 1e-3,
    "weight_decay": 1e-6,
    "dropout": 0.0,
    "width": 100,
    "depth": 1,
    "batch_size": 32,
    "optimizer": "adam",
}
"""What somebody gets who sets nothing: Adam at PyTorch's rate with (as good as) no regularisation, and the one hidden
layer of 100 units of scikit-learn's `MLPClassifier`."""


def suggest(trial: optuna.trial.BaseTrial) -> dict[str, Any]:
    """The seven hyperparameters, with ranges so wide that they need no knowledge."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-5, 1.0, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 0.1, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.8),
        "width": trial.suggest_int("width", 8, 512, log=True),
        "depth": trial.suggest_int("depth", 1, 5),
        "batch_size": trial.suggest_int("batch_size", 16, 256, log=True),
        "optimizer": trial.suggest_categorical("optimizer", ["sgd", "sgd_momentum", "adam", "adamw", "rmsprop"]),
    }


def search_space() -> dict[str, BaseDistribution]:
    """The same ranges as Optuna distributions, by name."""
    trial = optuna.trial.FixedTrial(USUAL_DEFAULTS)
    suggest(trial)
    return trial.distributions


def describe(study: optuna.Study) -> None:
    """Tell the study what is being tuned; this is all that a language model gets to know beside the search space."""
    study.set_user_attr("problem_type", "classification of small images into 10 classes")
    study.set_user_attr(
        "problem_description",
        "Handwritten digits of scikit-learn (load_digits), 8 x 8 grey pixels as 64 inputs scaled to 0..1. The "
        f"objective is the error rate on {N_VALIDATION} validation rows after {EPOCHS} epochs of training at a "
        "constant learning rate (no schedule, no warm-up, no early stopping), mean of two networks. A run that "
        "diverges scores 1.0.",
    )
    study.set_user_attr(
        "model_type",
        "Fully connected PyTorch network: `depth` hidden layers of `width` ReLU units, `dropout` after each of them, "
        "PyTorch's default initialisation, no normalisation layers, cross-entropy loss. `weight_decay` is the "
        "torch.optim argument (decoupled in adamw, L2 in the others). sgd has no momentum, sgd_momentum has "
        "momentum 0.9.",
    )
    study.set_user_attr("dataset_size", f"{N_TRAIN} training rows, 64 features")


@dataclass(frozen=True)
class Split:
    """Rows with one role.

    Attributes:
        X: Pixels in 0..1, `n x 64`.
        y: Labels 0..9, `n`.
    """

    X: Tensor
    y: Tensor

    @classmethod
    def from_arrays(cls, X: NDArray[np.float64], y: NDArray[np.int64]) -> Split:
        """Scale pixels from 0..16 to 0..1."""
        return cls(X=torch.tensor(X / 16, dtype=torch.float32), y=torch.tensor(y))


@dataclass(frozen=True)
class DigitsTask:
    """One split of the data and one seed for the networks, so that a configuration has exactly one score."""

    train: Split
    validation: Split
    test: Split
    seed: int

    @classmethod
    def load(cls, *, seed: int) -> DigitsTask:
        """Split the digits by `seed`; all ten classes have the same share in each part."""
        X, y = load_digits(return_X_y=True)
        X_rest, X_test, y_rest, y_test = train_test_split(X, y, test_size=N_TEST, stratify=y, random_state=seed)
        X_train, X_validation, y_train, y_validation = train_test_split(
            X_rest, y_rest, train_size=N_TRAIN, test_size=N_VALIDATION, stratify=y_rest, random_state=seed
        )
        return cls(
            train=Split.from_arrays(X_train, y_train),
            validation=Split.from_arrays(X_validation, y_validation),
            test=Split.from_arrays(X_test, y_test),
            seed=seed,
        )

    def objective(self, trial: optuna.trial.BaseTrial) -> float:
        """What the study minimises: the validation error."""
        return self.mean_error(suggest(trial), self.validation)

    def test_error(self, config: Mapping[str, Any]) -> float:
        """Score the networks of `config` on the rows that the search never saw.

        They are the very networks that the search scored: training them again gives the same weights.
        """
        return self.mean_error(config, self.test)

    def mean_error(self, config: Mapping[str, Any], split: Split) -> float:
        """Share of the rows that networks trained with `config` get wrong."""
        seeds = range(self.seed * N_NETWORKS, (self.seed + 1) * N_NETWORKS)
        return sum(error_rate(fit_network(config, self.train, seed=seed), split) for seed in seeds) / N_NETWORKS


def fit_network(config: Mapping[str, Any], train: Split, *, seed: int, epochs: int = EPOCHS) -> nn.Module | None:
    """Train one network; `None` if its loss left the finite numbers."""
    # The training has its own random numbers: a configuration always gives the same network, and the random state of
    # the process stays as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(width=config["width"], depth=config["depth"], dropout=config["dropout"])
        optimizer = build_optimizer(network, config)
        for _ in range(epochs):
            for rows in torch.split(torch.randperm(len(train.y)), config["batch_size"]):
                loss = nn.functional.cross_entropy(network(train.X[rows]), train.y[rows])
                if not torch.isfinite(loss):
                    return None
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    return network.eval()


def error_rate(network: nn.Module | None, split: Split) -> float:
    """Share of the rows that `network` gets wrong."""
    if network is None:
        return WORST_ERROR
    with torch.no_grad():
        return float((network(split.X).argmax(dim=-1) != split.y).double().mean())


def build_network(*, width: int, depth: int, dropout: float) -> nn.Sequential:
    """64 pixels in, `depth` hidden layers of `width` ReLU units with dropout, 10 classes out."""
    layers: list[nn.Module] = []
    for n_inputs in [64, *[width] * (depth - 1)]:
        layers += [nn.Linear(n_inputs, width), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def build_optimizer(network: nn.Module, config: Mapping[str, Any]) -> torch.optim.Optimizer:
    """The optimiser that `config` names, with PyTorch's defaults for all that is not tuned; fused where it can be."""
    weights, settings = network.parameters(), {"lr": config["learning_rate"], "weight_decay": config["weight_decay"]}
    match config["optimizer"]:
        case "sgd":
            return torch.optim.SGD(weights, fused=True, **settings)
        case "sgd_momentum":
            return torch.optim.SGD(weights, momentum=0.9, fused=True, **settings)
        case "adam":
            return torch.optim.Adam(weights, fused=True, **settings)
        case "adamw":
            return torch.optim.AdamW(weights, fused=True, **settings)
        case "rmsprop":
            return torch.optim.RMSprop(weights, **settings)
        case other:
            raise ValueError(f"Expected an optimizer of the search space, got {other!r}.")


def use_one_thread() -> None:
    """Make PyTorch quick on networks this small."""
    torch.set_num_threads(1)  # the threads would spend their time waiting for each other
    torch.set_flush_denormal(True)  # weights that decay to nothing would otherwise halve the speed
