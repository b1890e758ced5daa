"""Everything that can go wrong between a study and a language model, one case each, and what the study did.

Real HTTP, real LiteLLM, a real study of eight trials; only the server is ours. `tests/test_faults.py` asserts the
outcomes, `benchmarks/fault_table.py` prints them.
"""

from __future__ import annotations

import gzip
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from llm_prior_bo import LLMElicitor, LLMPriorSampler, PriorAnswer
from llm_prior_bo.elicitation import Elicitation
from llm_prior_bo.errors import ElicitationWarning, LLMPriorWarning, RepairedAnswerWarning
from llm_prior_bo.study.answer_records import load_elicitations, load_failures, save_elicitation
from tests.elicitation.fake_server import FakeServer, Reply, completion

N_TRIALS = 8
SPACE = {"lr": FloatDistribution(1e-4, 1.0, log=True), "act": CategoricalDistribution(["relu", "tanh", None])}
ANSWER = PriorAnswer.by_hand(
    numeric={"lr": (0.01, 0.001, 0.1)}, categorical={"act": {"tanh": 0.8, "relu": 0.1, None: 0.1}}
).model_dump()
GOOD = json.dumps(ANSWER)
PLANTED = "sk-proj-" + "a1B2c3D4" * 4
"""In the form of a key: nothing that is kept or said may hold it."""

Arrange = Callable[[FakeServer], None]


