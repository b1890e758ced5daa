from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.harness.priors import PRIOR_KINDS, make_prior
from benchmarks.harness.problems import PROBLEMS, FloatArray, Params, Problem, get_problem
from llm_prior_bo import MixturePrior, OptimumPrior, UniformPrior
from llm_prior_bo.errors import ConfigurationError
from llm_prior_bo.priors import CategoricalMarginal, SplitNormalMarginal

SCALES = {"strong": 0.01, "weak": 0.1, "off-centre": 0.1, "wrong-narrow": 0.01, "wrong-wide": 0.1, "multimodal": 0.1}
SHARES = {0.01: 0.95, 0.1: 0.7}


@pytest.fixture(params=list(PROBLEMS))
def problem(request: pytest.FixtureRequest) -> Problem:
    return get_problem(request.param)


def mixture(kind: str, problem: Problem, seed: int = 0) -> MixturePrior:
    prior = make_prior(kind, problem, seed)
    assert isinstance(prior, MixturePrior)
    return prior


def centre(prior: MixturePrior, region: int = 0) -> FloatArray:
    """The region's mode before it is moved to a cell, `d`; of a table the favourite."""
    marginals = [prior.regions[region].marginals[name] for name in prior.space.names]
    return np.array([m.mode_unit if isinstance(m, SplitNormalMarginal) else m.mode for m in marginals])


def encoded(problem: Problem, params: Params) -> FloatArray:
    return np.asarray(problem.space.encode([params])[0])


def log_prob(prior: OptimumPrior, problem: Problem, params: Params) -> float:
    return float(prior.log_prob(encoded(problem, params)))


@pytest.mark.parametrize("kind", SCALES)
def test_widths_and_weights(problem: Problem, kind: str) -> None:
    prior = mixture(kind, problem)
    n = 3 if kind == "multimodal" else 1
    assert prior.weights.tolist() == pytest.approx([0.95 / n] * n)
    assert prior.uniform_weight == pytest.approx(0.05)
    for region in prior.regions:
        assert tuple(region.marginals) == problem.space.names
        for marginal in region.marginals.values():
            if isinstance(marginal, SplitNormalMarginal):
                assert (marginal.left_scale, marginal.right_scale) == (SCALES[kind], SCALES[kind])
            else:
                assert isinstance(marginal, CategoricalMarginal)
                share = SHARES[SCALES[kind]]
                others = (1.0 - share) / (len(marginal.probabilities) - 1)
                assert sorted(marginal.probabilities)[:-1] == pytest.approx(
                    [others] * (len(marginal.probabilities) - 1)
                )
                assert max(marginal.probabilities) == pytest.approx(share)


