"""Draw the structure of the package as an SVG: one floor for every folder, imports go downwards only.

    python docs/figures/structure.py

Floors, modules and imports are read from `pyproject.toml` and the source, so the picture cannot say anything else.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "llm_prior_bo"
TARGET = Path(__file__).with_name("structure.svg")

PURPOSES = {
    "cli": "what people type",
    "visualization": "what people look at",
    "compare": "comparisons of samplers",
    "sampler": "Optuna's interface: the order of the steps",
    "calibration": "past answers against what came out",
    "_arguments": "checks of what the user passes",
    "optimization": "one suggestion: start-up, evidence, score, maximum; who is asked, and when",
    "study": "all that touches an Optuna study or its storage",
    "acquisition": "base functions, log terms, their sum, the maximiser",
    "models": "data to model: kernel, fit, posterior, transforms, distribution of the optimum, feasibility",
    "priors": "densities over the optimum; from an answer to a density",
    "elicitation": "the language-model side: prompt, client, answer",
    "_gradients": "NumPy functions with gradients as torch operations",
    "space": "Optuna's distributions as encoded columns",
    "decay": "schedules of the exponent",
    "_isolation": "settings of the calling thread",
    "_cached_property": "a property that is worked out once",
    "_fast_path": "the switch of the fast path",
    "_display": "short tables of objects: text, HTML, rich",
    "_text": "text of others, escaped",
    "errors": "errors and warnings",
}
LIBRARIES = ("optuna", "botorch", "gpytorch", "torch", "scipy", "numpy", "pydantic", "litellm", "matplotlib")
WIDTH, LEFT, MIDDLE, RIGHT, LINE, GAP = 1080, 60, 330, 780, 17, 16
TINTS = ("#e8f1fa", "#fdf3e3")


def floors() -> list[list[str]]:
    """The layers of the import contract, top first, without those that do not exist."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = (contract["layers"] for contract in contracts if contract["id"] == "layers")
    named = [[name.strip(" ()") for name in layer.split("|")] for layer in layers]
    return [floor for layer in named if (floor := [name for name in layer if files(name)])]


def files(name: str) -> list[Path]:
    """The source files of a module or folder of the package."""
    module = PACKAGE / f"{name}.py"
    return [module] if module.exists() else sorted((PACKAGE / name).rglob("*.py"))


def modules(name: str) -> str:
    """The modules of a folder, subfolders in brackets."""
    folder = PACKAGE / name
    if not folder.is_dir():
        return f"{name}.py"
    own = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    inner = sorted(path for path in folder.iterdir() if path.is_dir() and (path / "__init__.py").exists())
    parts = [
        f"{sub.name}/ ({', '.join(sorted(path.stem for path in sub.glob('*.py') if path.stem != '__init__'))})"
        for sub in inner
    ]
    return ", ".join([*own, *parts])


def imports(name: str) -> Iterator[str]:
    """Full names of what a module or folder imports."""
    for path in files(name):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module


def uses(name: str, order: list[str]) -> tuple[list[str], list[str]]:
    """Parts of the package and libraries that a part imports, in the order of the picture."""
    found = [full.split(".") for full in imports(name)]
    parts = {full[1] for full in found if full[0] == PACKAGE.name and len(full) > 1} - {name}
    libraries = {full[0] for full in found}
    return [part for part in order if part in parts], [library for library in LIBRARIES if library in libraries]


def text(x: int, y: int, content: str, style: str = "") -> str:
    """One line of text."""
    return f'<text x="{x}" y="{y}" {style}>{escape(content)}</text>'


def room(name: str, top: int, order: list[str]) -> tuple[list[str], int]:
    """The drawing of one part of the package, and its height."""
    parts, libraries = uses(name, order)
    title = f"{name}/" if (PACKAGE / name).is_dir() else f"{name}.py"
    purpose = wrap(PURPOSES[name], 34)
    names = wrap(modules(name), 58, break_long_words=False) if title.endswith("/") else []
    imported = wrap(f"imports {', '.join(parts)}" if parts else "", 40)
    known = wrap(", ".join(libraries), 40)
    columns = [len(purpose) + 1, len(names), len(imported) + len(known)]
    drawn = [text(LEFT, top + LINE, title, 'class="title"')]
    drawn += [text(LEFT, top + LINE * (i + 2), line) for i, line in enumerate(purpose)]
    drawn += [text(MIDDLE, top + LINE * (i + 1), line, 'class="code"') for i, line in enumerate(names)]
    drawn += [text(RIGHT, top + LINE * (i + 1), line) for i, line in enumerate(imported)]
    drawn += [text(RIGHT, top + LINE * (len(imported) + i + 1), line, 'class="dim"') for i, line in enumerate(known)]
    return drawn, LINE * max(columns) + 6


def draw() -> str:
    """The whole picture."""
    layers = floors()
    order = [name for layer in layers for name in layer]
    top, drawn = 44, []
    for i, layer in enumerate(layers):
        start = top
        inside: list[str] = []
        for name in layer:
            lines, height = room(name, top + 4, order)
            inside += lines
            top += height + 4
        box = f'<rect x="{LEFT - 14}" y="{start}" width="{WIDTH - LEFT}" height="{top - start + 2}" rx="6"'
        drawn += [f'{box} fill="{TINTS[i % 2]}" stroke="#8a99a8"/>', *inside]
        top += GAP
    arrow = f'<line x1="24" y1="44" x2="24" y2="{top - 34}" stroke="#444" stroke-width="2" marker-end="url(#tip)"/>'
    heads = [
        text(LEFT, 26, "folder or module", 'class="dim"'),
        text(MIDDLE, 26, "its modules", 'class="dim"'),
        text(RIGHT, 26, "what it imports here; libraries", 'class="dim"'),
    ]
    style = (
        "text{font:13px sans-serif;fill:#1c2733}.title{font-weight:bold;font-size:14px}.dim{fill:#5a6875}"
        ".code{font-family:monospace;font-size:12px}"
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}">',
            f"<style>{style}</style>",
            '<defs><marker id="tip" markerWidth="10" markerHeight="8" refX="7" refY="4" orient="auto">'
            '<path d="M0,0 L8,4 L0,8 z" fill="#444"/></marker></defs>',
            # White, not transparent: legible on a dark page too.
            f'<rect width="{WIDTH}" height="{top}" rx="8" fill="white"/>',
            *heads,
            arrow,
            *drawn,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    TARGET.write_text(draw(), encoding="utf-8")
    print(TARGET)
