"""The Python code in README.md and docs/ runs: no key, no network, a few trials each.

The blocks of one page run in order and share their names, as a reader would type them; the tutorial's pages follow one
another, and every block of README.md runs on its own. Language models are answered for by `fake_model`, and
`study.optimize` stops after a few trials.
"""

from __future__ import annotations

import importlib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import partialmethod
from pathlib import Path
from typing import Any

import optuna
import plotly.graph_objects as go
import pytest
import typer
from optuna.distributions import FloatDistribution

import llm_prior_bo
from llm_prior_bo import FixedElicitor, LLMPriorSampler, SearchSpace, visualization
from llm_prior_bo.cli.app import app
from llm_prior_bo.elicitation import Completion, LiteLLMClient, Messages, PriorAnswer

ROOT = Path(__file__).parents[1]
PACKAGE = Path(llm_prior_bo.__file__).parent  # an installed one where the tests are those of the wheel
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
TUTORIAL = sorted((ROOT / "docs" / "tutorial").glob("*.md"))
CHAPTERS = [*([page] for page in PAGES if page not in {README, *TUTORIAL}), TUTORIAL]
"""Pages that share their names."""
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
MAX_TRIALS = 6
"""One more than the start-up phase, so that the surrogate is used."""

BELIEFS = {"learning_rate": (1e-3, 1e-4, 1e-2), "dropout": (0.2, 0.1, 0.5)}


def python_blocks(page: Path) -> list[tuple[int, str]]:
    """Line number and code of the Python blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, m.start(2)), m.group(2)) for m in FENCE.finditer(text) if m.group(1) == "python"]


def fake_model(self: LiteLLMClient, messages: Messages, schema: Mapping[str, Any]) -> Completion:  # noqa: ARG001
    """An answer about those parameters that are in the prompt."""
    asked = {name: belief for name, belief in BELIEFS.items() if f"- {name}: float" in messages[1]["content"]}
    answer = PriorAnswer.by_hand(numeric=asked)
    return Completion(text=json.dumps(answer.model_dump()), model=self.model, cost_usd=0.001)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What a reader of the pages has: a model that answers, an empty folder, a function that trains."""
    optimize = optuna.Study.optimize

    def short_optimize(self: optuna.Study, func: Any, n_trials: int, **options: Any) -> None:
        optimize(self, func, n_trials=min(n_trials, MAX_TRIALS), **options)

    monkeypatch.setattr(LiteLLMClient, "complete", fake_model)
    monkeypatch.setattr(optuna.Study, "optimize", short_optimize)
    monkeypatch.setattr(LLMPriorSampler, "__init__", partialmethod(LLMPriorSampler.__init__, seed=0))
    monkeypatch.chdir(tmp_path)
    return {"validation_error": lambda learning_rate, dropout, *_: abs(learning_rate - 0.01) + dropout}


def run_block(page: Path, line: int, code: str, names: dict[str, Any]) -> None:
    # Blank lines in front, so that a traceback names the line of the page.
    exec(compile("\n" * line + code, str(page), "exec"), names)


@pytest.mark.parametrize("pages", CHAPTERS, ids=lambda pages: pages[0].relative_to(ROOT).as_posix())
def test_code_runs(pages: list[Path], reader: dict[str, Any]) -> None:
    for page in pages:
        for line, code in python_blocks(page):
            run_block(page, line, code, reader)


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(("line", "code"), python_blocks(README), ids=lambda cell: str(cell)[:4])
def test_every_block_of_the_readme_runs_on_its_own(line: int, code: str) -> None:
    run_block(README, line, code, {})


def test_pages_have_code() -> None:
    assert sum(len(python_blocks(page)) for page in PAGES) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_to_files_lead_somewhere(page: Path) -> None:
    targets = [target.split("#")[0] for target in LINK.findall(page.read_text(encoding="utf-8"))]
    files = [target for target in targets if target and "://" not in target]
    places = {target: (page.parent / target, PACKAGE.parent / target) for target in files}
    assert [target for target in files if not any(place.exists() for place in places[target])] == []


