"""docs/results.md: protocol, tables, and the remarks of remarks.md."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import asking_again
from benchmarks.harness.beliefs import RECORDINGS
from benchmarks.results import sections, wrong_priors
from benchmarks.results.regrets import LIVE, OURS, STARTUP, TaskRegrets, Way, left_out, of_full_length, regrets_of
from llm_prior_bo.compare.runner import Record, finished
from llm_prior_bo.elicitation.replay import read_exchanges

REMARKS = Path(__file__).with_name("remarks.md")
N_PLACEBO_TRIALS = 30
"""Trials that count where other beliefs are compared: their studies are no longer."""

PLACEBOS = ("own", "random", "mirrored", "other", "neutral")
CONTROLS = {
    "the start-up points alone, then the same engine": Way("control-1", "own"),
    "the start-up points alone, then GPSampler": Way("control-2", "own"),
    "the engine": Way("no-llm"),
    "the density, with a fixed decay and no trust": Way("pibo-10", "own"),
    "evidence": Way("no-trust", "own"),
    "optimisation": Way("prior alone", "own"),
    "one good configuration, and random search": Way("RandomSampler, best guess first", "own"),
    "one good configuration, and a model": Way("GPSampler, best guess first", "own"),
    "the user's own start, and random search": Way("RandomSampler, default first"),
    "the user's own start, and a model": Way("GPSampler, default first"),
    "configurations from a model once": Way("one-shot, then TPE"),
    "ranges from a model, TPE": Way("narrowed TPE"),
    "ranges from a model, GPSampler": Way("narrowed GPSampler"),
}
"""What a comparison controls for -> the way."""

_HEAD = """# Results

*Written by `python -m benchmarks.results write`; do not edit. Records: {n_records} studies, in `benchmarks/records`.*

{remarks}

## Protocol

- **Tasks**: {n_tasks} ({families}).{left}
- **Seeds and trials**: in every table; a study has {n_trials} trials. The seed is that of the sampler, and for live
  tasks of the split. Methods of one table have run with the same seeds, and are compared seed by seed.
- **Answers**: of a large language model, recorded once a task, to the question that the package asks; the files in
  `benchmarks/answers/version_2` hold the question. None was chosen or edited. A recorded answer is the same at every
  trial, so in these studies the model is asked once.
- **Regret** is the best value so far minus the best value known. Its unit is, for each task, what `GPSampler` has left
  after its ten random trials, in the median over the seeds. *Area* is the mean regret over trials.
- Numbers with brackets are a median with its quartiles, or a mean difference with a 95 % bootstrap interval: over the
  seeds of a task, or, where it says so, over the tasks. Negative is better. *Better-neither-worse* counts tasks whose
  interval leaves zero out; with fewer than six seeds a task counts as neither.

```console
{commands}
```
"""

COMMANDS = """python -m benchmarks.proof run --data FOLDER --out proof.jsonl --seeds 10 --trials 50 --workers 2
python -m benchmarks.proof run --data FOLDER --out placebos.jsonl --seeds 8 --trials 30 \\
    --methods default no-trust --beliefs random mirrored other neutral earlier "earlier and own"
python -m benchmarks.harness run --out wrong.jsonl --seeds 0-15 --trials 30 --methods default no-prior \\
    --priors wrong-wide wrong-narrow weak strong
