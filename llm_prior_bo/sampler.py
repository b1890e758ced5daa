"""`LLMPriorSampler`: an Optuna sampler whose acquisition function is multiplied by a prior over the optimum."""

from __future__ import annotations

import inspect
import math
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack, get_args

import numpy as np
import torch
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from llm_prior_bo._arguments import (
    check_choices,
    check_counts,
    check_kinds,
    check_shares,
    check_sources,
    prior_source,
    resolve_space,
)
from llm_prior_bo._display import Displayed, TextTable
from llm_prior_bo._isolation import isolated_torch
from llm_prior_bo.decay import BoundedLossDecay, DecaySchedule, check_decay
from llm_prior_bo.elicitation.elicitor import Elicitor, name_of
from llm_prior_bo.elicitation.options import LLMOptions
from llm_prior_bo.elicitation.prompt.insights import RefreshReason, StudyInsights
from llm_prior_bo.elicitation.record import Elicitation
from llm_prior_bo.optimization.conditional_prior import conditional_prior
from llm_prior_bo.optimization.elicited_priors import ElicitedPrior
from llm_prior_bo.optimization.engine import Engine
from llm_prior_bo.optimization.importance import insights_of
from llm_prior_bo.optimization.prior_source import elicitor_of, given_of, known_space
from llm_prior_bo.optimization.readiness import CheckResult, check_readiness
from llm_prior_bo.optimization.refresh import DEFAULT_REFRESH, RefreshPolicy
from llm_prior_bo.optimization.startup import StartupDesign
from llm_prior_bo.optimization.trust import EvidenceTrust, TrustGate
from llm_prior_bo.priors import OptimumPrior
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.asked import NOT_SUGGESTED, AskedParameters, SuggestedParams, suggested_value
from llm_prior_bo.study.diagnostics import StudyStatistics, study_statistics
from llm_prior_bo.study.independent import IndependentWarnings, why_independent
from llm_prior_bo.study.inferred_space import InferredSpace
from llm_prior_bo.study.storage import PerStudy
from llm_prior_bo.study.suggestion_lock import suggestion_lock
from llm_prior_bo.study.training_data import PrunedTrials
from llm_prior_bo.study.trial_attributes import write_trial_attributes
from llm_prior_bo.study.trial_records import (
    Suggestion,
    abandon,
    mark_failed,
    mark_started,
    publish_suggestion,
    read_suggestion,
)
from llm_prior_bo.study.uniform_sampler import PerTrialRandomSampler, entropy_of

if TYPE_CHECKING:
    from optuna import Study

DEFAULT_DECAY = BoundedLossDecay(max_loss=math.e, from_trial=20)
"""At most e times the loss bound of the unweighted strategy from trial 20 on: `n_0 ln c` = 20 nats over `n`. 40 nats
were behind that on five of six tasks with real answers (`docs/measurements.md`)."""
DEFAULT_TRUST = EvidenceTrust()


