"""Numbers from the records of many studies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.harness.methods import PRIOR_FREE
from llm_prior_bo.compare.statistics import Comparison, Quartiles
from llm_prior_bo.errors import ConfigurationError

Group = tuple[str, str, str]
"""Problem, kind of prior, method."""


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """One method on one problem with one kind of prior.

    Args:
        problem: Name of the problem.
        prior: Kind of prior.
        method: Name of the method.
        n: Number of seeds.
        regret: Trials done -> best regret so far.
        reference: The method it is compared with.
        versus: Trials done -> comparison with the reference on the seeds that both have; empty for the reference.
    """

    problem: str
    prior: str
    method: str
    n: int
    regret: Mapping[int, Quartiles]
    reference: str
    versus: Mapping[int, Comparison]

    def cells(self) -> dict[str, str]:
        """Titles and texts of a table's cells."""
        start = {"problem": self.problem, "prior": self.prior, "method": self.method, "seeds": str(self.n)}
        regret = {f"regret after {t}": str(quartiles) for t, quartiles in self.regret.items()}
        versus = {f"{t}: against {self.reference}": str(self.versus.get(t, "")) for t in self.regret}
        return start | regret | versus


@dataclass(frozen=True, slots=True)
class TrustRow:
    """What a trust gate made of a kind of prior on a problem.

    Args:
        problem: Name of the problem.
        prior: Kind of prior.
        method: Name of the method.
        n: Number of seeds whose gate said something.
        trust: Trial (counted from 1) -> median trust.
        first_region: Trial -> median weight of region 0; only for the kind `multimodal`, where it is the right one.
    """

    problem: str
    prior: str
    method: str
    n: int
    trust: Mapping[int, float]
    first_region: Mapping[int, float]

    def cells(self) -> dict[str, str]:
        """Titles and texts of a table's cells."""
        start = {"problem": self.problem, "prior": self.prior, "method": self.method, "seeds": str(self.n)}
        trust = {f"trust at {t}": f"{value:.2f}" for t, value in self.trust.items()}
        return start | trust | {f"region 0 at {t}": f"{value:.2f}" for t, value in self.first_region.items()}


def summarize(
    records: Sequence[Mapping[str, Any]], *, at: Sequence[int] = (10, 20, 50), reference: str = "no-prior"
) -> list[SummaryRow]:
    """Regret of every method, and how it compares with one of them on the same seeds.

    Records of methods that ignore their prior count for every kind of prior, see `with_shared_baselines`.

    Args:
        records: With a task's fields and `regret` (best so far, of every trial); failed ones are left out.
        at: After how many trials; those beyond the studies' length are left out, the length itself if none is left.
        reference: The method to compare with, paired by seed.

    Returns:
        Rows in the order of the records.

    Raises:
        ConfigurationError: If the studies have different lengths, which are different tasks to some methods.
    """
    groups = group_by_seed(records)
    checkpoints = _checkpoints(groups, at)
    return [_summary_row(groups, group, checkpoints, reference) for group in groups]


def trust_table(records: Sequence[Mapping[str, Any]], *, at: Sequence[int] = (10, 15, 20, 50)) -> list[TrustRow]:
    """Median trust over the seeds, where a trust gate said anything.

    Args:
        records: As for `summarize`, with `trials`; their `details` may hold `trust` and `region_weights`.
        at: Which trials, counted from 1; those at which no gate spoke are left out.

    Returns:
        Rows in the order of the records, none for methods without such a gate.
    """
    rows = []
    for (problem, prior, method), by_seed in group_by_seed(records).items():
        told = [_details_by_trial(record) for record in by_seed.values()]
        trust = _medians(told, "trust", at)
        weights = _medians(told, "region_weights", at) if prior == "multimodal" else {}
        if trust or weights:
            n = sum(any("trust" in d or "region_weights" in d for d in details.values()) for details in told)
            rows.append(TrustRow(problem, prior, method, n, trust, weights))
    return rows


def with_shared_baselines(records: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Records without failed ones, those of methods in `PRIOR_FREE` repeated for every kind of prior of their problem.

    Where a problem has nothing but such methods its records stay as they are.
    """
    finished = [record for record in records if record.get("error") is None]
    kinds: dict[str, dict[str, None]] = {}
    for record in finished:
        if record["method"] not in PRIOR_FREE:
            kinds.setdefault(record["problem"], {})[record["prior"]] = None
    shared: list[Mapping[str, Any]] = []
    for record in finished:
        is_shared = record["method"] in PRIOR_FREE and record["problem"] in kinds
        shared.extend(
            {**record, "prior": prior} for prior in (kinds[record["problem"]] if is_shared else [record["prior"]])
        )
    return shared


def group_by_seed(records: Iterable[Mapping[str, Any]]) -> dict[Group, dict[int, Mapping[str, Any]]]:
    """Finished records by problem, prior and method, then by seed; the groups sorted by the first two.

    Raises:
        ConfigurationError: If the studies have different lengths.
    """
    shared = with_shared_baselines(records)
    lengths = sorted({record["n_trials"] for record in shared})
    if len(lengths) > 1:
        raise ConfigurationError(f"Expected studies of one length, got {lengths}; pass records of one n_trials.")
    order: dict[str, dict[str, None]] = {"problem": {}, "prior": {}, "method": {}}
    for record in shared:
        for field, seen in order.items():
            seen[record[field]] = None
    ranks = {field: {name: i for i, name in enumerate(seen)} for field, seen in order.items()}
    groups: dict[Group, dict[int, Mapping[str, Any]]] = {}
    for record in sorted(shared, key=lambda record: [ranks[field][record[field]] for field in ranks]):
        groups.setdefault((record["problem"], record["prior"], record["method"]), {})[record["seed"]] = record
    return groups


def _checkpoints(groups: Mapping[Group, Mapping[int, Mapping[str, Any]]], at: Sequence[int]) -> list[int]:
    lengths = {len(record["regret"]) for by_seed in groups.values() for record in by_seed.values()}
    n_trials = min(lengths, default=0)
    return [t for t in at if 1 <= t <= n_trials] or [n_trials]


def _summary_row(
    groups: Mapping[Group, Mapping[int, Mapping[str, Any]]], group: Group, at: Sequence[int], reference: str
) -> SummaryRow:
    problem, prior, method = group
    own, other = groups[group], groups.get((problem, prior, reference), {})
    seeds = sorted(own.keys() & other.keys()) if method != reference else []
    regret = {t: Quartiles.of([record["regret"][t - 1] for record in own.values()]) for t in at}
    versus = {
        t: Comparison.of((own[seed]["regret"][t - 1], other[seed]["regret"][t - 1]) for seed in seeds)
        for t in (at if seeds else ())
    }
    return SummaryRow(problem, prior, method, len(own), regret, reference, versus)


def _details_by_trial(record: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """Trial, counted from 1 -> what a gate said; trials without a word are left out."""
    trials = enumerate(record.get("trials") or (), start=1)
    return {number: told["details"] for number, told in trials if told is not None and told.get("details")}


def _medians(told: Sequence[Mapping[int, Mapping[str, Any]]], key: str, at: Sequence[int]) -> dict[int, float]:
    """Median over the seeds of a number in the details, of a list's first number."""
    found = {t: list(_numbers((details[t] for details in told if t in details), key)) for t in at}
    return {t: float(np.median(numbers)) for t, numbers in found.items() if numbers}


def _numbers(details: Iterable[Mapping[str, Any]], key: str) -> Iterator[float]:
    for said in details:
        value = said.get(key)
        if isinstance(value, Sequence):
            value = value[0] if value else None
        if value is not None:
            yield float(value)
