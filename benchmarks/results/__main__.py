"""Write docs/results.md and its figure from the records of the benchmarks.

    python -m benchmarks.results write
    python -m benchmarks.results keep proof proof.jsonl placebos.jsonl
    python -m benchmarks.results keep wrong wrong.jsonl
    python -m benchmarks.results keep again again.jsonl

`write` takes the records that are kept in the repository, or in another folder; `keep` adds to them what the benchmarks
have written. The page says how that is done. What there are no records of has no section. `docs/figures/headline.py`
makes the picture of README.md from the same records.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.harness.arguments import new_parser
from benchmarks.results import page
from benchmarks.results.figure import draw
from benchmarks.results.records import FOLDER, KINDS, keep, kept
from benchmarks.results.regrets import of_full_length, regrets_of
from llm_prior_bo.compare.runner import read_records

DOCS = Path(__file__).parents[2] / "docs"


def main(arguments: list[str] | None = None) -> None:
    """Keep records, or write the page."""
    parser = new_parser(__doc__, prog="python -m benchmarks.results")
    commands = parser.add_subparsers(dest="command", required=True)
    keeping, writing = commands.add_parser("keep"), commands.add_parser("write")
    for own in (keeping, writing):
        own.add_argument("--records", type=Path, default=FOLDER, help="folder of records (default: the repository's)")
    keeping.add_argument("kind", choices=KINDS)
    keeping.add_argument("files", type=Path, nargs="+", help="files of JSON lines")
    writing.add_argument("--out", type=Path, default=DOCS, help="folder of results.md, with figures/ (default: docs)")
    options = parser.parse_args(arguments)
    if options.command == "keep":
        n = keep(options.kind, (record for path in options.files for record in read_records(path)), options.records)
        print(f"{n} studies are kept.")
    else:
        _write(options.records, options.out)


def _write(records: Path, out: Path) -> None:
    proof = kept("proof", records)
    text = page.write(proof, wrong=kept("wrong", records), again=kept("again", records))
    (out / "figures").mkdir(parents=True, exist_ok=True)
    (out / "results.md").write_text(text, encoding="utf-8")
    draw(regrets_of(of_full_length(proof)), out / "figures" / "results.png")


if __name__ == "__main__":
    main()