class LLMPriorSampler(Displayed, BaseSampler):
    """Bayesian optimisation with a language model's belief about where the optimum is.

    The model is asked for a density over the optimum's place at the start of a study, and periodically after that. Most
    of the first trials are drawn from it. After them a Gaussian process is fitted, the density is weighed against what
    it has learned (`EvidenceTrust`), and multiplied into the acquisition function with a decaying exponent (piBO:
    Hvarfner et al., ICLR 2022). Every answer has an exponent of its own. No failure of the language model stops a
    study: it ends in one warning and plain Bayesian optimisation.

    The answer is stored in the study, so workers that share its storage and later sessions do not ask again.

    Example:
        >>> sampler = LLMPriorSampler("gpt-4o", search_space={"lr": FloatDistribution(1e-5, 1, log=True)})
        >>> study = optuna.create_study(sampler=sampler)
        >>> study.set_user_attr("problem_description", "Fine-tuning of a small language model, minimise the loss.")
        >>> study.optimize(objective, n_trials=50)

    Args:
        model: Any LiteLLM model string. Give exactly one of `model`, `elicitor` and `prior`, or `prior` beside one of
            the others.
        elicitor: Who is asked instead: a recorded answer (`ReplayElicitor`), a given one (`FixedElicitor`), a model
            with options of its own (`LLMElicitor`), yours. It carries its settings (`ElicitationSettings`).
        prior: A given density over `search_space`, or its own space. Alone, nobody is asked. Beside `model` or
            `elicitor`, a `MixturePrior` that has half the weight of the start-up and then a term of the score of its
            own, with its own clock and trust; it stays where nobody answers.
        search_space: Distribution of every parameter, conditional ones included. With it even trial 0 comes from the
            prior. Without it, the space is what the trials ask for: a parameter is modelled together with the others
            as soon as all trials, or two of them, have asked for it (`InferredSpace`).
        decay: Number of this study's finished trials -> exponent with which the density is multiplied into the
            acquisition function; `None`: it is not, and shapes the start-up only. The default bounds what all answers
            together can cost: from trial 20 on at most e times the loss bound of the same search without a prior.
        trust: A gate that reweighs the prior by the evidence at every suggestion; `None`: the prior stays as it is.
            piBO as published is `decay=PowerDecay(10.0), trust=None, uniform_startup_fraction=0`.
        n_startup_trials: Finished trials before the surrogate takes over. They are drawn from the prior, its mode
            first. `None`: 5 with a prior, 10 while there is none.
        uniform_startup_fraction: Share of the start-up trials, in [0, 1], that is spent on uniform points outside the
            prior, so that there is something to compare it with. The first of them is the third trial; if it is better
            than all points from the prior, the rest of the start-up is uniform too.
        feasibility: Learn from failed trials where trials fail, and multiply the probability that a trial finishes
            into the acquisition function (`fit_feasibility`). It does nothing until a trial has failed.
        refresh: When to ask again; `None`: never. A later question shows what the study has learned, and its answer is
            weighed on later trials only. The default (`RefreshPolicy`) asks after 10 finished trials, then after 20
            more and 40 more, sooner for a reason, at most four times in all. It does nothing where nobody can be asked
            again: beside `prior=`, a `FixedElicitor`, a recording of one question.
        pruned: "avoid": pruned trials are places not to go again. "last_value": the surrogate learns from their last
            intermediate values too, as no better than the median of the finished trials.
        independent_sampler: For parameters outside the common space that the prior has no opinion on; random if `None`.
        warn_independent_sampling: Whether an `IndependentSamplingWarning` says, once a parameter, why it is sampled on
            its own.
        seed: Seed of all randomness; the same seed and the same answer give the same trials.
        **llm_options: With `model` only, what `LLMOptions` lists: `n_answers`, `max_context_trials`, `timeout`,
            `max_retries`, `budget_usd`, `blinded`, `api_base`, `api_key` and so on.

    Attributes:
        trial_attributes: Set it to `True`, and every trial says in user attributes what the prior had to do with it,
            for Optuna Dashboard, `study.trials_dataframe()` and MLflow: `llm_prior_phase` ("startup", "model" or
            "independent"), `llm_prior_source` ("mode", "region", "draw", "uniform", "enqueued"), `llm_prior_region`,
            `llm_prior_trust`, `llm_prior_exponent`, `llm_prior_log_prior` and `llm_prior_loss_bound`, as far as they
            are known (`Suggestion`). They are set when the objective asks for the first parameter that was not
            enqueued, with up to six writes to the storage a trial. `get_statistics` tells the same without them.

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
        decay: DecaySchedule | None = DEFAULT_DECAY,
        trust: TrustGate | None = DEFAULT_TRUST,
        n_startup_trials: int | None = None,
        uniform_startup_fraction: float = 0.2,
        feasibility: bool = True,
        refresh: RefreshPolicy | None = DEFAULT_REFRESH,
        pruned: PrunedTrials = "avoid",
        independent_sampler: BaseSampler | None = None,
        warn_independent_sampling: bool = True,
        seed: int | None = None,
        **llm_options: Unpack[LLMOptions],
    ) -> None:
        arguments = inspect.signature(LLMPriorSampler).parameters
        check_sources(model=model, elicitor=elicitor, prior=prior, options=llm_options, arguments=arguments)
        check_kinds(
            trust=(trust, TrustGate),
            refresh=(refresh, RefreshPolicy),
            independent_sampler=(independent_sampler, BaseSampler),
        )
        check_counts(n_startup_trials=n_startup_trials)
        check_choices(pruned=(pruned, get_args(PrunedTrials)))
        check_shares(uniform_startup_fraction=uniform_startup_fraction)
        self._search_space = resolve_space(search_space, prior)
        self._trial_seed = design_seed = entropy_of(seed)
        self._engine = Engine(
            trust=trust,
            decay=None if decay is None else check_decay(decay),
            startup=StartupDesign(n_startup_trials, uniform_startup_fraction, design_seed),
            feasibility=bool(feasibility),
            pruned=pruned,
        )
        self._source = prior_source(
            model, elicitor, prior, space=self._search_space, refresh=refresh, options=llm_options
        )
        self._independent_sampler = independent_sampler or PerTrialRandomSampler(seed)
        self._independent_warnings = IndependentWarnings(warn_independent_sampling)
        self.trial_attributes = False
        self._asked = AskedParameters()
        self._chosen: PerStudy[dict[int, Suggestion]] = PerStudy(dict)

    # Optuna's interface ------------------------------------------------------------------------------------------

    def reseed_rng(self) -> None:
        """Draw a new seed: copies of a sampler in other threads or processes must not make the same suggestions."""
        self._trial_seed = entropy_of(None)
        self._independent_sampler.reseed_rng()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Ask for an answer if one is due, then mark the trial as this study's own."""
        try:
            self._source.arrive(study, trial)
            space = known_space(study, self._search_space)
            self._source.prepare(study, trial, space, learn=partial(self._learn, study, trial))
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
        """The given search space, else what enough trials have asked for; single-valued parameters are left out."""
        given = given_of(self._source)
        if given is not None:
            return dict(given.space.distributions)  # all: the density is over these very columns
        if self._search_space is None:
            return InferredSpace.of_study(study).modelled
        return {name: d for name, d in self._search_space.distributions.items() if not d.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Suggest all parameters of the common space together."""
        if not search_space:
            self._tell(study, trial, None)
            return {}
        space = SearchSpace(search_space)
        with suggestion_lock(study, trial), isolated_torch():
            elicited = self._source.elicited_priors(study, space)
            seed_for = partial(self._seed, trial)
            suggestion = self._engine.suggest(study, trial, space, elicited, seed_for=seed_for)
            publish_suggestion(study, trial, suggestion)
        self._tell(study, trial, suggestion)
        self._chosen(study)[trial.number] = suggestion
        return SuggestedParams(suggestion.params)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The suggested value of one parameter; outside the common space one from the prior's own marginal, if any."""
        self._asked.check(study, param_name, param_distribution, stated=self._stated.get(param_name))
        suggested = suggested_value(self._suggestion(study, trial), param_name, param_distribution)
        if suggested is not NOT_SUGGESTED:
            return suggested
        space = SearchSpace({param_name: param_distribution})
        with isolated_torch():
            relative = partial(self.infer_relative_search_space, study, trial)
            prior = conditional_prior(self._source, study, trial, space, relative=relative)
            draw = prior.sample(1, generator=_generator(self._seed(trial, param_name)))[0]
        self._warn_independent(study, trial, space, prior)
        if not prior.is_uniform:
            return space.decode(draw)[param_name]
        return self._independent_sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Mark a failed trial as one whose worker is alive, and pass on to the independent sampler."""
        self._chosen(study).pop(trial.number, None)
        if state == TrialState.FAIL:
            mark_failed(study, trial)
        elif state == TrialState.COMPLETE:
            self._asked.report_unused(study, self._stated)
        self._independent_sampler.after_trial(study, trial, state, values)

    def check(self, study: Study) -> CheckResult:
        """What is missing before `study` asks (a key, a description, ...) and what asking may take; asks nobody."""
        return check_readiness(study, self._source, self._search_space)

    def get_statistics(self, study: Study) -> StudyStatistics:
        """Answers, costs, repairs, failures, and what the prior did in every trial. See `StudyStatistics`."""
        return study_statistics(study)

    def __str__(self) -> str:
        return f"{type(self).__name__}({self._source_name})"

    def _display(self) -> TextTable:
        space, engine = self._search_space, self._engine
        settings = {
            "prior": self._source_name,
            "search space": "found from the trials" if space is None else ", ".join(space.names),
            "decay": "not multiplied" if engine.decay is None else engine.decay,
            "trust": "off" if engine.trust is None else engine.trust,
            "start-up trials": "5 with a prior, 10 without"
            if engine.startup.n_trials is None
            else engine.startup.n_trials,
            "pruned trials": engine.pruned,
        }
        return TextTable.of(type(self).__name__, ("setting", "value"), settings.items())

    @property
    def _source_name(self) -> str:
        """Who is asked, and the class of the given density; escaped."""
        elicitor, given = elicitor_of(self._source), given_of(self._source)
        names = [name_of(elicitor)] if elicitor is not None else []
        return " and ".join([*names, *([] if given is None else [type(given.prior).__name__])]) or "prior"

    @property
    def _stated(self) -> Mapping[str, BaseDistribution]:
        """What the user has stated of the search space."""
        return {} if self._search_space is None else self._search_space.distributions

    # Parts of the steps ------------------------------------------------------------------------------------------

    def _learn(
        self,
        study: Study,
        trial: FrozenTrial,
        reason: RefreshReason,
        elicited: Sequence[ElicitedPrior],
        answers: Sequence[Sequence[Elicitation]],
    ) -> StudyInsights | None:
        """What a later question tells of the study so far; `None` while there is nothing to fit."""
        space = known_space(study, self._search_space)
        if space is None:
            return None
        with isolated_torch():
            return insights_of(
                study,
                space,
                elicited,
                answers,
                trial=trial,
                use_pruned=self._engine.pruned,
                gate=self._engine.trust,
                reason=reason,
                seed=self._seed(trial, "insights"),
            )

    def _tell(self, study: Study, trial: FrozenTrial, suggestion: Suggestion | None) -> None:
        """Say in user attributes what the prior had to do with a trial, where the user wants them."""
        if self.trial_attributes:
            write_trial_attributes(study, trial, suggestion)

    def _suggestion(self, study: Study, trial: FrozenTrial) -> Suggestion | None:
        """What was suggested for a trial; read from the storage only if this process has not chosen it."""
        return self._chosen(study).get(trial.number) or read_suggestion(trial)

    def _warn_independent(self, study: Study, trial: FrozenTrial, space: SearchSpace, prior: OptimumPrior) -> None:
        """Say why a parameter is sampled on its own, and how: once in this process."""
        ((name, distribution),) = space.distributions.items()
        if self._asked.is_reported(study, name) or self._independent_warnings.is_silent(study.study_name, name):
            return  # before all trials are read for a reason
        suggestion = self._suggestion(study, trial)
        why = why_independent(
            name,
            distribution,
            stated=None if self._search_space is None else self._search_space.distributions,
            # Not what has ended since: for a trial that started before anything was known there was no other way.
            found=InferredSpace.of_study(study, ended_by=trial.datetime_start),
            suggested={} if suggestion is None else suggestion.params,
        )
        random = f"by {type(self._independent_sampler).__name__}"
        how = random if prior.is_uniform else "from the prior's density of it alone"
        self._independent_warnings.warn(study.study_name, name, how=how, why=why)

    def _seed(self, trial: FrozenTrial, purpose: str) -> int:
        """A seed for one purpose in one trial: it does not depend on what other trials or workers drew."""
        sequence = np.random.SeedSequence([self._trial_seed, trial.number, zlib.crc32(purpose.encode())])
        return int(sequence.generate_state(1)[0])


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
