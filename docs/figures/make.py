"""Draw the figures of README.md and the documentation from what the package really computes.

    python docs/figures/make.py              # all of them, about a minute
    python docs/figures/make.py marginals    # one of them

`overview` runs the study of `examples/basic_usage.py` (25 trials, seed 0, the recorded answer); the others evaluate
densities and schedules only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import optuna
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.distributions import FloatDistribution, IntDistribution

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from basic_usage import RECORDED_ANSWER, be_quiet_and_quick, llm_prior, tune
from digits import DigitsTask, describe, search_space
from style import BLUE, GREEN, GREY, ORANGE, PINK, draw_named, headline, save

from llm_prior_bo import (
    ConstantDecay,
    Elicitation,
    ExponentialDecay,
    LinearDecay,
    LLMPriorSampler,
    PowerDecay,
    PriorAnswer,
    ReplayElicitor,
    SearchSpace,
    build_prior,
)
from llm_prior_bo.study.context import study_context

N_TRIALS = 25
SEED = 0


def recorded_elicitation() -> Elicitation:
    """The recorded answer to the question of `examples/basic_usage.py`, read as the sampler reads it."""
    study = optuna.create_study()
    describe(study)
    context = study_context(study, SearchSpace(search_space()))
    return ReplayElicitor(RECORDED_ANSWER).elicit(context)


# ---- README: from the answer to the trials


def overview(path: Path) -> None:
    """What the model said, the density it becomes, and the trials of one study."""
    answer = recorded_elicitation().answer
    study = _run_basic_usage()
    figure = Figure(figsize=(11.8, 4.4), layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=(3, 1), width_ratios=(1.08, 1.0, 1.12))
    _draw_answer(figure.add_subplot(grid[:, 0]), answer)
    _draw_density(figure.add_subplot(grid[:, 1]), answer)
    top = figure.add_subplot(grid[0, 2])
    _draw_trials(top, study)
    _draw_trust(figure.add_subplot(grid[1, 2], sharex=top), study)
    top.tick_params(labelbottom=False)
    _save(figure, path)


def _run_basic_usage() -> optuna.Study:
    be_quiet_and_quick()
    return tune(llm_prior(SEED), DigitsTask.load(seed=SEED), n_trials=N_TRIALS)


def _draw_answer(axes: Axes, answer: PriorAnswer) -> None:
    """Best guess and interval of the learning rate in every region, with the region's weight."""
    distribution = search_space()["learning_rate"]
    assert isinstance(distribution, FloatDistribution)
    beliefs = {row.region: row for row in answer.numeric if row.parameter == "learning_rate"}
    regions = sorted(answer.regions, key=lambda region: -region.weight)
    for y, region in enumerate(regions):
        belief = beliefs[region.region]
        axes.plot([belief.low, belief.high], [y, y], color=BLUE, linewidth=5, alpha=0.45, solid_capstyle="butt")
        axes.plot(belief.best, y, "o", color=BLUE, markersize=7)
        _row_text(axes, y, f"{answer.confidence * region.weight:.0%} {region.label}", distribution.low)
    y = len(regions)
    axes.plot([distribution.low, distribution.high], [y, y], color=GREY, linewidth=5, alpha=0.35)
    _row_text(axes, y, f"{1.0 - answer.confidence:.0%} none of these", distribution.low)
    axes.set(xscale="log", xlim=(distribution.low, distribution.high), ylim=(len(regions) + 0.4, -0.75), yticks=[])
    axes.set_xlabel("learning rate: best guess, 80 % interval")
    axes.spines[["left", "right", "top"]].set_visible(False)
    headline(axes, "1  What the language model answers")


def _row_text(axes: Axes, y: float, text: str, left: float) -> None:
    axes.annotate(text, (left, y), xytext=(0, 7), textcoords="offset points", fontsize=9)