class TestRightPriors:
    @pytest.mark.parametrize("kind", ["strong", "weak", "multimodal"])
    def test_are_centred_near_the_optimum(self, problem: Problem, kind: str) -> None:
        numeric = [j for j in range(len(problem.space)) if j not in problem.space.categorical_dims]
        for seed in range(5):
            difference = centre(mixture(kind, problem, seed)) - encoded(problem, problem.optimum)
            assert np.abs(difference[numeric]).max() <= 4.0 * SCALES[kind]
            assert (difference[list(problem.space.categorical_dims)] == 0.0).all()

    def test_noise_has_the_priors_own_scale(self) -> None:
        problem = get_problem("hartmann6")  # far enough from the ends of the ranges that nothing is clipped
        differences = [
            centre(mixture("strong", problem, seed)) - encoded(problem, problem.optimum) for seed in range(60)
        ]
        noise = np.array(differences).ravel() / 0.01
        assert noise.mean() == pytest.approx(0.0, abs=0.2)  # standard error 0.05
        assert noise.std() == pytest.approx(1.0, abs=0.15)  # standard error 0.04

    def test_kinds_share_their_noise(self) -> None:
        problem = get_problem("hartmann6")
        strong, weak, several = (centre(mixture(kind, problem, 3)) for kind in ("strong", "weak", "multimodal"))
        optimum = encoded(problem, problem.optimum)
        assert weak - optimum == pytest.approx(10.0 * (strong - optimum))
        assert several.tolist() == weak.tolist()

    @pytest.mark.parametrize("kind", ["strong", "weak"])
    def test_the_optimum_is_likelier_than_bad_places(self, problem: Problem, kind: str) -> None:
        for seed in range(3):
            prior = make_prior(kind, problem, seed)
            assert log_prob(prior, problem, problem.optimum) > 0.0 > log_prob(prior, problem, problem.worst)
            assert log_prob(prior, problem, problem.worst) == pytest.approx(np.log(0.05), abs=0.5)

    def test_off_centre_is_two_scales_beside_it(self) -> None:
        problem = get_problem("levy4")  # every coordinate of the optimum is at least 0.2 from the ends
        signs = set()
        for seed in range(5):
            shift = centre(mixture("off-centre", problem, seed)) - encoded(problem, problem.optimum)
            assert np.abs(shift) == pytest.approx([0.2] * 4)
            signs.update(np.sign(shift).tolist())
        assert signs == {-1.0, 1.0}

    def test_off_centre_stays_in_the_box(self, problem: Problem) -> None:
        numeric = [j for j in range(len(problem.space)) if j not in problem.space.categorical_dims]
        for seed in range(5):
            at = centre(mixture("off-centre", problem, seed))
            shift = np.abs(at - encoded(problem, problem.optimum))[numeric]
            inside = (at[numeric] > 0.0) & (at[numeric] < 1.0)
            assert shift[inside] == pytest.approx(np.full(inside.sum(), 0.2))
            assert (at[numeric] >= 0.0).all()
            assert (at[numeric] <= 1.0).all()
            assert (shift <= 0.2 + 1e-12).all()


class TestWrongPriors:
    @pytest.mark.parametrize("kind", ["wrong-narrow", "wrong-wide"])
    def test_are_centred_at_the_worst_place(self, problem: Problem, kind: str) -> None:
        prior = mixture(kind, problem)
        assert centre(prior) == pytest.approx(encoded(problem, problem.worst))
        assert prior.mode().numpy() == pytest.approx(encoded(problem, problem.worst))
        assert log_prob(prior, problem, problem.worst) > 0.0 > log_prob(prior, problem, problem.optimum)

    def test_multimodal_has_one_right_region_of_three(self, problem: Problem) -> None:
        prior = mixture("multimodal", problem)
        assert centre(prior, 1) == pytest.approx(encoded(problem, problem.worst))
        assert centre(prior, 2) == pytest.approx(encoded(problem, problem.elsewhere))
        places = [problem.optimum, problem.worst, problem.elsewhere]
        own = prior.component_log_prob(problem.space.encode(places)).argmax(dim=-1)
        assert own.tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", SCALES)
def test_mode_is_likelier_than_draws(problem: Problem, kind: str) -> None:
    prior = make_prior(kind, problem, 0)
    draws = prior.sample(200, generator=torch.Generator().manual_seed(0))
    # Neighbouring regions may add up beside the mode, which is the best of the regions' own.
    assert float(prior.log_prob(prior.mode())) >= float(prior.log_prob(draws).max()) - 0.1


@pytest.mark.parametrize("kind", PRIOR_KINDS)
def test_same_seed_same_prior(kind: str) -> None:
    problem = get_problem("mixed")
    X = UniformPrior(problem.space).sample(20, generator=torch.Generator().manual_seed(0))
    first, second = (make_prior(kind, problem, 7) for _ in range(2))
    assert torch.equal(first.log_prob(X), second.log_prob(X))


def test_uniform_has_no_opinion() -> None:
    assert isinstance(make_prior("uniform", get_problem("branin"), 0), UniformPrior)


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"kinds of prior \['strong', .*got 'good'"):
        make_prior("good", get_problem("branin"), 0)
