"""Draw the figures of docs/explanation/theory.md from what the package really computes.

    python docs/figures/theory.py               # all of them, about a minute and a half
    python docs/figures/theory.py baseline      # one of them

`evidence`, `bound` and `resolution` run studies of 30 trials on test functions whose optimum is known, with five seeds;
the others evaluate densities, draws of a surrogate and Bayes factors of given points.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.distributions import FloatDistribution
from style import BLUE, GREEN, GREY, ORANGE, PINK, draw_named, headline, save
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.harness.priors import UNIFORM_WEIGHT, WIDE, make_prior
from benchmarks.harness.problems import Problem, get_problem
from benchmarks.harness.study import run_trials
from llm_prior_bo import BoundedLossDecay, LLMPriorSampler, MixturePrior, OptimumPrior, PowerDecay, SearchSpace
from llm_prior_bo.decay import DecaySchedule, bind_decay, loss_bound
from llm_prior_bo.models.data import TrainingData
from llm_prior_bo.models.optimum_posterior import OptimumPosterior, optimum_posterior
from llm_prior_bo.models.surrogate import Surrogate, fit_surrogate
from llm_prior_bo.optimization.startup import N_STARTUP_WITH_PRIOR, startup_point
from llm_prior_bo.optimization.trust import Evidence, EvidenceTrust, TrustGate
from llm_prior_bo.priors import RegionPrior, SplitNormalMarginal, UniformPrior
from llm_prior_bo.study.diagnostics import study_statistics
from llm_prior_bo.study.trial_records import Suggestion

N_TRIALS = 30
SEEDS = range(5)
FloatArray = npt.NDArray[np.float64]


# ---- what is computed


def fitted(problem: Problem, X: Tensor) -> Surrogate:
    """The surrogate given the problem's values at encoded points `n x d`."""
    values = [-problem.evaluate(problem.space.decode(x.numpy())) for x in X]
    data = TrainingData(
        X=X,
        Y=torch.tensor(values, dtype=torch.float64).unsqueeze(-1),
        constraints=torch.empty(len(X), 0, dtype=torch.float64),
        pending=X[:0],
    )
    return fit_surrogate(data, problem.space)


def after_sobol_points(name: str, n: int) -> Surrogate:
    """The surrogate of a problem after a uniform design of `n` points."""
    problem = get_problem(name)
    return fitted(problem, UniformPrior(problem.space).stratified_sample(n, generator=_generator(0)))


def optimum_of(surrogate: Surrogate, candidates: Tensor, *, n_draws: int) -> OptimumPosterior:
    """Where the surrogate's draws have their optimum, with the data and without."""
    return optimum_posterior(surrogate.model, candidates, n_draws=n_draws, generator=_generator(1))


class Compared:
    """Asks several gates about the same trials and follows the first."""

    def __init__(self, *gates: TrustGate) -> None:
        self.gates = gates
        self.trust: list[list[float]] = []

    def reweight(
        self, prior: OptimumPrior, surrogate: Surrogate, *, reference: Surrogate | None = None, seed: int = 0
    ) -> Evidence:
        """What the first gate finds."""
        found = [gate.reweight(prior, surrogate, reference=reference, seed=seed) for gate in self.gates]
        self.trust.append([float("nan") if evidence.trust is None else evidence.trust for evidence in found])
        return found[0]


def model_suggestions(problem: Problem, prior: OptimumPrior, gate: TrustGate, seed: int) -> list[Suggestion]:
    """The suggestions after the start-up phase of one study with πBO's weights."""
    # All of it spelled out: the figures are about these settings, whatever the defaults.
    sampler = LLMPriorSampler(
        prior=prior,
        decay=PowerDecay(beta=10.0),
        trust=gate,
        n_startup_trials=N_STARTUP_WITH_PRIOR,
        uniform_startup_fraction=0.2,
        seed=seed,
    )
    suggestions = study_statistics(run_trials(problem, sampler, n_trials=N_TRIALS)).suggestions
    return [suggestions[number] for number in sorted(suggestions) if suggestions[number].phase == "model"]


@cache
def studies(kind: str) -> tuple[list[Suggestion], ...]:
    """The suggestions of studies of Hartmann-3 with one kind of prior, one study a seed."""
    problem = get_problem("hartmann3")
    return tuple(model_suggestions(problem, make_prior(kind, problem, seed), EvidenceTrust(), seed) for seed in SEEDS)


# ---- section 3: why the kernel prior's own optimum matters


