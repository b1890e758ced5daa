"""Every fault on the model's side, and what a study of eight trials did: prints the table of `docs/how_to/failures.md`.

Run from the root of the repository: `python -m benchmarks.fault_table`. Everything happens on this machine.
"""

from __future__ import annotations

import optuna

from llm_prior_bo.compare.markdown import markdown_head, markdown_row
from llm_prior_bo.errors import RepairedAnswerWarning
from tests.elicitation.fake_server import serving
from tests.faults import FAULTS, N_TRIALS, Fault, Outcome, run

HEADER = ("fault", "requests", "warned", "trials finished", "prior used")


def main() -> None:
    """Run all faults and print the table."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(*markdown_head(HEADER), sep="\n")
    for fault in FAULTS:
        with serving() as server:
            print(_described(fault, run(fault, server)), flush=True)


def _described(fault: Fault, outcome: Outcome) -> str:
    return markdown_row(
        [
            fault.name,
            str(outcome.n_requests),
            "; ".join(_warned(warning) for warning in outcome.warnings) or "no",
            f"{outcome.n_finished} of {N_TRIALS}",
            "yes" if outcome.has_prior else "no",
        ]
    )


def _warned(warning: Warning) -> str:
    """The part of a warning that tells: the repair, or the reason without the model's name and the server's words."""
    text = str(warning)
    if isinstance(warning, RepairedAnswerWarning):
        text = text.removeprefix("The answer was repaired: ")
    else:
        text = text.split(" The study goes on")[0].removeprefix("No answer: openai/anything ")
    text = " ".join(text.split(" (")[0].split()).rstrip(".;")
    return (text if len(text) <= 110 else f"{text[:107]}...").replace("|", "\\|")


if __name__ == "__main__":
    main()
