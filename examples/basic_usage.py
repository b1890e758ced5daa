"""Tune a small neural network with a language model's belief about good hyperparameters, and see what it is worth.

    python examples/basic_usage.py                     # a recorded answer: no key, no network
    python examples/basic_usage.py --model gpt-4o      # every study asks a live model; any LiteLLM model string

The first two functions are all that the package asks for. The rest shows what came of it: the answer, how far the
trials have borne it out, and what two samplers without a prior find with as many trials, over several seeds. A seed
changes the split of the data, the networks' random starts and the samplers. What is tuned is in `digits.py`.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import optuna
from digits import N_TEST, N_VALIDATION, DigitsTask, describe, search_space, use_one_thread
from optuna.samplers import BaseSampler, GPSampler, TPESampler

from llm_prior_bo import LLMPriorSampler, ReplayElicitor, answers_of, explain, save_report, study_statistics
from llm_prior_bo.errors import RepairedAnswerWarning
from llm_prior_bo.visualization import plot_comparison

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


# ---- One study, looked at


def show(study: optuna.Study) -> None:
    """What was believed, what the trials made of it, where the last suggestion came from."""
    print(*answers_of(study), sep="\n")
    print(f"\n{study_statistics(study)}")
    print(f"\n{explain(study, len(study.trials) - 1)}")


# ---- Several seeds, compared


def samplers(model: str | None = None) -> dict[str, Callable[[int], BaseSampler]]:
    """The samplers by name, each made from a seed."""
    return {
        "LLM prior": partial(llm_prior, model=model),
        "GPSampler": lambda seed: GPSampler(seed=seed),
        "TPESampler": lambda seed: TPESampler(seed=seed),
    }


def run(name: str, seed: int, *, n_trials: int, model: str | None = None) -> optuna.Study:
    """Give the sampler of that name its trials, and score its best network on the rows that the search never saw."""
    be_quiet_and_quick()
    task = DigitsTask.load(seed=seed)
    study = tune(samplers(model)[name](seed), task, n_trials=n_trials)
    study.set_user_attr("test_error", task.test_error(study.best_params))
    return study


def compare(first: optuna.Study, seeds: Sequence[int], **options: Any) -> dict[str, list[optuna.Study]]:
    """A study of every sampler for every seed, as many at once as there are processors; the first is done already."""
    _, *others = [(name, seed) for name in samplers() for seed in seeds]
    parallel = joblib.Parallel(n_jobs=min(len(seeds), joblib.cpu_count()))
    studies = iter([first, *parallel(joblib.delayed(run)(name, seed, **options) for name, seed in others)])
    return {name: [next(studies) for _ in seeds] for name in samplers()}


def results_table(studies: Mapping[str, Sequence[optuna.Study]], *, n_trials: int) -> str:
    """Best validation error after some trials, and the test error: median and quartiles over the seeds."""
    marks = checkpoints(n_trials)
    rows = [["", *(f"{n} trials" for n in marks), "test error", "seconds"]]
    for name, own in studies.items():
        errors = [[best_after(n, study) for study in own] for n in marks]
        errors.append([study.user_attrs["test_error"] for study in own])
        rows.append([name, *map(quartiles, errors), f"{np.median([seconds(study) for study in own]):.0f}"])
    return "\n".join(
        "".join([f"  {row[0]:<10}", *(f"{cell:>24}" for cell in row[1:-1]), f"{row[-1]:>9}"]) for row in rows
    )


def checkpoints(n_trials: int) -> list[int]:
    """After how many trials the samplers are compared: 5, 10 and the last."""
    return [*(n for n in (5, 10) if n < n_trials), n_trials]


def best_after(n: int, study: optuna.Study) -> float:
    """Smallest validation error of the first trials."""
    return min(float(trial.values[0]) for trial in study.trials[:n])


def seconds(study: optuna.Study) -> float:
    """Duration of a study, training included."""
    return sum(trial.duration.total_seconds() for trial in study.trials if trial.duration is not None)


def quartiles(errors: Sequence[float]) -> str:
    low, median, high = np.quantile(errors, [0.25, 0.5, 0.75])
    return f"{median:.2%} ({low:.2%} .. {high:.2%})"


def save_figure(studies: Mapping[str, Sequence[optuna.Study]], path: Path) -> None:
    """Median and quartiles of the best validation error so far."""
    figure = plot_comparison(studies)
    figure.update_layout(title="Handwritten digits, 500 training rows: best validation error so far")
    figure.update_yaxes(title="validation error (log scale)", type="log", tickformat=".1%", dtick="D1")
    figure.write_html(path)


# ---- The program


def be_quiet_and_quick() -> None:
    """In every process that trains."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", RepairedAnswerWarning)  # the answer is shown with what was repaired
    use_one_thread()


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="LiteLLM model string to ask, instead of the recorded answer")
    parser.add_argument("--trials", type=positive, default=15, help="trials for each study (default: 15)")
    parser.add_argument("--seeds", type=positive, default=3, help="studies for each sampler (default: 3)")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the two pages (default: here)")
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    """A whole number above zero."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number above zero, got {text!r}")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> dict[str, list[optuna.Study]]:
    """Run one study and show it, then several of each sampler and compare them."""
    options = parse_arguments(arguments)
    n_trials, model, out = options.trials, options.model, options.out
    print(f"Seven hyperparameters of a small network: error on {N_VALIDATION} validation rows, {n_trials} trials.\n")
    study = run("LLM prior", 0, n_trials=n_trials, model=model)
    show(study)
    print(f"\nNow the samplers, {options.seeds} studies each ...")
    studies = compare(study, range(options.seeds), n_trials=n_trials, model=model)
    print(f"\nBest validation error so far, then error on {N_TEST} test rows: median (quartiles) of the seeds")
    print(results_table(studies, n_trials=n_trials))
    save_figure(studies, out / "comparison.html")
    save_report(study, out / "report.html")
    print(f"\nOpen {out / 'comparison.html'} in a browser, and {out / 'report.html'} for all about the first study.")
    return studies


if __name__ == "__main__":
    main()