def baseline(path: Path) -> None:
    """Where functions drawn from a kernel prior have their optimum, and what that does to a region unless divided."""
    figure = Figure(figsize=(11.0, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.05, 1.0, 1.1))
    _draw_square(figure, left)
    _draw_faces(middle)
    _draw_undivided(right)
    _save(figure, path)


def _draw_square(figure: Figure, axes: Axes) -> None:
    n = 20
    centres = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    posterior = optimum_of(after_sobol_points("branin", 20), torch.cartesian_prod(centres, centres), n_draws=40_000)
    density = posterior.reference.reshape(n, n).T * n * n
    image = axes.imshow(density, origin="lower", extent=(0.0, 1.0, 0.0, 1.0), cmap="Blues", vmin=0.0, vmax=5.0)
    figure.colorbar(image, ax=axes, shrink=0.85, extend="max")
    axes.set(xlabel="encoded x0", ylabel="encoded x1", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    headline(axes, "p₀ over uniform, Branin's kernel")


def _draw_faces(axes: Axes) -> None:
    """The share of optima within 0.05 of a face of the cube, under the kernels fitted to test functions."""
    d = np.arange(1, 8)
    axes.plot(d, 1.0 - 0.9**d, color=GREY, linestyle=":", label="uniform")
    for i, name in enumerate(("branin", "hartmann3", "levy4", "rosenbrock4", "hartmann6")):
        surrogate = after_sobol_points(name, 20)
        candidates = UniformPrior(get_problem(name).space).stratified_sample(1024, generator=_generator(2))
        at_face = ((candidates < 0.05) | (candidates > 0.95)).any(dim=-1)
        share = float(optimum_of(surrogate, candidates, n_draws=4096).reference[at_face].sum())
        axes.plot(candidates.shape[-1], share, "o", color=BLUE, label=None if i else "kernel prior")
    axes.set(ylim=(0.0, 1.0), xlabel="parameters d")
    axes.spines[["right", "top"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8.5, loc="lower right")
    headline(axes, "optimum within 0.05 of a face")


def _draw_undivided(axes: Axes) -> None:
    """`E_{p_0}[π_k(x*)]` of a region on the diagonal: its Bayes factor before any data, were it not divided."""
    for name, colour in (("branin", BLUE), ("rosenbrock4", ORANGE), ("hartmann6", GREEN)):
        space = get_problem(name).space
        candidates = UniformPrior(space).stratified_sample(1024, generator=_generator(3))
        reference = optimum_of(after_sobol_points(name, 20), candidates, n_draws=8192).reference
        places = np.linspace(0.0, 0.5, 11)
        values = [float(reference @ _region(space, t, scale=0.2).log_prob(candidates).exp()) for t in places]
        axes.plot(places, values, color=colour, label=f"d = {len(space)}")
    axes.axhline(1.0, color=GREY, linewidth=0.8, linestyle=":")
    axes.set(yscale="log", xlabel="region's centre on the diagonal (0: corner)")
    axes.set_yticks([0.2, 0.5, 1.0, 2.0], labels=["0.2", "0.5", "1", "2"])
    axes.minorticks_off()
    axes.spines[["right", "top"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8.5, loc="lower left")
    headline(axes, "a region's mean density under p₀")


def _region(space: SearchSpace, at: float, *, scale: float) -> RegionPrior:
    """A region of one scale whose centre has the same coordinate in every column."""
    return RegionPrior(space, {column.name: SplitNormalMarginal(column, at, scale, scale) for column in space.columns})


# ---- section 3: what becomes of right and wrong regions


def evidence(path: Path) -> None:
    """Bayes factors and the weights that they leave, of a right, a wrong and a mixed answer."""
    figure = Figure(figsize=(10.4, 4.5), layout="constrained")
    axes = figure.subplots(2, 3, sharex=True, sharey="row")
    titles = ("a right prior", "a wrong prior", "a prior with three regions")
    for column, title, (kind, regions) in zip(axes.T, titles, _REGIONS.items(), strict=True):
        for k, (label, colour) in enumerate(regions):
            factors = [[suggestion.details["bayes_factors"][k] for suggestion in study] for study in studies(kind)]
            weights = [[suggestion.details["region_weights"][k] for suggestion in study] for study in studies(kind)]
            _draw_runs(column[0], np.asarray(factors), colour)
            _draw_runs(column[1], np.asarray(weights), colour, label=label)
        column[0].axhline(1.0, color=GREY, linewidth=0.8, linestyle=":")
        column[1].set(xlabel="finished trials n", ylim=(0.0, 1.02))
        column[1].legend(frameon=False, fontsize=8.5, loc="center right")
        headline(column[0], title)
    axes[0, 0].set(yscale="log", ylabel="Bayes factor of a region")
    axes[1, 0].set_ylabel("weight of a region")
    _save(figure, path)


_REGIONS = {
    "weak": (("right region", BLUE),),
    "wrong-wide": (("at the worst place", ORANGE),),
    "multimodal": (("right region", BLUE), ("at the worst place", ORANGE), ("at another bad place", PINK)),
}
"""Kinds of prior of the benchmark, with their regions."""


def _draw_runs(axes: Axes, runs: FloatArray, colour: str, *, label: str | None = None) -> None:
    """Runs `seeds x trials` from the first suggestion of the surrogate on: each thin, their median thick."""
    n = np.arange(N_TRIALS - runs.shape[1], N_TRIALS)
    axes.plot(n, runs.T, color=colour, linewidth=0.7, alpha=0.45)
    axes.plot(n, np.median(runs, axis=0), color=colour, linewidth=2.0, label=label)
    axes.spines[["right", "top"]].set_visible(False)


# ---- section 4: a region narrower than what the surrogate can tell


def resolution(path: Path) -> None:
    """Trust in a right region of one per cent of the range, looked at as it is and at a tenth."""
    figure = Figure(figsize=(7.6, 3.2), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, name, title in zip(axes, ("hartmann3", "levy4"), ("Hartmann-3", "Levy-4"), strict=True):
        problem = get_problem(name)
        gates = [Compared(EvidenceTrust(resolution=0.1), EvidenceTrust(resolution=0.0)) for _ in SEEDS]
        for seed, gate in zip(SEEDS, gates, strict=True):
            model_suggestions(problem, make_prior("strong", problem, seed), gate, seed)
        trust = np.asarray([gate.trust for gate in gates])  # seeds x trials x gates
        n = np.arange(N_TRIALS - trust.shape[1], N_TRIALS)
        ax.plot(np.tile(n, len(trust)), trust[..., 1].ravel(), "o", color=ORANGE, markersize=3, label="resolution=0")
        _draw_runs(ax, trust[..., 0], BLUE, label="resolution=0.1")
        ax.set(xlabel="finished trials n", ylim=(0.0, 1.02))
        headline(ax, title)
    axes[0].set_ylabel("trust in a right region of scale 1 %")
    axes[1].legend(frameon=True, edgecolor="none", fontsize=8.5, loc="center left")
    _save(figure, path)


# ---- section 5: start-up points outside the prior


def outside(path: Path) -> None:
    """Bayes factors from five start-up points, by how many of them are uniform."""
    figure = Figure(figsize=(9.0, 3.2), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    names = {"hartmann3": "Hartmann-3", "levy4": "Levy-4", "hartmann6": "Hartmann-6"}
    for ax, (name, title) in zip(axes, names.items(), strict=True):
        for kind, label, colour, shift in (("weak", "right", BLUE, -0.12), ("wrong-wide", "wrong", ORANGE, 0.12)):
            factors = np.array([[_startup_factor(name, kind, n, seed) for n in (0, 1, 2)] for seed in range(8)])
            ax.plot(np.arange(3) + shift, factors.T, "o", color=colour, markersize=4, alpha=0.45)
            ax.plot(np.arange(3) + shift, np.median(factors, axis=0), "_", color=colour, markersize=16, label=label)
        ax.axhline(1.0, color=GREY, linewidth=0.8, linestyle=":")
        ax.set(yscale="log", xticks=[0, 1, 2], xlim=(-0.5, 2.5), xlabel="uniform ones among 5 points")
        ax.spines[["right", "top"]].set_visible(False)
        headline(ax, title)
    axes[0].set_ylabel("Bayes factor of the region")
    axes[0].legend(frameon=False, fontsize=8.5, loc="lower left")
    _save(figure, path)


def _startup_factor(name: str, kind: str, n_uniform: int, seed: int) -> float:
    problem = get_problem(name)
    prior = make_prior(kind, problem, seed)
    points = [
        startup_point(
            prior,
            slot,
            n_startup_trials=N_STARTUP_WITH_PRIOR,
            n_uniform=n_uniform,
            seed=seed,
            space=problem.space,
        )
        for slot in range(N_STARTUP_WITH_PRIOR)
    ]
    found = EvidenceTrust().reweight(prior, fitted(problem, torch.stack(points)), seed=seed)
    return found.bayes_factors[0]


# ---- section 2: the bound


def bound(path: Path) -> None:
    """The loss bound over trials, what the evidence makes of it, and the range of a density by its floor."""
    figure = Figure(figsize=(11.0, 3.5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _draw_schedules(left)
    _draw_stored_bounds(middle)
    _draw_ranges(right)
    left.set_ylabel("bound Cₙ on the loss factor")
    for axes in (left, middle):
        axes.set(yscale="log", ylim=(0.8, 1e7), xlabel="finished trials n")
        axes.set_yticks([1, 10, 1e3, 1e5, 1e7], labels=["1", "10", "10³", "10⁵", "10⁷"])
        axes.minorticks_off()
        axes.axhline(1.0, color=GREY, linewidth=0.8, linestyle=":")
    _save(figure, path)


def _draw_schedules(axes: Axes) -> None:
    prior = make_prior("weak", get_problem("hartmann3"), 0)
    schedules: tuple[tuple[DecaySchedule, str, str], ...] = (
        (PowerDecay(beta=10.0), BLUE, "PowerDecay(10)"),
        (PowerDecay(beta=10.0, cap=1.0), GREEN, "PowerDecay(10, cap=1)"),
        (BoundedLossDecay(max_loss=2.0, from_trial=20), ORANGE, "BoundedLossDecay(2, 20)"),
    )
    n = range(5, 101)
    for schedule, colour, label in schedules:
        bounds = [loss_bound(bind_decay(schedule, prior)(i), prior) for i in n]
        axes.plot(n, bounds, "--" if "cap" in label else "-", color=colour, label=label)
    axes.spines[["right", "top"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    headline(axes, f"one prior, L = {prior.log_range:.1f}")


def _draw_stored_bounds(axes: Axes) -> None:
    for kind, colour, label in (("weak", BLUE, "right prior"), ("wrong-wide", ORANGE, "wrong prior")):
        bounds = [[suggestion.loss_bound for suggestion in study] for study in studies(kind)]
        _draw_runs(axes, np.asarray(bounds, dtype=np.float64), colour, label=label)
    ranges = [make_prior("weak", get_problem("hartmann3"), seed).log_range for seed in SEEDS]
    n = np.arange(5, N_TRIALS)
    axes.plot(n, np.exp(10.0 / n * np.median(ranges)), color=GREY, linestyle="--", label="without a gate")
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    headline(axes, "as stored, PowerDecay(10), Hartmann-3")


def _draw_ranges(axes: Axes) -> None:
    """The range `L` of a region of scale 10 % in the middle, by dimension, for three floors."""
    dims = range(1, 11)
    regions = [
        _region(SearchSpace({f"x{j}": FloatDistribution(0.0, 1.0) for j in range(d)}), 0.5, scale=WIDE) for d in dims
    ]
    joint = [MixturePrior(r.space, [r], [1.0 - UNIFORM_WEIGHT], UNIFORM_WEIGHT).log_range for r in regions]
    corner = [float(r.log_prob(torch.zeros(d, dtype=torch.float64))) for r, d in zip(regions, dims, strict=True)]
    none = [r.max_log_prob - lowest for r, lowest in zip(regions, corner, strict=True)]
    axes.plot(dims, none, ":", color=GREY)
    axes.plot(dims, [d * joint[0] for d in dims], color=ORANGE)
    axes.plot(dims, joint, color=BLUE)
    for text, place, colour in (
        ("no floor", (1.2, 47.0), GREY),
        ("0.05 per parameter", (4.2, 41.0), ORANGE),
        ("0.05 on the\njoint density", (6.6, 4.0), BLUE),
    ):
        axes.annotate(text, place, color=colour, fontsize=8.5)
    axes.set(ylim=(0.0, 60.0), xlabel="parameters d", ylabel="range L of log π")
    axes.spines[["right", "top"]].set_visible(False)
    headline(axes, "the floor and the dimension")


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _save(figure: Figure, path: Path) -> None:
    save(figure, path, dpi=110, pil_kwargs={"optimize": True})


FIGURES: dict[str, Callable[[Path], None]] = {
    "baseline": baseline,
    "evidence": evidence,
    "bound": bound,
    "resolution": resolution,
    "outside": outside,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the figures that are named on the command line, all of them by default."""
    torch.set_num_threads(1)  # small matrices; and equal figures wherever they are drawn
    draw_named(FIGURES, arguments, description=__doc__, prefix="theory_")


if __name__ == "__main__":
    main()
