from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.structure import File, main, read_package

SOURCE = '''"""Module.

Two more lines.
"""

import functools  # a comment behind code

LIMIT = 3
"""What it is for."""
# A comment.


class A:
    """Class."""

    text = """
    counts"""

    @functools.cache
    def f(self) -> int:
        """Function."""

        def inner() -> int:
            return 1

        if LIMIT:
            return 2
        else:
            return inner()


def g(
    x: int,
) -> int:
    return x
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.py").write_text(SOURCE)
    (tmp_path / "__init__.py").write_text("")
    return tmp_path


def test_counts(package: Path) -> None:
    empty, file = read_package(package)
    assert (empty.path, empty.n_lines, empty.n_code, empty.functions) == (Path("__init__.py"), 0, 0, ())
    # import, LIMIT, class, text (2), cache, def f, def inner, return, if, return, else, return, def g (3), return
    assert (file.path, file.n_lines, file.n_code) == (Path("inner/a.py"), 35, 17)
    assert file.functions == (("A.f", 11), ("A.f.inner", 2), ("g", 4))


def test_printed(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--root", str(package)])
    printed = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert {title: figure.strip() for title, figure in printed.items()} == {
        "modules": "2, in 2 folders",
        "lines": "35",
        "lines of code": "17",
        "file, median": "18 lines",
        "file, largest": f"35 lines, {Path('inner/a.py')}",
        "functions": "3",
        "function, median": "4 lines",
        "function, 95 %": "4 lines",
        "function, longest": f"11 lines, {Path('inner/a.py')}: A.f",
    }


def test_no_python_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def")
    with pytest.raises(SyntaxError):
        File.read(tmp_path / "a.py", root=tmp_path)
