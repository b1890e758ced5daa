"""The benchmark of the fast path times the same calls with and without it."""

from __future__ import annotations

import pytest
import torch

from benchmarks import fast_path
from benchmarks.speed import distributions
from llm_prior_bo import SearchSpace
from llm_prior_bo._fast_path import is_fast


def test_one_row_a_cell(capsys: pytest.CaptureFixture[str]) -> None:
    fast_path.main(["--cells", "12x3", "--kinds", "numeric", "--pairs", "1"])
    head, _, row = capsys.readouterr().out.splitlines()
    assert head.startswith("| trials x parameters | fit of the hyperparameters | ")
    assert row.startswith("| 12x3 numeric | ")
    assert row.count(" ms |") == row.count("|") - 2 == 7


def test_calls_see_the_path_that_is_timed() -> None:
    seen: list[bool] = []
    found, milliseconds = fast_path.ratios(lambda: seen.append(is_fast()), pairs=2)
    assert sorted(seen) == [False] * 3 + [True] * 3
    assert len(found) == 2
    assert milliseconds >= 0.0


def test_the_prior_is_coupled() -> None:
    space = SearchSpace(distributions("numeric", 4))
    prior = fast_path.coupled_prior(space)
    apart = torch.tensor(
        [[0.35, 0.35, 0.5, 0.5], [0.35, 0.35, 0.5, 0.2], [0.35, 0.35, 0.2, 0.5], [0.35, 0.35, 0.2, 0.2]]
    )
    both, first, second, none = prior.log_prob(apart.double()).tolist()
    assert both + none > first + second + 0.1  # the last two go up together
