"""How large are the package, its files and its functions? Read from the source, without importing it.

    python -m benchmarks.structure
    python -m benchmarks.structure --root some/other/package

A line of code is one that is neither blank nor a comment nor a part of a docstring. The length of a function is that
from its first decorator to its last line.
"""

from __future__ import annotations

import argparse
import ast
import io
import statistics
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "llm_prior_bo"
_LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
_Named = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class File:
    """One file of Python.

    Args:
        path: Where it is, from the package's folder.
        n_lines: All of its lines.
        n_code: Those of them that are code.
        functions: Qualified name and number of lines of every function and method.
    """

    path: Path
    n_lines: int
    n_code: int
    functions: tuple[tuple[str, int], ...]

    @classmethod
    def read(cls, path: Path, *, root: Path) -> File:
        """Read a file.

        Raises:
            SyntaxError: If it is no Python.
        """
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        code = _lines_with_tokens(source) - set(_docstring_lines(tree))
        return cls(path.relative_to(root), len(source.splitlines()), len(code), tuple(_functions(tree, "")))


def read_package(root: Path) -> list[File]:
    """All files of a package, sorted by path."""
    return [File.read(path, root=root) for path in sorted(root.rglob("*.py"))]


def _lines_with_tokens(source: str) -> set[int]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {n for token in tokens if token.type not in _LAYOUT for n in range(token.start[0], token.end[0] + 1)}


def _docstring_lines(tree: ast.Module) -> Iterator[int]:
    """Lines of docstrings, those below an attribute or a constant included: all statements that are but a string."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, int]]:
    for child in ast.iter_child_nodes(node):
        name = f"{prefix}{child.name}" if isinstance(child, _Named) else ""
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([child.lineno, *(decorator.lineno for decorator in child.decorator_list)])
            yield name, (child.end_lineno or child.lineno) - first + 1
        yield from _functions(child, f"{name}." if name else prefix)


def summary(files: Sequence[File]) -> list[tuple[str, str]]:
    """Titles and figures of a package with at least one function."""
    functions = [(lines, f"{file.path}: {name}") for file in files for name, lines in file.functions]
    lengths = [lines for lines, _ in functions]
    largest = max(files, key=lambda file: file.n_lines)
    longest = max(functions)
    return [
        ("modules", f"{len(files)}, in {len({file.path.parent for file in files})} folders"),
        ("lines", f"{sum(file.n_lines for file in files)}"),
        ("lines of code", f"{sum(file.n_code for file in files)}"),
        ("file, median", f"{statistics.median(file.n_lines for file in files):.0f} lines"),
        ("file, largest", f"{largest.n_lines} lines, {largest.path}"),
        ("functions", f"{len(functions)}"),
        ("function, median", f"{statistics.median(lengths):.0f} lines"),
        ("function, 95 %", f"{sorted(lengths)[int(0.95 * (len(lengths) - 1))]} lines"),
        ("function, longest", f"{longest[0]} lines, {longest[1]}"),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=PACKAGE, help="folder of the package")
    options = parser.parse_args(arguments)
    for title, figure in summary(read_package(options.root)):
        print(f"{title:18s} {figure}")


if __name__ == "__main__":
    main()
