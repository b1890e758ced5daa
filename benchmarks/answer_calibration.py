"""Do stated intervals hold the best known configurations, and do answers say often enough that these lie at a bound?

    python -m benchmarks.answer_calibration --data FOLDER --answers ANSWERS
    python -m benchmarks.answer_calibration --data FOLDER --answers REPLIES --later real

FOLDER holds `suite.py`, a collection of real hyperparameter-optimisation tables and surrogates; ANSWERS holds
recordings named after its tasks, `<task>.json`, or plain answers, `<task>.answer.json`; REPLIES is the folder of
`benchmarks.asking_again`, whose answers were given after ten trials with their results, or with permuted ones. The best
known configuration of a task is the best of 20 000 uniform ones, improved by random steps from the 50 best. Intervals
are those of the region that is most responsible for it (`llm_prior_bo.calibration`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.asking_again import INDEX, reply_path
from benchmarks.harness.arguments import new_parser
from benchmarks.harness.hpo_tasks import Distributions, distributions, load_task
from benchmarks.harness.live_tasks import LIVE_TASKS
from llm_prior_bo import PriorAnswer, SearchSpace
from llm_prior_bo.calibration.scoring import AnswerScore, fit_coverage, score_answer
from llm_prior_bo.compare.markdown import markdown_table
from llm_prior_bo.elicitation import validate_answer
from llm_prior_bo.elicitation.replay import read_exchanges

N_UNIFORM = 20_000
N_BEST = 50
N_ROUNDS = 40
AT_BOUND = 0.05
"""A value that is nearer to a bound than this share of the range lies at it."""
MIDDLE_HALF = (0.25, 0.75)


@dataclass(frozen=True)
class Row:
    """What one task's answers came to.

    Args:
        scores: One for each answer.
        optimum_at_bound: Whether each numeric parameter of the best known configuration lies at a bound.
        guess_at_bound: The same for every best guess of the answers.
    """

    scores: tuple[AnswerScore, ...]
    optimum_at_bound: tuple[bool, ...]
    guess_at_bound: tuple[bool, ...]

    def cells(self) -> dict[str, str]:
        """The row of the table."""
        beliefs = [belief for score in self.scores for belief in score.beliefs]
        low, high = MIDDLE_HALF
        return {
            "answers": str(len(self.scores)),
            "intervals": str(len(beliefs)),
            "inside 80 %": _share([belief.inside for belief in beliefs]),
            "inside the middle 50 %": _share([low <= belief.probability <= high for belief in beliefs]),
            "coverage that fits": f"{fit_coverage(self.scores, prior_strength=1.0):.2f}" if beliefs else "",
            "stated confidence": f"{np.mean([score.confidence for score in self.scores]):.2f}",
            "optima at a bound": _share(self.optimum_at_bound),
            "guesses at a bound": _share(self.guess_at_bound),
        }


def best_known(task: Any, *, seed: int = 0) -> dict[str, Any]:
    """The best configuration of a task that a wide search finds; the same for the same seed."""
    rng = np.random.default_rng(seed)
    unit = rng.random((N_UNIFORM, len(task.space())))
    values = _evaluate(task, unit)
    for _ in range(N_ROUNDS):
        order = np.argsort(values, kind="stable")[:N_BEST]
        unit, values = unit[order], values[order]
        scale = 10.0 ** rng.uniform(-3.0, -0.5, (N_BEST * 10, 1))
        moved = np.repeat(unit, 10, axis=0)
        step = rng.normal(0.0, 1.0, moved.shape) * scale
        redrawn = (
            rng.random(moved.shape) < 1.0 / moved.shape[1]
        )  # one column a point, on average: choices have no steps
        moved = np.where(redrawn & (rng.random((len(moved), 1)) < 0.5), rng.random(moved.shape), moved + step)
        moved = moved.clip(0.0, 1.0)
        unit, values = np.vstack([unit, moved]), np.concatenate([values, _evaluate(task, moved)])
    return active(task, task.from_unit(unit[int(np.argmin(values))]))


def _evaluate(task: Any, unit: Any) -> Any:
    return np.asarray(task.evaluate_all([task.from_unit(u) for u in unit]), dtype=float)


def active(task: Any, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a configuration that play a part in it."""
    conditions = {row["name"]: row.get("condition") for row in task.space()}
    return {
        name: value
        for name, value in configuration.items()
        if conditions[name] is None or configuration.get(conditions[name][0]) in conditions[name][1]
    }


