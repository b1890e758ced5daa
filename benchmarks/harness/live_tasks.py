"""Models that are trained as the study runs, on data that scikit-learn brings along: nothing is downloaded.

Every task splits its data into training, validation and test rows, another split for every seed. The study sees the
validation score; the test score says what a choice by the validation score is worth. A score is the log loss, the
error rate or the mean squared error divided by the variance, always minimised, `WORST` at most. An evaluation takes
well under a second on one thread and depends on configuration and seed alone.

XGBoost and LightGBM have to be installed for the tasks that use them.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from optuna import Trial

WORST = 10.0
"""A score that is larger, or not a number, counts as this."""

Row = dict[str, Any]
"""One parameter: `name`, `type`, `low`, `high`, `log` or `choices`, `default`, and a `condition` if it has one."""

Config = Mapping[str, Any]
Metric = Literal["log loss", "error rate", "MSE / variance"]


class Scores(NamedTuple):
    """What one configuration reaches, smaller is better.

    Attributes:
        validation: What the study sees.
        test: On rows that no choice depends on; `None` if the task has none.
    """

    validation: float
    test: float | None


class Split(NamedTuple):
    """Rows of one seed: inputs `n x d` standardised by the training rows, targets `n`."""

    X_train: npt.NDArray[np.float64]
    y_train: npt.NDArray[Any]
    X_validation: npt.NDArray[np.float64]
    y_validation: npt.NDArray[Any]
    X_test: npt.NDArray[np.float64]
    y_test: npt.NDArray[Any]


@dataclass(frozen=True)
class LiveTask:
    """One model on one data set.

    Args:
        name: Its name in `LIVE_TASKS`.
        data: Name of the data set in `DATA`.
        metric: What is minimised.
        description: Of model and data, as a question to a language model gives it.
        rows: The parameters.
        make: Configuration and seed to an unfitted model with scikit-learn's interface.
    """

    name: str
    data: str
    metric: Metric
    description: str
    rows: tuple[Row, ...]
    make: Callable[[dict[str, Any], int], Any]

    @property
    def context(self) -> str:
        """The description with the data's sizes and what is minimised."""
        return f"{self.description} {DATA[self.data].description} Minimise the {self.metric} on the validation rows."

    @property
    def default(self) -> dict[str, Any]:
        """The library's default configuration, as far as it lies within the ranges."""
        return active({row["name"]: row["default"] for row in self.rows}, self.rows)

    def space(self) -> list[Row]:
        """The parameters."""
        return [dict(row) for row in self.rows]

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """A configuration of a trial; conditional parameters are suggested only where they are active."""
        config: dict[str, Any] = {}
        for row in self.rows:
            if is_active(row, config):
                config[row["name"]] = _suggest(trial, row)
        return config

    def evaluate(self, config: Config, seed: int) -> Scores:
        """Train and score.

        Args:
            config: A value for every active parameter.
            seed: Of the split and of the model's randomness.
        """
        split = split_of(self.data, seed)
        values = {row["name"]: config[row["name"]] for row in self.rows if row["name"] in config}
        model = self.make(values, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # networks that have not converged
            try:
                model.fit(split.X_train, split.y_train)
                validation = _score(model, split.X_validation, split.y_validation, self.metric)
                test = _score(model, split.X_test, split.y_test, self.metric)
            except (ValueError, FloatingPointError):  # scikit-learn's answer to weights that have diverged
                return Scores(WORST, WORST)
        return Scores(validation, test)


def is_active(row: Row, config: Config) -> bool:
    """Whether a parameter is active, given the values of those before it."""
    condition = row.get("condition")
    return condition is None or config.get(condition[0]) in condition[1]


def active(config: Config, rows: tuple[Row, ...] | list[Row]) -> dict[str, Any]:
    """A configuration without the parameters that are not active in it."""
    kept: dict[str, Any] = {}
    for row in sorted(rows, key=lambda row: row.get("condition") is not None):
        if row["name"] in config and is_active(row, kept):
            kept[row["name"]] = config[row["name"]]
    return kept


def _suggest(trial: Trial, row: Row) -> Any:
    if row["type"] == "categorical":
        return trial.suggest_categorical(row["name"], row["choices"])
    suggest = trial.suggest_int if row["type"] == "int" else trial.suggest_float
    return suggest(row["name"], row["low"], row["high"], log=row["log"])


# Data ----------------------------------------------------------------------------------------------------------------


class _Data(NamedTuple):
    """A data set: scikit-learn's loader, rows for training and validation (the rest is for the test), a description."""

    loader: str
    n_train: int
    n_validation: int
    is_classification: bool
    description: str


DATA: Mapping[str, _Data] = {
    "digits": _Data(
        "load_digits",
        500,
        400,
        True,
        "The data are scikit-learn's digits (8x8 images, 64 features, 10 classes): 500 rows to train on, 400 to "
        "validate, features standardised.",
    ),
    "breast_cancer": _Data(
        "load_breast_cancer",
        200,
        170,
        True,
        "The data are scikit-learn's breast_cancer (30 features, 2 classes): 200 rows to train on, 170 to validate, "
        "features standardised.",
    ),
    "diabetes": _Data(
        "load_diabetes",
        180,
        130,
        False,
        "The data are scikit-learn's diabetes (10 features, a number to predict, standardised too): 180 rows to train "
        "on, 130 to validate, features standardised.",
    ),
}


@functools.lru_cache(maxsize=16)
def split_of(data: str, seed: int) -> Split:
    """The rows of a seed."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    about = DATA[data]
    X, y = getattr(datasets, about.loader)(return_X_y=True)
    labels = y if about.is_classification else None
    X_train, X_rest, y_train, y_rest = train_test_split(
        X, y, train_size=about.n_train, random_state=seed, stratify=labels
    )
    X_validation, X_test, y_validation, y_test = train_test_split(
        X_rest,
        y_rest,
        train_size=about.n_validation,
        random_state=seed,
        stratify=y_rest if about.is_classification else None,
    )
    scale = StandardScaler().fit(X_train)
    if not about.is_classification:
        mean, deviation = y_train.mean(), y_train.std()
        y_train, y_validation, y_test = ((v - mean) / deviation for v in (y_train, y_validation, y_test))
    return Split(
        scale.transform(X_train),
        y_train,
        scale.transform(X_validation),
        y_validation,
        scale.transform(X_test),
        y_test,
    )


def _score(model: Any, X: npt.NDArray[np.float64], y: npt.NDArray[Any], metric: Metric) -> float:
    if metric == "log loss":
        probability = np.asarray(model.predict_proba(X))[np.arange(len(y)), y]  # classes are 0, 1, ... in all data sets
        value = float(-np.log(np.maximum(probability, math.exp(-WORST))).mean())
    elif metric == "error rate":
        value = float(np.mean(model.predict(X) != y))
    else:
        value = float(np.mean((model.predict(X) - y) ** 2) / np.var(y))
    return min(value, WORST) if math.isfinite(value) else WORST


# Models --------------------------------------------------------------------------------------------------------------


def _float(name: str, low: float, high: float, default: float, *, log: bool = False, condition: Any = None) -> Row:
    return _numeric("float", name, low, high, default, log, condition)


def _int(name: str, low: int, high: int, default: int, *, log: bool = False, condition: Any = None) -> Row:
    return _numeric("int", name, low, high, default, log, condition)


def _numeric(kind: str, name: str, low: float, high: float, default: float, log: bool, condition: Any) -> Row:
    return {
        "name": name,
        "type": kind,
        "low": low,
        "high": high,
        "log": log,
        "default": default,
        "condition": condition,
    }


def _choice(name: str, choices: list[Any], default: Any) -> Row:
    return {"name": name, "type": "categorical", "choices": choices, "default": default, "condition": None}


def _mlp(config: dict[str, Any], seed: int, *, is_classification: bool) -> Any:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    sizes = (config.pop("width"),) * config.pop("n_layers")
    make = MLPClassifier if is_classification else MLPRegressor
    return make(hidden_layer_sizes=sizes, max_iter=config.pop("epochs"), random_state=seed, **config)


def _gradient_boosting(config: dict[str, Any], seed: int) -> Any:
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(random_state=seed, **config)


def _svc(config: dict[str, Any], seed: int) -> Any:
    from sklearn.svm import SVC

    return SVC(max_iter=20_000, random_state=seed, **config)


def _svr(config: dict[str, Any], seed: int) -> Any:  # noqa: ARG001 - it has no randomness
    from sklearn.svm import SVR

    return SVR(max_iter=20_000, **config)


def _random_forest(config: dict[str, Any], seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(random_state=seed, **config)


def _xgboost(config: dict[str, Any], seed: int) -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(random_state=seed, n_jobs=1, verbosity=0, **config)


def _lightgbm(config: dict[str, Any], seed: int) -> Any:
    from lightgbm import LGBMRegressor

    return LGBMRegressor(random_state=seed, n_jobs=1, verbose=-1, subsample_freq=1, **config)


class TorchNet:
    """A small fully connected network for classes, trained with PyTorch; scikit-learn's interface.

    Args:
        config: The parameters of the task `torch_digits`.
        seed: Of weights, order of the rows and dropout.
    """

    EPOCHS = 25

    def __init__(self, config: dict[str, Any], seed: int) -> None:
        self._config, self._seed = config, seed

    def fit(self, X: npt.NDArray[np.float64], y: npt.NDArray[Any]) -> None:
        """Train for `EPOCHS` epochs."""
        config = self._config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            self._net = self._make_net(X.shape[1], int(y.max()) + 1)
            inputs, targets = torch.tensor(X, dtype=torch.float32), torch.tensor(y)
            loss = torch.nn.CrossEntropyLoss(label_smoothing=config["label_smoothing"])
            optimizer, scheduler = self._make_optimizer(self._net)
            self._net.train()
            for _ in range(self.EPOCHS):
                for rows in torch.split(torch.randperm(len(inputs)), config["batch_size"]):
                    optimizer.zero_grad()
                    loss(self._net(inputs[rows]), targets[rows]).backward()
                    optimizer.step()
                scheduler.step()
        self._net.eval()

    def predict_proba(self, X: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Probabilities of the classes, `n x c`."""
        with torch.no_grad():
            logits: torch.Tensor = self._net(torch.tensor(X, dtype=torch.float32))
        return torch.softmax(logits.double(), dim=-1).numpy()

    def _make_net(self, n_inputs: int, n_classes: int) -> torch.nn.Module:
        width, activation = self._config["width"], {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}
        layers: list[torch.nn.Module] = []
        for _ in range(self._config["n_layers"]):
            layers += [
                torch.nn.Linear(n_inputs, width),
                activation[self._config["activation"]](),
                torch.nn.Dropout(self._config["dropout"]),
            ]
            n_inputs = width
        return torch.nn.Sequential(*layers, torch.nn.Linear(n_inputs, n_classes))

    def _make_optimizer(self, net: torch.nn.Module) -> tuple[torch.optim.Optimizer, Any]:
        config = self._config
        options = {"lr": config["learning_rate"], "weight_decay": config["weight_decay"]}
        optimizer: torch.optim.Optimizer
        if config["optimizer"] == "sgd":
            optimizer = torch.optim.SGD(net.parameters(), momentum=0.9, **options)
        else:
            optimizer = torch.optim.AdamW(net.parameters(), **options)
        if config["schedule"] == "cosine":
            return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.EPOCHS)
        return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


