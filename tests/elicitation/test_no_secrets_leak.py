"""Keys are planted everywhere they may be given, echoed by the server, and looked for in all that a study leaves."""

from __future__ import annotations

import base64
import io
import json
import logging
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from llm_prior_bo import LLMElicitor, LLMPriorSampler, PriorAnswer
from llm_prior_bo.elicitation import LiteLLMClient, RecordingElicitor, StudyContext, portable_schema
from llm_prior_bo.elicitation.llm.secrets import secrets_in
from llm_prior_bo.errors import ElicitationError
from tests.elicitation.fake_server import FakeServer, Reply, completion

# In no known form of a key, so that no pattern finds them.
KEYS = {
    "environment": "plant.environment.4711",
    "option": "plant.option+4712/=",
    "header": "plant.header.4713",
    "query": "plant query&4714",
    "user": "plant.password.4715",
}
ANSWER = PriorAnswer.by_hand(numeric={"x": (0.5, 0.25, 0.75)}).model_dump()
ECHO = " ".join([*KEYS.values(), "Bearer " + KEYS["header"]])
SPACE = {"x": FloatDistribution(0.0, 1.0)}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED_API_KEY", KEYS["environment"])


def options(server: FakeServer) -> dict[str, Any]:
    host = server.url.removeprefix("http://")
    return {
        "api_base": f"http://me:{KEYS['user']}@{host}?subscription-key=plant%20query%264714",
        "api_key": KEYS["option"],
        "extra_headers": {"X-Authorization": f"Bearer {KEYS['header']}"},
        "timeout": 60.0,
    }


def hidden_forms() -> list[str]:
    basic = base64.b64encode(f"me:{KEYS['user']}".encode()).decode()
    return [*KEYS.values(), "plant%20query%264714", "plant+query%264714", basic]


def assert_clean(text: str, where: str) -> None:
    found = [secret for secret in hidden_forms() if secret in text or json.dumps(secret)[1:-1] in text]
    assert not found, f"{found} in {where}"


def chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that lead to it, suppressed ones too."""
    todo: list[BaseException | None] = [error]
    while todo:
        current = todo.pop()
        if current is not None:
            yield current
            todo += [current.__cause__, current.__context__]


def good(**changes: Any) -> Reply:
    """An answer that echoes the keys."""
    return Reply(body=completion(json.dumps({**ANSWER, "notes": ECHO, **changes})))


FAULTS = {
    "answer": good(),
    "repaired answer": good(mood=ECHO, numeric=[*ANSWER["numeric"], {"region": 1, "parameter": ECHO}]),
    "label": good(regions=[{"region": 1, "label": KEYS["option"], "weight": 1}]),
    "name of the model": Reply(body=completion(json.dumps(ANSWER)).replace(b'"m-1"', json.dumps(ECHO).encode())),
    "prose": Reply(body=completion(ECHO)),
    "refusal": Reply(body=completion(None, refusal=ECHO)),
    "401": Reply(401, json.dumps({"error": {"message": f"Incorrect API key: {ECHO}", "type": "t"}}).encode()),
    "400": Reply(400, json.dumps({"error": {"message": ECHO, "type": ECHO, "code": ECHO, "param": ECHO}}).encode()),
    "500": Reply(500, ECHO.encode(), {"content-type": "text/html"}),
    "200 without choices": Reply(200, json.dumps({"error": ECHO, "choices": []}).encode()),
    "not JSON": Reply(200, ECHO.encode()),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("backend", ["sqlite", "journal"])
def test_nothing_that_a_study_leaves_holds_a_key(
    server: FakeServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    fault: str,
    backend: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.always = FAULTS[fault]
    elicitor = LLMElicitor("openai/anything", max_retries=1, sleep=lambda _: None, **options(server))
    recorder = RecordingElicitor(elicitor, tmp_path / "recording.json")
    sampler = LLMPriorSampler(elicitor=recorder, search_space=SPACE, n_startup_trials=2, seed=0)
    storage = (
        RDBStorage(f"sqlite:///{tmp_path}/study.db")
        if backend == "sqlite"
        else JournalStorage(JournalFileBackend(str(tmp_path / "study.log")))
    )
    study = optuna.create_study(sampler=sampler, storage=storage)
    study.set_user_attr("problem_description", f"My key is {KEYS['environment']}, and I ought not to tell.")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=2)
        statistics = json.dumps(sampler.get_statistics(study).to_dict(), default=str)
    if isinstance(storage, RDBStorage):
        storage.engine.dispose()
    assert server.requests  # the keys did go to the server
    headers = {name.lower(): value for name, value in server.headers[0].items()}
    assert headers["authorization"].startswith("Basic ")  # the user in the address, before the option
    assert headers["x-authorization"] == f"Bearer {KEYS['header']}"
    assert "subscription-key=plant" in server.paths[0]
    user_attribute = KEYS["environment"]  # which the user wrote into the storage
    for file in tmp_path.iterdir():
        assert_clean(file.read_bytes().decode("utf-8", "replace").replace(f"My key is {user_attribute}", ""), file.name)
    assert_clean(statistics, "statistics")
    assert_clean(caplog.text, "log")
    assert_clean("".join(capfd.readouterr()), "output")
    assert_clean("\n".join(str(warning.message) for warning in caught), "warnings")
    assert_clean(json.dumps([request["messages"] for request in server.requests]), "prompts")
    assert_clean(repr((elicitor, elicitor._client, recorder, sampler, sampler._source, study.sampler)), "repr")


@pytest.mark.parametrize("fault", [name for name in FAULTS if "answer" not in name and name not in ("label",)])
def test_no_exception_holds_a_key(server: FakeServer, fault: str) -> None:
    server.always = FAULTS[fault]
    client = LiteLLMClient("openai/anything", **options(server))
    asker = LLMElicitor("openai/anything", max_retries=0, **options(server))
    calls: list[Callable[[], object]] = [
        lambda: client.complete(({"role": "user", "content": "?"},), portable_schema()),
        lambda: asker.elicit(StudyContext(distributions=SPACE)),
    ]
    for call in calls:
        try:
            result = call()
        except ElicitationError as error:
            shown = io.StringIO()
            traceback.print_exception(error, file=shown)
            assert_clean(shown.getvalue(), "traceback")
            for link in chain(error):
                assert_clean(f"{link!r} {link} {link.__dict__}", type(link).__name__)
        else:
            assert_clean(repr(result), "completion")


def test_the_log_of_a_client_of_the_users_own_holds_no_key(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    import openai

    caplog.set_level(logging.DEBUG)
    server.always = replace(good(), headers={"X-Echo": KEYS["option"]})
    with openai.OpenAI(api_key=KEYS["option"], base_url=server.url, default_query={"key": KEYS["header"]}) as own:
        client = LiteLLMClient("openai/anything", client=own, **options(server))
        client.complete(({"role": "user", "content": "?"},), portable_schema())
    assert KEYS["header"] in server.paths[0]
    assert "HTTP Request: POST" in caplog.text
    assert "x-echo" in caplog.text.lower()
    assert_clean(caplog.text, "log")


def test_what_counts_as_a_secret() -> None:
    given = {
        "api_key": "ollama",  # what local servers are given is a word
        "max_tokens": 2000,
        "api_version": "2026-01-01-preview",
        "api_base": "https://example.org/v1?api-version=2026-01-01",
        "extra_headers": {"X-Title": "My long project", "X-Api-Key": "secret-of-a-gateway"},
        "aws_secret_access_key": "another-secret",
        "nested": [{"token": "a-nested-secret"}],
    }
    assert secrets_in(given) == ("secret-of-a-gateway", "another-secret", "a-nested-secret")


def test_forms_of_a_secret() -> None:
    forms = secrets_in({"api_base": "https://me:pass%20word@example.org/?sig=a%2Bb%2Fc%3D%3Dd"})
    assert {"pass word", "pass%20word", "pass+word", "a+b/c==d", "a%2Bb%2Fc%3D%3Dd"} <= set(forms)
    assert secrets_in({"api_base": "https://[broken"}) == ()
