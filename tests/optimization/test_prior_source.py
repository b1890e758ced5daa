"""Asked once, stored, shared: by resumed studies, threads and processes, whatever fails on the way."""

from __future__ import annotations

import copy
import gc
import itertools
import json
import pickle
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import HyperbandPruner
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from llm_prior_bo import (
    Elicitation,
    FixedElicitor,
    LLMElicitor,
    LLMPriorSampler,
    MixturePrior,
    OptimumPrior,
    PriorAnswer,
    RecordingElicitor,
    ReplayElicitor,
    SearchSpace,
    StudyContext,
    UniformPrior,
    build_prior,
)
from llm_prior_bo.elicitation import CompletionError, ElicitationSettings, FunctionClient, UnansweredError
from llm_prior_bo.elicitation.llm.spending import SpendingLimit, Usage
from llm_prior_bo.errors import AnswerError, ElicitationWarning, RepairedAnswerWarning
from llm_prior_bo.optimization.prior_source import MIN_PATIENCE, ElicitedPriorSource, GivenPrior, known_space
from llm_prior_bo.study import election
from llm_prior_bo.study.answer_records import load_elicitations, load_failures, save_elicitation, save_failure
from llm_prior_bo.study.trial_records import mark_arrived, mark_started, read_suggestion
from tests.conftest import Open
from tests.scripts import ROOT, run_python
from tests.trials import start

SPACE = SearchSpace({"x": FloatDistribution(0, 1), "c": CategoricalDistribution(["a", "b"])})
ANSWER = PriorAnswer.by_hand(numeric={"x": (0.25, 0.2, 0.3)}, categorical={"c": {"b": 0.9, "a": 0.1}})


@dataclass
class Counting:
    """Answers, or raises, and remembers the questions."""

    answer: PriorAnswer | Exception = ANSWER
    cost_usd: float | None = None
    takes_s: float = 0.0
    asked: list[StudyContext] = field(default_factory=list)
    settings: ElicitationSettings = field(default_factory=ElicitationSettings)

    def elicit(self, context: StudyContext) -> Elicitation:
        self.asked.append(context)
        time.sleep(self.takes_s)
        if isinstance(self.answer, Exception):
            raise self.answer
        answer = self.answer.model_copy(update={"notes": f"answer {context.answer_index}"})
        return Elicitation(
            answer, trial_number=context.trial_number, answer_index=context.answer_index, cost_usd=self.cost_usd
        )


@dataclass
class Budgeted(Counting):
    """Keeps a limit, and remembers what it was told that the study had used up."""

    limit: SpendingLimit | None = None
    told: list[Usage] = field(default_factory=list)

    def elicit(self, context: StudyContext, *, spent: Usage | None = None) -> Elicitation:
        self.told.append(spent or Usage())
        return super().elicit(context)


def several(n_answers: int) -> ElicitationSettings:
    return ElicitationSettings(n_answers=n_answers)


@pytest.fixture(autouse=True)
def fast_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(election, "POLL_SECONDS", 0.005)


def study_in(storage: BaseStorage | None = None, **options: Any) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name="s", load_if_exists=True, **options)


def asking(study: optuna.Study) -> FrozenTrial:
    """A trial whose worker uses this sampler, and may be the one that asks."""
    trial = start(study)
    mark_arrived(study, trial)
    return trial


def source_of(elicitor: Any, **options: Any) -> ElicitedPriorSource:
    return ElicitedPriorSource.of(elicitor, **options)


def beginning_to_wait(source: ElicitedPriorSource) -> threading.Event:
    """Set when a worker has looked at what was there before, and looks for what is new for the second time."""
    begun, wait = threading.Event(), source.election.wait

    def told(study: optuna.Study, trial: FrozenTrial, is_settled: Callable[[], bool]) -> Any:
        looks = itertools.count()

        def look() -> bool:
            if next(looks):
                begun.set()
            return is_settled()

        return wait(study, trial, look)

    source.election.wait = told  # type: ignore[method-assign]
    return begun


