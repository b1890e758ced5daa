"""Record the answers of a language model to the package's own question about real tasks.

    python -m benchmarks.record_answers prompts --data FOLDER --out PROMPTS
    python -m benchmarks.record_answers collect --prompts PROMPTS --model NAME --out ANSWERS

FOLDER holds `suite.py`, a collection of real hyperparameter-optimisation tables and surrogates. `prompts` writes the
question about every task. Whoever answers writes the reply, unedited, to `<task>.<index>.answer.txt` beside the prompt;
`collect` makes recordings of them, which name the prompt, its hash and its version.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.harness.arguments import new_parser
from benchmarks.harness.recordings import TASKS, collect, write_prompts


def main() -> None:
    """Write prompts or collect replies."""
    parser = new_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    prompts = commands.add_parser("prompts")
    prompts.add_argument("--data", type=Path, required=True)
    prompts.add_argument("--out", type=Path, required=True)
    prompts.add_argument("--tasks", nargs="+", default=list(TASKS))
    prompts.add_argument("--wordings", type=int, default=1, help="versions of the question about each task")
    prompts.add_argument("--blinded", action="store_true", help="ask without names as well")
    replies = commands.add_parser("collect")
    replies.add_argument("--prompts", type=Path, required=True, help="prompts and replies")
    replies.add_argument("--model", required=True, help="who replied")
    replies.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.command == "prompts":
        write_prompts(options.data, options.tasks, options.out, n_answers=options.wordings, blinded=options.blinded)
    else:
        collect(options.prompts, options.out, model=options.model)


if __name__ == "__main__":
    main()
