"""What is kept secret on the wire is kept secret in the record and in recordings; names and answers stay whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from llm_prior_bo import LLMElicitor, LLMPriorSampler, PriorAnswer
from llm_prior_bo.elicitation import (
    Completion,
    Elicitation,
    Messages,
    RecordingElicitor,
    ReplayElicitor,
    StudyContext,
    UnansweredError,
)
from llm_prior_bo.study.answer_records import load_elicitations

SECRET = "plant.option.4712"
NAMES = ["key_projection_dropout", "hf_learning_rate_scale", "pk_compartment_volume", "sk-learn2_tree_depth_limit"]
CHOICES = ["ghp_" + "a1B2" * 9, "momentum", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x"]


class Client:
    """Knows a secret, remembers what it was sent, and answers with it."""

    def __init__(self, *texts: str, secrets: tuple[str, ...] = (SECRET,)) -> None:
        self.texts = list(texts)
        self.secrets = secrets
        self.sent: list[Messages] = []

    def complete(self, messages: Messages, schema: Mapping[str, Any]) -> Completion:  # noqa: ARG002
        self.sent.append(messages)
        return Completion(self.texts.pop(0), model=f"m {SECRET}")


def space() -> dict[str, BaseDistribution]:
    return {**{name: FloatDistribution(0, 1) for name in NAMES}, "optimizer": CategoricalDistribution(CHOICES)}


def answer(notes: str = "", **changes: Any) -> str:
    rows = {name: (0.3, 0.2, 0.4) for name in NAMES}
    by_hand = PriorAnswer.by_hand(numeric=rows, categorical={"optimizer": {CHOICES[0]: 0.9}}, notes=notes)
    return json.dumps({**by_hand.model_dump(), **changes})


def test_names_and_choices_that_look_like_keys_are_asked_about_and_answered(tmp_path: Path) -> None:
    client = Client(answer(), secrets=("momentum", "key_projection_dropout", SECRET))  # as bad as it gets
    path = tmp_path / "recording.json"
    recorder = RecordingElicitor(LLMElicitor(client=client), path)
    study = optuna.create_study(sampler=LLMPriorSampler(elicitor=recorder, search_space=space(), seed=0))
    study.set_user_attr("problem_description", f"{NAMES[3]} and {CHOICES[0]} matter most.")
    study.set_user_attr("parameter_descriptions", {NAMES[0]: f"as {CHOICES[2]}"})
    study.set_user_attr("conditions", {NAMES[1]: f"only if {NAMES[0]} > 0"})
    study.optimize(lambda t: sum(t.suggest_float(name, 0, 1) for name in NAMES), n_trials=1)
    assert f"> {NAMES[3]} and {CHOICES[0]} matter most.\n" in client.sent[0][1]["content"]
    assert f'condition: "only if {NAMES[0]} > 0"' in client.sent[0][1]["content"]
    assert f'meaning: "as {CHOICES[2]}"' in client.sent[0][1]["content"]
    assert "[redacted]" not in client.sent[0][1]["content"]
    assert all(name in client.sent[0][1]["content"] for name in (*NAMES, *CHOICES))
    (kept,) = load_elicitations(study)
    context = StudyContext(
        distributions=space(),
        problem_description=f"{NAMES[3]} and {CHOICES[0]} matter most.",
        parameter_descriptions={NAMES[0]: f"as {CHOICES[2]}"},
        conditions={NAMES[1]: f"only if {NAMES[0]} > 0"},
    )
    replayed = ReplayElicitor(path, strict=True).elicit(context)
    for elicitation in (kept, replayed):
        assert {row.parameter for row in elicitation.answer.numeric} == set(NAMES)
        assert [row.choice for row in elicitation.answer.categorical] == [CHOICES[0]]
        assert elicitation.repairs == ()
        assert all(name in elicitation.raw_text for name in (*NAMES, CHOICES[0]))


def test_what_is_masked_on_the_wire_is_masked_everywhere(tmp_path: Path) -> None:
    known = "AKIA" + "ABCD1234" * 2
    told = f"{SECRET} and {known}"
    labelled = [{"region": 1, "label": told, "weight": 1.0}]
    client = Client(
        told, answer(notes=told, regions=labelled, mood=told, **{told: 1}), answer(notes=told, regions=labelled)
    )
    path = tmp_path / "recording.json"
    context = StudyContext(distributions=space(), problem_description=f"Our key is {told}.")
    elicitation = RecordingElicitor(LLMElicitor(client=client), path).elicit(context)
    everything = elicitation.to_json() + path.read_text() + json.dumps(client.sent)
    assert SECRET not in everything
    assert known not in everything
    assert "Our key is [redacted] and [redacted]." in client.sent[0][1]["content"]
    assert elicitation.messages == client.sent[0]
    assert elicitation.answer.notes == "[redacted] and [redacted]"
    assert elicitation.answer.regions[0].label == "[redacted] and [redacted]"
    # The recording is found again by the question as it is put, secrets and all.
    assert ReplayElicitor(path, strict=True).elicit(context).answer == elicitation.answer


def test_a_secret_within_an_answer_that_cannot_be_used(context: StudyContext) -> None:
    client = Client(json.dumps({SECRET: 1, "x": 2}), json.dumps({SECRET: 1, "x": 2}))
    with pytest.raises(UnansweredError) as caught:
        LLMElicitor(client=client, max_retries=1).elicit(context)
    assert SECRET not in str(caught.value) + json.dumps(client.sent)


def test_a_secret_in_a_number_does_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read before anything is masked."""
    monkeypatch.setenv("SOME_API_KEY", "0.25123456789")
    text = answer().replace("0.3", "0.25123456789")
    elicitation: Elicitation = LLMElicitor(client=Client(text)).elicit(StudyContext(distributions=space()))
    assert elicitation.answer.numeric[0].best == 0.25123456789