def answers_about(folder: Path, name: str, space: SearchSpace) -> list[PriorAnswer]:
    """The recorded answers about a task; empty if there are none."""
    plain, recording = folder / f"{name}.answer.json", folder / f"{name}.json"
    if plain.exists():
        return [PriorAnswer.model_validate_json(plain.read_text(encoding="utf-8"))]
    if recording.exists():
        return [validate_answer(exchange.completions[0], space)[0] for exchange in read_exchanges(recording)]
    return []


def later_answers(folder: Path, kind: str, name: str, space: SearchSpace) -> list[PriorAnswer]:
    """The reply to a task's later question, with its results `real` or `permuted`; empty if there is none."""
    path = reply_path(folder, name, kind)
    return [validate_answer(path.read_text(encoding="utf-8"), space)[0]] if path.exists() else []


def score_task(task: Any, answers: Sequence[PriorAnswer]) -> Row:
    """Compare a task's answers with its best known configuration."""
    space, optimum = distributions(task), best_known(task)
    return Row(
        scores=tuple(score_answer(answer, optimum, space) for answer in answers),
        optimum_at_bound=tuple(
            _at_bound(space, name, value) for name, value in optimum.items() if not hasattr(space[name], "choices")
        ),
        guess_at_bound=tuple(
            _at_bound(space, row.parameter, row.best)
            for answer in answers
            for row in answer.numeric
            if row.parameter in space
        ),
    )


def _at_bound(space: Distributions, name: str, value: float) -> bool:
    """Whether a value lies in the outer twentieth of its range, or in the first or last cell of a grid."""
    column = SearchSpace({name: space[name]}).column(name)
    unit = float(column.to_unit(value))
    margin = max(AT_BOUND, 0.51 / column.n_values if column.n_values else 0.0)
    return not margin <= unit <= 1.0 - margin


def _share(flags: Sequence[bool]) -> str:
    return f"{np.mean(flags):.2f} of {len(flags)}" if flags else ""


def _names(folder: Path, *, is_later: bool) -> list[str]:
    """Tasks of the collection that a folder has answers about."""
    if is_later:
        return list(json.loads((folder / INDEX).read_text(encoding="utf-8")))
    names = [path.name.removesuffix(".json").removesuffix(".answer") for path in sorted(folder.glob("*.json"))]
    # Not the questions without names, nor the tasks without a known optimum.
    return [name for name in names if "." not in name and name not in LIVE_TASKS]


def main() -> None:
    """Print the table."""
    parser = new_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--answers", type=Path, required=True)
    parser.add_argument("--later", choices=("real", "permuted"), help="replies of asking_again, by the results shown")
    options = parser.parse_args()
    rows: dict[str, Row] = {}
    for name in _names(options.answers, is_later=options.later is not None):
        task = load_task(options.data, name)
        space = SearchSpace(distributions(task))
        if options.later is None:
            answers = answers_about(options.answers, name, space)
        else:
            answers = later_answers(options.answers, options.later, name, space)
        rows[name] = score_task(task, answers)
    total = Row(
        *(
            sum((getattr(row, field) for row in rows.values()), ())
            for field in ("scores", "optimum_at_bound", "guess_at_bound")
        )
    )
    print(markdown_table([{"task": name, **row.cells()} for name, row in [*rows.items(), ("all", total)]]))


if __name__ == "__main__":
    main()
