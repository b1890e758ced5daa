"""Record a language model's replies to the questions that methods ask once, before the first trial.

    python -m benchmarks.record_peers prompts --questions one-shot narrowing --data FOLDER --out PROMPTS
    python -m benchmarks.record_peers collect --questions one-shot --data FOLDER --prompts PROMPTS --model NAME

FOLDER holds `suite.py`, a collection of real hyperparameter-optimisation tables and surrogates; the live tasks need
none. Each prompt is written to `<hash>.prompt.txt`, so that whoever answers cannot tell which method it is for, and the
reply goes, unedited, to `<hash>.answer.txt` beside it. `collect` makes `benchmarks/answers/<folder>/<task>.json` of
every pair and names the tasks without a reply. `own` is the package's own question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness.arguments import new_parser
from benchmarks.harness.live_tasks import LIVE_TASKS
from benchmarks.harness.recordings import TASKS, Question, collect_questions, context_of, write_questions
from benchmarks.peers import narrowing, one_shot
from llm_prior_bo import StudyContext

ANSWERS = Path(__file__).parent / "answers"


class Kind(NamedTuple):
    """One kind of question: how it is made, and the folder of its recordings."""

    ask: Callable[[StudyContext], Question]
    folder: str


KINDS: Mapping[str, Kind] = {
    "own": Kind(Question.of, "version_2"),
    "one-shot": Kind(one_shot.question, "one_shot"),
    "narrowing": Kind(narrowing.question, "narrowing"),
}


def recording(kind: str, task: str) -> Path:
    """Where the replies of a kind about a task are recorded."""
    return ANSWERS / KINDS[kind].folder / f"{task}.json"


def questions(kind: str, tasks: list[str], data: Path | None) -> dict[str, Question]:
    """The questions about tasks, by task."""
    return {name: KINDS[kind].ask(context_of(data, name)) for name in tasks}


def main() -> None:
    """Write prompts or collect replies."""
    parser = new_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("prompts", "collect"):
        own = commands.add_parser(command)
        own.add_argument("--questions", nargs="+", required=True, choices=list(KINDS))
        own.add_argument("--tasks", nargs="+", default=[*TASKS, *LIVE_TASKS], choices=[*TASKS, *LIVE_TASKS])
        own.add_argument("--data", type=Path)
    commands.choices["prompts"].add_argument("--out", type=Path, required=True)
    commands.choices["collect"].add_argument("--prompts", type=Path, required=True, help="prompts and replies")
    commands.choices["collect"].add_argument("--model", required=True, help="who replied")
    options = parser.parse_args()
    for kind in options.questions:
        asked = questions(kind, options.tasks, options.data)
        if options.command == "prompts":
            write_questions(asked, options.out)
        else:
            folder = ANSWERS / KINDS[kind].folder
            missing = collect_questions(asked, options.prompts, folder, model=options.model)
            print(f"{kind}: {len(asked) - len(missing)} recorded; no reply: {', '.join(missing) or 'none'}")


if __name__ == "__main__":
    main()