@dataclass(frozen=True)
class Fault:
    """One fault and what has to come of it.

    Attributes:
        name: What goes wrong.
        arrange: Prepares the server.
        n_requests: Requests that the study makes.
        has_prior: Whether a prior is used in the end.
        warning: The one warning that the user sees, `None` for none.
        told: Part of the warning's text.
        options: Arguments of `LLMElicitor` that differ from the usual ones.
        prepare: Prepares the study, for faults that are in its storage.
        slow: Whether it takes more than two seconds.
    """

    name: str
    arrange: Arrange
    n_requests: int
    has_prior: bool
    warning: type[LLMPriorWarning] | None = None
    told: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    prepare: Callable[[optuna.Study], None] | None = None
    slow: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a study did.

    Attributes:
        n_requests: Requests that reached the server.
        warnings: Warnings with different texts.
        n_finished: Trials that finished with a value and legal parameters.
        has_prior: Whether a prior was used.
        n_answers: Answers kept in the study.
        n_failures: Unanswered questions noted in the study.
        kept: All that is kept in the study's storage, as one text.
    """

    n_requests: int
    warnings: tuple[Warning, ...]
    n_finished: int
    has_prior: bool
    n_answers: int
    n_failures: int
    kept: str


def run(fault: Fault, server: FakeServer) -> Outcome:
    """A study with the fault."""
    fault.arrange(server)
    options = {"api_base": server.url, "api_key": "x", "timeout": 20.0, "max_retries": 2, **fault.options}
    elicitor = LLMElicitor("openai/anything", sleep=lambda _: None, **options)
    sampler = LLMPriorSampler(elicitor=elicitor, search_space=SPACE, n_startup_trials=N_TRIALS - 1, seed=0)
    study = optuna.create_study(sampler=sampler)
    if fault.prepare is not None:
        fault.prepare(study)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        study.optimize(_objective, n_trials=N_TRIALS)
        has_prior = not _prior_is_flat(sampler, study)
        n_answers, n_failures = len(load_elicitations(study)), len(load_failures(study))
    return Outcome(
        n_requests=len(server.requests),
        warnings=tuple({str(w.message): w.message for w in caught if isinstance(w.message, Warning)}.values()),
        n_finished=sum(_is_finished(trial) for trial in study.trials),
        has_prior=has_prior,
        n_answers=n_answers,
        n_failures=n_failures,
        kept=repr([study._storage.get_study_system_attrs(study._study_id), study.trials]),
    )


def _objective(trial: optuna.Trial) -> float:
    act = trial.suggest_categorical("act", ["relu", "tanh", None])
    return trial.suggest_float("lr", 1e-4, 1.0, log=True) + len(str(act))


def _is_finished(trial: optuna.trial.FrozenTrial) -> bool:
    legal = all(
        trial.distributions[name]._contains(trial.distributions[name].to_internal_repr(value))
        for name, value in trial.params.items()
    )
    return trial.state == TrialState.COMPLETE and trial.value is not None and len(trial.params) == 2 and legal


def _prior_is_flat(sampler: LLMPriorSampler, study: optuna.Study) -> bool:
    suggestions = sampler.get_statistics(study).suggestions.values()
    return all(suggestion.log_prior == 0.0 for suggestion in suggestions)


# Servers -------------------------------------------------------------------------------------------------------------


def always(reply: Reply) -> Arrange:
    """The same for every request."""

    def arrange(server: FakeServer) -> None:
        server.always = reply

    return arrange


def first(*replies: Reply) -> Arrange:
    """One after the other, and then a good answer."""

    def arrange(server: FakeServer) -> None:
        server.replies.extend(replies)
        server.always = says(GOOD)

    return arrange


def says(content: str | None, **options: Any) -> Reply:
    """A completion with this content."""
    return Reply(body=completion(content, **options))


def fails(status: int, message: str = "no", code: str | None = None, **headers: str) -> Reply:
    """An error as OpenAI has them."""
    return Reply(status, json.dumps({"error": {"message": message, "type": "t", "code": code}}).encode(), headers)


def refuses_parts(server: FakeServer) -> None:
    """A server that knows neither temperatures nor formats."""

    def reply(request: dict[str, Any]) -> Reply:
        for name in ("temperature", "response_format"):
            if name in request:
                return fails(400, f"Unsupported parameter: '{name}'")
        return says(GOOD)

    server.always = reply


def refuses_system_role(server: FakeServer) -> None:
    """A served model whose template has no system role."""
    said = "System role is not supported by this model's template"

    def reply(request: dict[str, Any]) -> Reply:
        return fails(400, said) if request["messages"][0]["role"] == "system" else says(GOOD)

    server.always = reply


def knows_only(*fields: str) -> Arrange:
    """A server that refuses requests with further fields and does not say which."""

    def arrange(server: FakeServer) -> None:
        def reply(request: dict[str, Any]) -> Reply:
            return says(GOOD) if request.keys() <= {*fields} else fails(422, "Extra inputs are not permitted")

        server.always = reply

    return arrange


def refuses_field(name: str) -> Arrange:
    """A server that says which field it does not know."""

    def arrange(server: FakeServer) -> None:
        def reply(request: dict[str, Any]) -> Reply:
            return fails(400, f"Unrecognized request argument supplied: {name}") if name in request else says(GOOD)

        server.always = reply

    return arrange


def ignores_schemas(server: FakeServer) -> None:
    """A server that takes a schema and has never heard of it; JSON mode works."""

    def reply(request: dict[str, Any]) -> Reply:
        if request.get("response_format", {}).get("type") != "json_object":
            return says("The learning rate should be about 0.01, with tanh.")
        return says(GOOD) if '"regions"' in request["messages"][-1]["content"] else says('{"lr": 0.01}')

    server.always = reply


# Answers -------------------------------------------------------------------------------------------------------------


def edited(**changes: Any) -> str:
    """The good answer with other fields."""
    return json.dumps({**ANSWER, **changes})


def with_row(key: str, **changes: Any) -> str:
    """The good answer with its first row of one kind changed."""
    rows = ANSWER[key]
    return edited(**{key: [{**rows[0], **changes}, *rows[1:]]})


def with_extra(key: str, **row: Any) -> str:
    """The good answer with a further row."""
    return edited(**{key: [*ANSWER[key], row]})


def with_number(number: str) -> str:
    """The good answer with something else for its best learning rate."""
    return GOOD.replace('"best": 0.01', f'"best": {number}')


def store(key: str, value: str) -> Callable[[optuna.Study], None]:
    """Something in the study's storage."""

    def prepare(study: optuna.Study) -> None:
        study._storage.set_study_system_attr(study._study_id, key, value)

    return prepare


