"""Asking again in mid-study: when, by whom, with what in sight, and what becomes of the answer."""

from __future__ import annotations

import itertools
import json
import math
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from llm_prior_bo import (
    BoundedLossDecay,
    Elicitation,
    LLMElicitor,
    LLMPriorSampler,
    PowerDecay,
    PriorAnswer,
    RecordingElicitor,
    RefreshPolicy,
    ReplayElicitor,
    SearchSpace,
    StudyContext,
    build_prior,
)
from llm_prior_bo.elicitation import FunctionClient
from llm_prior_bo.errors import ConfigurationError, ElicitationError, ElicitationWarning
from llm_prior_bo.optimization.prior_source import ElicitedPriorSource
from llm_prior_bo.study import election
from llm_prior_bo.study.answer_records import load_elicitations, load_failures
from llm_prior_bo.study.diagnostics import study_statistics
from llm_prior_bo.study.trial_records import ASKING_KEY, Suggestion, mark_asking, mark_started, read_suggestion
from tests.conftest import Open
from tests.trials import start

SPACE = SearchSpace({"x": FloatDistribution(0, 1), "c": CategoricalDistribution(["a", "b"])})
WRONG = PriorAnswer.by_hand(numeric={"x": (0.9, 0.85, 0.95)})
RIGHT = PriorAnswer.by_hand(numeric={"x": (0.3, 0.25, 0.35)}, categorical={"c": {"a": 0.9}})
EVERY_6 = RefreshPolicy(every=6, growth=1, lost_trust=None, stagnation=None)


@dataclass
class Changing:
    """Gives one answer after the other, the last one for ever; raises those that are exceptions."""

    answers: list[PriorAnswer | Exception] = field(default_factory=lambda: [WRONG, RIGHT])
    takes_s: float = 0.0
    may_answer: threading.Event | None = None
    asked: list[StudyContext] = field(default_factory=list)

    def elicit(self, context: StudyContext) -> Elicitation:
        self.asked.append(context)
        time.sleep(self.takes_s)
        if self.may_answer is not None:
            self.may_answer.wait(600.0)
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return Elicitation(
            answer,
            trial_number=context.trial_number,
            answer_index=context.answer_index,
            trials_shown=context.trial_numbers,
        )


def sampler_of(elicitor: Any, **options: Any) -> LLMPriorSampler:
    defaults = {"search_space": SPACE, "n_startup_trials": 4, "seed": 0, "refresh": EVERY_6}
    return LLMPriorSampler(elicitor=elicitor, **{**defaults, **options})


def objective(trial: optuna.Trial) -> float:
    x, c = trial.suggest_float("x", 0, 1), trial.suggest_categorical("c", ["a", "b"])
    return (x - 0.3) ** 2 + 0.2 * (c == "b")


def slow_objective(trial: optuna.Trial) -> float:
    time.sleep(0.02)
    return objective(trial)


def run(elicitor: Any, n_trials: int, **options: Any) -> optuna.Study:
    study = optuna.create_study(sampler=sampler_of(elicitor, **options))
    study.optimize(objective, n_trials=n_trials)
    return study


def suggestions(study: optuna.Study) -> dict[int, Suggestion]:
    return study_statistics(study).suggestions


