"""`show`: what an answer says, or what a study holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import optuna
import typer

from llm_prior_bo._display import TextTable
from llm_prior_bo.cli.inputs import StorageOption, StudyOption, study_from
from llm_prior_bo.cli.output import Output
from llm_prior_bo.elicitation.answer_file import load_answer
from llm_prior_bo.errors import ConfigurationError, LLMPriorError
from llm_prior_bo.optimization.study_prior import prior_of
from llm_prior_bo.priors import MixturePrior, UniformPrior
from llm_prior_bo.study.diagnostics import study_statistics


def show(
    answer: Annotated[Path | None, typer.Argument(metavar="[ANSWER]", help="File of an answer.")] = None,
    storage: StorageOption = None,
    study: StudyOption = None,
) -> Output:
    """Show an answer's file, or the answers, trust and cost of a stored study."""
    stored = study_from(storage, study)
    if (answer is None) == (stored is None):
        raise ConfigurationError("Expected the file of an answer or --storage (and --study), one of the two.")
    if stored is not None:
        return _show_study(stored)
    assert answer is not None
    found = load_answer(answer)
    return Output({"answer": found.model_dump()}, [found._display()])


def _show_study(study: optuna.Study) -> Output:
    statistics = study_statistics(study)
    table, weights = _density(study)
    answers = [elicitation._display() for elicitation in statistics.elicitations]
    return Output({**statistics.to_dict(), "density_now": weights}, [*answers, table, statistics._display()])


def _density(study: optuna.Study) -> tuple[TextTable | str, dict[str, Any] | None]:
    """The density now, as a table and for `--json`; a sentence where it is not known."""
    try:
        prior = prior_of(study)
    except LLMPriorError as error:
        return f"The density now is not known: {error}", None
    if not isinstance(prior, MixturePrior):
        return prior._display() if isinstance(prior, UniformPrior) else str(prior), None
    table, weights = prior._display(), prior.weights.tolist()
    title = f"Density now, as the evidence leaves it: trust {sum(weights):.2f}"
    data = {"trust": sum(weights), "weights": weights, "regions": [region.label for region in prior.regions]}
    return TextTable.of(title, table.columns, table.rows, table.lines), data