def test_the_lines_of_the_first_page_run(reader: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    answer = PriorAnswer.by_hand(numeric={"x": (3.0, 2.0, 5.0)})
    space = SearchSpace({"x": FloatDistribution(0.0, 10.0)})
    study = optuna.create_study(sampler=LLMPriorSampler(elicitor=FixedElicitor(answer), search_space=space))
    for _ in range(2):
        study.optimize(lambda trial: (trial.suggest_float("x", 0.0, 10.0) - 4.0) ** 2, n_trials=MAX_TRIALS)
    shown: list[go.Figure] = []
    monkeypatch.setattr(go.Figure, "show", lambda figure: shown.append(figure))
    names = {**reader, **vars(llm_prior_bo), **vars(visualization), "study": study, "space": space}
    lines = [row[2] for row in tables(ROOT / "docs" / "index.md", "to", "lines", "the line")]
    for line in lines:
        code = re.match(r"`([^`]+)`", line)
        assert code is not None
        exec(code.group(1), names)
    assert len(lines) >= 6
    assert len(shown) == 2
    assert {path.name for path in Path().iterdir()} >= {"answer.yaml", "report.html"}


# ---- what the pages tell a reader to type

TYPED = re.compile(r"^(?:\$ )?(make|llm-prior-bo|python|pip install) +([^`\n]+)$", re.MULTILINE)
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


def typed(page: Path) -> list[tuple[str, list[str]]]:
    """Commands in blocks and in the text: program, words after it."""
    text = page.read_text(encoding="utf-8")
    blocks = [match.group(2) for match in FENCE.finditer(text) if match.group(1) in {"", "bash", "console", "text"}]
    found = TYPED.findall("\n".join([*blocks, *re.findall(r"`([^`\n]+)`", text)]))
    return [(program, rest.split(" #")[0].replace('"', "").split()) for program, rest in found]


def command_exists(words: list[str]) -> bool:
    """Whether `llm-prior-bo` has the command, and the command the options."""
    command = typer.main.get_command(app)
    assert isinstance(command, typer.core.TyperGroup)
    if words[0] == "--help":
        return True
    if words[0] not in command.commands:
        return False
    options = {name for parameter in command.commands[words[0]].params for name in parameter.opts}
    return {word.split("=")[0] for word in words[1:] if word.startswith("--")} <= options | {"--help"}


def file_exists(words: list[str]) -> bool:
    """Whether a module or script of the repository that `python` is to run is there; others are the reader's own."""
    if words[0] == "-m" and words[1].startswith(("benchmarks", "llm_prior_bo")):
        place = ROOT.joinpath(*words[1].split("."))
        return place.with_suffix(".py").exists() or (place / "__main__.py").exists()
    return "/" not in words[0] or (ROOT / words[0]).exists()


CHECKS: Mapping[str, Callable[[list[str]], bool]] = {
    "make": lambda words: words[0] in TARGETS or "=" in words[0],
    "llm-prior-bo": command_exists,
    "python": file_exists,
    "pip install": lambda words: (
        {e for w in words for e in re.findall(r"\w+", "".join(re.findall(r"\[(.*)\]", w)))} <= set(EXTRAS)
    ),
}


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "migration.md"], ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    assert [f"{program} {' '.join(words)}" for program, words in typed(page) if not CHECKS[program](words)] == []


def test_commands_are_found() -> None:
    found = [program for page in PAGES for program, _ in typed(page)]
    assert all(found.count(program) >= 3 for program in CHECKS)


def test_pages_that_the_source_names_exist() -> None:
    sources = [path for folder in (PACKAGE, ROOT / "benchmarks", ROOT / "tests") for path in folder.rglob("*.py")]
    named = {page for path in sources for page in re.findall(r"docs/[\w/]+\.md", path.read_text(encoding="utf-8"))}
    assert len(named) > 5
    assert [page for page in sorted(named) if not (ROOT / page).exists()] == []


# ---- what the pages say of the code


def tables(page: Path, *titles: str) -> list[list[str]]:
    """Rows of the tables of a page that have these titles, as texts of their cells."""
    rows: list[list[str]] = []
    inside = False
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        inside = cells == list(titles) or (inside and bool(cells))
        if inside and cells != list(titles) and not set(line) <= set("|- "):
            rows.append(cells)
    return rows


def exists(name: str) -> bool:
    """Whether there is a module of this name, or something in one; fields of a dataclass included."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:n]))
        except ImportError:
            continue
        for part in parts[n:]:
            is_field = is_dataclass(found) and part in {field.name for field in fields(found)}
            if not (is_field or hasattr(found, part)):
                return False
            found = getattr(found, part, None)
        return True
    return False


MIGRATION = tables(ROOT / "docs" / "reference" / "migration.md", "0.1", "0.2")
DOTTED = re.compile(r"`((?:llm_prior_bo|benchmarks)(?:\.\w+)+)`")


@pytest.mark.parametrize(("old", "new"), MIGRATION)
def test_what_was_renamed_is_gone_and_its_successor_is_there(old: str, new: str) -> None:
    assert [name for name in DOTTED.findall(old) if exists(name)] == []
    assert [name for name in DOTTED.findall(new) if not exists(name)] == []


def test_names_that_are_new_exist() -> None:
    names = DOTTED.findall(
        (ROOT / "docs" / "reference" / "migration.md").read_text(encoding="utf-8").split("\nNew: ")[1].split("\n\n")[0]
    )
    assert len(names) >= 5
    assert [name for name in names if not exists(name)] == []


def test_places_named_in_the_design_exist() -> None:
    text = (ROOT / "docs" / "explanation" / "design.md").read_text(encoding="utf-8")
    places = {place for place in re.findall(r"`([\w/]+(?:\.py|/))`", text) if "/" in place}
    assert len(places) > 60
    assert [p for p in sorted(places) if not any((base / p).exists() for base in (ROOT, PACKAGE, PACKAGE.parent))] == []


def test_the_picture_shows_every_folder_and_module_of_the_top_level() -> None:
    picture = (ROOT / "docs" / "figures" / "structure.svg").read_text(encoding="utf-8")
    names = [path.name for path in PACKAGE.glob("*.py") if path.name != "__init__.py"]
    names += [f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")]
    assert len(names) > 10
    assert [name for name in names if f">{name}<" not in picture] == []