def store_damaged(study: optuna.Study) -> None:
    """An answer of which one letter has changed since."""
    save_elicitation(study, Elicitation(PriorAnswer.model_validate(ANSWER), model="m"))
    attributes = study._storage.get_study_system_attrs(study._study_id)
    (key,) = (key for key in attributes if key.startswith("llm_prior_bo:elicitation"))
    study._storage.set_study_system_attr(study._study_id, key, attributes[key].replace("0.01", "0.02"))


# The table -----------------------------------------------------------------------------------------------------------


def silent(name: str, arrange: Arrange, n_requests: int = 1, **more: Any) -> Fault:
    """Fine in the end: nobody need know."""
    return Fault(name, arrange, n_requests, has_prior=True, **more)


def repaired(name: str, content: str, told: str, **more: Any) -> Fault:
    """An answer with a fault whose meaning is plain."""
    return Fault(name, always(says(content)), 1, True, RepairedAnswerWarning, told, **more)


def unanswered(name: str, arrange: Arrange, told: str, n_requests: int = 3, **more: Any) -> Fault:
    """No answer: one warning, and plain Bayesian optimisation."""
    return Fault(name, arrange, n_requests, False, ElicitationWarning, told, **more)


def _http_faults() -> list[Fault]:
    once = [
        unanswered(f"HTTP {status}", always(fails(status)), told, 1)
        for status, told in [
            (400, "malformed"),
            (401, "key that the provider refuses"),
            (402, "no credit left"),
            (403, "key that the provider refuses"),
            (404, "not known under this name"),
            (422, "malformed"),
        ]
    ]
    repeated = [
        unanswered(f"HTTP {status}, every time", always(fails(status)), told)
        for status, told in [
            (408, "did not answer within"),
            (429, "too many requests"),
            (500, "fault on the server's side"),
            (502, "fault on the server's side"),
            (503, "fault on the server's side"),
            (504, "did not answer within"),
            (529, "fault on the server's side"),
        ]
    ]
    return [
        *once,
        *repeated,
        silent("HTTP 429 once", first(fails(429, retry_after="1")), 2),
        silent("HTTP 500 twice", first(fails(500), fails(500)), 3),
        unanswered("HTTP 429, come back tomorrow", always(fails(429, retry_after="86400")), "too many requests", 1),
        unanswered(
            "HTTP 429, quota used up",
            always(fails(429, "You exceeded your current quota", "insufficient_quota")),
            "no credit left",
            1,
        ),
        unanswered("prompt too long", always(fails(400, "maximum context length is 10")), "max_context_trials", 1),
        unanswered("HTTP 502 with a page of HTML", always(Reply(502, b"<html>", {"content-type": "text/html"})), ""),
    ]


def _refusals() -> list[Fault]:
    """What a server does not take, or what a model did not get done: a 400 stands for all of it."""
    failed = fails(400, "Failed to generate JSON. See 'failed_generation' for more.", "json_validate_failed")
    no_json = fails(400, "The model did not produce valid JSON for this request.")
    return [
        silent("temperature and formats refused", refuses_parts, 4),
        silent("schema taken and ignored", ignores_schemas, 2),
        silent("no system role", refuses_system_role, 2),
        silent("unknown fields, unnamed", knows_only("messages", "model"), 4),
        Fault(
            "unknown field, an option of the user's",
            refuses_field("top_p"),
            2,
            True,
            ElicitationWarning,
            "does not take the option top_p=",
            options={"top_p": 0.9},
        ),
        silent("HTTP 400, failed generation once", first(failed), 2),
        unanswered("HTTP 400, failed generation every time", always(failed), "did not finish its answer"),
        silent("HTTP 400, JSON check failed once", first(no_json), 2),
        unanswered("HTTP 400, JSON check failed every time", always(no_json), "did not finish its answer"),
        unanswered(
            "HTTP 400, content filter",
            always(fails(400, "The response was filtered due to the content management policy", "content_filter")),
            "content filter",
            1,
        ),
        unanswered(
            "HTTP 400, complaint of 10 MB", always(fails(400, "no " * 3_500_000)), "sent more than 100,000 bytes"
        ),
        unanswered("HTTP 400, complaint of 50 kB", always(fails(400, "no " * 17_000)), "malformed", 1),
        unanswered(
            "HTTP 401, a key in the complaint",
            always(fails(401, f"Incorrect API key provided: {PLANTED}")),
            "key that the provider refuses",
            1,
        ),
    ]