def sampler_of(elicitor: Any, **options: Any) -> LLMPriorSampler:
    return LLMPriorSampler(elicitor=elicitor, **{"search_space": SPACE, "n_startup_trials": 100, "seed": 0, **options})


def objective(trial: optuna.Trial) -> float:
    return trial.suggest_float("x", 0, 1) + (trial.suggest_categorical("c", ["a", "b"]) == "a")


def in_a_thread(action: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    return thread


class TestOnce:
    def test_a_study_asks_before_its_first_trial_and_never_again(self) -> None:
        elicitor = Counting()
        study = optuna.create_study(sampler=sampler_of(elicitor))
        study.set_user_attr("problem_description", "a test")
        study.optimize(objective, n_trials=5)
        (context,) = elicitor.asked
        assert (context.trial_number, context.space, context.problem_description) == (0, SPACE, "a test")
        assert study.trials[0].params == {"x": pytest.approx(0.25), "c": "b"}

    def test_without_a_space_it_asks_once_a_trial_has_finished(self) -> None:
        elicitor = Counting()
        study = optuna.create_study(sampler=sampler_of(elicitor, search_space=None))
        study.optimize(objective, n_trials=3)
        (context,) = elicitor.asked
        assert (context.trial_number, context.space) == (1, SPACE)
        assert study.trials[1].params == {"x": pytest.approx(0.25), "c": "b"}

    def test_a_resumed_study_does_not_ask(self, open_storage: Open) -> None:
        first, second = Counting(), Counting()
        study_in(open_storage(), sampler=sampler_of(first)).optimize(objective, n_trials=2)
        resumed = study_in(open_storage(), sampler=sampler_of(second))
        resumed.optimize(objective, n_trials=2)
        assert (len(first.asked), len(second.asked)) == (1, 0)
        suggestion = read_suggestion(resumed.trials[3])
        assert suggestion is not None
        assert suggestion.log_prior != 0.0

    def test_a_second_process_does_not_ask(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/study.db"
        study = optuna.create_study(storage=url, study_name="s", sampler=sampler_of(Counting()))
        study.optimize(objective, n_trials=1)
        script = """
            import sys, optuna
            from llm_prior_bo import LLMPriorSampler, SearchSpace
            from optuna.distributions import CategoricalDistribution, FloatDistribution

            class Refusing:
                def elicit(self, context):
                    raise AssertionError("asked again")

            space = SearchSpace({"x": FloatDistribution(0, 1), "c": CategoricalDistribution(["a", "b"])})
            sampler = LLMPriorSampler(elicitor=Refusing(), search_space=space, n_startup_trials=100, seed=0)
            study = optuna.load_study(storage=sys.argv[1], study_name="s", sampler=sampler)
            study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=2)
            print(len(sampler.get_statistics(study).elicitations), len(sampler.get_statistics(study).failures))
        """
        assert run_python(script, url).split() == ["1", "0"]
        suggestion = read_suggestion(study.trials[2])
        assert suggestion is not None
        assert suggestion.log_prior != 0.0

    def test_threads_ask_once(self) -> None:
        elicitor = Counting(takes_s=0.1)
        study = optuna.create_study(sampler=sampler_of(elicitor))
        study.optimize(objective, n_trials=8, n_jobs=4)
        assert len(elicitor.asked) == 1
        # All waited: none was left without the prior.
        suggestions = [read_suggestion(trial) for trial in study.trials]
        assert all(suggestion is not None and suggestion.log_prior != 0.0 for suggestion in suggestions)

    @pytest.mark.slow
    def test_processes_that_start_at_once_ask_once(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/study.db"
        optuna.create_study(storage=url, study_name="s")
        script = """
            import pathlib, sys, time, optuna
            from llm_prior_bo import Elicitation, LLMPriorSampler, PriorAnswer, SearchSpace
            from optuna.distributions import FloatDistribution

            url, folder, name = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]

            class Slow:
                def elicit(self, context):
                    (folder / f"asked-{name}-{time.time_ns()}").touch()
                    time.sleep(0.5)
                    return Elicitation(PriorAnswer.by_hand(numeric={"x": (0.25, 0.2, 0.3)}),
                                       trial_number=context.trial_number)

            space = SearchSpace({"x": FloatDistribution(0, 1)})
            sampler = LLMPriorSampler(elicitor=Slow(), search_space=space, n_startup_trials=100)
            study = optuna.load_study(storage=url, study_name="s", sampler=sampler)
            (folder / f"ready-{name}").touch()
            while len(list(folder.glob("ready-*"))) < 3:
                time.sleep(0.01)
            study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=2)
        """
        workers = [
            subprocess.Popen([sys.executable, "-c", textwrap.dedent(script), url, str(tmp_path), str(i)], cwd=ROOT)
            for i in range(3)
        ]
        assert [worker.wait(timeout=120) for worker in workers] == [0, 0, 0]
        assert len(list(tmp_path.glob("asked-*"))) == 1
        study = optuna.load_study(storage=url, study_name="s")
        suggestions = [read_suggestion(trial) for trial in study.trials]
        assert [s is not None and s.log_prior != 0.0 for s in suggestions] == [True] * 6

    def test_another_study_is_asked_about_even_if_it_takes_the_place_of_the_first(self) -> None:
        elicitor = Counting()
        sampler = sampler_of(elicitor)
        for n in range(1, 6):
            optuna.create_study(sampler=sampler).optimize(objective, n_trials=1)
            gc.collect()  # the next storage may get the address of this one
            assert len(elicitor.asked) == n

    def test_two_studies_in_one_storage(self) -> None:
        storage, elicitor = InMemoryStorage(), Counting()
        sampler = sampler_of(elicitor)
        for name in "st":
            optuna.create_study(storage=storage, study_name=name, sampler=sampler).optimize(objective, n_trials=1)
        assert len(elicitor.asked) == 2

    @pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda source: pickle.loads(pickle.dumps(source))])
    def test_a_copy_reads_the_study(self, duplicate: Callable[[ElicitedPriorSource], ElicitedPriorSource]) -> None:
        study = study_in()
        source = source_of(FixedElicitor(ANSWER))
        source.prepare(study, start(study), SPACE)
        twin = duplicate(source)
        assert twin.cache is source.cache if duplicate is copy.copy else twin.cache is not source.cache
        assert isinstance(twin.current(study, SPACE), MixturePrior)


class TestKnownSpace:
    def test_the_given_space(self) -> None:
        assert known_space(study_in(), SPACE) is SPACE

    def test_all_parameters_of_finished_trials(self) -> None:
        study = study_in()
        assert known_space(study, None) is None
        distributions: list[dict[str, BaseDistribution]] = [
            {"x": FloatDistribution(0, 1)},
            {"x": FloatDistribution(0, 2), "k": IntDistribution(1, 3)},
        ]
        study.add_trial(create_trial(params={"x": 0.5}, distributions=distributions[0], value=1.0))
        study.add_trial(
            create_trial(params={"x": 0.5, "k": 1}, distributions=distributions[1], state=TrialState.PRUNED)
        )
        assert known_space(study, None) == SearchSpace(distributions[1])

    def test_a_trial_that_may_have_more_parameters_does_not_count(self) -> None:
        study = study_in()
        study.add_trial(
            create_trial(params={"x": 0.5}, distributions={"x": FloatDistribution(0, 1)}, state=TrialState.FAIL)
        )
        study.ask({"x": FloatDistribution(0, 1)})
        assert known_space(study, None) is None


class TestWaiting:
    def test_the_answer_of_another_worker(self, open_storage: Open) -> None:
        study = study_in(open_storage())
        asking(study)  # the other worker's
        trial, own = start(study), Counting()
        source = source_of(own)
        begun = beginning_to_wait(source)
        waiting = in_a_thread(lambda: source.prepare(study, trial, SPACE))
        assert begun.wait(60)
        assert waiting.is_alive()
        save_elicitation(study_in(open_storage()), Elicitation(ANSWER))
        waiting.join(60)
        assert not waiting.is_alive()
        assert own.asked == []
        assert isinstance(source.current(study, SPACE), MixturePrior)

    def test_patience_has_an_end(self) -> None:
        study = study_in()
        asking(study)
        asking(study)
        own = Counting()
        source = source_of(own, patience=0.05)
        asking(study)
        trial = asking(study)
        with pytest.warns(ElicitationWarning, match=r"within 2.1 s, got none; trial 3 goes on without a prior"):
            source.prepare(study, trial, SPACE)
        assert own.asked == []
        assert isinstance(source.current(study, SPACE), UniformPrior)
        save_elicitation(study, Elicitation(ANSWER))
        assert isinstance(source.current(study, SPACE), MixturePrior)  # as soon as it is there

    def test_a_dead_asker_is_replaced(self) -> None:
        study = study_in()
        dead = asking(study)
        trial, elicitor = asking(study), Counting()
        source = source_of(elicitor, patience=0.1)
        source.prepare(study, trial, SPACE)
        assert [context.trial_number for context in elicitor.asked] == [trial.number]
        started = dead.datetime_start
        assert started is not None
        assert datetime.now() - started >= timedelta(seconds=0.1)

    def test_nobody_waits_for_trials_that_do_not_ask(self) -> None:
        study = study_in()
        mark_started(study, start(study))  # has an answer or has done without
        study.enqueue_trial({"x": 0.5})  # not started
        elicitor = Counting()
        source_of(elicitor, patience=600.0).prepare(study, start(study), SPACE)
        assert len(elicitor.asked) == 1

    def test_the_failure_of_another_worker_is_ours(self) -> None:
        study = study_in()
        save_failure(study, 0, "of an earlier session")
        asker, trial = asking(study), asking(study)
        elicitor = Counting()
        source = source_of(elicitor)
        caught: list[Warning | str] = []

        def wait() -> None:
            with pytest.warns(ElicitationWarning) as record:
                source.prepare(study, trial, SPACE)
            caught.extend(warning.message for warning in record)

        begun = beginning_to_wait(source)
        waiting = in_a_thread(wait)
        assert begun.wait(60)
        assert waiting.is_alive()  # the old failure is no news
        save_failure(study, asker.number, "No key.")
        waiting.join(60)
        assert [str(message) for message in caught] == [
            "Another worker asked: No key. The study goes on as plain Bayesian optimisation, without a prior."
        ]
        source.prepare(study, start(study), SPACE)  # and does not ask the same in vain
        assert elicitor.asked == []

    def test_no_worker_waits_for_a_question_that_ended_in_an_error(self) -> None:
        study = optuna.create_study(sampler=sampler_of(FixedElicitor(PriorAnswer.by_hand(numeric={"z": (1, 0, 2)}))))
        with pytest.raises(AnswerError):
            study.optimize(objective, n_trials=1)
        assert study.trials[0].state == TrialState.FAIL
        study.sampler = sampler_of(FixedElicitor(ANSWER))
        began = time.monotonic()
        study.optimize(objective, n_trials=1)
        assert time.monotonic() - began < MIN_PATIENCE  # what waiting would take
        assert study.trials[1].params["x"] == pytest.approx(0.25)

    def test_no_worker_waits_after_an_interrupt(self) -> None:
        class Interrupted:
            def elicit(self, context: StudyContext) -> Elicitation:  # noqa: ARG002
                raise KeyboardInterrupt

        study = optuna.create_study(sampler=sampler_of(Interrupted()))
        with pytest.raises(KeyboardInterrupt):
            study.optimize(objective, n_trials=1)
        assert study.trials[0].state == TrialState.FAIL


class TestFailure:
    def test_one_warning_one_record_and_one_question(self) -> None:
        error = UnansweredError(
            "No answer: the key is wrong.", retryable=False, n_attempts=1, usage=Usage(10, None, 0.25)
        )
        elicitor = Counting(error)
        study = optuna.create_study(sampler=sampler_of(elicitor))
        with pytest.warns(ElicitationWarning) as record:
            study.optimize(objective, n_trials=4)
        assert [str(warning.message) for warning in record] == [
            "No answer: the key is wrong. The study goes on as plain Bayesian optimisation, without a prior."
        ]
        (failure,) = load_failures(study)
        assert (failure.trial_number, failure.reason) == (0, "No answer: the key is wrong.")
        assert failure.usage == Usage(10, None, 0.25)
        assert len(elicitor.asked) == 1
        assert len(study.trials) == 4

    @pytest.mark.parametrize("error", [RuntimeError("boom"), KeyError("x"), MemoryError(), CompletionError("no net")])
    def test_whatever_an_elicitor_raises(self, error: Exception) -> None:
        study = optuna.create_study(sampler=sampler_of(Counting(error)))
        with pytest.warns(ElicitationWarning, match=r"(Counting, got \w+Error\(.*\)|no net)\.? The study goes on"):
            study.optimize(objective, n_trials=2)
        assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 2

    def test_a_strange_error_is_told_without_secrets(self) -> None:
        study = study_in()
        with pytest.warns(ElicitationWarning) as record:
            source_of(Counting(RuntimeError("key sk-abcdef1234567890abcdef"))).prepare(study, start(study), SPACE)
        assert "abcdef1234567890" not in str(record[0].message)

    def test_whatever_an_elicitor_returns(self) -> None:
        class Silent:
            def elicit(self, context: StudyContext) -> Any:  # noqa: ARG002
                return None

        study = optuna.create_study(sampler=sampler_of(Silent()))
        with pytest.warns(ElicitationWarning, match="Silent"):
            study.optimize(objective, n_trials=1)

    def test_a_resumed_study_asks_again_after_a_failure(self, open_storage: Open) -> None:
        with pytest.warns(ElicitationWarning):
            study_in(open_storage(), sampler=sampler_of(Counting(RuntimeError("down")))).optimize(objective, n_trials=1)
        elicitor = Counting()
        study_in(open_storage(), sampler=sampler_of(elicitor)).optimize(objective, n_trials=1)
        assert [context.trial_number for context in elicitor.asked] == [1]

    def test_a_study_with_an_answer_that_fits_other_parameters_runs(self) -> None:
        study = optuna.create_study(sampler=sampler_of(Counting()))
        save_elicitation(study, Elicitation(PriorAnswer.by_hand(numeric={"z": (1, 0, 2)})))
        study.optimize(objective, n_trials=2)
        suggestion = read_suggestion(study.trials[0])
        assert suggestion is not None
        assert suggestion.log_prior == 0.0

    def test_a_stored_answer_that_cannot_be_built_is_told(self) -> None:
        study = study_in()
        wrong = PriorAnswer.by_hand(categorical={"c": {"no such choice": 1.0}})
        save_elicitation(study, Elicitation(wrong))
        source = source_of(Counting())
        with pytest.warns(ElicitationWarning, match=r"fits the search space.*no such choice"):
            assert isinstance(source.current(study, SPACE), UniformPrior)
        assert isinstance(source.current(study, SPACE), UniformPrior)  # told once

    def test_repairs_are_told(self) -> None:
        study = study_in()
        wide = PriorAnswer.by_hand(numeric={"x": (0.5, -1.0, 2.0)})
        with pytest.warns(RepairedAnswerWarning, match=r"The answer was repaired: .*'x'"):
            source_of(FixedElicitor(wide)).prepare(study, start(study), SPACE)


class TestAnswersThatDoNotFit:
    def test_an_answer_by_hand_names_both_sides(self) -> None:
        wrong = FixedElicitor(PriorAnswer.by_hand(numeric={"eta": (0.1, 0.0, 0.3)}))
        with pytest.raises(AnswerError, match=r"Expected .*'x', 'c', got beliefs about 'eta'"):
            optuna.create_study(sampler=sampler_of(wrong)).optimize(objective, n_trials=1)

    def test_a_recording_about_other_parameters(self, tmp_path: Path) -> None:
        path = tmp_path / "r.json"
        other = StudyContext(distributions={"eta": FloatDistribution(0, 1)})
        text = json.dumps(PriorAnswer.by_hand(numeric={"eta": (0.1, 0.0, 0.3)}).model_dump())
        RecordingElicitor(LLMElicitor(client=FunctionClient(lambda _: text)), path).elicit(other)
        with pytest.raises(AnswerError, match=r"r\.json.*Expected .*'x', 'c', got beliefs about 'eta'"):
            optuna.create_study(sampler=sampler_of(ReplayElicitor(path))).optimize(objective, n_trials=1)

    def test_a_recording_about_other_ranges_is_one_warning(self, tmp_path: Path) -> None:
        path = tmp_path / "r.json"
        other = StudyContext(distributions={"x": FloatDistribution(0, 9)})
        text = json.dumps(PriorAnswer.by_hand(numeric={"x": (5, 4, 6)}).model_dump())
        RecordingElicitor(LLMElicitor(client=FunctionClient(lambda _: text)), path).elicit(other)
        study = optuna.create_study(sampler=sampler_of(ReplayElicitor(path)))
        with pytest.warns(ElicitationWarning, match="ranges have changed") as record:
            study.optimize(objective, n_trials=2)
        assert len(record) == 1


class TestSeveralAnswers:
    def test_they_are_pooled(self) -> None:
        study, elicitor = study_in(), Counting(settings=several(3))
        source = source_of(elicitor)
        source.prepare(study, start(study), SPACE)
        assert [context.answer_index for context in elicitor.asked] == [0, 1, 2]
        prior = source.current(study, SPACE)
        assert isinstance(prior, MixturePrior)
        assert len(prior.regions) == 3
        assert prior.uniform_weight == pytest.approx(0.2)
        assert source.current(study, SPACE) is prior  # built once

    def test_a_worker_that_came_between_sees_the_later_ones_too(self) -> None:
        study = study_in()
        source = source_of(Counting(settings=several(2)))
        for index, n_regions in enumerate([1, 2, 2]):
            save_elicitation(study, Elicitation(ANSWER, answer_index=index))
            prior = source.current(study, SPACE)
            assert isinstance(prior, MixturePrior)
            assert len(prior.regions) == n_regions

    def test_those_that_came_before_a_failure_are_used(self) -> None:
        class Tired(Counting):
            def elicit(self, context: StudyContext) -> Elicitation:
                if context.answer_index == 1:
                    raise RuntimeError("tired")
                return super().elicit(context)

        study = study_in()
        source = source_of(Tired(settings=several(2)))
        with pytest.warns(ElicitationWarning, match=r"tired.*The study goes on with the answers it has\.$"):
            source.prepare(study, start(study), SPACE)
        assert isinstance(source.current(study, SPACE), MixturePrior)


class TestBeliefs:
    """One for each question; trials that an answer was written in sight of are no evidence for it."""

    def test_a_prior_by_hand_was_there_before(self) -> None:
        source = GivenPrior(build_prior(ANSWER, SPACE), SPACE)
        study = optuna.create_study(sampler=sampler_of(Counting()))
        study.optimize(objective, n_trials=2)
        (belief,) = source.elicited_priors(study, SPACE)
        assert belief.prior is source.prior
        assert belief.known == frozenset()

    def test_without_an_answer_there_is_one_without_an_opinion(self) -> None:
        (belief,) = source_of(Counting()).elicited_priors(study_in(), SPACE)
        assert belief.prior.is_uniform
        assert belief.known == frozenset()

    def test_answers_to_one_question_are_one_belief(self) -> None:
        study = study_in()
        for index, shown in enumerate([(0, 3), (3, 5), (8,)]):
            save_elicitation(study, Elicitation(ANSWER, answer_index=index, trials_shown=shown))
        for n_answers, known in ((2, {0, 3, 5}), (3, {0, 3, 5, 8})):  # of two, the third is not used
            (belief,) = source_of(Counting(settings=several(n_answers))).elicited_priors(study, SPACE)
            assert belief.known == known
            assert isinstance(belief.prior, MixturePrior)
            assert len(belief.prior.regions) == n_answers

    def test_a_later_question_is_another_belief(self) -> None:
        study = study_in()
        save_elicitation(study, Elicitation(ANSWER))
        save_elicitation(study, Elicitation(ANSWER, trial_number=7, trials_shown=(0, 1, 6), reason="every"))
        first, second = source_of(Counting()).elicited_priors(study, SPACE)
        assert (first.trial_number, second.trial_number) == (0, 7)
        assert second.known == {0, 1, 6}

    def test_a_first_question_asked_twice_by_mishap_counts_once(self) -> None:
        study = study_in()
        for number in (0, 1):
            save_elicitation(study, Elicitation(ANSWER, trial_number=number))
        assert len(source_of(Counting()).elicited_priors(study, SPACE)) == 1

    def test_what_a_model_was_told_in_a_study(self) -> None:
        """Without a space it is asked once a trial has finished, and sees that trial."""
        text = json.dumps(ANSWER.model_dump())
        told = LLMElicitor(client=FunctionClient(lambda _: text))
        for elicitor, expected in ((told, {0}), (FixedElicitor(ANSWER), set())):
            study = optuna.create_study(sampler=sampler_of(elicitor, search_space=None))
            study.optimize(objective, n_trials=3)
            assert isinstance(study.sampler, LLMPriorSampler)
            (belief,) = study.sampler._source.elicited_priors(study, SPACE)
            assert belief.known == expected


class TestMisnamedAttributes:
    def test_are_told_once(self) -> None:
        study = study_in(sampler=sampler_of(Counting()))
        study.set_user_attr("description", "a network")
        with pytest.warns(ElicitationWarning, match=r"'description' is not read; 'problem_description' is") as record:
            study.optimize(objective, n_trials=2)
        assert len(record) == 1


class TestBudget:
    def test_it_ends_the_questions(self) -> None:
        study, elicitor = study_in(), Budgeted(cost_usd=0.5, settings=several(5), limit=SpendingLimit(1.0))
        with pytest.warns(ElicitationWarning, match=r"at most 1.0 USD, spent 1 already.*with the answers it has"):
            source_of(elicitor).prepare(study, start(study), SPACE)
        assert len(elicitor.asked) == 2

    def test_where_neither_cost_nor_tokens_are_known_nothing_counts(self) -> None:
        study, elicitor = study_in(), Budgeted(cost_usd=None, settings=several(3), limit=SpendingLimit(0.01))
        source_of(elicitor).prepare(study, start(study), SPACE)
        assert len(elicitor.asked) == 3

    def test_tokens_of_an_unknown_price_count(self) -> None:
        study = study_in()
        save_failure(study, 0, "no usable answer", usage=Usage(600, 400, None, n_calls=1, unpriced_tokens=1000))
        with pytest.warns(ElicitationWarning, match="1,000 tokens have no known price"):
            source_of(Budgeted(limit=SpendingLimit(0.1))).prepare(study, start(study), SPACE)

    def test_an_elicitor_with_limits_is_told_what_the_study_has_used_up(self) -> None:
        study, elicitor = study_in(), Budgeted(cost_usd=0.5, settings=several(2))
        save_failure(study, 0, "no usable answer", usage=Usage(10, 5, 0.25, n_calls=2))
        source_of(elicitor).prepare(study, start(study), SPACE)
        assert [(usage.cost_usd, usage.n_calls) for usage in elicitor.told] == [(0.25, 2), (0.75, 3)]

    def test_questions_in_vain_cost_too(self) -> None:
        study, elicitor = study_in(), Budgeted(limit=SpendingLimit(1.0))
        save_failure(study, 0, "no usable answer", usage=Usage(1000, 500, 2.0))
        with pytest.warns(ElicitationWarning, match="spent 2 already"):
            source_of(elicitor).prepare(study, start(study), SPACE)
        assert elicitor.asked == []


class Refusing(InMemoryStorage):
    """Takes no attributes of studies."""

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:  # noqa: ARG002
        raise RuntimeError("read-only")


class TestStorage:
    def test_one_that_refuses_writes_costs_the_record_only(self) -> None:
        elicitor = Counting(cost_usd=1.0, settings=several(2))
        study = study_in(Refusing(), sampler=sampler_of(elicitor))
        with pytest.warns(ElicitationWarning, match="storage did not take a record"):
            study.optimize(objective, n_trials=3)
        assert len(elicitor.asked) == 2
        assert study.trials[0].params["x"] == pytest.approx(0.25)
        assert load_elicitations(study) == ()

    @pytest.mark.filterwarnings("ignore:The study's storage did not take a record")
    def test_the_budget_holds_there_too(self) -> None:
        elicitor = Budgeted(cost_usd=1.0, settings=several(3), limit=SpendingLimit(2.0))
        study = study_in(Refusing(), sampler=sampler_of(elicitor))
        with pytest.warns(ElicitationWarning, match="spent 2 already"):
            study.optimize(objective, n_trials=1)
        assert len(elicitor.asked) == 2

    def test_a_pruner_with_brackets(self) -> None:
        def report(trial: optuna.Trial) -> float:
            for step in range(1, 4):
                trial.report(objective(trial), step)
                if trial.should_prune():
                    raise optuna.TrialPruned
            return objective(trial)

        elicitor = Counting()
        pruner = HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3)
        sampler = sampler_of(elicitor, n_startup_trials=2, refresh=None)
        study = optuna.create_study(pruner=pruner, sampler=sampler)
        study.set_user_attr("problem_description", "brackets")
        study.optimize(report, n_trials=12)
        (context,) = elicitor.asked
        assert context.problem_description == "brackets"
        assert TrialState.FAIL not in {trial.state for trial in study.trials}

    def test_workers_in_different_brackets_ask_once(self) -> None:
        """A bracket shows a sampler its own trials only; the question is about all of them."""
        study = study_in(pruner=HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3))
        study.ask().should_prune()  # makes the brackets
        first, trials = start(study), [start(study) for _ in range(6)]
        brackets = [optuna.pruners._filter_study(study, trial) for trial in trials]
        assert any(first.number not in [t.number for t in bracket.trials] for bracket in brackets)
        source = source_of(Counting())
        assert not any(source.election.is_elected(b, trial) for b, trial in zip(brackets, trials, strict=True))


