"""What `ask` and `record` share: the question, and who is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from llm_prior_bo.cli.inputs import read_data
from llm_prior_bo.elicitation.answer.remarks import guesses_at_bounds
from llm_prior_bo.elicitation.llm_elicitor import LLMElicitor
from llm_prior_bo.elicitation.prompt.context import (
    PARAMETER_DESCRIPTIONS,
    STUDY_ATTRIBUTES,
    StudyContext,
    attribute_text,
    misnamed_attributes,
)
from llm_prior_bo.elicitation.record import Elicitation
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.context import study_context

if TYPE_CHECKING:
    from optuna import Study

ModelOption = Annotated[
    str, typer.Option("--model", help="LiteLLM's name of the model; its key is in the environment.")
]
ContextOption = Annotated[
    Path | None,
    typer.Option("--context", metavar="FILE", help="JSON or YAML file with problem_description, model_type and so on."),
]
DescriptionOption = Annotated[str | None, typer.Option("--description", help="What is tuned, on what.")]
DirectionOption = Annotated[
    Literal["minimize", "maximize"], typer.Option("--direction", help="Of the objective, without a study.")
]
ApiBaseOption = Annotated[str | None, typer.Option("--api-base", metavar="URL", help="Address of the server.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", help="Seconds for one request.")]
RetriesOption = Annotated[int, typer.Option("--max-retries", help="How often one answer is asked for again.")]


def question(
    space: SearchSpace, study: Study | None, *, file: Path | None, description: str | None, direction: str
) -> StudyContext:
    """The context of a question: of a study if there is one, with what the user says beside it.

    Raises:
        ConfigurationError: If the file holds something that is not read.
    """
    said = _said(file) | ({} if description is None else {"problem_description": description})
    described = said.pop(PARAMETER_DESCRIPTIONS, {})
    if not isinstance(described, Mapping):
        raise ConfigurationError(f"Expected {PARAMETER_DESCRIPTIONS} as a mapping from names, got {described!r}.")
    n_trials = said.pop("n_trials", None)
    if study is None:
        context = StudyContext(dict(space.distributions), directions=(direction,), space_is_complete=True)
    else:
        context = study_context(study, space)
    texts = {name: text for name, value in described.items() if (text := attribute_text(value)) is not None}
    attributes: dict[str, Any] = {name: attribute_text(value, keep=space.names) for name, value in said.items()}
    return replace(
        context,
        **attributes,
        n_trials=n_trials if isinstance(n_trials, int) else context.n_trials,
        parameter_descriptions={**context.parameter_descriptions, **texts},
    )


def elicitor(model: str, *, api_base: str | None, timeout: float, max_retries: int) -> LLMElicitor:
    """Who is asked."""
    options: dict[str, Any] = {} if api_base is None else {"api_base": api_base}
    return LLMElicitor(model, timeout=timeout, max_retries=max_retries, **options)


def answer_data(elicitation: Elicitation) -> dict[str, Any]:
    """An answer for `--json`: what was answered, by whom, and what it took."""
    usage = asdict(elicitation.usage)
    names = ("model", "created_at", "repairs", "prompt_version", "prompt_hash")
    told = {name: getattr(elicitation, name) for name in names}
    return {"answer": elicitation.answer.model_dump(), **told, "usage": usage}


def bound_lines(elicitation: Elicitation, space: SearchSpace) -> list[str]:
    """What to tell of best guesses at a bound; nothing if there are none."""
    found = guesses_at_bounds(elicitation.answer, space)
    return [f"Best guesses at a bound, where a wider range may be better: {', '.join(found)}."] if found else []


def _said(file: Path | None) -> dict[str, Any]:
    data = {} if file is None else read_data(file)
    known = (*STUDY_ATTRIBUTES, PARAMETER_DESCRIPTIONS, "n_trials")
    if not isinstance(data, Mapping):
        raise ConfigurationError(f"Expected a mapping with some of {', '.join(known)} in {str(file)!r}.")
    unknown = [str(name) for name in data if name not in known]
    if unknown:
        meant = misnamed_attributes(unknown).get(unknown[0])
        hint = f" Did you mean {meant!r}?" if meant else ""
        raise ConfigurationError(f"Expected some of {', '.join(known)} in {str(file)!r}, got {unknown[0]!r}.{hint}")
    return dict(data)