def _connection_faults() -> list[Fault]:
    body = completion(GOOD)
    bomb = gzip.compress(completion("0" * 30_000_000))
    refused = {"api_base": "http://127.0.0.1:9/v1"}
    elsewhere = {"location": "http://localhost:9/v1/chat/completions"}
    return [
        unanswered("redirect to another host", always(Reply(307, b"{}", elsewhere)), "redirected to another host", 1),
        unanswered("connection refused", always(Reply()), "cannot be reached", 0, options=refused),
        unanswered("connection reset", always(Reply(reset=True)), ""),
        silent("connection reset once", first(Reply(reset=True)), 2),
        unanswered("connection closed without a word", always(Reply(raw=b"")), ""),
        unanswered("body breaks off", always(Reply(body=body, headers={"content-length": str(len(body) + 9)})), ""),
        unanswered("no HTTP at all", always(Reply(raw=b"\x00\xff\xfe SSH-2.0\r\n\r\n")), ""),
        unanswered("time-out", always(Reply(body=body, after_s=60.0)), "within 2 s", options={"timeout": 2.0}),
        unanswered(
            "slow drip, a byte now and then",
            always(Reply(body=body, drip_s=0.1)),
            "within 0.2 s",
            2,
            options={"timeout": 0.2, "max_retries": 1},
            slow=True,
        ),
        unanswered("body that is not UTF-8", always(Reply(body=b"\xff\xfe\x80{}")), ""),
        unanswered("empty body", always(Reply()), ""),
        unanswered("body null", always(Reply(body=b"null")), ""),
        unanswered("body without choices", always(Reply(body=b'{"choices": []}')), ""),
        unanswered("an error with status 200", always(Reply(body=b'{"error": {"message": "odd"}}')), "malformed", 1),
        unanswered(
            "page of HTML with status 200", always(Reply(body=b"<html>", headers={"content-type": "text/html"})), ""
        ),
        unanswered(
            "page of 10 MB with status 200",
            always(Reply(body=b"x" * 10_000_000, headers={"content-type": "text/html"})),
            "sent more than 100,000 bytes",
        ),
        unanswered("false gzip", always(Reply(body=body, headers={"content-encoding": "gzip"})), ""),
        unanswered(
            "gzip bomb, 30 kB to 30 MB", always(Reply(body=bomb, headers={"content-encoding": "gzip"})), "", slow=True
        ),
    ]


