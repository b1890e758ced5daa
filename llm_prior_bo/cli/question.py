"""What `ask` and `record` share: the question, and who is asked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from llm_prior_bo.cli.inputs import SpaceOption, StorageOption, StudyOption, read_data, space_from, study_from
from llm_prior_bo.cli.output import Output
from llm_prior_bo.elicitation.answer.remarks import guesses_at_bounds
from llm_prior_bo.elicitation.llm_elicitor import LLMElicitor
from llm_prior_bo.elicitation.prompt.context import (
    PARAMETER_ATTRIBUTES,
    READ_ATTRIBUTES,
    StudyContext,
    attribute_text,
    misnamed_attributes,
    unknown_parameters,
)
from llm_prior_bo.elicitation.record import Elicitation
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.context import study_context

if TYPE_CHECKING:
    from optuna import Study


@dataclass(frozen=True)
class Inquiry:
    """A question of a command.

    Args:
        space: The parameters.
        context: What is asked about.
        elicitor: Who is asked.
    """

    space: SearchSpace
    context: StudyContext
    elicitor: LLMElicitor


def inquiry(
    model: Annotated[str, typer.Option("--model", help="LiteLLM's name of the model; its key is in the environment.")],
    space: SpaceOption = None,
    storage: StorageOption = None,
    study: StudyOption = None,
    context: Annotated[
        Path | None,
        typer.Option(
            "--context", metavar="FILE", help="JSON or YAML file with problem_description, model_type and so on."
        ),
    ] = None,
    description: Annotated[str | None, typer.Option("--description", help="What is tuned, on what.")] = None,
    direction: Annotated[
        Literal["minimize", "maximize"], typer.Option("--direction", help="Of the objective, without a study.")
    ] = "minimize",
    api_base: Annotated[str | None, typer.Option("--api-base", metavar="URL", help="Address of the server.")] = None,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds for one request.")] = 30.0,
    max_retries: Annotated[int, typer.Option("--max-retries", help="How often one answer is asked for again.")] = 3,
) -> Inquiry:
    """What the options of a question say; a stored study is read, not written to."""
    stored = study_from(storage, study)
    parameters = space_from(space, stored)
    asked = question(parameters, stored, file=context, description=description, direction=direction)
    options: dict[str, Any] = {} if api_base is None else {"api_base": api_base}
    return Inquiry(parameters, asked, LLMElicitor(model, timeout=timeout, max_retries=max_retries, **options))


CONNECTION = ("api_base", "timeout", "max_retries")
"""Options that come last in the help."""


def asks(function: Callable[..., Output]) -> Callable[..., Output]:
    """A command with the options of a question, and what they say as its first argument."""
    shared = inspect.signature(inquiry, eval_str=True).parameters
    signature = inspect.signature(function, eval_str=True)

    @wraps(function)
    def command(**arguments: Any) -> Output:
        said = {name: arguments.pop(name) for name in shared}
        return function(inquiry(**said), **arguments)

    own = list(signature.parameters.values())[1:]
    asked = [parameter for name, parameter in shared.items() if name not in CONNECTION]
    both = [*asked, *own, *(shared[name] for name in CONNECTION)]
    both.sort(key=lambda parameter: parameter.default is not inspect.Parameter.empty)  # required ones first
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in both]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return command


def question(
    space: SearchSpace, study: Study | None, *, file: Path | None, description: str | None, direction: str
) -> StudyContext:
    """The context of a question: of a study if there is one, with what the user says beside it.

    Raises:
        ConfigurationError: If the file holds something that is not read.
    """
    said = _said(file) | ({} if description is None else {"problem_description": description})
    said_of = {attribute: said.pop(attribute, {}) for attribute in PARAMETER_ATTRIBUTES}
    for attribute, texts in said_of.items():
        if not isinstance(texts, Mapping):
            raise ConfigurationError(f"Expected {attribute} as a mapping from names, got {texts!r}.")
    for problem in unknown_parameters(said_of, space.names, space_is_complete=True):
        raise ConfigurationError(problem)
    n_trials = said.pop("n_trials", None)
    if study is None:
        context = StudyContext(dict(space.distributions), directions=(direction,), space_is_complete=True)
    else:
        context = study_context(study, space)
    texts = {
        attribute: getattr(context, attribute)
        | {name: text for name, value in table.items() if (text := attribute_text(value, keep=space.names)) is not None}
        for attribute, table in said_of.items()
    }
    attributes: dict[str, Any] = {name: attribute_text(value, keep=space.names) for name, value in said.items()}
    return replace(
        context,
        **attributes,
        **texts,
        n_trials=n_trials if isinstance(n_trials, int) else context.n_trials,
    )


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
    if not isinstance(data, Mapping):
        raise ConfigurationError(f"Expected a mapping with some of {', '.join(READ_ATTRIBUTES)} in {str(file)!r}.")
    unknown = [str(name) for name in data if name not in READ_ATTRIBUTES]
    if unknown:
        meant = misnamed_attributes(unknown).get(unknown[0])
        hint = f" Did you mean {meant!r}?" if meant else ""
        raise ConfigurationError(
            f"Expected some of {', '.join(READ_ATTRIBUTES)} in {str(file)!r}, got {unknown[0]!r}.{hint}"
        )
    return dict(data)
