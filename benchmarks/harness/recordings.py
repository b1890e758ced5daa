"""Questions about real tasks written to files, and the replies to them made into recordings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness.hpo_tasks import distributions, load_task
from benchmarks.harness.live_tasks import LIVE_TASKS
from llm_prior_bo import PriorAnswer, SearchSpace, StudyContext
from llm_prior_bo.elicitation import PROMPT_VERSION, Exchange, Messages, prompt_hash, render_prompt, validate_answer
from llm_prior_bo.elicitation.blinding import blind
from llm_prior_bo.elicitation.replay import read_exchanges, write_exchanges
from llm_prior_bo.errors import ConfigurationError

BUDGET = 50
"""Trials that a question says the study will have."""

TASKS = (
    "fcnet_slice_localization",
    "fcnet_naval_propulsion",
    "fcnet_parkinsons_telemonitoring",
    "xgb_protein_structure",
    "xgb_naval_propulsion",
    "xgb_concrete",
    "svm_146595",
    "svm_336",
    "hpobench_nn_kc1",
    "hpobench_nn_vehicle",
    "hpobench_nn_phoneme",
    "opda_convnext",
    "opda_deberta",
    "lcbench_126026",
    "lcbench_168330",
    "rbv2_gbtree_1501",
    "rbv2_xgboost_1501",
    "rbv2_rpart_14",
)
"""Tasks with a recorded answer to the present version of the question."""

DESCRIPTIONS = {
    "xgb_1494": "XGBoost classifier (R xgboost; nrounds boosting rounds; gbtree/dart/gblinear booster) on the OpenML "
    "data set 'qsar-biodeg' (1055 rows, 41 features, 2 classes); minimise cross-validated error.",
}
"""Of tasks that the collection does not describe."""

BLINDED = "blinded"


@dataclass(frozen=True)
class Question:
    """What a language model is asked about a task.

    Args:
        messages: The prompt.
        version: Version of the prompt's wording.
        fingerprint: Of the search space.
    """

    messages: Messages
    version: str
    fingerprint: str

    @classmethod
    def of(cls, context: StudyContext) -> Question:
        """The package's own question."""
        return cls(render_prompt(context), PROMPT_VERSION, context.space.fingerprint)

    @property
    def hash(self) -> str:
        """Hash of the prompt, which its files are named after."""
        return prompt_hash(self.messages)


def context_of(data: Path | None, name: str) -> StudyContext:
    """The question about a task, before its first trial; live tasks need no folder."""
    problem: Any = LIVE_TASKS[name] if name in LIVE_TASKS else load_task(_required(data, name), name)
    description = problem.context or DESCRIPTIONS[name]
    conditions = [
        f"{row['name']} is active only if {row['condition'][0]} is {' or '.join(map(str, row['condition'][1]))}."
        for row in problem.space()
        if row.get("condition")
    ]
    return StudyContext(
        distributions=distributions(problem),
        problem_description=" ".join([description, *conditions]),
        n_trials=BUDGET,
    )


def _required(data: Path | None, name: str) -> Path:
    if data is None:
        raise ConfigurationError(f"Expected the folder of the tasks for {name!r}, got none; pass --data.")
    return data


def write_prompts(data: Path, names: Sequence[str], out: Path, *, n_answers: int = 1, blinded: bool = False) -> None:
    """Write the questions about tasks, one text file each: as many wordings, and one without names if wanted."""
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        context = context_of(data, name)
        contexts = {str(index): replace(context, answer_index=index) for index in range(n_answers)}
        if blinded:
            contexts[BLINDED] = blind(context)[0]
        for label, one in contexts.items():
            text = _as_text(Question.of(one))
            (out / f"{name}.{label}.prompt.txt").write_text(text, encoding="utf-8")


def _as_text(question: Question) -> str:
    head = f"=== prompt version {question.version}, search space {question.fingerprint} ==="
    return f"{head}\n{messages_text(question.messages)}"


def messages_text(messages: Messages) -> str:
    """A prompt as it is written to a file."""
    return "".join(f"=== {message['role']} ===\n{message['content']}\n" for message in messages)


def _from_text(text: str) -> tuple[Messages, str, str]:
    """Messages, version and fingerprint of a prompt's file."""
    head, _, body = text.partition("\n")
    header = re.fullmatch(r"=== prompt version (\S+), search space (\w+) ===", head)
    if header is None:
        raise ValueError(f"Expected a prompt written by this script, got {head!r}.")
    _, *parts = re.split(r"^=== (system|user) ===\n", body, flags=re.MULTILINE)
    messages = tuple(
        {"role": role, "content": content.removesuffix("\n")}
        for role, content in zip(parts[::2], parts[1::2], strict=True)
    )
    return messages, header[1], header[2]


def collect(prompts: Path, out: Path, *, model: str) -> None:
    """Make recordings of all replies: the wordings about a task in `<task>.json`, that without names beside it."""
    stems = sorted(path.name.removesuffix(".prompt.txt") for path in prompts.glob("*.prompt.txt"))
    by_task: dict[str, list[str]] = {}
    for stem in stems:
        name, _, label = stem.rpartition(".")
        by_task.setdefault(f"{name}.{BLINDED}" if label == BLINDED else name, []).append(stem)
    out.mkdir(parents=True, exist_ok=True)
    for name, own in by_task.items():
        write_exchanges(out / f"{name}.json", [_exchange(prompts / stem, model) for stem in own])


def write_questions(questions: Mapping[str, Question], out: Path) -> None:
    """Write questions by task, each to `<hash>.prompt.txt`: whoever answers cannot tell whose question it is."""
    out.mkdir(parents=True, exist_ok=True)
    for question in questions.values():
        (out / f"{question.hash}.prompt.txt").write_text(_as_text(question), encoding="utf-8")


def collect_questions(questions: Mapping[str, Question], prompts: Path, out: Path, *, model: str) -> list[str]:
    """Make `<task>.json` of every question with a reply in `<hash>.answer.txt`.

    Returns:
        The tasks without a reply.
    """
    missing = []
    for name, question in questions.items():
        if (prompts / f"{question.hash}.answer.txt").exists():
            write_exchanges(out / f"{name}.json", [_exchange(prompts / question.hash, model)])
        else:
            missing.append(name)
    return missing


def _exchange(stem: Path, model: str) -> Exchange:
    messages, version, fingerprint = _from_text(stem.with_name(f"{stem.name}.prompt.txt").read_text(encoding="utf-8"))
    answer = stem.with_name(f"{stem.name}.answer.txt")
    return Exchange(
        messages=messages,
        completions=(answer.read_text(encoding="utf-8"),),
        prompt_hash=prompt_hash(messages),
        prompt_version=version,
        space_fingerprint=fingerprint,
        model=model,
        recorded_at=datetime.fromtimestamp(answer.stat().st_mtime, UTC).isoformat(timespec="seconds"),
    )


def recorded_answers(path: Path, space: SearchSpace) -> list[PriorAnswer]:
    """The answers of a recording, in the order of their wordings."""
    return [validate_answer(exchange.completions[0], space)[0] for exchange in read_exchanges(path)]