def _content_faults() -> list[Fault]:
    cut = [
        unanswered(
            f"answer broken off at {percent} %",
            always(says(GOOD[: len(GOOD) * percent // 100], finish_reason="length")),
            "No usable answer in 3 attempts",
        )
        for percent in range(0, 100, 10)
    ]
    never = {
        "null content": None,
        "prose": "I think that 0.01 is a good learning rate.",
        "another shape": '{"lr": 0.01}',
        "list of numbers": "[1, 2]",
        "the schema itself": json.dumps({"type": "object", "properties": {"regions": {"type": "array"}}}),
        "rows that are text": edited(regions="everywhere"),
        "no belief": edited(numeric=[], categorical=[]),
        "unknown names only": with_row("numeric", parameter="eta").replace('"act"', '"activation"'),
        "deep nesting": '{"regions": ' + "[" * 100_000 + "]" * 100_000 + "}",
        "deep nesting of objects": '{"a": ' * 50_000,
        "names of 400 000 characters": json.dumps({"notes": "", "x" * 200_000: 1, "y" * 200_000: 2}),
        "open fence with 30 000 line breaks": "```json" + "\n" * 30_000 + "x",
        "10 MB of text": "Let me think. " * 750_000,
        "10 MB of JSON": edited(notes="n" * 10_000_000),
    }
    return [
        *cut,
        silent("answer broken off once", first(says(GOOD[:100], finish_reason="length")), 2),
        *(
            unanswered(name, always(says(text)), "No usable answer", slow="10 MB" in name)
            for name, text in never.items()
        ),
        unanswered("refusal", always(says(None, refusal="I cannot help with that.")), "refusal: I cannot help"),
        unanswered("content filter", always(says(None, finish_reason="content_filter")), "No usable answer"),
        silent("refusal once", first(says(None, refusal="No.")), 2),
        silent("prose once", first(says("Let me think.")), 2),
        silent(
            "tool call instead of text",
            first(
                says(None, tool_calls=[{"id": "1", "type": "function", "function": {"name": "f", "arguments": GOOD}}])
            ),
            2,
        ),
        silent("fenced", always(says(f"```json\n{GOOD}\n```"))),
        silent("prose around it", always(says(f"Sure! Here it is:\n{GOOD}\nGood luck with {{x}}."))),
        silent("thinking with a draft before it", always(says(f"<think>{edited(confidence=0.1)} no...</think>{GOOD}"))),
        silent("byte order mark", always(says(f"\ufeff{GOOD}"))),
        silent("JSON within a JSON string", always(says(json.dumps(GOOD)))),
        silent("wrapped in an object", always(says(json.dumps({"prior_answer": ANSWER})))),
        silent("half a character in the notes", always(says(edited(notes="\ud800 \x00")))),
        silent("a key in the notes", always(says(edited(notes=f"Use {PLANTED} for the logs.")))),
        silent("no count of tokens", always(says(GOOD, usage={}))),
        silent(
            "absurd counts of tokens",
            always(says(GOOD, usage={"prompt_tokens": -5, "completion_tokens": 10**30, "total_tokens": 0})),
        ),
    ]


def _repairable_faults() -> list[Fault]:
    rows = ANSWER["categorical"]
    return [
        *(
            repaired(f"{number} in a row", with_number(number), "'lr' was dropped")
            for number in ("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "null", "[]", '"about 0.01"')
        ),
        repaired(
            "wrong types",
            edited(numeric={"lr": {"region": "1", "best": "1e-2", "low": "1e-3", "high": "0.1"}}),
            "instead of a list",
        ),
        repaired("swapped bounds", with_row("numeric", low=0.1, high=0.001), "swapped bounds"),
        repaired("value out of range", with_row("numeric", high=50.0), "clipped to the range"),
        repaired("logarithms instead of values", with_row("numeric", best=-2, low=-3, high=-1), "'lr' was dropped"),
        repaired("all region weights zero", with_row("regions", weight=0), "All region weights were zero"),
        repaired("negative region weight", with_row("regions", weight=-1), "weight"),
        repaired(
            "all choice weights zero",
            edited(categorical=[{**row, "weight": 0} for row in rows]),
            "All weights of 'act' were zero",
        ),
        repaired("one unknown name", with_extra("numeric", region=1, parameter="eta", best=1, low=0, high=2), "eta"),
        repaired(
            "one unknown choice",
            with_extra("categorical", region=1, parameter="act", choice="swish", weight=0.1),
            "swish",
        ),
        repaired("row of no region", with_extra("numeric", region=7, parameter="lr", best=0.1, low=0.05, high=1), "7"),
        repaired("duplicate rows", edited(numeric=[*ANSWER["numeric"], *ANSWER["numeric"]]), "given twice"),
        repaired("choice in another spelling", with_row("categorical", choice=" Tanh"), "was read as 'tanh'"),
        repaired("confidence 80", edited(confidence=80), "80 %"),
        repaired("further fields", edited(mood="good"), "were ignored: 'mood'"),
        repaired("a row that is none", edited(numeric=[*ANSWER["numeric"], 7]), "not rows"),
    ]


def _storage_faults() -> list[Fault]:
    return [
        Fault(
            "record of a later version in the storage",
            always(says(GOOD)),
            1,
            True,
            ElicitationWarning,
            "format version '99'",
            prepare=store("llm_prior_bo:elicitation:99:0:abc:0:1", "{}"),
        ),
        Fault(
            "damaged record in the storage",
            always(says(GOOD)),
            1,
            True,
            ElicitationWarning,
            "damaged",
            prepare=store_damaged,
        ),
    ]


FAULTS = (
    *_http_faults(),
    *_refusals(),
    *_connection_faults(),
    *_content_faults(),
    *_repairable_faults(),
    *_storage_faults(),
)
"""All cases, each with a name of its own."""
