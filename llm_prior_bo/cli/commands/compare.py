"""`compare`: samplers on an objective with the same seeds, or the report of a file of results."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import optuna
import typer

from llm_prior_bo.cli.inputs import OBJECT_NAME, SpaceOption, current_folder_on_path, imported, read_data, space_from
from llm_prior_bo.cli.output import OK, PROBLEM, Output
from llm_prior_bo.compare.comparison import compare as run_comparison
from llm_prior_bo.compare.inputs import SamplerFactory
from llm_prior_bo.compare.result import ComparisonResult, read_comparison
from llm_prior_bo.elicitation.fixed import FixedElicitor
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.sampler import LLMPriorSampler
from llm_prior_bo.space import SearchSpace

SAMPLERS: dict[str, SamplerFactory] = {
    "tpe": optuna.samplers.TPESampler,
    "gp": optuna.samplers.GPSampler,
    "random": optuna.samplers.RandomSampler,
    "cmaes": optuna.samplers.CmaEsSampler,
    "qmc": optuna.samplers.QMCSampler,
}
"""Optuna's samplers, by what they are called here."""

LLM_PRIOR = "llm-prior"
"""What the sampler with the answer of `--answer` is called."""

WITH_DEFAULTS = "+defaults"
"""End of the name of a sampler whose studies try the parameters of `--defaults` first."""


def compare(
    objective: Annotated[
        str | None, typer.Argument(metavar="MODULE:OBJECTIVE", help="What is optimised, a function of a trial.")
    ] = None,
    sampler: Annotated[
        list[str] | None,
        typer.Option(
            "--sampler",
            metavar="NAME|MODULE:ATTR",
            help=f"One of {', '.join(SAMPLERS)}, or a Python function of a seed; {WITH_DEFAULTS} behind it: "
            "tries --defaults first. Repeat for more.",
        ),
    ] = None,
    answer: Annotated[
        Path | None, typer.Option("--answer", metavar="FILE", help=f"Also compare {LLM_PRIOR}, with this answer.")
    ] = None,
    space: SpaceOption = None,
    defaults: Annotated[
        Path | None, typer.Option("--defaults", metavar="FILE", help="JSON or YAML file of parameters to try first.")
    ] = None,
    direction: Annotated[
        Literal["minimize", "maximize"], typer.Option("--direction", help="Of the objective.")
    ] = "minimize",
    n_trials: Annotated[int | None, typer.Option("--n-trials", help="Trials of a study.  [default: 50]")] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="Number of seeds.")] = 10,
    jobs: Annotated[int, typer.Option("--jobs", help="Studies at a time.")] = 1,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="JSON lines of the results; continued if it is there.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Only report this file of results.")
    ] = None,
    figure: Annotated[Path | None, typer.Option("--figure", metavar="FILE", help="Write a figure, HTML.")] = None,
    baseline: Annotated[
        str | None, typer.Option("--baseline", metavar="NAME", help="The sampler that the others are compared with.")
    ] = None,
    level: Annotated[float | None, typer.Option("--level", help="Value whose first reaching is counted.")] = None,
) -> Output:
    """Compare samplers on an objective. With --from, only report results that are there."""
    if (objective is None) == (results is None):
        raise ConfigurationError("Expected an objective, as module:function, or --from with a file, one of the two.")
    if results is not None:
        result = _reported(results, n_trials=n_trials, baseline=baseline, level=level)
    else:
        assert objective is not None
        samplers, enqueue = _samplers(sampler or [], answer=answer, space=space, defaults=defaults)
        with current_folder_on_path():
            result = run_comparison(
                imported(objective),
                samplers,
                n_trials=50 if n_trials is None else n_trials,
                seeds=seeds,
                baseline=baseline,
                direction=direction,
                path=out,
                n_jobs=jobs,
                enqueue=enqueue,
                level=level,
                show_progress_bar=sys.stderr.isatty(),
            )
    if figure is not None:
        result.plot().write_html(figure)
    written = [f"Written: {path}" for path in (out, figure) if path is not None]
    data = {**result.to_dict(), "out": out, "figure": figure}
    has_failed = data["n_failed_studies"] > 0
    return Output(data, [*result.tables, *written], PROBLEM if has_failed else OK)


def _reported(path: Path, *, n_trials: int | None, baseline: str | None, level: float | None) -> ComparisonResult:
    result = read_comparison(path, n_trials=n_trials, baseline=baseline)
    return result if level is None else replace(result, levels=dict.fromkeys(result.tasks, level))


def _samplers(
    names: Sequence[str], *, answer: Path | None, space: str | None, defaults: Path | None
) -> tuple[dict[str, SamplerFactory], dict[str, list[Mapping[str, Any]]]]:
    """The samplers by name, that with the answer first; and what they try first."""
    samplers: dict[str, SamplerFactory] = {}
    if answer is not None:
        known = None if space is None else space_from(space, None)
        samplers[LLM_PRIOR] = partial(_with_answer, answer=FixedElicitor(answer), space=known)
    samplers |= {name: _factory(name.removesuffix(WITH_DEFAULTS)) for name in names}
    if not samplers:
        raise ConfigurationError(f"Expected --sampler with one of {list(SAMPLERS)}, or --answer, got neither.")
    started = [name for name in names if name.endswith(WITH_DEFAULTS)]
    if bool(started) != (defaults is not None):
        raise ConfigurationError(
            f"Expected --defaults together with a sampler that tries them first, e.g. tpe{WITH_DEFAULTS}, got "
            f"{'no such sampler' if defaults else 'no --defaults'}."
        )
    return samplers, dict.fromkeys(started, [] if defaults is None else _points(defaults))


def _factory(name: str) -> SamplerFactory:
    if name in SAMPLERS:
        return SAMPLERS[name]
    if not OBJECT_NAME.fullmatch(name):
        raise ConfigurationError(f"Expected --sampler with one of {list(SAMPLERS)} or module:function, got {name!r}.")
    factory: SamplerFactory = imported(name)
    return factory


def _with_answer(seed: int, *, answer: FixedElicitor, space: SearchSpace | None) -> LLMPriorSampler:
    return LLMPriorSampler(elicitor=answer, search_space=space, seed=seed)


def _points(path: Path) -> list[Mapping[str, Any]]:
    """A mapping from names to values, or a list of such."""
    data = read_data(path)
    points = data if isinstance(data, list) else [data]
    if not points or not all(isinstance(point, Mapping) for point in points):
        raise ConfigurationError(f"Expected parameters by name in {str(path)!r}, or a list of such, got {data!r}.")
    return points
