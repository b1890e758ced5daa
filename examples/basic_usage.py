"""Tune a small neural network with a language model's belief about good hyperparameters, and see what it is worth.

    python examples/basic_usage.py                     # a recorded answer: no key, no network
    python examples/basic_usage.py --model gpt-4o      # the study asks a live model; any LiteLLM model string

The first two functions are all that the package asks for. The rest shows what came of it: the answer, how far the
trials have borne it out, and what other samplers find with as many trials (`comparison_study.py`, on the recorded
answer). What is tuned is in `digits.py`.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path

import comparison_study
import joblib
import optuna
from digits import N_VALIDATION, DigitsTask, describe, search_space, use_one_thread
from optuna.samplers import BaseSampler

from llm_prior_bo import LLMPriorSampler, ReplayElicitor, answers_of, explain, save_report, study_statistics
from llm_prior_bo.errors import RepairedAnswerWarning

RECORDED_ANSWER = Path(__file__).parent / "answers" / "quickstart.json"


def llm_prior(seed: int, *, model: str | None = None) -> LLMPriorSampler:
    """The sampler, with a model to ask or with an answer that was recorded once."""
    if model is not None:
        return LLMPriorSampler(model, search_space=search_space(), seed=seed)
    return LLMPriorSampler(elicitor=ReplayElicitor(RECORDED_ANSWER), search_space=search_space(), seed=seed)


def tune(sampler: BaseSampler, task: DigitsTask, *, n_trials: int) -> optuna.Study:
    """A study as always, with a few words about the problem for the language model."""
    study = optuna.create_study(direction="minimize", sampler=sampler)
    describe(study)  # study.set_user_attr("problem_description", "...") and the like
    study.optimize(task.objective, n_trials=n_trials)
    return study


def show(study: optuna.Study) -> None:
    """What was believed, what the trials made of it, where the last suggestion came from."""
    print(*answers_of(study), sep="\n")
    print(f"\n{study_statistics(study)}")
    print(f"\n{explain(study, len(study.trials) - 1)}")


def be_quiet_and_quick() -> None:
    """Settings of the process that trains."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", RepairedAnswerWarning)  # the answer is shown with what was repaired
    use_one_thread()


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="LiteLLM model string to ask, instead of the recorded answer")
    parser.add_argument("--trials", type=positive, default=12, help="trials for each study (default: 12)")
    parser.add_argument("--seeds", type=positive, default=2, help="studies for each sampler compared (default: 2)")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the two pages (default: here)")
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    """A whole number above zero."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number above zero, got {text!r}")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> optuna.Study:
    """Run one study and show it, then compare samplers."""
    options = parse_arguments(arguments)
    n_trials, seeds, out = options.trials, options.seeds, options.out
    be_quiet_and_quick()
    print(f"Seven hyperparameters of a small network: error on {N_VALIDATION} validation rows, {n_trials} trials.\n")
    study = tune(llm_prior(0, model=options.model), DigitsTask.load(seed=0), n_trials=n_trials)
    show(study)
    save_report(study, out / "report.html")
    print(f"\nNow five samplers, {seeds} studies each, on shorter trainings: a first look, no conclusion.\n")
    jobs = min(seeds, joblib.cpu_count())
    result = comparison_study.run(trials=n_trials, seeds=seeds, jobs=jobs, full=False, out=None)
    print(result)
    result.plot().write_html(out / "comparison.html")
    print(f"\nOpen {out / 'report.html'} in a browser for all about the first study, {out / 'comparison.html'} for the")
    print("comparison. For one with full trainings and more seeds: python examples/comparison_study.py --help")
    return study


if __name__ == "__main__":
    main()
