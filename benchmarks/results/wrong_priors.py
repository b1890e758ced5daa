"""What right and wrong priors are worth on functions, from the records of `benchmarks.harness`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.harness.study import NO_PRIOR_KIND
from benchmarks.results.sections import interval
from llm_prior_bo.compare.markdown import markdown_table
from llm_prior_bo.compare.runner import Record, finished
from llm_prior_bo.compare.statistics import paired_bootstrap
from llm_prior_bo.space import FloatArray

METHOD, REFERENCE = "default", "no-prior"
N_UNIT = 5
"""The unit is the median regret without a prior after so many trials."""

CHECKPOINTS = (10, 20, 30)
WITHIN = 0.1
"""A prior counts as harmless on a function if the mean difference is no larger than this, in units."""

Curves = dict[tuple[str, str, str], dict[int, FloatArray]]
"""Function, kind of prior, method -> seed -> regret after each trial."""


def table(records: Sequence[Record]) -> str:
    """Mean regret with a prior minus that without, by kind of prior and number of trials, in units; with seeds."""
    curves: Curves = {}
    for r in finished(records):
        curves.setdefault((r["problem"], r["prior"], r["method"]), {})[r["seed"]] = np.asarray(r["regret"])
    functions = list(dict.fromkeys(problem for problem, _, _ in curves))
    kinds = [kind for kind in dict.fromkeys(prior for _, prior, _ in curves) if kind != NO_PRIOR_KIND]
    rows = [_row(curves, functions, kind, n) for kind in kinds for n in CHECKPOINTS]
    return markdown_table(rows)


def _row(curves: Curves, functions: Sequence[str], kind: str, n: int) -> dict[str, str]:
    row, means = {"prior": kind, "after": str(n)}, []
    for function in functions:
        none, own = curves[function, NO_PRIOR_KIND, REFERENCE], curves[function, kind, METHOD]
        unit = float(np.median([regret[N_UNIT - 1] for regret in none.values()]))
        seeds = sorted(own.keys() & none.keys())
        found = paired_bootstrap(*([way[s][n - 1] / unit for s in seeds] for way in (own, none)))
        row[f"{function}, {len(seeds)} seeds"] = interval(found)
        means.append(found.mean)
    return row | {f"worse by no more than {WITHIN}": f"{sum(m <= WITHIN for m in means)} of {len(means)}"}
