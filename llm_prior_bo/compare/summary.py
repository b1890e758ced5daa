"""From the studies of a comparison to its numbers: a row for each sampler and task, differences, and ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.stats import rankdata

from llm_prior_bo.compare.metrics import StudyResult
from llm_prior_bo.compare.statistics import Comparison, MeanDifference, Quartiles, paired_bootstrap
from llm_prior_bo.errors import ConfigurationError

MIN_PAIRS = 6
"""With fewer pairs there is no verdict: that all of them point one way happens by chance more than once in 20 times."""

FIRST_AFTER_STARTUP = 6
"""Trial from which the second area is taken: after the five trials with which `LLMPriorSampler` starts."""

_CHECKPOINTS = (5, 10, 20, 50, 100, 200, 500, 1000)

Verdict: TypeAlias = Literal["better", "worse", "no clear difference", "too few seeds"]


@dataclass(frozen=True, slots=True)
class SpeedUp:
    """How many times fewer trials than the baseline reach the level, in the median.

    Args:
        factor: The baseline's median number of trials over the sampler's.
        relation: "=", ">" if the baseline did not reach the level in the median, "<" if the sampler did not: then
            `factor` counts the length of the studies in its place.
    """

    factor: float
    relation: Literal["=", ">", "<"] = "="

    @classmethod
    def of(cls, own: Quartiles | None, baseline: Quartiles | None, *, n_trials: int) -> SpeedUp | None:
        """From numbers of trials, infinite where the level was not reached; `None` if neither median reaches it."""
        if own is None or baseline is None:
            return None
        if math.isinf(own.median):
            return None if math.isinf(baseline.median) else cls(baseline.median / n_trials, "<")
        if math.isinf(baseline.median):
            return cls(n_trials / own.median, ">")
        return cls(baseline.median / own.median)

    def __str__(self) -> str:
        return f"{'' if self.relation == '=' else self.relation + ' '}{self.factor:.2g}x"


@dataclass(frozen=True, slots=True)
class SamplerSummary:
    """One sampler on one task. Quartiles are over its studies; `None` where nothing is known.

    Args:
        task: Name of the task.
        sampler: Name of the sampler.
        n_studies: Number of its studies.
        best: Number of trials -> best value after them.
        trials_to_level: Trials until the level is reached, infinite where it is not.
        speed_up: Against the baseline.
        area_1: Mean of the best value so far over all trials.
        area_6: The same from trial 6 on.
        success_rate: Share of suggestions that are better than the median of random search.
        diversity: Mean distance of two suggested configurations.
        test_value: Quality on held-out data of the best trial.
        suggest_seconds: The sampler's own time for a suggestion.
        n_without_value: State -> number of trials without a value because of it.
    """

    task: str
    sampler: str
    n_studies: int
    best: Mapping[int, Quartiles]
    trials_to_level: Quartiles | None
    speed_up: SpeedUp | None
    area_1: Quartiles | None
    area_6: Quartiles | None
    success_rate: Quartiles | None
    diversity: Quartiles | None
    test_value: Quartiles | None
    suggest_seconds: Quartiles | None
    n_without_value: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Difference:
    """A sampler against the baseline in one number, on the seeds that both have.

    Args:
        task: Name of the task.
        sampler: Name of the sampler.
        metric: "best value", "area from trial 6" or "test value".
        n_pairs: Number of seeds.
        difference: Mean of the sampler's number less the baseline's, with its interval; `None` if a number is infinite.
        comparison: On how many seeds the sampler was better, equal, worse.
        verdict: "better" or "worse" if the interval leaves zero out.
    """

    task: str
    sampler: str
    metric: str
    n_pairs: int
    difference: MeanDifference | None
    comparison: Comparison
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class OverallSummary:
    """One sampler over all tasks.

    Args:
        sampler: Name of the sampler.
        n_tasks: Number of tasks with a study of it.
        mean_rank: Mean over the tasks of the mean rank of its best value among all samplers, 1 is best; of the seeds
            that all samplers have. `None` if there are none.
        tasks: Verdicts on the best value against the baseline over the tasks: better, neither, worse.
        studies: Better, equal, worse than the baseline over all tasks and seeds.
        speed_up: Geometric mean of the speed-ups that are known exactly, and of how many tasks.
    """

    sampler: str
    n_tasks: int
    mean_rank: float | None
    tasks: Comparison
    studies: Comparison
    speed_up: tuple[float, int] | None


@dataclass(frozen=True)
class Studies:
    """The studies of one task, by sampler.

    Args:
        task: Name of the task.
        by_sampler: Name of a sampler -> its studies, by seed.

    Raises:
        ConfigurationError: If they have different lengths or directions.
    """

    task: str
    by_sampler: Mapping[str, Mapping[int, StudyResult]]

    def __post_init__(self) -> None:
        for name in ("n_trials", "direction"):
            found = {getattr(study, name) for study in self.all}
            if len(found) != 1:
                raise ConfigurationError(
                    f"Expected studies of {self.task!r} with one {name}, got {sorted(found)}; choose one with "
                    "n_trials=, or use another file."
                )

    @property
    def all(self) -> list[StudyResult]:
        """All studies."""
        return [study for studies in self.by_sampler.values() for study in studies.values()]

    def of(self, sampler: str | None) -> list[StudyResult]:
        """The studies of a sampler, none if it has none."""
        return list(self.by_sampler.get(sampler or "", {}).values())

    @property
    def n_trials(self) -> int:
        """Length of each study."""
        return self.all[0].n_trials

    @property
    def direction(self) -> str:
        """What is better."""
        return self.all[0].direction

    @property
    def sign(self) -> float:
        """What turns a loss into a value."""
        return self.all[0].sign

    def reference_of_success(self, random: str | None) -> float | None:
        """Median loss of the trials of random search; `None` if there is no random search.

        Args:
            random: Name of its sampler; `None`: the one named "random", else the only one whose class is
                `RandomSampler`.
        """
        kinds = {name: {study.kind for study in self.of(name)} for name in self.by_sampler}
        named = [name for name in kinds if name.lower() == "random"] if random is None else [random]
        found = named or [name for name, kind in kinds.items() if kind == {"RandomSampler"}]
        values = [study.sign * study.suggested_values for study in self.of(found[0])] if len(found) == 1 else []
        losses = np.concatenate([np.where(np.isnan(own), math.inf, own) for own in values]) if values else np.array([])
        return Quartiles.of(losses.tolist()).median if len(losses) else None

    def loss_of_level(self, level: float | None, *, baseline: str | None) -> float | None:
        """The loss whose first reaching is counted.

        Args:
            level: A value; `None`: the best value that more than half of the baseline's studies reach in the end.
            baseline: Name of a sampler.

        Returns:
            The loss; `None` if there is neither a level nor a value that most of the baseline's studies reach.
        """
        if level is not None:
            return self.sign * level
        losses = sorted(float(study.loss[-1]) for study in self.of(baseline))
        reached = losses[len(losses) // 2] if losses else math.inf
        return None if math.isinf(reached) else reached


def by_task(results: Iterable[StudyResult]) -> dict[str, Studies]:
    """Studies by task, sampler and seed, tasks and samplers in the order of the results.

    Raises:
        ConfigurationError: If the studies of a task have different lengths or directions.
    """
    groups: dict[str, dict[str, dict[int, StudyResult]]] = {}
    for result in results:
        groups.setdefault(result.task, {}).setdefault(result.sampler, {})[result.seed] = result
    return {task: Studies(task, by_sampler) for task, by_sampler in groups.items()}


def checkpoints(n_trials: int) -> list[int]:
    """After how many trials best values are shown: two round numbers in the first half, and the end."""
    return [*[t for t in _CHECKPOINTS if t <= n_trials / 2][-2:], n_trials]


def summarize(
    studies: Studies, *, baseline: str | None, level: float | None, at: Sequence[int] | None, random: str | None
) -> list[SamplerSummary]:
    """A row for each sampler of a task.

    Args:
        studies: The studies of the task.
        baseline: Name of the sampler to compare with; `None`: no speed-up is computed.
        level: Value whose first reaching is counted; `None`: what most of the baseline's studies reach in the end.
        at: After how many trials best values are told; those beyond the end are left out.
        random: Name of random search, see `Studies.reference_of_success`.
    """
    loss = studies.loss_of_level(level, baseline=baseline)
    wanted = [t for t in (at or checkpoints(studies.n_trials)) if 1 <= t <= studies.n_trials]
    success = studies.reference_of_success(random)
    reference = _trials_to(studies.of(baseline), loss)
    return [
        _summary(studies, sampler, loss=loss, at=wanted, success=success, reference=reference)
        for sampler in studies.by_sampler
    ]


def _summary(
    studies: Studies,
    sampler: str,
    *,
    loss: float | None,
    at: Sequence[int],
    success: float | None,
    reference: Quartiles | None,
) -> SamplerSummary:
    own, sign = studies.of(sampler), studies.sign
    trials = _trials_to(own, loss)
    return SamplerSummary(
        task=studies.task,
        sampler=sampler,
        n_studies=len(own),
        best={t: _values((study.loss[t - 1] for study in own), sign) for t in at},
        trials_to_level=trials,
        speed_up=SpeedUp.of(trials, reference, n_trials=studies.n_trials),
        area_1=_quartiles((study.area(1) for study in own), sign),
        area_6=_quartiles((study.area(FIRST_AFTER_STARTUP) for study in own), sign),
        success_rate=None if success is None else _quartiles(study.success_rate(success) for study in own),
        diversity=_quartiles(study.diversity for study in own),
        test_value=_quartiles(study.test_value for study in own),
        suggest_seconds=_quartiles(study.mean_suggest_seconds for study in own),
        n_without_value=_counted(study.n_without_value for study in own),
    )


def _trials_to(studies: Sequence[StudyResult], loss: float | None) -> Quartiles | None:
    return None if loss is None else _quartiles(study.trials_to(loss) for study in studies)


def _values(losses: Iterable[float], sign: float) -> Quartiles:
    """Quartiles of values, of at least one study: of the losses first, so that a study without a value is the worst."""
    quartiles = Quartiles.of(list(losses))
    low, high = sorted((sign * quartiles.low, sign * quartiles.high))
    return Quartiles(low, sign * quartiles.median, high)


def _quartiles(numbers: Iterable[float | None], sign: float = 1.0) -> Quartiles | None:
    """Quartiles of the numbers that are known."""
    known = [number for number in numbers if number is not None]
    return _values(known, sign) if known else None


def _counted(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in counts:
        for state, n in one.items():
            total[state] = total.get(state, 0) + n
    return total


def differences(studies: Studies, baseline: str) -> list[Difference]:
    """Every other sampler against the baseline: in the best value, the area from trial 6 and the test value.

    Metrics that are not known of both on any seed are left out.
    """
    metrics: dict[str, Callable[[StudyResult], float | None]] = {
        "best value": lambda study: float(study.loss[-1]),
        f"area from trial {FIRST_AFTER_STARTUP}": lambda study: study.area(FIRST_AFTER_STARTUP),
        "test value": lambda study: None if study.test_value is None else study.sign * study.test_value,
    }
    reference = studies.by_sampler.get(baseline, {})
    found = []
    for sampler, own in studies.by_sampler.items():
        for metric, loss_of in metrics.items():
            both = [(loss_of(own[seed]), loss_of(reference[seed])) for seed in sorted(own.keys() & reference.keys())]
            pairs = [(a, b) for a, b in both if a is not None and b is not None]
            if sampler != baseline and pairs:
                found.append(_difference(studies, sampler, metric, pairs))
    return found


def _difference(studies: Studies, sampler: str, metric: str, pairs: Sequence[tuple[float, float]]) -> Difference:
    own, other = np.array(pairs).T  # n_pairs each
    is_finite = bool(np.isfinite(pairs).all())
    difference = paired_bootstrap(studies.sign * own, studies.sign * other) if is_finite else None
    return Difference(
        task=studies.task,
        sampler=sampler,
        metric=metric,
        n_pairs=len(pairs),
        difference=difference,
        comparison=Comparison.of(pairs, tolerance=0.0),
        verdict=_verdict(difference, studies.sign, len(pairs)),
    )


def _verdict(difference: MeanDifference | None, sign: float, n_pairs: int) -> Verdict:
    if n_pairs < MIN_PAIRS:
        return "too few seeds"
    if difference is None or difference.low <= 0.0 <= difference.high:
        return "no clear difference"
    return "better" if sign * difference.mean < 0.0 else "worse"


def overall(
    tasks: Sequence[Studies], rows: Sequence[SamplerSummary], found: Sequence[Difference]
) -> list[OverallSummary]:
    """A row for each sampler over all tasks.

    Args:
        tasks: The studies of every task.
        rows: The rows of every task, see `summarize`.
        found: The differences on every task, see `differences`.
    """
    ranks = [_mean_ranks(studies) for studies in tasks]
    samplers = list(dict.fromkeys(row.sampler for row in rows))
    of_best: dict[str, list[Difference]] = {sampler: [] for sampler in samplers}
    for one in found:
        if one.metric == "best value":
            of_best[one.sampler].append(one)
    return [
        OverallSummary(
            sampler=sampler,
            n_tasks=sum(sampler in studies.by_sampler for studies in tasks),
            mean_rank=_mean([rank[sampler] for rank in ranks if sampler in rank]),
            tasks=_verdicts([one.verdict for one in of_best[sampler]]),
            studies=sum((one.comparison for one in of_best[sampler]), Comparison(0, 0, 0)),
            speed_up=_geometric_mean(row.speed_up for row in rows if row.sampler == sampler),
        )
        for sampler in samplers
    ]


def _mean_ranks(studies: Studies) -> dict[str, float]:
    """Sampler -> mean rank of its final loss over the seeds that all samplers have; equal losses share their rank."""
    seeds = set.intersection(*(set(own) for own in studies.by_sampler.values()))
    if not seeds:
        return {}
    losses = [[own[seed].loss[-1] for seed in sorted(seeds)] for own in studies.by_sampler.values()]
    ranks = rankdata(np.array(losses), axis=0).mean(axis=1)  # n_samplers
    return dict(zip(studies.by_sampler, ranks.tolist(), strict=True))


def _verdicts(verdicts: Sequence[Verdict]) -> Comparison:
    wins, losses = verdicts.count("better"), verdicts.count("worse")
    return Comparison(wins, len(verdicts) - wins - losses, losses)


def _mean(numbers: Sequence[float]) -> float | None:
    return float(np.mean(numbers)) if numbers else None


def _geometric_mean(speed_ups: Iterable[SpeedUp | None]) -> tuple[float, int] | None:
    factors = [one.factor for one in speed_ups if one is not None and one.relation == "="]
    return (math.exp(float(np.mean(np.log(factors)))), len(factors)) if factors else None