# Tasks ---------------------------------------------------------------------------------------------------------------

_MLP_ROWS = (
    _int("n_layers", 1, 3, 1),
    _int("width", 8, 256, 100, log=True),
    _choice("activation", ["relu", "tanh", "logistic"], "relu"),
    _float("learning_rate_init", 1e-4, 0.3, 1e-3, log=True),
    _float("alpha", 1e-6, 10.0, 1e-4, log=True),
    _int("batch_size", 16, 128, 128, log=True),
    _int("epochs", 3, 30, 30, log=True),
)
"""The library's defaults are batches of 200 rows and 200 epochs: the nearest values of these ranges stand for them."""

_GAMMA = ("kernel", ["rbf", "poly"])
_POLY = ("kernel", ["poly"])

_BOOSTED_ROWS = (
    _int("n_estimators", 10, 300, 100, log=True),
    _float("learning_rate", 1e-3, 1.0, 0.3, log=True),
    _int("max_depth", 1, 10, 6),
    _float("min_child_weight", 0.1, 20.0, 1.0, log=True),
    _float("subsample", 0.2, 1.0, 1.0),
    _float("colsample_bytree", 0.1, 1.0, 1.0),
    _float("reg_lambda", 1e-3, 1e3, 1.0, log=True),
    _float("reg_alpha", 1e-4, 1e2, 1e-4, log=True),
    _float("gamma", 1e-4, 5.0, 1e-4, log=True),
)

