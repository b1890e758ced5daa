"""Which trials a surrogate is given when there are more than it can use.

An exact Gaussian process costs the cube of the number of trials. A tenth of its trials are the best ones, a tenth the
latest of the others, and the rest are taken at even distances from what is left, in the order of their merit. More of
the best ones would mislead it: trials that are known to have come out well say nothing about where it is bad
(docs/explanation/performance.md has the figures).
"""

from __future__ import annotations

import numpy as np

from llm_prior_bo.space import FloatArray, IntArray

BEST_SHARE = 0.1
LATEST_SHARE = 0.1


def representative_rows(merit: FloatArray, limit: int) -> IntArray:
    """Choose trials; the same ones whenever the history is the same.

    Args:
        merit: How good each trial is, larger is better, in the order of the trials, `n`.
        limit: How many to choose, at least 1.

    Returns:
        Indices in increasing order, `min(n, limit)`.
    """
    n = len(merit)
    if n <= limit:
        return np.arange(n)
    order = np.argsort(-merit, kind="stable")
    best = order[: max(1, round(BEST_SHARE * limit))]
    others = np.sort(order[len(best) :])
    latest = others[len(others) - min(round(LATEST_SHARE * limit), limit - len(best)) :]
    rest = order[~np.isin(order, np.concatenate([best, latest]))]
    spread = rest[even_rows(len(rest), limit - len(best) - len(latest))]
    return np.sort(np.concatenate([best, latest, spread]))


def even_rows(n: int, limit: int) -> IntArray:
    """At most `limit` of `n` indices, at even distances."""
    k = min(n, limit)
    return np.arange(k) * n // max(k, 1)


def merit_of(Y: FloatArray, violation: FloatArray) -> FloatArray:
    """Merit of trials: the less they violate constraints the better, then by the sum of their ranks.

    Args:
        Y: Objective values, to be maximised, `n x m`.
        violation: By how much the constraints are violated, at least 0, `n`.

    Returns:
        Larger is better, `n`; ties are in the order of the trials.
    """
    ranks = np.argsort(np.argsort(Y, axis=0, kind="stable"), axis=0, kind="stable").sum(axis=1)
    merit = np.empty(len(Y))
    merit[np.lexsort((ranks, -violation))] = np.arange(len(Y))
    return merit
