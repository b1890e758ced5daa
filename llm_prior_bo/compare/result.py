"""A finished comparison: its tables, its figure, its frames."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_prior_bo._cached_property import cached_property
from llm_prior_bo._display import TextTable
from llm_prior_bo.compare.markdown import markdown_table
from llm_prior_bo.compare.metrics import StudyResult, sampler_name
from llm_prior_bo.compare.runner import Record, finished, read_records
from llm_prior_bo.compare.statistics import Quartiles
from llm_prior_bo.compare.summary import (
    FIRST_AFTER_STARTUP,
    MIN_PAIRS,
    Difference,
    OverallSummary,
    SamplerSummary,
    Studies,
    by_task,
    differences,
    overall,
    summarize,
)
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.visualization.comparison import plot_comparison
from llm_prior_bo.visualization.plotly_import import as_text, import_optional, subplots

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go
    from rich.console import RenderableType

PANEL_HEIGHT = 360
"""Pixels of one task in a figure of several."""


@dataclass(frozen=True)
class ComparisonResult:
    """What samplers have reached on the same tasks with the same seeds.

    `print` it for the tables; in a notebook they are shown. `dataclasses.replace(result, baseline=...)` looks at the
    same studies against another baseline.

    Args:
        records: One for each study, see `read_comparison`; those with an error are told, and left out.
        baseline: Name of the sampler that the others are compared with; `None`: none is.
        levels: Name of a task -> value whose first reaching is counted; where it is missing, what most of the
            baseline's studies reach in the end.
        at: After how many trials best values are told; `None`: two round numbers in the first half, and the end.
        random: Name of the random search whose median a suggestion has to beat to count as a success; `None`: the
            sampler named "random", else the only one of class `RandomSampler`.

    Raises:
        ConfigurationError: If no study has finished, studies of a task differ in length or direction, or a name is
            none of the samplers'.
    """

    records: tuple[Record, ...] = field(repr=False)
    baseline: str | None = None
    levels: Mapping[str, float] = field(default_factory=dict)
    at: tuple[int, ...] | None = None
    random: str | None = None

    def __post_init__(self) -> None:
        if not self.tasks:
            errors = [record["error"] for record in self.records if record["error"] is not None]
            told = f"{len(errors)} that failed, the first with:\n{errors[0]}" if errors else "none"
            raise ConfigurationError(f"Expected at least one finished study, got {told}")
        known = list(dict.fromkeys(map(sampler_name, self.records)))  # also one whose studies have all failed
        for argument in ("baseline", "random"):
            name = getattr(self, argument)
            if name is not None and name not in known:
                raise ConfigurationError(f"Expected {argument} to be one of {known}, got {name!r}.")

    # Numbers ---------------------------------------------------------------------------------------------------------

    @cached_property
    def tasks(self) -> dict[str, Studies]:
        """The finished studies of each task."""
        return by_task(StudyResult.of(record) for record in finished(self.records))

    @property
    def samplers(self) -> list[str]:
        """Names of the samplers."""
        return list(dict.fromkeys(sampler for studies in self.tasks.values() for sampler in studies.by_sampler))

    @cached_property
    def summaries(self) -> list[SamplerSummary]:
        """A row for each task and sampler."""
        return [row for studies in self.tasks.values() for row in self._rows(studies)]

    def _rows(self, studies: Studies) -> list[SamplerSummary]:
        level = self.levels.get(studies.task)
        return summarize(studies, baseline=self.baseline, level=level, at=self.at, random=self.random)

    @cached_property
    def differences(self) -> list[Difference]:
        """A row for each task, sampler and metric; none without a baseline."""
        if self.baseline is None:
            return []
        return [row for studies in self.tasks.values() for row in differences(studies, self.baseline)]

    @cached_property
    def overall(self) -> list[OverallSummary]:
        """A row for each sampler over all tasks."""
        return overall(list(self.tasks.values()), self.summaries, self.differences)

    # Tables ----------------------------------------------------------------------------------------------------------

    @property
    def tables(self) -> list[TextTable]:
        """For each task its best values, its other metrics and the differences; then all tasks together."""
        found = [table for studies in self.tasks.values() for table in self._tables_of(studies)]
        return [*found, *([self._overall_table()] if len(self.tasks) > 1 else []), *self._remarks()]

    def _tables_of(self, studies: Studies) -> list[TextTable]:
        rows = [row for row in self.summaries if row.task == studies.task]
        found = [row for row in self.differences if row.task == studies.task]
        tables = [_best_table(studies, rows), _metrics_table(rows)]
        return [*tables, _difference_table(found, self.baseline)] if found else tables

    def _overall_table(self) -> TextTable:
        columns = ["sampler", "tasks", "mean rank"]
        against = ["tasks better-neither-worse", "studies better-equal-worse", "speed-up (tasks)"]
        rows = []
        for row in self.overall:
            speed_up = None if row.speed_up is None else f"{row.speed_up[0]:.2g}x ({row.speed_up[1]})"
            rank = None if row.mean_rank is None else f"{row.mean_rank:.2f}"
            is_baseline = row.sampler == self.baseline
            compared = [None, None, None] if is_baseline else [str(row.tasks), str(row.studies), speed_up]
            rows.append([row.sampler, row.n_tasks, rank, *(compared if self.baseline is not None else [])])
        told = f", against {self.baseline}" if self.baseline is not None else ""
        return TextTable.of(f"All tasks{told}", columns + (against if self.baseline is not None else []), rows)

    def _remarks(self) -> list[TextTable]:
        remarks = []
        if errors := [record for record in self.records if record["error"] is not None]:
            last = str(errors[0]["error"]).strip().splitlines()[-1]
            remarks.append(f"{len(errors)} studies failed and are left out, the first with {last}")
        for row in self.summaries:
            if row.n_without_value:
                told = ", ".join(f"{n} {state.lower()}" for state, n in row.n_without_value.items())
                remarks.append(f"Trials without a value, {row.task}, {row.sampler}: {told}.")
        failures = [study.failure for studies in self.tasks.values() for study in studies.all if study.failure]
        if failures:
            remarks.append(f"The first failed trial: {failures[0]}")
        if all(row.success_rate is None for row in self.summaries):
            remarks.append("No success rate: compare with a sampler named random, e.g. optuna.samplers.RandomSampler.")
        return [TextTable.of("Remarks", lines=remarks)] if remarks else []

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.tables))

    def _repr_html_(self) -> str:
        return "".join(table.to_html() for table in self.tables)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002 - IPython's signature
        printer.text(str(self))

    def __rich__(self) -> RenderableType:
        from rich.console import Group

        return Group(*(table.to_rich() for table in self.tables))

    def to_markdown(self) -> str:
        """The tables in Markdown."""
        parts = []
        for table in self.tables:
            rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
            parts += [f"**{table.title}**", *([markdown_table(rows)] if rows else []), *table.lines]
        return "\n\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """All numbers of the tables, with their quartiles, as JSON-able values; infinite ones are text."""
        failed = [record for record in self.records if record["error"] is not None]
        return {
            "baseline": self.baseline,
            "tasks": {
                task: {"n_trials": studies.n_trials, "direction": studies.direction}
                for task, studies in self.tasks.items()
            },
            "n_failed_studies": len(failed),
            "summaries": [_jsonable(asdict(row)) for row in self.summaries],
            "differences": [_jsonable(asdict(row)) for row in self.differences],
            "overall": [_jsonable(asdict(row)) for row in self.overall],
        }

    # Figure and frames -----------------------------------------------------------------------------------------------

    def plot(self) -> go.Figure:
        """Plot the best value so far, a panel for each task: the median of the studies, with the quartiles as a band.

        A curve begins where all studies of a sampler have a value.

        Raises:
            ImportError: If plotly is not installed.
        """
        panels = {
            task: plot_comparison(
                {name: [study.best.tolist() for study in own.values()] for name, own in studies.by_sampler.items()}
            )
            for task, studies in self.tasks.items()
        }
        if len(panels) == 1:
            ((task, panel),) = panels.items()
            return panel.update_layout(title=f"Best value so far: {as_text(task)}")
        figure = subplots(len(panels), subplot_titles=[as_text(task) for task in panels], shared_xaxes=False)
        shown: set[str] = set()
        for i, panel in enumerate(panels.values(), start=1):
            for trace in panel.data:
                # One entry of the legend does for all panels.
                trace.showlegend = trace.showlegend is not False and trace.name not in shown
                shown |= {trace.name} if trace.showlegend else set()
                figure.add_trace(trace, row=i, col=1)
        legend = {"orientation": "h", "y": -0.2 / len(panels), "yanchor": "top"}
        figure.update_layout(title="Best value so far", height=PANEL_HEIGHT * len(panels), legend=legend)
        return figure.update_xaxes(title_text="trials").update_yaxes(title_text="best value")

    def to_frame(self) -> pd.DataFrame:
        """All trials as a pandas frame, a row each.

        Columns: `task`, `sampler`, `seed`, `trial` (from 1), `state`, `value` and `best_value` (NaN where there is
        none), `test_value`, `suggest_seconds`, and `params_<name>` for every parameter.

        Raises:
            ImportError: If pandas is not installed.
        """
        rows = [row for record in finished(self.records) for row in _trial_rows(record)]
        return import_optional("pandas", extra="compare").DataFrame(rows)

    def summary_frame(self) -> pd.DataFrame:
        """The metrics of every study as a pandas frame, a row each: what the tables summarise.

        Raises:
            ImportError: If pandas is not installed.
        """
        rows = [row for studies in self.tasks.values() for row in self._study_rows(studies)]
        return import_optional("pandas", extra="compare").DataFrame(rows)

    def _study_rows(self, studies: Studies) -> list[dict[str, Any]]:
        loss = studies.loss_of_level(self.levels.get(studies.task), baseline=self.baseline)
        success = studies.reference_of_success(self.random)
        return [_study_row(study, loss=loss, success=success) for study in studies.all]


def read_comparison(
    path: str | Path,
    *,
    n_trials: int | None = None,
    baseline: str | None = None,
    levels: Mapping[str, float] | None = None,
    at: Sequence[int] | None = None,
    random: str | None = None,
) -> ComparisonResult:
    """Read the result of a comparison from the file that `compare` has written, finished or not.

    Records of the repository's benchmarks that hold `values` are read too; a sampler is then named with its prior.

    Args:
        path: File of JSON lines.
        n_trials: Only studies of this length; needed where the file holds several.
        baseline: As in `ComparisonResult`.
        levels: As in `ComparisonResult`.
        at: As in `ComparisonResult`.
        random: As in `ComparisonResult`.

    Raises:
        ConfigurationError: If there is no such file, or nothing in it to show.
        PersistenceError: If a line is no record.
    """
    if not Path(path).exists():
        raise ConfigurationError(f"Expected a file of results, got {str(path)!r}, which does not exist; compare first.")
    records = tuple(record for record in read_records(Path(path)) if n_trials in (None, record["n_trials"]))
    told = None if at is None else tuple(at)
    return ComparisonResult(records, baseline=baseline, levels=dict(levels or {}), at=told, random=random)


def _best_table(studies: Studies, rows: Sequence[SamplerSummary]) -> TextTable:
    at = list(rows[0].best)
    with_test = any(row.test_value is not None for row in rows)
    title = f"{studies.task}: {studies.direction}, {studies.n_trials} trials a study; median (quartiles) of the studies"
    columns = ["sampler", "studies", *(f"best after {t}" for t in at), *(["test value"] if with_test else [])]
    cells = [
        [row.sampler, row.n_studies, *map(_text, row.best.values()), *([_text(row.test_value)] if with_test else [])]
        for row in rows
    ]
    return TextTable.of(title, columns, cells)


def _metrics_table(rows: Sequence[SamplerSummary]) -> TextTable:
    columns = ["sampler", "trials to level", "speed-up", "area 1", "area 6", "success", "diversity", "s a suggestion"]
    cells = []
    for row in rows:
        trials = None if row.trials_to_level is None else row.trials_to_level.median
        reached = None if trials is None else f"> {max(row.best)}" if math.isinf(trials) else f"{trials:.3g}"
        success = None if row.success_rate is None else f"{row.success_rate.median:.0%}"
        means = [None if q is None else f"{q.median:.4g}" for q in (row.area_1, row.area_6)]
        others = [None if q is None else q.median for q in (row.diversity, row.suggest_seconds)]
        speed_up = None if row.speed_up is None else str(row.speed_up)
        cells.append([row.sampler, reached, speed_up, *means, success, *others])
    return TextTable.of("Medians", columns, cells)


def _difference_table(found: Sequence[Difference], baseline: str | None) -> TextTable:
    columns = ["sampler", "metric", "seeds", "mean difference (95 %)", "better-equal-worse", "verdict"]
    cells = [[row.sampler, row.metric, row.n_pairs, row.difference, row.comparison, row.verdict] for row in found]
    few = any(row.n_pairs < MIN_PAIRS for row in found)
    lines = [f"With fewer than {MIN_PAIRS} seeds there is no verdict."] if few else []
    return TextTable.of(f"Against {baseline}, paired by seed", columns, cells, lines)


def _text(quartiles: Quartiles | None) -> str | None:
    return None if quartiles is None else quartiles.text(".4g")


def _study_row(study: StudyResult, *, loss: float | None, success: float | None) -> dict[str, Any]:
    areas = {f"area_{first}": study.area(first) for first in (1, FIRST_AFTER_STARTUP)}
    return {
        "task": study.task,
        "sampler": study.sampler,
        "seed": study.seed,
        "best_value": study.best[-1],
        "trials_to_level": None if loss is None else study.trials_to(loss),
        **{name: None if area is None else study.sign * area for name, area in areas.items()},
        "success_rate": None if success is None else study.success_rate(success),
        "diversity": study.diversity,
        "test_value": study.test_value,
        "suggest_seconds": study.mean_suggest_seconds,
    }


def _trial_rows(record: Record) -> list[dict[str, Any]]:
    study = StudyResult.of(record)
    n = study.n_trials
    states = [*study.states, *[None] * (n - len(study.states))]
    seconds = [*study.suggest_seconds, *[None] * (n - len(study.suggest_seconds))]
    params = [*record.get("params", ()), *[{}] * n][:n]
    return [
        {
            "task": study.task,
            "sampler": study.sampler,
            "seed": study.seed,
            "trial": i + 1,
            "state": states[i],
            "value": study.values[i],
            "best_value": study.best[i],
            "test_value": study.test_values[i],
            "suggest_seconds": seconds[i],
            **{f"params_{name}": value for name, value in params[i].items()},
        }
        for i in range(n)
    ]


def _jsonable(value: Any) -> Any:
    """Mappings with text as keys; infinite numbers, which JSON does not have, as text."""
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
