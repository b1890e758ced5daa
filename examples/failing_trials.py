"""Trials that run out of memory: failures teach the sampler where not to go.

    python examples/failing_trials.py

A network is trained on a device with 6 MB of memory, too little for a third of the search space. How much there is, the
language model (a recorded one here) does not know. A failed trial is given no penalty value: a second model learns from
the failures how probable it is that a trial finishes, and that probability is multiplied into the acquisition function
as the language model's density is. For comparison: the same sampler that does not learn from failures, and Optuna's
`TPESampler`, which leaves failed trials out of account.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import optuna
from digits import DigitsTask, error_rate, fit_network, use_one_thread
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import TrialState

from llm_prior_bo import LLMPriorSampler, ReplayElicitor, answers_of, study_statistics

RECORDED_ANSWER = Path(__file__).parent / "answers" / "small_device.json"

MEMORY = 6_000_000
"""Bytes of the device, which nobody but the device knows."""

EPOCHS = 10

SEARCH_SPACE: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(1e-4, 0.1, log=True),
    "width": IntDistribution(16, 2048, log=True),
    "depth": IntDistribution(1, 6),
    "batch_size": IntDistribution(16, 512, log=True),
    "dropout": FloatDistribution(0.0, 0.8),
}

ATTRIBUTES = {
    "problem_type": "classification of small images into 10 classes",
    "problem_description": "Handwritten digits of scikit-learn (load_digits), 8 x 8 grey pixels as 64 inputs scaled to "
    "0..1. The objective is the error rate on 600 validation rows after 10 epochs of training with Adam at a constant "
    "learning rate.",
    "model_type": "Fully connected PyTorch network: `depth` hidden layers of `width` ReLU units, `dropout` after each "
    "of them, PyTorch's default initialisation, no normalisation layers, cross-entropy loss.",
    "constraints": "The training runs on a small device. One that needs more memory than the device has ends in an "
    "error and has no result.",
    "dataset_size": "500 training rows, 64 features",
}
"""All that the language model gets to know beside the search space."""


def objective(trial: optuna.Trial) -> float:
    """Validation error of one network, if there is memory to train it."""
    config: dict[str, Any] = {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 0.1, log=True),
        "width": trial.suggest_int("width", 16, 2048, log=True),
        "depth": trial.suggest_int("depth", 1, 6),
        "batch_size": trial.suggest_int("batch_size", 16, 512, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.8),
        "optimizer": "adam",
        "weight_decay": 0.0,
    }
    if memory_needed(config["width"], config["depth"], config["batch_size"]) > MEMORY:
        raise MemoryError("The device has not enough memory for this network and this batch size.")
    task = load_task()
    return error_rate(fit_network(config, task.train, seed=0, epochs=EPOCHS), task.validation)


def memory_needed(width: int, depth: int, batch_size: int) -> int:
    """Bytes of one training step in single precision: weights, gradients, Adam's two moments, activations."""
    n_weights = 64 * width + (depth - 1) * width**2 + 10 * width + depth * width + 10
    n_activations = batch_size * (64 + 3 * depth * width + 10)  # linear layer, ReLU and dropout keep one each
    return 4 * (4 * n_weights + n_activations)


@cache
def load_task() -> DigitsTask:
    return DigitsTask.load(seed=0)


def tune(sampler: BaseSampler, *, n_trials: int) -> optuna.Study:
    """Failed trials do not end the study: `catch` names the errors that may happen."""
    study = optuna.create_study(direction="minimize", sampler=sampler)
    for name, text in ATTRIBUTES.items():
        study.set_user_attr(name, text)
    study.optimize(objective, n_trials=n_trials, catch=(MemoryError,))
    return study


def show(name: str, study: optuna.Study) -> None:
    """How many trials failed early and late, and the best one."""
    failed = [trial.state == TrialState.FAIL for trial in study.trials]
    half = len(failed) // 2
    print(
        f"  {name:<18}failed: {sum(failed[:half])} of the first {half} trials, {sum(failed[half:])} of the last "
        f"{len(failed) - half}; best error {study.best_value:.2%} with {study.best_params}"
    )


def show_probabilities(study: optuna.Study) -> None:
    """What the sampler thought of each of its suggestions: would it finish?"""
    print("\n  trial  probability to finish  added to the log score  outcome")
    for row in study_statistics(study).trace():
        if row["success_probability"] is not None:
            state = study.trials[row["trial"]].state
            added = f"{row['feasibility_score']:+.2f}" if row["feasibility_score"] is not None else "start-up"
            print(f"  {row['trial']:5}  {row['success_probability']:21.2f}  {added:>22}  {state.name.lower()}")


def llm_prior(*, feasibility: bool = True) -> LLMPriorSampler:
    """Learning from failures is the default; with a key: `LLMPriorSampler("gpt-4o", search_space=SEARCH_SPACE)`."""
    elicitor = ReplayElicitor(RECORDED_ANSWER)
    return LLMPriorSampler(elicitor=elicitor, search_space=SEARCH_SPACE, feasibility=feasibility, seed=0)


def main(n_trials: int = 20) -> dict[str, optuna.Study]:
    """Tune with each sampler, and show how they deal with failures."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # Optuna warns of every failed trial
    use_one_thread()
    studies = {
        "LLM prior": tune(llm_prior(), n_trials=n_trials),
        "feasibility=False": tune(llm_prior(feasibility=False), n_trials=n_trials),
        "TPESampler": tune(TPESampler(seed=0), n_trials=n_trials),
    }
    print(*answers_of(studies["LLM prior"]), sep="\n")
    show_probabilities(studies["LLM prior"])
    print()
    for name, study in studies.items():
        show(name, study)
    return studies


if __name__ == "__main__":
    main()