class TestWhen:
    def test_after_so_many_trials_and_never_more_often_than_allowed(self) -> None:
        elicitor = Changing()
        study = run(
            elicitor, 22, refresh=RefreshPolicy(every=6, growth=1, stagnation=None, lost_trust=None, max_elicitations=3)
        )
        assert [context.trial_number for context in elicitor.asked] == [0, 6, 12]
        assert [e.reason for e in load_elicitations(study)] == ["", "every", "every"]
        assert [e.n_finished for e in load_elicitations(study)] == [0, 6, 12]

    def test_not_at_all_by_default(self) -> None:
        elicitor = Changing()
        run(elicitor, 12, refresh=None)
        assert len(elicitor.asked) == 1

    def test_when_trust_is_lost(self) -> None:
        elicitor = Changing()
        study = run(elicitor, 16, refresh=RefreshPolicy(lost_trust=0.2, stagnation=None, max_elicitations=2))
        assert [e.reason for e in load_elicitations(study)] == ["", "lost trust"]
        assert elicitor.asked[1].trial_number >= 4 + 3  # three suggestions after the start-up

    def test_when_nothing_gets_better(self) -> None:
        elicitor = Changing()
        study = optuna.create_study(
            sampler=sampler_of(elicitor, refresh=RefreshPolicy(lost_trust=None, stagnation=5, max_elicitations=2))
        )
        study.optimize(lambda t: objective(t) if t.number == 0 else 5.0 + objective(t), n_trials=8)
        assert [(e.trial_number, e.reason) for e in load_elicitations(study)] == [(0, ""), (6, "stagnation")]

    def test_when_there_are_new_parameters(self) -> None:
        elicitor = Changing([RIGHT])
        policy = RefreshPolicy(lost_trust=None, stagnation=None, min_new_trials=3)
        study = optuna.create_study(
            sampler=sampler_of(elicitor, search_space=None, refresh=policy, warn_independent_sampling=False)
        )
        study.optimize(lambda t: objective(t) + (t.suggest_float("late", 0, 1) if t.number >= 2 else 0.0), n_trials=9)
        assert [e.reason for e in load_elicitations(study)] == ["", "search space changed"]
        assert [set(context.distributions) for context in elicitor.asked] == [{"x", "c"}, {"x", "c", "late"}]

    def test_a_resumed_study_keeps_count(self, tmp_path: Path) -> None:
        url, asked = f"sqlite:///{tmp_path}/study.db", []
        for _ in range(4):
            elicitor = Changing()
            study = optuna.create_study(
                storage=url, study_name="s", load_if_exists=True, sampler=sampler_of(elicitor, n_startup_trials=50)
            )
            study.optimize(objective, n_trials=4)
            asked += [context.trial_number for context in elicitor.asked]
        assert asked == [0, 6, 12]

    def test_it_needs_somebody_to_ask(self) -> None:
        with pytest.raises(ConfigurationError, match="refresh"):
            LLMPriorSampler(prior=build_prior(RIGHT, SPACE), refresh=EVERY_6)


class TestWhatItIsTold:
    def test_what_the_study_has_learned(self) -> None:
        elicitor = Changing()
        run(elicitor, 13)
        first, second, third = elicitor.asked[:3]
        assert first.insights is None
        assert second.insights is not None
        assert third.insights is not None
        assert second.insights.reason == "every"
        assert second.trial_numbers == tuple(range(6))
        assert set(second.insights.importance) == {"x", "c"}
        (region,) = second.insights.regions
        assert region.asked_at_trial == 0
        assert [r.asked_at_trial for r in third.insights.regions] == [0, 6]
        json.loads(third.to_json())

    def test_of_two_trials_or_fewer_there_is_nothing_to_tell(self) -> None:
        elicitor = Changing()
        run(elicitor, 3, refresh=RefreshPolicy(every=1, growth=1, min_new_trials=1, max_elicitations=9))
        assert [context.insights is None for context in elicitor.asked] == [True, True, False]

    def test_a_live_run_is_recorded_and_repeated(self, tmp_path: Path) -> None:
        texts = iter([json.dumps(WRONG.model_dump()), json.dumps(RIGHT.model_dump())] * 2)
        model = LLMElicitor(client=FunctionClient(lambda _: next(texts)))
        path = tmp_path / "recording.json"
        policy = RefreshPolicy(every=6, growth=1, lost_trust=None, stagnation=None, max_elicitations=2)
        live = run(RecordingElicitor(model, path), 10, refresh=policy)
        replayed = run(ReplayElicitor(path, strict=True), 10, refresh=policy)
        assert [t.params for t in live.trials] == [t.params for t in replayed.trials]
        assert len(load_elicitations(replayed)) == 2