def _draw_density(axes: Axes, answer: PriorAnswer) -> None:
    """The prior over learning rate and optimiser, the other five parameters integrated out."""
    # Each region is a product of marginals and a copula, so a prior over two of its columns is their joint marginal.
    space = SearchSpace({name: search_space()[name] for name in ("learning_rate", "optimizer")})
    prior = build_prior(answer, space)
    rates, optimizers = space.columns
    u = np.linspace(0.0, 1.0, 401)
    curves = [
        prior.log_prob(np.stack([u, np.full_like(u, i)], axis=-1)).exp().numpy()
        for i in range(optimizers.n_values or 0)
    ]
    order = sorted(range(len(curves)), key=lambda i: -float(curves[i].max()))
    scale = 0.8 / max(float(curve.max()) for curve in curves)
    for y, i in enumerate(order):
        axes.fill_between(rates.from_unit(u), y, y - scale * curves[i], color=BLUE, alpha=0.45, linewidth=0)
        axes.plot(rates.from_unit(u), y - scale * curves[i], color=BLUE, linewidth=1.2)
        text = f"{optimizers.value(i)}, up to {curves[i].max():.1f}×"
        axes.annotate(text, (1e-5, y), xytext=(2, 13), textcoords="offset points", fontsize=9)
    axes.set(
        xscale="log",
        xlim=(1e-5, 1.0),
        ylim=(len(order) - 0.6, -0.95),
        yticks=[],
        xlabel="learning rate: density over uniform",
    )
    axes.spines[["left", "right", "top"]].set_visible(False)
    headline(axes, "2  The density it becomes")


def _draw_trials(axes: Axes, study: optuna.Study) -> None:
    suggestions = _sampler(study).get_statistics(study).suggestions
    numbers = np.arange(1, len(study.trials) + 1)
    errors = np.array([trial.values[0] for trial in study.trials])
    from_prior = np.array([suggestions[trial.number].phase == "startup" for trial in study.trials])
    axes.step(numbers, np.minimum.accumulate(errors), where="post", color=GREY, linewidth=1.6, label="best so far")
    axes.plot(numbers[from_prior], errors[from_prior], "s", color=ORANGE, label="start-up")
    axes.plot(numbers[~from_prior], errors[~from_prior], "o", color=BLUE, label="surrogate and density")
    axes.set(yscale="log", ylabel="validation error")
    ticks = [t for t in (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 0.9) if 0.8 * errors.min() < t < 1.3 * errors.max()]
    axes.set_yticks(ticks, labels=[f"{t:.0%}" for t in ticks])
    axes.minorticks_off()
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.spines[["right", "top"]].set_visible(False)
    # Room for the legend above the worst trial.
    axes.set_ylim(0.8 * errors.min(), 3.0 * errors.max())
    axes.legend(
        frameon=False, fontsize=8.5, ncols=3, columnspacing=0.9, handletextpad=0.2, borderpad=0.1, loc="upper left"
    )
    headline(axes, f"3  One study of {len(numbers)} trials")


def _draw_trust(axes: Axes, study: optuna.Study) -> None:
    """Weights of the regions after the evidence, stacked."""
    suggestions = _sampler(study).get_statistics(study).suggestions
    known = [(number + 1, s.details["region_weights"]) for number, s in suggestions.items() if "trust" in s.details]
    numbers, weights = zip(*known, strict=True)
    below = np.zeros(len(numbers))
    for region, shade in zip(np.array(weights).T, (0.8, 0.55, 0.35, 0.2) * 2, strict=False):
        axes.bar(numbers, region, bottom=below, color=BLUE, width=0.6, alpha=shade)
        below = below + region
    axes.set(xlabel="trial", ylabel="trust, by\nregion", xlim=(0.3, N_TRIALS + 0.7), ylim=(0.0, 1.0))
    axes.set_xticks(range(5, 26, 5))
    axes.spines[["right", "top"]].set_visible(False)


def _sampler(study: optuna.Study) -> LLMPriorSampler:
    assert isinstance(study.sampler, LLMPriorSampler)
    return study.sampler


# ---- docs/how_to/priors.md: from an interval to a density