class TestGivenPrior:
    SPACE = SearchSpace(
        {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1), "c": CategoricalDistribution(["a", "b"])}
    )

    @pytest.fixture
    def prior(self) -> MixturePrior:
        answer = PriorAnswer.by_hand(
            numeric={"x": (0.25, 0.2, 0.3), "y": (0.7, 0.5, 0.8)}, categorical={"c": {"b": 0.9, "a": 0.1}}
        )
        return build_prior(answer, self.SPACE)

    def test_over_its_space(self, prior: MixturePrior) -> None:
        assert GivenPrior(prior, self.SPACE).current(study_in(), self.SPACE) is prior

    def test_over_some_of_its_parameters_the_others_are_integrated_out(self, prior: MixturePrior) -> None:
        part = SearchSpace({"c": self.SPACE.distributions["c"], "x": self.SPACE.distributions["x"]})
        marginal = GivenPrior(prior, self.SPACE).current(study_in(), part)
        point = torch.tensor([1.0, 0.3])
        y = torch.linspace(0, 1, 2001, dtype=torch.float64)
        whole = torch.stack([torch.full_like(y, 0.3), y, torch.ones_like(y)], dim=-1)
        integral = torch.trapezoid(prior.log_prob(whole).exp(), y)
        assert float(marginal.log_prob(point).exp()) == pytest.approx(float(integral), rel=1e-5)

    def test_over_other_parameters_or_ranges_it_has_no_opinion(self, prior: MixturePrior) -> None:
        given = GivenPrior(prior, self.SPACE)
        for space in (
            SearchSpace({"z": FloatDistribution(0, 1)}),
            SearchSpace({"x": FloatDistribution(0, 2)}),
        ):
            assert isinstance(given.current(study_in(), space), UniformPrior)

    def test_another_density_is_used_over_its_own_space_only(self) -> None:
        class Flat(UniformPrior):
            """Some class of the user's."""

        flat: OptimumPrior = Flat(self.SPACE)
        given = GivenPrior(flat, self.SPACE)
        assert given.current(study_in(), self.SPACE) is flat
        assert given.current(study_in(), SPACE) is not flat