python -m benchmarks.asking_again run --data FOLDER --later benchmarks/answers/later --out again.jsonl --seeds 8
python -m benchmarks.results keep proof proof.jsonl placebos.jsonl
python -m benchmarks.results keep wrong wrong.jsonl
python -m benchmarks.results keep again again.jsonl
python -m benchmarks.results write"""


def write(proof: Sequence[Record], *, wrong: Sequence[Record] = (), again: Sequence[Record] = ()) -> str:
    """The page.

    Args:
        proof: Records of `benchmarks.proof`.
        wrong: Records of `benchmarks.harness` with right and wrong priors.
        again: Records of `benchmarks.asking_again`.
    """
    remarks = read_remarks(REMARKS)
    full = of_full_length(proof)
    tasks = regrets_of(full)
    short = regrets_of(proof, n_trials=N_PLACEBO_TRIALS)
    tables: dict[str, Callable[[], str]] = {
        "All methods": lambda: _all_methods(tasks),
        "Families": lambda: sections.families(tasks),
        "After the start-up": lambda: sections.after_startup(regrets_of(full, unit=STARTUP)),
        "Task by task": lambda: sections.by_task(tasks),
        "The engine without an answer": lambda: sections.engine(tasks),
        "When the answer hurts": lambda: sections.hurt(tasks),
        "Placebos": lambda: _placebos(short),
        "Earlier studies": lambda: sections.earlier(short, n_trials=N_PLACEBO_TRIALS),
        "Controls": lambda: sections.against(tasks, CONTROLS),
        "Held-out test": lambda: sections.held_out(tasks),
        "What an answer costs": lambda: sections.cost(tasks, tokens_of),
        "Right and wrong priors": lambda: wrong_priors.table(wrong),
        "Asking again": lambda: asking_again.table(finished(again)) if again else "",
    }
    head = _head(proof, tasks, remarks.pop("", ""), left_out(full, tasks))
    parts = [_section(title, make(), remarks.pop(title, "")) for title, make in tables.items()]
    return "\n\n".join([head.strip(), *(p for p in parts if p), *(f"## {t}\n\n{r}" for t, r in remarks.items())]) + "\n"


def _head(records: Sequence[Record], tasks: Sequence[TaskRegrets], remarks: str, left: Sequence[str]) -> str:
    found = [task.family for task in tasks if task.of(OURS)]
    counted = ", ".join(f"{found.count(family)} {family}" for family in dict.fromkeys(found))
    told = f" Left out, for the random trials leave nothing or are missing: {', '.join(left)}." if left else ""
    return _HEAD.format(
        n_records=len(finished(records)),
        remarks=remarks,
        n_tasks=len(found),
        families=counted,
        left=told,
        n_trials=sections.length(tasks),
        commands=COMMANDS,
    )


def _all_methods(tasks: Sequence[TaskRegrets]) -> str:
    """Tasks that are trained live apart: fewer methods have run on them."""
    live = [task for task in tasks if task.family == LIVE]
    stored = [task for task in tasks if task.family != LIVE]
    tables = [sections.everybody(own) for own in (stored, live) if own]
    return f"\n\nOn the tasks that are trained live, {len(live)}:\n\n".join(tables)


def _placebos(tasks: Sequence[TaskRegrets]) -> str:
    """Other beliefs with the evidence weighed, and without."""
    weighed, bare = (
        sections.placebos(tasks, PLACEBOS, n_trials=N_PLACEBO_TRIALS, method=method)
        for method in ("default", "no-trust")
    )
    return f"{weighed}\n\nThe same without trust (`no-trust`):\n\n{bare}" if weighed and bare else weighed


def _section(title: str, table: str, remarks: str) -> str:
    """A section; nothing without a table."""
    return "\n\n".join(part for part in (f"## {title}", remarks, table) if part) if table else ""


def read_remarks(path: Path) -> dict[str, str]:
    """Title of a section -> what people say about it; what stands before the first title has an empty one."""
    first, *others = re.split(r"^## (.+)\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {"": first.strip()} | {title: text.strip() for title, text in zip(others[::2], others[1::2], strict=True)}


@functools.cache
def tokens_of(task: str) -> tuple[int, int] | None:
    """Tokens of the recorded question about a task and of its answer, counted as for GPT-4o; `None` without one."""
    from llm_prior_bo.elicitation.llm.import_litellm import import_litellm

    path = RECORDINGS / f"{task}.json"
    if not path.exists():
        return None
    (exchange, *_) = read_exchanges(path)
    count = functools.partial(import_litellm().token_counter, model="gpt-4o")
    return count(messages=list(exchange.messages)), count(text=exchange.completions[0])
