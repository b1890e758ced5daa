from __future__ import annotations

from argparse import ArgumentTypeError

import pytest

from benchmarks.harness.arguments import add_run_options, new_parser, parse_seeds, positive


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", [3]), ("0-2", [0, 1, 2]), ("0,3,7-8", [0, 3, 7, 8]), ("2,1-2", [2, 1])]
)
def test_seeds(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["ten", "5-3", "", "1,,2"])
def test_other_seeds_are_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="rising ranges"):
        parse_seeds(text)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many"])
def test_numbers_below_one_are_refused(text: str) -> None:
    assert positive("12") == 12
    with pytest.raises(ArgumentTypeError, match="at least 1, got"):
        positive(text)


def test_options_of_a_run() -> None:
    parser = new_parser("What it does.")
    add_run_options(parser, seeds=8, trials=50)
    options = parser.parse_args(["--out", "results.jsonl", "--seeds", "3"])
    assert (options.out.name, options.seeds, options.trials, options.workers) == ("results.jsonl", 3, 50, 1)
    short = new_parser(None)
    add_run_options(short)
    assert vars(short.parse_args(["--out", "x"])).keys() == {"out", "workers"}
