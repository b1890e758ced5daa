"""Tune a small neural network, with a language model's beliefs about good hyperparameters as the prior.

    python examples/quickstart.py                     # a recorded answer: no key, no network
    python examples/quickstart.py --model gpt-4o      # asks a live model, once; any LiteLLM model string

What is tuned is in `digits.py`, what is shown at the end in `report.py`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
from digits import EPOCHS, N_TEST, N_VALIDATION, USUAL_DEFAULTS, DigitsTask, describe, search_space, use_one_thread
from report import WIDTH, Run, belief_table, config_text, finished_errors, results_table, save_figure
from tqdm import tqdm

from llm_prior_bo import LLMPriorSampler, ReplayElicitor

RECORDED_ANSWER = Path(__file__).parent / "answers" / "quickstart.json"


def llm_prior_study(*, seed: int, model: str | None) -> optuna.Study:
    """The whole of it: the sampler, an ordinary Optuna study, a few words about the problem."""
    if model is None:
        elicitor = ReplayElicitor(RECORDED_ANSWER)
        sampler = LLMPriorSampler(elicitor=elicitor, search_space=search_space(), seed=seed)
    else:
        sampler = LLMPriorSampler(model=model, search_space=search_space(), seed=seed)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    describe(study)  # study.set_user_attr("problem_description", "...") and the like
    return study  # from here on as always: study.optimize(objective, n_trials=25)


# ---- What it is compared with: the same budget for three ways to search without a prior.


def gp_study(*, seed: int) -> optuna.Study:
    """Bayesian optimisation with Optuna's Gaussian process."""
    return optuna.create_study(direction="minimize", sampler=optuna.samplers.GPSampler(seed=seed))


def tpe_study(*, seed: int) -> optuna.Study:
    """What Optuna does unless told otherwise."""
    return optuna.create_study(direction="minimize", sampler=optuna.samplers.TPESampler(seed=seed))


def random_study(*, seed: int) -> optuna.Study:
    """Random search that tries the usual defaults first."""
    study = optuna.create_study(direction="minimize", sampler=optuna.samplers.RandomSampler(seed=seed))
    study.enqueue_trial(USUAL_DEFAULTS)
    return study


LABELS = {"llm": "LLM prior", "gp": "GPSampler", "tpe": "TPE", "random": "defaults, then random"}


def create_study(name: str, *, seed: int, model: str | None = None) -> optuna.Study:
    """The study that `--samplers` calls `name`."""
    without_prior: dict[str, Callable[..., optuna.Study]] = {"gp": gp_study, "tpe": tpe_study, "random": random_study}
    return without_prior[name](seed=seed) if name in without_prior else llm_prior_study(seed=seed, model=model)


# ---- Running and showing


def run(name: str, task: DigitsTask, *, n_trials: int, seed: int, model: str | None, quiet: bool = False) -> Run:
    """Give one sampler its trials, then score the configuration it would choose on the test rows."""
    start = time.perf_counter()
    study = create_study(name, seed=seed, model=model)
    with tqdm(total=n_trials, desc=f"{LABELS[name]:<22}", unit="trial", ncols=WIDTH, disable=quiet) as bar:
        callbacks = [_advance(bar), *([_show_beliefs] if name == "llm" and not quiet else [])]
        study.optimize(task.objective, n_trials=n_trials, callbacks=callbacks)
    seconds = time.perf_counter() - start
    return Run(
        label=LABELS[name],
        errors=finished_errors(study),
        config=study.best_params,
        test_error=task.test_error(study.best_params),
        seconds=seconds,
    )


def _advance(bar: tqdm[None]) -> Callable[[optuna.Study, optuna.trial.FrozenTrial], None]:
    def callback(study: optuna.Study, _: optuna.trial.FrozenTrial) -> None:
        bar.set_postfix_str(f"best {study.best_value:.2%}", refresh=False)
        bar.update()

    return callback


def _show_beliefs(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    if trial.number > 0 or not isinstance(study.sampler, LLMPriorSampler):
        return
    elicitations = study.sampler.get_statistics(study).elicitations
    if elicitations:
        who = elicitations[-1].model or "the language model"
        tqdm.write(f"What {who} believes\n{belief_table(elicitations[-1].answer)}\n")
    else:
        tqdm.write("The language model gave no answer; the search goes on without a prior.\n")


def header(arguments: argparse.Namespace) -> str:
    """What is going to happen."""
    source = f"asked live from {arguments.model}" if arguments.model else "a recorded answer (no key, no network)"
    return (
        "Tuning a small neural network on handwritten digits\n"
        f"  task       7 hyperparameters; error on {N_VALIDATION} validation rows after {EPOCHS} epochs; minimised\n"
        f"  budget     {arguments.trials} trials for each sampler, seed {arguments.seed}\n"
        f"  beliefs    {source}\n"
    )


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=_positive, default=25, help="trials for each sampler (default: 25)")
    parser.add_argument("--seed", type=int, default=0, help="seed of split, networks and samplers (default: 0)")
    parser.add_argument("--model", help="LiteLLM model string to ask, instead of the recorded answer")
    parser.add_argument("--samplers", nargs="+", choices=LABELS, default=list(LABELS), help="which ones to run")
    parser.add_argument("--out", type=Path, default=Path("quickstart.png"), help="figure (default: quickstart.png)")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number above zero, got {text!r}")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the samplers one after the other, print a table, save a figure."""
    options = parse_arguments(arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    use_one_thread()
    print(header(options))
    task = DigitsTask.load(seed=options.seed)
    runs = [
        run(name, task, n_trials=options.trials, seed=options.seed, model=options.model) for name in options.samplers
    ]
    print(f"\n{results_table(runs)}\n")
    print(f"Test error: the networks of the best trial, scored once on {N_TEST} rows kept out of the search.")
    print(f"Chosen by {runs[0].label}:\n{config_text(runs[0].config)}")
    save_figure(runs, options.out, title="A small neural network on handwritten digits: 7 hyperparameters")
    print(f"Figure: {options.out}")


if __name__ == "__main__":
    main()
