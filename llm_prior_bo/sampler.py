"""`LLMPriorSampler`: an Optuna sampler whose acquisition function is multiplied by a prior over the optimum."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import intersection_search_space
from optuna.trial import FrozenTrial, TrialState
from torch import Tensor

from llm_prior_bo._arguments import (
    check_counts,
    check_exactly_one,
    check_kinds,
    check_numbers,
    check_shares,
    resolve_space,
)
from llm_prior_bo._isolation import isolated_torch
from llm_prior_bo.acquisition import prior_weighted
from llm_prior_bo.decay import DecaySchedule, bind_decay, check_decay, exponent_at, loss_bound
from llm_prior_bo.diagnostics import StudyStatistics, study_statistics
from llm_prior_bo.elicitation.elicitor import Elicitor, LLMElicitor
from llm_prior_bo.errors import SearchSpaceError
from llm_prior_bo.log_acquisition import log_acquisition
from llm_prior_bo.optimize import optimize_acquisition, perturbed, value_at
from llm_prior_bo.prior_mean import PriorMean
from llm_prior_bo.prior_source import ElicitedPrior, GivenPrior, PriorSource, known_space
from llm_prior_bo.priors import MixturePrior, OptimumPrior
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.startup import startup_point, startup_slot
from llm_prior_bo.surrogate import Hyperparameters, Surrogate, fit_surrogate
from llm_prior_bo.training_data import TrainingData
from llm_prior_bo.trial_records import (
    Suggestion,
    abandon,
    is_own,
    mark_started,
    publish_suggestion,
    read_suggestion,
)
from llm_prior_bo.trust import Evidence, EvidenceTrust, TrustGate, incumbents

if TYPE_CHECKING:
    from optuna import Study

N_STARTUP_WITH_PRIOR = 5
N_STARTUP_WITHOUT_PRIOR = 10
N_PRIOR_STARTS = 128
N_INCUMBENTS = 5
N_OPTIMA = 32
DEFAULT_PRIOR_MEAN = PriorMean()
DEFAULT_TRUST = EvidenceTrust()


class LLMPriorSampler(BaseSampler):
    """Bayesian optimisation with a language model's belief about where the optimum is.

    The model is asked once per study for a density over the optimum's place. Most of the first trials are drawn from
    it. After them a Gaussian process is fitted, the density is weighed against what it has learned (`EvidenceTrust`),
    and enters its mean as far as the data support it (`PriorMean`); on request it is also multiplied into the
    acquisition function with a decaying exponent (piBO: Hvarfner et al., ICLR 2022). No failure of the language model
    stops a study: it ends in one warning and plain Bayesian optimisation.

    The answer is stored in the study, so workers that share its storage and later sessions do not ask again.

    Example:
        >>> sampler = LLMPriorSampler("gpt-4o", search_space={"lr": FloatDistribution(1e-5, 1, log=True)})
        >>> study = optuna.create_study(sampler=sampler)
        >>> study.set_user_attr("problem_description", "Fine-tuning of a small language model, minimise the loss.")
        >>> study.optimize(objective, n_trials=50)

    Args:
        model: Any LiteLLM model string. Give exactly one of `model`, `elicitor` and `prior`.
        elicitor: Who is asked instead: a recorded answer (`ReplayElicitor`), one by hand (`FixedElicitor`), your own.
        prior: A density by hand, nobody is asked; over `search_space`, or its own space.
        search_space: Distribution of every parameter, conditional ones included. With it even trial 0 comes from the
            prior, and parameters that are not active in a trial are modelled too. Without it, the space is the
            intersection of the finished trials' parameters, as with Optuna's own relative samplers.
        prior_mean: How the density enters the surrogate's mean, with a weight that the data set (`PriorMean`); `None`
            leaves it out.
        decay: Number of this study's finished trials -> exponent with which the density is multiplied into the
            acquisition function as well (piBO), e.g. `PowerDecay(10.0)`; `None`: it is not.
        trust: A gate that reweighs the prior by the evidence at every suggestion; `None`: the prior stays as it is.
            piBO as published is `decay=PowerDecay(10.0), prior_mean=None, trust=None, outside_share=0`.
        n_startup_trials: Finished trials before the surrogate takes over. They are drawn from the prior, its mode
            first. `None`: 5 with a prior, 10 while there is none.
        outside_share: Share of the start-up trials, in [0, 1], that is spent on uniform points outside the prior, so
            that there is something to compare it with. They come last.
        temperature: Sampling temperature of the language model.
        timeout: Seconds for one request.
        max_retries: How often one answer is asked for again (bad answer, rate limit, time-out).
        max_context_trials: How many best, recent and failed trials the model may see.
        n_answers: Answers to ask for; their densities are pooled with equal weights.
        budget_usd: Ask no more once the known cost of this study's answers has reached this; `None`: no limit.
        independent_sampler: For parameters outside the common space that the prior has no opinion on; random if `None`.
        seed: Seed of all randomness; the same seed and the same answer give the same trials.

    Raises:
        ConfigurationError: If arguments contradict each other or are out of range.
        SearchSpaceError: If the search space is empty.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        elicitor: Elicitor | None = None,
        prior: OptimumPrior | None = None,
        search_space: Mapping[str, BaseDistribution] | SearchSpace | None = None,
        decay: DecaySchedule | None = None,
        prior_mean: PriorMean | None = DEFAULT_PRIOR_MEAN,
        trust: TrustGate | None = DEFAULT_TRUST,
        n_startup_trials: int | None = None,
        outside_share: float = 0.2,
        temperature: float = 0.3,
        timeout: float = 30.0,
        max_retries: int = 3,
        max_context_trials: int = 10,
        n_answers: int = 1,
        budget_usd: float | None = None,
        independent_sampler: BaseSampler | None = None,
        seed: int | None = None,
    ) -> None:
        check_exactly_one(model=model, elicitor=elicitor, prior=prior)
        check_kinds(model=(model, str), elicitor=(elicitor, Elicitor), prior=(prior, OptimumPrior))
        check_kinds(
            trust=(trust, TrustGate),
            prior_mean=(prior_mean, PriorMean),
            independent_sampler=(independent_sampler, BaseSampler),
        )
        check_counts(n_startup_trials=n_startup_trials, max_context_trials=max_context_trials, max_retries=max_retries)
        check_counts(n_answers=n_answers, least=1)
        check_shares(outside_share=outside_share)
        check_numbers(temperature=temperature, timeout=timeout, budget_usd=budget_usd)
        self._search_space = resolve_space(search_space, prior)
        self._decay = None if decay is None else check_decay(decay)
        self._prior_mean = prior_mean
        self._trust = trust
        self._n_startup_trials = n_startup_trials
        self._outside_share = outside_share
        if model is not None:
            elicitor = LLMElicitor(model, temperature=temperature, timeout=timeout, max_retries=max_retries)
        self._source: PriorSource
        if elicitor is not None:
            self._source = ElicitedPrior(
                elicitor=elicitor,
                n_answers=n_answers,
                max_context_trials=max_context_trials,
                patience=max(60.0, timeout * (max_retries + 1) * n_answers),
                budget_usd=budget_usd,
            )
        else:
            assert prior is not None
            assert self._search_space is not None
            self._source = GivenPrior(prior, self._search_space)
        self._independent_sampler = independent_sampler or RandomSampler(seed=seed)
        self._design_seed = _entropy(seed)
        self._trial_seed = self._design_seed
        self._warm_start: tuple[SearchSpace, Hyperparameters] | None = None

    # Optuna's interface ------------------------------------------------------------------------------------------

    def reseed_rng(self) -> None:
        """Draw a new seed: copies of a sampler in other threads or processes must not make the same suggestions."""
        self._trial_seed = _entropy(None)
        self._independent_sampler.reseed_rng()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Ask for an answer if one is due, then mark the trial as this study's own."""
        try:
            self._source.prepare(study, trial, known_space(study, self._search_space))
        except BaseException:  # an answer that does not fit, or a person's interrupt
            abandon(study, trial)
            raise
        mark_started(study, trial)
        self._independent_sampler.before_trial(study, trial)

    def infer_relative_search_space(
        self,
        study: Study,
        trial: FrozenTrial,  # noqa: ARG002 - Optuna's signature
    ) -> dict[str, BaseDistribution]:
        """The given search space, else the parameters that all finished trials share; single-valued ones left out."""
        if isinstance(self._source, GivenPrior):
            return dict(self._source.space.distributions)  # all: the density is over these very columns
        if self._search_space is not None:
            distributions = self._search_space.distributions
        else:
            # Not Optuna's incremental class: it would mix up studies that have one id in different storages.
            distributions = intersection_search_space(study.get_trials(deepcopy=False))
        return {name: distribution for name, distribution in distributions.items() if not distribution.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Suggest all parameters of the common space together."""
        if not search_space:
            return {}
        space = SearchSpace(search_space)
        with isolated_torch(self._seed(trial, "relative")):
            prior = self._source.current(study, space)
            data = TrainingData.from_study(study, space, trial=trial)
            if data.n < self._n_startup(prior) or data.n == 0:
                suggestion = self._from_design(study, trial, space, prior)
            else:
                suggestion = self._from_acquisition(study, trial, space, prior, data)
        publish_suggestion(study, trial, suggestion)
        return suggestion.params

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Suggest one parameter outside the common space: from the prior's own marginal if it has one."""
        space = SearchSpace({param_name: param_distribution})
        with isolated_torch(self._seed(trial, param_name)):
            prior = self._conditional_prior(study, trial, space)
            if not prior.is_uniform:
                return space.decode(prior.sample(1, generator=_generator(torch.initial_seed()))[0])[param_name]
        return self._independent_sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Pass on to the independent sampler."""
        self._independent_sampler.after_trial(study, trial, state, values)

    def get_statistics(self, study: Study) -> StudyStatistics:
        """Answers, costs, repairs, failures, and what the prior did in every trial. See `StudyStatistics`."""
        return study_statistics(study)

    # One suggestion ----------------------------------------------------------------------------------------------

    def _from_design(self, study: Study, trial: FrozenTrial, space: SearchSpace, prior: OptimumPrior) -> Suggestion:
        slot = startup_slot(study, trial)
        n_startup = self._n_startup(prior)
        x = startup_point(
            prior,
            slot,
            n_startup_trials=n_startup,
            n_outside=0 if prior.is_uniform else round(self._outside_share * n_startup),
            seed=self._design_seed,
            space=space,
        )
        return Suggestion(
            params=space.decode(x), phase="startup", n=_n_evidence(study), slot=slot, log_prior=float(prior.log_prob(x))
        )

    def _n_startup(self, prior: OptimumPrior) -> int:
        """Size of the start-up design: fewer trials where a prior says where to look."""
        if self._n_startup_trials is not None:
            return self._n_startup_trials
        return N_STARTUP_WITHOUT_PRIOR if prior.is_uniform else N_STARTUP_WITH_PRIOR

    def _from_acquisition(
        self, study: Study, trial: FrozenTrial, space: SearchSpace, prior: OptimumPrior, data: TrainingData
    ) -> Suggestion:
        seed = self._seed(trial, "acquisition")
        surrogate = self._fit(data, space)
        evidence = self._weigh(prior, surrogate, study, data, seed)
        prior = evidence.prior
        n = _n_evidence(study)
        believing, coefficients = self._with_prior_mean(surrogate, evidence, n)
        exponent = 0.0 if self._decay is None else exponent_at(bind_decay(self._decay, prior), n)
        base = log_acquisition(believing, pending=data.pending, seed=seed)
        acquisition = prior_weighted(base, prior, exponent=exponent)
        rng = np.random.default_rng(seed)
        best = incumbents(surrogate, N_INCUMBENTS)
        starts = torch.cat([_starts(prior, best, space, rng), evidence.optima[:N_OPTIMA]])
        x, value = optimize_acquisition(acquisition, space, starts=starts, incumbents=best[:2], rng=rng)
        log_prior = float(prior.log_prob(x))
        without_prior = value - exponent * log_prior
        if any(coefficients):
            plain = log_acquisition(surrogate, pending=data.pending, seed=seed)
            without_prior = value_at(plain, x)
        return Suggestion(
            params=space.decode(x),
            phase="model",
            n=n,
            exponent=exponent,
            log_acquisition=without_prior,
            log_prior=log_prior,
            prior_score=value - without_prior,
            prior_coefficients=coefficients,
            loss_bound=None if self._decay is None else loss_bound(exponent, prior),
            details=evidence.details(),
        )

    def _with_prior_mean(self, surrogate: Surrogate, evidence: Evidence, n: int) -> tuple[Surrogate, tuple[float, ...]]:
        """The surrogate that expects less of implausible places, and how much less."""
        if self._prior_mean is None:
            return surrogate, ()
        return self._prior_mean.apply(surrogate, evidence.prior, trust=evidence.kept, n=n)

    def _weigh(
        self, prior: OptimumPrior, surrogate: Surrogate, study: Study, data: TrainingData, seed: int
    ) -> Evidence:
        """What the evidence leaves of the prior; trials that the language model was shown are none."""
        if self._trust is None:
            return Evidence(prior=prior, optima=data.X[:0])
        shown = self._source.shown(study)
        rows = [i for i, number in enumerate(data.numbers) if number in shown]
        reference = surrogate.given(rows) if rows else None
        return self._trust.weigh(prior, surrogate, reference=reference, seed=seed)

    def _fit(self, data: TrainingData, space: SearchSpace) -> Surrogate:
        usable = self._warm_start is not None and self._warm_start[0] == space
        surrogate = fit_surrogate(data, space, warm_start=self._warm_start[1] if usable and self._warm_start else ())
        self._warm_start = (space, surrogate.hyperparameters)
        return surrogate

    def _conditional_prior(self, study: Study, trial: FrozenTrial, space: SearchSpace) -> OptimumPrior:
        """The prior of one parameter, its regions weighted by how well they explain the trial's other parameters."""
        prior = self._source.current(study, space)
        suggestion = read_suggestion(trial)
        relative = self.infer_relative_search_space(study, trial) if suggestion is not None else {}
        if not isinstance(prior, MixturePrior) or suggestion is None or not relative.keys() <= suggestion.params.keys():
            return prior
        known = SearchSpace(relative)
        joint = self._source.current(study, known)
        if not isinstance(joint, MixturePrior) or len(joint.weights) != len(prior.weights):
            return prior
        try:
            shares = joint.responsibilities(torch.as_tensor(known.encode([suggestion.params])))[0]
        except SearchSpaceError:  # published by a worker with other ranges, or choices that JSON does not hold
            return prior
        return prior.with_weights(shares[:-1].tolist(), uniform_weight=float(shares[-1]))

    def _seed(self, trial: FrozenTrial, purpose: str) -> int:
        """A seed for one purpose in one trial: it does not depend on what other trials or workers drew."""
        sequence = np.random.SeedSequence([self._trial_seed, trial.number, zlib.crc32(purpose.encode())])
        return int(sequence.generate_state(1)[0])


def _starts(prior: OptimumPrior, best: Tensor, space: SearchSpace, rng: np.random.Generator) -> Tensor:
    """Start points for the acquisition's maximisation: draws from the prior and points near the incumbents."""
    draws = prior.sample(N_PRIOR_STARTS, generator=_generator(int(rng.integers(2**31))))
    near = [perturbed(best, space, n_each=20, scale=scale, rng=rng) for scale in (0.02, 0.1)]
    return torch.cat([draws, *near])


def _n_evidence(study: Study) -> int:
    """Finished trials of this study's own, without those added from elsewhere and without failed ones."""
    return sum(is_own(trial) for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _entropy(seed: int | None) -> int:
    return int(np.random.SeedSequence(seed).generate_state(1)[0])