_TASKS = (
    LiveTask(
        "mlp_digits",
        "digits",
        "log loss",
        "scikit-learn's MLPClassifier with Adam (n_layers hidden layers of width units; alpha = L2 penalty; epochs = "
        "max_iter).",
        _MLP_ROWS,
        functools.partial(_mlp, is_classification=True),
    ),
    LiveTask(
        "mlp_diabetes",
        "diabetes",
        "MSE / variance",
        "scikit-learn's MLPRegressor with Adam (n_layers hidden layers of width units; alpha = L2 penalty; epochs = "
        "max_iter).",
        _MLP_ROWS,
        functools.partial(_mlp, is_classification=False),
    ),
    LiveTask(
        "gradient_boosting_breast_cancer",
        "breast_cancer",
        "log loss",
        "scikit-learn's GradientBoostingClassifier.",
        (
            _int("n_estimators", 10, 200, 100, log=True),
            _float("learning_rate", 1e-3, 1.0, 0.1, log=True),
            _int("max_depth", 1, 8, 3),
            _float("subsample", 0.2, 1.0, 1.0),
            _float("max_features", 0.05, 1.0, 1.0, log=True),
            _int("min_samples_leaf", 1, 40, 1, log=True),
        ),
        _gradient_boosting,
    ),
    LiveTask(
        "svm_digits",
        "digits",
        "error rate",
        "scikit-learn's SVC.",
        (
            _choice("kernel", ["rbf", "poly", "linear"], "rbf"),
            _float("C", 1e-3, 1e4, 1.0, log=True),
            _float("gamma", 1e-6, 1.0, 1 / 64, log=True, condition=_GAMMA),
            _int("degree", 2, 5, 3, condition=_POLY),
            _float("coef0", 0.0, 2.0, 0.0, condition=_POLY),
        ),
        _svc,
    ),
    LiveTask(
        "svr_diabetes",
        "diabetes",
        "MSE / variance",
        "scikit-learn's SVR.",
        (
            _choice("kernel", ["rbf", "poly", "linear"], "rbf"),
            _float("C", 1e-3, 1e2, 1.0, log=True),
            _float("epsilon", 1e-3, 1.0, 0.1, log=True),
            _float("gamma", 1e-5, 1.0, 0.1, log=True, condition=_GAMMA),
            _int("degree", 2, 4, 3, condition=_POLY),
            _float("coef0", 0.0, 2.0, 0.0, condition=_POLY),
        ),
        _svr,
    ),
    LiveTask(
        "random_forest_digits",
        "digits",
        "log loss",
        "scikit-learn's RandomForestClassifier.",
        (
            _int("n_estimators", 5, 100, 100, log=True),
            _choice("criterion", ["gini", "entropy"], "gini"),
            _int("max_depth", 2, 30, 30, log=True),
            _float("max_features", 0.01, 1.0, 0.125, log=True),
            _int("min_samples_leaf", 1, 30, 1, log=True),
            _choice("bootstrap", [True, False], True),
        ),
        _random_forest,
    ),
    LiveTask(
        "torch_digits",
        "digits",
        "log loss",
        "A fully connected PyTorch network (n_layers hidden layers of width units, each followed by dropout), trained "
        "for 25 epochs with cross-entropy by SGD with momentum 0.9 or AdamW; the learning rate is constant or falls to "
        "zero along a cosine.",
        (
            _choice("optimizer", ["sgd", "adamw"], "adamw"),
            _choice("schedule", ["constant", "cosine"], "constant"),
            _choice("activation", ["relu", "tanh"], "relu"),
            _float("learning_rate", 1e-4, 1.0, 1e-3, log=True),
            _float("weight_decay", 1e-6, 1.0, 1e-2, log=True),
            _int("n_layers", 1, 3, 1),
            _int("width", 8, 256, 64, log=True),
            _float("dropout", 0.0, 0.8, 0.0),
            _float("label_smoothing", 0.0, 0.3, 0.0),
            _int("batch_size", 32, 256, 32, log=True),
        ),
        TorchNet,
    ),
    LiveTask(
        "lightgbm_diabetes",
        "diabetes",
        "MSE / variance",
        "LightGBM's LGBMRegressor (rows are subsampled for every tree).",
        (
            _int("n_estimators", 10, 300, 100, log=True),
            _float("learning_rate", 1e-3, 1.0, 0.1, log=True),
            _int("num_leaves", 2, 64, 31, log=True),
            _int("min_child_samples", 1, 60, 20, log=True),
            _float("subsample", 0.2, 1.0, 1.0),
            _float("colsample_bytree", 0.1, 1.0, 1.0),
            _float("reg_lambda", 1e-4, 1e3, 1e-4, log=True),
            _float("reg_alpha", 1e-4, 1e2, 1e-4, log=True),
        ),
        _lightgbm,
    ),
    LiveTask("xgboost_breast_cancer", "breast_cancer", "log loss", "XGBoost's XGBClassifier.", _BOOSTED_ROWS, _xgboost),
)

LIVE_TASKS: Mapping[str, LiveTask] = {task.name: task for task in _TASKS}
"""Name -> task."""
