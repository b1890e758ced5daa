"""YAML as a person means it: every scalar is the text that stands there, and every value knows its line.

YAML 1.1, which PyYAML reads, takes `1e-3` for text, `no` and `on` for truth values and `1:30` for 90. Here nothing is
guessed: whoever reads a value says whether a number or a choice is expected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from llm_prior_bo.elicitation.answer.values import shown
from llm_prior_bo.elicitation.llm.secrets import printable
from llm_prior_bo.errors import AnswerError

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys and positions (from 0) that lead to a value."""

MAX_CHARACTERS = 500_000

_WORD = re.compile(r"[^\W\d][\w.-]*")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")  # the text of a choice like 32: as text and as number the same


@dataclass(frozen=True)
class Document:
    """Plain data: dicts with text as keys, lists, and scalars.

    Args:
        data: The data; of YAML all scalars are text.
        lines: Line (from 1) in which the value at a path begins, or the key of an entry; empty if nobody knows.
    """

    data: Any
    lines: Mapping[KeyPath, int] = field(default_factory=dict)

    def place(self, path: KeyPath) -> str:
        """Where a value is, for the end of an error's text."""
        name = ""
        for part in path:
            name += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if name else part
        line = self.lines.get(path)
        where = [f"line {line}"] if line is not None else []
        return ", ".join([*where, repr(name)] if name else where) or "the file"


def read_yaml(text: str) -> Document:
    """Read YAML.

    Raises:
        AnswerError: If it is not YAML, has a key twice, or uses anchors (`&name`, `*name`).
    """
    import yaml  # 20 ms that only whoever has such a file pays

    if len(text) > MAX_CHARACTERS:
        raise AnswerError(f"Expected a short YAML file, got {len(text):,} characters.")
    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = "" if mark is None else f" in line {mark.line + 1}, column {mark.column + 1}"
        problem = " ".join(part for part in (error.context, error.problem) if part)
        raise AnswerError(f"Expected YAML, got an error{place}: {problem}.") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise AnswerError(f"Expected YAML, got text that is none ({type(error).__name__}).") from None
    lines: dict[KeyPath, int] = {}
    data = None if node is None else _plain(node, (), lines, set())
    return Document(data, lines)


def _plain(node: Any, path: KeyPath, lines: dict[KeyPath, int], seen: set[int]) -> Any:
    import yaml

    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if id(node) in seen:  # a few aliases of aliases are gigabytes of data
        raise AnswerError(f"Expected YAML without anchors and aliases, got one in line {line}; write the values out.")
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        return "null" if node.value == "~" and node.style is None else node.value
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, i), lines, seen) for i, item in enumerate(node.value)]
    entries: dict[str, Any] = {}
    for key_node, value_node in node.value:
        at = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise AnswerError(f"Expected names and choices as keys, got a list or a mapping in line {at}.")
        key = _plain(key_node, (*path, "key", len(entries)), {}, seen)
        if key in entries:
            raise AnswerError(f"Expected every key once, got {shown(key)} again in line {at}; drop one of the two.")
        lines[*path, key] = at
        entries[key] = _plain(value_node, (*path, key), lines, seen)
    return entries


def yaml_text(text: str) -> str:
    """A text as a YAML scalar on one line: as it is where no reader of YAML takes it for anything else, else quoted."""
    import yaml

    dumped: str = yaml.safe_dump(text, allow_unicode=True, width=float("inf"), default_flow_style=True)
    is_text = dumped.removesuffix("\n").removesuffix("\n...") == text
    if _NUMBER.fullmatch(text) or (is_text and _WORD.fullmatch(text)):
        return text
    # What acts where it is shown (turns the direction of writing, say) is escaped.
    quoted: str = yaml.safe_dump(text, allow_unicode=printable(text) == text, width=float("inf"), default_style='"')
    return quoted.removesuffix("\n")


def yaml_block(text: str) -> str:
    """A text as the value of a key at the left margin: of several lines as a block, if it is the same when read."""
    block = "\n".join(["|-", *(f"  {line}" if line else "" for line in text.split("\n"))])
    if "\n" not in text or printable(text, keep="\n\t") != text:
        return yaml_text(text)
    try:
        is_same = read_yaml(f"key: {block}\n").data == {"key": text}
    except AnswerError:
        is_same = False
    return block if is_same else yaml_text(text)


def yaml_number(value: float) -> str:
    """A number that every reader of YAML takes for one, and a person for the same: `4`, `0.001`, `2.0e-05`."""
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    mantissa, e, exponent = repr(value).partition("e")
    return mantissa + (".0" if e and "." not in mantissa else "") + e + exponent
