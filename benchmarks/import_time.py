"""How long `import llm_prior_bo` takes next to `import botorch`, in turn, in fresh processes.

    python -m benchmarks.import_time --runs 7

The machine's speed drifts, so each pair is run back to back and the ratio is the figure to quote.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.harness.arguments import new_parser

STATEMENTS = {"botorch": "import botorch, optuna", "llm_prior_bo": "import llm_prior_bo"}


def seconds(statement: str) -> float:
    """Wall-clock time of a new interpreter that runs one statement."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - started


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the pairs and print medians and the ratio's range."""
    parser = new_parser(__doc__)
    parser.add_argument("--runs", type=int, default=7, help="pairs")
    options = parser.parse_args(arguments)
    for statement in STATEMENTS.values():
        seconds(statement)  # fills the file caches
    pairs = np.array([[seconds(s) for s in STATEMENTS.values()] for _ in range(options.runs)])
    for name, column in zip(STATEMENTS.values(), pairs.T, strict=True):
        print(f"{name:26s} median {np.median(column):.2f} s  ({column.min():.2f} .. {column.max():.2f})")
    ratio = pairs[:, 1] / pairs[:, 0]
    print(f"ratio, pair by pair        median {np.median(ratio):.2f}    ({ratio.min():.2f} .. {ratio.max():.2f})")
    loaded = "import sys, llm_prior_bo; print('litellm imported:', 'litellm' in sys.modules)"
    subprocess.run([sys.executable, "-c", loaded], check=True)


if __name__ == "__main__":
    main()
