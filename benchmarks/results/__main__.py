"""Write docs/results.md and its figures from the records of the benchmarks.

    python -m benchmarks.results --proof proof.jsonl placebos.jsonl --wrong wrong.jsonl --again again.jsonl

The page says how the records are made. What is not given has no section. `docs/figures/headline.py` makes the picture
of README.md from the same records.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.harness.arguments import new_parser
from benchmarks.results import page
from benchmarks.results.figure import draw
from benchmarks.results.regrets import of_full_length, regrets_of
from llm_prior_bo.compare.runner import Record, read_records

DOCS = Path(__file__).parents[2] / "docs"


def main(arguments: list[str] | None = None) -> None:
    """Write the page."""
    parser = new_parser(__doc__, prog="python -m benchmarks.results")
    parser.add_argument("--proof", type=Path, nargs="+", required=True, help="records of benchmarks.proof")
    parser.add_argument("--wrong", type=Path, help="records of benchmarks.harness with right and wrong priors")
    parser.add_argument("--again", type=Path, help="records of benchmarks.asking_again")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of results.md, with figures/ (default: docs)")
    options = parser.parse_args(arguments)
    proof: list[Record] = [record for path in options.proof for record in read_records(path)]
    others = {name: read_records(path) for name in ("wrong", "again") if (path := getattr(options, name)) is not None}
    (options.out / "figures").mkdir(parents=True, exist_ok=True)
    (options.out / "results.md").write_text(page.write(proof, **others), encoding="utf-8")
    draw(regrets_of(of_full_length(proof)), options.out / "figures" / "results.png")


if __name__ == "__main__":
    main()
