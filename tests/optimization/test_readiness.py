from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution

from llm_prior_bo import FixedElicitor, LLMElicitor, LLMPriorSampler, PriorAnswer, SearchSpace, build_prior
from llm_prior_bo.elicitation import BlindedElicitor, Elicitation, FunctionClient, StudyContext
from llm_prior_bo.optimization.readiness import CheckResult

SPACE = SearchSpace({"x": FloatDistribution(0.0, 1.0)})
ANSWER = PriorAnswer.by_hand(numeric={"x": (0.25, 0.2, 0.3)})


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AZURE_API_KEY", "OLLAMA_API_BASE"):
        monkeypatch.delenv(name, raising=False)


def described(**attributes: Any) -> optuna.Study:
    study = optuna.create_study()
    for name, value in {"problem_description": "a network", **attributes}.items():
        study.set_user_attr(name, value)
    return study


def check(model: str | None = "gpt-4o", study: optuna.Study | None = None, **options: Any) -> CheckResult:
    return LLMPriorSampler(model, **{"search_space": SPACE, **options}).check(study or described())


@pytest.mark.parametrize(
    ("model", "options", "problem"),
    [
        ("gpt-4o", {}, "lacks OPENAI_API_KEY"),
        ("anthropic/claude-sonnet-4-5", {}, "lacks ANTHROPIC_API_KEY"),
        ("openai/anything", {"api_base": "http://127.0.0.1:9/v1"}, "any text as the key of a local server"),
        ("gtp-4o", {}, "names no provider that LiteLLM knows"),
        ("nobody/anything", {"api_key": "x"}, "names no provider that LiteLLM knows"),
        ("azure/mine", {"api_key": "x", "api_version": "1"}, "lacks AZURE_API_BASE;"),
    ],
)
def test_the_model(model: str, options: dict[str, Any], problem: str) -> None:
    (found,) = check(model, **options).problems
    assert problem in found


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("gpt-4o", {"api_key": "x"}),
        ("gpt-4o", {"api_key": "x", "blinded": True}),
        ("openai/anything", {"api_base": "http://127.0.0.1:9/v1", "api_key": "x"}),  # nobody listens: not tried
        ("anything", {"custom_llm_provider": "openai", "api_key": "x"}),
        ("ollama_chat/llama3.1", {}),
        ("azure/mine", {"api_key": "x", "api_version": "1", "api_base": "http://127.0.0.1:9"}),
    ],
)
def test_all_is_there(model: str, options: dict[str, Any]) -> None:
    assert check(model, **options).problems == ()


def test_a_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abcdef1234567890")
    result = check()
    assert result.problems == ()
    assert "sk-" not in str(result)


def test_what_is_said_about_the_problem() -> None:
    (none,) = check(study=optuna.create_study(), api_key="x").problems
    assert "no problem_description" in none
    other = optuna.create_study()
    other.set_user_attr("colour", "blue")  # the user's own, near nothing that is read
    other.set_user_attr("problem_desciption", "a network")
    other.set_user_attr("domain_knowlege", "none")
    problems = check(study=other, api_key="x").problems
    first, second = sorted(problems)
    assert "'domain_knowlege' is not read; 'domain_knowledge' is" in first
    assert "'problem_desciption' is not read; 'problem_description' is" in second


def test_the_space() -> None:
    result = check(search_space=None, api_key="x")
    assert result.prompt_tokens is None
    (problem,) = result.problems
    assert "the first trial is random" in problem
    study = described()
    study.add_trial(optuna.trial.create_trial(params={"x": 0.5}, distributions=dict(SPACE.distributions), value=1.0))
    assert check(study=study, search_space=None, api_key="x").problems == ()


def test_what_it_takes() -> None:
    one, two = check(api_key="x"), check(api_key="x", n_answers=2)
    assert one.prompt_tokens is not None
    assert one.prompt_tokens > 300
    assert one.longest_seconds == 308.0
    assert two.longest_seconds == 616.0
    assert one.cost_usd is not None
    assert two.cost_usd == pytest.approx(2 * one.cost_usd)
    assert 0.001 < one.cost_usd < 0.1
    unpriced = check("openai/anything", api_key="x")
    assert unpriced.cost_usd is None
    assert str(unpriced).startswith("openai/anything will be asked: about ")
    assert str(unpriced).endswith(" tokens, cost unknown, up to 308 s.\n- Nothing is missing.")


def test_nobody_is_asked_and_nothing_written() -> None:
    def fails(_: object) -> str:
        raise AssertionError("nobody is to be asked")

    elicitor = BlindedElicitor(LLMElicitor(client=FunctionClient(fails)))
    study = described()
    result = check(None, study, elicitor=elicitor)
    assert (result.problems, result.asks) == ((), "FunctionClient")
    assert study._storage.get_study_system_attrs(study._study_id) == {}
    assert study.trials == []


def test_an_answer_is_stored() -> None:
    study = described()
    sampler = LLMPriorSampler(elicitor=FixedElicitor(ANSWER), search_space=SPACE)
    study.sampler = sampler
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=1)
    result = check(study=study)  # without a key: it is not needed
    assert result == CheckResult(has_answer=True)
    assert str(result) == "An answer is stored: nobody will be asked.\n- Nothing is missing."


def test_a_given_density() -> None:
    result = LLMPriorSampler(prior=build_prior(ANSWER, SPACE)).check(optuna.create_study())
    assert result == CheckResult()
    assert str(result).startswith("Nobody will be asked.")


def test_a_users_own_elicitor() -> None:
    class Own:
        def elicit(self, context: StudyContext) -> Elicitation:
            raise NotImplementedError

        def problems(self) -> list[str]:
            return ["no licence for sk-abcdef1234567890"]

    result = check(None, elicitor=Own())
    assert result.problems == ("no licence for [redacted]",)
    assert result.asks == "Own"
    assert result.longest_seconds == 120.0