class TestWhatBecomesOfIt:
    def test_it_is_a_term_of_the_score_from_the_next_trial_on(self) -> None:
        study = run(Changing(), 9)
        assert [[part.asked_at for part in suggestions(study)[i].answers] for i in (5, 6, 8)] == [[0], [0, 6], [0, 6]]
        assert [part.age for part in suggestions(study)[8].answers] == [8, 2]

    def test_it_takes_the_place_of_one_that_was_found_out(self) -> None:
        study = run(Changing(), 11)
        wrong, right = suggestions(study)[10].answers
        assert (wrong.trust or 0.0) < 0.05 < 0.3 < (right.trust or 0.0)

    def test_the_trials_that_it_was_told_of_are_no_evidence_for_it(self) -> None:
        study = run(Changing(), 8)
        assert suggestions(study)[6].answers[1].bayes_factors == pytest.approx((1.0,))
        assert suggestions(study)[7].answers[1].bayes_factors != pytest.approx((1.0,))  # trial 6 is evidence
        (first, second) = load_elicitations(study)
        assert first.trials_shown == ()
        assert second.trials_shown == tuple(range(6))

    def test_every_answer_has_its_own_clock(self) -> None:
        study = run(Changing(), 9, decay=PowerDecay(6.0), n_startup_trials=2)
        (alone,) = suggestions(study)[5].answers
        assert alone.exponent == pytest.approx(6.0 / 5)
        for number, ages in ((7, (7, 1)), (8, (8, 2))):
            first, second = suggestions(study)[number].answers
            assert (first.age, second.age) == ages
            assert first.exponent == pytest.approx(6.0 / ages[0])
            # As far as the first one, which is wrong, has lost its trust.
            assert second.exponent == pytest.approx(6.0 / ages[1] * (1.0 - (first.trust or 0.0)))

    def test_the_loss_bound_is_that_of_all_answers_together(self) -> None:
        study = run(Changing(), 16, decay=BoundedLossDecay(max_loss=2.0, from_trial=10))
        for suggestion in [suggestions(study)[i] for i in range(4, 16)]:
            assert suggestion.loss_bound is not None
            assert suggestion.loss_bound == pytest.approx(math.prod(part.loss_bound for part in suggestion.answers))
            assert suggestion.loss_bound <= 2.0 ** (10 / suggestion.n) * (1 + 1e-9)

    def test_without_a_gate_they_stay_as_they_are(self) -> None:
        study = run(Changing(), 9, trust=None)
        assert suggestions(study)[8].trust is None
        assert len(suggestions(study)[8].answers) == len(load_elicitations(study)) == 2

    def test_a_failure_leaves_what_was_there(self) -> None:
        elicitor = Changing([RIGHT, ElicitationError("the server is down")])
        with pytest.warns(ElicitationWarning, match="the server is down.*goes on with the answers it has"):
            study = run(elicitor, 15)
        assert len(load_elicitations(study)) == 1
        # It is asked again after new trials only, and not more often than allowed.
        assert [context.trial_number for context in elicitor.asked] == [0, 6, 12]
        assert [(f.trial_number, f.n_finished) for f in load_failures(study)] == [(6, 6), (12, 12)]
        assert (suggestions(study)[14].trust or 0.0) > 0.0

    def test_an_answer_that_does_not_fit_does_not_stop_a_study_in_its_middle(self) -> None:
        with pytest.warns(ElicitationWarning, match="goes on with the answers it has"):
            study = run(Changing([RIGHT, ConfigurationError("no such file")]), 8)
        assert len(study.trials) == 8

    def test_after_a_first_question_in_vain(self) -> None:
        elicitor = Changing([ElicitationError("the server is down"), RIGHT])
        with pytest.warns(ElicitationWarning, match="plain Bayesian optimisation"):
            study = run(elicitor, 9)
        assert [part.asked_at for part in suggestions(study)[8].answers] == [6]


