"""Every peer asks as often as it says, uses what it is told, and goes on where it is told nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import GPSampler, RandomSampler, TPESampler

from benchmarks.harness.recordings import collect_questions, write_questions
from benchmarks.peers import narrowing, one_shot
from benchmarks.peers.asking import MAX_ATTEMPTS, Asking, Counts, native
from benchmarks.peers.cma_override import CMAOverrideSampler
from benchmarks.peers.llm_tpe import LLMTPESampler
from benchmarks.peers.narrowing import NarrowerSpace, NarrowingSampler, narrowed
from benchmarks.peers.one_shot import OneShotSampler
from benchmarks.peers.per_trial import NextConfiguration, PerTrialSampler
from benchmarks.peers.proposing import ProposingSampler
from benchmarks.peers.recorded import RecordedClient
from llm_prior_bo import SearchSpace, StudyContext
from llm_prior_bo.elicitation import Completion, CompletionError, FunctionClient, Messages
from llm_prior_bo.errors import ConfigurationError

SPACE = SearchSpace(
    {
        "rate": FloatDistribution(1e-4, 1.0, log=True),
        "depth": IntDistribution(1, 8),
        "booster": CategoricalDistribution(["tree", "linear"]),
    }
)
CONFIG = {"rate": 0.01, "depth": 3, "booster": "linear"}
Peer = ProposingSampler | NarrowingSampler


def objective(trial: optuna.Trial) -> float:
    rate = trial.suggest_float("rate", 1e-4, 1.0, log=True)
    booster = trial.suggest_categorical("booster", ["tree", "linear"])
    return rate + trial.suggest_int("depth", 1, 8) + (booster == "tree")


def optimize(sampler: Peer, *, n_trials: int) -> optuna.Study:
    study = optuna.create_study(sampler=sampler)
    study.set_user_attr("problem_description", "a small task")
    study.optimize(objective, n_trials=n_trials)
    return study


class Model:
    """Gives the same reply again and again, and keeps the questions."""

    def __init__(self, reply: str | Mapping[str, Any] | Exception) -> None:
        self.questions: list[str] = []
        self._reply = reply
        self.client = FunctionClient(self._answer)

    def _answer(self, messages: Messages) -> str:
        self.questions.append(messages[-1]["content"])
        if isinstance(self._reply, Exception):
            raise self._reply
        return self._reply if isinstance(self._reply, str) else json.dumps(self._reply)


NEXT = {"notes": "", "configuration": CONFIG}
ONE_SHOT = {"notes": "", "configurations": [{**CONFIG, "depth": depth} for depth in range(1, 6)]}
NARROW = {
    "notes": "",
    "ranges": [{"parameter": "rate", "low": 0.01, "high": 0.1}, {"parameter": "depth", "low": 2, "high": 3}],
    "choices": [{"parameter": "booster", "keep": ["linear"]}],
}
PEERS: dict[str, tuple[Callable[[Model], Peer], Mapping[str, Any]]] = {
    "one-shot": (lambda model: OneShotSampler(model.client, SPACE, seed=0), ONE_SHOT),
    "narrowing": (lambda model: NarrowingSampler(model.client, SPACE, TPESampler(seed=0)), NARROW),
    "per-trial": (lambda model: PerTrialSampler(model.client, SPACE, seed=0), NEXT),
    "LLM-TPE": (lambda model: LLMTPESampler(model.client, SPACE, seed=0), NEXT),
    "CMA-ES": (lambda model: CMAOverrideSampler(model.client, SPACE, seed=0), NEXT),
}


@pytest.fixture(autouse=True)
def _needs_cmaes(request: pytest.FixtureRequest) -> None:
    if "CMA-ES" in request.node.name:
        pytest.importorskip("cmaes")


@pytest.mark.parametrize("name", PEERS)
def test_questions_tell_the_problem_the_space_and_the_results(name: str) -> None:
    make, reply = PEERS[name]
    model = Model(reply)
    optimize(make(model), n_trials=12)
    for question in model.questions:
        assert "> a small task" in question
        assert "- depth: int, from 1 to 8" in question
    if len(model.questions) > 1:
        assert "best so far" in model.questions[-1]
        assert "do not count these trials a second time" not in model.questions[-1]


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("reply", ["I would rather not.", '{"configuration": 3}', "{}", '{"configuration": {"x": 1}}'])
def test_goes_on_without_a_usable_reply(name: str, reply: str) -> None:
    model = Model(reply)
    sampler = PEERS[name][0](model)
    study = optimize(sampler, n_trials=14)
    assert len(study.trials) == 14
    assert sampler.counts.asked == len(model.questions) > 0
    if not (name == "narrowing" and reply.startswith("{")):  # no rows: the whole space is to be searched
        assert sampler.counts.unusable == sampler.counts.asked


@pytest.mark.parametrize("name", PEERS)
def test_goes_on_without_a_model(name: str) -> None:
    sampler = PEERS[name][0](Model(CompletionError("no connection")))
    study = optimize(sampler, n_trials=14)
    assert len(study.trials) == 14
    assert sampler.counts.failed == sampler.counts.asked > 0


def test_a_busy_server_is_asked_again() -> None:
    answers: list[Exception | str] = [CompletionError("busy", retryable=True, retry_after=7.0), json.dumps(NEXT)]

    def answer(_: Messages) -> str:
        one = answers.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    waits: list[float] = []
    asking = Asking(FunctionClient(answer), sleep=waits.append)
    reply = asking.ask((), NextConfiguration, {})
    assert reply == NextConfiguration(configuration=CONFIG)
    assert (waits, asking.counts) == ([7.0], Counts(asked=1))
    answers += [CompletionError("busy", retryable=True)] * MAX_ATTEMPTS
    assert asking.ask((), NextConfiguration, {}) is None
    assert (len(waits), asking.counts) == (MAX_ATTEMPTS, Counts(asked=2, failed=1))


def test_the_first_trials_are_the_models_and_the_rest_tpes() -> None:
    model = Model(ONE_SHOT)
    study = optimize(OneShotSampler(model.client, SPACE, seed=0), n_trials=8)
    assert [trial.params for trial in study.trials[:5]] == ONE_SHOT["configurations"]
    assert len(model.questions) == 1
    reference = optuna.create_study(sampler=TPESampler(seed=0, n_startup_trials=5))
    for trial in study.trials[:5]:
        reference.enqueue_trial(trial.params)
    reference.optimize(objective, n_trials=8)
    # TPE has learned from the model's trials, and its start-up is over.
    assert [trial.params for trial in study.trials] == [trial.params for trial in reference.trials]


def test_parameters_that_a_reply_leaves_out_are_the_plain_samplers() -> None:
    model = Model({"configurations": [{"depth": 7}]})
    study = optimize(OneShotSampler(model.client, SPACE, seed=0), n_trials=2)
    assert study.trials[0].params["depth"] == 7
    assert study.trials[0].params.keys() == SPACE.distributions.keys()


@pytest.mark.parametrize(
    "sampler",
    [TPESampler(seed=0), GPSampler(seed=0), RandomSampler(seed=0)],
    ids=lambda sampler: type(sampler).__name__,
)
def test_searches_the_narrowed_space_only(sampler: optuna.samplers.BaseSampler) -> None:
    study = optimize(NarrowingSampler(Model(NARROW).client, SPACE, sampler), n_trials=15)
    for trial in study.trials:
        assert 0.01 <= trial.params["rate"] <= 0.1
        assert trial.params["depth"] in (2, 3)
        assert trial.params["booster"] == "linear"
    assert study.trials[0].distributions == dict(SPACE.distributions)  # the study's own space is unchanged
    assert {trial.params["depth"] for trial in study.trials} == {2, 3}


def test_what_narrows() -> None:
    rows: list[dict[str, Any]] = [
        {"parameter": "rate", "low": 1e-9, "high": 0.1},  # beyond the range
        {"parameter": "depth", "low": 2.6, "high": 2.6},
        {"parameter": "unknown", "low": 0, "high": 1},
        {"parameter": "booster", "low": 0, "high": 1},
    ]
    choices = [{"parameter": "booster", "keep": ["LINEAR", "none"]}, {"parameter": "rate", "keep": ["0.1"]}]
    found = narrowed(NarrowerSpace.model_validate({"ranges": rows, "choices": choices}), SPACE)
    expected: dict[str, BaseDistribution] = {
        "rate": FloatDistribution(1e-4, 0.1, log=True),
        "depth": IntDistribution(3, 3),
        "booster": CategoricalDistribution(["linear"]),
    }
    assert found == expected
    upside_down = {"ranges": [{"parameter": "depth", "low": 5, "high": 2}]}
    assert narrowed(NarrowerSpace.model_validate(upside_down), SPACE) == {}


def test_every_trial_is_the_models() -> None:
    model = Model(NEXT)
    study = optimize(PerTrialSampler(model.client, SPACE, seed=0), n_trials=6)
    assert [trial.params for trial in study.trials] == [CONFIG] * 6
    assert len(model.questions) == 6


def test_every_other_trial_is_the_models() -> None:
    model = Model(NEXT)
    sampler = LLMTPESampler(model.client, SPACE, seed=0)
    study = optimize(sampler, n_trials=40)
    assert study.trials[0].params == CONFIG
    assert 10 <= len(model.questions) <= 30
    assert sampler.counts == Counts(asked=len(model.questions))
    assert sum(trial.params != CONFIG for trial in study.trials) == 40 - len(model.questions)


def test_cma_es_learns_from_the_trials_that_are_overridden() -> None:
    pytest.importorskip("cmaes")
    model = Model(NEXT)
    study = optimize(CMAOverrideSampler(model.client, SPACE, seed=0), n_trials=30)
    own = [trial.number for trial in study.trials if trial.params == CONFIG]
    assert len(own) == len(model.questions) == 6  # 30 % of 20
    assert min(own) >= 10
    assert "CMA-ES would evaluate next" in model.questions[0]
    assert "Covariance of its steps, parameters in the order depth, rate" in model.questions[-1]
    assert all("cma:generation" in study.trials[number].system_attrs for number in own)


def test_native_values() -> None:
    config = {"rate": 7, "depth": "2.7", "booster": " Tree ", "more": 1}
    assert native(config, SPACE) == {"rate": 1.0, "depth": 3, "booster": "tree"}
    assert native({"rate": "fast", "depth": True, "booster": "none"}, SPACE) == {}
    assert native({"rate": float("nan"), "depth": [3]}, SPACE) == {}


@pytest.mark.parametrize(("peer", "reply"), [(one_shot, ONE_SHOT), (narrowing, NARROW)])
def test_recorded_and_replayed(peer: Any, reply: Mapping[str, Any], tmp_path: Path) -> None:
    context = StudyContext(distributions=SPACE.distributions, problem_description="a small task")
    questions = {"small": peer.question(context), "other": peer.question(StudyContext(SPACE.distributions))}
    write_questions(questions, tmp_path)
    (tmp_path / f"{questions['small'].hash}.answer.txt").write_text(json.dumps(reply), encoding="utf-8")
    assert collect_questions(questions, tmp_path, tmp_path, model="a model") == ["other"]
    client = RecordedClient(tmp_path / "small.json")
    sampler: Peer
    if peer is one_shot:
        sampler = OneShotSampler(client, SPACE, seed=0)
    else:
        sampler = NarrowingSampler(client, SPACE, RandomSampler(seed=0))
    optimize(sampler, n_trials=1)  # the study's question is the recorded one
    assert sampler.counts == Counts(asked=1)
    completion = client.complete(questions["small"].messages, {})
    assert completion == Completion(text=json.dumps(reply), model="a model", cost_usd=0.0)
    with pytest.raises(ConfigurationError, match="record it again"):
        client.complete(questions["other"].messages, {})