def marginals(path: Path) -> None:
    """What best, low, high, coverage and confidence do to one numeric parameter, and what a grid looks like."""
    figure = Figure(figsize=(11.0, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _draw_coverage(left)
    _draw_confidence(middle)
    _draw_grid(right)
    left.set_ylabel("density relative to uniform")
    for axes in (left, middle, right):
        axes.axhline(1.0, color=GREY, linewidth=0.8, linestyle=":")
        axes.set_ylim(0.0, 1.35 * axes.get_ylim()[1])  # room for the legend
        axes.spines[["right", "top"]].set_visible(False)
    _save(figure, path)


RATE = {"learning_rate": FloatDistribution(1e-5, 1.0, log=True)}
RATE_BELIEF = {"learning_rate": (3e-3, 1e-3, 3e-2)}


def _draw_coverage(axes: Axes) -> None:
    for coverage, colour in ((0.3, ORANGE), (0.5, BLUE), (0.8, GREEN)):
        _draw_rate(axes, confidence=0.95, coverage=coverage, colour=colour, label=f"interval_coverage={coverage}")
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    headline(axes, "best 0.003, low 0.001, high 0.03")


def _draw_confidence(axes: Axes) -> None:
    for confidence, colour in ((0.95, ORANGE), (0.8, BLUE), (0.4, GREEN)):
        _draw_rate(axes, confidence=confidence, coverage=0.5, colour=colour, label=f"confidence={confidence}")
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    headline(axes, "the same, by confidence")


def _draw_rate(axes: Axes, *, confidence: float, coverage: float, colour: str, label: str) -> None:
    space = SearchSpace(RATE)
    answer = PriorAnswer.by_hand(numeric=RATE_BELIEF, confidence=confidence)
    prior = build_prior(answer, space, interval_coverage=coverage)
    u = np.linspace(0.0, 1.0, 401)
    density = prior.log_prob(torch.as_tensor(u).unsqueeze(-1)).exp()
    axes.plot(space.columns[0].from_unit(u), density, color=colour, label=label)
    axes.set(xscale="log", xlim=(1e-5, 1.0), xlabel="learning_rate (log scale)")


def _draw_grid(axes: Axes) -> None:
    space = SearchSpace({"depth": IntDistribution(1, 12)})
    prior = build_prior(PriorAnswer.by_hand(numeric={"depth": (4, 3, 8)}, confidence=0.9), space)
    depths = np.arange(1, 13)
    density = prior.log_prob(space.encode([{"depth": int(depth)} for depth in depths])).exp()
    axes.bar(depths, density, color=BLUE, alpha=0.6)
    axes.set(xlabel="depth (integer, 1 to 12)", xticks=[1, 4, 8, 12])
    headline(axes, "best 4, low 3, high 8")


# ---- docs/explanation/design.md: schedules


def decay(path: Path) -> None:
    """The weight of the prior by the number of finished trials."""
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axes = figure.add_subplot()
    n = np.arange(1, 61)
    schedules = (
        (PowerDecay(beta=10.0), BLUE, "-"),
        (PowerDecay(beta=10.0, cap=1.0), BLUE, "--"),
        (PowerDecay(beta=10.0, power=2.0), ORANGE, "-"),
        (ExponentialDecay(half_life=10), GREEN, "-"),
        (LinearDecay(horizon=40), PINK, "-"),
        (ConstantDecay(1.0), GREY, ":"),
    )
    for schedule, colour, style in schedules:
        axes.plot(n, [schedule(int(i)) for i in n], style, color=colour, label=repr(schedule))
    axes.set(yscale="log", ylim=(1e-2, 12.0), xlim=(1, 60), xlabel="finished trials n", ylabel="exponent γ")
    axes.set_yticks([0.01, 0.1, 1, 10], labels=["0.01", "0.1", "1", "10"])
    axes.spines[["right", "top"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    save(figure, path, dpi=150)


FIGURES: dict[str, Callable[[Path], None]] = {"overview": overview, "marginals": marginals, "decay": decay}


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the figures that are named on the command line, all of them by default."""
    draw_named(FIGURES, arguments, description=__doc__)


if __name__ == "__main__":
    main()