class TestByWhom:
    def study(self, storage: BaseStorage | None = None) -> optuna.Study:
        """Six trials are finished, so a question is due."""
        study = optuna.create_study(storage=storage, study_name="s", sampler=sampler_of(Changing([WRONG])))
        study.optimize(objective, n_trials=6)
        return study

    def test_the_first_that_starts_and_nobody_waits(self, open_storage: Open) -> None:
        study = self.study(open_storage())
        trials = [start(study) for _ in range(4)]
        answered = threading.Event()
        slow = Changing([RIGHT], may_answer=answered)
        source = ElicitedPriorSource.of(slow, refresh=EVERY_6)
        thread = threading.Thread(target=source.prepare, args=(study, trials[0], SPACE))
        thread.start()
        while not slow.asked:
            time.sleep(0.005)
        others = Changing([RIGHT])
        for trial in trials[1:]:
            worker = optuna.load_study(storage=open_storage(), study_name="s")
            ElicitedPriorSource.of(others, refresh=EVERY_6).prepare(worker, trial, SPACE)
            mark_started(worker, trial)
        assert thread.is_alive()
        answered.set()
        thread.join()
        assert (len(slow.asked), len(others.asked)) == (1, 0)
        assert len(load_elicitations(study)) == 2

    def test_not_while_the_worker_of_a_later_trial_asks(self) -> None:
        """A trial that was enqueued starts late and has a low number."""
        study = self.study()
        early, late = start(study), start(study)
        study._storage.set_trial_system_attr(late._trial_id, ASKING_KEY, True)
        elicitor = Changing([RIGHT])
        ElicitedPriorSource.of(elicitor, refresh=EVERY_6).prepare(study, early, SPACE)
        assert elicitor.asked == []
        study._storage.set_trial_state_values(late._trial_id, state=TrialState.FAIL)  # it died
        ElicitedPriorSource.of(elicitor, refresh=EVERY_6).prepare(study, early, SPACE)
        assert len(elicitor.asked) == 1

    def test_a_dead_worker_is_replaced_after_a_while(self) -> None:
        study = self.study()
        mark_asking(study, start(study))  # and never does anything else
        elicitor = Changing([RIGHT])
        trial = start(study)
        ElicitedPriorSource.of(elicitor, refresh=EVERY_6, patience=60.0).prepare(study, trial, SPACE)
        assert elicitor.asked == []
        mark_started(study, trial)
        ElicitedPriorSource.of(elicitor, refresh=EVERY_6, patience=0.0).prepare(study, start(study), SPACE)
        assert len(elicitor.asked) == 1

    def test_the_others_see_the_answer(self, open_storage: Open) -> None:
        study = self.study(open_storage())
        watching = ElicitedPriorSource.of(Changing([RIGHT]), refresh=EVERY_6)
        assert len(watching.elicited_priors(study, SPACE)) == 1
        trial = start(study)
        ElicitedPriorSource.of(Changing([RIGHT]), refresh=EVERY_6).prepare(study, trial, SPACE)
        mark_started(study, trial)
        watching.prepare(study, start(study), SPACE)
        assert len(watching.elicited_priors(study, SPACE)) == 2

    def test_threads_ask_once_per_reason(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(election, "POLL_SECONDS", 0.005)  # who waits for the first answer is not far ahead
        elicitor = Changing(takes_s=0.02)
        study = optuna.create_study(sampler=sampler_of(elicitor, n_startup_trials=100))
        study.optimize(slow_objective, n_trials=32, n_jobs=4)
        questions = load_elicitations(study)
        assert len(elicitor.asked) == len(questions) >= 2
        gaps = [later.n_finished - earlier.n_finished for earlier, later in itertools.pairwise(questions)]
        assert min(gaps) >= 6
        assert all(read_suggestion(trial) is not None for trial in study.trials)
